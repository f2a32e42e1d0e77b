//! Small noise from uniform bits, in plain vector code without secret-dependent branches.

use crate::simd::{per_tier, tier};

per_tier! {
    /// Body of [`binomial`].
    binomial_on = binomial_body(words: &[u64], bits: u32, out: &mut [i8])
}

/// Centred binomial noise: the number of ones among the lowest `bits` bits of each word less the number among the next `bits`; standard deviation
/// sqrt(bits / 2).
///
/// # Panics
/// If `bits` exceeds 32 or there are not as many words as outputs.
pub fn binomial(words: &[u64], bits: u32, out: &mut [i8]) {
    assert!(bits <= 32, "two halves fit a word");
    assert_eq!(words.len(), out.len(), "one word for each output");
    binomial_on(tier(), words, bits, out);
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
