//! A receiver that grinds its roots, for the attack in [`crate::silent::ground`].
//!
//! It keeps to the protocol: every tree is a tree. But it tries roots until two of the correlations
//! that the silent extension will take from its first batch are equal.

use std::ops::Range;

use fusion_ring::channel::Channel;
use fusion_ring::symmetric::aes::{Aes128, Block};
use fusion_ring::symmetric::prg::Seed;
use rand_core::CryptoRng;

use super::instance::SoftSpoken;
use super::receiver::ReceivingEnd;
use super::tree::{self, TreeDepth};
use super::vole::COLUMNS;
use crate::session::Direction;
use crate::{OtError, base};

/// Leaves of a tree whose root is under trial, and what its rows are.
struct Trial<'a> {
    rows: [&'a [usize]; 2],
    /// Per row: u, and v's bits of this tree.
    seen: [Vec<(u8, u8)>; 2],
}

impl Trial<'_> {
    fn grow(&mut self, salt: Block, streams: Block, root: &Seed) {
        let k = TreeDepth::Eight.k();
        let mut nodes = vec![Block::from_le_bytes(*root.as_bytes())];
        for _ in 0..k {
            nodes = nodes.iter().flat_map(|&node| tree::stretch::<2>(salt, node)).collect();
        }
        for (rows, seen) in self.rows.iter().zip(&mut self.seen) {
            *seen = vec![(0, 0); rows.len()];
        }
        // Neighbouring rows come from one block of a leaf's stream, or two.
        let first = self.rows[0][0] / 128;
        let mut blocks = vec![0; self.rows[1][self.rows[1].len() - 1] / 128 + 1 - first];
        for (leaf, &node) in nodes.iter().enumerate() {
            let [seed] = tree::stretch::<1>(salt, node);
            (first as Block..).zip(&mut blocks).for_each(|(at, block)| *block = streams.wrapping_add(at));
            Aes128::new(&seed.to_le_bytes()).encrypt(&mut blocks);
            for (rows, seen) in self.rows.iter().zip(&mut self.seen) {
                for (&row, (u, v)) in rows.iter().zip(seen) {
                    let bit = (blocks[row / 128 - first] >> (row % 128)) as u8 & 1;
                    *u ^= bit;
                    *v ^= leaf as u8 & bit.wrapping_neg();
                }
            }
        }
    }
}

impl SoftSpoken<ReceivingEnd> {
    /// As [`SoftSpoken::setup`], but the correlations of width m = `a.len()` that rows `a` and `b`
    /// of the first batch make have the same v (its lowest m bits apart) and the same lowest bit of
    /// u. Gives `N` instances in the same state.
    pub(crate) fn setup_ground<const N: usize>(
        direction: &Direction,
        channel: &mut dyn Channel,
        rng: &mut impl CryptoRng,
        [a, b]: [Range<usize>; 2],
    ) -> Result<[Self; N], OtError> {
        let (k, m) = (TreeDepth::Eight.k(), a.len());
        let (run, keys) = base::send(direction, channel, COLUMNS, rng)?;
        let (a, b): (Vec<usize>, Vec<usize>) = (a.collect(), b.collect());
        let mut message = Vec::new();
        let mut seeds = Vec::new();
        // sum_j X^j (v_a,j - v_b,j), unreduced, as far as the trees are chosen.
        let mut difference = 0u128;
        let mut overflow = 0;
        for (number, keys) in keys.chunks(k).enumerate() {
            let salt = run.tree_salt("trees", number);
            let streams = run.tree_salt("streams", number);
            let mut trial = Trial { rows: [&a, &b], seen: [Vec::new(), Vec::new()] };
            loop {
                let root = Seed::random(rng);
                trial.grow(salt, streams, &root);
                let (mut sum, mut over) = (difference, overflow);
                for j in 0..m {
                    let differ = u128::from(trial.seen[0][j].1 ^ trial.seen[1][j].1) << (8 * number);
                    sum ^= differ << j;
                    over ^= if j == 0 { 0 } else { differ >> (128 - j) };
                }
                // Of tree 0 the lowest m bits do not matter; what passes bit 127 would come back at
                // the bottom.
                let columns = 0xff << (8 * number) & !((1 << m) - 1);
                let same_choice = number > 0 || trial.seen[0][0].0 == trial.seen[1][0].0;
                if sum & columns == 0 && same_choice && (number + 1 < COLUMNS / k || over == 0) {
                    (difference, overflow) = (sum, over);
                    seeds.extend_from_slice(&tree::grow(salt, &root, keys, &mut message));
                    break;
                }
            }
        }
        channel.send(&message)?;
        channel.flush()?;
        Ok(std::array::from_fn(|_| Self::new(ReceivingEnd::new(), k, &seeds, run.clone())))
    }
}
