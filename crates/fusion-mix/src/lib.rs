//! How a client checks a server that it cannot see: what to mix, how sure that makes it, and what the answers show.
//!
//! The client hides its queries, each in several copies, among public samples whose labels it knows, in a secret order. A server that cannot tell which
//! is which cheats at the risk of hitting a public sample or only some copies of a query. This crate chooses how much to mix, computes the risk
//! exactly, keeps the order secret, compares the answers, and says in words what that proves. It knows nothing of protocols or sockets.
//!
//! ```text
//!   queries ----+                                            +--> public answers --> accuracy interval --+
//!               |   plan     order      (lanes, elsewhere)   |                                           |
//!   pool -------+-> R,B,T -> secret  -> answers by position -+--> copies agree? -------------------------+--> verdict, report
//!                                                            +--> answers of the queries (if accepted) --+
//! ```
//!
//! # What is guaranteed
//! Two things, side by side, in every [report]: a bound `2^-lambda` on cheating that treats positions differently ([`soundness`]), and
//! an exact interval for how often the function that was computed is right on samples like the public ones ([`accuracy`], [`interval`]). [`guarantee`] words both.
//!
//! # What it assumes
//! That the server's view is independent of the secret order (the protocol's privacy against a malicious server), that the generator handed in
//! is cryptographic and freshly seeded, and that public samples are drawn like the queries.
//!
//! # Example
//! ```
//! use std::collections::BTreeSet;
//! use fusion_mix::{
//!     accuracy::PublicLabels,
//!     batch::{AnswerSheet, Item, MixedBatch, PublicSample},
//!     plan::{Plan, PlanRequest},
//!     pool::Pool,
//!     report::{Report, ReportContext},
//!     verify::{Verdict, verify},
//! };
//! use rand_chacha::{ChaCha20Rng, rand_core::SeedableRng};
//!
//! // 16 queries, 40 bits, a model that claims 98% and must be noticed below 80%.
//! let labels = PublicLabels::GroundTruth { claimed_accuracy: 0.98, detect_below: Some(0.80) };
//! let plan = Plan::optimise(&PlanRequest::new(16, 40.0, labels))?;
//!
//! // In earnest the generator is seeded from the operating system.
//! let mut rng = ChaCha20Rng::seed_from_u64(1);
//! let pool = Pool::new((0..1000).map(|id| PublicSample { id, label: id % 10 }).collect())?;
//! let (publics, _warnings) = pool.draw(plan.mix.publics(), &BTreeSet::new(), &mut rng)?;
//! let batch = MixedBatch::assemble(plan.mix, publics, &mut rng)?;
//!
//! // Two lanes run the protocol; here an honest server answers every sample of its slice rightly.
//! let mut sheet = AnswerSheet::new(&batch, 3);
//! for slice in batch.lane_slices(2) {
//!     let answers: Vec<u32> = slice
//!         .clone()
//!         .map(|position| match batch.item(position) {
//!             Item::Query { query } => query % 10,
//!             Item::Public { id } => id % 10,
//!         })
//!         .collect();
//!     sheet.record(slice, &answers)?;
//! }
//! let verification = verify(&batch, &sheet)?;
//! assert_eq!(verification.verdict(), Verdict::Accepted);
//! println!("{}", Report::new(&plan, &verification, ReportContext::default()).to_text());
//! # Ok::<(), fusion_mix::MixError>(())
//! ```
//!
//! # Where to read next
//! [`soundness`] for the game and its arithmetic, [`plan`] for how a plan is chosen, [`batch`] and [`verify`] for the flow, [`audit`] for accuracy over many batches,
//! and `docs/verification.md` for all of it in one page.
#![forbid(unsafe_code)]

pub mod accuracy;
pub mod adversary;
pub mod audit;
pub mod batch;
pub mod binomial;
pub mod drift;
mod error;
pub mod guarantee;
pub mod interval;
pub mod overview;
pub mod permutation;
pub mod plan;
pub mod pool;
mod private_file;
pub mod report;
mod resume;
pub mod simulate;
pub mod soundness;
mod tilt;
pub mod verify;

pub use error::MixError;

/// Runs the README's example.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
