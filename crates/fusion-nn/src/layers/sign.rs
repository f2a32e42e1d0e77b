//! Signs of additively shared numbers, where they choose between a number and zero.
//!
//! # Functionality
//! From additive shares modulo 2^h of v: XOR shares of a bit that tells v < 0, where it matters.
//! With `left_out` = t bits and u = 2^(t-1) - 1 the bit is 1{v + u < r}, r being the lowest t bits
//! of the client's share: right for u < |v| < 2^(h-1) - u, a matter of chance nearer to zero. With
//! t = 1 only the sign of zero is left to chance, so that the product of the bit, or of its
//! negation, with v is exact.
//!
//! # Roles
//! Those of `compare`; the server adds u.
//!
//! # Protocol
//! Both parties drop the lowest t bits of their shares. The sum of what is left is
//! floor((v + u - r) / 2^t), which is negative exactly if v + u < r. Its sign is a comparison of
//! h - 1 - t bits instead of h - 1 (`compare`).
//!
//! # Cost
//! A comparison of h - 1 - t bits.
//!
//! # Security
//! As in `compare`.

use fusion_model::program::{RingBits, uncertain};
use fusion_ring::bits::pack::mask32;
use fusion_ring::secret::Wiped;

use super::compare::msb;
use super::digits::{Digits, Split};
use super::error::ProtocolError;
use super::ot_batch::OtBatch;
use super::party::Party;
use super::role::Role;
use super::shares::{AdditiveShares, AdditiveSlice, XorShares};

/// Bits that are left out without an error where nothing hangs on the sign of zero.
pub(super) const FREE: u32 = 1;

/// How a sign is compared: how many bits are left out, and the digits of the others.
pub(super) struct SignDigits {
    left_out: u32,
    pub(super) digits: Digits,
}

impl SignDigits {
    /// For numbers of `h` bits, 2..=32, without their lowest `left_out`; at least two are kept.
    pub(super) fn of(h: u32, left_out: u32, split: Split) -> Self {
        let left_out = left_out.min(h - 2);
        Self { left_out, digits: Digits::of(h - 1 - left_out, split) }
    }

    /// Shares of 1{v + u < r} of the numbers `x`.
    pub(super) fn compare(&self, party: &mut Party<'_>, ots: &OtBatch, x: AdditiveSlice<'_>) -> Result<XorShares, ProtocolError> {
        let own = if party.role() == Role::Server { uncertain(self.left_out) } else { 0 };
        let words = x.words.iter().map(|word| (word.wrapping_add(own) & mask32(x.ring.0)) >> self.left_out);
        let kept = AdditiveShares::from_reduced(Wiped::filled(x.len(), words), RingBits(x.ring.0 - self.left_out));
        msb(party, ots, kept.all(), &self.digits)
    }
}
