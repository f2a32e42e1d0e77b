//! The sender's extensions: trees, pads, check.

use fusion_ring::bits::pack::packed_len;
use fusion_ring::channel::Channel;
use fusion_ring::symmetric::aes::Block;
use fusion_ring::symmetric::gf128::mul;
use fusion_ring::symmetric::prg::Seed;
use rand_core::CryptoRng;
use zeroize::Zeroizing;

use super::check::{self, Chain, Coefficients, Passed, Prover};
use super::coin_toss::Toss;
use super::end::End;
use super::parameters::{CLAIM_LEN, PROOF_LEN, Parameters};
use super::security::Security;
use super::trees::{Shape, Tree, hash_last};
use crate::OtError;
use crate::bits::BitReader;
use crate::coins::PublicCoins;
use crate::session::RunId;
use crate::softspoken::{self, SoftSpoken};

/// The trees' messages are flushed once they have this many bytes: few enough that the receiver
/// works while this end does. A link that is slower than the two makes larger frames of them.
const CHUNK: usize = 1 << 12;

/// What an extension adds up.
pub(super) struct State {
    /// The combination of all leaves, for the check.
    combination: Zeroizing<Block>,
    /// Not sent yet.
    message: Vec<u8>,
}

/// What is the sender's own.
pub struct SendingEnd {
    /// x Delta for every choice x.
    multiples: Zeroizing<Vec<Block>>,
    /// For the seeds of the extensions' keys.
    coins: PublicCoins,
    chain: Chain,
}

impl End for SendingEnd {
    type Source = softspoken::SendingEnd;
    type Coins = PublicCoins;
    type State = State;
    type Hashing = [Block];

    fn toss(run: &RunId, channel: &mut dyn Channel, rng: &mut impl CryptoRng) -> Result<Toss, OtError> {
        Toss::commit_and_open(run, channel, rng)
    }

    fn coins(rng: &mut impl CryptoRng) -> PublicCoins {
        PublicCoins::new(rng)
    }

    fn new(source: &SoftSpoken<Self::Source>, coins: &mut PublicCoins, parameters: Parameters) -> Self {
        let multiples = source.delta().multiples(parameters.choice_bits());
        Self { multiples, coins: coins.fork(), chain: Chain::new(source.run(), parameters) }
    }

    fn embed((): &(), mask: Block, correlations: &mut [Block]) {
        correlations.iter_mut().for_each(|w| *w &= !mask);
    }

    fn hashing(&self) -> &[Block] {
        &self.multiples
    }

    /// Takes the receiver's corrections and only then draws the seed.
    fn begin(&mut self, shape: &Shape, channel: &mut dyn Channel, reserve: &mut [Block]) -> Result<(State, Seed), OtError> {
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
        Ok((State { combination: Zeroizing::new(0), message }, Seed::from(seed)))
    }

    /// Sends the tree's level sums under the correlations set aside.
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
        let (depth, levels_at) = (set.depth(), 1 << set.log_secrets());
        let correlations = &reserve[levels_at + tree * depth..][..depth];
        let start = state.message.len();
        let mut send = |block: Block| state.message.extend_from_slice(&block.to_le_bytes());
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
            state.message[start + 16 * block] ^= 0x40;
        }
        if S::CHECKED {
            *state.combination ^= Coefficients::new(self.chain.append(&state.message[start..]), set).combine(leaves);
        }
        let last = tree + 1 == set.trees();
        if last || state.message.len() >= CHUNK {
            channel.send(&state.message)?;
            channel.flush()?;
            state.message.clear();
        }
        Ok(())
    }

    /// Proves the trees consistent and has the receiver prove that it saw the same.
    fn check(&mut self, shape: &Shape, channel: &mut dyn Channel, state: State, reserve: &[Block]) -> Result<Passed, OtError> {
        let set = shape.parameters;
        let mut claim = [0; CLAIM_LEN];
        channel.recv(&mut claim)?;
        let masks = &reserve[reserve.len() - set.masks()..];
        let combination = check::masked(set, *state.combination, masks) ^ mul(Block::from_le_bytes(claim), self.multiples[1]);
        channel.send(&self.chain.proof(Prover::Sender, &claim, combination))?;
        channel.flush()?;
        let mut theirs = [0; PROOF_LEN];
        channel.recv(&mut theirs)?;
        check::verify(&self.chain.proof(Prover::Receiver, &claim, combination), &theirs, "silent OT: the receiver's proof")
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
