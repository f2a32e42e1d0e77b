//! Multiplexer: a shared bit times a shared ring element.
//!
//! # Functionality
//! From XOR shares of a bit s and additive shares of x modulo 2^k: additive shares of s * x modulo
//! 2^k.
//!
//! # Roles
//! Symmetric, but for the order: neither opening depends on the other, so the party that has its
//! share of s first sends its own without a wait, and the peer answers.
//!
//! # Protocol
//! A sum with one term (`sum`).
//!
//! # Cost
//! Two flights, two 1-of-2 OTs, 2 (k + 1) bits.
//!
//! # Security
//! As in `compare`: private against a malicious peer, not protected against wrong bytes.

use super::error::ProtocolError;
use super::ot_batch::OtBatch;
use super::party::Party;
use super::role::Role;
use super::shares::{AdditiveShares, AdditiveSlice, XorShares};
use super::sum::Sum;

/// Shares of s * x, in the ring of `x`. The party `first` opens first.
pub(super) fn mux(
    party: &mut Party<'_>,
    ots: &OtBatch,
    first: Role,
    s: &XorShares,
    x: AdditiveSlice<'_>,
) -> Result<AdditiveShares, ProtocolError> {
    let mut sum = Sum::new(ots, x.len(), x.ring);
    sum.add_mux(s, x.words, 0);
    sum.open(party, first)
}
