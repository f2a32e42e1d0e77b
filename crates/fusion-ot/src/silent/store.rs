//! Where an extension's outputs stand: provisional, so that nothing can be read, until the check
//! has passed; then handed out from the front.

use std::any::Any;
use std::ops::Range;

use fusion_ring::ot::lpn::Encoding;
use fusion_ring::secret::Wiped;
use fusion_ring::symmetric::aes::Block;
use zeroize::Zeroizing;

use super::check::Passed;
use super::pads::PadHash;
use super::parameters::Parameters;
use crate::OtError;
use crate::functionality::ChoiceBits;

/// A form in which an end that hashes with `H` keeps its outputs.
pub(super) trait Outputs<H: ?Sized>: Send + Sized + 'static {
    /// Room for `n` outputs.
    fn new(set: Parameters, n: usize) -> Self;

    /// Where outputs `at`, `at + 1`, ..., `len` in all, stand as blocks, if that is the form.
    fn room(&mut self, _at: usize, _len: usize) -> Option<&mut [Block]> {
        None
    }

    /// Makes outputs `at`, `at + 1`, ... of those of `encoding` in `range`, which it encodes first
    /// or meanwhile.
    fn keep(&mut self, hashing: &H, hash: &mut PadHash, encoding: &mut Encoding<'_>, range: Range<usize>, at: usize);
}

/// What users get of outputs that are kept as `O`.
pub(super) trait Collect<O>: Sized {
    /// Nothing yet, with room for `n` OTs.
    fn with_capacity(m: ChoiceBits, n: usize) -> Result<Self, OtError>;

    /// Appends the outputs in `range`.
    fn collect(&mut self, outputs: &O, range: Range<usize>);
}

/// Correlated blocks as they are.
pub(super) struct Blocks(Wiped<Block>);

impl Blocks {
    pub(super) fn part(&self, range: Range<usize>) -> &[Block] {
        &self.0[range]
    }
}

impl<H: ?Sized> Outputs<H> for Blocks {
    fn new(_: Parameters, n: usize) -> Self {
        Self(Wiped::new(n))
    }

    fn room(&mut self, at: usize, len: usize) -> Option<&mut [Block]> {
        Some(&mut self.0[at..][..len])
    }

    fn keep(&mut self, _: &H, _: &mut PadHash, encoding: &mut Encoding<'_>, range: Range<usize>, at: usize) {
        encoding.advance_to(range.end);
        self.0[at..][..range.len()].copy_from_slice(&encoding.outputs()[range]);
    }
}

/// What is left of the last extension, in the one form in which it was made.
#[derive(Default)]
pub(super) struct OutputQueue(Option<Box<dyn Any + Send>>);

impl OutputQueue {
    /// The outputs, if they have the form `O`.
    pub(super) fn released<O: 'static>(&mut self) -> Option<&mut Released<O>> {
        self.0.as_mut()?.downcast_mut()
    }

    /// Empties the queue. Of outputs of the form `O` the memory is used again.
    pub(super) fn take<O: 'static>(&mut self) -> Option<Box<Released<O>>> {
        self.0.take()?.downcast().ok()
    }

    /// Outputs in place of what there was.
    pub(super) fn put<O: Send + 'static>(&mut self, released: Box<Released<O>>) {
        self.0 = Some(released);
    }
}

/// Outputs of an extension that passed its check, given out from the front.
pub(super) struct Released<O> {
    outputs: O,
    used: usize,
    len: usize,
}

impl<O> Released<O> {
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
    pub(super) fn new<H: ?Sized>(set: Parameters, memory: Option<Box<Released<O>>>, reserve: Zeroizing<Vec<Block>>) -> Self
    where
        O: Outputs<H>,
    {
        debug_assert_eq!(reserve.len(), set.reserve());
        let outputs = memory.map_or_else(|| O::new(set, set.outputs() - set.reserve()), |released| released.outputs);
        Self { outputs, reserve, made: 0 }
    }

    /// Where the next tree's `n` outputs stand if they are kept as blocks: a tree that is grown and
    /// encoded there, see [`keep_room`](Self::keep_room), need not be copied.
    pub(super) fn room<H: ?Sized>(&mut self, n: usize) -> Option<&mut [Block]>
    where
        O: Outputs<H>,
    {
        self.outputs.room(self.made.checked_sub(self.reserve.len())?, n)
    }

    /// Keeps the `n` outputs that were made in [`room`](Self::room).
    pub(super) fn keep_room(&mut self, n: usize) {
        self.made += n;
    }

    /// Finishes the encoding of the next tree and keeps its outputs, hashed by `hash` if they are
    /// pads.
    pub(super) fn keep<H: ?Sized>(&mut self, hashing: &H, hash: &mut PadHash, mut encoding: Encoding<'_>)
    where
        O: Outputs<H>,
    {
        let n = encoding.outputs().len();
        let to_reserve = self.reserve.len().saturating_sub(self.made).min(n);
        if to_reserve > 0 {
            encoding.advance_to(to_reserve);
            self.reserve[self.made..][..to_reserve].copy_from_slice(&encoding.outputs()[..to_reserve]);
        }
        if to_reserve < n {
            self.outputs.keep(hashing, hash, &mut encoding, to_reserve..n, self.made + to_reserve - self.reserve.len());
        }
        self.made += n;
    }

    /// What can be given out, and what the next extension starts from.
    pub(super) fn release(self, _: Passed) -> (Box<Released<O>>, Zeroizing<Vec<Block>>) {
        (Box::new(Released { len: self.made - self.reserve.len(), outputs: self.outputs, used: 0 }), self.reserve)
    }
}
