//! Convolutions as shifted rows of ring polynomials.
//!
//! All samples of one channel lie one after another in a *stream* of cells, line by line. A kernel
//! tap is then a shift of the whole stream, which is a power of X on polynomials. Strides are
//! removed by space-to-depth: each *phase* (row and column residue modulo the stride) of a channel
//! is a row of its own. Neighbouring lines and samples share their padding cells.
//!
//! The stream is cut into blocks of N cells. Consecutive blocks overlap by the reach of the kernel,
//! so that every output is computed inside one block. In the block that starts at cell B, the tap
//! at offset o of output cell p reads coefficient p + o - B and writes coefficient p + reach - B:
//! the tap is X^(reach - o).

mod cells;

use std::collections::BTreeMap;

use fusion_ring::poly::fft::DEGREE;

pub(crate) use self::cells::Cells;
use self::cells::{PADDING, copies};
use crate::{ConvGeometry, RlweError, Shape};

/// Bound on any size of a layer, so that products of sizes never overflow.
const MAX_SIZE: usize = 1 << 28;

/// Most rows of a layer. A card may come from a malicious server; each row costs both parties time.
const MAX_ROWS: usize = 1 << 18;

/// The rows of one phase of one term: one row per input channel, all with the same taps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Phase {
    /// Index of the term.
    pub(crate) term: usize,
    /// Residues of the padded row and column index modulo the stride.
    residue: (usize, usize),
    /// `(kernel index, stream offset)` of every tap.
    pub(crate) taps: Vec<(usize, usize)>,
    /// Index of this phase's first row among the rows of the layer.
    pub(crate) first_row: usize,
}

/// How a linear layer lies in streams, independent of the number of samples.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    /// The layer's convolutions.
    terms: Vec<ConvGeometry>,
    output: Shape,
    /// Cells between the starts of two lines, and lines between two samples.
    line: usize,
    lines: usize,
    reach: usize,
    pub(crate) phases: Vec<Phase>,
    rows: usize,
}

/// One block of N cells for a given number of samples.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Block {
    /// Cells by phase.
    pub(crate) cells: Vec<Cells>,
    /// Coefficients that carry outputs, ascending; their outputs are consecutive from
    /// `first_output` on.
    pub(crate) outputs: Vec<u16>,
    /// Index of the first output in the tensor of a channel (`[sample][row][column]`).
    pub(crate) first_output: usize,
}

/// First and last index (from zero) along one axis that is a real input in some phase, clipped to
/// what is read, and the largest tap shift.
struct AxisExtent {
    first: usize,
    last: usize,
    shift: usize,
}

impl AxisExtent {
    fn of(size: usize, before: usize, kernel: usize, stride: usize, dilation: usize, outputs: usize) -> Self {
        let shift = (kernel - 1) * dilation / stride;
        let mut extent = Self { first: usize::MAX, last: 0, shift };
        for tap in 0..kernel {
            let residue = tap * dilation % stride;
            // Real where 0 <= index * stride + residue - before < size.
            let first = before.saturating_sub(residue).div_ceil(stride);
            let beyond = (size + before).saturating_sub(residue).div_ceil(stride).min(outputs + shift);
            if first < beyond {
                extent.first = extent.first.min(first);
                extent.last = extent.last.max(beyond - 1);
            }
        }
        extent
    }
}

/// Distance between the starts of two lines at which neither line's taps reach a real input of
/// the other. Terms are rows of their own, so each may be looked at alone.
fn pitch(outputs: usize, extents: &[AxisExtent]) -> usize {
    let alone = |e: &AxisExtent| (e.last + 1).max((outputs + e.shift).saturating_sub(e.first.min(outputs + e.shift)));
    extents.iter().map(alone).fold(outputs, usize::max)
}

