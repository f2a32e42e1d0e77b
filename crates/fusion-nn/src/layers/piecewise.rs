//! Continuous piecewise linear functions.
//!
//! # Functionality
//! From additive shares modulo 2^h of x, |x| < 2^(h-2): additive shares modulo 2^l of
//! slope * x + offset + sum over the knots of change * max(x - knot, 0), all coefficients being
//! public integers. Exact where the comparison leaves out one bit. With t bits, numbers nearer to a
//! knot than 2^(t-1) may be taken for ones on its other side, at random: the result is then wrong
//! by |change| * |x - knot| for that knot.
//!
//! # Roles
//! Those of the parts; the server alone subtracts knots and adds the offset.
//!
//! # Protocol
//! The signs of x - knot for all knots by one comparison (`sign`); the bit of headroom is for these
//! differences. With it x is widened to 2^l without a comparison (`widen`). Then a multiplexer of
//! change * (x - knot) per knot, all opened together (`sum`), the factor 2^z in a change taken out:
//! l - z bits are left of it. Knots without effect modulo 2^l are left out. The opening of the
//! widening travels with the last table of the comparison, those of the multiplexers follow it.
//!
//! # Cost
//! Per knot a comparison and a multiplexer, and a widening once. For h = 12, eight knots with odd
//! changes and l = 20, one look-up more than the fewest: 8 * (49 + 42) + 9 = 737 bits and 49 OTs (8
//! of 1-of-16, 24 of 1-of-8, 17 of 1-of-2). As many flights as a ReLU. `cost::piecewise` has the
//! formula. A tile takes as much memory as one of a ReLU with as many elements for each knot.
//!
//! # Security
//! As in `compare`.

use fusion_model::program::{Knot, Piecewise, RingBits, uncertain};
use fusion_ring::secret::Wiped;

use super::error::ProtocolError;
use super::ot_batch::{OtBatch, OtCount};
use super::party::{Party, Phase};
use super::role::Role;
use super::shares::{AdditiveShares, AdditiveSlice, XorShares};
use super::sign::SignDigits;
use super::sum::{Sum, constant_shift};
use super::tile::Tile;
use super::widen::widen;

/// The knots that matter modulo 2^`out`, with the z of the factors 2^z in their changes.
pub(super) fn knots_modulo(function: &Piecewise, out: RingBits) -> impl Iterator<Item = (Knot, u32)> {
    function.knots.iter().filter_map(move |&knot| Some((knot, constant_shift(knot.change.cast_unsigned(), out)?)))
}

/// Shares modulo 2^`out` of `function` of x, from shares `x` modulo 2^h with a bit of headroom,
/// |x| < 2^(h-2), 3 <= h <= 32, 1 <= out <= 32. Comparisons leave out at least one and at most
/// h - 2 bits; with u = 2^(left_out - 1) - 1, knots are below 2^(h-2) - u in magnitude.
///
/// # Errors
/// [`ProtocolError`]; the lane is dead afterwards.
pub fn piecewise(party: &mut Party<'_>, x: &AdditiveShares, function: &Piecewise, out: RingBits) -> Result<AdditiveShares, ProtocolError> {
    party.layer(Phase::Activation, |party| {
        let (h, left_out) = (x.ring().0, function.left_out);
        if !(3..=32).contains(&h) || !(1..=32).contains(&out.0) {
            return Err(ProtocolError::Misuse("piecewise: widths are h in 3..=32 and out in 1..=32"));
        }
        if !(1..=h - 2).contains(&left_out) {
            return Err(ProtocolError::Misuse("piecewise: a comparison leaves out 1..=h - 2 bits"));
        }
        let inside = |knot: &Knot| knot.at.unsigned_abs().saturating_add(uncertain(left_out)) < 1 << (h - 2);
        if !function.knots.iter().all(inside) {
            return Err(ProtocolError::Misuse("piecewise: knots lie in the window"));
        }
        let sign = SignDigits::of(h, left_out, party.cut().split);
        let mut y = AdditiveShares::zeros(x.len(), out);
        for tile in Tile::all(x.len(), party.cut().tile) {
            y.set_tile(tile, &piecewise_tile(party, x.tile(tile), function, &sign, out)?);
        }
        Ok(y)
    })
}

fn piecewise_tile(
    party: &mut Party<'_>,
    x: AdditiveSlice<'_>,
    function: &Piecewise,
    sign: &SignDigits,
    out: RingBits,
) -> Result<AdditiveShares, ProtocolError> {
    let n = x.len();
    let knots: Vec<(Knot, u32)> = knots_modulo(function, out).collect();
    let count = OtCount::default().comparison(knots.len() * n, &sign.digits).muxes(n, knots.len());
    let count = if out > x.ring { count.widening(n) } else { count };
    let ots = count.generate(party)?;

    let mut above = XorShares::from_bitslice(Wiped::default(), 0);
    // Without a knot there is a widening only, and the client's opening follows its ciphertexts.
    let mut first = Role::Client;
    if !knots.is_empty() {
        above = sides(party, &ots, x, &knots, sign)?;
        first = sign.digits.first_to_know();
    }
    let wide = widened(party, &ots, first, x, out)?;
    if out > x.ring {
        first = first.peer();
    }

    let line = |x: &u32| x.wrapping_mul(function.slope.cast_unsigned());
    let (own_offset, role) = (own(party.role(), function.offset), party.role());
    let mut sum = Sum::new(&ots, n, out);
    sum.add_own(wide.words().iter().map(|x| line(x).wrapping_add(own_offset)));
    for (j, &(knot, shift)) in knots.iter().enumerate() {
        // The change without its power of two, which the sum puts back.
        let change = (knot.change >> shift).cast_unsigned();
        let terms = wide.words().iter().map(|x| x.wrapping_sub(own(role, knot.at)).wrapping_mul(change));
        sum.add_mux(&above.part(j * n, n), &Wiped::filled(n, terms), shift);
    }
    let y = sum.open(party, first)?;
    debug_assert!(ots.is_used_up());
    Ok(y)
}

/// This party's share of a public number.
fn own(role: Role, number: i32) -> u32 {
    if role == Role::Server { number.cast_unsigned() } else { 0 }
}

/// Shares of 1{x >= knot}, all elements for one knot after the other.
fn sides(
    party: &mut Party<'_>,
    ots: &OtBatch,
    x: AdditiveSlice<'_>,
    knots: &[(Knot, u32)],
    sign: &SignDigits,
) -> Result<XorShares, ProtocolError> {
    let role = party.role();
    let differences = knots.iter().flat_map(|(knot, _)| x.words.iter().map(|x| x.wrapping_sub(own(role, knot.at))));
    let differences = AdditiveShares::from_words(Wiped::filled(knots.len() * x.len(), differences), x.ring);
    let mut sides = sign.compare(party, ots, differences.all())?;
    if role == Role::Client {
        sides.invert();
    }
    Ok(sides)
}

/// Shares of x in the ring `out`. The party `first` opens first, if `out` is wider.
fn widened(
    party: &mut Party<'_>,
    ots: &OtBatch,
    first: Role,
    x: AdditiveSlice<'_>,
    out: RingBits,
) -> Result<AdditiveShares, ProtocolError> {
    if out <= x.ring {
        return Ok(x.reduced_to(out));
    }
    // The bit of headroom: the sum has its top bit zero.
    let offset = own(party.role(), 1 << (x.ring.0 - 2));
    let mut moved = x.reduced_to(x.ring);
    moved.add(offset);
    let mut wide = widen(party, ots, first, moved.all(), out)?;
    wide.add(offset.wrapping_neg());
    Ok(wide)
}
