//! Integer matrix products over wide residues: small signed weights times shifted rows modulo 2^w.
//!
//! ```text
//!   out[j][p] = sum over (row, tap)  weight[j][row][tap] * x[row][p + offset(row, tap)]      (mod 2^128, masked by the caller)
//! ```
//!
//! Rows are residues of up to 104 bits, cut into limbs of b <= 15 bits held as `i16`; weights are one `i16` each. Two rows with the same taps are
//! interleaved, so that the multiply-add of 16-bit pairs (`vpmaddwd`, or `vpdpwssd` on VNNI machines) does two rows at once into `i32`
//! accumulators.
//!
//! # Why 16-bit limbs
//! The design page cut residues and weights into bytes: 11 + 10 byte products for a 10-bit weight at w = 88, 64 per instruction: 0.33 instructions
//! per multiply-add. With 16-bit operands a weight is one limb, and the accumulator bound sum |w| * 2^b < 2^31 leaves room for b = 13 or more on
//! every ResNet50 layer: 7 products, 32 per instruction, 0.22 instructions, and it needs no VNNI.
//!
//! # Exactness
//! [`PackedWeights::new`] picks the widest b for which no accumulator can overflow, from the weights themselves.

mod kernel;

use std::ops::Range;

use rayon::prelude::*;

use crate::poly::residues::Residues;
use crate::secret::{Wiped, wipe};
use crate::simd::{Tier, tier};

/// Outputs that one register tile computes.
pub(crate) const TILE_OUT: usize = 6;
/// Positions that one register tile computes.
pub(crate) const TILE_POS: usize = 64;
/// Output tiles that are computed together: their weights and the window of one limb's rows stay in the second-level cache.
const TILE_GROUP: usize = 8;
/// Outputs that are computed together.
const OUTPUT_GROUP: usize = TILE_OUT * TILE_GROUP;
/// Rows of at most so many bytes are read again from a cache for every group of outputs; of larger ones only the window at one group of positions is.
const CACHED_ROWS: usize = 8 << 20;
/// Limbs whose sums are added up in 64 bits: 31 bits of a sum and two shifts of at most 15.
const JOINED_LIMBS: usize = 3;
/// Widest limb in bits: limbs are non-negative `i16`.
const MAX_LIMB_BITS: u32 = 15;

/// Which row pairs are read at which offsets: the reduction axis of the product, the same for every output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reduction {
    /// Number of rows (residue vectors).
    rows: usize,
    /// `(pair, offset)` of every step.
    steps: Vec<(usize, usize)>,
    max_offset: usize,
}

impl Reduction {
    /// `taps[r]` lists the offsets at which row r is read; rows 2i and 2i + 1 must have the same list (an odd last row stands alone).
    ///
    /// # Panics
    /// If the two rows of a pair differ: the caller lays rows out, no peer does.
    #[must_use]
    pub fn new(taps: &[&[usize]]) -> Self {
        let mut steps = Vec::new();
        for (pair, rows) in taps.chunks(2).enumerate() {
            assert!(rows.len() < 2 || rows[0] == rows[1], "rows of a pair share their taps");
            steps.extend(rows[0].iter().map(|&offset| (pair, offset)));
        }
        let max_offset = steps.iter().map(|s| s.1).max().unwrap_or(0);
        Self { rows: taps.len(), steps, max_offset }
    }

    /// Row pairs.
    #[must_use]
    pub fn pairs(&self) -> usize {
        self.rows.div_ceil(2)
    }

    /// Largest offset: a product over positions `0..n` reads `n + max_offset` residues of every row.
    #[must_use]
    pub fn max_offset(&self) -> usize {
        self.max_offset
    }
}

/// Weights in the order in which the kernels read them. Wiped on drop.
pub struct PackedWeights {
    reduction: Reduction,
    outputs: usize,
    limb_bits: u32,
    /// `[output tile][step][TILE_OUT]` pairs of `i16`, as `i32`.
    data: Wiped<i32>,
}

