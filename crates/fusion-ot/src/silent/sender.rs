//! The sender's rounds: trees, pads, check.

use std::ops::Range;

use fusion_ring::channel::Channel;
use fusion_ring::ot::lpn::Encoding;
use fusion_ring::secret::Wiped;
use fusion_ring::symmetric::aes::Block;
use fusion_ring::symmetric::gf128::mul;
use fusion_ring::symmetric::prg::Seed;
use zeroize::Zeroizing;

use super::Security;
use super::bits::SentBits;
use super::check::{self, CLAIM_LEN, Chain, Coefficients, PROOF_LEN, Passed, Prover};
use super::engine::End;
use super::pads::PadHash;
use super::parameters::Parameters;
use super::store::{Outputs, Stock, Stocks};
use super::trees::{Shape, Tree, hash_last};
use crate::OtError;
use crate::bits::{BitReader, packed_len};
use crate::coins::PublicCoins;
use crate::delta::Delta;
use crate::functionality::ChoiceBits;
use crate::session::RunId;

/// Sends when it has as many bytes.
const CHUNK: usize = 1 << 15;

/// What a round adds up.
pub(super) struct Round {
    /// Of all leaves, for the check.
    combination: Zeroizing<Block>,
    /// What is to be sent.
    message: Vec<u8>,
}

/// Pads of random OTs: two words each at m = 1, 2^m bytes else.
pub(super) struct SentPads(Wiped<u32>);

impl SentPads {
    /// Words per OT.
    fn words(m: ChoiceBits) -> usize {
        if m == ChoiceBits::ONE { 2 } else { m.messages() / 4 }
    }

    /// The words of OTs in `range`.
    pub(super) fn part(&self, m: ChoiceBits, range: Range<usize>) -> &[u32] {
        &self.0[range.start * Self::words(m)..range.end * Self::words(m)]
    }
}

impl Outputs<SendingEnd> for SentPads {
    fn new(set: Parameters, n: usize) -> Self {
        Self(Wiped::new(n * Self::words(set.choice_bits())))
    }

    fn keep(&mut self, end: &SendingEnd, hash: &mut PadHash, encoding: &mut Encoding<'_>, range: Range<usize>, at: usize) {
        let words = Self::words(end.m);
        let out = &mut self.0[at * words..][..range.len() * words];
        if end.m == ChoiceBits::ONE {
            hash.sender(&end.multiples, encoding, range, |pad| pad as u32, out);
        } else {
            hash.sender(&end.multiples, encoding, range, |pad| pad as u8, bytemuck::cast_slice_mut(out));
        }
    }

    fn place(stocks: &mut Stocks<SendingEnd>) -> &mut Option<Stock<Self>> {
        &mut stocks.pads
    }
}

/// The end that holds Delta.
pub(super) struct SendingEnd {
    m: ChoiceBits,
    /// x Delta for every choice x.
    multiples: Zeroizing<Vec<Block>>,
    /// For the seeds of the rounds' keys.
    coins: PublicCoins,
    chain: Chain,
}

impl SendingEnd {
    pub(super) fn new(delta: &Delta, parameters: Parameters, run: &RunId, coins: PublicCoins) -> Self {
        let m = parameters.choice_bits();
        Self { m, multiples: delta.multiples(m), coins, chain: Chain::new(run, parameters) }
    }

    /// x Delta for every choice x.
    pub(super) fn multiples(&self) -> &[Block] {
        &self.multiples
    }
}

impl End for SendingEnd {
    type Round = Round;
    type Pads = SentPads;
    type Bits = SentBits;

    /// Takes the receiver's corrections and only then draws the seed.
    fn begin(&mut self, shape: &Shape, channel: &mut dyn Channel, reserve: &mut [Block]) -> Result<(Round, Seed), OtError> {
        let set = shape.parameters;
        let fixing = if set.wide() { channel.recv_vec(set.fixing_len())? } else { Vec::new() };
        if set.wide() {
            let (m, levels_at) = (set.choice_bits().bits(), 1 << set.log_secrets());
            let (levels, values) = fixing.split_at(packed_len(set.trees() * set.depth(), m - 1));
            // Correlations of the levels become binary: the receiver gave the upper bits of its
            // choices away.
            let upper = BitReader::new(levels, set.trees() * set.depth(), m - 1)?.map(|bits| bits << 1);
            let values = BitReader::new(values, set.trees(), m)?;
            for (block, bits) in reserve[levels_at..].iter_mut().zip(upper.chain(values)) {
                *block ^= self.multiples[bits as usize] & !set.choice_mask();
            }
        }
        let seed = self.coins.draw();
        self.chain.begin(&fixing, &seed);
        let mut message = Vec::with_capacity(CHUNK + 16 * set.tree_message());
        message.extend_from_slice(&seed);
        Ok((Round { combination: Zeroizing::new(0), message }, Seed::from(seed)))
    }

    /// Sends the tree's level sums under the correlations set aside.
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
        let (depth, levels_at) = (set.depth(), 1 << set.log_secrets());
        let correlations = &reserve[levels_at + tree * depth..][..depth];
        let start = round.message.len();
        let mut send = |block: Block| round.message.extend_from_slice(&block.to_le_bytes());
        let mut closing = 0;
        shape.grow(keys, correlations[0], self.multiples[1], leaves, |level, [left, right]| {
            if set.wide() && level + 1 == depth {
                let pads = hash_last(keys, [correlations[level], correlations[level] ^ self.multiples[1]]);
                send(pads[0] ^ left);
                send(pads[1] ^ right);
                closing = (left ^ right) & !set.choice_mask();
            } else {
                send(correlations[level] ^ left);
            }
        });
        if set.wide() {
            send(reserve[levels_at + set.trees() * depth + tree] ^ closing);
        }
        #[cfg(test)]
        if let Some((_, block)) = cheat::CHEAT.get().filter(|&(lie, _)| lie == tree) {
            round.message[start + 16 * block] ^= 0x40;
        }
        if S::CHECKED {
            *round.combination ^= Coefficients::new(self.chain.append(&round.message[start..]), set).combine(leaves);
        }
        let last = tree + 1 == set.trees();
        if last || round.message.len() >= CHUNK {
            channel.send(&round.message)?;
            round.message.clear();
        }
        if last {
            channel.flush()?;
        }
        Ok(())
    }

    /// Proves the trees consistent and has the receiver prove that it saw the same.
    fn check(&mut self, shape: &Shape, channel: &mut dyn Channel, round: Round, reserve: &[Block]) -> Result<Passed, OtError> {
        let set = shape.parameters;
        let mut claim = [0; CLAIM_LEN];
        channel.recv(&mut claim)?;
        let masks = &reserve[reserve.len() - set.masks()..];
        let combination = check::masked(set, *round.combination, masks) ^ mul(Block::from_le_bytes(claim), self.multiples[1]);
        channel.send(&self.chain.proof(Prover::Sender, &claim, combination))?;
        channel.flush()?;
        let mut theirs = [0; PROOF_LEN];
        channel.recv(&mut theirs)?;
        check::demand(&self.chain.proof(Prover::Receiver, &claim, combination), &theirs, "silent OT: the receiver's proof")
    }
}

/// A sender that lies about one tree and goes on by the protocol: only from within can it, since
/// the check's coefficients depend on what it says.
#[cfg(test)]
pub(super) mod cheat {
    use std::cell::Cell;

    thread_local! {
        /// Number of the tree, and which of its blocks to change; of every sender on this thread.
        pub(in super::super) static CHEAT: Cell<Option<(usize, usize)>> = const { Cell::new(None) };
    }
}
