//! gRPC lanes between a Fusion client and a Fusion server.
//!
//! A server describes its model (a public card, a hint to download once) and runs *lanes*: one bidirectional byte stream
//! and one thread on each side. This crate carries the bytes, checks the terms, counts and limits; it knows nothing of
//! layers. The code that runs in a lane is written against [`fusion_ring::channel::Channel`], blocks, and is the same
//! over gRPC and over an in-memory pair. Tokio and tonic stay inside this crate.
//!
//! ```text
//!   client process                                             server process
//!   Client::describe ------------- card, digests, limits ----- LaneHandler::describe
//!   Client::fetch_hint -- HintCache -- resumable download ---- LaneHandler::hint
//!   Client::open_lane -> LaneChannel == one TCP connection == LaneHandler::run_lane(request, channel), own thread
//! ```
//!
//! ```
//! use bytes::Bytes;
//! use fusion_net::{
//!     Client, ClientSettings, Description, Digest, HintSource, LaneFailure, LaneHandler, LaneRequest, Reveal, Server,
//! };
//! use fusion_ring::channel::Channel;
//! use std::time::Duration;
//!
//! struct Doubler;
//!
//! impl LaneHandler for Doubler {
//!     fn describe(&self) -> Description {
//!         Description { card: Bytes::from_static(b"card"), hint_digest: Digest::of(b""), hint_bytes: 0, params_version: 1 }
//!     }
//!     fn hint(&self) -> HintSource {
//!         HintSource::Memory(Bytes::new())
//!     }
//!     fn run_lane(&self, request: LaneRequest, channel: &mut dyn Channel) -> Result<(), LaneFailure> {
//!         for _ in 0..request.n_samples {
//!             let x = channel.recv_vec(1)?[0];
//!             channel.send(&[2 * x])?;
//!         }
//!         Ok(())
//!     }
//! }
//!
//! let server = Server::builder(Doubler).start(([127, 0, 0, 1], 0).into())?;
//! let client = Client::connect(ClientSettings::new(server.local_addr().to_string()))?;
//! let served = client.describe()?;
//! let mut lane = client.open_lane(LaneRequest {
//!     card_digest: served.card_digest,
//!     params_version: served.description.params_version,
//!     n_samples: 2,
//!     reveal: Reveal::Label,
//!     lane: 0,
//! })?;
//! lane.send(&[3, 4])?;
//! assert_eq!(lane.recv_vec(2)?, [6, 8]);
//! assert_eq!(lane.finish()?.total(), 4);
//! server.shutdown(Duration::from_secs(1));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # What a hostile peer can do
//! To a server: hold as many lanes as [`Limits`] allow, each with at most about 40 MiB of buffers, until the idle or the
//! lane time is over. Everything else ends its call with a status that names the limit, the mismatch or the malformed
//! part. To a client: waste its time up to the limits of [`ClientSettings`]; nothing that a server announces is allocated
//! for in advance. Card and hint are checked against their SHA3-256 digests; that the digests belong to the model that
//! the user wants is for the user to check.
//!
//! # Where to read next
//! [`LaneHandler`] for serving, [`Client`] for asking, [`LaneChannel`] for what happens to bytes, [`NetError`] for what
//! can go wrong and whose fault it is; `proto/fusion.proto` for the wire.
#![forbid(unsafe_code)]

mod client;
mod digest;
mod error;
mod handler;
mod hint;
mod lane;
mod limits;
mod pipe;
pub mod proto;
pub mod relay;
mod security;
mod server;
mod status;
mod terms;
mod tuning;

pub use client::{Client, ClientSettings, Served};
pub use digest::Digest;
pub use error::{Fault, Misbehaviour, Mismatch, NetError};
pub use handler::{Description, HintSource, LaneFailure, LaneHandler};
pub use hint::{HintCache, HintProgress};
pub use lane::LaneChannel;
pub use limits::{AnnouncedLimits, LimitName, Limits};
pub use security::{ClientSecurity, KeyPair, ServerSecurity, Token};
pub use server::{Server, ServerBuilder, Shutdown};
pub use terms::{LaneRequest, Reveal};

/// Version of the wire protocol of this build: `proto/fusion.proto` and the framing of lanes.
pub const PROTOCOL_VERSION: u32 = 2;

/// Release of this build, as a server announces it.
pub const RELEASE: &str = env!("CARGO_PKG_VERSION");
