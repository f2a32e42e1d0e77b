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

use std::ops::Range;

use fusion_ring::poly::fft::DEGREE;
use fusion_ring::secret::Wiped;

use crate::{ConvGeometry, RlweError, Shape};

/// Bound on any size of a layer, so that products of sizes never overflow.
const MAX_SIZE: usize = 1 << 28;

/// A cell that no input lies under: public zero padding.
const PADDING: u32 = u32::MAX;

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
    terms: Vec<ConvGeometry>,
    output: Shape,
    /// Cells between the starts of two lines, and lines between two samples.
    line: usize,
    lines: usize,
    reach: usize,
    pub(crate) phases: Vec<Phase>,
    rows: usize,
}

/// Cells of one phase in one block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Cells {
    /// Runs of consecutive coefficients that are encrypted.
    pub(crate) runs: Vec<Range<usize>>,
    /// For each encrypted coefficient the index of its input in the tensor of the channel
    /// (`[sample][row][column]`), or PADDING.
    sources: Vec<u32>,
    /// The same as runs: consecutive sources in one copy.
    copies: Vec<Copy>,
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
/// the other.
fn pitch(outputs: usize, extents: &[AxisExtent]) -> usize {
    let shift = extents.iter().map(|e| e.shift).max().unwrap_or(0);
    let first = extents.iter().map(|e| e.first).min().unwrap_or(0);
    let last = extents.iter().map(|e| e.last).max().unwrap_or(0);
    outputs.max(last + 1).max((outputs + shift).saturating_sub(first))
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
        let columns: Vec<AxisExtent> = terms
            .iter()
            .map(|t| AxisExtent::of(t.input.width, t.padding.left, t.kernel.1, t.stride.1, t.dilation.1, output.width))
            .collect();
        let rows: Vec<AxisExtent> = terms
            .iter()
            .map(|t| AxisExtent::of(t.input.height, t.padding.top, t.kernel.0, t.stride.0, t.dilation.0, output.height))
            .collect();
        let (line, lines) = (pitch(output.width, &columns), pitch(output.height, &rows));
        let mut layout = Self { terms: terms.to_vec(), output, line, lines, reach: 0, phases: Vec::new(), rows: 0 };
        for (index, term) in terms.iter().enumerate() {
            layout.add_phases(index, term);
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

    fn add_phases(&mut self, index: usize, term: &ConvGeometry) {
        let first = self.phases.len();
        for kernel in 0..term.kernel.0 * term.kernel.1 {
            let (y, x) = (kernel / term.kernel.1 * term.dilation.0, kernel % term.kernel.1 * term.dilation.1);
            let residue = (y % term.stride.0, x % term.stride.1);
            let offset = y / term.stride.0 * self.line + x / term.stride.1;
            let phase = self.phases[first..].iter().position(|p| p.residue == residue).map(|i| first + i);
            let phase = phase.unwrap_or_else(|| {
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

impl Cells {
    /// From the first encrypted coefficient to the last.
    pub(crate) fn span(&self) -> Range<usize> {
        match (self.runs.first(), self.runs.last()) {
            (Some(first), Some(last)) => first.start..last.end,
            _ => 0..0,
        }
    }

    /// Number of encrypted coefficients.
    pub(crate) fn len(&self) -> usize {
        self.sources.len()
    }

    /// Fills `out` with the inputs under the encrypted coefficients, modulo 2^l by `mask`; zero
    /// under padding.
    pub(crate) fn gather(&self, channel: &[u32], mask: u32, out: &mut Wiped<u32>) {
        out.resize(self.sources.len());
        if self.copies.len() * SHORT_COPY > self.sources.len() {
            let found = self.sources.iter().map(|&source| channel.get(source as usize).map_or(0, |value| value & mask));
            out.iter_mut().zip(found).for_each(|(out, value)| *out = value);
            return;
        }
        let mut rest = &mut out[..];
        for copy in &self.copies {
            let (out, after) = rest.split_at_mut(copy.len);
            match copy.source {
                Some(source) => {
                    let values = &channel[source..source + copy.len];
                    out.iter_mut().zip(values).for_each(|(out, value)| *out = value & mask);
                }
                None => out.fill(0),
            }
            rest = after;
        }
    }

    /// Moves the values of the encrypted coefficients to the front, from one for each coefficient
    /// of the span.
    pub(crate) fn compact(&self, values: &mut Wiped<u64>) {
        let first = self.span().start;
        let mut at = 0;
        for run in &self.runs {
            values.copy_within(run.start - first..run.end - first, at);
            at += run.len();
        }
        values.resize(at);
    }
}

/// Where copies are shorter than this on average, inputs are looked up one by one.
const SHORT_COPY: usize = 6;

/// Consecutive encrypted coefficients with consecutive inputs, or with padding.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Copy {
    source: Option<usize>,
    len: usize,
}

fn copies(sources: &[u32]) -> Vec<Copy> {
    let mut copies: Vec<Copy> = Vec::new();
    for &source in sources {
        let source = (source != PADDING).then_some(source as usize);
        match copies.last_mut() {
            Some(copy) if source == copy.source.map(|first| first + copy.len) => copy.len += 1,
            _ => copies.push(Copy { source, len: 1 }),
        }
    }
    copies
}

#[cfg(test)]
mod tests;
