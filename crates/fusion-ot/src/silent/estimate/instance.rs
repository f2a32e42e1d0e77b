//! What all models estimate, in numbers.

use crate::silent::parameters::Parameters;

/// The binary instance that an attacker sees.
#[derive(Clone, Copy)]
pub(super) struct Instance {
    /// Blocks.
    pub(super) t: f64,
    /// Samples.
    pub(super) n: f64,
    /// Secrets.
    pub(super) k: f64,
    /// Probability that a block has noise at all.
    pub(super) p: f64,
    /// From how many projections an attacker may choose.
    pub(super) projections: f64,
}

impl Instance {
    pub(super) fn new(parameters: Parameters) -> Self {
        let values = f64::from(1u32 << parameters.choice_bits().bits());
        Self {
            t: parameters.trees() as f64,
            n: parameters.outputs() as f64,
            k: f64::from(1u32 << parameters.log_secrets()),
            p: if parameters.wide() { values / 2.0 / (values - 1.0) } else { 1.0 },
            projections: values - 1.0,
        }
    }

    /// Bits that the choice of a projection may save at most.
    pub(super) fn luck(&self) -> f64 {
        self.projections.log2()
    }

    /// Whether every block is noisy, so that its sum is known.
    pub(super) fn always(&self) -> bool {
        self.p == 1.0
    }
}

/// log2 of the binomial coefficient; `n` may be fractional.
pub(super) fn log2_binomial(n: f64, k: u32) -> f64 {
    (0..k).map(|i| ((n - f64::from(i)) / f64::from(i + 1)).log2()).sum()
}

/// log2(2^a + 2^b).
pub(super) fn log2_sum(a: f64, b: f64) -> f64 {
    let (high, low) = (a.max(b), a.min(b));
    if high == f64::NEG_INFINITY { high } else { high + (1.0 + (low - high).exp2()).log2() }
}
