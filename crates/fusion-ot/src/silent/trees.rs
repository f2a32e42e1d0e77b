//! One punctured tree: a noise position, as both parties expand it.
//!
//! Binary noise (Half-Tree, section 4): the sender's first level is (w, w + Delta), w its block of
//! the first level's correlation, and every level sums to Delta, so the leaf that the receiver
//! misses is the sum of the others plus Delta: nothing need be sent for it. Noise with values
//! (section 5): the last level breaks the correlation and a closing block brings the value in.
//!
//! The receiver expands all nodes as the sender does, the one that it misses among them: in its
//! place stands garbage, zero at first. What the garbage spoils, one node per level, is mended by
//! [`add_at`]: neither time nor the order of access depends on the noise position alpha.

use fusion_ring::ot::half_tree::{HalfTreeLevel, add_at, expand, expand_last};
use fusion_ring::symmetric::aes::Block;
use zeroize::Zeroizing;

use super::keys::LevelKeys;
use super::parameters::Parameters;

/// What both parties know of an extension's trees.
#[derive(Clone, Copy)]
pub(super) struct Shape {
    pub(super) parameters: Parameters,
}

/// One tree of an extension.
#[derive(Clone, Copy)]
pub(super) struct Tree<'k> {
    /// Its number, from zero.
    pub(super) number: usize,
    pub(super) keys: &'k LevelKeys,
}

/// The correlation of a last level, hashed under the tree's key: what it masks must not show it.
///
/// One cipher call is enough, as for pads: the key was drawn when the blocks were fixed.
pub(super) fn hash_last<const N: usize>(keys: &LevelKeys, correlation: [Block; N]) -> Zeroizing<[Block; N]> {
    let mut pads = Zeroizing::new(correlation);
    keys.last.mmo(&mut *pads);
    pads
}

impl Shape {
    pub(super) fn leaves(&self) -> usize {
        1 << self.parameters.depth()
    }

    fn is_last(&self, level: usize) -> bool {
        self.parameters.wide() && level + 1 == self.parameters.depth()
    }

    /// Expands level number `level` (from 1) in `nodes`, whose sum is `total`, see [`expand`];
    /// leaves lose their low bits.
    fn level(&self, keys: &LevelKeys, level: usize, nodes: &mut [Block], total: Block) -> [Block; 2] {
        let keep = if level + 1 == self.parameters.depth() { !self.parameters.choice_mask() } else { Block::MAX };
        let how = HalfTreeLevel { offset: keys.offset, keep };
        if self.is_last(level) { expand_last(&keys.nodes, nodes, &how) } else { expand(&keys.nodes, nodes, total, &how) }
    }

    /// The sender's leaves, low bits cleared, into `leaves`; hands the sums of all left and all
    /// right nodes of each level below the first to `sums`.
    pub(super) fn grow(&self, keys: &LevelKeys, root: Block, delta: Block, leaves: &mut [Block], mut sums: impl FnMut(usize, [Block; 2])) {
        leaves[0] = root;
        leaves[1] = root ^ delta;
        for level in 1..self.parameters.depth() {
            sums(level, self.level(keys, level, &mut leaves[..2 << level], delta));
        }
    }

    /// The receiver's leaves of `tree`, low bits cleared, but for the one at alpha, which carries
    /// its choice in them.
    pub(super) fn puncture(&self, keys: &LevelKeys, tree: &Punctured, leaves: &mut [Block]) {
        let keep = !self.parameters.choice_mask();
        // Zero in place of the missing node.
        leaves[..2].fill(0);
        add_at(&mut leaves[..2], (tree.alpha & 1) ^ 1, tree.far_sums[0]);
        let mut total = tree.far_sums[0];
        for (level, &far) in tree.far_sums.iter().enumerate().skip(1) {
            let nodes = &mut leaves[..2 << level];
            let [left, right] = self.level(keys, level, nodes, total);
            // Of the garbage's two children the one at alpha is garbage again. The other is one of
            // those that the peer's sum is of: what this side's sum lacks, it lacks.
            let right_is_near = (tree.alpha as Block >> level & 1).wrapping_neg();
            let mend = far ^ right ^ ((left ^ right) & right_is_near);
            let kept = if level + 1 == self.parameters.depth() { mend & keep } else { mend };
            add_at(nodes, (tree.alpha % (2 << level)) ^ (1 << level), kept);
            total = left ^ right ^ mend;
        }
        // The sum of the others is the total less the garbage, which goes away by being added.
        add_at(leaves, tree.alpha, tree.closing ^ (total & keep));
    }
}

/// What the receiver knows of a tree: enough to expand it.
#[derive(zeroize::Zeroize)]
pub(super) struct Punctured {
    /// The noise position; its bit i belongs to level i.
    pub(super) alpha: usize,
    /// For each level the sum of the nodes on the side away from alpha.
    pub(super) far_sums: Vec<Block>,
    /// Added to the sum of the other leaves it is the receiver's block at alpha.
    pub(super) closing: Block,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::functionality::ChoiceBits;
    use crate::silent::keys::ExtensionKeys;
    use crate::silent::parameters::ExtensionSize;
    use fusion_ring::symmetric::prg::Seed;

    #[test]
    fn the_receiver_has_all_leaves_but_one_and_delta_there() {
        for (m, value) in [(ChoiceBits::ONE, 1u128), (ChoiceBits::THREE, 5)] {
            let shape = Shape { parameters: Parameters::new(m, ExtensionSize::Small) };
            let keys = ExtensionKeys::new(&Seed::from([9; 16])).next_tree().levels;
            let depth = shape.parameters.depth();
            let delta = 0xfeed_beef_0000_0000_0000_0000_0000_0001u128;
            let mut sent = vec![0; shape.leaves()];
            let mut sides = vec![[0; 2]; depth];
            let root = 0xabcd_0000_1111_2222 << 40;
            sides[0] = [root, root ^ delta];
            shape.grow(&keys, root, delta, &mut sent, |level, sums| sides[level] = sums);
            let sum = sent.iter().fold(0, |sum, leaf| sum ^ leaf);
            assert_eq!((sides[depth - 1][0] ^ sides[depth - 1][1]) & !shape.parameters.choice_mask(), sum);
            for alpha in [0, 1, 37, shape.leaves() - 1] {
                let far = |(level, sums): (usize, &[Block; 2])| sums[1 ^ (alpha >> level & 1)];
                let far_sums = sides.iter().enumerate().map(far).collect();
                // Any product with the value will do here: the closing block is what the protocol
                // makes it.
                let at_alpha = if m == ChoiceBits::ONE { delta } else { (value * 0x1_0000) | value };
                let closing = if m == ChoiceBits::ONE { 1 } else { sum ^ at_alpha };
                let mut got = vec![77; shape.leaves()];
                shape.puncture(&keys, &Punctured { alpha, far_sums, closing }, &mut got);
                for x in 0..shape.leaves() {
                    assert_eq!(got[x] ^ sent[x], if x == alpha { at_alpha } else { 0 }, "alpha={alpha} x={x}");
                }
            }
        }
    }
}
