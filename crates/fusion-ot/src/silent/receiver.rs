//! The receiver's rounds: trees, check, stream of blocks.

use fusion_ring::aes::Block;
use fusion_ring::channel::Channel;
use fusion_ring::hash::tmmo;
use fusion_ring::lpn::LocalCode;
use fusion_ring::prg::AesPrg;
use rand_core::Rng;
use zeroize::{Zeroize, Zeroizing};

use super::check::{self, CHALLENGE_LEN, Coefficients, PROOF_LEN, Prover};
use super::parameters::Parameters;
use super::trees::{Punctured, Shape, level_tweak};
use super::{PublicCoins, Security};
use crate::OtError;
use crate::bits::BitWriter;

/// Trees as the sender's messages made them, not yet checked.
struct Planted(Vec<Punctured>);

impl Drop for Planted {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

/// Trees that passed the check (or that a semi-honest instance need not check): only these can be expanded into outputs.
struct Rooted(Planted);

/// Blocks of one choice width; the choice of each stands in its low bits.
pub(super) struct Engine {
    shape: Shape,
    code: LocalCode,
    coins: AesPrg,
    /// Blocks for the next round, see [`Parameters::reserve`].
    reserve: Zeroizing<Vec<Block>>,
    table: Zeroizing<Vec<Block>>,
    trees: Rooted,
    next_tree: usize,
    /// Outputs of all rounds before this one.
    code_base: u64,
    tweak: u64,
    scratch: Zeroizing<Vec<Block>>,
    /// Outputs of the tree that was begun, given out from the front.
    ready: Zeroizing<Vec<Block>>,
    used: usize,
}

impl Engine {
    /// An engine that has done no round yet: `reserve` comes from another protocol, choices in the low bits; `coins` for challenges and noise values.
    pub(super) fn new(coins: AesPrg, public: &PublicCoins, parameters: Parameters, reserve: Zeroizing<Vec<Block>>) -> Self {
        debug_assert_eq!(reserve.len(), parameters.reserve());
        let shape = Shape { parameters, offset: public.offset };
        Self {
            shape,
            code: LocalCode::new(public.code_seed, parameters.log_table()),
            coins,
            reserve,
            table: Zeroizing::new(Vec::new()),
            trees: Rooted(Planted(Vec::new())),
            next_tree: 0,
            code_base: 0,
            tweak: 0,
            scratch: Zeroizing::new(vec![0; shape.leaves()]),
            ready: Zeroizing::new(vec![0; shape.leaves()]),
            used: shape.leaves(),
        }
    }

    /// Hands `n` blocks to `sink`, in pieces.
    pub(super) fn take<S: Security>(&mut self, channel: &mut dyn Channel, n: usize, sink: &mut dyn FnMut(&[Block])) -> Result<(), OtError> {
        let mut missing = n;
        while missing > 0 {
            if self.used == self.ready.len() {
                if self.next_tree == self.trees.0.0.len() {
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
        self.shape.puncture(&self.trees.0.0[self.next_tree], &mut self.scratch, &mut self.ready);
        let first = self.code_base + (self.next_tree as u64) * self.ready.len() as u64;
        self.code.fold(first, &self.table, &mut self.ready);
        self.next_tree += 1;
        self.used = 0;
    }

    /// Runs a round and sets aside the next round's reserve.
    fn round<S: Security>(&mut self, channel: &mut dyn Channel) -> Result<(), OtError> {
        self.code_base += (self.next_tree * self.ready.len()) as u64;
        let mut reserve = std::mem::take(&mut self.reserve);
        let (trees, values) = self.plant(channel, &reserve)?;
        self.trees = if S::CHECKED { self.check(channel, trees, &values, &reserve)? } else { Rooted(trees) };
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

    /// Chooses noise and receives the trees around it; returns the noise values beside them.
    fn plant(&mut self, channel: &mut dyn Channel, reserve: &[Block]) -> Result<(Planted, Zeroizing<Vec<Block>>), OtError> {
        let set = self.shape.parameters;
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

        let mut trees = Planted(Vec::with_capacity(set.trees()));
        let mut message = vec![0; 16 * set.tree_message()];
        for (i, correlations) in reserve[at..values_at].chunks_exact(depth).enumerate() {
            channel.recv(&mut message)?;
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
                let own = (reserve[values_at + i] & !low) | values[i];
                tree.closing = own ^ (block(depth) & !low);
            }
            trees.0.push(tree);
        }
        Ok((trees, values))
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

    /// Challenges the sender, compares, and proves that it saw the same.
    fn check(&mut self, channel: &mut dyn Channel, trees: Planted, values: &[Block], reserve: &[Block]) -> Result<Rooted, OtError> {
        let set = self.shape.parameters;
        let mut seed = [0; 16];
        self.coins.fill(&mut seed);
        let coefficients = Coefficients::new(seed, set);
        let masks = &reserve[reserve.len() - set.masks()..];
        let mut noise = check::pack(set, masks.iter().map(|block| block & set.choice_mask()));
        let mut combination = check::pack(set, masks.iter().copied());
        for (i, (tree, &value)) in trees.0.iter().zip(values).enumerate() {
            noise ^= coefficients.noise(i, tree.alpha, value);
            self.shape.puncture(tree, &mut self.scratch, &mut self.ready);
            combination ^= coefficients.tree(i, &self.ready);
        }
        self.used = self.ready.len();
        let mut challenge = [0; CHALLENGE_LEN];
        challenge[..16].copy_from_slice(&seed);
        challenge[16..].copy_from_slice(&noise.to_le_bytes());
        channel.send(&challenge)?;
        let mut theirs = [0; PROOF_LEN];
        channel.recv(&mut theirs)?;
        check::demand(&check::proof(Prover::Sender, &challenge, combination), &theirs, "silent OT: the sender's trees")?;
        channel.send(&check::proof(Prover::Receiver, &challenge, combination))?;
        channel.flush()?;
        Ok(Rooted(trees))
    }
}
