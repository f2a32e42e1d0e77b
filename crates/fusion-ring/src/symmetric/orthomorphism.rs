//! The linear orthomorphism in the hashes and trees: a permutation whose sum with the identity is a
//! permutation too.

use crate::symmetric::block::Block;

/// The linear orthomorphism s(L, R) = (L ^ R, L) on halves of 64 bits, L the upper one.
pub(crate) fn sigma(x: Block) -> Block {
    let (left, right) = ((x >> 64) as u64, x as u64);
    (Block::from(left ^ right) << 64) | Block::from(left)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// An orthomorphism: both s and x -> x ^ s(x) are permutations, that is, linear with
        /// trivial kernel.
        #[test]
        fn sigma_is_a_linear_orthomorphism(x: u128, y: u128) {
            prop_assert_eq!(sigma(x) ^ sigma(y), sigma(x ^ y));
            prop_assert_eq!(sigma(x) == 0, x == 0);
            prop_assert_eq!(sigma(x) == x, x == 0);
        }
    }
}
