//! SoftSpoken: OT extension with a few bits per OT, from AES alone.
//!
//! # Functionality
//! Any number of random 1-of-2^m OTs ([`RandomOtSender`], [`RandomOtReceiver`]) after one set-up.
//!
//! # Roles
//! [`setup`] gives each party a [`Sender`] and a [`Receiver`]; the peer's [`Receiver`] and
//! [`Sender`] are their other ends. The sender holds Delta.
//!
//! # Protocol
//! Roy, "SoftSpokenOT: Quieter OT Extension from Small-Field Silent VOLE in the Minicrypt Model",
//! CRYPTO 2022: 128 base OTs ([`crate::base`]), 128/k trees of 2^k seeds with the consistency check
//! of section 6, small-field VOLEs brought to one subspace VOLE over the repetition code (sections
//! 3 and 4) with the consistency check of section 4.2: a universal hash to F_2^128 of all columns,
//! masked by 128 extra rows, challenged by the sender. m binary correlations w_j = v_j + u_j Delta
//! make one of width m, w = sum w_j X^j; pads by TMMO with the OT's running number as tweak, under
//! a key from a public seed that the sender draws when a batch has passed its check.
//!
//! Rows are made in batches of at least 2^16 and kept for later calls, so that small calls seldom
//! wait for the network; a call for n OTs of width m holds about 16 n m bytes beside its output.
//!
//! # Cost
//! Set-up per direction: base OT, then one message of 4,096 + 64 * 128/k bytes from the receiver.
//! Per batch of r rows (a multiple of 128): the receiver sends 16 (128/k - 1) (r/128 + 1) bytes,
//! the sender 16, the receiver 2,064, the sender 16: two round trips. So 63, 31 or 15 bits per row
//! at k = 2, 4, 8, and 2^k/k AES calls: 2, 4 or 32. An OT takes m rows.
//!
//! # Security
//! UC-secure against a malicious sender or receiver given the base OTs, with AES as PRG and ideal
//! permutation and SHA3 collision-resistant. 128 bits computational, except that seven bits of
//! Delta are public (121 bits are uniform). Statistical: the hash is 2^-128-universal. A cheating
//! receiver may guess bits of Delta: a wrong guess is caught here with [`OtError::PeerMisbehaved`],
//! a right one tells it those bits and costs it a factor two in success probability each (selective
//! failure, part of the functionality that Roy proves). A cheating sender learns nothing: its
//! challenge is answered under a one-time mask. After an error the instance refuses every call.
//!
//! *What the receiver can make twice*: it grows the trees, so it can grind their roots until rows v
//! (and their choices u) are what it likes, two rows equal among them. So a row never enters a
//! fixed function alone: pads are hashed with a tweak that never repeats, and whoever builds on
//! rows ([`crate::silent`]) hashes them under keys from a seed that is drawn after them. The
//! sender's own freedom is its Delta, which no honest message depends on, and its challenge, which
//! meets columns under a one-time mask once.
//!
//! *Many targets*: salts, keys and challenges belong to one run, those of a tree to one tree, so a
//! cipher call of an attacker counts against one tree or one batch. A hidden seed of a tree takes
//! 2^128 calls, whatever the number of trees and lanes. Of pads a call tests all N that were made
//! under one key and whose masked values the attacker knows (`delta`, in the source): 2^128 / N
//! calls give Delta, so 2^112 with batches of 2^16 rows and 2^108 with the largest, of 2^20. Pads
//! of eight bits tell too little for that: 2^117 calls, by trying Delta at the 15 pads of an OT.
//!
//! [`RandomOtSender`]: crate::functionality::RandomOtSender
//! [`RandomOtReceiver`]: crate::functionality::RandomOtReceiver

#[cfg(any(test, feature = "test-utils"))]
mod ground;
mod instance;
mod receiver;
mod sender;
mod tree;
mod vole;

use fusion_ring::channel::Channel;
use rand_core::CryptoRng;

use crate::session::Session;
use crate::{OtError, Role};
pub use instance::SoftSpoken;
#[cfg(any(test, feature = "test-utils"))]
pub(crate) use instance::batch_rows;
pub(crate) use instance::{Choices, End, Pads};
pub use receiver::ReceivingEnd;
pub use sender::SendingEnd;
pub use tree::TreeDepth;

/// The end that holds Delta.
pub type Sender = SoftSpoken<SendingEnd>;

/// The end that learns the choices.
pub type Receiver = SoftSpoken<ReceivingEnd>;

/// Sets up both directions of a lane with the default [`TreeDepth`].
///
/// # Errors
/// [`OtError`].
pub fn setup(session: &Session, role: Role, channel: &mut dyn Channel, rng: &mut impl CryptoRng) -> Result<(Sender, Receiver), OtError> {
    setup_with(TreeDepth::default(), session, role, channel, rng)
}

/// Sets up both directions of a lane.
///
/// # Errors
/// [`OtError`].
pub fn setup_with(
    depth: TreeDepth,
    session: &Session,
    role: Role,
    channel: &mut dyn Channel,
    rng: &mut impl CryptoRng,
) -> Result<(Sender, Receiver), OtError> {
    session.both_directions(
        role,
        &mut (channel, rng),
        |direction, (channel, rng)| Sender::setup(depth, direction, *channel, *rng),
        |direction, (channel, rng)| Receiver::setup(depth, direction, *channel, *rng),
    )
}

#[cfg(test)]
mod tests;