impl Layout {
    /// Lays out a sum of convolutions that share an output shape.
    ///
    /// # Errors
    /// [`RlweError::Layout`] for impossible or oversized geometry, terms with different outputs, or
    /// a kernel that reaches over a whole block.
    pub fn new(terms: &[ConvGeometry]) -> Result<Self, RlweError> {
        let refuse = |why: &str| RlweError::Layout(why.to_owned());
        let first = terms.first().ok_or_else(|| refuse("a linear layer needs at least one term"))?;
        let output = first.output().ok_or_else(|| refuse("impossible convolution geometry"))?;
        for term in terms {
            let p = term.padding;
            let sizes = [
                (term.input.channels, term.input.area()),
                (term.out_channels, output.area()),
                (term.kernel.0.saturating_mul(term.kernel.1), term.input.channels),
                (p.top + p.bottom + term.input.height, p.left + p.right + term.input.width),
                (term.dilation.0.saturating_mul(term.kernel.0), term.dilation.1.saturating_mul(term.kernel.1)),
            ];
            if sizes.iter().any(|&(a, b)| a.saturating_mul(b) > MAX_SIZE) || term.stride.0.max(term.stride.1) > MAX_SIZE {
                return Err(refuse("a size of a convolution is out of range"));
            }
            if term.output() != Some(output) {
                return Err(refuse("the terms of a linear layer have different output shapes"));
            }
        }
        let terms = terms.to_vec();
        let columns: Vec<AxisExtent> = terms
            .iter()
            .map(|t| AxisExtent::of(t.input.width, t.padding.left, t.kernel.1, t.stride.1, t.dilation.1, output.width))
            .collect();
        let rows: Vec<AxisExtent> = terms
            .iter()
            .map(|t| AxisExtent::of(t.input.height, t.padding.top, t.kernel.0, t.stride.0, t.dilation.0, output.height))
            .collect();
        let (line, lines) = (pitch(output.width, &columns), pitch(output.height, &rows));
        let mut layout = Self { terms, output, line, lines, reach: 0, phases: Vec::new(), rows: 0 };
        let rows_of = |t: &ConvGeometry| t.kernel.0.min(t.stride.0) * t.kernel.1.min(t.stride.1) * t.input.channels;
        if layout.terms.iter().map(rows_of).fold(0, usize::saturating_add) > MAX_ROWS {
            return Err(RlweError::Layout(format!("more than {MAX_ROWS} rows of polynomials: too many channels or too wide a stride")));
        }
        for index in 0..layout.terms.len() {
            layout.add_phases(index);
        }
        layout.reach = layout.phases.iter().flat_map(|p| p.taps.iter().map(|t| t.1)).max().unwrap_or(0);
        if layout.reach >= DEGREE / 2 {
            return Err(RlweError::Layout(format!(
                "a kernel reaches over {} cells where a block has {DEGREE}: the image is too wide for this convolution",
                layout.reach
            )));
        }
        Ok(layout)
    }

    fn add_phases(&mut self, index: usize) {
        let term = self.terms[index];
        let mut phase_of = BTreeMap::new();
        for kernel in 0..term.kernel.0 * term.kernel.1 {
            let (y, x) = (kernel / term.kernel.1 * term.dilation.0, kernel % term.kernel.1 * term.dilation.1);
            let residue = (y % term.stride.0, x % term.stride.1);
            let offset = y / term.stride.0 * self.line + x / term.stride.1;
            let phase = *phase_of.entry(residue).or_insert_with(|| {
                self.phases.push(Phase { term: index, residue, taps: Vec::new(), first_row: self.rows });
                self.rows += term.input.channels;
                self.phases.len() - 1
            });
            self.phases[phase].taps.push((kernel, offset));
        }
    }

    /// The convolutions.
    #[must_use]
    pub fn terms(&self) -> &[ConvGeometry] {
        &self.terms
    }

    /// Rows of a phase that each of `groups` groups of channels reads.
    pub(crate) fn rows_per_group(&self, phase: &Phase, groups: usize) -> usize {
        self.terms[phase.term].input.channels / groups
    }

    /// Output shape of one sample.
    #[must_use]
    pub fn output(&self) -> Shape {
        self.output
    }

    /// Input rows: polynomials that are encrypted per block.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Largest tap offset in cells.
    pub(crate) fn reach(&self) -> usize {
        self.reach
    }

    fn cell(&self, output: usize) -> usize {
        let (sample, rest) = (output / self.output.area(), output % self.output.area());
        (sample * self.lines + rest / self.output.width) * self.line + rest % self.output.width
    }

    /// Cells between the starts of two blocks.
    fn step(&self) -> usize {
        DEGREE - self.reach
    }