crate::opaque!(PackedWeights, LimbRows);

impl PackedWeights {
    /// Packs `weight(output, row, tap index)` for `outputs` outputs.
    ///
    /// # Errors
    /// The sum of |weights| of an output if it is so large that even 1-bit limbs overflow (2^30 or more).
    pub fn new(reduction: Reduction, outputs: usize, weight: impl Fn(usize, usize, usize) -> i16) -> Result<Self, u64> {
        let steps = reduction.steps.len();
        let tiles = outputs.div_ceil(TILE_OUT);
        let mut data = Wiped::new(tiles * steps * TILE_OUT);
        let mut largest = 0u64;
        for output in 0..outputs {
            let (tile, lane) = (output / TILE_OUT, output % TILE_OUT);
            let mut sum = 0u64;
            let mut tap = 0;
            for (step, &(pair, _)) in reduction.steps.iter().enumerate() {
                tap = if step > 0 && reduction.steps[step - 1].0 == pair { tap + 1 } else { 0 };
                let low = weight(output, 2 * pair, tap);
                let high = if 2 * pair + 1 < reduction.rows { weight(output, 2 * pair + 1, tap) } else { 0 };
                sum += u64::from(low.unsigned_abs()) + u64::from(high.unsigned_abs());
                data[(tile * steps + step) * TILE_OUT + lane] = i32::from(low) & 0xffff | i32::from(high) << 16;
            }
            largest = largest.max(sum);
        }
        let limb_bits = (1..=MAX_LIMB_BITS).rev().find(|&b| largest << b < 1 << 31).ok_or(largest)?;
        Ok(Self { reduction, outputs, limb_bits, data })
    }

    /// Bits per limb that rows for these weights must be cut into.
    #[must_use]
    pub fn limb_bits(&self) -> u32 {
        self.limb_bits
    }

    /// Number of outputs.
    #[must_use]
    pub fn outputs(&self) -> usize {
        self.outputs
    }

    /// The reduction axis.
    #[must_use]
    pub fn reduction(&self) -> &Reduction {
        &self.reduction
    }

    /// Multiply-adds of `i16` pairs' halves that a product over `positions` positions of `bits`-bit residues performs.
    #[must_use]
    pub fn limb_macs(&self, positions: usize, bits: u32) -> u64 {
        let limbs = u64::from(bits.div_ceil(self.limb_bits));
        2 * limbs * self.reduction.steps.len() as u64 * self.outputs as u64 * positions as u64
    }

    /// The product at positions `start..start + count`, written to `out[output * count + position]` modulo 2^128; `out` gets the size for that.
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

    /// As [`PackedWeights::multiply`], of some outputs only, `pitch` values from one to the next: written to `out[(output - outputs.start) * pitch + position]`.
    ///
    /// # Panics
    /// As [`PackedWeights::multiply`], or if `outputs` does not begin at a multiple of [`PackedWeights::outputs_together`] or a row is longer than `pitch`.
    pub fn multiply_outputs(&self, x: &LimbRows, outputs: Range<usize>, start: usize, count: usize, pitch: usize, out: &mut Residues) {
        self.multiply_outputs_on(tier(), x, outputs, start, count, pitch, out);
    }

    /// How many outputs [`PackedWeights::multiply_outputs`] should compute at a time so that neither the rows nor the sums go to memory and back more often than they must.
    #[must_use]
    pub fn outputs_together(&self, x: &LimbRows) -> usize {
        if size_of_val(x.cells()) <= CACHED_ROWS { OUTPUT_GROUP } else { self.outputs.next_multiple_of(OUTPUT_GROUP) }
    }

