//! The sender's rounds: trees, check.

use fusion_ring::aes::Block;
use fusion_ring::channel::Channel;
use fusion_ring::gf128::mul;
use fusion_ring::hash::tmmo;
use fusion_ring::prg::{AesPrg, Seed};
use zeroize::Zeroizing;

use super::check::{self, CLAIM_LEN, Chain, Coefficients, PROOF_LEN, Prover};
use super::engine::End;
use super::parameters::Parameters;
use super::trees::{Shape, level_tweak};
use super::{PublicCoins, Security};
use crate::OtError;
use crate::bits::{BitReader, packed_len};
use crate::delta::Delta;

/// Trees that both parties agreed on, not yet checked.
pub(super) struct Planted {
    roots: Zeroizing<Vec<Block>>,
    /// Of all leaves, for the check.
    combination: Zeroizing<Block>,
}

/// Trees that passed the check.
pub(super) struct Rooted(Planted);

/// The end that holds Delta.
pub(super) struct SendingEnd {
    /// x Delta for every choice x.
    multiples: Zeroizing<Vec<Block>>,
    /// For the seeds of the pads' hashes.
    coins: AesPrg,
    /// Hashed tree correlations so far.
    tweak: u64,
    chain: Chain,
}

impl SendingEnd {
    pub(super) fn new(delta: &Delta, parameters: Parameters, public: &PublicCoins, coins: AesPrg) -> Self {
        Self { multiples: delta.multiples(parameters.choice_bits()), coins, tweak: 0, chain: Chain::new(parameters, public.offset) }
    }
}

impl End for SendingEnd {
    type Planted = Planted;
    type Rooted = Rooted;

    /// Grows the trees and sends the level sums under the correlations set aside.
    fn plant<S: Security>(&mut self, shape: &Shape, channel: &mut dyn Channel, reserve: &mut [Block]) -> Result<(Planted, Seed), OtError> {
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
        let mut planted = Planted { roots: Zeroizing::new(Vec::with_capacity(set.trees())), combination: Zeroizing::new(0) };
        let mut message = Vec::with_capacity(16 * set.tree_message() * 64);
        let mut leaves = Zeroizing::new(vec![0; shape.leaves()]);
        for (i, correlations) in reserve[at..values_at].chunks_exact(depth).enumerate() {
            let mut blocks = Vec::with_capacity(set.tree_message());
            let mut closing = 0;
            shape.grow(correlations[0], self.multiples[1], &mut leaves, |level, [left, right]| {
                if set.wide() && level + 1 == depth {
                    let mut pads = Zeroizing::new([correlations[level], correlations[level] ^ self.multiples[1]]);
                    tmmo(&mut *pads, level_tweak(set, self.tweak), 2);
                    self.tweak += 1;
                    blocks.extend([pads[0] ^ left, pads[1] ^ right]);
                    closing = (left ^ right) & !set.choice_mask();
                } else {
                    blocks.push(correlations[level] ^ left);
                }
            });
            if set.wide() {
                blocks.push(reserve[values_at + i] ^ closing);
            }
            #[cfg(test)]
            if let Some((_, block)) = cheat::CHEAT.get().filter(|&(tree, _)| tree == i) {
                blocks[block] ^= 0x40;
            }
            planted.roots.push(correlations[0]);
            let start = message.len();
            message.extend(blocks.iter().flat_map(|b| b.to_le_bytes()));
            if S::CHECKED {
                *planted.combination ^= Coefficients::new(self.chain.append(&message[start..]), set).combine(&leaves);
            }
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
        Ok((planted, Seed::from(hashes)))
    }

    /// Proves the trees consistent and has the receiver prove that it saw the same.
    fn check(&mut self, shape: &Shape, channel: &mut dyn Channel, trees: Planted, reserve: &[Block]) -> Result<Rooted, OtError> {
        let set = shape.parameters;
        let mut claim = [0; CLAIM_LEN];
        channel.recv(&mut claim)?;
        let masks = &reserve[reserve.len() - set.masks()..];
        let combination =
            *trees.combination ^ check::pack(set, masks.iter().copied()) ^ mul(Block::from_le_bytes(claim), self.multiples[1]);
        channel.send(&check::proof(Prover::Sender, &claim, combination))?;
        channel.flush()?;
        let mut theirs = [0; PROOF_LEN];
        channel.recv(&mut theirs)?;
        check::demand(&check::proof(Prover::Receiver, &claim, combination), &theirs, "silent OT: the receiver's proof")?;
        Ok(Rooted(trees))
    }

    fn trust(trees: Planted) -> Rooted {
        Rooted(trees)
    }

    fn leaves(&mut self, shape: &Shape, trees: &Rooted, tree: usize, leaves: &mut [Block]) {
        shape.grow(trees.0.roots[tree], self.multiples[1], leaves, |_, _| ());
    }
}

/// A sender that lies about one tree and goes on by the protocol: only from within can it, since the check's coefficients depend on what it says.
#[cfg(test)]
pub(super) mod cheat {
    use std::cell::Cell;

    thread_local! {
        /// Number of the tree, and which of its blocks to change; of every sender on this thread.
        pub(in super::super) static CHEAT: Cell<Option<(usize, usize)>> = const { Cell::new(None) };
    }
}
