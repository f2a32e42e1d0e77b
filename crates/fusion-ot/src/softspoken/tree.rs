//! All-but-one OT: a tree of seeds of which the receiver learns every leaf but one.
//!
//! Roy, "SoftSpokenOT", CRYPTO 2022, section 6 (punctured PRF from GGM) with its consistency check
//! for malicious senders: every leaf also yields a tag of 256 bits, and the sender publishes the
//! sum and a hash of all tags. A sender whose tree is not a tree is caught unless it guessed bits
//! of the receiver's index, and then learns only that it guessed right (the abort).
//!
//! Nodes are AES keys, and every tree has them encrypt blocks of its own (from a salt of the run
//! and the number of the tree on): a guess of a hidden node can be compared with one tree, not with
//! all trees of all lanes at once.
//!
//! The receiver keeps its nodes in the order y = x ^ hidden index, so that the missing one is
//! always number 0 and no access depends on a secret.

use fusion_ring::symmetric::aes::{Aes128, Block};
use fusion_ring::symmetric::prg::Seed;
use sha3::{Digest, Sha3_256};
use zeroize::Zeroizing;

use crate::OtError;

/// Depth k of the trees: less traffic for more computation. Both parties must use the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum TreeDepth {
    /// 63 bits and 2 AES calls per row.
    Two,
    /// 31 bits and 4 AES calls per row.
    #[default]
    Four,
    /// 15 bits and 32 AES calls per row.
    Eight,
}

impl TreeDepth {
    /// The depth.
    pub(super) const fn k(self) -> usize {
        match self {
            Self::Two => 2,
            Self::Four => 4,
            Self::Eight => 8,
        }
    }
}

/// Two children of a tree node, or the tag of a leaf.
type Pair = [Block; 2];

/// Bytes of the sender's message for a tree of depth `k`.
pub(super) const fn message_len(k: usize) -> usize {
    32 * k + 64
}

/// The first `N` blocks of a node's stream, which starts at the tree's `salt`.
pub(super) fn stretch<const N: usize>(salt: Block, node: Block) -> [Block; N] {
    let mut out = std::array::from_fn(|i| salt.wrapping_add(i as Block));
    Aes128::new(&node.to_le_bytes()).encrypt(&mut out);
    out
}

fn hash_tags(tags: &[Pair]) -> [u8; 32] {
    let mut hash = Sha3_256::new();
    hash.update(b"fusion all-but-one tags");
    for tag in tags.as_flattened() {
        hash.update(tag.to_le_bytes());
    }
    hash.finalize().into()
}

/// Swaps if `mask` is all ones, does not if it is zero, in the same time.
fn swap_if(mask: Block, a: &mut Block, b: &mut Block) {
    let differ = (*a ^ *b) & mask;
    *a ^= differ;
    *b ^= differ;
}

/// The sender's side: grows a tree from `root` under the tree's `salt`, one level per base OT in
/// `keys`; returns the 2^k seeds and appends the message to `out`.
pub(super) fn grow(salt: Block, root: &Seed, keys: &[Pair], out: &mut Vec<u8>) -> Zeroizing<Vec<Block>> {
    let mut nodes = Zeroizing::new(vec![Block::from_le_bytes(*root.as_bytes())]);
    for key in keys {
        nodes = Zeroizing::new(nodes.iter().flat_map(|&node| stretch::<2>(salt, node)).collect());
        let (pairs, _) = nodes.as_chunks::<2>();
        for side in 0..2 {
            let sum = pairs.iter().fold(0, |acc, pair| acc ^ pair[side]);
            out.extend_from_slice(&(sum ^ key[side]).to_le_bytes());
        }
    }
    let mut seeds = Zeroizing::new(Vec::with_capacity(nodes.len()));
    let mut tags = Zeroizing::new(Vec::with_capacity(nodes.len()));
    for &leaf in nodes.iter() {
        let [seed, t0, t1] = stretch::<3>(salt, leaf);
        seeds.push(seed);
        tags.push([t0, t1]);
    }
    let sum = tags.iter().fold([0; 2], |acc: Pair, t| [acc[0] ^ t[0], acc[1] ^ t[1]]);
    out.extend_from_slice(&sum[0].to_le_bytes());
    out.extend_from_slice(&sum[1].to_le_bytes());
    out.extend_from_slice(&hash_tags(&tags));
    seeds
}

