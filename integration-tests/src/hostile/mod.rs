//! A peer that cheats, in every way that the wire allows and some that need knowledge of the
//! protocol: `cargo xtask hostile`.
//!
//! ```text
//!   lane        one batch in one lane, with one message of one party changed
//!   deviations  series of batches with a server that deviates
//!   extension   the silent extension, and the attack by a ground receiver
//!   service     gRPC: description, hint, opening and frames of a lane
//!      |  jobs: side by side, each with a deadline
//!      v
//!   table       a row for each phase and trick
//! ```
//!
//! A lane carries a whole mixed batch of a small network, so that its client verifies the answers.
//! Whatever a peer does, the honest party must end with an error that names the peer or the
//! transport, or with a batch that is rejected, or unharmed; and batches are accepted with wrong
//! answers no more often than `fusion-mix` predicts. Every seed is fixed.

mod batch;
mod deviations;
mod extension;
mod harness;
mod jobs;
mod lane;
mod line;
mod network;
mod ots;
mod plan;
mod problem;
mod service;
mod table;
mod tamper;

pub use harness::run;
pub use plan::Scope;
pub use problem::Problem;
pub use table::{Report, Row};
