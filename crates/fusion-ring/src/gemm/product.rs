//! Weights times rows.

use std::ops::Range;

use rayon::prelude::*;

use super::kernel;
use super::panels::{LINE, Panels};
use super::reduction::{TILE_OUT, WIDEST_STRIP};
use super::rows::WordRows;
use super::weights::PackedWeights;
use crate::secret::Wiped;
use crate::simd::{Tier, tier};

/// Outputs that are computed together: whole tiles, and so many that gathering panels is little
/// beside reading them.
pub(super) const OUTPUT_GROUP: usize = 32 * TILE_OUT;
/// Rows of at most so many bytes stay in a cache while all groups of outputs read them.
const CACHED_ROWS: usize = 8 << 20;
/// Positions of one task of a parallel product.
const POSITIONS_TOGETHER: usize = WIDEST_STRIP;

impl PackedWeights {
    /// Writes the product at positions `start..start + count` to `out[output * count + position]`,
    /// and resizes `out` for it.
    ///
    /// # Panics
    /// If `x` was made for other weights or is shorter than `start + count + max_offset`.
    pub fn multiply(&self, x: &WordRows, start: usize, count: usize, out: &mut Wiped<u32>) {
        self.multiply_on(tier(), x, start, count, out);
    }

    /// As [`PackedWeights::multiply`], with the positions spread over the rayon pool.
    ///
    /// # Panics
    /// As [`PackedWeights::multiply`].
    pub fn multiply_parallel(&self, x: &WordRows, start: usize, count: usize, out: &mut Wiped<u32>) {
        let starts = self.starts(x, start, count);
        out.resize(self.outputs * count);
        let blocks = (0..count).into_par_iter().step_by(POSITIONS_TOGETHER).map(|done| {
            let now = POSITIONS_TOGETHER.min(count - done);
            let mut block = Wiped::new(self.outputs * now);
            let place = Destination { out: &mut block, pitch: now, count: now };
            self.at_positions(tier(), x, &starts, 0..self.outputs, start + done, place);
            (done, block)
        });
        for (done, block) in blocks.collect::<Vec<_>>() {
            let now = POSITIONS_TOGETHER.min(count - done);
            for (row, values) in block.chunks_exact(now).enumerate() {
                out[row * count + done..row * count + done + now].copy_from_slice(values);
            }
        }
    }

    /// As [`PackedWeights::multiply`], for some outputs only, and with `pitch` values from one
    /// output to the next: writes to `out[(output - outputs.start) * pitch + position]`.
    ///
    /// # Panics
    /// As [`PackedWeights::multiply`], or if `outputs` does not begin at a multiple of
    /// [`PackedWeights::outputs_together`] or a row is longer than `pitch`.
    pub fn multiply_outputs(&self, x: &WordRows, outputs: Range<usize>, start: usize, count: usize, pitch: usize, out: &mut Wiped<u32>) {
        self.multiply_outputs_on(tier(), x, outputs, start, count, pitch, out);
    }

    /// How many outputs [`PackedWeights::multiply_outputs`] should compute at a time for the least
    /// traffic between caches and memory.
    #[must_use]
    pub fn outputs_together(&self, x: &WordRows) -> usize {
        let bytes = x.limbs().map(size_of_val).iter().sum::<usize>();
        if bytes <= CACHED_ROWS { OUTPUT_GROUP } else { self.outputs.next_multiple_of(OUTPUT_GROUP) }
    }

    pub(super) fn multiply_on(&self, tier: Tier, x: &WordRows, start: usize, count: usize, out: &mut Wiped<u32>) {
        self.multiply_outputs_on(tier, x, 0..self.outputs, start, count, count, out);
    }

    #[expect(clippy::too_many_arguments, reason = "the public functions' arguments and a tier")]
    fn multiply_outputs_on(
        &self,
        tier: Tier,
        x: &WordRows,
        outputs: Range<usize>,
        start: usize,
        count: usize,
        pitch: usize,
        out: &mut Wiped<u32>,
    ) {
        let starts = self.starts(x, start, count);
        assert!(outputs.start.is_multiple_of(OUTPUT_GROUP) && outputs.end <= self.outputs && count <= pitch, "outputs and pitch");
        out.resize(outputs.len() * pitch);
        let place = Destination { out, pitch, count };
        self.at_positions(tier, x, &starts, outputs, start, place);
    }

    /// Computes `outputs`, which begin with a whole tile, at the positions of `place`. The
    /// outermost loop is over strips of positions. What a block of steps reads there of both limbs
    /// is copied to panels without gaps, which stay in the first-level cache while the weights
    /// stream by.
    fn at_positions(&self, tier: Tier, x: &WordRows, starts: &[usize], outputs: Range<usize>, position: usize, mut place: Destination<'_>) {
        let strip = kernel::strip(tier);
        let tiles = outputs.start / TILE_OUT..outputs.end.div_ceil(TILE_OUT);
        let mut panels = Panels::new(strip);
        let together = panels.steps();
        let mut sums = Wiped::<u32>::new(tiles.len() * TILE_OUT * strip);
        for done in (0..place.count).step_by(strip) {
            let now = done..place.count.min(done + strip);
            // Without any step the sums are zeros: one empty block writes them.
            for first in (0..starts.len().max(1)).step_by(together) {
                let steps = first..starts.len().min(first + together);
                let last = steps.end == starts.len();
                let [low, high] = panels.gather(tier, x, &starts[steps.clone()], position + done);
                for (tile, sums) in tiles.clone().zip(sums.chunks_exact_mut(TILE_OUT * strip)) {
                    let rows = tile * TILE_OUT - outputs.start..outputs.end.min((tile + 1) * TILE_OUT) - outputs.start;
                    if last {
                        place.prefetch(rows.clone(), now.clone());
                    }
                    let weights = &self.data[tile * starts.len() * TILE_OUT..][steps.start * TILE_OUT..steps.end * TILE_OUT];
                    kernel::tile(tier, weights, low, high, first == 0, sums);
                    if last {
                        for (row, sums) in rows.zip(sums.chunks_exact(strip)) {
                            place.row(row, now.clone()).copy_from_slice(&sums[..now.len()]);
                        }
                    }
                }
            }
        }
    }

    /// Where in a limb of `x` the steps read, if it has all that they do.
    fn starts(&self, x: &WordRows, start: usize, count: usize) -> Vec<usize> {
        assert_eq!(x.pairs, self.reduction.pairs(), "row pairs");
        assert!(start + count + self.reduction.max_offset <= x.length, "rows are too short");
        self.reduction.steps.iter().map(|&(pair, offset)| pair * x.stride + offset).collect()
    }
}

/// Where the sums go.
struct Destination<'a> {
    out: &'a mut Wiped<u32>,
    /// Values from one output to the next.
    pitch: usize,
    /// Positions.
    count: usize,
}

impl Destination<'_> {
    fn row(&mut self, row: usize, positions: Range<usize>) -> &mut [u32] {
        &mut self.out[row * self.pitch + positions.start..row * self.pitch + positions.end]
    }

    /// Prefetches parts of some rows: the sums will be written there when the tile is done.
    fn prefetch(&self, rows: Range<usize>, positions: Range<usize>) {
        for row in rows {
            positions.clone().step_by(LINE).for_each(|at| kernel::prefetch(self.out, row * self.pitch + at));
        }
    }
}
