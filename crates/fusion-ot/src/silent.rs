//! Silent extension: random OTs for less than two bits each, from LPN.
//!
//! # Functionality
//! Any number of random 1-of-2^m OTs ([`RandomOtSender`], [`RandomOtReceiver`]) after one set-up;
//! beneath them correlations w = v + u Delta with u of m bits ([`SilentOt::correlated`]).
//!
//! Through the traits the first OTs of a width come from SoftSpoken itself, as many as the first
//! extension would consume ([`Parameters::reserve`]): a small network never pays for an extension,
//! and a large one pays at most twice for its first.
//!
//! # Roles
//! [`setup`] gives each party a [`Sender`] and a [`Receiver`], whose other ends are the peer's
//! [`Receiver`] and [`Sender`]. The sender holds Delta.
//!
//! # Protocol
//! Yang, Weng, Lan, Zhang, Wang, "Ferret", CCS 2020, with the trees of Guo et al., "Half-Tree",
//! EUROCRYPT 2023. An extension starts from correlations set aside: k LPN secrets, depth per tree,
//! masks. For each of t trees the receiver's choice bits are the path away from its noise position,
//! the sender sends level sums, and both hold a vector that differs by u Delta at that one
//! position. All trees together are the regular noise of a primal LPN instance whose 10-local code
//! ([`fusion_ring::ot::lpn`]) turns the k secrets into t 2^depth new correlations; the first of
//! them are set aside for the next extension. The first extension's come from
//! [`crate::softspoken`].
//!
//! *Choices of m > 1 bits*: u is an element sum u_j X^j of an F_2-subspace of the field of 2^128
//! elements, secrets are uniform in it, and each noise position has a uniform non-zero value
//! (Half-Tree, section 5). One output makes one 1-of-2^m OT. Correlations for the tree levels must
//! be binary: the receiver publishes the upper bits of the choices spent on them.
//!
//! *Coins*: the code's seed comes from a coin toss (commit, reply, open) at set-up, every hash of
//! it bound to the run: neither party has a say in the code, and no toss of another run or
//! direction fits.
//!
//! *Keys*: when it has the receiver's corrections and before its first tree, the sender draws and
//! sends a public seed. From it every tree has a key and an offset for its nodes, a key for its
//! last level, a key and a salt for its pads, all its own (`keys`, in the source). Pads take one
//! AES call each (`pads`, in the source, argues why that suffices).
//!
//! *Check*: coefficients for all leaves come from a hash chain over the run's name, the receiver's
//! corrections, the extension's seed and the trees' messages. The receiver claims the masked noise
//! combination; the sender proves by a hash that it holds the matching combination of its leaves,
//! then so does the receiver.
//!
//! An extension is one pass over its trees, while they are sent: each is expanded once, added up
//! for the check and encoded, and its outputs are kept in the form of the call that started the
//! extension: blocks, pads cut to size, or pads of one bit. They are provisional until the check
//! has passed; later calls take what is left. A call for another form drops what is left of
//! the extension on both ends and starts a new one, so callers should keep to one form per width.
//!
//! # Cost
//! Set-up: that of SoftSpoken with trees of depth 8, and 96 bytes. First use of a width m: m
//! [`Parameters::reserve`] rows of SoftSpoken (15 bits each). Per extension of
//! [`Parameters::outputs`], less [`Parameters::reserve`], OTs: the sender sends 16 t (depth - 1)
//! bytes for m = 1, 16 t (depth + 1) for m > 1, and 48; the receiver 48, and for m > 1 (m - 1) t
//! depth + m t bits; two round trips. In bits per OT: 1.23 at m = 1 and 2.8 at m = 2, 3, 4
//! ([`ExtensionSize::Small`]), 0.68 and 1.5 ([`ExtensionSize::Medium`]). Memory per width in use:
//! 32 bytes per LPN secret and level (5 MB with [`ExtensionSize::Small`]) and an extension's
//! outputs, 1.6 million: a sender's pads 13, 6, 13, 25 MB for m = 1, 2, 3, 4, a receiver's 8 MB;
//! pads of one bit 3.2 and 1.6 MB; blocks 25 MB on either end. It is allocated in the first
//! extension and reused.
//!
//! # Security
//! UC-secure against a malicious sender or receiver given SoftSpoken, in the ideal-cipher and
//! random-oracle model, if LPN with regular noise over the 10-local code is hard for the parameters
//! that [`Parameters`] lists, which alone can be instantiated; [`estimate`] says what the known
//! attacks cost. As in SoftSpoken 121 bits of Delta are uniform.
//! - *Malicious sender*: wrong level sums make the receiver's leaves wrong in a way that depends on
//!   its noise positions. The check passes with probability 2^-127 per hash computed (`check`, in
//!   the source) plus that of guessing those positions right: the sender learns from a passed check
//!   that its guess (a set of positions) was right, about one bit per check in expectation, and
//!   from an abort one bit in all. This is LPN with static leakage, as in Ferret; nothing else
//!   depends on the noise.
//! - *Malicious receiver*: it sends nothing before the check for m = 1. For m > 1 its corrections
//!   only change its own choices and values. A wrong noise combination makes the sender's proof a
//!   hash of an unknown multiple of Delta, and its own proof fails.
//! - *Blocks that the receiver chose*: it can make correlations equal, roots of trees among them,
//!   by grinding its SoftSpoken trees. With trees under one public offset that gave Delta away
//!   (`ground`, the attack, is a test). Every key, offset and salt that a block meets is drawn when
//!   blocks are fixed, so the inputs of each cipher are independent of its key: trees with equal
//!   roots are unrelated, and pads break the correlation in one call.
//!
//! *Many targets*: keys are public, so an attacker may try Delta by calls of the cipher. A call
//! under one tree's key says something about that tree alone. A node that the receiver lacks is
//! Delta plus something that it knows, and a tree has one such node for each of at most `depth`
//! levels: q calls find Delta with
//! probability at most q depth / 2^121, so 2^117 calls, whatever the number of trees, extensions,
//! lanes and queries. One key hashes (2^m - 1) 2^depth pads that the receiver lacks, each Delta's
//! multiple plus what it knows: 2^(121 - depth) / (2^m - 1) calls, so 2^111, 2^110, 2^109 and 2^108
//! for m = 1, 2, 3, 4 ([`ExtensionSize::Small`]; twice and four times fewer for the larger sizes),
//! and only for an attacker that knows what those pads mask. Lanes have other Deltas and other
//! keys: of all lanes of a query each call counts against one, and the figures stay. Two of T trees
//! have the same key with probability T^2 / 2^129: 2^-69 for the 2^30 trees of a batch of 2,575
//! ResNet50 samples, and then a call counts twice.
//!
//! Outputs of an unchecked extension cannot be read: the types `Provisional`, `Passed` and
//! `Released` inside see to that. After any error what the extension made is wiped and the instance
//! refuses every call. What was given out is overwritten by the next extension or wiped on drop.
//! [`SemiHonest`] instances skip the check, exist for measurement, and do not implement the traits.
//! No branch and no address of a receiver depends on a noise position (`trees`, in the source).
//!
//! [`RandomOtSender`]: crate::functionality::RandomOtSender
//! [`RandomOtReceiver`]: crate::functionality::RandomOtReceiver

