//! Hashes from AES-128 under a public key, modelled as an ideal cipher, for correlated inputs in
//! bulk.
//!
//! - [`tmmo`]: H(x, i) = pi(pi(x) ^ i) ^ pi(x), *tweakable circular correlation robust* if pi is an
//!   ideal permutation (Guo, Katz, Wang, Yu: "Efficient and secure multiparty computation from
//!   fixed-key block ciphers", S&P 2020, section 7.4), also if the other party chose the inputs
//!   knowing pi. It breaks the correlation of OT outputs: inputs that differ by sums of Deltas,
//!   under distinct or repeated tweaks. Two permutation calls per block.
//! - pi(s(x)) ^ s(x) with the linear orthomorphism s(L, R) = (L ^ R, L), *circular correlation
//!   robust* (same paper, section 7.3) for inputs that never repeat under one key: the levels of
//!   [`crate::ot::half_tree`]. One call per block.
//!
//! The caller brings the key, one per session or tree. If everybody used one key, every call of the
//! cipher by an attacker would count against all sessions at once.

use crate::symmetric::aes::Aes128;
use crate::symmetric::block::Block;

/// Blocks hashed at once; the copies stay in the first-level cache.
const BATCH: usize = 64;

/// Replaces block `j` by H(block, `first_tweak + j / per_tweak`): `per_tweak` consecutive blocks
/// share a tweak.
///
/// # Panics
/// If `per_tweak` is zero.
pub fn tmmo(pi: &Aes128, blocks: &mut [Block], first_tweak: Block, per_tweak: usize) {
    assert!(per_tweak > 0, "blocks per tweak");
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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn tmmo_is_its_formula(
            key: [u8; 16], blocks in prop::collection::vec(any::<u128>(), 0..200), first: u64, per in 1usize..17,
        ) {
            let aes = Aes128::new(&key);
            let pi = |x| aes.encrypt_one(x);
            let expect: Vec<_> = blocks
                .iter()
                .enumerate()
                .map(|(j, &x)| pi(pi(x) ^ (u128::from(first) + (j / per) as u128)) ^ pi(x))
                .collect();
            let mut got = blocks;
            tmmo(&aes, &mut got, u128::from(first), per);
            prop_assert_eq!(got, expect);
        }
    }

    #[test]
    fn known_answer() {
        // The key is the start of the fractional part of pi.
        let key = 0x243f_6a88_85a3_08d3_1319_8a2e_0370_7344u128.to_be_bytes();
        let mut x = [0u128, 1];
        tmmo(&Aes128::new(&key), &mut x, 5, 1);
        assert_eq!(x, [0x8b30dfa11c6c131caa24153bbec8baad, 0xa9352c0e6b771677252cf53461daac87]);
    }
}
