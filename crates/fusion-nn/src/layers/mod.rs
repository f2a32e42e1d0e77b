//! Non-linear layers on additive shares, bought in random OTs.
//!
//! # What a caller sees
//! A [`Party`] is one side of a lane. Layer functions take own [`AdditiveShares`] and return own
//! shares; the peer calls the same function with the same public arguments at the same time.
//! [`Requantise`] is a whole step of a [`Program`](fusion_model::program::Program): window, maximum
//! pooling, activation, widening; [`classify`] is its end: window, argmax, label opened to the
//! client. The rest are the parts they are made of.
//!
//! ```text
//!   requantise, classify           steps of a program
//!   relu  maximum  pool  argmax  truncate     layer protocols, tile by tile
//!   compare  mux  widen            protocols on one tile
//!   lookup  product                local computations on random OTs
//!   window                         the local step before all of them
//!   shares                         what the words are: additive shares, XOR shares, clear numbers
//!   digits  tile  ot_batch         how a layer is cut up, and its random OTs
//!   party  cost  error             role, channel, account; formulas; errors
//! ```
//!
//! # What is assumed
//! Random OTs with malicious security in both directions ([`fusion_ot::functionality`]). Then a malicious peer learns nothing: every message is masked by
//! fresh random OTs. It can make the results wrong, undetected here; the mixing of queries detects that. Widths, shapes and tile sizes are public and trusted (they come from a
//! checked program, not from the peer).
//!
//! # Exactness
//! Apart from the local window step, which rounds at random, every protocol computes its function exactly.
//!
//! # Example
//! ReLU from 13 bits into 25 bits on ideal OT, both parties in one process:
//! ```
//! use fusion_nn::layers::{AdditiveShares, ClearNumbers, Party, RingBits, Role, relu};
//! use fusion_ot::ideal;
//! use fusion_ring::channel::memory_pair;
//! # use rand_core::SeedableRng;
//! # let mut rng = rand_chacha::ChaCha20Rng::seed_from_u64(1); // in earnest: seeded by the operating system
//!
//! let numbers = ClearNumbers::from_signed(&[8, -1], RingBits(13));
//! let [mine, theirs] = AdditiveShares::share(&numbers, &mut rng);
//! let (client_end, server_end) = memory_pair();
//! let (client_sends, server_receives) = ideal::pair(1);
//! let (server_sends, client_receives) = ideal::pair(2);
//! let server = std::thread::spawn(move || {
//!     let mut party = Party::new(Role::Server, Box::new(server_end), Box::new(server_sends), Box::new(server_receives));
//!     relu(&mut party, &theirs, RingBits(25))
//! });
//! let mut party = Party::new(Role::Client, Box::new(client_end), Box::new(client_sends), Box::new(client_receives));
//! let mine = relu(&mut party, &mine, RingBits(25))?;
//! let theirs = server.join().unwrap()?;
//! assert_eq!(mine.reveal(&theirs)?[..], [8, 0]);
//! # Ok::<(), fusion_nn::layers::ProtocolError>(())
//! ```
//! Shares have a type and carry their width, so that no number in the clear passes for one:
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
mod compare;
pub mod cost;
mod digits;
mod error;
mod lookup;
mod maximum;
mod mux;
mod ot_batch;
mod party;
mod pool;
mod product;
mod relu;
mod requantise;
mod shares;
#[cfg(test)]
mod tests;
mod tile;
mod truncate;
mod widen;
mod window;

pub use argmax::{argmax, classify, open_to_client};
pub use digits::{Digits, MAX_COMPARED_BITS};
pub use error::ProtocolError;
pub use fusion_model::program::RingBits;
pub use maximum::maximum;
pub use ot_batch::EXTENSION_SIZE;
pub use party::{HALF_TILE, Ledger, Party, Phase, PhaseCost, Role};
pub use pool::{PoolSchedule, max_pool};
pub use relu::relu;
pub use requantise::Requantise;
pub use shares::{AdditiveShares, ClearNumbers};
pub use truncate::{Headroom, widen_signed};
pub use window::to_window;
