//! Rows of residues, cut into limbs.

use super::kernel;
use super::reduction::TILE_POS;
use super::weights::PackedWeights;
use crate::secret::Wiped;
use crate::simd::{Tier, tier};

/// Rows of residues cut into limbs, two rows interleaved. Wiped on drop.
pub struct LimbRows {
    pub(super) limb_bits: u32,
    pub(super) limbs: usize,
    /// Width of the residues.
    bits: u32,
    pub(super) pairs: usize,
    pub(super) length: usize,
    /// Row length with slack for whole tiles.
    pub(super) stride: usize,
    /// `[limb][pair][stride]` pairs of `i16`, as `i32`, after `skip` cells.
    data: Wiped<i32>,
    /// Cells before the first cache line.
    skip: usize,
}

/// Cells of a cache line.
pub(super) const LINE: usize = 16;

crate::opaque!(LimbRows);

impl LimbRows {
    /// Rows of `length` zero residues of `bits` bits, cut for `weights`.
    #[must_use]
    pub fn zeros(weights: &PackedWeights, bits: u32, length: usize) -> Self {
        Self::unset_in(Wiped::default(), weights, bits, length)
    }

    /// As [`LimbRows::zeros`], but with unspecified residues: reuses the memory that
    /// [`LimbRows::into_memory`] of other rows returned, and leaves in it what it held. Allocating
    /// megabytes of fresh pages, or writing zeros that are overwritten, costs as much as cutting
    /// residues.
    #[must_use]
    pub fn unset_in(memory: Wiped<i32>, weights: &PackedWeights, bits: u32, length: usize) -> Self {
        let limbs = bits.div_ceil(weights.limb_bits) as usize;
        let pairs = weights.reduction.pairs();
        // Rows begin on cache lines, so that no load of a whole tile crosses one.
        let stride = (length + TILE_POS).next_multiple_of(LINE);
        let mut data = memory;
        data.resize(limbs * pairs * stride + LINE);
        let skip = data.as_ptr().align_offset(LINE * size_of::<i32>()).min(LINE);
        Self { limb_bits: weights.limb_bits, limbs, bits, pairs, length, stride, data, skip }
    }

    /// The memory, for [`LimbRows::unset_in`].
    #[must_use]
    pub fn into_memory(self) -> Wiped<i32> {
        self.data
    }

    pub(super) fn cells(&self) -> &[i32] {
        &self.data[self.skip..self.skip + self.limbs * self.pairs * self.stride]
    }

    /// Writes residues, given in halves and taken modulo 2^bits, to row `row` from `position` on.
    ///
    /// # Panics
    /// If the row or the range does not exist, or `low` and `high` differ in length.
    pub fn write(&mut self, row: usize, position: usize, low: &[u64], high: &[u64]) {
        self.write_on(tier(), row, position, low, high);
    }

    pub(super) fn write_on(&mut self, tier: Tier, row: usize, position: usize, low: &[u64], high: &[u64]) {
        assert!(low.len() == high.len(), "halves of residues");
        assert!(row / 2 < self.pairs && position + low.len() <= self.length, "row and range exist");
        let first = row / 2 * self.stride + position;
        let upper = !row.is_multiple_of(2);
        // Every limb reads a chunk again, from the first-level cache.
        const CHUNK: usize = 512;
        for (index, (low, high)) in low.chunks(CHUNK).zip(high.chunks(CHUNK)).enumerate() {
            for limb in 0..self.limbs {
                let cells = &mut self.data[self.skip + limb * self.pairs * self.stride + first + index * CHUNK..][..low.len()];
                let from = limb as u32 * self.limb_bits;
                kernel::cut(tier, low, high, from, self.limb_bits.min(self.bits - from), upper, cells);
            }
        }
    }
}
