//! Validation of private weights against their public program.

use super::{Op, Program, Weights};

/// Weights that are not the program's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WeightsError {
    /// A different number of linear steps.
    #[error("weights for {actual} linear steps, the program has {expected}")]
    Steps {
        /// In the program.
        expected: usize,
        /// In the weights.
        actual: usize,
    },
    /// An array of the wrong length.
    #[error("layer `{layer}`: {actual} {what}, the program says {expected}")]
    Length {
        /// The step's name.
        layer: String,
        /// Which array.
        what: &'static str,
        /// In the program.
        expected: usize,
        /// In the weights.
        actual: usize,
    },
    /// Weights beyond the public bounds that security and correctness of the linear layer rest on.
    #[error("layer `{layer}`: {what} exceeds {bound}, which the program states")]
    Bound {
        /// The step's name.
        layer: String,
        /// What is too large.
        what: &'static str,
        /// The bound.
        bound: u32,
    },
}

impl Weights {
    /// Checks that there is one array of the right length per convolution and that all stated
    /// bounds hold. The program must be valid.
    ///
    /// # Errors
    /// The first mismatch, with the layer's name.
    pub fn validate(&self, program: &Program) -> Result<(), WeightsError> {
        let mut linear = self.linear.iter();
        let expected = program.steps.iter().filter(|s| matches!(s.op, Op::Linear { .. })).count();
        if expected != self.linear.len() {
            return Err(WeightsError::Steps { expected, actual: self.linear.len() });
        }
        for step in &program.steps {
            let Op::Linear { terms, weight_bits, row_norm, .. } = &step.op else { continue };
            let Some(weights) = linear.next() else { break };
            let length = |what, expected: usize, actual: usize| {
                let layer = step.name.clone();
                if expected == actual { Ok(()) } else { Err(WeightsError::Length { layer, what, expected, actual }) }
            };
            let rows = program.tensors[step.output.0].shape.channels;
            length("convolutions", terms.len(), weights.terms.len())?;
            length("biases", rows, weights.bias.len())?;
            for (term, w) in terms.iter().zip(&weights.terms) {
                length("weights", term.geometry.weights(), w.len())?;
            }
            let bound = |what, holds: bool, bound: u32| {
                if holds { Ok(()) } else { Err(WeightsError::Bound { layer: step.name.clone(), what, bound }) }
            };
            let limit = 1u32 << (weight_bits - 1);
            let fits = weights.terms.iter().flatten().all(|w| u32::from(w.unsigned_abs()) <= limit);
            bound("a weight", fits, limit)?;
            let norm = row_norm_of(&weights.terms, rows);
            bound("a row's norm", norm <= *row_norm, *row_norm)?;
        }
        Ok(())
    }
}

/// The largest Euclidean norm of a row, rounded up: a row is one output channel's weights in all
/// terms.
#[must_use]
pub fn row_norm_of(terms: &[Vec<i16>], rows: usize) -> u32 {
    let square = |row: &[i16]| row.iter().map(|&w| u64::from(w.unsigned_abs()).pow(2)).sum::<u64>();
    let mut largest = 0;
    for row in 0..rows {
        let part = |t: &Vec<i16>| square(&t[row * (t.len() / rows)..][..t.len() / rows]);
        largest = largest.max(terms.iter().map(part).sum::<u64>());
    }
    let root = largest.isqrt();
    // A norm beyond all words breaks every bound that is stated.
    u32::try_from(root + u64::from(root * root < largest)).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::row_norm_of;

    #[test]
    fn row_norms_cover_all_terms() {
        assert_eq!(row_norm_of(&[vec![3, 4, 0, 0]], 2), 5);
        assert_eq!(row_norm_of(&[vec![3, 0], vec![4, 0]], 2), 5);
        assert_eq!(row_norm_of(&[vec![0, 0]], 2), 0);
        assert_eq!(row_norm_of(&[vec![1, 1]], 1), 2);
        assert_eq!(row_norm_of(&[vec![-32768]], 1), 32768);
    }
}
