//! Levels of correlated GGM trees (Guo, Yang, Wang, Zhang, Xie, Liu, Zhao: "Half-Tree", EUROCRYPT
//! 2023).
//!
//! A level of n nodes is the lower half of 2n blocks. It becomes a level of 2n nodes, in place: one
//! child of node j at j, the other at n + j. With H(x) = E_K(s(x)) ^ s(x), s the orthomorphism of
//! [`crate::symmetric::hash`], and a public offset S, the left child of p is H(p ^ S) and the right
//! one H(p ^ S) ^ p: one cipher call for two children, and the sum of a level never changes. The
//! last level of a pseudorandom tree breaks the correlation: H(p ^ S) and H(p ^ S ^ 1).
//!
//! K and S are public, but a party that can influence a root must not know them beforehand, and no
//! two trees may share them: equal roots would make equal trees, and the messages about them would
//! reveal the correlation. The caller draws both afresh for every tree.

use zeroize::Zeroize;

use crate::simd::{per_tier, tier};
use crate::symmetric::aes::Aes128;
use crate::symmetric::block::Block;
pub use crate::symmetric::block::HalfTreeLevel;

/// Nodes of a row in [`add_at`].
const ROW: usize = 32;

/// Expands a correlated level under the tree's public `key`: left children to the lower half, right
/// ones to the upper half. `total` is the sum of the parents. Returns the sums of the two halves,
/// taken before children are masked by `keep`.
///
/// # Panics
/// If the number of blocks is odd.
pub fn expand(key: &Aes128, nodes: &mut [Block], total: Block, level: &HalfTreeLevel) -> [Block; 2] {
    let (lower, upper) = split(nodes);
    let sum = key.half_tree_level(lower, upper, level);
    [sum, sum ^ total]
}

/// Expands the last level of a pseudorandom tree: as [`expand`], with children that are unrelated
/// to each other.
///
/// # Panics
/// If the number of blocks is odd.
pub fn expand_last(key: &Aes128, nodes: &mut [Block], level: &HalfTreeLevel) -> [Block; 2] {
    let (lower, upper) = split(nodes);
    key.half_tree_last(lower, upper, level)
}

/// Adds `value` to node number `at`, in the same steps whatever `at` is: the position is secret.
///
/// # Panics
/// If the number of nodes is not a power of two.
pub fn add_at(nodes: &mut [Block], at: usize, value: Block) {
    assert!(nodes.len().is_power_of_two(), "a level has a power of two of nodes");
    add_at_by_tier(tier(), nodes, at, value);
}

per_tier! {
    /// See [`add_at`].
    add_at_by_tier = add_masked(nodes: &mut [Block], at: usize, value: Block)
}

#[inline(always)]
fn add_masked(nodes: &mut [Block], at: usize, value: Block) {
    // Only where the difference is zero does one less reach the top bit.
    let mask = |i: usize, j: usize| (((i ^ j) as u64).wrapping_sub(1) >> 63).wrapping_neg();
    // The value at its place in a row, then rows under a mask each: two operations per block.
    let columns = nodes.len().min(ROW);
    // Both are powers of two; a division's time may depend on what it divides.
    let (column, at_row) = (at & (columns - 1), at >> columns.trailing_zeros());
    let mut row = [0; 2 * ROW];
    for (i, words) in row[..2 * columns].as_chunks_mut::<2>().0.iter_mut().enumerate() {
        let mask = mask(i, column);
        *words = [value as u64 & mask, (value >> 64) as u64 & mask];
    }
    let words: &mut [u64] = bytemuck::cast_slice_mut(nodes);
    for (i, words) in words.chunks_exact_mut(2 * columns).enumerate() {
        // Not known to the compiler as all or nothing, for which it might branch.
        let mask = std::hint::black_box(mask(i, at_row));
        for (word, own) in words.iter_mut().zip(&row) {
            *word ^= own & mask;
        }
    }
    row.zeroize();
}

fn split(nodes: &mut [Block]) -> (&mut [Block], &mut [Block]) {
    assert!(nodes.len().is_multiple_of(2), "a level doubles");
    nodes.split_at_mut(nodes.len() / 2)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::symmetric::orthomorphism::sigma;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn levels_are_their_formula(
            parents in prop::collection::vec(any::<u128>(), 0..100),
            key: [u8; 16],
            offset: u128,
            keep in prop_oneof![any::<u128>(), Just(u128::MAX)],
        ) {
            let aes = Aes128::new(&key);
            let h = |x: Block| aes.encrypt_one(sigma(x)) ^ sigma(x);
            let n = parents.len();
            let how = HalfTreeLevel { offset, keep };
            let mut level = parents.clone();
            level.resize(2 * n, 0);
            let mut last = level.clone();
            let sums = expand(&aes, &mut level, parents.iter().fold(0, |sum, p| sum ^ p), &how);
            let last_sums = expand_last(&aes, &mut last, &how);
            let (mut expect, mut last_expect) = ([0; 2], [0; 2]);
            for (j, &p) in parents.iter().enumerate() {
                let children = [h(p ^ offset), h(p ^ offset) ^ p];
                prop_assert_eq!([level[j], level[n + j]], children.map(|c| c & keep));
                expect = [expect[0] ^ children[0], expect[1] ^ children[1]];
                let children = [h(p ^ offset), h(p ^ offset ^ 1)];
                prop_assert_eq!([last[j], last[n + j]], children.map(|c| c & keep));
                last_expect = [last_expect[0] ^ children[0], last_expect[1] ^ children[1]];
            }
            prop_assert_eq!((sums, last_sums), (expect, last_expect));
        }

        #[test]
        fn one_node_is_changed(log in 0u32..9, at: usize, value: u128) {
            let nodes: Vec<u128> = (0..1u128 << log).map(|i| i * i).collect();
            let at = at % nodes.len();
            let mut changed = nodes.clone();
            add_at(&mut changed, at, value);
            for tier in crate::simd::available() {
                let mut again = nodes.clone();
                add_at_by_tier(tier, &mut again, at, value);
                prop_assert_eq!(&again, &changed, "{:?}", tier);
            }
            let expect = nodes.iter().enumerate().map(|(i, node)| node ^ (value * u128::from(i == at)));
            prop_assert_eq!(changed, expect.collect::<Vec<_>>());
        }
    }
}