    fn multiply_on(&self, tier: Tier, x: &LimbRows, start: usize, count: usize, out: &mut Residues) {
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

    /// Outputs from a whole group on at [`TILE_POS`] positions. Positions are the outer loop of every product and
    /// limbs are outside of the tiles of a group, so that the window of the rows stays in the second-level cache while the weights stream by.
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
            // After the last limb the next outputs begin with the first again, or the next positions.
            let next = if group.end == tiles { TILE_POS as isize } else { 0 };
            let wide = &mut sums.wide[..group.len()];
            for joined in (0..x.limbs).step_by(JOINED_LIMBS) {
                for limb in joined..x.limbs.min(joined + JOINED_LIMBS) {
                    let rows = &x.cells()[limb * x.pairs * x.stride..(limb + 1) * x.pairs * x.stride];
                    let ahead = if limb + 1 < x.limbs { limb_len } else { next - limb as isize * limb_len };
                    for (index, (tile, partial)) in group.clone().zip(&mut sums.partial).enumerate() {
                        // Four tiles fetch the four lines of every window.
                        let line = (index % (TILE_POS / LINE) * LINE) as isize;
                        place.expect(tile * TILE_OUT - outputs.start, limb);
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

    /// Asks for line `line` of the rows of a tile from `output` on, of which the sums will be written when all limbs are done.
    fn expect(&self, output: usize, line: usize) {
        for row in output..output + TILE_OUT {
            let at = row * self.pitch + self.position + line * (LINE / 2);
            kernel::expect(&self.out.low, at);
            kernel::expect(&self.out.high, at);
        }
    }
}

/// Sums of one group of tiles on their way from limbs to values.
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

/// Rows of residues cut into limbs, two rows interleaved. Wiped on drop.
pub struct LimbRows {
    limb_bits: u32,
    limbs: usize,
    /// Width of the residues.
    bits: u32,
    pairs: usize,
    length: usize,
    /// Row length with slack for whole tiles.
    stride: usize,
    /// `[limb][pair][stride]` pairs of `i16`, as `i32`, after `skip` cells.
    data: Wiped<i32>,
    /// Cells before the first cache line.
    skip: usize,
}

/// Cells of a cache line.
const LINE: usize = 16;

impl LimbRows {
    /// All-zero rows of `length` residues of `bits` bits, cut as `weights` wants them.
    #[must_use]
    pub fn zeros(weights: &PackedWeights, bits: u32, length: usize) -> Self {
        Self::unset_in(Wiped::default(), weights, bits, length)
    }

    /// As [`LimbRows::zeros`], with unspecified residues instead of zeros: in the memory that [`LimbRows::into_memory`] of other rows gave back, with what they left there. Fresh pages of
    /// megabytes, and zeros that are written over, cost as much as cutting residues.
    #[must_use]
    pub fn unset_in(memory: Wiped<i32>, weights: &PackedWeights, bits: u32, length: usize) -> Self {
        let limbs = bits.div_ceil(weights.limb_bits) as usize;
        let pairs = weights.reduction.pairs();
        // Rows begin on cache lines, so that loads at whole tiles do not lie across two.
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

    fn cells(&self) -> &[i32] {
        &self.data[self.skip..self.skip + self.limbs * self.pairs * self.stride]
    }

    /// Sets every residue to zero.
    pub fn clear(&mut self) {
        self.data.fill(0);
    }

    /// Writes residues, modulo 2^bits of their halves, to row `row` from position `position` on.
    ///
    /// # Panics
    /// If the row or the range does not exist, or the halves are not as many.
    pub fn write(&mut self, row: usize, position: usize, low: &[u64], high: &[u64]) {
        self.write_on(tier(), row, position, low, high);
    }

    fn write_on(&mut self, tier: Tier, row: usize, position: usize, low: &[u64], high: &[u64]) {
        assert!(low.len() == high.len(), "halves of residues");
        assert!(row / 2 < self.pairs && position + low.len() <= self.length, "row and range exist");
        let first = row / 2 * self.stride + position;
        let upper = !row.is_multiple_of(2);
        // Every limb reads them again, from the first-level cache.
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

#[cfg(test)]
mod tests;
