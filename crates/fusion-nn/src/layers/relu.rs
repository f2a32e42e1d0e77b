//! ReLU and requantisation: max(x, 0) from a narrow window into the ring of the next layer.
//!
//! # Functionality
//! From additive shares modulo 2^h of x, |x| < 2^(h-1): additive shares of max(x, 0) modulo 2^l.
//! Exact where the comparison leaves out one bit of x; with t bits, numbers below 2^(t-1) in
//! magnitude are kept or dropped at random (`sign`), and |x| < 2^(h-1) - 2^(t-1) + 1.
//!
//! # Roles
//! Those of the parts.
//!
//! # Protocol
//! The sign bit by comparison (`sign`), the product of its negation with x modulo 2^min(h, l)
//! (`mux`), then widening with known sign to 2^l (`widen`) when l > h. For the widening the server
//! moves numbers up by the most that a number below zero is kept at, and down afterwards.
//!
//! # Cost
//! For h = 11 and l = 26, exact, one look-up more than the fewest: 44 + 24 + 16 = 84 bits and 7
//! OTs (1 of 1-of-16, 2 of 1-of-8, 1 of 1-of-4, 3 of 1-of-2). Six flights between one linear
//! layer's ciphertexts and the next's, with which the first corrections travel and, after four
//! digits, the last opening: the parties take turns, an opening of the multiplexer travels with
//! the last table, and the peer's with its opening of the widening. `cost::coarse_relu` has the
//! formula.
//!
//! # Security
//! As in `compare`.

use fusion_model::program::{RingBits, uncertain};

use super::error::ProtocolError;
use super::mux::mux;
use super::ot_batch::OtCount;
use super::party::{Party, Phase};
use super::role::Role;
use super::shares::{AdditiveShares, AdditiveSlice};
use super::sign::{FREE, SignDigits};
use super::tile::Tile;
use super::widen::widen;

/// Shares modulo 2^`out` of max(x, 0), from shares `x` modulo 2^h, 2 <= h <= 32, 1 <= out <= 32.
///
/// # Errors
/// [`ProtocolError`]; the lane is dead afterwards.
pub fn relu(party: &mut Party<'_>, x: &AdditiveShares, out: RingBits) -> Result<AdditiveShares, ProtocolError> {
    coarse_relu(party, x, FREE, out)
}

/// As [`relu`], but for numbers near zero: the comparison leaves out the lowest `left_out` bits, at
/// least one and at most h - 2.
///
/// # Errors
/// [`ProtocolError`]; the lane is dead afterwards.
pub fn coarse_relu(party: &mut Party<'_>, x: &AdditiveShares, left_out: u32, out: RingBits) -> Result<AdditiveShares, ProtocolError> {
    party.layer(Phase::Activation, |party| {
        let h = x.ring().0;
        if !(2..=32).contains(&h) || !(1..=32).contains(&out.0) {
            return Err(ProtocolError::Misuse("relu: widths are h in 2..=32 and out in 1..=32"));
        }
        if !(1..=(h - 2).max(1)).contains(&left_out) {
            return Err(ProtocolError::Misuse("relu: a comparison leaves out 1..=h - 2 bits"));
        }
        let sign = SignDigits::of(h, left_out, party.cut().split);
        let moved = if party.role() == Role::Server && out.0 > h { uncertain(left_out) } else { 0 };
        let mut y = AdditiveShares::zeros(x.len(), out);
        for tile in Tile::all(x.len(), party.cut().tile) {
            y.set_tile(tile, &relu_tile(party, x.tile(tile), &sign, moved, out)?);
        }
        Ok(y)
    })
}

/// `moved` is what this party adds to its shares for the widening.
fn relu_tile(
    party: &mut Party<'_>,
    x: AdditiveSlice<'_>,
    sign: &SignDigits,
    moved: u32,
    out: RingBits,
) -> Result<AdditiveShares, ProtocolError> {
    let count = OtCount::default().comparison(x.len(), &sign.digits).muxes(x.len(), 1);
    let count = if out > x.ring { count.widening(x.len()) } else { count };
    let ots = count.generate(party)?;
    let mut keep = sign.compare(party, &ots, x)?;
    let first = sign.digits.first_to_know();
    if party.role() == Role::Client {
        keep.invert();
    }
    let mut y = if out < x.ring { mux(party, &ots, first, &keep, x.reduced_to(out).all())? } else { mux(party, &ots, first, &keep, x)? };
    if out > x.ring {
        y.add(moved);
        y = widen(party, &ots, first.peer(), y.all(), out)?;
        y.add(moved.wrapping_neg());
    }
    debug_assert!(ots.is_used_up());
    Ok(y)
}
