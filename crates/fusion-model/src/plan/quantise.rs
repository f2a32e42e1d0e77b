//! From float weights to integers.

use crate::graph::FloatTerm;
use crate::program::row_norm_of;

/// Integer weights of one linear step.
pub(super) struct QuantisedLinear {
    pub(super) terms: Vec<Vec<i16>>,
    pub(super) bias: Vec<i64>,
    /// See [`row_norm_of`].
    pub(super) row_norm: u32,
}

/// Largest binary scale at which all weights fit `bits` bits, sign included. `None` if all are
/// zero.
pub(super) fn largest_scale(weights: &[f32], bits: u32) -> Option<i32> {
    let magnitude = weights.iter().fold(0f64, |m, &w| m.max(f64::from(w).abs()));
    (magnitude > 0.0).then(|| largest_frac(magnitude, f64::from((1u32 << (bits - 1)) - 1)))
}

/// Largest `frac` with `magnitude * 2^frac <= limit`, kept within what a program may state.
pub(super) fn largest_frac(magnitude: f64, limit: f64) -> i32 {
    if magnitude <= 0.0 {
        return ZERO_FRAC;
    }
    let mut frac = (limit / magnitude).log2().floor().clamp(-60.0, f64::from(MOST_FRAC)) as i32;
    // The logarithm may be off by an ulp at powers of two.
    if magnitude * 2f64.powi(frac) > limit {
        frac -= 1;
    } else if frac < MOST_FRAC && magnitude * 2f64.powi(frac + 1) <= limit {
        frac += 1;
    }
    frac
}

/// No scale is finer: numbers of 10^-12 still fill a window, and what follows such a tensor may add
/// some bits within what a program may state.
pub(super) const MOST_FRAC: i32 = 52;
/// The scale of a tensor that is zero on every calibration image: one at which numbers of another
/// image may be about 1, and noise is hidden.
pub(super) const ZERO_FRAC: i32 = 8;

/// Rounds weights to `2^scales[term]` and biases to `2^product`.
///
/// Rounding changes a row's result by the rounding errors times the inputs. Inputs have means,
/// large ones after a ReLU, so part of that error is the same for every image, and the bias
/// corrects it: `means` has, per term, one mean per input channel.
pub(super) fn quantise(terms: &[FloatTerm], bias: &[f32], means: &[&[f32]], scales: &[i32], product: i32) -> QuantisedLinear {
    let mut bias: Vec<f64> = bias.iter().map(|&b| f64::from(b)).collect();
    let mut weights = Vec::with_capacity(terms.len());
    for ((term, means), &scale) in terms.iter().zip(means).zip(scales) {
        let factor = 2f64.powi(scale);
        // Saturates by definition of `as`; `largest_scale` keeps the product in range.
        let integers: Vec<i16> = term.weights.iter().map(|&w| (f64::from(w) * factor).round() as i16).collect();
        let g = &term.geometry;
        let (in_channels, out_channels, taps) = (g.input.channels / g.groups, g.out_channels / g.groups, g.kernel.0 * g.kernel.1);
        let rows = term.weights.chunks_exact(in_channels * taps).zip(integers.chunks_exact(in_channels * taps));
        for (j, (floats, rounded)) in rows.enumerate() {
            let first = j / out_channels * in_channels;
            let errors = floats.iter().zip(rounded).map(|(&w, &q)| f64::from(q) / factor - f64::from(w));
            bias[j] -= errors.enumerate().map(|(i, e)| e * f64::from(means[first + i / taps])).sum::<f64>();
        }
        weights.push(integers);
    }
    let factor = 2f64.powi(product);
    let bias: Vec<i64> = bias.iter().map(|&b| (b * factor).round() as i64).collect();
    let row_norm = row_norm_of(&weights, bias.len());
    QuantisedLinear { terms: weights, bias, row_norm }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scales_are_the_largest_that_fit() {
        assert_eq!(largest_frac(1.0, 511.0), 8);
        assert_eq!(largest_frac(1.0, 512.0), 9);
        assert_eq!(largest_frac(1024.0, 512.0), -1);
        assert_eq!(largest_frac(0.0, 512.0), ZERO_FRAC);
        assert_eq!(largest_frac(1e-300, 512.0), MOST_FRAC);
        assert_eq!(largest_frac(1e-9, 512.0), 38);
        assert_eq!(largest_scale(&[0.25, -0.5], 10), Some(9));
        assert_eq!(largest_scale(&[0.0], 10), None);
    }
}
