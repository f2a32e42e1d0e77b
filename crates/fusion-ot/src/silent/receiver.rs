//! The receiver's extensions: noise, trees around it, pads, check.

use fusion_ring::channel::Channel;
use fusion_ring::symmetric::aes::Block;
use fusion_ring::symmetric::prg::{AesPrg, Seed};
use rand_core::{CryptoRng, Rng};
use zeroize::Zeroizing;

use super::check::{self, Chain, Coefficients, Passed, Prover};
use super::coin_toss::Toss;
use super::end::{End, slot};
use super::parameters::{PROOF_LEN, Parameters};
use super::security::Security;
use super::trees::{Punctured, Shape, Tree, hash_last};
use crate::OtError;
use crate::bits::BitWriter;
use crate::functionality::ChoiceBits;
use crate::session::RunId;
use crate::softspoken::{self, SoftSpoken};

/// What an extension adds up.
pub(super) struct State {
    /// The noise values, tree by tree.
    values: Zeroizing<Vec<Block>>,
    /// The combination of the noise, for the check.
    noise: Zeroizing<Block>,
    /// The combination of all leaves.
    combination: Zeroizing<Block>,
}

/// What is the receiver's own.
pub struct ReceivingEnd {
    m: ChoiceBits,
    /// For noise values.
    coins: AesPrg,
    chain: Chain,
    /// The sender's message about one tree.
    message: Vec<u8>,
}

impl ReceivingEnd {
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

/// The private coins of the end of width `m`.
fn private_coins(seed: &Seed, m: ChoiceBits) -> AesPrg {
    let mut all = Zeroizing::new([0; 64]);
    AesPrg::from_seed_ref(seed).fill(&mut *all);
    AesPrg::from_seed_ref(&Seed::from(std::array::from_fn::<u8, 16, _>(|i| all[16 * slot(m) + i])))
}

impl End for ReceivingEnd {
    type Source = softspoken::ReceivingEnd;
    type Coins = Seed;
    type State = State;
    type Hashing = ChoiceBits;

    fn toss(run: &RunId, channel: &mut dyn Channel, rng: &mut impl CryptoRng) -> Result<Toss, OtError> {
        Toss::reply(run, channel, rng)
    }

    fn coins(rng: &mut impl CryptoRng) -> Seed {
        Seed::random(rng)
    }

    fn new(source: &SoftSpoken<Self::Source>, coins: &mut Seed, parameters: Parameters) -> Self {
        let m = parameters.choice_bits();
        Self {
            m,
            coins: private_coins(coins, m),
            chain: Chain::new(source.run(), parameters),
            message: vec![0; 16 * parameters.tree_message()],
        }
    }

    fn embed(choices: &Zeroizing<Vec<u8>>, mask: Block, correlations: &mut [Block]) {
        for (v, u) in correlations.iter_mut().zip(choices.iter()) {
            *v = (*v & !mask) | Block::from(*u);
        }
    }

    fn hashing(&self) -> &ChoiceBits {
        &self.m
    }

    /// Chooses noise.
    fn begin(&mut self, shape: &Shape, channel: &mut dyn Channel, reserve: &mut [Block]) -> Result<(State, Seed), OtError> {
        let set = shape.parameters;
        let (at, low) = (1 << set.log_secrets(), set.choice_mask());
        let mut values = Zeroizing::new(vec![1; set.trees()]);
        let mut corrections = Vec::new();
        if set.wide() {
            let values_at = at + set.trees() * set.depth();
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
            corrections = upper.finish();
            corrections.extend_from_slice(&fixing.finish());
            channel.send(&corrections)?;
        }
        let mut seed = [0; 16];
        channel.recv(&mut seed)?;
        self.chain.begin(&corrections, &seed);
        Ok((State { values, noise: Zeroizing::new(0), combination: Zeroizing::new(0) }, Seed::from(seed)))
    }

    /// Receives the tree around the noise.
    fn tree<S: Security>(
        &mut self,
        shape: &Shape,
        Tree { number: tree, keys }: Tree<'_>,
        channel: &mut dyn Channel,
        state: &mut State,
        reserve: &[Block],
        leaves: &mut [Block],
    ) -> Result<(), OtError> {
        let set = shape.parameters;
        let (depth, levels_at, low) = (set.depth(), 1 << set.log_secrets(), set.choice_mask());
        channel.recv(&mut self.message)?;
        let (blocks, _) = self.message.as_chunks::<16>();
        let block = |i: usize| Block::from_le_bytes(blocks[i]);
        // Level i opens the side of its choice bit; the noise lies on the other.
        let mut punctured = Zeroizing::new(Punctured { alpha: 0, far_sums: Vec::with_capacity(depth), closing: 1 });
        for (level, &correlation) in reserve[levels_at + tree * depth..][..depth].iter().enumerate() {
            let far_bit = correlation & 1;
            punctured.alpha |= ((1 ^ far_bit) as usize) << level;
            // With the upper bits given away the block is that of the binary correlation.
            let own = if set.wide() { (correlation & !low) | far_bit } else { correlation };
            punctured.far_sums.push(if level == 0 {
                own
            } else if set.wide() && level + 1 == depth {
                let pad = hash_last(keys, [own]);
                let differ = (block(level - 1) ^ block(level)) & far_bit.wrapping_neg();
                pad[0] ^ block(level - 1) ^ differ
            } else {
                own ^ block(level - 1)
            });
        }
        let value = state.values[tree];
        if set.wide() {
            // The value's block after fixing: w + value Delta, the value in its low bits.
            let own = (reserve[levels_at + set.trees() * depth + tree] & !low) | value;
            punctured.closing = own ^ (block(depth) & !low);
        }
        shape.puncture(keys, &punctured, leaves);
        if S::CHECKED {
            let coefficients = Coefficients::new(self.chain.append(&self.message), set);
            *state.noise ^= coefficients.noise(punctured.alpha, value);
            *state.combination ^= coefficients.combine(leaves);
        }
        Ok(())
    }

    /// Claims its noise, compares the sender's combination with its own, and proves that it saw the
    /// same.
    fn check(&mut self, shape: &Shape, channel: &mut dyn Channel, state: State, reserve: &[Block]) -> Result<Passed, OtError> {
        let set = shape.parameters;
        let masks = &reserve[reserve.len() - set.masks()..];
        let claim = check::claim(set, *state.noise, masks);
        let combination = check::masked(set, *state.combination, masks);
        channel.send(&claim)?;
        channel.flush()?;
        let mut theirs = [0; PROOF_LEN];
        channel.recv(&mut theirs)?;
        let passed = check::verify(&self.chain.proof(Prover::Sender, &claim, combination), &theirs, "silent OT: the sender's trees")?;
        channel.send(&self.chain.proof(Prover::Receiver, &claim, combination))?;
        channel.flush()?;
        Ok(passed)
    }
}
