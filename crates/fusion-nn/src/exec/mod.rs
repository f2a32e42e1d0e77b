//! The two-party executor: a program, evaluated on shares, step by step.
//!
//! ```text
//!   client                                        server
//!   PublicModel + Hint                            PublicModel + weights = ServerModel
//!   LaneInput: images        -- one lane --       zeros
//!     Linear                 encrypt / multiply, no answer (fusion-rlwe)
//!     Requantise             windows and OTs (layers)
//!     Add, Concat, SumPool, Flatten               local
//!   labels                   opened to the client only (or logits, where the card allows)
//! ```
//!
//! A *lane* runs `samples` samples through the whole network on one channel and one thread per
//! party. Tensors are held as `[channel][sample][row][column]`, so that a channel is one stream for
//! the linear layers; they are dropped after their last use.
//!
//! The client: [`Lane::<Client>::connect`](Lane::connect), then
//! [`run`](Lane::<Client>::run) with a [`LaneInput`]. The server: the same with [`Server`] and its
//! model. A run consumes its lane; what it leaves is [`Finished`]. The test `pinned_lane` is an
//! example.
//!
//! # Security
//! Each step is secure against a malicious server and a semi-honest client (see `fusion-rlwe` and
//! [`layers`](crate::layers)); every message of a lane is masked by randomness of that lane, and no
//! lane goes on after an error. Linear steps leave words with noise, which nothing here can open;
//! all that the client learns is the label of the network with that noise. A malicious server can
//! make answers wrong; the caller's mixing catches that.

mod account;
mod error;
mod input;
mod lane;
mod linear;
mod local;
mod memory;
mod model;
mod opened;
mod side;
#[cfg(test)]
mod tests;

pub use account::{Progress, StepCost};
pub use error::LaneError;
pub use input::{EncodedImage, LaneInput};
pub use lane::{Connection, Deviation, Finished, Lane};
pub use memory::server_lane_bytes;
pub use model::{Hint, PublicModel, ServerModel};
pub use opened::{MASK_UNITS, Opened, Reveal};
pub use side::{Client, Server, Side};

fusion_ring::opaque!(Lane<'_, Client>, Lane<'_, Server>, Finished<'_, Client>, ServerModel);
