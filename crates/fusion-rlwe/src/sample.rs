//! Secrets and errors. All integer arithmetic without secret-dependent branches.

use fusion_ring::poly::fft::DEGREE;
use fusion_ring::poly::noise;
use fusion_ring::secret::Wiped;
use fusion_ring::symmetric::prg::AesPrg;

use crate::precision::ERROR_BITS;

/// A uniform ternary polynomial.
pub(crate) fn ternary(prg: &mut AesPrg) -> Wiped<i8> {
    let mut out = Wiped::new(DEGREE);
    noise::ternary(prg, &mut out);
    out
}

/// Fills `out` with centred binomial errors of standard deviation sqrt(10.5) = 3.24.
pub(crate) fn errors(prg: &mut AesPrg, out: &mut [i8]) {
    noise::binomial(prg, ERROR_BITS, out);
}

#[cfg(test)]
mod tests {
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
        for value in -1..=1 {
            let count = s.iter().filter(|&&v| v == value).count() as f64;
            // Six standard deviations of a binomial with N = 2048 and p = 1/3.
            assert!((count - DEGREE as f64 / 3.0).abs() < 128.0, "{value}: {count}");
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
}
