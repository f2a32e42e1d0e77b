//! What the float network says of a few images, before anything is planned: a network that reads
//! pixels otherwise than in its training answers worse, and nobody sees why.

use std::collections::BTreeMap;

use fusion_model::eval::EvalError;
use fusion_model::float;
use fusion_model::graph::Graph;
use rayon::prelude::*;

use crate::error::Error;
use crate::images::Sample;

/// Fewer images than this say nothing of how labels are spread.
const FEWEST: usize = 8;

/// The float network's labels of the images that it was calibrated on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Preview {
    /// Images.
    pub images: usize,
    /// Those that got the most frequent label.
    pub most_frequent: usize,
    /// Those whose true label is known.
    pub labelled: usize,
    /// Those of them that got it.
    pub right: usize,
    /// Those of them that truly have the most frequent of the true labels.
    pub most_frequent_truth: usize,
}

impl Preview {
    /// Runs the network on `tensors`, which are those of `samples`.
    pub(super) fn of(graph: &Graph, samples: &[Sample], tensors: &[Vec<f32>]) -> Result<Self, Error> {
        let label = |(index, image): (usize, &Vec<f32>)| match float::evaluate(graph, image) {
            Ok(logits) => Ok(u32::try_from(float::argmax(&logits)).unwrap_or(u32::MAX)),
            Err(error) => Err(EvalError::Image { index, error }),
        };
        let labels = tensors.par_iter().enumerate().map(label).collect::<Result<Vec<_>, EvalError>>()?;
        let truths: Vec<(u32, u32)> = labels.iter().zip(samples).filter_map(|(&label, sample)| Some((label, sample.label?))).collect();
        Ok(Self {
            images: labels.len(),
            most_frequent: most_frequent(labels.iter().copied()),
            labelled: truths.len(),
            right: truths.iter().filter(|(label, truth)| label == truth).count(),
            most_frequent_truth: most_frequent(truths.iter().map(|(_, truth)| *truth)),
        })
    }

    /// Whether nearly all images got one label, though they do not all have one.
    #[must_use]
    pub fn is_nearly_constant(&self) -> bool {
        let nearly_all = |count: usize, all: usize| all > 0 && 10 * count >= 9 * all;
        self.images >= FEWEST && nearly_all(self.most_frequent, self.images) && !nearly_all(self.most_frequent_truth, self.labelled)
    }
}

/// How often the most frequent label occurs.
fn most_frequent(labels: impl Iterator<Item = u32>) -> usize {
    let mut counts = BTreeMap::new();
    for label in labels {
        *counts.entry(label).or_insert(0usize) += 1;
    }
    counts.into_values().max().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_label_for_all_is_noticed_unless_it_is_the_truth() {
        let preview = Preview { images: 16, most_frequent: 15, labelled: 0, right: 0, most_frequent_truth: 0 };
        assert!(preview.is_nearly_constant());
        assert!(!Preview { most_frequent: 14, ..preview }.is_nearly_constant());
        assert!(!Preview { images: 7, most_frequent: 7, ..preview }.is_nearly_constant());
        assert!(Preview { labelled: 16, most_frequent_truth: 4, ..preview }.is_nearly_constant());
        assert!(!Preview { labelled: 16, right: 15, most_frequent_truth: 16, ..preview }.is_nearly_constant());
        assert_eq!(most_frequent([3, 1, 3, 2, 3].into_iter()), 3);
    }
}