mod check;
mod coin_toss;
mod end;
mod engine;
pub mod estimate;
mod forms;
#[cfg(any(test, feature = "test-utils"))]
pub mod ground;
mod instance;
mod keys;
mod pads;
mod parameters;
mod receiver;
mod security;
mod sender;
mod store;
mod trees;

use fusion_ring::channel::Channel;
use rand_core::CryptoRng;

use crate::session::Session;
use crate::{OtError, Role};
pub use instance::SilentOt;
pub use parameters::{ExtensionSize, Parameters};
pub use receiver::ReceivingEnd;
pub use security::{Malicious, Security, SemiHonest};
pub use sender::SendingEnd;

/// The end that holds Delta.
pub type Sender<S = Malicious> = SilentOt<SendingEnd, S>;

/// The end that learns the choices.
pub type Receiver<S = Malicious> = SilentOt<ReceivingEnd, S>;

/// Sets up both directions of a lane with the default [`ExtensionSize`].
///
/// # Errors
/// [`OtError`].
pub fn setup(session: &Session, role: Role, channel: &mut dyn Channel, rng: &mut impl CryptoRng) -> Result<(Sender, Receiver), OtError> {
    setup_with(ExtensionSize::default(), session, role, channel, rng)
}

/// Sets up both directions of a lane.
///
/// # Errors
/// [`OtError`].
pub fn setup_with(
    size: ExtensionSize,
    session: &Session,
    role: Role,
    channel: &mut dyn Channel,
    rng: &mut impl CryptoRng,
) -> Result<(Sender, Receiver), OtError> {
    session.both_directions(
        role,
        &mut (channel, rng),
        |direction, (channel, rng)| Sender::setup(size, direction, *channel, *rng),
        |direction, (channel, rng)| Receiver::setup(size, direction, *channel, *rng),
    )
}

#[cfg(test)]
mod tests;
