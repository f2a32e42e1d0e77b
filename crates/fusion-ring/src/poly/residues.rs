//! Vectors of residues modulo 2^128 as two vectors of 64-bit halves, so that sums with carries and
//! shifts are plain vector code.

use crate::secret::{Wiped, wipe};
use crate::simd::{Tier, per_tier, tier};
use crate::symmetric::prg::AesPrg;

/// Residues modulo 2^128; `low[i]` and `high[i]` are the halves of residue i. Wiped on drop.
#[derive(Default)]
pub struct Residues {
    /// Lower halves.
    pub low: Wiped<u64>,
    /// Upper halves, of the same length.
    pub high: Wiped<u64>,
}

crate::opaque!(Residues, ResiduesMut<'_>);

impl Residues {
    /// Mutable access to all residues.
    pub fn as_mut(&mut self) -> ResiduesMut<'_> {
        ResiduesMut { low: &mut self.low, high: &mut self.high }
    }

    /// Changes the length; new values are zero.
    pub fn resize(&mut self, len: usize) {
        self.low.resize(len);
        self.high.resize(len);
    }

    /// Replaces every residue by a uniform one, a block of `prg`.
    pub fn set_uniform(&mut self, prg: &mut AesPrg) {
        const BATCH: usize = 64;
        let mut blocks = [0u128; BATCH];
        for (low, high) in self.low.chunks_mut(BATCH).zip(self.high.chunks_mut(BATCH)) {
            let blocks = &mut blocks[..low.len()];
            prg.fill_blocks(blocks);
            for ((low, high), &block) in low.iter_mut().zip(high).zip(&*blocks) {
                (*low, *high) = (block as u64, (block >> 64) as u64);
            }
        }
        wipe(&mut blocks);
    }

    /// The value at `index`.
    ///
    /// # Panics
    /// If there is none.
    #[must_use]
    pub fn get(&self, index: usize) -> u128 {
        u128::from(self.low[index]) | u128::from(self.high[index]) << 64
    }
}

/// A part of [`Residues`].
pub struct ResiduesMut<'a> {
    /// Lower halves.
    pub low: &'a mut [u64],
    /// Upper halves, of the same length.
    pub high: &'a mut [u64],
}

impl ResiduesMut<'_> {
    /// Adds `values << shift`.
    ///
    /// # Panics
    /// If lengths differ or `shift` is above 95.
    pub fn add_shifted(&mut self, values: &[u32], shift: u32) {
        self.add_shifted_on(tier(), values, shift);
    }

    fn add_shifted_on(&mut self, tier: Tier, values: &[u32], shift: u32) {
        assert!(values.len() == self.low.len() && self.high.len() == self.low.len() && shift < 96, "lengths and shift");
        add_shifted(tier, self.low, self.high, values, shift);
    }

    /// Adds small signed values.
    ///
    /// # Panics
    /// If lengths differ.
    pub fn add_small(&mut self, values: &[i8]) {
        self.add_small_on(tier(), values);
    }

    fn add_small_on(&mut self, tier: Tier, values: &[i8]) {
        assert!(values.len() == self.low.len() && self.high.len() == self.low.len(), "lengths");
        add_small(tier, self.low, self.high, values);
    }

    /// Subtracts `values << shift`.
    ///
    /// # Panics
    /// If lengths differ or `shift` is above 95.
    pub fn subtract_shifted(&mut self, values: &[u32], shift: u32) {
        self.subtract_shifted_on(tier(), values, shift);
    }

    fn subtract_shifted_on(&mut self, tier: Tier, values: &[u32], shift: u32) {
        assert!(values.len() == self.low.len() && shift < 96, "lengths and shift");
        subtract_shifted(tier, self.low, self.high, values, shift);
    }

    /// Adds to every value the sum of four uniform integers of `bits` bits, centred.
    ///
    /// # Panics
    /// If `bits` is above 62.
    pub fn add_four_uniforms(&mut self, prg: &mut AesPrg, bits: u32) {
        self.add_four_uniforms_on(tier(), prg, bits);
    }

    fn add_four_uniforms_on(&mut self, tier: Tier, prg: &mut AesPrg, bits: u32) {
        const BATCH: usize = 64;
        assert!(bits <= 62, "a sum of four fits a word");
        let mut blocks = Wiped::<u128>::new(2 * BATCH);
        for (low, high) in self.low.chunks_mut(BATCH).zip(self.high.chunks_mut(BATCH)) {
            let blocks = &mut blocks[..2 * low.len()];
            prg.fill_blocks(blocks);
            add_sums(tier, low, high, bytemuck::cast_slice(blocks), bits);
        }
    }

    /// Bits `from..from + bits` of every value, rounded to nearest by the bit below them: a
    /// coefficient without its low bits.
    ///
    /// # Panics
    /// If lengths differ, or `from` is not in 1..=127, or `bits` above 64.
    pub fn rounded_bits(&self, from: u32, bits: u32, out: &mut [u64]) {
        self.rounded_bits_on(tier(), from, bits, out);
    }

    fn rounded_bits_on(&self, tier: Tier, from: u32, bits: u32, out: &mut [u64]) {
        assert!(out.len() == self.low.len() && (1..128).contains(&from) && (1..=64).contains(&bits), "lengths and bits");
        rounded_bits(tier, self.low, self.high, from, bits, out);
    }
}

