//! How the points of a transform lie in memory.

use zeroize::DefaultIsZeroes;

use super::f64x8::WIDTH;

/// Ring degree N.
pub const DEGREE: usize = 2048;

/// Complex points of a transform.
pub(super) const POINTS: usize = DEGREE / 2;

/// Eight complex points, on a cache line each for real and imaginary parts.
#[derive(Clone, Copy, Default)]
#[repr(C, align(64))]
pub(super) struct Point {
    pub(super) re: [f64; WIDTH],
    pub(super) im: [f64; WIDTH],
}

impl DefaultIsZeroes for Point {}

/// Vectors of points in one transform.
pub(super) const VECTORS: usize = POINTS / WIDTH;

/// Slots for vectors. One is left empty after every [`BLOCK`]: without that, the vectors of a
/// butterfly of the first two levels would all fall into one set of the first-level cache.
pub(super) const SLOTS: usize = BLOCKS * WIDE_STEP;

/// The points of one transform.
pub(super) type Points = [Point; SLOTS];

/// Blocks after the first two levels.
pub(super) const BLOCKS: usize = 4;
/// Vectors of a block.
pub(super) const BLOCK: usize = VECTORS / BLOCKS;
/// Distance between the vectors of a butterfly of the first two levels.
pub(super) const WIDE_STEP: usize = BLOCK + 1;

/// The slot of a vector.
pub(super) const fn slot(vector: usize) -> usize {
    vector + vector / BLOCK
}
