//! How a client checks a server that it cannot see: what to mix, how certain that makes it, and
//! what the answers show. The crate holds numbers and data only; it knows nothing of protocols,
//! sockets or pages for people.
//!
//! The client hides its queries, each in several copies, among public samples whose labels it
//! knows, in a secret order. A server that cannot tell them apart risks, whenever it cheats, to hit
//! a public sample or only some copies of a query. This crate chooses how much to mix, computes the
//! server's chance of success exactly, keeps the order secret, and compares the answers.
//!
//! ```text
//!   queries   pool of public samples
//!      |        |
//!      v        v
//!   plan: R queries in B copies, T public samples        (plan, soundness, accuracy)
//!      |
//!      v
//!   a secret order of all N = R B + T samples            (batch)
//!      |
//!      v
//!   [ lanes run the protocol; not in this crate ]
//!      |
//!      v
//!   answers by position --> are the public ones right? --> accuracy interval
//!      |                    do the copies agree?               |
//!      v                                                       v
//!   answers of the queries, if accepted <------ verdict, report (verify, report)
//! ```
//!
//! # What is guaranteed
//! Three things, side by side, in every [report]: a bound `2^-lambda` on cheating that treats
//! positions differently and shows whatever the image is ([`soundness`]), the chance of cheating
//! that shows on some images only, by their fraction ([`firing`]), and an exact interval for how
//! often the function that was computed is right on samples like the public ones ([`accuracy`],
//! [`interval`]). [`Guarantees`] words them.
//!
//! # What it assumes
//! * The server's view does not depend on the secret order (the protocol's privacy against a
//!   malicious server).
//! * The generator handed in is cryptographic and freshly seeded.
//! * Public samples are drawn like the queries.
//!
//! # Example
//! ```
//! use std::collections::BTreeSet;
//! use fusion_mix::batch::{BatchAnswers, Item, MixedBatch, PublicSample};
//! use fusion_mix::verify::{Verdict, verify};
//! use fusion_mix::{accuracy::PublicLabels, plan::Plan, plan::PlanRequest, pool::Pool};
//! use rand_chacha::{ChaCha20Rng, rand_core::SeedableRng};
//!
//! // 16 queries at 40 bits; the model claims 98%, and less than 80% must be noticed.
//! let labels = PublicLabels::GroundTruth { claimed_accuracy: 0.98, detect_below: Some(0.80) };
//! let plan = Plan::optimise(&PlanRequest::new(16, 40.0, labels))?;
//! let mut rng = ChaCha20Rng::seed_from_u64(1); // in earnest: from the operating system
//! let pool = Pool::new((0..1000).map(|id| PublicSample { id, label: id % 10 }).collect())?;
//! let (publics, _warnings) = pool.draw(plan.mix.publics(), &BTreeSet::new(), &mut rng)?;
//! let batch = MixedBatch::assemble(plan.mix, publics, &mut rng)?;
//!
//! // Lanes would run the protocol; here an honest server answers every position rightly.
//! let honest = |position| match batch.item(position) {
//!     Item::Query { query: id } | Item::Public { id } => id % 10,
//! };
//! let mut sheet = BatchAnswers::new(&batch, 3);
//! for slice in batch.lane_slices(2) {
//!     sheet.record(slice.clone(), &slice.map(honest).collect::<Vec<_>>())?;
//! }
//! assert_eq!(verify(&batch, &sheet)?.verdict(), Verdict::Accepted);
//! # Ok::<(), fusion_mix::MixError>(())
//! ```
//!
//! # Where to read next
//! [`mix`] for the five numbers that everything is about, [`soundness`] for the game and its
//! arithmetic, [`plan`] for how a plan is chosen, [`batch`] and [`verify`] for the flow, [`audit`]
//! for accuracy over many batches, and `docs/verification.md` for all of it in one page.
#![forbid(unsafe_code)]

pub mod accuracy;
pub mod adversary;
pub mod audit;
pub mod batch;
pub mod binomial;
mod branch;
mod error;
mod exponential_tilting;
pub mod firing;
mod guarantee;
pub mod interval;
mod label_shift;
mod logarithms;
pub mod mix;
pub mod overview;
mod permutation;
pub mod plan;
pub mod pool;
pub mod private_file;
pub mod report;
mod resume;
pub mod simulate;
pub mod soundness;
pub mod verify;

pub use error::MixError;
pub use guarantee::{Guarantees, chance_in_words};
pub use label_shift::LabelShift;

/// Runs the README's example.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
