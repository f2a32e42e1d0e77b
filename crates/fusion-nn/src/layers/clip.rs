//! Clipping: min(max(x, 0), c) from a narrow window into the ring of the next layer.
//!
//! # Functionality
//! From additive shares modulo 2^h of x, |x| < 2^(h-1), and a public 0 < c < 2^(h-1): additive
//! shares of min(max(x, 0), c) modulo 2^l. Exact.
//!
//! # Roles
//! Those of the parts; the server alone subtracts c.
//!
//! # Protocol
//! Two signs, of x and of x - c, by one comparison of twice as many elements (`sign`): p = 1{x >=
//! 0} and 1{x - c >= 0 modulo 2^h}. The second is wrong where x < c - 2^(h-1), since x - c wraps
//! there; all such x are negative, so that q = p AND (second bit) is 1{x >= c}. That AND (`mux`
//! modulo 2) saves the bit of headroom that the difference would need. Then inside = p XOR q, a
//! local step, and y = inside * x + q * c (`sum`). Nothing hangs on the signs that a comparison
//! with one bit left out leaves to chance: at x = 0 the result is 0 * p, at x = c it is c whether
//! x counts as inside or not.
//! From 0 <= y <= c it follows that all but the comparison works modulo 2^k, k = 1 + bits of c, or
//! modulo 2^l if that is less. The top bit of y modulo 2^k is zero, so the widening needs no
//! comparison (`widen`).
//!
//! # Cost
//! For h = 12, c = 2^9 and l = 26, one look-up more than the fewest: 98 + 4 + 24 + 3 + 16 = 145
//! bits and 14 OTs (2 of 1-of-16, 6 of 1-of-8, 6 of 1-of-2). A flight more than a ReLU, for the
//! AND. `cost::clip` has the formula.
//!
//! # Security
//! As in `compare`.

use fusion_model::program::RingBits;
use fusion_ring::bits::bitslice::bitslice_of_words;
use fusion_ring::bits::pack::mask32;
use fusion_ring::secret::Wiped;

use super::error::ProtocolError;
use super::mux::mux;
use super::ot_batch::OtCount;
use super::party::{Party, Phase};
use super::role::Role;
use super::shares::{AdditiveShares, AdditiveSlice, XorShares};
use super::sign::{FREE, SignDigits};
use super::sum::{Sum, constant_shift};
use super::tile::Tile;
use super::widen::widen;

/// Shares modulo 2^`out` of min(max(x, 0), ceiling), from shares `x` modulo 2^h, 2 <= h <= 32,
/// 1 <= out <= 32, 0 < ceiling < 2^(h-1).
///
/// # Errors
/// [`ProtocolError`]; the lane is dead afterwards.
pub fn clip(party: &mut Party<'_>, x: &AdditiveShares, ceiling: u32, out: RingBits) -> Result<AdditiveShares, ProtocolError> {
    party.layer(Phase::Activation, |party| {
        let h = x.ring().0;
        if !(2..=32).contains(&h) || !(1..=32).contains(&out.0) {
            return Err(ProtocolError::Misuse("clip: widths are h in 2..=32 and out in 1..=32"));
        }
        if !(1..1 << (h - 1)).contains(&ceiling) {
            return Err(ProtocolError::Misuse("clip: the ceiling is above zero and below 2^(h - 1)"));
        }
        let sign = SignDigits::of(h, FREE, party.cut().split);
        let mut y = AdditiveShares::zeros(x.len(), out);
        for tile in Tile::all(x.len(), party.cut().tile) {
            y.set_tile(tile, &clip_tile(party, x.tile(tile), &sign, ceiling, out)?);
        }
        Ok(y)
    })
}

/// The ring of clipped numbers before they are widened: their top bit there is zero, or it is that
/// of the output.
pub(super) fn clipped_ring(ceiling: u32, out: RingBits) -> RingBits {
    RingBits((u32::BITS - ceiling.leading_zeros() + 1).min(out.0))
}

fn clip_tile(
    party: &mut Party<'_>,
    x: AdditiveSlice<'_>,
    sign: &SignDigits,
    ceiling: u32,
    out: RingBits,
) -> Result<AdditiveShares, ProtocolError> {
    let n = x.len();
    let ring = clipped_ring(ceiling, out);
    // The AND, and the multiplexer.
    let count = OtCount::default().comparison(2 * n, &sign.digits).muxes(n, 2);
    let count = if constant_shift(ceiling, ring).is_some() { count.widening(n) } else { count };
    let count = if out > ring { count.widening(n) } else { count };
    let ots = count.generate(party)?;
    let first = sign.digits.first_to_know();

    let own = if party.role() == Role::Server { ceiling } else { 0 };
    let less = x.words.iter().map(|word| word.wrapping_sub(own) & mask32(x.ring.0));
    let both = AdditiveShares::from_reduced(Wiped::filled(2 * n, x.words.iter().copied().chain(less)), x.ring);
    let mut signs = sign.compare(party, &ots, both.all())?;
    if party.role() == Role::Client {
        signs.invert();
    }
    let p = signs.part(0, n);
    let q = mux(party, &ots, first, &p, signs.part(n, n).to_words().all())?;
    let q = XorShares::from_bitslice(bitslice_of_words(q.words(), 0), n);
    let mut sum = Sum::new(&ots, n, ring);
    sum.add_multiple(party, &q, ceiling);
    sum.add_mux(&p.xor(&q), x.words, 0);
    let mut y = sum.open(party, first.peer())?;
    if out > ring {
        y = widen(party, &ots, first, y.all(), out)?;
    }
    debug_assert!(ots.is_used_up());
    Ok(y)
}
