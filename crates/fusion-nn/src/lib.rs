//! Two-party evaluation of convolutional networks on secret shares: single layers, such as a
//! private ReLU, and whole programs of `fusion-model`. The client has images, the server has
//! weights; the client alone learns the labels.
//!
//! ```text
//!   fusion_model::Program (public)         fusion_model::Weights (private) + hint
//!              |                                   |
//!              v                                   v
//!   exec   one lane: step by step on shares, both parties in lock step
//!              |-- linear steps        fusion-rlwe and the hint
//!              |-- non-linear steps    layers, on random OTs of fusion-ot
//!              `-- argmax              opened to the client only
//!   cost   the bytes, OTs and rounds of all that, from public numbers alone
//! ```
//!
//! # Example
//! A ReLU of numbers that neither party knows, over base OTs and silent OT:
//! ```
//! use fusion_nn::layers::{AdditiveShares, ClearNumbers, LaneTerms, Party, RingBits, Role, relu};
//! use fusion_ring::channel::memory_pair;
//!
//! const TERMS: LaneTerms = LaneTerms::SHORT_LINK; // the same on both sides
//! let numbers = ClearNumbers::from_signed(&[8, -1], RingBits(13));
//! let [mine, theirs] = AdditiveShares::share(&numbers, &mut rand::rng());
//! let (client_end, server_end) = memory_pair();
//! let server = std::thread::spawn(move || {
//!     let (end, rng) = (Box::new(server_end), &mut rand::rng());
//!     let mut party = Party::connect(Role::Server, b"example", TERMS, end, rng).unwrap();
//!     relu(&mut party, &theirs, RingBits(25))
//! });
//! let end = Box::new(client_end);
//! let mut party = Party::connect(Role::Client, b"example", TERMS, end, &mut rand::rng())?;
//! let mine = relu(&mut party, &mine, RingBits(25))?;
//! let theirs = server.join().unwrap()?;
//! assert_eq!(mine.reveal(&theirs)?[..], [8, 0]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//! The test `pinned_lane` runs a whole program.
//!
//! # What is assumed
//! The program is public and both parties run the same one; the digest of the model card makes sure
//! of that.
//!
//! # Security
//! The client's images stay hidden from a malicious server: all that the server receives is
//! ciphertexts and messages masked by fresh random OTs. The *answers* are only as right as the
//! server is honest; `fusion-mix` catches one that is not. The weights stay hidden from a
//! semi-honest client, but for what the answers tell: labels of the network in which every linear
//! output carries its noise. A malicious client is not defended against. `docs/threats.md` lists
//! the known attacks and where each is answered. Not audited.
//!
//! # Where to read next
//! [`layers`] (what a layer costs and why it is secure), then [`exec`] (who sends what).
//! `fusion_model::program` and its twin say what is computed.
#![forbid(unsafe_code)]

pub mod cost;
pub mod exec;
pub mod layers;

/// Version of all that two parties of a lane must have in common: cryptographic parameters, layer
/// protocols, the order and the packing of messages. Any change of the bytes inside a lane raises
/// it; the test `pinned_lane` notices such a change.
pub const LANE_VERSION: u32 = 5;

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
pub struct Readme;
