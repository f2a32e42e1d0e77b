//! One punctured tree: a noise position, as both parties expand it.
//!
//! Binary noise (Half-Tree, section 4): the sender's first level is (w, w + Delta), w its block of the first level's correlation, and every level sums to Delta, so the leaf that the receiver
//! misses is the sum of the others plus Delta: nothing need be sent for it. Noise with values (section 5): the last level breaks the correlation and a closing block
//! brings the value in.
//!
//! The receiver works in the order y = x ^ alpha, alpha its noise position, so that the missing node is number 0 of every level and selection is by masks; only the last step, which writes leaf y to
//! place y ^ alpha, has an order of access (never its length) that depends on alpha.

use fusion_ring::aes::Block;
use fusion_ring::half_tree::{expand, expand_last};

use super::parameters::Parameters;

/// What both parties know of a round's trees.
#[derive(Clone, Copy)]
pub(super) struct Shape {
    pub(super) parameters: Parameters,
    /// Public offset of the hash.
    pub(super) offset: Block,
}

impl Shape {
    pub(super) fn leaves(&self) -> usize {
        1 << self.parameters.depth()
    }

    fn is_last(&self, level: usize) -> bool {
        self.parameters.wide() && level + 1 == self.parameters.depth()
    }

    /// Expands level number `level` (from 1) in `nodes`.
    fn level(&self, level: usize, nodes: &mut [Block], swap: Block) {
        if self.is_last(level) {
            expand_last(nodes, swap, self.offset);
        } else {
            expand(nodes, swap, self.offset);
        }
    }

    /// The sender's leaves, low bits cleared, into `leaves`; hands the sums of all left and all right nodes of each level below the first to `sums`.
    pub(super) fn grow(&self, root: Block, delta: Block, leaves: &mut [Block], mut sums: impl FnMut(usize, Block, Block)) {
        leaves[0] = root;
        leaves[1] = root ^ delta;
        for level in 1..self.parameters.depth() {
            let n = 1 << level;
            self.level(level, &mut leaves[..2 * n], 0);
            let left = sum(&leaves[..n]);
            // A correlated level sums to Delta.
            let right = if self.is_last(level) { sum(&leaves[n..2 * n]) } else { left ^ delta };
            sums(level, left, right);
        }
        self.clear_low(leaves);
    }

    /// As [`Shape::grow`] without the sums.
    pub(super) fn regrow(&self, root: Block, delta: Block, leaves: &mut [Block]) {
        leaves[0] = root;
        leaves[1] = root ^ delta;
        for level in 1..self.parameters.depth() {
            self.level(level, &mut leaves[..2 << level], 0);
        }
        self.clear_low(leaves);
    }

    /// The receiver's leaves of `tree`, choices in their low bits, into `leaves`; `scratch` is as long.
    pub(super) fn puncture(&self, tree: &Punctured, scratch: &mut [Block], leaves: &mut [Block]) {
        scratch[0] = 0;
        scratch[1] = tree.far_sums[0];
        for (level, &far) in tree.far_sums.iter().enumerate().skip(1) {
            let n = 1 << level;
            let swap = (tree.alpha as Block >> level & 1).wrapping_neg();
            self.level(level, &mut scratch[..2 * n], swap);
            // The children of the missing node: the near one is missing again, the far one is what is missing of its side's sum.
            scratch[0] = 0;
            scratch[n] = far ^ sum(&scratch[n + 1..2 * n]);
        }
        self.clear_low(scratch);
        scratch[0] = tree.closing ^ sum(&scratch[1..]);
        for (y, leaf) in scratch.iter().enumerate() {
            leaves[y ^ tree.alpha] = *leaf;
        }
    }

    fn clear_low(&self, blocks: &mut [Block]) {
        let keep = !self.parameters.choice_mask();
        for block in blocks {
            *block &= keep;
        }
    }
}

/// What the receiver keeps of a tree: enough to expand it again.
#[derive(zeroize::Zeroize)]
pub(super) struct Punctured {
    /// The noise position; its bit i belongs to level i.
    pub(super) alpha: usize,
    /// For each level the sum of the nodes on the side away from alpha.
    pub(super) far_sums: Vec<Block>,
    /// Added to the sum of the other leaves it is the receiver's block at alpha.
    pub(super) closing: Block,
}

/// Tweak of the hashed correlation of a last level, number `n` of its engine: apart from all tweaks of pads, which are 64 bits long, and of engines of other widths.
pub(super) fn level_tweak(parameters: Parameters, n: u64) -> Block {
    (1 << 127) | Block::from(parameters.choice_bits().bits()) << 64 | Block::from(n)
}

/// Sum of blocks.
pub(super) fn sum(blocks: &[Block]) -> Block {
    blocks.iter().fold(0, |acc, block| acc ^ block)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::functionality::ChoiceBits;
    use crate::silent::parameters::RoundSize;

    #[test]
    fn the_receiver_has_all_leaves_but_one_and_delta_there() {
        for (m, value) in [(ChoiceBits::ONE, 1u128), (ChoiceBits::THREE, 5)] {
            let shape = Shape { parameters: Parameters::new(m, RoundSize::B10), offset: 0x1234_5678 };
            let depth = shape.parameters.depth();
            let delta = 0xfeed_beef_0000_0000_0000_0000_0000_0001u128;
            let mut sent = vec![0; shape.leaves()];
            let mut sides = vec![(0, 0); depth];
            let root = 0xabcd_0000_1111_2222 << 40;
            sides[0] = (root, root ^ delta);
            shape.grow(root, delta, &mut sent, |level, left, right| sides[level] = (left, right));
            let mut again = vec![0; shape.leaves()];
            shape.regrow(root, delta, &mut again);
            assert_eq!(sent, again);
            for alpha in [0, 1, 37, shape.leaves() - 1] {
                let far = |(level, &(left, right)): (usize, &(Block, Block))| if alpha >> level & 1 == 0 { right } else { left };
                let far_sums = sides.iter().enumerate().map(far).collect();
                // Any product with the value will do here: the closing block is what the protocol makes it.
                let at_alpha = if m == ChoiceBits::ONE { delta } else { (value * 0x1_0000) | value };
                let closing = if m == ChoiceBits::ONE { 1 } else { sum(&sent) ^ at_alpha };
                let mut got = vec![0; shape.leaves()];
                let mut scratch = got.clone();
                shape.puncture(&Punctured { alpha, far_sums, closing }, &mut scratch, &mut got);
                for x in 0..shape.leaves() {
                    assert_eq!(got[x] ^ sent[x], if x == alpha { at_alpha } else { 0 }, "alpha={alpha} x={x}");
                }
            }
        }
    }
}
