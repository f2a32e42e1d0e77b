//! The client: whom it trusts, what it mixes, how it asks, what it keeps.
//!
//! ```text
//!   connect   describe -> card -> trust -> hint                       settings, trust
//!   plan      demands -> how many copies and public samples           mixing
//!   query     draw, read images, mix -> lanes -> answers -> verdict   inputs, lanes, journal
//! ```

mod connect;
mod costs;
mod inputs;
pub(crate) mod journal;
pub(crate) mod lanes;
mod mixing;
mod outcome;
mod query;
pub(crate) mod run_error;
mod settings;
pub(crate) mod trust;

pub use connect::Client;
pub use costs::{BytesJson, Costs, LaneTime, SecondsJson};
pub use inputs::Inputs;
pub use journal::{Journal, JournalError, RunFacts, RunInputs, read_facts};
pub use lanes::{Failed, ImageOf, LaneResult, Lanes, Next, Told};
pub use mixing::{GivenMix, MixSettings};
pub use outcome::Outcome;
pub use query::verify;
pub use run_error::RunError;
pub use settings::{ClientSettings, lanes_for, terms_for};
pub use trust::{Trust, TrustError};
