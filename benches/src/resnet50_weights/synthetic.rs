//! Seeded random weights, scaled so that activations neither vanish nor explode over fifty layers.

use anyhow::Result;
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

use super::topology::Weights;

/// Names the weights: the same seed gives the same file on every machine.
pub(super) const SEED: u64 = 2026;

/// Uniform kernels of He's variance, small positive and negative biases, neutral batch statistics.
pub(super) struct Seeded(ChaCha8Rng);

impl Seeded {
    pub(super) fn new() -> Self {
        Self(ChaCha8Rng::seed_from_u64(SEED))
    }
}

impl Weights for Seeded {
    fn tensor(&mut self, layer: &str, part: &str, shape: &[usize]) -> Result<Vec<f32>> {
        let count = shape.iter().product();
        let mut uniform = |bound: f32| (0..count).map(|_| self.0.random_range(-bound..bound)).collect();
        Ok(match part {
            "kernel" => {
                let inputs: usize = shape[..shape.len() - 1].iter().product();
                uniform((6.0 / inputs as f32).sqrt())
            }
            "moving_variance" => vec![1.0; count],
            // The residual branch is damped: sixteen undamped sums would grow 2^16-fold in
            // variance.
            "gamma" if layer.ends_with("branch2c") => vec![0.25; count],
            "gamma" => vec![1.0; count],
            _ => uniform(0.05),
        })
    }
}
