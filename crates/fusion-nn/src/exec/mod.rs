//! The two-party executor: a program, evaluated on shares, step by step.
//!
//! ```text
//!   client                                        server
//!   PublicModel + hint                            PublicModel + weights = ServerModel
//!   images, quantised        -- one lane --       zeros
//!     Linear                 encrypt / multiply / decrypt (fusion-rlwe)
//!     Requantise             windows and OTs (layers)
//!     Add, Concat, SumPool, Flatten               local
//!   labels (or logits)       opened to the client only
//! ```
//!
//! A *lane* runs `samples` samples through the whole network on one channel and one thread per party. Tensors are held as
//! `[channel][sample][row][column]`, so that a channel is one stream for the linear layers; they are dropped after their last use.
//!
//! # Security
//! Each step is secure against a malicious server and a semi-honest client (see `fusion-rlwe` and [`layers`](crate::layers)); every message of a lane is masked by
//! randomness of that lane, and a lane is never continued after an error. What a malicious server can do is make answers wrong; the
//! caller's mixing is for that.
//!
//! # Example
//! The tests of this module run both parties of random networks over an in-memory channel, against the twin.

mod account;
mod error;
mod input;
mod lane;
mod linear;
mod local;
mod model;
mod opened;
mod side;
#[cfg(test)]
mod tests;

pub use account::{Progress, StepCost};
pub use error::LaneError;
pub use input::{EncodedImage, LaneInput};
pub use lane::{Connection, Deviation, Finished, Lane};
pub use model::{Hint, PublicModel, ServerModel};
pub use opened::{Opened, Reveal};
pub use side::{Client, Server, Side};

fusion_ring::opaque!(Lane<'_, Client>, Lane<'_, Server>, Finished<'_, Client>, ServerModel);
