//! ReLU and requantisation: max(x, 0) from a narrow window into the ring of the next layer.
//!
//! # Functionality
//! From additive shares modulo 2^h of x, |x| < 2^(h-1): additive shares of max(x, 0) modulo 2^l.
//! Exact.
//!
//! # Roles
//! Those of the parts.
//!
//! # Protocol
//! The sign bit by comparison (`compare`), the product of its negation with x modulo 2^min(h, l)
//! (`mux`), then widening with known sign to 2^l (`widen`) when l > h.
//!
//! # Cost
//! For h = 11 and l = 26, one look-up more than the fewest: 49 + 24 + 16 = 89 bits and 7 OTs (1 of
//! 1-of-16, 3 of 1-of-8, 3 of 1-of-2). Six flights between one linear layer's ciphertexts and the
//! next's, with which the first corrections travel and, after four digits, the last opening: the
//! parties take turns, an opening of the multiplexer travels with the last table, and the peer's
//! with its opening of the widening. `cost::relu` has the formula.
//!
//! # Security
//! As in `compare`.

use fusion_model::program::RingBits;

use super::compare::msb;
use super::digits::Digits;
use super::error::ProtocolError;
use super::mux::mux;
use super::ot_batch::OtCount;
use super::party::{Party, Phase};
use super::role::Role;
use super::shares::{AdditiveShares, AdditiveSlice};
use super::tile::Tile;
use super::widen::widen;

/// Shares modulo 2^`out` of max(x, 0), from shares `x` modulo 2^h, 2 <= h <= 32, 1 <= out <= 32.
///
/// # Errors
/// [`ProtocolError`]; the lane is dead afterwards.
pub fn relu(party: &mut Party<'_>, x: &AdditiveShares, out: RingBits) -> Result<AdditiveShares, ProtocolError> {
    party.layer(Phase::Activation, |party| {
        let h = x.ring().0;
        if !(2..=32).contains(&h) || !(1..=32).contains(&out.0) {
            return Err(ProtocolError::Misuse("relu: widths are h in 2..=32 and out in 1..=32"));
        }
        let digits = Digits::of(h - 1, party.cut().split);
        let mut y = AdditiveShares::zeros(x.len(), out);
        for tile in Tile::all(x.len(), party.cut().tile) {
            y.set_tile(tile, &relu_tile(party, x.tile(tile), &digits, out)?);
        }
        Ok(y)
    })
}

fn relu_tile(party: &mut Party<'_>, x: AdditiveSlice<'_>, digits: &Digits, out: RingBits) -> Result<AdditiveShares, ProtocolError> {
    let count = OtCount::default().comparison(x.len(), digits).muxes(x.len(), 1);
    let count = if out > x.ring { count.widening(x.len()) } else { count };
    let ots = count.generate(party)?;
    let mut keep = msb(party, &ots, x, digits)?;
    let first = digits.first_to_know();
    if party.role() == Role::Client {
        keep.invert();
    }
    let y = if out < x.ring { mux(party, &ots, first, &keep, x.reduced_to(out).all())? } else { mux(party, &ots, first, &keep, x)? };
    let y = if out > x.ring { widen(party, &ots, first.peer(), y.all(), out)? } else { y };
    debug_assert!(ots.is_used_up());
    Ok(y)
}
