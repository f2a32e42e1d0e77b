//! The larger of two shared numbers, with or without a label carried along: what pooling and argmax are made of.
//!
//! # Functionality
//! From additive shares modulo 2^h of a and b, |a - b| < 2^(h-1): additive shares of max(a, b) modulo 2^h. With labels: also shares of the label of the larger, that
//! of `a` where both are equal.
//!
//! # Roles
//! Symmetric over a whole tile (see `tile`).
//!
//! # Protocol
//! s = sign of a - b, then a + s * (b - a). A label goes through the same
//! multiplexer round as the value, on OTs of its own.
//!
//! # Cost
//! For h = 13: 67 + 28 = 95 bits and 6 OTs (3 of 1-of-16, 1 of 1-of-8, 2 of 1-of-2), 6 rounds. [`cost::maximum`](super::cost::maximum) has the formula.
//!
//! # Security
//! As in `compare`.

use fusion_ring::bits::bitslice::join_bitslices;
use fusion_ring::bits::pack::mask32;
use fusion_ring::secret::Wiped;

use super::ProtocolError;
use super::compare::msb;
use super::digits::Digits;
use super::mux::mux;
use super::ot_batch::OtCount;
use super::party::Party;
use super::tile::Tile;

/// Checks the width of a maximum.
pub(super) fn check_width(h: u32) -> Result<(), ProtocolError> {
    if (2..=32).contains(&h) { Ok(()) } else { Err(ProtocolError::Misuse("maximum: h is in 2..=32")) }
}

/// Shares modulo 2^h of max(a, b), element by element, from shares modulo 2^h (reduced), 2 <= h <= 32.
///
/// # Errors
/// [`ProtocolError`]; the lane is dead afterwards. Misuse if the lengths differ.
pub fn maximum(party: &mut Party<'_>, a: &[u32], b: &[u32], h: u32) -> Result<Wiped<u32>, ProtocolError> {
    check_width(h)?;
    if a.len() != b.len() {
        return Err(ProtocolError::Misuse("maximum: as many a as b"));
    }
    let digits = Digits::of(h - 1);
    let mut out = Wiped::new(a.len());
    for tile in Tile::all(a.len(), party.half_tile()) {
        let (a, b) = (tile.of(a), tile.of(b));
        let ots = OtCount::default().comparison(tile, &digits).both_ways(tile, 1).generate(party)?;
        let s = msb(party, &ots, tile, &differences(a, b, h), &digits, h)?;
        let step = mux(party, &ots, &s, &differences(b, a, h), h)?;
        debug_assert!(ots.is_used_up());
        add_steps(tile.of_mut(&mut out), a, &step, h);
    }
    Ok(out)
}

/// Values and labels side by side, as shares.
pub(super) struct Labelled {
    pub(super) values: Wiped<u32>,
    pub(super) labels: Wiped<u32>,
}

fusion_ring::opaque!(Labelled);

impl Labelled {
    /// Room for `n` of them, zero.
    pub(super) fn new(n: usize) -> Self {
        Self { values: Wiped::new(n), labels: Wiped::new(n) }
    }

    /// Puts number `from` of another vector at place `to`.
    pub(super) fn put(&mut self, to: usize, other: &Self, from: usize) {
        self.values[to] = other.values[from];
        self.labels[to] = other.labels[from];
    }
}

/// Shares of the larger of a and b modulo 2^h and of its label modulo 2^label_bits; of `a` where they are equal.
pub(super) fn maximum_labelled(
    party: &mut Party<'_>,
    a: &Labelled,
    b: &Labelled,
    h: u32,
    label_bits: u32,
) -> Result<Labelled, ProtocolError> {
    let digits = Digits::of(h - 1);
    let width = h.max(label_bits);
    let mut out = Labelled::new(a.values.len());
    for tile in Tile::all(a.values.len(), party.half_tile()) {
        let n = tile.len();
        let (av, bv, al, bl) = (tile.of(&a.values), tile.of(&b.values), tile.of(&a.labels), tile.of(&b.labels));
        let ots = OtCount::default().comparison(tile, &digits).both_ways(tile, 2).generate(party)?;
        let s = msb(party, &ots, tile, &differences(av, bv, h), &digits, h)?;
        let mut steps = Wiped::new(2 * n);
        differences_to(&mut steps[..n], bv, av, width);
        differences_to(&mut steps[n..], bl, al, width);
        let steps = mux(party, &ots, &join_bitslices(&s, n, &s), &steps, width)?;
        debug_assert!(ots.is_used_up());
        let (values, labels) = steps.split_at(n);
        add_steps(tile.of_mut(&mut out.values), av, values, h);
        add_steps(tile.of_mut(&mut out.labels), al, labels, label_bits);
    }
    Ok(out)
}

fn differences(a: &[u32], b: &[u32], bits: u32) -> Wiped<u32> {
    let mut out = Wiped::new(a.len());
    differences_to(&mut out, a, b, bits);
    out
}

fn differences_to(out: &mut [u32], a: &[u32], b: &[u32], bits: u32) {
    out.iter_mut().zip(a).zip(b).for_each(|((out, a), b)| *out = a.wrapping_sub(*b) & mask32(bits));
}

fn add_steps(out: &mut [u32], a: &[u32], steps: &[u32], bits: u32) {
    out.iter_mut().zip(a).zip(steps).for_each(|((out, a), step)| *out = a.wrapping_add(*step) & mask32(bits));
}