per_tier! {
    add_shifted = add_shifted_body(low: &mut [u64], high: &mut [u64], values: &[u32], shift: u32)
}
per_tier! {
    add_small = add_small_body(low: &mut [u64], high: &mut [u64], values: &[i8])
}
per_tier! {
    subtract_shifted = subtract_shifted_body(low: &mut [u64], high: &mut [u64], values: &[u32], shift: u32)
}
per_tier! {
    add_sums = add_sums_body(low: &mut [u64], high: &mut [u64], words: &[[u64; 4]], bits: u32)
}
per_tier! {
    rounded_bits = rounded_bits_body(low: &[u64], high: &[u64], from: u32, bits: u32, out: &mut [u64])
}

/// `value << shift` in halves, for shift < 96.
#[inline(always)]
fn shifted(value: u32, shift: u32) -> (u64, u64) {
    let value = u64::from(value);
    // Two shifts, because a single one by 64 would not shift at all.
    if shift < 64 { (value << shift, value >> 1 >> (63 - shift)) } else { (0, value << (shift - 64)) }
}

#[inline(always)]
fn add_shifted_body(low: &mut [u64], high: &mut [u64], values: &[u32], shift: u32) {
    for ((low, high), &value) in low.iter_mut().zip(high).zip(values) {
        let (l, h) = shifted(value, shift);
        *low = low.wrapping_add(l);
        *high = high.wrapping_add(h).wrapping_add(u64::from(*low < l));
    }
}

#[inline(always)]
fn subtract_shifted_body(low: &mut [u64], high: &mut [u64], values: &[u32], shift: u32) {
    for ((low, high), &value) in low.iter_mut().zip(high).zip(values) {
        let (l, h) = shifted(value, shift);
        let borrow = u64::from(*low < l);
        *low = low.wrapping_sub(l);
        *high = high.wrapping_sub(h).wrapping_sub(borrow);
    }
}

#[inline(always)]
fn add_small_body(low: &mut [u64], high: &mut [u64], values: &[i8]) {
    for ((low, high), &value) in low.iter_mut().zip(high).zip(values) {
        let value = i64::from(value);
        *low = low.wrapping_add(value as u64);
        *high = high.wrapping_add((value >> 63) as u64).wrapping_add(u64::from(*low < value as u64));
    }
}

#[inline(always)]
fn add_sums_body(low: &mut [u64], high: &mut [u64], words: &[[u64; 4]], bits: u32) {
    let mask = (1u64 << bits) - 1;
    for ((low, high), words) in low.iter_mut().zip(high).zip(words) {
        // The sum is below 2^64 and, centred, at least -2^63: it fits a signed word.
        let sum = ((words[0] & mask) + (words[1] & mask) + (words[2] & mask) + (words[3] & mask)).wrapping_sub(2 * mask);
        let sign = ((sum as i64) >> 63) as u64;
        *low = low.wrapping_add(sum);
        *high = high.wrapping_add(sign).wrapping_add(u64::from(*low < sum));
    }
}

#[inline(always)]
fn rounded_bits_body(low: &[u64], high: &[u64], from: u32, bits: u32, out: &mut [u64]) {
    let (half, mask) = (1u128 << (from - 1), u64::MAX >> (64 - bits));
    let (half_low, half_high) = (half as u64, (half >> 64) as u64);
    for ((out, &low), &high) in out.iter_mut().zip(low).zip(high) {
        let low = low.wrapping_add(half_low);
        let high = high.wrapping_add(half_high).wrapping_add(u64::from(low < half_low));
        // Two shifts, because a single one by 64 would not shift at all.
        *out = if from < 64 { low >> from | high << 1 << (63 - from) } else { high >> (from - 64) } & mask;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::simd::available;

    fn cut(values: &[u128]) -> Residues {
        let (low, high): (Vec<u64>, Vec<u64>) = values.iter().map(|&v| (v as u64, (v >> 64) as u64)).unzip();
        Residues { low: low.into(), high: high.into() }
    }

    proptest! {
        #[test]
        fn every_tier_equals_whole_values(
            values in prop::collection::vec((any::<u128>(), any::<i8>(), any::<u32>()), 0..70),
            shift in 0u32..96, down in 0u32..96, bits in 1u32..=62, from in 1u32..128, width in 1u32..=64, seed: [u8; 16],
        ) {
            let (a, b): (Vec<u128>, Vec<i8>) = values.iter().map(|v| (v.0, v.1)).unzip();
            let c: Vec<u32> = values.iter().map(|v| v.2).collect();
            let mut blocks = vec![0u128; 2 * a.len()];
            AesPrg::new(seed).fill_blocks(&mut blocks);
            let mask = (1u128 << bits) - 1;
            let expect: Vec<u128> = (0..a.len()).map(|i| {
                let noise: u128 = blocks[2 * i..2 * i + 2].iter().map(|w| (w & mask) + (w >> 64 & mask)).sum();
                a[i].wrapping_add_signed(i128::from(b[i])).wrapping_add(u128::from(c[i]) << shift).wrapping_sub(u128::from(c[i]) << down).wrapping_add(noise).wrapping_sub(2 * mask)
            }).collect();
            let top: Vec<u64> = expect.iter().map(|v| (v.wrapping_add(1u128 << (from - 1)) >> from) as u64 & (u64::MAX >> (64 - width))).collect();
            for tier in available() {
                let mut sum = cut(&a);
                let mut parts = sum.as_mut();
                parts.add_small_on(tier, &b);
                parts.add_shifted_on(tier, &c, shift);
                parts.subtract_shifted_on(tier, &c, down);
                parts.add_four_uniforms_on(tier, &mut AesPrg::new(seed), bits);
                let mut out = vec![0; a.len()];
                parts.rounded_bits_on(tier, from, width, &mut out);
                prop_assert_eq!(&out, &top, "tier {}", tier.name());
                prop_assert!((0..a.len()).all(|i| sum.get(i) == expect[i]), "tier {}", tier.name());
            }
        }
    }
}
