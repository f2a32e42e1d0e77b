//! Where an extension's outputs stand: provisional, so that nothing can be read, until the check
//! has passed; then handed out from the front.

use std::ops::Range;

use fusion_ring::ot::lpn::Encoding;
use fusion_ring::secret::Wiped;
use fusion_ring::symmetric::aes::Block;
use zeroize::Zeroizing;

use super::check::Passed;
use super::engine::End;
use super::pads::PadHash;
use super::parameters::Parameters;

/// A form in which the outputs of one end are kept.
pub(super) trait Outputs<E: End>: Sized {
    /// Room for `n` outputs.
    fn new(set: Parameters, n: usize) -> Self;

    /// Makes outputs `at`, `at + 1`, ... of those of `encoding` in `range`, which it encodes first
    /// or meanwhile.
    fn keep(&mut self, end: &E, hash: &mut PadHash, encoding: &mut Encoding<'_>, range: Range<usize>, at: usize);

    /// The place of this form.
    fn place(stocks: &mut Stocks<E>) -> &mut Option<Stock<Self>>;
}

/// Correlated blocks as they are.
pub(super) struct Blocks(Wiped<Block>);

impl Blocks {
    pub(super) fn part(&self, range: Range<usize>) -> &[Block] {
        &self.0[range]
    }
}

impl<E: End> Outputs<E> for Blocks {
    fn new(_: Parameters, n: usize) -> Self {
        Self(Wiped::new(n))
    }

    fn keep(&mut self, _: &E, _: &mut PadHash, encoding: &mut Encoding<'_>, range: Range<usize>, at: usize) {
        encoding.advance_to(range.end);
        self.0[at..][..range.len()].copy_from_slice(&encoding.outputs()[range]);
    }

    fn place(stocks: &mut Stocks<E>) -> &mut Option<Stock<Self>> {
        &mut stocks.blocks
    }
}

/// What is left of the last extension: one form at most.
pub(super) struct Stocks<E: End> {
    pub(super) blocks: Option<Stock<Blocks>>,
    pub(super) pads: Option<Stock<E::Pads>>,
    pub(super) bits: Option<Stock<E::Bits>>,
}

impl<E: End> Stocks<E> {
    pub(super) const fn none() -> Self {
        Self { blocks: None, pads: None, bits: None }
    }
}

/// Outputs of an extension that passed its check, given out from the front.
pub(super) struct Stock<O> {
    outputs: O,
    used: usize,
    len: usize,
}

impl<O> Stock<O> {
    /// At most `most` outputs: where they are.
    pub(super) fn take(&mut self, most: usize) -> (&O, Range<usize>) {
        let range = self.used..self.len.min(self.used + most);
        self.used = range.end;
        (&self.outputs, range)
    }

    /// Whether none is left.
    pub(super) fn is_empty(&self) -> bool {
        self.used == self.len
    }
}

/// What an extension has made so far, not yet checked: there is no way to read it.
pub(super) struct Provisional<O> {
    outputs: O,
    /// The first outputs: what the next extension starts from.
    reserve: Zeroizing<Vec<Block>>,
    /// Outputs so far.
    made: usize,
}

impl<O> Provisional<O> {
    /// Nothing yet; in the memory of an earlier extension's outputs and in `reserve`.
    pub(super) fn new<E: End>(set: Parameters, memory: Option<Stock<O>>, reserve: Zeroizing<Vec<Block>>) -> Self
    where
        O: Outputs<E>,
    {
        debug_assert_eq!(reserve.len(), set.reserve());
        let outputs = memory.map_or_else(|| O::new(set, set.outputs() - set.reserve()), |stock| stock.outputs);
        Self { outputs, reserve, made: 0 }
    }

    /// Finishes the encoding of the next tree and keeps its outputs, hashed by `hash` if they are
    /// pads.
    pub(super) fn keep<E: End>(&mut self, end: &E, hash: &mut PadHash, mut encoding: Encoding<'_>)
    where
        O: Outputs<E>,
    {
        let n = encoding.outputs().len();
        let to_reserve = self.reserve.len().saturating_sub(self.made).min(n);
        if to_reserve > 0 {
            encoding.advance_to(to_reserve);
            self.reserve[self.made..][..to_reserve].copy_from_slice(&encoding.outputs()[..to_reserve]);
        }
        if to_reserve < n {
            self.outputs.keep(end, hash, &mut encoding, to_reserve..n, self.made + to_reserve - self.reserve.len());
        }
        self.made += n;
    }

    /// What can be given out, and what the next extension starts from.
    pub(super) fn release(self, _: Passed) -> (Stock<O>, Zeroizing<Vec<Block>>) {
        (Stock { len: self.made - self.reserve.len(), outputs: self.outputs, used: 0 }, self.reserve)
    }
}
