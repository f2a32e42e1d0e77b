//! What a requantisation leaves to chance.

use std::f64::consts::TAU;

use rand_core::Rng;

/// What decides how a requantisation rounds: the low bits of the client's shares, which it shifts
/// out, and the noise of the linear steps that it reads (see [`noise`](crate::noise)). The low bits
/// of shares also decide what a coarse ReLU keeps near zero.
pub enum TruncationCarry<'a> {
    /// Both random, as in the protocol: stochastic rounding without bias, and for values with noise
    /// a Gaussian of the plan's variance, drawn anew at every reader.
    Random(&'a mut dyn Rng),
    /// All zero: every result is `floor(y / 2^d) + 1` (where d > 0 or there is noise), which is
    /// what the protocol computes when the client's share and the noise are zero.
    Zero,
    /// Half a unit, and no noise: rounds to the nearest.
    Nearest,
}

impl TruncationCarry<'_> {
    /// The low `bits` bits of one share.
    pub(super) fn draw(&mut self, bits: u32) -> i64 {
        match self {
            Self::Random(rng) => i64::from(rng.next_u32() & ((1u32 << bits) - 1)),
            Self::Zero => 0,
            Self::Nearest => (1i64 << bits) >> 1,
        }
    }

    /// The noise of one word.
    pub(super) fn noise(&mut self, deviation: f64) -> i64 {
        match self {
            Self::Random(rng) => (deviation * gaussian(*rng)).round() as i64,
            Self::Zero | Self::Nearest => 0,
        }
    }
}

/// A normal variate, by Box and Muller.
fn gaussian(rng: &mut dyn Rng) -> f64 {
    let mut uniform = || (rng.next_u64() >> 11) as f64 / (1u64 << 53) as f64;
    // In (0, 1], where the logarithm is finite.
    let radius = (-2.0 * (1.0 - uniform()).ln()).sqrt();
    radius * (TAU * uniform()).cos()
}

#[cfg(test)]
mod tests {
    use rand_chacha::ChaCha20Rng;
    use rand_core::SeedableRng;

    use super::*;

    #[test]
    fn noise_has_the_deviation_asked_for() {
        let mut rng = ChaCha20Rng::seed_from_u64(1);
        let mut carry = TruncationCarry::Random(&mut rng);
        let drawn: Vec<f64> = (0..40_000).map(|_| carry.noise(1000.0) as f64).collect();
        let mean = drawn.iter().sum::<f64>() / drawn.len() as f64;
        let square = drawn.iter().map(|x| x * x).sum::<f64>() / drawn.len() as f64;
        let fourth = drawn.iter().map(|x| x.powi(4)).sum::<f64>() / drawn.len() as f64;
        assert!(mean.abs() < 20.0 && (square.sqrt() / 1000.0 - 1.0).abs() < 0.02, "{mean} {square}");
        assert!((fourth / square.powi(2) / 3.0 - 1.0).abs() < 0.1, "{fourth}");
        assert_eq!(TruncationCarry::Zero.noise(1000.0) + TruncationCarry::Nearest.noise(1000.0), 0);
    }
}