    /// Blocks that `samples` samples take.
    ///
    /// # Panics
    /// Never for `samples` up to 2^16 (sizes are bounded by [`Layout::new`]).
    #[must_use]
    pub fn blocks(&self, samples: usize) -> usize {
        if samples == 0 { 0 } else { self.cell(samples * self.output.area() - 1) / self.step() + 1 }
    }

    /// The blocks of a batch of `samples` samples.
    pub(crate) fn cut(&self, samples: usize) -> Vec<Block> {
        let mut blocks = self.cut_outputs(samples);
        for (index, block) in blocks.iter_mut().enumerate() {
            let start = index * self.step();
            block.cells = self.phases.iter().map(|phase| self.cells(phase, start, &block.outputs, samples)).collect();
        }
        blocks
    }

    /// As [`Layout::cut`], without the cells that are encrypted.
    pub(crate) fn cut_outputs(&self, samples: usize) -> Vec<Block> {
        let total = samples * self.output.area();
        let mut blocks = Vec::with_capacity(self.blocks(samples));
        let mut next = 0;
        let mut position = Position { sample: 0, y: 0, x: 0 };
        for index in 0..self.blocks(samples) {
            let start = index * self.step();
            let first_output = next;
            let mut outputs = Vec::new();
            while next < total {
                let cell = (position.sample * self.lines + position.y) * self.line + position.x;
                if cell >= start + self.step() {
                    break;
                }
                outputs.push((cell - start + self.reach) as u16);
                next += 1;
                position.advance(self.output.width, self.output.height);
            }
            blocks.push(Block { cells: Vec::new(), outputs, first_output });
        }
        blocks
    }

    fn cells(&self, phase: &Phase, start: usize, outputs: &[u16], samples: usize) -> Cells {
        let mut needed = vec![false; DEGREE];
        for &output in outputs {
            for &(_, offset) in &phase.taps {
                needed[usize::from(output) - self.reach + offset] = true;
            }
        }
        let mut cells = Cells { runs: Vec::new(), sources: Vec::new(), copies: Vec::new() };
        let (line, x) = (start / self.line, start % self.line);
        let mut position = Position { sample: line / self.lines, y: line % self.lines, x };
        for (coefficient, needed) in needed.into_iter().enumerate() {
            let here = position;
            position.advance(self.line, self.lines);
            if !needed {
                continue;
            }
            match cells.runs.last_mut() {
                Some(run) if run.end == coefficient => run.end += 1,
                _ => cells.runs.push(coefficient..coefficient + 1),
            }
            cells.sources.push(self.source(phase, here, samples));
        }
        cells.copies = copies(&cells.sources);
        cells
    }

    /// Which input lies at a position of a phase.
    fn source(&self, phase: &Phase, Position { sample, y, x }: Position, samples: usize) -> u32 {
        let term = &self.terms[phase.term];
        let row = (y * term.stride.0 + phase.residue.0).checked_sub(term.padding.top);
        let column = (x * term.stride.1 + phase.residue.1).checked_sub(term.padding.left);
        match (row, column) {
            (Some(row), Some(column)) if sample < samples && row < term.input.height && column < term.input.width => {
                (sample * term.input.area() + row * term.input.width + column) as u32
            }
            _ => PADDING,
        }
    }
}

/// A position in a stack of images.
#[derive(Clone, Copy)]
struct Position {
    sample: usize,
    y: usize,
    x: usize,
}

impl Position {
    /// The next one, in images of `width` by `height`. By counting: divisions would cost more than
    /// everything else here.
    fn advance(&mut self, width: usize, height: usize) {
        self.x += 1;
        if self.x == width {
            (self.x, self.y) = (0, self.y + 1);
        }
        if self.y == height {
            (self.y, self.sample) = (0, self.sample + 1);
        }
    }
}

impl Block {
    /// First coefficient that carries an output, and how many coefficients from there to the last
    /// one.
    pub(crate) fn span(&self) -> (usize, usize) {
        match (self.outputs.first(), self.outputs.last()) {
            (Some(&first), Some(&last)) => (usize::from(first), usize::from(last - first) + 1),
            _ => (0, 0),
        }
    }
}

#[cfg(test)]
mod tests;
