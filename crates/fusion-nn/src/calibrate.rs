//! Calibration: the range of every value of a network over some images.

use rayon::prelude::*;

use crate::float::{self, ImageError};
use crate::graph::Graph;

/// Smallest and largest number seen.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Range {
    /// Smallest.
    pub min: f32,
    /// Largest.
    pub max: f32,
}

impl Range {
    const EMPTY: Self = Self { min: f32::INFINITY, max: f32::NEG_INFINITY };

    fn of(values: &[f32]) -> Self {
        values.iter().fold(Self::EMPTY, |r, &x| Self { min: r.min.min(x), max: r.max.max(x) })
    }

    /// The smallest range that holds both.
    #[must_use]
    pub fn union(self, other: Self) -> Self {
        Self { min: self.min.min(other.min), max: self.max.max(other.max) }
    }

    /// Largest magnitude.
    #[must_use]
    pub fn magnitude(self) -> f64 {
        f64::from(self.min.abs().max(self.max.abs()))
    }

    /// Largest difference of two values.
    #[must_use]
    pub fn span(self) -> f64 {
        f64::from(self.max) - f64::from(self.min)
    }
}

/// The range of every node of a graph.
#[derive(Debug, Clone, PartialEq)]
pub struct Ranges {
    /// In the order of [`Graph::nodes`].
    pub nodes: Vec<Range>,
}

/// Why there are no ranges.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CalibrateError {
    /// There is nothing to calibrate with.
    #[error("calibration needs at least one image")]
    NoImages,
    /// An image has the wrong size.
    #[error("calibration image {index}: {source}")]
    Image {
        /// Which one.
        index: usize,
        /// What is wrong.
        source: ImageError,
    },
    /// A value of the network is not a finite number on this image.
    #[error("calibration image {index}: the value of node `{node}` is not finite")]
    NotFinite {
        /// Which image.
        index: usize,
        /// Where.
        node: String,
    },
}

/// Evaluates the graph on every image, in parallel, and joins the ranges.
///
/// # Errors
/// There are no images, one does not suit the network, or the network overflows on one.
pub fn calibrate(graph: &Graph, images: &[Vec<f32>]) -> Result<Ranges, CalibrateError> {
    let one = |(index, image): (usize, &Vec<f32>)| {
        let mut nodes = Vec::with_capacity(graph.nodes.len());
        let mut bad = None;
        float::visit(graph, image, |_, node, values| {
            if bad.is_none() && values.iter().any(|x| !x.is_finite()) {
                bad = Some(node.name.clone());
            }
            nodes.push(Range::of(values));
        })
        .map_err(|source| CalibrateError::Image { index, source })?;
        match bad {
            Some(node) => Err(CalibrateError::NotFinite { index, node }),
            None => Ok(Ranges { nodes }),
        }
    };
    let joined = images
        .par_iter()
        .enumerate()
        .map(one)
        .try_reduce_with(|a, b| Ok(Ranges { nodes: a.nodes.iter().zip(&b.nodes).map(|(x, y)| x.union(*y)).collect() }));
    joined.unwrap_or(Err(CalibrateError::NoImages))
}
