//! Levels of correlated GGM trees (Guo, Yang, Wang, Zhang, Xie, Liu, Zhao: "Half-Tree", EUROCRYPT 2023).
//!
//! A level of n nodes lies in the lower half of 2n blocks and becomes a level of 2n: one child of node j at j, the other at n + j. With H the circular correlation-robust hash
//! pi(s(x)) ^ s(x) of [`crate::hash`] and a public offset S, the left child of p is H(p ^ S) and the right one H(p ^ S) ^ p: one permutation call for two children,
//! and the sum of a level never changes. The last level of a pseudorandom tree breaks the correlation: H(p ^ S) and H(p ^ S ^ 1).

use crate::aes::{Block, fixed_key};

/// Expands a correlated level: the lower half gets the left children where `swap` is zero and the right ones where it is all ones, the upper half the others.
///
/// # Panics
/// If the number of blocks is odd.
pub fn expand(nodes: &mut [Block], swap: Block, offset: Block) {
    let (lower, upper) = halves(nodes);
    fixed_key().half_tree_level(lower, upper, swap, offset);
}

/// Expands the last level of a pseudorandom tree: as [`expand`], with children that are unrelated to each other.
///
/// # Panics
/// If the number of blocks is odd.
pub fn expand_last(nodes: &mut [Block], swap: Block, offset: Block) {
    let (lower, upper) = halves(nodes);
    fixed_key().half_tree_last(lower, upper, [offset ^ (swap & 1), offset ^ (!swap & 1)]);
}

fn halves(nodes: &mut [Block]) -> (&mut [Block], &mut [Block]) {
    assert!(nodes.len().is_multiple_of(2), "a level doubles");
    nodes.split_at_mut(nodes.len() / 2)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hash::ccr;
    use proptest::prelude::*;

    fn h(x: Block) -> Block {
        let mut one = [x];
        ccr(&mut one);
        one[0]
    }

    proptest! {
        #[test]
        fn levels_are_their_formula(parents in prop::collection::vec(any::<u128>(), 0..100), offset: u128, swapped: bool) {
            let n = parents.len();
            let swap = if swapped { u128::MAX } else { 0 };
            let mut level = parents.clone();
            level.resize(2 * n, 0);
            let mut last = level.clone();
            expand(&mut level, swap, offset);
            expand_last(&mut last, swap, offset);
            for (j, &p) in parents.iter().enumerate() {
                let (left, right) = (h(p ^ offset), h(p ^ offset) ^ p);
                prop_assert_eq!((level[j], level[n + j]), if swapped { (right, left) } else { (left, right) });
                let (left, right) = (h(p ^ offset), h(p ^ offset ^ 1));
                prop_assert_eq!((last[j], last[n + j]), if swapped { (right, left) } else { (left, right) });
            }
        }
    }
}
