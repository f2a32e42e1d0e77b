//! Fusion as its users meet it: the real `fusion` command, real processes over loopback, real
//! digits, full cryptographic parameters.
//!
//! | module | what it holds the command to |
//! |---|---|
//! | `harness` | finding and building the command, homes, servers, time limits |
//! | `demo` | `fusion demo`: honest, low-quality and tampering servers |
//! | `walkthrough` | `prepare`, `serve`, `query`, `verify`, `audit`, pins and changed models |
//! | `interrupted` | killed clients and servers, resumed runs |
//! | `bad_input` | errors that name the thing, and leave nothing behind |
//! | `cheats` | every kind of cheating server at small parameters |
//! | `gateway` | `fusion gateway`: kills, cheats, its manual, its page in a browser |
//! | `answers` | published answers, small batches, names and files |
//! | `agreement` | protocol against float model and twin on 200 digits |
//!
//! Everything is written below temporary directories; `FUSION_HOME` is set for every process.
//! Longer repetitions are `#[ignore]`d; run them with `cargo test --release -p integration-tests --
//! --ignored`.
#![forbid(unsafe_code)]
#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do, by panicking")]

mod agreement;
mod answers;
mod bad_input;
mod cheats;
mod demo;
mod gateway;
mod harness;
mod interrupted;
mod walkthrough;
