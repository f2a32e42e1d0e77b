//! Non-linear layers on additive shares, paid for in random OTs.
//!
//! # What a caller sees
//! A [`Party`] is one side of a lane. Layer functions take own [`AdditiveShares`] and return own
//! shares (whole steps take the [`TensorWords`] that linear layers leave); the peer calls the same
//! function with the same public arguments at the same time.
//! [`Requantise`] is a whole step of a [`Program`](fusion_model::program::Program): window, maximum
//! pooling, activation, widening; [`classify`] is its end: window, argmax, label opened to the
//! client. The rest are the parts they are made of.
//!
//! ```text
//!   requantise, evaluate, classify           steps of a program
//!   relu  clip  piecewise  multiply           layer protocols, tile by tile
//!   maximum  pool  argmax  truncate           layer protocols, tile by tile
//!   sign  compare  sum  mux  widen            protocols on one tile
//!   lookup  product                local computations on random OTs
//!   window                         the local step before all of them
//!   words                          tensors between steps, whose low bits nobody reads
//!   shares                         what the words are: additive shares, XOR shares, clear numbers
//!   digits  tile  ot_batch         how a layer is cut up, and its random OTs
//!   lane_terms                     what the parties agree on beside the program
//!   role  party  cost  error       who leads; channel, account; formulas; errors
//! ```
//!
//! # What is assumed
//! Random OTs with malicious security in both directions ([`fusion_ot::functionality`]). Then a
//! malicious peer learns nothing: every message is masked by fresh random OTs. It can make the
//! results wrong, undetected here; the mixing of queries detects that. Widths, shapes and tile
//! sizes are public and trusted (they come from a checked program, not from the peer).
//!
//! # Exactness
//! Apart from the local window step, which rounds at random and takes in the noise of linear
//! layers, and from [`coarse_relu`] and a coarse [`piecewise()`], which mistake the signs of
//! numbers near zero, or near a knot, at random, every protocol computes its function exactly.
//!
//! # Example
//! Two samples of three classes on ideal OT; the client alone learns which class is largest:
//! ```
//! use fusion_nn::layers::{AdditiveShares, ClearNumbers, Party, RingBits, Role, argmax};
//! use fusion_ot::ideal;
//! use fusion_ring::channel::memory_pair;
//! # use rand_core::SeedableRng;
//! # let mut rng = rand_chacha::ChaCha20Rng::seed_from_u64(1); // really: from the OS
//!
//! let logits = ClearNumbers::from_signed(&[-3, 40, 5, 7, 6, -1], RingBits(13));
//! let [mine, theirs] = AdditiveShares::share(&logits, &mut rng);
//! let (client_end, server_end) = memory_pair();
//! let (client_sends, server_receives) = ideal::pair(1);
//! let (server_sends, client_receives) = ideal::pair(2);
//! let server = std::thread::spawn(move || {
//!     let (sends, receives) = (Box::new(server_sends), Box::new(server_receives));
//!     let mut party = Party::new(Role::Server, Box::new(server_end), sends, receives);
//!     argmax(&mut party, &theirs, 3).map(|opened| opened.is_none())
//! });
//! let (sends, receives) = (Box::new(client_sends), Box::new(client_receives));
//! let mut party = Party::new(Role::Client, Box::new(client_end), sends, receives);
//! assert_eq!(argmax(&mut party, &mine, 3)?.unwrap()[..], [1, 0]);
//! assert!(server.join().unwrap()?, "nothing is opened to the server");
//! # Ok::<(), fusion_nn::layers::ProtocolError>(())
//! ```
//! Shares are a type of their own and carry their width: neither passes for a number in the clear.
//! ```compile_fail,E0308
//! # use fusion_nn::layers::{Party, ProtocolError, RingBits, relu};
//! # fn example(mut party: Party<'_>) -> Result<(), ProtocolError> {
//! relu(&mut party, &[8000, 5], RingBits(25))?;
//! # Ok(())
//! # }
//! ```
//! ```compile_fail,E0061
//! # use fusion_nn::layers::{Party, ProtocolError, relu};
//! # fn example(mut party: Party<'_>) -> Result<(), ProtocolError> {
//! relu(&mut party, &[8000, 5], 13, 25)?;
//! # Ok(())
//! # }
//! ```

mod argmax;
mod clip;
mod compare;
pub mod cost;
mod digits;
mod error;
mod evaluate;
mod lane_terms;
mod lookup;
mod maximum;
mod multiply;
mod mux;
mod ot_batch;
mod party;
mod piecewise;
mod pool;
mod product;
mod relu;
mod requantise;
mod role;
mod shares;
mod sign;
mod sum;
#[cfg(test)]
mod tests;
mod tile;
mod truncate;
mod widen;
mod window;
mod words;

pub use argmax::{argmax, classify, open_to_client};
pub use clip::clip;
pub use digits::{Digits, MAX_COMPARED_BITS, Split};
pub use error::ProtocolError;
pub use evaluate::{Evaluate, Multiply};
pub use fusion_model::program::{Knot, Piecewise, RingBits};
pub use lane_terms::LaneTerms;
pub use maximum::maximum;
pub use multiply::multiply;
pub use party::{Ledger, Party, Phase, PhaseCost};
pub use piecewise::piecewise;
pub use pool::{PoolSchedule, max_pool};
pub use relu::{coarse_relu, relu};
pub use requantise::Requantise;
pub use role::Role;
pub use shares::{AdditiveShares, ClearNumbers};
pub use tile::{Cut, TILE};
pub use truncate::{Headroom, widen_signed};
pub use window::to_window;
pub use words::TensorWords;
