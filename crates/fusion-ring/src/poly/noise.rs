//! Small noise from uniform bits, in plain vector code without secret-dependent branches.

use zeroize::Zeroizing;

use crate::simd::{Tier, per_tier, tier};
use crate::symmetric::prg::AesPrg;

/// Blocks of randomness drawn at a time.
const BLOCKS: usize = 64;

per_tier! {
    /// The number of ones among the lowest `bits` bits of each word minus that among the next
    /// `bits`.
    binomial_on = binomial_body(words: &[u64], bits: u32, out: &mut [i8])
}

/// Centred binomial noise of standard deviation sqrt(bits / 2): the number of ones among the lowest
/// `bits` bits of a 64-bit word minus the number among the next `bits`. Words come from `prg`, from
/// its next whole block on.
///
/// # Panics
/// If `bits` exceeds 32.
pub fn binomial(prg: &mut AesPrg, bits: u32, out: &mut [i8]) {
    assert!(bits <= 32, "two halves fit a word");
    let mut blocks = Zeroizing::new([0u128; BLOCKS]);
    for chunk in out.chunks_mut(2 * BLOCKS) {
        let blocks = &mut blocks[..chunk.len().div_ceil(2)];
        prg.fill_blocks(blocks);
        binomial_on(tier(), bytemuck::cast_slice(blocks), bits, chunk);
    }
}

/// Fills `out` with uniform ternary values from `prg`, from the next whole block on: five from
/// every byte below 3^5. Other bytes are rejected, which reveals nothing about those that are kept.
pub fn ternary(prg: &mut AesPrg, out: &mut [i8]) {
    ternary_on(tier(), prg, out);
}

/// Ternary values of one byte.
const TRITS: usize = 5;

fn ternary_on(tier: Tier, prg: &mut AesPrg, out: &mut [i8]) {
    let mut blocks = Zeroizing::new([0u128; BLOCKS]);
    let mut kept = Zeroizing::new([0u8; 16 * BLOCKS]);
    let mut digits = Zeroizing::new([0u64; 16 * BLOCKS]);
    let mut out: &mut [u8] = bytemuck::cast_slice_mut(out);
    while !out.is_empty() {
        prg.fill_blocks(&mut *blocks);
        let mut count = 0;
        for &byte in bytemuck::cast_slice::<u128, u8>(&*blocks) {
            // The next byte overwrites it if it is rejected.
            kept[count] = byte;
            count += usize::from(byte < 243);
        }
        let digits = &mut digits[..count];
        trits(tier, &kept[..count], digits);
        let wanted = out.len().min(TRITS * count);
        let (now, rest) = std::mem::take(&mut out).split_at_mut(wanted);
        // Writes eight bytes at once; the next value overwrites the last three.
        let whole = (wanted.saturating_sub(8 - TRITS) / TRITS).min(count);
        for (index, five) in digits[..whole].iter().enumerate() {
            now[TRITS * index..TRITS * index + 8].copy_from_slice(&five.to_le_bytes());
        }
        for (last, five) in now[TRITS * whole..].chunks_mut(TRITS).zip(&digits[whole..]) {
            last.copy_from_slice(&five.to_le_bytes()[..last.len()]);
        }
        out = rest;
    }
}

per_tier! {
    /// The five ternary digits of numbers below 3^5, each minus one and in a byte of its own,
    /// lowest first.
    trits = trits_body(numbers: &[u8], digits: &mut [u64])
}

#[inline(always)]
fn trits_body(numbers: &[u8], digits: &mut [u64]) {
    for (digits, &number) in digits.iter_mut().zip(numbers) {
        let (mut rest, mut all) = (u64::from(number), 0);
        for place in 0..TRITS {
            // Exact division by 3 of numbers below 2^16 by a multiplication: the time of a division
            // could depend on the secret.
            let third = (rest * 0xaaab) >> 17;
            all |= ((rest - 3 * third).wrapping_sub(1) & 0xff) << (8 * place);
            rest = third;
        }
        *digits = all;
    }
}

#[inline(always)]
fn binomial_body(words: &[u64], bits: u32, out: &mut [i8]) {
    let half = (1u64 << bits) - 1;
    for (out, &word) in out.iter_mut().zip(words) {
        *out = (word & half).count_ones() as i8 - ((word >> bits) & half).count_ones() as i8;
    }
}

#[cfg(test)]
mod tests {
    use rand_chacha::ChaCha20Rng;
    use rand_core::{Rng, SeedableRng};

    use super::*;
    use crate::simd::available;

    #[test]
    fn every_tier_takes_five_values_of_a_byte() {
        let mut blocks = vec![0u128; 2 * BLOCKS];
        AesPrg::new([4; 16]).fill_blocks(&mut blocks);
        let bytes = blocks.iter().flat_map(|b| b.to_le_bytes()).filter(|&b| b < 243);
        let expect: Vec<i8> = bytes.flat_map(|b| [1, 3, 9, 27, 81].map(|power| (b / power % 3) as i8 - 1)).collect();
        for tier in available() {
            for length in [0, 1, 4, 5, 8, 11, 4096, 6001] {
                let mut out = vec![0; length];
                ternary_on(tier, &mut AesPrg::new([4; 16]), &mut out);
                assert_eq!(out, expect[..length], "tier {}", tier.name());
            }
        }
    }

    #[test]
    fn every_tier_counts_bits() {
        let mut rng = ChaCha20Rng::seed_from_u64(1);
        for (length, bits) in [(0, 21), (1, 1), (63, 21), (1000, 32)] {
            let words: Vec<u64> = (0..length).map(|_| rng.next_u64()).collect();
            let ones = |word: u64, from: u32| (from..from + bits).filter(|i| word >> i & 1 == 1).count() as i8;
            let expect: Vec<i8> = words.iter().map(|&w| ones(w, 0) - ones(w, bits)).collect();
            for tier in available() {
                let mut out = vec![0; length];
                binomial_on(tier, &words, bits, &mut out);
                assert_eq!(out, expect, "tier {}", tier.name());
            }
        }
    }
}
