//! Weights times rows.

use std::ops::Range;

use rayon::prelude::*;

use super::kernel;
use super::reduction::{TILE_OUT, TILE_POS};
use super::rows::{LINE, LimbRows};
use super::weights::PackedWeights;
use crate::poly::residues::Residues;
use crate::secret::wipe;
use crate::simd::{Tier, tier};

/// Output tiles that are computed together, so that their weights and a window of one limb's rows
/// stay in the second-level cache.
const TILE_GROUP: usize = 8;
/// Outputs that are computed together.
pub(super) const OUTPUT_GROUP: usize = TILE_OUT * TILE_GROUP;
/// Rows of at most so many bytes stay in a cache while all groups of outputs read them. Of larger
/// rows only the window at one group of positions does.
const CACHED_ROWS: usize = 8 << 20;
/// Limbs whose sums are added up in 64 bits: 31 bits of a sum and two shifts of at most 15.
const JOINED_LIMBS: usize = 3;

impl PackedWeights {
    /// Writes the product at positions `start..start + count` to `out[output * count + position]`,
    /// modulo 2^128, and resizes `out` for it.
    ///
    /// # Panics
    /// If `x` was cut for other weights or is shorter than `start + count + max_offset`.
    pub fn multiply(&self, x: &LimbRows, start: usize, count: usize, out: &mut Residues) {
        self.multiply_on(tier(), x, start, count, out);
    }

    /// As [`PackedWeights::multiply`], with the positions spread over the rayon pool.
    ///
    /// # Panics
    /// As [`PackedWeights::multiply`].
    pub fn multiply_parallel(&self, x: &LimbRows, start: usize, count: usize, out: &mut Residues) {
        self.check(x, start, count);
        out.resize(self.outputs * count);
        let starts: Vec<usize> = (0..count).step_by(TILE_POS).collect();
        let blocks = starts.par_iter().map(|&done| {
            let now = TILE_POS.min(count - done);
            let mut block = Residues::default();
            block.resize(self.outputs * now);
            let mut sums = GroupSums::default();
            let place = Destination { out: &mut block, pitch: now, position: 0, count: now };
            self.at_positions(tier(), x, 0..self.outputs, start + done, &mut sums, place);
            block
        });
        for (done, block) in starts.iter().zip(blocks.collect::<Vec<_>>()) {
            let now = block.low.len() / self.outputs;
            let place = |row: usize| row * count + done..row * count + done + now;
            for (row, (low, high)) in block.low.chunks_exact(now).zip(block.high.chunks_exact(now)).enumerate() {
                out.low[place(row)].copy_from_slice(low);
                out.high[place(row)].copy_from_slice(high);
            }
        }
    }

    /// As [`PackedWeights::multiply`], for some outputs only, and with `pitch` values from one
    /// output to the next: writes to `out[(output - outputs.start) * pitch + position]`.
    ///
    /// # Panics
    /// As [`PackedWeights::multiply`], or if `outputs` does not begin at a multiple of
    /// [`PackedWeights::outputs_together`] or a row is longer than `pitch`.
    pub fn multiply_outputs(&self, x: &LimbRows, outputs: Range<usize>, start: usize, count: usize, pitch: usize, out: &mut Residues) {
        self.multiply_outputs_on(tier(), x, outputs, start, count, pitch, out);
    }

    /// How many outputs [`PackedWeights::multiply_outputs`] should compute at a time for the least
    /// traffic between caches and memory.
    #[must_use]
    pub fn outputs_together(&self, x: &LimbRows) -> usize {
        if size_of_val(x.cells()) <= CACHED_ROWS { OUTPUT_GROUP } else { self.outputs.next_multiple_of(OUTPUT_GROUP) }
    }

    pub(super) fn multiply_on(&self, tier: Tier, x: &LimbRows, start: usize, count: usize, out: &mut Residues) {
        self.multiply_outputs_on(tier, x, 0..self.outputs, start, count, count, out);
    }

    #[expect(clippy::too_many_arguments, reason = "the public functions' arguments and a tier")]
    fn multiply_outputs_on(
        &self,
        tier: Tier,
        x: &LimbRows,
        outputs: Range<usize>,
        start: usize,
        count: usize,
        pitch: usize,
        out: &mut Residues,
    ) {
        self.check(x, start, count);
        assert!(outputs.start.is_multiple_of(OUTPUT_GROUP) && outputs.end <= self.outputs && count <= pitch, "outputs and pitch");
        out.resize(outputs.len() * pitch);
        let mut sums = GroupSums::default();
        for done in (0..count).step_by(TILE_POS) {
            let now = TILE_POS.min(count - done);
            let place = Destination { out, pitch, position: done, count: now };
            self.at_positions(tier, x, outputs.clone(), start + done, &mut sums, place);
        }
    }

