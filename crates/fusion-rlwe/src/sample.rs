//! Secrets, errors and flooding noise. All integer arithmetic without secret-dependent branches.

use fusion_ring::ntt::DEGREE;
use rand_core::Rng;
use zeroize::Zeroizing;

use crate::params::ERROR_BITS;

/// A uniform ternary polynomial.
pub(crate) fn ternary(rng: &mut impl Rng) -> Zeroizing<Vec<i8>> {
    let mut out = Zeroizing::new(Vec::with_capacity(DEGREE));
    let mut bytes = Zeroizing::new([0u8; 1024]);
    while out.len() < DEGREE {
        rng.fill_bytes(&mut *bytes);
        for byte in bytes.iter() {
            for crumb in [byte & 3, byte >> 2 & 3, byte >> 4 & 3, byte >> 6] {
                // Rejecting the fourth value tells nothing of those that are kept.
                if crumb < 3 && out.len() < DEGREE {
                    out.push(crumb as i8 - 1);
                }
            }
        }
    }
    out
}

/// Fills `out` with centred binomial errors of standard deviation sqrt(10.5) = 3.24, modulo 2^128.
pub(crate) fn errors(rng: &mut impl Rng, out: &mut [u128]) {
    const HALF: u64 = (1 << ERROR_BITS) - 1;
    let mut bytes = Zeroizing::new([0u8; 2048]);
    for chunk in out.chunks_mut(256) {
        let bytes = &mut bytes[..8 * chunk.len()];
        rng.fill_bytes(bytes);
        for (error, word) in chunk.iter_mut().zip(bytes.as_chunks::<8>().0) {
            let word = u64::from_le_bytes(*word);
            let difference = (word & HALF).count_ones() as i32 - ((word >> ERROR_BITS) & HALF).count_ones() as i32;
            *error = i128::from(difference) as u128;
        }
    }
}

/// Adds to every value the sum of four uniform integers of `bits` bits (at most 62), centred, modulo 2^128.
///
/// Bell-shaped, bounded and exact in integers: the crate page says why this floods as a Gaussian does.
pub(crate) fn add_flood(rng: &mut impl Rng, bits: u32, out: &mut [u128]) {
    debug_assert!(bits <= 62);
    let mask = (1u64 << bits) - 1;
    let centre = 2 * u128::from(mask);
    let mut bytes = Zeroizing::new([0u8; 4096]);
    for chunk in out.chunks_mut(128) {
        let bytes = &mut bytes[..32 * chunk.len()];
        rng.fill_bytes(bytes);
        for (value, words) in chunk.iter_mut().zip(bytes.as_chunks::<32>().0) {
            let sum: u64 = words.as_chunks::<8>().0.iter().map(|w| u64::from_le_bytes(*w) & mask).sum();
            *value = value.wrapping_add(u128::from(sum)).wrapping_sub(centre);
        }
    }
}

/// Fills `out` with uniform values of `bits` bits (1..=32).
pub(crate) fn uniform(rng: &mut impl Rng, bits: u32, out: &mut [u32]) {
    let mask = fusion_ring::pack::mask32(bits);
    let mut bytes = Zeroizing::new([0u8; 4096]);
    for chunk in out.chunks_mut(1024) {
        let bytes = &mut bytes[..4 * chunk.len()];
        rng.fill_bytes(bytes);
        for (value, word) in chunk.iter_mut().zip(bytes.as_chunks::<4>().0) {
            *value = u32::from_le_bytes(*word) & mask;
        }
    }
}

#[cfg(test)]
mod tests {
    use rand_chacha::ChaCha20Rng;
    use rand_core::SeedableRng;

    use super::*;

    fn moments(values: impl Iterator<Item = f64>) -> (f64, f64) {
        let values: Vec<f64> = values.collect();
        let n = values.len() as f64;
        let mean = values.iter().sum::<f64>() / n;
        (mean, (values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / n).sqrt())
    }

    #[test]
    fn secrets_are_uniform_ternary() {
        let s = ternary(&mut ChaCha20Rng::seed_from_u64(1));
        assert_eq!(s.len(), DEGREE);
        for value in -1..=1 {
            let count = s.iter().filter(|&&v| v == value).count() as f64;
            // Six standard deviations of a binomial with N = 4096 and p = 1/3.
            assert!((count - DEGREE as f64 / 3.0).abs() < 181.0, "{value}: {count}");
        }
    }

    #[test]
    fn errors_have_the_planned_spread() {
        let mut out = vec![0u128; 100_000];
        errors(&mut ChaCha20Rng::seed_from_u64(2), &mut out);
        let (mean, deviation) = moments(out.iter().map(|&v| v as i128 as f64));
        assert!(mean.abs() < 0.07 && (deviation - 10.5f64.sqrt()).abs() < 0.05, "{mean} {deviation}");
        assert!(out.iter().all(|&v| (v as i128).abs() <= 21));
    }

    #[test]
    fn flooding_has_the_planned_spread() {
        let mut out = vec![0u128; 100_000];
        add_flood(&mut ChaCha20Rng::seed_from_u64(3), 50, &mut out);
        let unit = 50f64.exp2() / 3f64.sqrt();
        let (mean, deviation) = moments(out.iter().map(|&v| v as i128 as f64 / unit));
        assert!(mean.abs() < 0.02 && (deviation - 1.0).abs() < 0.02, "{mean} {deviation}");
    }
}
