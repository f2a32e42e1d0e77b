//! Private image classification that the client can check: the library that an application links.
//!
//! A server holds a trained network, a client holds images. The client gets the answers; the server
//! never sees the images, the client never sees the weights, and the client can tell when the
//! server cheats or serves a worse model than it advertised.
//!
//! ```text
//!   server                                      client
//!   quantise  ONNX + images -> program          Client::connect   card, trust, hint
//!   prepare   program -> package                Client::plan      how many copies, public samples
//!   Server::serve  package -> lanes  <======>   Client::query     lanes -> answers -> verdict
//!                                               Client::resume    after an interruption
//!                                               verify            again, from the journal alone
//! ```
//!
//! # Example
//! ```no_run
//! use fusion::mix::pool::KnownFrom;
//! use fusion::{Client, ClientSettings, Inputs, Journal, MixSettings, PublicPool, images};
//! use rand::{SeedableRng, rngs::SysRng};
//! use rand_chacha::ChaCha20Rng;
//!
//! let home = std::path::Path::new("/var/lib/me/fusion");
//! let mut rng = ChaCha20Rng::try_from_rng(&mut SysRng)?;
//! let client = Client::connect(ClientSettings::new("127.0.0.1:7878", home))?;
//! let inputs = Inputs::from(images::folder("photos".as_ref())?);
//! let known = images::labelled_folder("known".as_ref(), "known/labels.csv".as_ref())?;
//! let publics = PublicPool::labelled(known, KnownFrom::GroundTruth)?;
//! let mix = MixSettings::at_lambda(40.0, Some(0.6));
//! let plan = client.plan(&mix, inputs.samples.len(), &publics)?;
//! let journal = Journal::at(home.join("runs/1"));
//! let outcome = client.query(&inputs, &publics, &plan, journal, &mut rng, &mut |_| ())?;
//! println!("{:?}: {:?}", outcome.report.verdict, outcome.report.answers);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//! `examples/private_query.rs` is a whole query, with its server, in one process.
//!
//! # What it does not do
//! It prints nothing and reads no environment, but for `FUSION_SIMD` (call [`simd::select`] first
//! to learn whether its value can be used): progress comes as [`Event`]s; paths, clocks and
//! randomness are handed in. Calls block; [`asynchronous`] has them for async programs.
//!
//! # Security
//! What a verdict proves is the subject of `fusion-mix`; what the protocol hides, of `fusion-nn`;
//! [`threats`] lists the known attacks and where each is answered. A [`Client`] trusts the first
//! model that it sees at an address, or the one that is pinned. Not audited.
//!
//! # Where to read next
//! [`Client`] and [`Server`], then [`mix`] for what is proved.
#![forbid(unsafe_code)]

pub mod asynchronous;
pub mod client;
mod clock;
mod error;
mod event;
pub mod images;
mod lane_terms;
mod prepare;
mod quantise;
mod sample_seconds;
pub mod server;
mod speed;

pub use client::{Client, ClientSettings, GivenMix, Inputs, Journal, MixSettings, Outcome, PoolFacts, PublicPool, verify};
pub use clock::{Clock, SystemClock};
pub use error::Error;
pub use event::{Event, Events, LaneProgress, silent};
pub use prepare::{PackageSettings, Prepared, PublishedAnswers, prepare};
pub use quantise::{FRONTIER_MBIT, Fit, FrontierPoint, Preview, QuantiseSettings, Quantised, Tolerance, Widths, quantise, quantise_file};
pub use sample_seconds::SampleSeconds;
pub use server::{Server, ServerSettings};
pub use speed::Speed;

pub use fusion_ring::simd;
pub use {fusion_mix as mix, fusion_model as model, fusion_net as net, fusion_nn as nn};

/// The known attacks on systems of this kind, and where each is answered.
#[doc = include_str!("../threats.md")]
pub mod threats {}

/// Runs the README's example.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
