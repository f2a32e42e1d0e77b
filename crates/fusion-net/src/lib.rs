//! gRPC lanes between a Fusion client and a Fusion server: the only crate that knows sockets, tonic
//! and tokio. It carries the bytes of a protocol, checks what was asked for, counts and limits; it
//! knows nothing of layers or cryptography.
//!
//! A server describes its model (a public card, and a hint to download once) and runs *lanes*. A
//! lane is one bidirectional byte stream with one thread on each side. The code that runs in a lane
//! is written against [`fusion_ring::channel::Channel`]: it blocks, and it is the same over gRPC
//! and over an in-memory pair.
//!
//! ```text
//!   client process                                            server process
//!
//!   Client::describe   <------ card, digests, limits -------- LaneHandler::describe
//!   Client::fetch_hint <------ resumable download ----------- LaneHandler::hint
//!     into a HintCache
//!   Client::open_lane  ------- LaneRequest -----------------> LaneHandler::run_lane
//!     gives a LaneChannel <=== bytes, own connection =======>   with a Channel, own thread
//! ```
//!
//! # Example
//! ```
//! use bytes::Bytes;
//! use fusion_net::{Client, ClientSettings, Description, Digest, HintSource, LaneFailure};
//! use fusion_net::{Extension, LaneHandler, LaneRequest, Reveal, Server, Split};
//! use fusion_ring::channel::Channel;
//!
//! struct Doubler;
//! impl LaneHandler for Doubler {
//!     fn describe(&self) -> Description {
//!         let (card, hint_digest) = (Bytes::from_static(b"card"), Digest::of(b""));
//!         Description { card, hint_digest, hint_bytes: 0, params_version: 1 }
//!     }
//!     fn hint(&self) -> HintSource { HintSource::Memory(Bytes::new()) }
//!     fn run_lane(&self, _: LaneRequest, lane: &mut dyn Channel) -> Result<(), LaneFailure> {
//!         let x = lane.recv_vec(1)?[0];
//!         Ok(lane.send(&[2 * x])?)
//!     }
//! }
//! let server = Server::builder(Doubler).start(([127, 0, 0, 1], 0).into())?;
//! let client = Client::connect(ClientSettings::new(server.local_addr().to_string()))?;
//! let (card_digest, reveal) = (client.describe()?.card_digest, Reveal::Label);
//! let (split, extension) = (Split::OneMore, Extension::Small);
//! let request = LaneRequest {
//!     card_digest, params_version: 1, n_samples: 1, reveal, lane: 0, split, extension,
//! };
//! let mut lane = client.open_lane(request)?;
//! lane.send(&[21])?;
//! assert_eq!((lane.recv_vec(1)?, lane.finish()?.total()), (vec![42], 2));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # What a hostile peer can do
//! * To a server: hold as many lanes as [`Limits`] allow, each with at most about 40 MiB of
//!   buffers, until the idle time or the lane time is over. Connections that do nothing are closed
//!   in time, and make room for others before that. Everything else ends its call with a status
//!   that names the limit, the mismatch or the malformed part.
//! * To a client: waste its time up to the limits of [`ClientSettings`]. Nothing that a server
//!   announces is allocated in advance.
//!
//! Card and hint are checked against their SHA3-256 digests. Whether those digests belong to the
//! model that the user wants is for the user to check.
//!
//! # Features
//! `relay`, off by default: the module `relay`, a link of a given rate and delay, with faults by
//! script, for tests and measurements. `test-utils`, off by default: the module `decoding`, for
//! fuzz targets.
//!
//! # Where to read next
//! [`LaneHandler`] for serving, [`Client`] for the other side, [`LaneChannel`] for what happens to
//! bytes, [`NetError`] for what can go wrong and whose fault it is, and `proto/fusion.proto` for
//! the wire.
#![forbid(unsafe_code)]

mod client;
#[cfg(feature = "test-utils")]
pub mod decoding;
mod error;
mod handler;
mod hint_cache;
mod lane;
mod lane_request;
mod limit_name;
mod limits;
mod memory;
mod pipe;
pub mod proto;
#[cfg(feature = "relay")]
pub mod relay;
mod security;
mod server;
mod status;
mod transport;
mod tuning;
mod waits;

pub use client::{Client, ClientSettings, HintRate, Served};
pub use error::{Fault, Misbehaviour, Mismatch, NetError};
pub use fusion_ring::symmetric::digest::Digest;
pub use handler::{Description, HintSource, LaneFailure, LaneHandler};
pub use hint_cache::{HintCache, HintProgress, HintWait};
pub use lane::LaneChannel;
pub use lane_request::{Extension, LaneRequest, Reveal, Split};
pub use limit_name::LimitName;
pub use limits::{AnnouncedLimits, Limits};
pub use memory::Memory;
pub use security::{ClientSecurity, KeyPair, ServerSecurity, Token};
pub use server::{Catalogue, Counters, Ending, LaneFault, ModelFacts, Monitor, Server, ServerBuilder, Shutdown};
pub use waits::Waits;

/// Version of the wire protocol of this build: `proto/fusion.proto` and the framing of lanes.
pub const PROTOCOL_VERSION: u32 = 3;

/// Release of this build, as a server announces it.
pub const RELEASE: &str = env!("CARGO_PKG_VERSION");

/// Runs the README's example.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
