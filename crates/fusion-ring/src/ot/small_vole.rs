//! VOLE over small fields from all-but-one seeds (Roy, "SoftSpokenOT", CRYPTO 2022, section 3).
//!
//! A tree's leaf number y, of 2^k, has a stream r_y. Who knows all leaves computes u = sum r_y and
//! v = sum y r_y, bit by bit: v_b is the sum of the streams whose number has bit b. Who lacks leaf
//! Delta numbers leaves y ^ Delta, so that it lacks leaf 0 and the same sums are v + u Delta.
//!
//! A stream is counter mode under the leaf's seed. All sums of a piece of the streams are made in
//! one go over the leaves, in registers and the first-level cache: 2^k cipher calls and twice as
//! many additions per block.

use crate::simd::AesTier;
use crate::symmetric::aes::many::KeyRing;
use crate::symmetric::aes::sums::Sums;
use crate::symmetric::block::Block;

/// The leaves of trees of equal depth. Wiped on drop.
pub struct LeafStreams {
    keys: KeyRing,
    k: usize,
    hidden: bool,
}

impl LeafStreams {
    /// The streams of `seeds`, tree by tree, 2^`k` each; leaf 0 of each tree is left out if it is
    /// `hidden`.
    ///
    /// # Panics
    /// If `k` is 0 or above 8, or the last tree is not whole.
    #[must_use]
    pub fn new(k: usize, seeds: &[Block], hidden: bool) -> Self {
        assert!((1..=8).contains(&k) && seeds.len().is_multiple_of(1 << k), "trees of leaves");
        Self { keys: KeyRing::new(seeds, AesTier::best()), k, hidden }
    }

    /// Fills column b of `columns`, for b from 0 to k - 1 one after the other, with what the
    /// streams whose number has bit b add up to, and `all` with what all of them do: as many
    /// blocks of each as `all` has, `counter`, `counter + 1`, ... encrypted.
    ///
    /// # Panics
    /// If there is no such tree, or `columns` is not k times as long as `all`.
    pub fn expand(&self, tree: usize, counter: Block, columns: &mut [Block], all: &mut [Block]) {
        let (span, blocks) = (self.keys.span(), all.len());
        assert_eq!(columns.len(), self.k * blocks, "columns of a tree");
        let mut sums = Sums::new();
        for start in (0..blocks).step_by(span) {
            let n = span.min(blocks - start);
            self.keys.sum_streams(tree << self.k, self.k, self.hidden, counter.wrapping_add(start as Block), &mut sums);
            for (b, column) in columns.chunks_exact_mut(blocks).enumerate() {
                column[start..][..n].copy_from_slice(&sums.with_bit(b)[..n]);
            }
            all[start..][..n].copy_from_slice(&sums.of_all()[..n]);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::symmetric::aes::Aes128;

    proptest! {
        #[test]
        fn columns_are_sums_of_streams(k in 1usize..=8, blocks in 0usize..70, tree in 0usize..2, hidden: bool, counter: u128) {
            let seeds: Vec<Block> = (1..=2u128 << k).map(|i| i.wrapping_mul(0x9e37_79b9_7f4a_7c15)).collect();
            let (mut columns, mut all) = (vec![1; k * blocks], vec![1; blocks]);
            LeafStreams::new(k, &seeds, hidden).expand(tree, counter, &mut columns, &mut all);
            let (mut expect, mut expect_all) = (vec![0; k * blocks], vec![0; blocks]);
            for leaf in usize::from(hidden)..1 << k {
                let mut stream = vec![0; blocks];
                Aes128::new(&seeds[(tree << k) + leaf].to_le_bytes()).counter_mode(counter, &mut stream);
                for (i, block) in stream.into_iter().enumerate() {
                    expect_all[i] ^= block;
                    (0..k).filter(|b| leaf >> b & 1 == 1).for_each(|b| expect[b * blocks + i] ^= block);
                }
            }
            prop_assert_eq!((columns, all), (expect, expect_all));
        }
    }
}
