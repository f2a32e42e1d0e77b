//! The tree after the one in use: its leaves become outputs while pads are made of the other's.
//!
//! Pads wait for the cipher and the fold for the memory. So the entries that sixteen outputs of the coming tree need are asked for beside the rounds that make pads of sixteen outputs of the ready one,
//! and lie near when they are added up. Where there are few pads per output, or none, the fold goes faster by itself; it follows then.

use fusion_ring::aes::Block;
use fusion_ring::lpn::{BATCH, Folding, LocalCode};
use zeroize::Zeroizing;

/// The coming tree.
pub(super) struct Coming {
    /// Outputs so far as they are folded, then leaves.
    blocks: Zeroizing<Vec<Block>>,
    folding: Folding,
    folded: usize,
}

impl Coming {
    /// A tree of which only the leaves are there: `blocks`, a multiple of [`BATCH`]; its outputs have the numbers from `first`.
    pub(super) fn new(code: &LocalCode, first: u64, blocks: Zeroizing<Vec<Block>>) -> Self {
        debug_assert!(blocks.len().is_multiple_of(BATCH), "whole batches");
        Self { blocks, folding: code.begin(first), folded: 0 }
    }

    /// Folds batches until at least `to` outputs are there.
    #[inline(never)]
    fn reach(&mut self, to: usize, code: &LocalCode, table: &[Block]) {
        let (batches, _) = self.blocks[self.folded..].as_chunks_mut::<BATCH>();
        for batch in &mut batches[..to.saturating_sub(self.folded).div_ceil(BATCH)] {
            code.fold_batch(&mut self.folding, table, batch);
            self.folded += BATCH;
        }
    }

    /// Folds what is left; all outputs.
    pub(super) fn finish(mut self, code: &LocalCode, table: &[Block]) -> Zeroizing<Vec<Block>> {
        self.reach(self.blocks.len(), code, table);
        self.blocks
    }
}

/// How the coming tree, if there is one, keeps step with the use of the ready one.
pub(super) struct Ahead<'a> {
    pub(super) coming: Option<&'a mut Coming>,
    pub(super) code: &'a LocalCode,
    pub(super) table: &'a [Block],
    /// Outputs of the ready tree that are used up.
    pub(super) used: usize,
}

impl Ahead<'_> {
    /// What to call for each output of the ready tree when its pads are about to be made, if anything: every sixteenth call folds a batch, and all ask for entries that the next one needs.
    pub(super) fn beside(&mut self) -> Option<impl FnMut()> {
        let (code, table, used) = (self.code, self.table, &mut self.used);
        let coming = self.coming.as_deref_mut()?;
        Some(move || {
            if *used == coming.folded {
                coming.reach(*used + 1, code, table);
            }
            coming.folding.prefetch(*used, table);
            *used += 1;
        })
    }

    /// All outputs of the ready tree before `used` are used up: folds as many of the coming one.
    pub(super) fn follow(&mut self, used: usize) {
        self.used = used;
        if let Some(coming) = &mut self.coming {
            coming.reach(used, self.code, self.table);
        }
    }
}
