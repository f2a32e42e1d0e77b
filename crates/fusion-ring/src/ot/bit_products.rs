//! Products of shared bits with ring elements, from random OTs. No branch and no address depends on
//! data.
//!
//! Ring elements are the low bits of words, those that are set in `keep`. Bits come as bitslices
//! ([`crate::bits::bitslice`]). Kernels are plain Rust, compiled once per instruction tier so that
//! the compiler vectorises them.

use crate::bits::bitslice::{BLOCK, bitslice_words, masks};
use crate::secret::Wiped;
use crate::simd::{self, per_tier};

/// `-v` where the mask is all ones, `v` where it is zero.
#[inline(always)]
fn negate(mask: u32, v: u32) -> u32 {
    (v ^ mask).wrapping_sub(mask)
}

fn masks_body(bitslice: &[u64], out: &mut [u32]) {
    for (&word, out) in bitslice.iter().zip(out.chunks_mut(BLOCK)) {
        let masks = masks(word);
        out.copy_from_slice(&masks[..out.len()]);
    }
}

per_tier! {
    masks_with = masks_body(bitslice: &[u64], out: &mut [u32])
}

fn negated_body(bitslice: &[u64], values: &[u32], out: &mut [u32]) {
    for ((&word, values), out) in bitslice.iter().zip(values.chunks(BLOCK)).zip(out.chunks_mut(BLOCK)) {
        for ((out, &v), m) in out.iter_mut().zip(values).zip(masks(word)) {
            *out = negate(m, v);
        }
    }
}

per_tier! {
    negated_with = negated_body(bitslice: &[u64], values: &[u32], out: &mut [u32])
}

fn opening_body(pairs: &[u32], factors: &[u32], keep: u32, out: &mut [u32]) {
    for ((out, p), &factor) in out.iter_mut().zip(pairs.as_chunks::<2>().0).zip(factors) {
        *out = factor.wrapping_sub(p[1]).wrapping_add(p[0]) & keep;
    }
}

per_tier! {
    opening_with = opening_body(pairs: &[u32], factors: &[u32], keep: u32, out: &mut [u32])
}

fn sender_body(pairs: &[u32], factors: &[u32], bitslice: &[u64], keep: u32, out: &mut [u32]) {
    let blocks = pairs.chunks(2 * BLOCK).zip(factors.chunks(BLOCK)).zip(bitslice).zip(out.chunks_mut(BLOCK));
    for (((pairs, factors), &word), out) in blocks {
        let terms = pairs.as_chunks::<2>().0.iter().zip(factors).zip(masks(word));
        for (out, ((p, factor), m)) in out.iter_mut().zip(terms) {
            *out = (factor & m).wrapping_sub(negate(m, p[0])) & keep;
        }
    }
}

per_tier! {
    sender_with = sender_body(pairs: &[u32], factors: &[u32], bitslice: &[u64], keep: u32, out: &mut [u32])
}

fn receiver_body(got: (&[u8], &[u32]), opened: &[u32], bitslice: &[u64], keep: u32, out: &mut [u32]) {
    let blocks = got.0.chunks(BLOCK).zip(got.1.chunks(BLOCK)).zip(opened.chunks(BLOCK)).zip(bitslice).zip(out.chunks_mut(BLOCK));
    for ((((choices, pads), opened), &word), out) in blocks {
        let terms = choices.iter().zip(pads).zip(opened).zip(masks(word));
        for (out, (((&u, pad), t), m)) in out.iter_mut().zip(terms) {
            let chosen = 0u32.wrapping_sub(u32::from(u & 1));
            *out = negate(m, pad.wrapping_add(t & chosen)) & keep;
        }
    }
}

per_tier! {
    receiver_with = receiver_body(got: (&[u8], &[u32]), opened: &[u32], bitslice: &[u64], keep: u32, out: &mut [u32])
}

/// One mask per element: all ones where the bit is set, else zero.
///
/// # Panics
/// If the bitslice has fewer than `n` elements.
#[must_use]
pub fn masks_of_bitslice(bitslice: &[u64], n: usize) -> Wiped<u32> {
    assert!(bitslice.len() >= bitslice_words(n), "bitslice of {n} elements");
    let mut out = Wiped::new(n);
    masks_with(simd::tier(), bitslice, &mut out);
    out
}

