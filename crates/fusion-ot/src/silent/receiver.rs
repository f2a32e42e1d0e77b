//! The receiver's rounds: noise, trees around it, check.

use fusion_ring::aes::Block;
use fusion_ring::channel::Channel;
use fusion_ring::hash::tmmo;
use fusion_ring::prg::{AesPrg, Seed};
use rand_core::Rng;
use zeroize::{Zeroize, Zeroizing};

use super::check::{self, Chain, Coefficients, PROOF_LEN, Prover};
use super::engine::End;
use super::parameters::Parameters;
use super::trees::{Punctured, Shape, level_tweak, restore};
use super::{PublicCoins, Security};
use crate::OtError;
use crate::bits::BitWriter;

/// Trees as the sender's messages made them, not yet checked.
pub(super) struct Planted {
    trees: Vec<Punctured>,
    /// The noise values, tree by tree.
    values: Zeroizing<Vec<Block>>,
    /// Of the check's coefficients, tree by tree; public.
    seeds: Vec<[u8; 16]>,
}

impl Drop for Planted {
    fn drop(&mut self) {
        self.trees.zeroize();
    }
}

/// Trees that passed the check.
pub(super) struct Rooted(Planted);

/// The end that learns the choices.
pub(super) struct ReceivingEnd {
    /// For noise values.
    coins: AesPrg,
    /// Hashed tree correlations so far.
    tweak: u64,
    chain: Chain,
    scratch: Zeroizing<Vec<Block>>,
}

impl ReceivingEnd {
    pub(super) fn new(parameters: Parameters, public: &PublicCoins, coins: AesPrg) -> Self {
        Self { coins, tweak: 0, chain: Chain::new(parameters, public.offset), scratch: Zeroizing::new(vec![0; 1 << parameters.depth()]) }
    }

    /// A uniform non-zero value within `mask` (2^m - 1).
    fn nonzero(&mut self, mask: Block) -> Block {
        loop {
            let value = Block::from(self.coins.next_u32()) & mask;
            if value != 0 {
                return value;
            }
        }
    }
}

impl End for ReceivingEnd {
    type Planted = Planted;
    type Rooted = Rooted;

    /// Chooses noise and receives the trees around it.
    fn plant<S: Security>(&mut self, shape: &Shape, channel: &mut dyn Channel, reserve: &mut [Block]) -> Result<(Planted, Seed), OtError> {
        let set = shape.parameters;
        let (depth, at, low) = (set.depth(), 1 << set.log_table(), set.choice_mask());
        let values_at = at + set.trees() * depth;
        let mut values = Zeroizing::new(vec![1; set.trees()]);
        if set.wide() {
            let m = set.choice_bits().bits();
            let mut upper = BitWriter::with_capacity(values_at - at, m - 1);
            for block in &reserve[at..values_at] {
                upper.push(((block & low) >> 1) as u64, m - 1);
            }
            let mut fixing = BitWriter::with_capacity(set.trees(), m);
            for (value, block) in values.iter_mut().zip(&reserve[values_at..]) {
                *value = self.nonzero(low);
                fixing.push(((block ^ *value) & low) as u64, m);
            }
            channel.send(&upper.finish())?;
            channel.send(&fixing.finish())?;
        }

        let mut planted = Planted { trees: Vec::with_capacity(set.trees()), values, seeds: Vec::new() };
        let mut message = vec![0; 16 * set.tree_message()];
        for (i, correlations) in reserve[at..values_at].chunks_exact(depth).enumerate() {
            channel.recv(&mut message)?;
            if S::CHECKED {
                planted.seeds.push(self.chain.append(&message));
            }
            let (blocks, _) = message.as_chunks::<16>();
            let block = |i: usize| Block::from_le_bytes(blocks[i]);
            // Level i opens the side of its choice bit; the noise lies on the other.
            let mut tree = Punctured { alpha: 0, far_sums: Vec::with_capacity(depth), closing: 1 };
            for (level, &correlation) in correlations.iter().enumerate() {
                let far_bit = correlation & 1;
                tree.alpha |= ((1 ^ far_bit) as usize) << level;
                // With the upper bits given away the block is that of the binary correlation.
                let own = if set.wide() { (correlation & !low) | far_bit } else { correlation };
                tree.far_sums.push(if level == 0 {
                    own
                } else if set.wide() && level + 1 == depth {
                    let mut pad = Zeroizing::new([own]);
                    tmmo(&mut *pad, level_tweak(set, self.tweak), 1);
                    self.tweak += 1;
                    let differ = (block(level - 1) ^ block(level)) & far_bit.wrapping_neg();
                    pad[0] ^ block(level - 1) ^ differ
                } else {
                    own ^ block(level - 1)
                });
            }
            if set.wide() {
                // The value's block after fixing: w + value Delta, the value in its low bits.
                let own = (reserve[values_at + i] & !low) | planted.values[i];
                tree.closing = own ^ (block(depth) & !low);
            }
            planted.trees.push(tree);
        }
        let mut hashes = [0; 16];
        channel.recv(&mut hashes)?;
        Ok((planted, Seed::from(hashes)))
    }

    /// Claims its noise, compares the sender's combination with its own, and proves that it saw the same.
    fn check(&mut self, shape: &Shape, channel: &mut dyn Channel, planted: Planted, reserve: &[Block]) -> Result<Rooted, OtError> {
        let set = shape.parameters;
        let masks = &reserve[reserve.len() - set.masks()..];
        let mut noise = check::pack(set, masks.iter().map(|block| block & set.choice_mask()));
        let mut combination = check::pack(set, masks.iter().copied());
        for ((tree, &value), &seed) in planted.trees.iter().zip(planted.values.iter()).zip(&planted.seeds) {
            // The tree comes out in an order of its own, with the noise in front.
            let coefficients = Coefficients::new(seed, set).turned(tree.alpha);
            noise ^= coefficients.noise(0, value);
            shape.puncture(tree, &mut self.scratch);
            combination ^= coefficients.combine(&self.scratch);
        }
        let claim = noise.to_le_bytes();
        channel.send(&claim)?;
        channel.flush()?;
        let mut theirs = [0; PROOF_LEN];
        channel.recv(&mut theirs)?;
        check::demand(&check::proof(Prover::Sender, &claim, combination), &theirs, "silent OT: the sender's trees")?;
        channel.send(&check::proof(Prover::Receiver, &claim, combination))?;
        channel.flush()?;
        Ok(Rooted(planted))
    }

    fn trust(trees: Planted) -> Rooted {
        Rooted(trees)
    }

    fn leaves(&mut self, shape: &Shape, trees: &Rooted, tree: usize, leaves: &mut [Block]) {
        let tree = &trees.0.trees[tree];
        shape.puncture(tree, &mut self.scratch);
        restore(tree.alpha, &self.scratch, leaves);
    }
}
