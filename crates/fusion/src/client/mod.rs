//! The client: whom it trusts, what it mixes, how it asks, what it keeps.
//!
//! ```text
//!   connect   describe -> card -> trust -> hint                       settings, trust
//!   pool      images with known answers                               public_pool
//!   plan      demands -> how many copies and public samples           mixing
//!   query     draw, read images, mix -> lanes -> answers -> verdict   inputs, lanes, journal
//!             what ends well is kept, what fails is counted           keeper, run_error
//!             a server that is away or full is waited for             pace, patience
//!   between runs   known models, tallies of public samples            memory
//! ```

mod connect;
mod costs;
mod inputs;
pub(crate) mod journal;
mod judge;
mod keeper;
pub(crate) mod lanes;
pub(crate) mod memory;
mod mixing;
mod outcome;
mod pace;
mod patience;
mod public_pool;
mod query;
pub(crate) mod run_error;
mod run_facts;
mod settings;
pub(crate) mod trust;

pub use connect::{Client, card_of, models_of};
pub use costs::{BytesJson, Costs, LaneTime, SecondsJson};
pub use inputs::{Inputs, encode};
pub use journal::{Journal, JournalError, RunState, read_facts, read_state};
pub use judge::verify;
pub use lanes::{Failed, ImageOf, LaneResult, Lanes, Next, Told};
pub use memory::{MemoryError, audit_log};
pub use mixing::{GivenMix, MixSettings, PoolFacts};
pub use outcome::Outcome;
pub use public_pool::PublicPool;
pub use run_error::{FailureKind, RunError};
pub use run_facts::{ImageDigests, RunFacts, RunInputs};
pub use settings::{ClientSettings, lanes_for, terms_for};
pub use trust::{Trust, TrustError};
