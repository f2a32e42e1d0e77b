//! What both ends of a round do: keep what the next round starts from, and turn checked trees into a stream of outputs.

use fusion_ring::aes::Block;
use fusion_ring::channel::Channel;
use fusion_ring::lpn::LocalCode;
use fusion_ring::prg::{AesPrg, Seed};
use zeroize::Zeroizing;

use super::ahead::{Ahead, Coming};
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
    /// The tree after it; none after a round's last.
    coming: Option<Coming>,
    /// Room for the leaves of the tree after that.
    spare: Zeroizing<Vec<Block>>,
}

/// Outputs of one tree, in order.
pub(super) struct Piece<'a> {
    pub(super) blocks: &'a [Block],
    hash: &'a mut TreeHash,
    ahead: Ahead<'a>,
}

impl Piece<'_> {
    /// See [`TreeHash::sender`].
    pub(super) fn sender<T>(&mut self, multiples: &[Block], cut: impl Fn(Block) -> T + Copy, out: &mut [T]) {
        self.hash.sender(multiples, self.blocks, cut, out, &mut self.ahead);
    }

    /// See [`TreeHash::receiver`].
    pub(super) fn receiver<T>(&mut self, cut: impl Fn(Block) -> T + Copy, out: &mut [T]) {
        self.hash.receiver(self.blocks, cut, out, &mut self.ahead);
    }
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
            coming: None,
            spare: Zeroizing::new(vec![0; shape.leaves()]),
        }
    }

    /// Hands `n` outputs to `sink` in pieces.
    pub(super) fn take<S: Security>(
        &mut self,
        channel: &mut dyn Channel,
        n: usize,
        sink: &mut dyn FnMut(&mut Piece<'_>),
    ) -> Result<(), OtError> {
        let mut missing = n;
        while missing > 0 {
            if self.used == self.ready.len() && !self.advance() {
                self.round::<S>(channel)?;
                continue;
            }
            let start = self.used;
            let now = missing.min(self.ready.len() - start);
            self.used += now;
            missing -= now;
            let ahead = Ahead { coming: self.coming.as_mut(), code: &self.code, table: &self.table, used: start };
            let mut piece = Piece { blocks: &self.ready[start..self.used], hash: &mut self.hash, ahead };
            sink(&mut piece);
            // What the sink did not see to.
            piece.ahead.follow(self.used);
        }
        Ok(())
    }

    /// Makes the next tree of the round the ready one, if there is one, and expands the tree after it.
    fn advance(&mut self) -> bool {
        if self.coming.is_none() {
            self.expand();
        }
        let Some(coming) = self.coming.take() else { return false };
        self.spare = std::mem::replace(&mut self.ready, coming.finish(&self.code, &self.table));
        self.hash = TreeHash::new(&mut self.hashes);
        self.used = 0;
        self.expand();
        true
    }

    /// Leaves of the next tree, if there is one.
    fn expand(&mut self) {
        let Some(trees) = self.trees.as_ref().filter(|_| self.next_tree < self.shape.parameters.trees()) else { return };
        let mut blocks = std::mem::take(&mut self.spare);
        blocks.resize(self.shape.leaves(), 0);
        self.end.leaves(&self.shape, trees, self.next_tree, &mut blocks);
        let first = self.code_base + (self.next_tree as u64) * blocks.len() as u64;
        self.coming = Some(Coming::new(&self.code, first, blocks));
        self.next_tree += 1;
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
        self.take::<S>(channel, set.reserve(), &mut |piece| next.extend_from_slice(piece.blocks))?;
        self.reserve = next;
        Ok(())
    }
}
