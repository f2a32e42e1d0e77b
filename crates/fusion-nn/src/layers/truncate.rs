//! Signed widening: the second half of a truncation that keeps the sign (the first half,
//! [`to_window`](super::window::to_window), is local).
//!
//! # Functionality
//! From additive shares modulo 2^h of x, |x| < 2^(h-1) (|x| < 2^(h-2) with [`Headroom::OneBit`]):
//! additive shares of x modulo 2^l. Exact.
//!
//! # Roles
//! Those of the parts.
//!
//! # Protocol
//! The server adds an offset that makes the number non-negative, the number is widened, the offset
//! is taken away. With a bit of headroom the top bit of the sum is known to be zero, so that no
//! comparison is needed (`widen`); without, the wrap bit is the carry of all h bits (`compare`).
//!
//! # Cost
//! With headroom two flights, one 1-of-2 OT and 1 + l - h bits. Without, a comparison of h bits
//! more. Nothing when l <= h.
//!
//! # Security
//! As in `compare`.

use fusion_model::program::RingBits;
use fusion_ring::bits::pack::mask32;
use fusion_ring::secret::Wiped;

use super::compare::carry;
use super::digits::{Digits, MAX_COMPARED_BITS};
use super::error::ProtocolError;
use super::ot_batch::OtCount;
use super::party::{Party, Phase};
use super::role::Role;
use super::shares::{AdditiveShares, AdditiveSlice};
use super::tile::Tile;
use super::widen::{widen, widen_full};

/// Whether the window has a bit more than the numbers need.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Headroom {
    /// |x| < 2^(h-2).
    OneBit,
    /// |x| < 2^(h-1).
    None,
}

/// Shares modulo 2^`out` of the signed x, from shares modulo 2^h, 2 <= h <= 32 (31 without
/// headroom), out <= 32.
///
/// # Errors
/// [`ProtocolError`]; the lane is dead afterwards.
pub fn widen_signed(party: &mut Party<'_>, x: &AdditiveShares, headroom: Headroom, out: RingBits) -> Result<AdditiveShares, ProtocolError> {
    party.layer(Phase::Activation, |party| {
        let ring = x.ring();
        if !(2..=32).contains(&ring.0) || !(1..=32).contains(&out.0) {
            return Err(ProtocolError::Misuse("widen_signed: widths are h in 2..=32 and out in 1..=32"));
        }
        if out <= ring {
            return Ok(x.all().reduced_to(out));
        }
        if headroom == Headroom::None && ring.0 > MAX_COMPARED_BITS {
            return Err(ProtocolError::Misuse("widen_signed: h is at most 31 without headroom"));
        }
        let offset = match (party.role(), headroom) {
            (Role::Client, _) => 0,
            (Role::Server, Headroom::OneBit) => 1 << (ring.0 - 2),
            (Role::Server, Headroom::None) => 1 << (ring.0 - 1),
        };
        let moved = x.words().iter().map(|x| x.wrapping_add(offset) & mask32(ring.0));
        let moved = AdditiveShares::from_reduced(Wiped::filled(x.len(), moved), ring);
        let digits = (headroom == Headroom::None).then(|| Digits::of(ring.0, party.cut().split));
        let mut y = AdditiveShares::zeros(x.len(), out);
        for tile in Tile::all(x.len(), party.cut().tile) {
            y.set_tile(tile, &widen_tile(party, moved.tile(tile), digits.as_ref(), out)?);
        }
        y.words_mut().iter_mut().for_each(|y| *y = y.wrapping_sub(offset) & mask32(out.0));
        Ok(y)
    })
}

fn widen_tile(
    party: &mut Party<'_>,
    x: AdditiveSlice<'_>,
    digits: Option<&Digits>,
    out: RingBits,
) -> Result<AdditiveShares, ProtocolError> {
    let count = OtCount::default().widening(x.len());
    let (ots, y);
    if let Some(digits) = digits {
        ots = count.comparison(x.len(), digits).generate(party)?;
        let wrap = carry(party, &ots, x, digits)?;
        y = widen_full(party, &ots, digits.first_to_know(), x, &wrap, out)?;
    } else {
        ots = count.generate(party)?;
        // The client's opening follows its ciphertexts.
        y = widen(party, &ots, Role::Client, x, out)?;
    }
    debug_assert!(ots.is_used_up());
    Ok(y)
}
