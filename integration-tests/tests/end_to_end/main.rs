//! Fusion as its users meet it: the real `fusion` command, real processes over loopback, real
//! digits, full cryptographic parameters.
//!
//! | module | what it holds the command to |
//! |---|---|
//! | `harness` | finding and building the command, homes, servers, time limits |
//! | `demo` | `fusion demo`: honest, low-quality and tampering servers |
//! | `walkthrough` | `prepare`, `serve`, `query`, `verify`, `audit`, pins and changed models |
//! | `interrupted` | killed clients and servers, resumed runs |
//! | `outages` | servers that go away and come back, or are full: patience |
//! | `kept` | half-made runs, outputs, what is remembered |
//! | `bad_input` | errors that name the thing, and leave nothing behind |
//! | `cheats` | every kind of cheating server at small parameters |
//! | `faults` | kills, full disks, clocks and links: undisturbed answers, or a run to resume |
//! | `gateway` | `fusion gateway`: kills, cheats, its manual, its page in a browser |
//! | `answers` | published answers, small batches, names and files |
//! | `operation` | standard error that nobody reads, signals, health, core files |
//! | `models` | several models at one address |
//! | `metrics`, `logs` | what an operator sees, and that no secret is in it |
//! | `deployment` | `deploy/` and `docs/operations.md` against the command |
//! | `manuals` | the commands of README and manuals, as they stand there |
//! | `report_page` | a report in a real browser |
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
mod deployment;
mod faults;
mod gateway;
mod harness;
mod interrupted;
mod kept;
mod logs;
#[cfg(unix)]
mod manuals;
mod metrics;
mod models;
mod operation;
mod outages;
mod report_page;
mod walkthrough;
