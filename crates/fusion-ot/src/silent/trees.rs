//! One punctured tree: a noise position, as both parties expand it.
//!
//! Binary noise (Half-Tree, section 4): the sender's first level is (w, w + Delta), w its block of
//! the first level's correlation, and every level sums to Delta, so the leaf that the receiver
//! misses is the sum of the others plus Delta: nothing need be sent for it. Noise with values
//! (section 5): the last level breaks the correlation and a closing block brings the value in.
//!
//! The receiver works in the order y = x ^ alpha, alpha its noise position, so that the missing
//! node is number 0 of every level and selection is by masks; only [`restore`], which brings leaf y
//! to place y ^ alpha, has an order of access (never its length) that depends on alpha.

use fusion_ring::ot::half_tree::{HalfTreeLevel, expand, expand_last};
use fusion_ring::symmetric::aes::Block;
use zeroize::Zeroizing;

use super::keys::LevelKeys;
use super::parameters::Parameters;

/// What both parties know of a round's trees.
#[derive(Clone, Copy)]
pub(super) struct Shape {
    pub(super) parameters: Parameters,
}

/// One tree of a round.
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
    fn level(&self, keys: &LevelKeys, level: usize, nodes: &mut [Block], total: Block, swap: Block) -> [Block; 2] {
        let keep = if level + 1 == self.parameters.depth() { !self.parameters.choice_mask() } else { Block::MAX };
        let how = HalfTreeLevel { swap, offset: keys.offset, keep };
        if self.is_last(level) { expand_last(&keys.nodes, nodes, &how) } else { expand(&keys.nodes, nodes, total, &how) }
    }

    /// The sender's leaves, low bits cleared, into `leaves`; hands the sums of all left and all
    /// right nodes of each level below the first to `sums`.
    pub(super) fn grow(&self, keys: &LevelKeys, root: Block, delta: Block, leaves: &mut [Block], mut sums: impl FnMut(usize, [Block; 2])) {
        leaves[0] = root;
        leaves[1] = root ^ delta;
        for level in 1..self.parameters.depth() {
            sums(level, self.level(keys, level, &mut leaves[..2 << level], delta, 0));
        }
    }

    /// The receiver's leaves of `tree`, low bits cleared, in the order of y, but for the missing
    /// one, which carries its choice in them.
    pub(super) fn puncture(&self, keys: &LevelKeys, tree: &Punctured, leaves: &mut [Block]) {
        leaves[0] = 0;
        leaves[1] = tree.far_sums[0];
        // Of all nodes but the missing one.
        let mut total = leaves[1];
        for (level, &far) in tree.far_sums.iter().enumerate().skip(1) {
            let n = 1 << level;
            let swap = (tree.alpha as Block >> level & 1).wrapping_neg();
            // What the missing node's garbage would become, to take it out of the sums again.
            let sums = self.level(keys, level, &mut leaves[..2 * n], total, swap);
            let garbage = self.garbage(keys, level, swap);
            // The children of the missing node: the near one is missing again, the far one is what
            // is missing of its side's sum.
            let far = far ^ sums[1] ^ garbage[1];
            total = sums[0] ^ garbage[0] ^ sums[1] ^ garbage[1] ^ far;
            leaves[0] = 0;
            leaves[n] = far;
        }
        let keep = !self.parameters.choice_mask();
        let last = leaves.len() / 2;
        leaves[last] &= keep;
        leaves[0] = tree.closing ^ (total & keep);
    }

    /// The children of the zero that stands for the missing node.
    fn garbage(&self, keys: &LevelKeys, level: usize, swap: Block) -> [Block; 2] {
        let mut nodes = [0; 2];
        let how = HalfTreeLevel { swap, offset: keys.offset, keep: Block::MAX };
        if self.is_last(level) { expand_last(&keys.nodes, &mut nodes, &how) } else { expand(&keys.nodes, &mut nodes, 0, &how) }
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

/// Leaves that stay together in [`restore`].
const LINE: usize = 16;

/// Brings leaf y of a receiver's tree to its place y ^ `alpha`; there are at least sixteen.
pub(super) fn restore(alpha: usize, leaves: &[Block], out: &mut [Block]) {
    let ((lines, _), (out, _)) = (leaves.as_chunks::<LINE>(), out.as_chunks_mut::<LINE>());
    for (line, out) in out.iter_mut().enumerate() {
        let leaves = &lines[line ^ (alpha / LINE)];
        for (place, out) in out.iter_mut().enumerate() {
            *out = leaves[place ^ (alpha % LINE)];
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::functionality::ChoiceBits;
    use crate::silent::keys::RoundKeys;
    use crate::silent::parameters::ExtensionSize;
    use fusion_ring::symmetric::prg::Seed;

    #[test]
    fn the_receiver_has_all_leaves_but_one_and_delta_there() {
        for (m, value) in [(ChoiceBits::ONE, 1u128), (ChoiceBits::THREE, 5)] {
            let shape = Shape { parameters: Parameters::new(m, ExtensionSize::Small) };
            let keys = RoundKeys::new(&Seed::from([9; 16])).next_tree().levels;
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
                let mut got = vec![0; shape.leaves()];
                let mut scratch = got.clone();
                shape.puncture(&keys, &Punctured { alpha, far_sums, closing }, &mut scratch);
                restore(alpha, &scratch, &mut got);
                for x in 0..shape.leaves() {
                    assert_eq!(got[x] ^ sent[x], if x == alpha { at_alpha } else { 0 }, "alpha={alpha} x={x}");
                }
            }
        }
    }
}
