//! What both ends of a round do: keep what the next round starts from, and turn checked trees into a stream of outputs.

use fusion_ring::aes::Block;
use fusion_ring::channel::Channel;
use fusion_ring::lpn::LocalCode;
use fusion_ring::prg::{AesPrg, Seed};
use zeroize::Zeroizing;

use super::pads::TreeHash;
use super::trees::Shape;
use super::{PublicCoins, Security};
use crate::OtError;
use crate::silent::Parameters;

/// What one end does its own way.
pub(super) trait End {
    /// A round's trees that both ends agreed on, not yet checked.
    type Planted;
    /// Trees that passed the check (or that a semi-honest instance need not check): only these can be expanded into outputs.
    type Rooted;

    /// Makes a round's trees from the correlations set aside; also gives the seed of their pads' hashes, which is drawn after everything that the receiver can choose is fixed.
    fn plant<S: Security>(
        &mut self,
        shape: &Shape,
        channel: &mut dyn Channel,
        reserve: &mut [Block],
    ) -> Result<(Self::Planted, Seed), OtError>;

    /// Checks them with the peer.
    fn check(&mut self, shape: &Shape, channel: &mut dyn Channel, trees: Self::Planted, reserve: &[Block])
    -> Result<Self::Rooted, OtError>;

    /// Takes them unchecked.
    fn trust(trees: Self::Planted) -> Self::Rooted;

    /// The leaves of tree number `tree`.
    fn leaves(&mut self, shape: &Shape, trees: &Self::Rooted, tree: usize, leaves: &mut [Block]);
}

/// Blocks of one choice width; those of a receiver carry their choices in the low bits.
pub(super) struct Engine<E: End> {
    end: E,
    shape: Shape,
    code: LocalCode,
    /// Blocks for the next round, see [`Parameters::reserve`].
    reserve: Zeroizing<Vec<Block>>,
    table: Zeroizing<Vec<Block>>,
    /// Absent before the first round.
    trees: Option<E::Rooted>,
    next_tree: usize,
    /// Outputs of all rounds before this one, so that no round repeats a part of the code.
    code_base: u64,
    /// Hash keys of the trees of this round, tree by tree.
    hashes: AesPrg,
    hash: TreeHash,
    /// Outputs of the tree that was begun, given out from the front.
    ready: Zeroizing<Vec<Block>>,
    used: usize,
}

impl<E: End> Engine<E> {
    /// An engine that has done no round yet: `reserve` comes from another protocol.
    pub(super) fn new(end: E, coins: &PublicCoins, parameters: Parameters, reserve: Zeroizing<Vec<Block>>) -> Self {
        debug_assert_eq!(reserve.len(), parameters.reserve());
        let shape = Shape { parameters, offset: coins.offset };
        let mut hashes = AesPrg::new([0; 16]);
        Self {
            end,
            shape,
            code: LocalCode::new(coins.code_seed, parameters.log_table()),
            reserve,
            table: Zeroizing::new(Vec::new()),
            trees: None,
            next_tree: parameters.trees(),
            code_base: 0,
            hash: TreeHash::new(&mut hashes),
            hashes,
            ready: Zeroizing::new(vec![0; shape.leaves()]),
            used: shape.leaves(),
        }
    }

    /// Hands `n` outputs to `sink` in pieces, each with the hash of its tree.
    pub(super) fn take<S: Security>(
        &mut self,
        channel: &mut dyn Channel,
        n: usize,
        sink: &mut dyn FnMut(&mut TreeHash, &[Block]),
    ) -> Result<(), OtError> {
        let mut missing = n;
        while missing > 0 {
            if self.used == self.ready.len() && !self.expand() {
                self.round::<S>(channel)?;
                continue;
            }
            let now = missing.min(self.ready.len() - self.used);
            sink(&mut self.hash, &self.ready[self.used..self.used + now]);
            self.used += now;
            missing -= now;
        }
        Ok(())
    }

    /// Outputs of the next tree into `ready`, if there is one.
    fn expand(&mut self) -> bool {
        let Some(trees) = self.trees.as_ref().filter(|_| self.next_tree < self.shape.parameters.trees()) else { return false };
        self.end.leaves(&self.shape, trees, self.next_tree, &mut self.ready);
        let first = self.code_base + (self.next_tree as u64) * self.ready.len() as u64;
        self.code.fold(first, &self.table, &mut self.ready);
        self.hash = TreeHash::new(&mut self.hashes);
        self.next_tree += 1;
        self.used = 0;
        true
    }

    /// Runs a round and sets aside the next round's reserve.
    fn round<S: Security>(&mut self, channel: &mut dyn Channel) -> Result<(), OtError> {
        let set = self.shape.parameters;
        if self.trees.take().is_some() {
            self.code_base += set.outputs() as u64;
        }
        let mut reserve = std::mem::take(&mut self.reserve);
        let (trees, hashes) = self.end.plant::<S>(&self.shape, channel, &mut reserve)?;
        self.hashes = AesPrg::from_seed_ref(&hashes);
        let trees = if S::CHECKED { self.end.check(&self.shape, channel, trees, &reserve)? } else { E::trust(trees) };
        self.trees = Some(trees);
        self.next_tree = 0;
        self.used = self.ready.len();
        reserve.truncate(1 << set.log_table());
        self.table = reserve;
        let mut next = Zeroizing::new(Vec::with_capacity(set.reserve()));
        // A round has more outputs than its successor needs, so this never starts another one.
        self.take::<S>(channel, set.reserve(), &mut |_, blocks| next.extend_from_slice(blocks))?;
        self.reserve = next;
        Ok(())
    }
}
