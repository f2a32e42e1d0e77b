//! The sender's rounds: trees, check.

use fusion_ring::aes::Block;
use fusion_ring::channel::Channel;
use fusion_ring::gf128::mul;
use fusion_ring::hash::tmmo;
use fusion_ring::prg::{AesPrg, Seed};
use zeroize::Zeroizing;

use super::check::{self, CHALLENGE_LEN, Coefficients, PROOF_LEN, Prover};
use super::engine::End;
use super::trees::{Shape, level_tweak, sum};
use crate::OtError;
use crate::bits::{BitReader, packed_len};
use crate::delta::Delta;
use crate::functionality::ChoiceBits;

/// Roots of trees that both parties agreed on, not yet checked.
pub(super) struct Planted(Zeroizing<Vec<Block>>);

/// Roots of checked trees.
pub(super) struct Rooted(Planted);

/// The end that holds Delta.
pub(super) struct SendingEnd {
    /// x Delta for every choice x.
    multiples: Zeroizing<Vec<Block>>,
    /// For the seeds of the pads' hashes.
    coins: AesPrg,
    /// Hashed tree correlations so far.
    tweak: u64,
}

impl SendingEnd {
    pub(super) fn new(delta: &Delta, m: ChoiceBits, coins: AesPrg) -> Self {
        Self { multiples: delta.multiples(m), coins, tweak: 0 }
    }
}

impl End for SendingEnd {
    type Planted = Planted;
    type Rooted = Rooted;

    /// Grows the trees and sends the level sums under the correlations set aside.
    fn plant(&mut self, shape: &Shape, channel: &mut dyn Channel, reserve: &mut [Block]) -> Result<(Planted, Seed), OtError> {
        let set = shape.parameters;
        let (depth, at) = (set.depth(), 1 << set.log_table());
        let values_at = at + set.trees() * depth;
        if set.wide() {
            let fixing = channel.recv_vec(set.fixing_len())?;
            let m = set.choice_bits().bits();
            let (levels, values) = fixing.split_at(packed_len(set.trees() * depth, m - 1));
            // Correlations of the levels become binary: the receiver gave the upper bits of its choices away.
            let upper = BitReader::new(levels, set.trees() * depth, m - 1)?.map(|bits| bits << 1);
            let values = BitReader::new(values, set.trees(), m)?;
            for (block, bits) in reserve[at..].iter_mut().zip(upper.chain(values)) {
                *block ^= self.multiples[bits as usize] & !set.choice_mask();
            }
        }
        let mut roots = Zeroizing::new(Vec::with_capacity(set.trees()));
        let mut message = Vec::with_capacity(16 * set.tree_message() * 64);
        let mut leaves = Zeroizing::new(vec![0; shape.leaves()]);
        for (i, correlations) in reserve[at..values_at].chunks_exact(depth).enumerate() {
            let mut blocks = Vec::with_capacity(set.tree_message());
            shape.grow(correlations[0], self.multiples[1], &mut leaves, |level, left, right| {
                if set.wide() && level + 1 == depth {
                    let mut pads = Zeroizing::new([correlations[level], correlations[level] ^ self.multiples[1]]);
                    tmmo(&mut *pads, level_tweak(set, self.tweak), 2);
                    self.tweak += 1;
                    blocks.extend([pads[0] ^ left, pads[1] ^ right]);
                } else {
                    blocks.push(correlations[level] ^ left);
                }
            });
            if set.wide() {
                blocks.push(reserve[values_at + i] ^ sum(&leaves));
            }
            roots.push(correlations[0]);
            message.extend(blocks.iter().flat_map(|b| b.to_le_bytes()));
            if message.len() >= 1 << 15 {
                channel.send(&message)?;
                message.clear();
            }
        }
        let mut hashes = [0; 16];
        self.coins.fill(&mut hashes);
        message.extend_from_slice(&hashes);
        channel.send(&message)?;
        channel.flush()?;
        Ok((Planted(roots), Seed::from(hashes)))
    }

    /// Proves the trees consistent and has the receiver prove that it saw the same.
    fn check(
        &mut self,
        shape: &Shape,
        channel: &mut dyn Channel,
        trees: Planted,
        reserve: &[Block],
        leaves: &mut [Block],
    ) -> Result<Rooted, OtError> {
        let set = shape.parameters;
        let mut challenge = [0; CHALLENGE_LEN];
        channel.recv(&mut challenge)?;
        let (seed, noise) = (std::array::from_fn(|i| challenge[i]), std::array::from_fn(|i| challenge[16 + i]));
        let coefficients = Coefficients::new(seed, set);
        let masks = &reserve[reserve.len() - set.masks()..];
        let mut combination = check::pack(set, masks.iter().copied()) ^ mul(Block::from_le_bytes(noise), self.multiples[1]);
        for (i, &root) in trees.0.iter().enumerate() {
            shape.regrow(root, self.multiples[1], leaves);
            combination ^= coefficients.tree(i, leaves);
        }
        channel.send(&check::proof(Prover::Sender, &challenge, combination))?;
        let mut theirs = [0; PROOF_LEN];
        channel.recv(&mut theirs)?;
        check::demand(&check::proof(Prover::Receiver, &challenge, combination), &theirs, "silent OT: the receiver's proof")?;
        Ok(Rooted(trees))
    }

    fn trust(trees: Planted) -> Rooted {
        Rooted(trees)
    }

    fn leaves(&mut self, shape: &Shape, trees: &Rooted, tree: usize, leaves: &mut [Block]) {
        shape.regrow(trees.0.0[tree], self.multiples[1], leaves);
    }
}
