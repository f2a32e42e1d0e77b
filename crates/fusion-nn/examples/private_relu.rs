//! A private ReLU: two threads hold shares of numbers and end with shares of max(x, 0), over real
//! oblivious transfer. Run it with `cargo run --release -p fusion-nn --example private_relu`.

use std::error::Error;

use fusion_nn::layers::{AdditiveShares, ClearNumbers, LaneTerms, Party, RingBits, Role, relu};
use fusion_ring::channel::{MemoryChannel, Traffic, memory_pair};

/// Numbers of 13 bits become numbers of 25 bits, as between two layers of a network.
const WINDOW: RingBits = RingBits(13);
const RING: RingBits = RingBits(25);

fn run(role: Role, channel: MemoryChannel, shares: &AdditiveShares) -> Result<(AdditiveShares, Traffic), String> {
    let mut party =
        Party::connect(role, b"private_relu", LaneTerms::SHORT_LINK, Box::new(channel), &mut rand::rng()).map_err(|e| e.to_string())?;
    let before = party.traffic();
    let result = relu(&mut party, shares, RING).map_err(|e| e.to_string())?;
    Ok((result, party.traffic().since(before)))
}

fn main() -> Result<(), Box<dyn Error>> {
    let numbers: Vec<i32> = (-4000..4000).collect();
    let [of_client, of_server] = AdditiveShares::share(&ClearNumbers::from_signed(&numbers, WINDOW), &mut rand::rng());
    let (client, server) = memory_pair();
    let ((client, traffic), (server, _)) = std::thread::scope(|scope| {
        let server = scope.spawn(|| run(Role::Server, server, &of_server));
        let client = run(Role::Client, client, &of_client)?;
        Ok::<_, String>((client, server.join().map_err(|_| "the server's thread panicked")??))
    })?;
    let results = client.reveal(&server)?.to_signed();
    if !results.iter().eq(numbers.iter().map(|x| x.max(&0))) {
        return Err("a wrong result".into());
    }
    let bytes = traffic.total() as f64 / numbers.len() as f64;
    println!("{} ReLUs, all right; {bytes:.1} bytes each with their oblivious transfers, {} rounds", numbers.len(), traffic.turns);
    Ok(())
}
