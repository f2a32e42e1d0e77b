//! A served "model" for tests: its lanes do what their number of samples says.
#![allow(dead_code, missing_docs, unreachable_pub, clippy::unwrap_used, reason = "each test file uses a part of this")]

pub mod raw;

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::Bytes;
use fusion_net::{
    Client, ClientSettings, Description, Digest, Extension, HintSource, LaneFailure, LaneHandler, LaneRequest, Limits, Reveal, Server,
    ServerSecurity, Split,
};
use fusion_ring::channel::{Channel, MAX_CROSSING_BYTES};

pub const CARD: &[u8] = b"a public card";
pub const PARAMS: u32 = 7;

/// Another public file.
pub const ANSWERS: &[u8] = b"what the model answers";

/// What lanes do, chosen by the number of samples.
pub const ECHO: u32 = 1;
pub const CROSS: u32 = 2;
pub const PANIC: u32 = 3;
pub const ACCUSE: u32 = 4;
pub const BREAK: u32 = 5;
pub const SEND_AND_END: u32 = 6;
pub const FLOOD: u32 = 7;

/// What a flood sends at most.
pub const FLOOD_BYTES: usize = 64 << 20;

pub struct Model {
    pub hint: Bytes,
    pub announced: Digest,
    pub source: Option<std::path::PathBuf>,
    /// Memory that a sample of a lane takes, as the model says.
    pub sample_bytes: u64,
}

impl Model {
    pub fn new(hint: Vec<u8>) -> Self {
        Self { announced: Digest::of(&hint), hint: hint.into(), source: None, sample_bytes: 0 }
    }
}

impl LaneHandler for Model {
    fn describe(&self) -> Description {
        Description {
            card: Bytes::from_static(CARD),
            hint_digest: self.announced,
            hint_bytes: self.hint.len() as u64,
            params_version: PARAMS,
        }
    }

    fn hint(&self) -> HintSource {
        match &self.source {
            Some(path) => HintSource::File(path.clone()),
            None => HintSource::Memory(self.hint.clone()),
        }
    }

    fn published(&self, digest: Digest) -> Option<(HintSource, u64)> {
        (digest == Digest::of(ANSWERS)).then(|| (HintSource::Memory(Bytes::from_static(ANSWERS)), ANSWERS.len() as u64))
    }

    fn lane_bytes(&self, request: &LaneRequest) -> u64 {
        self.sample_bytes * u64::from(request.n_samples)
    }

    fn run_lane(&self, request: LaneRequest, channel: &mut dyn Channel) -> Result<(), LaneFailure> {
        match request.n_samples {
            // A length, then that many bytes, back and forth; length 0 ends the lane.
            ECHO => loop {
                let mut len = [0; 4];
                channel.recv(&mut len)?;
                let len = u32::from_le_bytes(len) as usize;
                if len == 0 {
                    return Ok(());
                }
                if len > 64 << 20 {
                    return Err(LaneFailure::PeerMisbehaved("too long an echo".into()));
                }
                let bytes = channel.recv_vec(len)?;
                channel.send(&bytes)?;
                channel.flush()?;
            },
            CROSS => {
                channel.send(&vec![2; MAX_CROSSING_BYTES])?;
                channel.flush()?;
                let got = channel.recv_vec(MAX_CROSSING_BYTES)?;
                assert!(got.iter().all(|&byte| byte == 1));
                Ok(())
            }
            PANIC => panic!("a bug in the handler"),
            ACCUSE => Err(LaneFailure::PeerMisbehaved("check 3 failed".into())),
            BREAK => Err(LaneFailure::Internal("private detail".into())),
            SEND_AND_END => {
                channel.send(b"result")?;
                Ok(())
            }
            FLOOD => {
                for _ in 0..FLOOD_BYTES >> 16 {
                    channel.send(&[9; 1 << 16])?;
                }
                Ok(())
            }
            other => Err(LaneFailure::Internal(format!("no lane of kind {other}"))),
        }
    }
}

pub fn local() -> SocketAddr {
    ([127, 0, 0, 1], 0).into()
}

pub fn serve(limits: Limits) -> Server {
    Server::builder(Model::new(b"a hint".to_vec())).limits(limits).start(local()).unwrap()
}

pub fn serve_securely(security: ServerSecurity) -> Server {
    Server::builder(Model::new(b"a hint".to_vec())).security(security).start(local()).unwrap()
}

pub fn settings(server: SocketAddr) -> ClientSettings {
    ClientSettings { idle: Duration::from_secs(30), ..ClientSettings::new(server.to_string()) }
}

pub fn connect(server: &Server) -> Client {
    Client::connect(settings(server.local_addr())).unwrap()
}

pub fn lane(kind: u32) -> LaneRequest {
    let (card_digest, reveal, split, extension) = (Digest::of(CARD), Reveal::Label, Split::OneMore, Extension::Small);
    LaneRequest { card_digest, params_version: PARAMS, n_samples: kind, reveal, lane: 0, split, extension }
}

pub fn echo(channel: &mut dyn Channel, bytes: &[u8]) -> Vec<u8> {
    channel.send(&(bytes.len() as u32).to_le_bytes()).unwrap();
    channel.send(bytes).unwrap();
    channel.recv_vec(bytes.len()).unwrap()
}

/// Writes a file that nobody else can read.
pub fn write_secret(path: &std::path::Path, text: &str) {
    use std::io::Write as _;
    use std::os::unix::fs::OpenOptionsExt as _;
    let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).unwrap();
    file.write_all(text.as_bytes()).unwrap();
}

/// Waits for something that must happen soon.
pub fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !holds() {
        assert!(Instant::now() < deadline, "{what}: not within 20 s");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Bytes that no compressor or accident produces.
pub fn noise(len: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15u64;
    (0..len)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state as u8
        })
        .collect()
}