    /// Computes `outputs`, which begin with a whole group, at [`TILE_POS`] positions. Positions are
    /// the outermost loop of every product, and the loop over limbs is outside that over the tiles
    /// of a group, so that the window of the rows stays in the second-level cache while the weights
    /// stream by.
    fn at_positions(
        &self,
        tier: Tier,
        x: &LimbRows,
        outputs: Range<usize>,
        position: usize,
        sums: &mut GroupSums,
        mut place: Destination<'_>,
    ) {
        let steps = self.reduction.steps.len();
        let tiles = outputs.end.div_ceil(TILE_OUT);
        let limb_len = (x.pairs * x.stride) as isize;
        for first in (outputs.start / TILE_OUT..tiles).step_by(TILE_GROUP) {
            let group = first..tiles.min(first + TILE_GROUP);
            // After the last limb come the next outputs, or the next positions, which begin with
            // the first limb again.
            let next = if group.end == tiles { TILE_POS as isize } else { 0 };
            let wide = &mut sums.wide[..group.len()];
            for joined in (0..x.limbs).step_by(JOINED_LIMBS) {
                for limb in joined..x.limbs.min(joined + JOINED_LIMBS) {
                    let rows = &x.cells()[limb * x.pairs * x.stride..(limb + 1) * x.pairs * x.stride];
                    let ahead = if limb + 1 < x.limbs { limb_len } else { next - limb as isize * limb_len };
                    for (index, (tile, partial)) in group.clone().zip(&mut sums.partial).enumerate() {
                        // Each of four tiles prefetches one of the four cache lines of a window.
                        let line = (index % (TILE_POS / LINE) * LINE) as isize;
                        place.prefetch(tile * TILE_OUT - outputs.start, limb);
                        let weights = &self.data[tile * steps * TILE_OUT..(tile + 1) * steps * TILE_OUT];
                        kernel::tile(tier, weights, &self.reduction, rows, x.stride, position, ahead + line, &mut sums.limb);
                        kernel::join(tier, partial, &sums.limb, (limb - joined) as u32 * self.limb_bits);
                    }
                }
                for (wide, partial) in wide.iter_mut().zip(&sums.partial) {
                    kernel::accumulate(tier, wide, partial, joined as u32 * self.limb_bits);
                }
            }
            for (tile, wide) in group.zip(wide) {
                let first = tile * TILE_OUT;
                for output in first..outputs.end.min(first + TILE_OUT) {
                    let (low, high) = place.row(output - outputs.start);
                    wide.write(output - first, low, high);
                }
            }
        }
    }

    fn check(&self, x: &LimbRows, start: usize, count: usize) {
        assert_eq!(x.limb_bits, self.limb_bits, "rows were cut for other weights");
        assert_eq!(x.pairs, self.reduction.pairs(), "row pairs");
        assert!(start + count + self.reduction.max_offset <= x.length, "rows are too short");
    }
}

/// Where the sums at a few positions go.
struct Destination<'a> {
    out: &'a mut Residues,
    /// Values from one output to the next.
    pitch: usize,
    /// The first of the positions, and how many there are.
    position: usize,
    count: usize,
}

impl Destination<'_> {
    fn row(&mut self, output: usize) -> (&mut [u64], &mut [u64]) {
        let first = output * self.pitch + self.position;
        (&mut self.out.low[first..first + self.count], &mut self.out.high[first..first + self.count])
    }

    /// Prefetches cache line `line` of every row of the tile at `output`: the sums will be written
    /// there when all limbs are done.
    fn prefetch(&self, output: usize, line: usize) {
        for row in output..output + TILE_OUT {
            let at = row * self.pitch + self.position + line * (LINE / 2);
            kernel::prefetch(&self.out.low, at);
            kernel::prefetch(&self.out.high, at);
        }
    }
}

/// Sums of one group of tiles, before they are residues.
struct GroupSums {
    limb: kernel::Sums,
    partial: Vec<kernel::Partial>,
    wide: Vec<kernel::Wide>,
}

impl Default for GroupSums {
    fn default() -> Self {
        Self {
            limb: [[0; TILE_POS]; TILE_OUT],
            partial: vec![[[0; TILE_POS]; TILE_OUT]; TILE_GROUP],
            wide: (0..TILE_GROUP).map(|_| kernel::Wide::zero()).collect(),
        }
    }
}

impl Drop for GroupSums {
    fn drop(&mut self) {
        wipe(self.limb.as_flattened_mut());
        self.partial.iter_mut().for_each(|sums| wipe(sums.as_flattened_mut()));
        self.wide.iter_mut().for_each(kernel::Wide::wipe);
    }
}
