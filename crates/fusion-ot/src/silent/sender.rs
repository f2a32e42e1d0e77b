//! The sender's rounds: trees, check, stream of blocks.

use fusion_ring::aes::Block;
use fusion_ring::channel::Channel;
use fusion_ring::gf128::mul;
use fusion_ring::hash::tmmo;
use fusion_ring::lpn::LocalCode;
use zeroize::Zeroizing;

use super::check::{self, CHALLENGE_LEN, Coefficients, PROOF_LEN, Prover};
use super::parameters::Parameters;
use super::trees::{Shape, level_tweak, sum};
use super::{PublicCoins, Security};
use crate::OtError;
use crate::bits::{BitReader, packed_len};
use crate::delta::Delta;

/// Trees that both parties agreed on, not yet checked.
struct Planted {
    roots: Zeroizing<Vec<Block>>,
}

/// Trees that passed the check (or that a semi-honest instance need not check): only these can be expanded into outputs.
struct Rooted(Planted);

/// Blocks of one choice width.
pub(super) struct Engine {
    /// x Delta for every choice x.
    multiples: Zeroizing<Vec<Block>>,
    shape: Shape,
    code: LocalCode,
    /// Blocks for the next round, see [`Parameters::reserve`].
    reserve: Zeroizing<Vec<Block>>,
    table: Zeroizing<Vec<Block>>,
    trees: Rooted,
    next_tree: usize,
    /// Outputs of all rounds before this one, so that no round repeats a part of the code.
    code_base: u64,
    tweak: u64,
    /// Outputs of the tree that was begun, given out from the front.
    ready: Zeroizing<Vec<Block>>,
    used: usize,
}

impl Engine {
    /// An engine that has done no round yet: `reserve` comes from another protocol.
    pub(super) fn new(delta: &Delta, coins: &PublicCoins, parameters: Parameters, mut reserve: Zeroizing<Vec<Block>>) -> Self {
        debug_assert_eq!(reserve.len(), parameters.reserve());
        for block in reserve.iter_mut() {
            *block &= !parameters.choice_mask();
        }
        let shape = Shape { parameters, offset: coins.offset };
        Self {
            multiples: delta.multiples(parameters.choice_bits()),
            shape,
            code: LocalCode::new(coins.code_seed, parameters.log_table()),
            reserve,
            table: Zeroizing::new(Vec::new()),
            trees: Rooted(Planted { roots: Zeroizing::new(Vec::new()) }),
            next_tree: 0,
            code_base: 0,
            tweak: 0,
            ready: Zeroizing::new(vec![0; shape.leaves()]),
            used: shape.leaves(),
        }
    }

    /// Hands `n` blocks to `sink`, in pieces.
    pub(super) fn take<S: Security>(&mut self, channel: &mut dyn Channel, n: usize, sink: &mut dyn FnMut(&[Block])) -> Result<(), OtError> {
        let mut missing = n;
        while missing > 0 {
            if self.used == self.ready.len() {
                if self.next_tree == self.trees.0.roots.len() {
                    self.round::<S>(channel)?;
                    continue;
                }
                self.expand();
            }
            let now = missing.min(self.ready.len() - self.used);
            sink(&self.ready[self.used..self.used + now]);
            self.used += now;
            missing -= now;
        }
        Ok(())
    }

    /// Outputs of the next tree into `ready`.
    fn expand(&mut self) {
        self.shape.regrow(self.trees.0.roots[self.next_tree], self.multiples[1], &mut self.ready);
        let first = self.code_base + (self.next_tree as u64) * self.ready.len() as u64;
        self.code.fold(first, &self.table, &mut self.ready);
        self.next_tree += 1;
        self.used = 0;
    }

    /// Runs a round and sets aside the next round's reserve.
    fn round<S: Security>(&mut self, channel: &mut dyn Channel) -> Result<(), OtError> {
        self.code_base += (self.next_tree * self.ready.len()) as u64;
        let mut reserve = std::mem::take(&mut self.reserve);
        let trees = self.plant(channel, &mut reserve)?;
        self.trees = if S::CHECKED { self.check(channel, trees, &reserve)? } else { Rooted(trees) };
        self.next_tree = 0;
        reserve.truncate(1 << self.shape.parameters.log_table());
        self.table = reserve;
        let mut next = Zeroizing::new(Vec::with_capacity(self.shape.parameters.reserve()));
        // A round has more outputs than its successor needs, so this never starts another one.
        let wanted = self.shape.parameters.reserve();
        self.take::<S>(channel, wanted, &mut |blocks| next.extend_from_slice(blocks))?;
        self.reserve = next;
        Ok(())
    }

    /// Grows the trees and sends the level sums under the correlations set aside.
    fn plant(&mut self, channel: &mut dyn Channel, reserve: &mut [Block]) -> Result<Planted, OtError> {
        let set = self.shape.parameters;
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
        for (i, correlations) in reserve[at..values_at].chunks_exact(depth).enumerate() {
            let mut blocks = Vec::with_capacity(set.tree_message());
            let leaves = &mut self.ready[..];
            self.shape.grow(correlations[0], self.multiples[1], leaves, |level, left, right| {
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
                blocks.push(reserve[values_at + i] ^ sum(leaves));
            }
            roots.push(correlations[0]);
            message.extend(blocks.iter().flat_map(|b| b.to_le_bytes()));
            if message.len() >= 1 << 15 {
                channel.send(&message)?;
                message.clear();
            }
        }
        channel.send(&message)?;
        channel.flush()?;
        self.used = self.ready.len();
        Ok(Planted { roots })
    }

    /// Proves the trees consistent and has the receiver prove that it saw the same.
    fn check(&mut self, channel: &mut dyn Channel, trees: Planted, reserve: &[Block]) -> Result<Rooted, OtError> {
        let set = self.shape.parameters;
        let mut challenge = [0; CHALLENGE_LEN];
        channel.recv(&mut challenge)?;
        let (seed, noise) = (std::array::from_fn(|i| challenge[i]), std::array::from_fn(|i| challenge[16 + i]));
        let coefficients = Coefficients::new(seed, set);
        let masks = &reserve[reserve.len() - set.masks()..];
        let mut combination = check::pack(set, masks.iter().copied()) ^ mul(Block::from_le_bytes(noise), self.multiples[1]);
        for (i, &root) in trees.roots.iter().enumerate() {
            self.shape.regrow(root, self.multiples[1], &mut self.ready);
            combination ^= coefficients.tree(i, &self.ready);
        }
        channel.send(&check::proof(Prover::Sender, &challenge, combination))?;
        let mut theirs = [0; PROOF_LEN];
        channel.recv(&mut theirs)?;
        check::demand(&check::proof(Prover::Receiver, &challenge, combination), &theirs, "silent OT: the receiver's proof")?;
        Ok(Rooted(trees))
    }
}