/// The values, negated where the bit is set.
///
/// # Panics
/// If the bitslice has fewer elements.
#[must_use]
pub fn negated_where(bitslice: &[u64], values: &[u32]) -> Wiped<u32> {
    assert!(bitslice.len() >= bitslice_words(values.len()), "a bit for every value");
    let mut out = Wiped::new(values.len());
    negated_with(simd::tier(), bitslice, values, &mut out);
    out
}

/// What the sender opens, given one OT per factor: each factor minus the factor of its random
/// product, which is the difference of its pair of pads.
///
/// # Panics
/// If there is not a pair for every factor.
#[must_use]
pub fn opening(pairs: &[u32], factors: &[u32], keep: u32) -> Wiped<u32> {
    assert_eq!(pairs.len(), 2 * factors.len(), "a pair of pads for every factor");
    let mut out = Wiped::new(factors.len());
    opening_with(simd::tier(), pairs, factors, keep, &mut out);
    out
}

/// The sender's shares of the products, given d, the bitslice of how the receiver's bits differ
/// from its random choices.
///
/// # Panics
/// If there is not a pair and a bit for every factor.
#[must_use]
pub fn sender_shares(pairs: &[u32], factors: &[u32], d: &[u64], keep: u32) -> Wiped<u32> {
    assert_eq!(pairs.len(), 2 * factors.len(), "a pair of pads for every factor");
    assert!(d.len() >= bitslice_words(factors.len()), "a bit for every factor");
    let mut out = Wiped::new(factors.len());
    // The receiver's bit is c = u ^ d = d + (1 - 2d) u, and the sender's share of u * factor is
    // -p0.
    sender_with(simd::tier(), pairs, factors, d, keep, &mut out);
    out
}

/// The receiver's shares of the products, given its random choices, the pads at them, what the
/// sender opened, and d, the bitslice of how its bits differ from the choices.
///
/// # Panics
/// If the lengths differ.
#[must_use]
pub fn receiver_shares(choices: &[u8], pads: &[u32], opened: &[u32], d: &[u64], keep: u32) -> Wiped<u32> {
    let n = opened.len();
    assert!(choices.len() == n && pads.len() == n && d.len() >= bitslice_words(n), "lengths of a batch of products");
    let mut out = Wiped::new(n);
    receiver_with(simd::tier(), (choices, pads), opened, d, keep, &mut out);
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn shares_add_up_to_the_product(
            cases in prop::collection::vec((any::<u32>(), any::<[u32; 2]>(), any::<bool>(), any::<bool>()), 0..200),
            bits in 1u32..=32,
        ) {
            let keep = u32::MAX >> (32 - bits);
            let n = cases.len();
            let factors: Vec<u32> = cases.iter().map(|c| c.0).collect();
            let pairs: Vec<u32> = cases.iter().flat_map(|c| c.1).collect();
            let choices: Vec<u8> = cases.iter().map(|c| u8::from(c.2)).collect();
            let pads: Vec<u32> = cases.iter().map(|c| c.1[usize::from(c.2)]).collect();
            let mut d = vec![0u64; bitslice_words(n)];
            cases.iter().enumerate().for_each(|(i, case)| d[i / BLOCK] |= u64::from(case.2 ^ case.3) << (i % BLOCK));
            let opened = opening(&pairs, &factors, keep);
            let sent = sender_shares(&pairs, &factors, &d, keep);
            let got = receiver_shares(&choices, &pads, &opened, &d, keep);
            let negated = negated_where(&d, &factors);
            let masks = masks_of_bitslice(&d, n);
            for (i, case) in cases.iter().enumerate() {
                let product = if case.3 { case.0 } else { 0 };
                prop_assert_eq!(sent[i].wrapping_add(got[i]) & keep, product & keep);
                prop_assert_eq!(masks[i], if case.2 ^ case.3 { u32::MAX } else { 0 });
                prop_assert_eq!(negated[i], if case.2 ^ case.3 { case.0.wrapping_neg() } else { case.0 });
            }
            for tier in simd::available() {
                let mut out = [(); 5].map(|()| vec![0; n]);
                masks_with(tier, &d, &mut out[0]);
                negated_with(tier, &d, &factors, &mut out[1]);
                opening_with(tier, &pairs, &factors, keep, &mut out[2]);
                sender_with(tier, &pairs, &factors, &d, keep, &mut out[3]);
                receiver_with(tier, (&choices, &pads), &opened, &d, keep, &mut out[4]);
                prop_assert_eq!(out.each_ref().map(Vec::as_slice), [&*masks, &*negated, &*opened, &*sent, &*got]);
            }
        }
    }
}
