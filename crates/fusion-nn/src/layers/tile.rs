//! How layers are cut: their elements into tiles, their comparisons into digits.

use super::digits::Split;

/// Elements of a tile by default.
pub const TILE: usize = 1 << 18;

/// How layers are cut. Both parties must cut alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Cut {
    /// Elements that go through a protocol together: more mean fewer flights and more memory.
    pub tile: usize,
    /// How comparisons are cut.
    pub split: Split,
}

impl Default for Cut {
    fn default() -> Self {
        Self { tile: TILE, split: Split::default() }
    }
}

impl From<Split> for Cut {
    fn from(split: Split) -> Self {
        Self { split, ..Self::default() }
    }
}

/// A run of elements that go through a protocol together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Tile {
    start: usize,
    len: usize,
}

impl Tile {
    /// The tiles of `n` elements, of `size` elements each but for the last.
    pub(super) fn all(n: usize, size: usize) -> impl Iterator<Item = Self> {
        let size = size.max(1);
        (0..n).step_by(size).map(move |start| Self { start, len: (n - start).min(size) })
    }

    /// Number of elements.
    pub(super) fn len(self) -> usize {
        self.len
    }

    /// Its elements of a vector of all elements.
    pub(super) fn of<T>(self, all: &[T]) -> &[T] {
        &all[self.start..self.start + self.len]
    }

    /// As [`Tile::of`], to be written.
    pub(super) fn of_mut<T>(self, all: &mut [T]) -> &mut [T] {
        &mut all[self.start..self.start + self.len]
    }
}
