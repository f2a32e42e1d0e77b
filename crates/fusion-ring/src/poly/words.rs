//! Vectors of words modulo 2^32: the coefficients of a polynomial, or values at their top.

use crate::secret::Wiped;
use crate::simd::{Tier, per_tier, tier};
use crate::symmetric::prg::AesPrg;

/// Adds small signed values.
///
/// # Panics
/// If lengths differ.
pub fn add_small(words: &mut [u32], values: &[i8]) {
    assert_eq!(words.len(), values.len(), "lengths");
    add_small_on(tier(), words, values);
}

/// Adds `values << shift`.
///
/// # Panics
/// If lengths differ or `shift` is above 31.
pub fn add_shifted(words: &mut [u32], values: &[u32], shift: u32) {
    assert!(words.len() == values.len() && shift < 32, "lengths and shift");
    add_shifted_on(tier(), words, values, shift);
}

/// Replaces every word by its top `bits` bits, rounded to nearest, as a number modulo 2^bits.
///
/// # Panics
/// If `bits` is not in 1..=32.
pub fn round_to_top(words: &mut [u32], bits: u32) {
    assert!((1..=32).contains(&bits), "top bits of a word");
    round_to_top_on(tier(), words, bits);
}

/// Moves the lowest `bits` bits of every word to its top: what [`round_to_top`] rounded, but for
/// the bits below.
///
/// # Panics
/// If `bits` is not in 1..=32.
pub fn from_top(words: &mut [u32], bits: u32) {
    assert!((1..=32).contains(&bits), "top bits of a word");
    from_top_on(tier(), words, bits);
}

/// Adds to every word the sum of four uniform integers of `bits` bits, centred. Each takes a block
/// of `prg`, from the next whole block on.
///
/// # Panics
/// If `bits` is above 29.
pub fn add_four_uniforms(words: &mut [u32], prg: &mut AesPrg, bits: u32) {
    add_four_uniforms_on(tier(), words, prg, bits);
}

fn add_four_uniforms_on(tier: Tier, words: &mut [u32], prg: &mut AesPrg, bits: u32) {
    const BATCH: usize = 64;
    assert!(bits <= 29, "a centred sum of four fits a signed word");
    let mut blocks = Wiped::<u128>::new(BATCH.min(words.len()));
    for words in words.chunks_mut(BATCH) {
        let blocks = &mut blocks[..words.len()];
        prg.fill_blocks(blocks);
        add_sums(tier, words, bytemuck::cast_slice(blocks), bits);
    }
}

per_tier! {
    add_small_on = add_small_body(words: &mut [u32], values: &[i8])
}
per_tier! {
    add_shifted_on = add_shifted_body(words: &mut [u32], values: &[u32], shift: u32)
}
per_tier! {
    round_to_top_on = round_to_top_body(words: &mut [u32], bits: u32)
}
per_tier! {
    from_top_on = from_top_body(words: &mut [u32], bits: u32)
}
per_tier! {
    add_sums = add_sums_body(words: &mut [u32], uniform: &[[u32; 4]], bits: u32)
}

#[inline(always)]
fn add_small_body(words: &mut [u32], values: &[i8]) {
    for (word, &value) in words.iter_mut().zip(values) {
        *word = word.wrapping_add(i32::from(value) as u32);
    }
}

#[inline(always)]
fn add_shifted_body(words: &mut [u32], values: &[u32], shift: u32) {
    for (word, &value) in words.iter_mut().zip(values) {
        *word = word.wrapping_add(value << shift);
    }
}

#[inline(always)]
fn round_to_top_body(words: &mut [u32], bits: u32) {
    let down = 32 - bits;
    // With no bits below there is nothing to round.
    let half = (1u32 << down) >> 1;
    for word in words {
        *word = word.wrapping_add(half) >> down;
    }
}

#[inline(always)]
fn from_top_body(words: &mut [u32], bits: u32) {
    for word in words {
        *word <<= 32 - bits;
    }
}

#[inline(always)]
fn add_sums_body(words: &mut [u32], uniform: &[[u32; 4]], bits: u32) {
    let mask = (1u32 << bits) - 1;
    for (word, four) in words.iter_mut().zip(uniform) {
        let sum = four.iter().map(|value| value & mask).sum::<u32>();
        *word = word.wrapping_add(sum).wrapping_sub(2 * mask);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::simd::available;

    proptest! {
        #[test]
        fn every_tier_equals_the_definition(pairs in prop::collection::vec(any::<(u32, u32)>(), 0..200), bits in 1u32..=32, shift in 0u32..32) {
            let (words, values): (Vec<u32>, Vec<u32>) = pairs.into_iter().unzip();
            let small: Vec<i8> = values.iter().map(|&value| value as i8).collect();
            let on = |work: &dyn Fn(&mut [u32])| {
                let mut out = words.clone();
                work(&mut out);
                out
            };
            let modulus = 1i64 << bits;
            let nearest = |word: u32| ((f64::from(word) / 2f64.powi(32 - bits as i32) + 0.5).floor() as i64 % modulus) as u32;
            let sums: Vec<u32> = words.iter().zip(&small).map(|(&w, &s)| (i64::from(w) + i64::from(s)) as u32).collect();
            let shifted: Vec<u32> = words.iter().zip(&values).map(|(&w, &v)| (u64::from(w) + (u64::from(v) << shift)) as u32).collect();
            let rounded: Vec<u32> = words.iter().map(|&w| nearest(w)).collect();
            let raised: Vec<u32> = words.iter().map(|&w| (u64::from(w) << (32 - bits)) as u32).collect();
            for tier in available() {
                prop_assert_eq!(on(&|out| add_small_on(tier, out, &small)), &sums[..], "tier {}", tier.name());
                prop_assert_eq!(on(&|out| add_shifted_on(tier, out, &values, shift)), &shifted[..], "tier {}", tier.name());
                prop_assert_eq!(on(&|out| round_to_top_on(tier, out, bits)), &rounded[..], "tier {}", tier.name());
                prop_assert_eq!(on(&|out| from_top_on(tier, out, bits)), &raised[..], "tier {}", tier.name());
            }
        }

        #[test]
        fn every_tier_adds_the_same_uniforms(words in prop::collection::vec(any::<u32>(), 0..200), bits in 0u32..=29) {
            let mut blocks = vec![0; words.len()];
            AesPrg::new([8; 16]).fill_blocks(&mut blocks);
            let mask = (1i64 << bits) - 1;
            let four = |block: u128| (0..4).map(|k| (block >> (32 * k)) as i64 & mask).sum::<i64>() - 2 * mask;
            let expect: Vec<u32> = words.iter().zip(&blocks).map(|(&w, &b)| (i64::from(w) + four(b)) as u32).collect();
            for tier in available() {
                let mut out = words.clone();
                add_four_uniforms_on(tier, &mut out, &mut AesPrg::new([8; 16]), bits);
                prop_assert_eq!(&out, &expect, "tier {}", tier.name());
            }
        }
    }

    #[test]
    fn rounding_wraps_at_the_top() {
        let mut words = [u32::MAX, 0x0fff_ffff, 0x1000_0000, 0x0800_0000, 0x07ff_ffff];
        round_to_top(&mut words, 4);
        assert_eq!(words, [0, 1, 1, 1, 0]);
    }
}
