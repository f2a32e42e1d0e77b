//! The larger of two shared numbers, with or without its label: pooling and argmax are made of it.
//!
//! # Functionality
//! From additive shares modulo 2^h of a and b, |a - b| < 2^(h-1): additive shares of max(a, b)
//! modulo 2^h. With labels: also shares of the label of the larger, that of `a` where both are
//! equal.
//!
//! # Roles
//! Those of the parts.
//!
//! # Protocol
//! s = sign of a - b, then a + s * (b - a). Without labels nothing hangs on the sign of zero, so
//! that the comparison leaves a bit out (`sign`). A label goes through the same multiplexer as the
//! value, on OTs of its own.
//!
//! # Cost
//! For h = 13, one look-up more than the fewest: 50 + 28 = 78 bits and 7 OTs (5 of 1-of-8, 2 of
//! 1-of-2). `cost::maximum` has the formula.
//!
//! # Security
//! As in `compare`.

use fusion_model::program::RingBits;
use fusion_ring::bits::pack::mask32;
use fusion_ring::secret::Wiped;

use super::compare::msb;
use super::digits::Digits;
use super::error::ProtocolError;
use super::mux::mux;
use super::ot_batch::OtCount;
use super::party::{Party, Phase};
use super::shares::{AdditiveShares, AdditiveSlice};
use super::sign::{FREE, SignDigits};
use super::tile::Tile;

/// Checks the width of a maximum.
pub(super) fn check_width(ring: RingBits) -> Result<(), ProtocolError> {
    if (2..=32).contains(&ring.0) { Ok(()) } else { Err(ProtocolError::Misuse("maximum: h is in 2..=32")) }
}

/// Shares of max(a, b), element by element, from shares modulo 2^h, 2 <= h <= 32.
///
/// # Errors
/// [`ProtocolError`]; the lane is dead afterwards. Misuse if the lengths or the rings differ.
pub fn maximum(party: &mut Party<'_>, a: &AdditiveShares, b: &AdditiveShares) -> Result<AdditiveShares, ProtocolError> {
    party.layer(Phase::Pooling, |party| {
        let ring = a.ring();
        check_width(ring)?;
        if a.len() != b.len() || ring != b.ring() {
            return Err(ProtocolError::Misuse("maximum: as many a as b, in one ring"));
        }
        let sign = SignDigits::of(ring.0, FREE, party.cut().split);
        let mut out = AdditiveShares::zeros(a.len(), ring);
        for tile in Tile::all(a.len(), party.cut().tile) {
            let (a, b) = (a.tile(tile), b.tile(tile));
            let ots = OtCount::default().comparison(tile.len(), &sign.digits).muxes(tile.len(), 1).generate(party)?;
            let s = sign.compare(party, &ots, differences(a, b).all())?;
            let step = mux(party, &ots, sign.digits.first_to_know(), &s, differences(b, a).all())?;
            debug_assert!(ots.is_used_up());
            add_steps(tile.of_mut(out.words_mut()), a, step.words());
        }
        Ok(out)
    })
}

/// Values and labels side by side, as shares.
pub(super) struct Labelled {
    pub(super) values: AdditiveShares,
    pub(super) labels: AdditiveShares,
}

fusion_ring::opaque!(Labelled);

impl Labelled {
    /// Room for `n` more of the kind of `self`, zero.
    pub(super) fn like(&self, n: usize) -> Self {
        Self { values: AdditiveShares::zeros(n, self.values.ring()), labels: AdditiveShares::zeros(n, self.labels.ring()) }
    }

    /// Overwrites number `to` with number `from` of another vector.
    pub(super) fn put(&mut self, to: usize, other: &Self, from: usize) {
        self.values.words_mut()[to] = other.values.words()[from];
        self.labels.words_mut()[to] = other.labels.words()[from];
    }
}

/// Shares of the larger of a and b and of its label; of `a` where they are equal.
pub(super) fn maximum_labelled(party: &mut Party<'_>, a: &Labelled, b: &Labelled) -> Result<Labelled, ProtocolError> {
    let ring = a.values.ring();
    let digits = Digits::of(ring.0 - 1, party.cut().split);
    // One multiplexer for values and labels, in the wider of their rings.
    let width = ring.max(a.labels.ring());
    let mut out = a.like(a.values.len());
    for tile in Tile::all(a.values.len(), party.cut().tile) {
        let n = tile.len();
        let (av, bv, al, bl) = (a.values.tile(tile), b.values.tile(tile), a.labels.tile(tile), b.labels.tile(tile));
        let ots = OtCount::default().comparison(n, &digits).muxes(n, 2).generate(party)?;
        let s = msb(party, &ots, differences(av, bv).all(), &digits)?;
        let mut steps = Wiped::new(2 * n);
        differences_to(&mut steps[..n], bv, av, width);
        differences_to(&mut steps[n..], bl, al, width);
        let steps = mux(party, &ots, digits.first_to_know(), &s.twice(), AdditiveShares::from_reduced(steps, width).all())?;
        debug_assert!(ots.is_used_up());
        let (values, labels) = steps.words().split_at(n);
        add_steps(tile.of_mut(out.values.words_mut()), av, values);
        add_steps(tile.of_mut(out.labels.words_mut()), al, labels);
    }
    Ok(out)
}

fn differences(a: AdditiveSlice<'_>, b: AdditiveSlice<'_>) -> AdditiveShares {
    let mut out = Wiped::new(a.len());
    differences_to(&mut out, a, b, a.ring);
    AdditiveShares::from_reduced(out, a.ring)
}

fn differences_to(out: &mut [u32], a: AdditiveSlice<'_>, b: AdditiveSlice<'_>, ring: RingBits) {
    out.iter_mut().zip(a.words).zip(b.words).for_each(|((out, a), b)| *out = a.wrapping_sub(*b) & mask32(ring.0));
}

/// Writes a + steps in the ring of `a`.
fn add_steps(out: &mut [u32], a: AdditiveSlice<'_>, steps: &[u32]) {
    let mask = mask32(a.ring.0);
    out.iter_mut().zip(a.words).zip(steps).for_each(|((out, a), step)| *out = a.wrapping_add(*step) & mask);
}
