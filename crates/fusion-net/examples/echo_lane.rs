//! A server whose lanes echo, and a client that checks the echo: `cargo run -p fusion-net --example
//! echo_lane`.

use bytes::Bytes;
use fusion_net::{
    Client, ClientSettings, Description, Digest, Extension, HintSource, LaneFailure, LaneHandler, LaneRequest, Reveal, Server, Split,
};
use fusion_ring::channel::Channel;

struct Echo;

impl LaneHandler for Echo {
    fn describe(&self) -> Description {
        Description { card: Bytes::from_static(b"echo"), hint_digest: Digest::of(b""), hint_bytes: 0, params_version: 1 }
    }

    fn hint(&self) -> HintSource {
        HintSource::Memory(Bytes::new())
    }

    fn run_lane(&self, request: LaneRequest, lane: &mut dyn Channel) -> Result<(), LaneFailure> {
        for _ in 0..request.n_samples {
            let sample = lane.recv_vec(1000)?;
            lane.send(&sample)?;
        }
        Ok(())
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let server = Server::builder(Echo).start(([127, 0, 0, 1], 0).into())?;
    let client = Client::connect(ClientSettings::new(server.local_addr().to_string()))?;
    let card_digest = client.describe()?.card_digest;
    let (reveal, split, extension) = (Reveal::Label, Split::OneMore, Extension::Small);
    let mut lane = client.open_lane(LaneRequest { card_digest, params_version: 1, n_samples: 3, reveal, lane: 0, split, extension })?;
    for sample in [[1; 1000], [2; 1000], [3; 1000]] {
        lane.send(&sample)?;
        assert_eq!(lane.recv_vec(1000)?, sample, "the echo differs");
    }
    println!("three samples came back; the lane carried {} bytes", lane.finish()?.total());
    Ok(())
}
