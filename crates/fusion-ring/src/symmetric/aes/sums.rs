//! Where the kernels of [`super::many`] add up.

use zeroize::Zeroize;

use crate::symmetric::block::Block;

/// Most bits of a leaf's number.
pub(crate) const MOST_BITS: usize = 8;

/// Most blocks of each stream that a kernel expands at once.
pub(crate) const MOST_SPAN: usize = 28;

/// Where a kernel adds up: what it leaves there is read by [`Sums`]' methods alone.
#[derive(Clone)]
pub(crate) struct Sums {
    /// For each level the sum that waits for its neighbour.
    pub(super) waiting: [[Block; MOST_SPAN]; MOST_BITS],
    /// For each bit b the sum of the streams whose number has it.
    pub(super) bits: [[Block; MOST_SPAN]; MOST_BITS],
    /// The sum of all.
    pub(super) all: [Block; MOST_SPAN],
}

impl Sums {
    pub(crate) fn new() -> Self {
        Self { waiting: [[0; MOST_SPAN]; MOST_BITS], bits: [[0; MOST_SPAN]; MOST_BITS], all: [0; MOST_SPAN] }
    }

    /// The sum of the streams whose number has bit `b`.
    pub(crate) fn with_bit(&self, b: usize) -> &[Block; MOST_SPAN] {
        &self.bits[b]
    }

    /// The sum of all streams.
    pub(crate) fn of_all(&self) -> &[Block; MOST_SPAN] {
        &self.all
    }
}

impl Drop for Sums {
    fn drop(&mut self) {
        self.waiting.zeroize();
        self.bits.zeroize();
        self.all.zeroize();
    }
}
