//! Two-party evaluation of convolutional networks on secret shares: a private ReLU for whoever wants
//! one, and whole programs of `fusion-model` from encrypted images to labels that only the client
//! learns.
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
//! [`layers`] has one of two parties that compute a ReLU together.
//!
//! # What is assumed
//! The program is public and both parties run the same one (the card's digest sees to that).
//!
//! # Security
//! Against a malicious server the client's images stay hidden: all that the server receives is
//! ciphertexts and messages masked by fresh random OTs. The *answers* are only as right as the
//! server is honest; `fusion-mix` is for catching it. Against a semi-honest client the weights stay
//! hidden but for the answers; a malicious client is not defended against. `docs/threats.md` lists
//! the known attacks and where each is answered. Not audited.
//!
//! # Where to read next
//! [`layers`] (how a ReLU is bought), then [`exec`] (who sends what). What is computed stands in
//! `fusion_model::program` and its twin.
#![forbid(unsafe_code)]

pub mod cost;
pub mod exec;
pub mod layers;

/// Version of all that two parties of a lane must have in common: cryptographic parameters, layer
/// protocols, the order and the packing of messages. Any change of the bytes inside a lane raises
/// it; the test `pinned_lane` notices such a change.
pub const LANE_VERSION: u32 = 1;
