//! Hashes from one public permutation pi (AES-128 under a fixed key), for correlated inputs in bulk.
//!
//! - [`tmmo`]: H(x, i) = pi(pi(x) ^ i) ^ pi(x), *tweakable circular correlation robust* if pi is an ideal permutation
//!   (Guo, Katz, Wang, Yu: "Efficient and secure multiparty computation from fixed-key block ciphers", S&P 2020, section 7.4). It breaks the correlation of
//!   OT outputs: sum of Deltas under distinct or repeated tweaks. Two permutation calls per block.
//! - [`ccr`]: H(x) = pi(s(x)) ^ s(x) with the linear orthomorphism s(L, R) = (L ^ R, L), *circular correlation robust* (same paper, section 7.3).
//!   One call per block; for trees whose inputs never repeat.

use crate::aes::{Block, fixed_key};

/// Blocks hashed at once; the copies stay in the first-level cache.
const BATCH: usize = 64;

/// Replaces block `j` by H(block, `first_tweak + j / per_tweak`): `per_tweak` consecutive blocks share a tweak.
///
/// # Panics
/// If `per_tweak` is zero.
pub fn tmmo(blocks: &mut [Block], first_tweak: Block, per_tweak: usize) {
    assert!(per_tweak > 0, "blocks per tweak");
    let pi = fixed_key();
    let mut tweak = first_tweak;
    let mut used = 0;
    let mut tweaks = [0; BATCH];
    for part in blocks.chunks_mut(BATCH) {
        let tweaks = &mut tweaks[..part.len()];
        for slot in tweaks.iter_mut() {
            if used == per_tweak {
                tweak = tweak.wrapping_add(1);
                used = 0;
            }
            used += 1;
            *slot = tweak;
        }
        pi.tmmo(part, tweaks);
    }
}

/// The linear orthomorphism s(L, R) = (L ^ R, L) on halves of 64 bits, L the upper one.
pub(crate) fn sigma(x: Block) -> Block {
    let (left, right) = ((x >> 64) as u64, x as u64);
    (Block::from(left ^ right) << 64) | Block::from(left)
}

/// Replaces every block by pi(s(x)) ^ s(x).
pub fn ccr(blocks: &mut [Block]) {
    for block in blocks.iter_mut() {
        *block = sigma(*block);
    }
    fixed_key().mmo(blocks);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn tmmo_is_its_formula(blocks in prop::collection::vec(any::<u128>(), 0..200), first: u64, per in 1usize..17) {
            let pi = |x| fixed_key().encrypt_one(x);
            let expect: Vec<_> = blocks
                .iter()
                .enumerate()
                .map(|(j, &x)| pi(pi(x) ^ (u128::from(first) + (j / per) as u128)) ^ pi(x))
                .collect();
            let mut got = blocks;
            tmmo(&mut got, u128::from(first), per);
            prop_assert_eq!(got, expect);
        }

        #[test]
        fn ccr_is_its_formula(blocks in prop::collection::vec(any::<u128>(), 0..200)) {
            let expect: Vec<_> = blocks.iter().map(|&x| fixed_key().encrypt_one(sigma(x)) ^ sigma(x)).collect();
            let mut got = blocks;
            ccr(&mut got);
            prop_assert_eq!(got, expect);
        }

        /// An orthomorphism: both s and x -> x ^ s(x) are permutations, that is, linear with trivial kernel.
        #[test]
        fn sigma_is_a_linear_orthomorphism(x: u128, y: u128) {
            prop_assert_eq!(sigma(x) ^ sigma(y), sigma(x ^ y));
            prop_assert_eq!(sigma(x) == 0, x == 0);
            prop_assert_eq!(sigma(x) == x, x == 0);
        }
    }

    #[test]
    fn known_answer() {
        let mut x = [0u128, 1];
        tmmo(&mut x, 5, 1);
        let mut y = [1u128];
        ccr(&mut y);
        let expect = [0x8b30dfa11c6c131caa24153bbec8baad, 0xa9352c0e6b771677252cf53461daac87, 0x0bddcd2d769ebac29a81a15858e0b827];
        assert_eq!([x[0], x[1], y[0]], expect);
    }
}
