//! The receiver's rounds: noise, trees around it, pads, check.

use std::ops::Range;

use fusion_ring::channel::Channel;
use fusion_ring::ot::lpn::Encoding;
use fusion_ring::secret::Wiped;
use fusion_ring::symmetric::aes::Block;
use fusion_ring::symmetric::prg::{AesPrg, Seed};
use rand_core::Rng;
use zeroize::Zeroizing;

use super::Security;
use super::bits::GotBits;
use super::check::{self, Chain, Coefficients, PROOF_LEN, Passed, Prover};
use super::engine::End;
use super::pads::PadHash;
use super::parameters::Parameters;
use super::store::{Outputs, Stock, Stocks};
use super::trees::{Punctured, Shape, Tree, hash_last, restore};
use crate::OtError;
use crate::bits::BitWriter;
use crate::delta::pad_mask;
use crate::functionality::ChoiceBits;
use crate::session::RunId;

/// What a round adds up.
pub(super) struct Round {
    /// The noise values, tree by tree.
    values: Zeroizing<Vec<Block>>,
    /// The combination of the noise, for the check.
    noise: Zeroizing<Block>,
    /// Of all leaves.
    combination: Zeroizing<Block>,
}

/// Choices of random OTs, and the pads at them.
pub(super) struct GotPads {
    choices: Wiped<u8>,
    pads: Wiped<u32>,
}

impl GotPads {
    /// The choices and pads of OTs in `range`.
    pub(super) fn part(&self, range: Range<usize>) -> (&[u8], &[u32]) {
        (&self.choices[range.clone()], &self.pads[range])
    }
}

impl Outputs<ReceivingEnd> for GotPads {
    fn new(_: Parameters, n: usize) -> Self {
        Self { choices: Wiped::new(n), pads: Wiped::new(n) }
    }

    fn keep(&mut self, end: &ReceivingEnd, hash: &mut PadHash, encoding: &mut Encoding<'_>, range: Range<usize>, at: usize) {
        let kept = pad_mask(end.m);
        let (choices, pads) = (&mut self.choices[at..][..range.len()], &mut self.pads[at..][..range.len()]);
        hash.receiver(encoding, range, |pad| pad as u32 & kept, pads, end.low(), choices);
    }

    fn place(stocks: &mut Stocks<ReceivingEnd>) -> &mut Option<Stock<Self>> {
        &mut stocks.pads
    }
}

/// The end that learns the choices.
pub(super) struct ReceivingEnd {
    m: ChoiceBits,
    /// For noise values.
    coins: AesPrg,
    chain: Chain,
    /// Of the sender about one tree.
    message: Vec<u8>,
    /// The leaves before they are in order.
    scratch: Zeroizing<Vec<Block>>,
}

impl ReceivingEnd {
    pub(super) fn new(parameters: Parameters, run: &RunId, coins: AesPrg) -> Self {
        Self {
            m: parameters.choice_bits(),
            coins,
            chain: Chain::new(run, parameters),
            message: vec![0; 16 * parameters.tree_message()],
            scratch: Zeroizing::new(vec![0; 1 << parameters.depth()]),
        }
    }

    /// The low bits of a block that carry its choice.
    pub(super) fn low(&self) -> u8 {
        (1 << self.m.bits()) - 1
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
    type Round = Round;
    type Pads = GotPads;
    type Bits = GotBits;

    /// Chooses noise.
    fn begin(&mut self, shape: &Shape, channel: &mut dyn Channel, reserve: &mut [Block]) -> Result<(Round, Seed), OtError> {
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
        Ok((Round { values, noise: Zeroizing::new(0), combination: Zeroizing::new(0) }, Seed::from(seed)))
    }

    /// Receives the tree around the noise.
    fn tree<S: Security>(
        &mut self,
        shape: &Shape,
        Tree { number: tree, keys }: Tree<'_>,
        channel: &mut dyn Channel,
        round: &mut Round,
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
        let value = round.values[tree];
        if set.wide() {
            // The value's block after fixing: w + value Delta, the value in its low bits.
            let own = (reserve[levels_at + set.trees() * depth + tree] & !low) | value;
            punctured.closing = own ^ (block(depth) & !low);
        }
        shape.puncture(keys, &punctured, &mut self.scratch);
        restore(punctured.alpha, &self.scratch, leaves);
        if S::CHECKED {
            let coefficients = Coefficients::new(self.chain.append(&self.message), set);
            *round.noise ^= coefficients.noise(punctured.alpha, value);
            *round.combination ^= coefficients.combine(leaves);
        }
        Ok(())
    }

    /// Claims its noise, compares the sender's combination with its own, and proves that it saw the
    /// same.
    fn check(&mut self, shape: &Shape, channel: &mut dyn Channel, round: Round, reserve: &[Block]) -> Result<Passed, OtError> {
        let set = shape.parameters;
        let masks = &reserve[reserve.len() - set.masks()..];
        let claim = check::claim(set, *round.noise, masks);
        let combination = check::masked(set, *round.combination, masks);
        channel.send(&claim)?;
        channel.flush()?;
        let mut theirs = [0; PROOF_LEN];
        channel.recv(&mut theirs)?;
        let passed = check::demand(&self.chain.proof(Prover::Sender, &claim, combination), &theirs, "silent OT: the sender's trees")?;
        channel.send(&self.chain.proof(Prover::Receiver, &claim, combination))?;
        channel.flush()?;
        Ok(passed)
    }
}
