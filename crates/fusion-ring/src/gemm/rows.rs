//! Rows of words, cut into limbs.

use super::kernel;
use super::reduction::WIDEST_STRIP;
use super::weights::PackedWeights;
use crate::secret::Wiped;
use crate::simd::{Tier, tier};

/// Rows of words modulo 2^32 cut into two limbs, two rows interleaved. Wiped on drop.
pub struct WordRows {
    pub(super) pairs: usize,
    pub(super) length: usize,
    /// Row length with slack for a whole strip.
    pub(super) stride: usize,
    /// `[limb][pair][stride]` pairs of `i16`, as `i32`.
    data: Wiped<i32>,
}

crate::opaque!(WordRows);

impl WordRows {
    /// Rows of `length` zeros, for `weights`.
    #[must_use]
    pub fn zeros(weights: &PackedWeights, length: usize) -> Self {
        Self::unset_in(Wiped::default(), weights, length)
    }

    /// As [`WordRows::zeros`], but with unspecified words: reuses the memory that
    /// [`WordRows::into_memory`] of other rows returned, and leaves in it what it held. Allocating
    /// megabytes of fresh pages, or writing zeros that are overwritten, costs as much as cutting
    /// words.
    #[must_use]
    pub fn unset_in(memory: Wiped<i32>, weights: &PackedWeights, length: usize) -> Self {
        let pairs = weights.reduction.pairs();
        let stride = length + WIDEST_STRIP;
        let mut data = memory;
        data.resize(2 * pairs * stride);
        Self { pairs, length, stride, data }
    }

    /// The memory, for [`WordRows::unset_in`].
    #[must_use]
    pub fn into_memory(self) -> Wiped<i32> {
        self.data
    }

    /// The lower and the upper limb.
    pub(super) fn limbs(&self) -> [&[i32]; 2] {
        let (low, high) = self.data.split_at(self.pairs * self.stride);
        [low, high]
    }

    /// Writes words to row `row` from `position` on.
    ///
    /// # Panics
    /// If the row or the range does not exist.
    pub fn write(&mut self, row: usize, position: usize, words: &[u32]) {
        self.write_on(tier(), row, position, words);
    }

    pub(super) fn write_on(&mut self, tier: Tier, row: usize, position: usize, words: &[u32]) {
        assert!(row / 2 < self.pairs && position + words.len() <= self.length, "row and range exist");
        let first = row / 2 * self.stride + position;
        let (low, high) = self.data.split_at_mut(self.pairs * self.stride);
        let cells = first..first + words.len();
        kernel::cut(tier, words, !row.is_multiple_of(2), &mut low[cells.clone()], &mut high[cells]);
    }
}