/// The receiver's side: `hidden` holds one mask (all ones or zero) per level, the bits of the index
/// that it will not learn, first level first; `keys` the base OT keys at the opposite choices.
/// Returns the 2^k seeds in the order y, number 0 being zero.
///
/// # Errors
/// [`OtError::PeerMisbehaved`] if the message is not that of a tree.
pub(super) fn regrow(salt: Block, hidden: &[Block], keys: &[Block], message: &[u8]) -> Result<Zeroizing<Vec<Block>>, OtError> {
    let (blocks, _) = message.as_chunks::<16>();
    let block = |i: usize| Block::from_le_bytes(blocks[i]);
    let mut nodes = Zeroizing::new(vec![0]);
    for (level, (&bit, &key)) in hidden.iter().zip(keys).enumerate() {
        let mut children = Zeroizing::new(Vec::with_capacity(2 * nodes.len()));
        for &node in nodes.iter() {
            let [mut near, mut far] = stretch::<2>(salt, node);
            swap_if(bit, &mut near, &mut far);
            children.extend([near, far]);
        }
        let (mut left, mut right) = (block(2 * level), block(2 * level + 1));
        swap_if(bit, &mut left, &mut right);
        // The sum of all nodes on the side away from the hidden path, of which number 1 (its parent
        // is hidden) is not known yet.
        let known = children.iter().skip(3).step_by(2).fold(0, |acc, node| acc ^ node);
        children[0] = 0;
        children[1] = right ^ key ^ known;
        nodes = children;
    }

    let mut seeds = Zeroizing::new(Vec::with_capacity(nodes.len()));
    let mut tags = Zeroizing::new(Vec::with_capacity(nodes.len()));
    let at = 2 * hidden.len();
    let mut missing: Pair = [block(at), block(at + 1)];
    for &leaf in nodes.iter() {
        let [seed, t0, t1] = stretch::<3>(salt, leaf);
        seeds.push(seed);
        tags.push([t0, t1]);
    }
    for tag in &tags[1..] {
        missing = [missing[0] ^ tag[0], missing[1] ^ tag[1]];
    }
    seeds[0] = 0;
    tags[0] = missing;
    // Back to the sender's order: for every set bit of the hidden index, exchange the leaves that
    // differ in it.
    for (level, &bit) in hidden.iter().rev().enumerate() {
        let stride = 1 << level;
        for group in tags.chunks_mut(2 * stride) {
            let (low, high) = group.split_at_mut(stride);
            for (a, b) in low.iter_mut().flatten().zip(high.iter_mut().flatten()) {
                swap_if(bit, a, b);
            }
        }
    }
    // Both hashes are of values that the sender knows or guesses; comparing them in variable time
    // tells it no more than the abort.
    if hash_tags(&tags)[..] == message[message.len() - 32..] {
        Ok(seeds)
    } else {
        Err(OtError::PeerMisbehaved("all-but-one OT: tree consistency"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SALT: Block = 0x5a17;

    fn keys(k: usize) -> Vec<Pair> {
        (0..k as Block).map(|i| [i * 77 + 1, i * 99 + 5]).collect()
    }

    fn hidden(index: usize, k: usize) -> Vec<Block> {
        (0..k).rev().map(|bit| ((index >> bit) as Block & 1).wrapping_neg()).collect()
    }

    fn chosen(keys: &[Pair], hidden: &[Block]) -> Vec<Block> {
        keys.iter().zip(hidden).map(|(key, &bit)| key[if bit == 0 { 1 } else { 0 }]).collect()
    }

    #[test]
    fn every_leaf_but_the_hidden_one() {
        for k in [1, 2, 4, 8] {
            for index in [0, 1, (1 << k) / 2, (1 << k) - 1] {
                let keys = keys(k);
                let mut message = Vec::new();
                let all = grow(SALT, &Seed::from(42), &keys, &mut message);
                assert_eq!((all.len(), message.len()), (1 << k, message_len(k)));
                let hidden = hidden(index, k);
                let known = regrow(SALT, &hidden, &chosen(&keys, &hidden), &message).unwrap();
                for y in 0..1 << k {
                    assert_eq!(known[y], if y == 0 { 0 } else { all[y ^ index] }, "k={k} index={index} y={y}");
                }
            }
        }
    }

    /// Equal roots make unrelated trees where salts differ.
    #[test]
    fn a_tree_belongs_to_its_salt() {
        let (a, b) = [SALT, SALT + (1 << 64)].map(|salt| grow(salt, &Seed::from(42), &keys(4), &mut Vec::new())).into();
        assert!(a.iter().all(|seed| !b.contains(seed)));
    }

    /// A flipped bit in a correction shows unless the receiver does not use that correction:
    /// selective failure reveals one bit of the index by the abort, no more.
    #[test]
    fn a_sender_without_a_tree_is_caught() {
        let k = 4;
        let keys = keys(k);
        let mut message = Vec::new();
        grow(SALT, &Seed::from(42), &keys, &mut message);
        let index = 0b0110;
        let hidden = hidden(index, k);
        let own = chosen(&keys, &hidden);
        let mut caught = Vec::new();
        for at in (0..message.len()).step_by(16) {
            let mut wrong = message.clone();
            wrong[at] ^= 1;
            let outcome = regrow(SALT, &hidden, &own, &wrong);
            caught.push(outcome.is_err());
            if let Err(error) = outcome {
                assert_eq!(error, OtError::PeerMisbehaved("all-but-one OT: tree consistency"));
            }
        }
        // Left and right corrections of the four levels, then sum and hash.
        assert_eq!(caught, [false, true, true, false, true, false, false, true, true, true, true, true]);
    }
}
