//! Which coefficients of a block are encrypted, and the inputs that lie under them.

use std::ops::Range;

use fusion_ring::secret::Wiped;

/// A cell that no input lies under: public zero padding.
pub(super) const PADDING: u32 = u32::MAX;

/// Cells of one phase in one block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Cells {
    /// Runs of consecutive coefficients that are encrypted.
    pub(crate) runs: Vec<Range<usize>>,
    /// For each encrypted coefficient the index of its input in the tensor of the channel
    /// (`[sample][row][column]`), or PADDING.
    pub(super) sources: Vec<u32>,
    /// The same as runs: consecutive sources in one copy.
    pub(super) copies: Vec<Copy>,
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

    /// Fills `out` with the words under the encrypted coefficients times 2^`shift`; zero under
    /// padding.
    pub(crate) fn gather(&self, channel: &[u32], shift: u32, out: &mut Wiped<u32>) {
        out.resize(self.sources.len());
        if self.copies.len() * SHORT_COPY > self.sources.len() {
            let found = self.sources.iter().map(|&source| channel.get(source as usize).map_or(0, |value| value << shift));
            out.iter_mut().zip(found).for_each(|(out, value)| *out = value);
            return;
        }
        let mut rest = &mut out[..];
        for copy in &self.copies {
            let (out, after) = rest.split_at_mut(copy.len);
            match copy.source {
                Some(source) => {
                    let values = &channel[source..source + copy.len];
                    out.iter_mut().zip(values).for_each(|(out, value)| *out = value << shift);
                }
                None => out.fill(0),
            }
            rest = after;
        }
    }

    /// Moves the values of the encrypted coefficients to the front, from one for each coefficient
    /// of the span.
    pub(crate) fn compact(&self, values: &mut Wiped<u32>) {
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
pub(super) struct Copy {
    source: Option<usize>,
    len: usize,
}

pub(super) fn copies(sources: &[u32]) -> Vec<Copy> {
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
