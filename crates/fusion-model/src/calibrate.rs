//! Calibration: the range of every value of a network, and its mean per channel, over some images.

use rayon::prelude::*;

use crate::float;
use crate::graph::Graph;
use crate::program::ImageError;

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

/// What calibration learns about the nodes of a graph, in the order of [`Graph::nodes`].
#[derive(Debug, Clone, PartialEq)]
pub struct Ranges {
    /// The range of every node.
    pub nodes: Vec<Range>,
    /// The mean of every channel of every node, over positions and images.
    pub means: Vec<Vec<f32>>,
}

/// Sums over the images seen so far.
struct Sums {
    images: usize,
    nodes: Vec<Range>,
    /// Per node and channel, the sum over images of the mean over positions.
    channels: Vec<Vec<f64>>,
}

impl Sums {
    fn join(mut self, other: Self) -> Self {
        self.images += other.images;
        self.nodes.iter_mut().zip(other.nodes).for_each(|(a, b)| *a = a.union(b));
        for (a, b) in self.channels.iter_mut().flatten().zip(other.channels.into_iter().flatten()) {
            *a += b;
        }
        self
    }

    fn finish(self) -> Ranges {
        let mean = |sums: Vec<f64>| sums.into_iter().map(|s| (s / self.images as f64) as f32).collect();
        Ranges { nodes: self.nodes, means: self.channels.into_iter().map(mean).collect() }
    }
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

/// Evaluates the graph on every image, in parallel, and joins what is seen.
///
/// # Errors
/// There are no images, one does not suit the network, or the network overflows on one.
pub fn calibrate(graph: &Graph, images: &[Vec<f32>]) -> Result<Ranges, CalibrateError> {
    let one = |(index, image): (usize, &Vec<f32>)| {
        let mut sums = Sums { images: 1, nodes: Vec::new(), channels: Vec::new() };
        let mut bad = None;
        float::visit(graph, image, |_, node, values| {
            if bad.is_none() && values.iter().any(|x| !x.is_finite()) {
                bad = Some(node.name.clone());
            }
            sums.nodes.push(Range::of(values));
            let area = node.shape.area();
            let mean = |plane: &[f32]| plane.iter().map(|&x| f64::from(x)).sum::<f64>() / area as f64;
            sums.channels.push(values.chunks_exact(area).map(mean).collect());
        })
        .map_err(|source| CalibrateError::Image { index, source })?;
        match bad {
            Some(node) => Err(CalibrateError::NotFinite { index, node }),
            None => Ok(sums),
        }
    };
    let joined = images.par_iter().enumerate().map(one).try_reduce_with(|a, b| Ok(a.join(b)));
    joined.unwrap_or(Err(CalibrateError::NoImages)).map(Sums::finish)
}
