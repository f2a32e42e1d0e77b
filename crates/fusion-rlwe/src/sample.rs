//! Secrets, errors and flooding noise. All integer arithmetic without secret-dependent branches.

use fusion_ring::noise::binomial;
use fusion_ring::ntt::DEGREE;
use fusion_ring::prg::AesPrg;
use zeroize::Zeroizing;

use crate::params::ERROR_BITS;

/// Blocks of randomness drawn at a time.
const BLOCKS: usize = 128;

/// A uniform ternary polynomial.
pub(crate) fn ternary(prg: &mut AesPrg) -> Zeroizing<Vec<i8>> {
    let mut out = Zeroizing::new(Vec::with_capacity(DEGREE + TRITS));
    let mut blocks = Zeroizing::new([0u128; 64]);
    while out.len() < DEGREE {
        prg.fill_blocks(&mut *blocks);
        for block in blocks.iter() {
            for byte in block.to_le_bytes() {
                // 3^5 values of a byte are five ternary digits; rejecting the others tells nothing of those that are kept.
                if byte < 243 && out.len() < DEGREE {
                    out.extend_from_slice(&trits(byte));
                }
            }
        }
    }
    out.truncate(DEGREE);
    out
}

/// Ternary digits taken from one byte.
const TRITS: usize = 5;

/// The five ternary digits of a number below 3^5, less one each.
fn trits(byte: u8) -> [i8; TRITS] {
    let mut rest = u32::from(byte);
    std::array::from_fn(|_| {
        // Exact division by 3 for numbers below 2^16, without a division, whose time could depend on the secret.
        let third = (rest * 0xaaab) >> 17;
        let digit = rest - 3 * third;
        rest = third;
        digit as i8 - 1
    })
}

/// Fills `out` with centred binomial errors of standard deviation sqrt(10.5) = 3.24.
pub(crate) fn errors(prg: &mut AesPrg, out: &mut [i8]) {
    let mut blocks = Zeroizing::new([0u128; BLOCKS]);
    for chunk in out.chunks_mut(2 * BLOCKS) {
        let blocks = &mut blocks[..chunk.len().div_ceil(2)];
        prg.fill_blocks(blocks);
        let mut words = Zeroizing::new([0u64; 2 * BLOCKS]);
        for (pair, &block) in words.as_chunks_mut::<2>().0.iter_mut().zip(blocks.iter()) {
            *pair = [block as u64, (block >> 64) as u64];
        }
        binomial(&words[..chunk.len()], ERROR_BITS, chunk);
    }
}

/// Fills `out` with uniform values of `bits` bits (1..=32).
pub(crate) fn uniform(prg: &mut AesPrg, bits: u32, out: &mut [u32]) {
    let mask = fusion_ring::pack::mask32(bits);
    let mut blocks = Zeroizing::new([0u128; BLOCKS]);
    for chunk in out.chunks_mut(4 * BLOCKS) {
        let blocks = &mut blocks[..chunk.len().div_ceil(4)];
        prg.fill_blocks(blocks);
        for (values, block) in chunk.chunks_mut(4).zip(blocks.iter()) {
            for (value, word) in values.iter_mut().zip(0..4) {
                *value = (block >> (32 * word)) as u32 & mask;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use fusion_ring::halves::Halves;

    use super::*;

    fn moments(values: impl Iterator<Item = f64>) -> (f64, f64) {
        let values: Vec<f64> = values.collect();
        let n = values.len() as f64;
        let mean = values.iter().sum::<f64>() / n;
        (mean, (values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / n).sqrt())
    }

    #[test]
    fn secrets_are_uniform_ternary() {
        let s = ternary(&mut AesPrg::new([1; 16]));
        assert_eq!(s.len(), DEGREE);
        assert_eq!(trits(242), [1; TRITS]);
        assert_eq!(trits(5), [1, 0, -1, -1, -1]);
        for value in -1..=1 {
            let count = s.iter().filter(|&&v| v == value).count() as f64;
            // Six standard deviations of a binomial with N = 4096 and p = 1/3.
            assert!((count - DEGREE as f64 / 3.0).abs() < 181.0, "{value}: {count}");
        }
    }

    #[test]
    fn errors_have_the_planned_spread() {
        let mut out = vec![0; 100_000];
        errors(&mut AesPrg::new([2; 16]), &mut out);
        let (mean, deviation) = moments(out.iter().map(|&v| f64::from(v)));
        assert!(mean.abs() < 0.07 && (deviation - 10.5f64.sqrt()).abs() < 0.05, "{mean} {deviation}");
        assert!(out.iter().all(|&v| v.abs() <= 21));
    }

    #[test]
    fn flooding_has_the_planned_spread() {
        let mut out = Halves::default();
        out.resize(100_000);
        out.as_mut().add_four_uniforms(&mut AesPrg::new([3; 16]), 50);
        let unit = 50f64.exp2() / 3f64.sqrt();
        let (mean, deviation) = moments((0..100_000).map(|i| out.get(i) as i128 as f64 / unit));
        assert!(mean.abs() < 0.02 && (deviation - 1.0).abs() < 0.02, "{mean} {deviation}");
    }
}
