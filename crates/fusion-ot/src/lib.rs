//! Maliciously secure oblivious transfer in bulk.
//!
//! Oblivious transfer hands a receiver one of several messages of a sender without either learning
//! more. A private computation needs millions of random OTs for everything that is not linear
//! algebra; this crate makes them, with security against parties that deviate from the protocol.
//!
//! ```text
//!   base           128 OTs from group arithmetic (Ristretto)
//!     |
//!   softspoken     any number of random 1-of-2^m OTs from AES: 15 to 63 bits per binary OT
//!     |
//!   silent         many of them from LPN: 1.2 bits per binary, 2.8 per 1-of-16 OT, or half
//!     |
//!   functionality  RandomOtSender, RandomOtReceiver: what users are written against, and `ideal`,
//!                  which stands in for either protocol in their tests
//! ```
//!
//! ```
//! use fusion_ot::functionality::{ChoiceBits, RandomOtReceiver, RandomOtSender};
//! use fusion_ot::{OtError, Role, session::Session, silent};
//! use fusion_ring::channel::memory_pair;
//! use rand_chacha::ChaCha20Rng;
//! use rand_core::SeedableRng;
//!
//! let (mut a, mut b) = memory_pair();
//! // What both parties know of this lane; a real caller seeds its generator from the system.
//! let session = Session::new(b"model card, number of the lane");
//! let (theirs, rng) = (session.clone(), ChaCha20Rng::seed_from_u64);
//! let peer = std::thread::spawn(move || {
//!     let (_, mut receiver) = silent::setup(&theirs, Role::Second, &mut b, &mut rng(2))?;
//!     receiver.random_ot(&mut b, ChoiceBits::TWO, 5)
//! });
//! let (mut sender, _) = silent::setup(&session, Role::First, &mut a, &mut rng(1))?;
//! // Four pads for each of five OTs; the receiver has a random choice and the pad at it.
//! let sent = sender.random_ot(&mut a, ChoiceBits::TWO, 5)?;
//! let got = peer.join().expect("peer")?;
//! for i in 0..5 {
//!     assert_eq!(got.pads()[i], sent.pad(i, got.choices()[i].into()));
//! }
//! # Ok::<(), OtError>(())
//! ```
//!
//! # Status and security
//! Both ends may be malicious. Every module says under *Security* what its protocol assumes, what
//! leaks and what an abort means. The outputs of an instance are handed out only after the
//! consistency check of their batch; after any error the instance refuses to go on, and its lane
//! must end. The public-key part is classical (no post-quantum base OT yet).
//!
//! # Known attacks on this family of protocols, and the answer here
//! - *Keys chosen by one party of a base OT* (the ways in which "simplest OT" fails): endemic OT
//!   with hashes bound to the run, index and transcript ([`base`]).
//! - *Messages of one run, lane or direction in another*: hashes, salts and keys are bound to
//!   version, terms, direction and a nonce of either party ([`session`]).
//! - *KOS-style checks that hash too little* (Roy, CRYPTO 2022, section 4.1): the subspace-VOLE
//!   check hashes every column ([`softspoken`]).
//! - *Selective failure on trees*: the abort bit is all that leaks; both tree protocols check every
//!   level sum, before any output can be read ([`softspoken`], [`silent`]).
//! - *Hashes that break correlations only for semi-honest receivers*: TMMO with a tweak that never
//!   repeats under one Delta ([`softspoken`]); a key and salts drawn after the receiver's last
//!   choice ([`silent`]).
//! - *Fiat-Shamir checks whose parts can be searched apart and matched by birthdays*: the trees'
//!   coefficients come from one hash chain ([`silent`]).
//! - *One party makes two inputs of a fixed function equal* (it grinds roots until two silent trees
//!   have the same: the attack that broke an earlier version): keys per tree, drawn when roots are
//!   fixed ([`silent`]).
//! - *LPN parameters chosen for speed, or estimated as if the code were random*: a closed table
//!   with its estimate, the dense core of the sparse code included ([`silent::estimate`]); public
//!   code by coin toss.
//! - *Replays after a failure*: an instance that failed refuses every call.
//!
//! Read next: [`functionality`], then [`softspoken`] and [`silent`].
#![forbid(unsafe_code)]

pub mod base;
mod bits;
mod coins;
mod delta;
mod error;
pub mod functionality;
#[cfg(any(test, feature = "test-utils"))]
pub mod ideal;
pub mod session;
pub mod silent;
pub mod softspoken;
#[cfg(any(test, feature = "test-utils"))]
pub mod testing;

pub use error::OtError;
pub use session::Role;

/// The README's examples, as tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
pub struct Readme;
