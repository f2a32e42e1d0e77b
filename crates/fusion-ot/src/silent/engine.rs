//! What both ends of a round do: one pass over its trees, the check, and then a stream of outputs.
//!
//! The pass expands a tree, adds it up for the check, applies the code and keeps what comes out in
//! the form that was asked for; then comes the next tree, in the same memory.

use fusion_ring::channel::Channel;
use fusion_ring::ot::lpn::LocalCode;
use fusion_ring::symmetric::aes::Block;
use fusion_ring::symmetric::prg::Seed;
use zeroize::Zeroizing;

use super::Security;
use super::check::Passed;
use super::keys::RoundKeys;
use super::store::{Outputs, Provisional, Stocks};
use super::trees::{Shape, Tree};
use crate::OtError;
use crate::silent::Parameters;

/// What one end does its own way.
pub(super) trait End: Sized {
    /// What a round adds up for its check, tree by tree.
    type Round;
    /// The pads of this end.
    type Pads: Outputs<Self>;
    /// They, cut to one bit.
    type Bits: Outputs<Self>;

    /// Exchanges what comes before the trees. Gives the public seed of the round's keys, which the
    /// sender draws last.
    fn begin(&mut self, shape: &Shape, channel: &mut dyn Channel, reserve: &mut [Block]) -> Result<(Self::Round, Seed), OtError>;

    /// Makes a tree from the correlations set aside: its leaves, in order.
    fn tree<S: Security>(
        &mut self,
        shape: &Shape,
        tree: Tree<'_>,
        channel: &mut dyn Channel,
        round: &mut Self::Round,
        reserve: &[Block],
        leaves: &mut [Block],
    ) -> Result<(), OtError>;

    /// Checks all trees with the peer.
    fn check(&mut self, shape: &Shape, channel: &mut dyn Channel, round: Self::Round, reserve: &[Block]) -> Result<Passed, OtError>;
}

/// Outputs of one choice width; blocks of a receiver carry their choices in the low bits.
pub(super) struct Engine<E: End> {
    end: E,
    shape: Shape,
    code: LocalCode,
    /// Blocks for the next round, see [`Parameters::reserve`].
    reserve: Zeroizing<Vec<Block>>,
    /// Memory for the blocks of the round after it.
    after: Zeroizing<Vec<Block>>,
    /// Outputs of all rounds so far, so that no round repeats a part of the code.
    code_base: u64,
    /// Of one tree, then its outputs.
    leaves: Zeroizing<Vec<Block>>,
    stocks: Stocks<E>,
}

impl<E: End> Engine<E> {
    /// An engine that has done no round yet: `reserve` comes from another protocol.
    pub(super) fn new(end: E, code_seed: [u8; 16], parameters: Parameters, reserve: Zeroizing<Vec<Block>>) -> Self {
        debug_assert_eq!(reserve.len(), parameters.reserve());
        let shape = Shape { parameters };
        let code = LocalCode::new(code_seed, parameters.log_secrets());
        let after = Zeroizing::new(vec![0; reserve.len()]);
        let leaves = Zeroizing::new(vec![0; shape.leaves()]);
        Self { end, shape, code, reserve, after, code_base: 0, leaves, stocks: Stocks::none() }
    }

    /// Outputs of the code so far.
    #[cfg(test)]
    pub(super) fn code_base(&self) -> u64 {
        self.code_base
    }

    /// Hands `n` outputs to `sink` in pieces. What is left of a round in another form than `O` is
    /// dropped.
    pub(super) fn take<S: Security, O: Outputs<E>>(
        &mut self,
        channel: &mut dyn Channel,
        n: usize,
        sink: &mut dyn FnMut(&O, std::ops::Range<usize>),
    ) -> Result<(), OtError> {
        let mut missing = n;
        while missing > 0 {
            match O::place(&mut self.stocks).as_mut().filter(|stock| !stock.is_empty()) {
                Some(stock) => {
                    let (outputs, range) = stock.take(missing);
                    missing -= range.len();
                    sink(outputs, range);
                }
                None => self.round::<S, O>(channel)?,
            }
        }
        Ok(())
    }

    /// Makes a round's outputs in the form `O`.
    fn round<S: Security, O: Outputs<E>>(&mut self, channel: &mut dyn Channel) -> Result<(), OtError> {
        let memory = O::place(&mut self.stocks).take();
        self.stocks = Stocks::none();
        let mut made = Provisional::new(self.shape.parameters, memory, std::mem::take(&mut self.after));
        let (mut round, seed) = self.end.begin(&self.shape, channel, &mut self.reserve)?;
        self.pass::<S, O>(channel, &mut round, RoundKeys::new(&seed), &mut made)?;
        let passed = match Passed::unchecked::<S>() {
            Some(passed) => passed,
            None => self.end.check(&self.shape, channel, round, &self.reserve)?,
        };
        let (stock, reserve) = made.release(passed);
        *O::place(&mut self.stocks) = Some(stock);
        self.after = std::mem::replace(&mut self.reserve, reserve);
        Ok(())
    }

    /// Goes over all trees once.
    fn pass<S: Security, O: Outputs<E>>(
        &mut self,
        channel: &mut dyn Channel,
        round: &mut E::Round,
        mut keys: RoundKeys,
        made: &mut Provisional<O>,
    ) -> Result<(), OtError> {
        let set = self.shape.parameters;
        let table = &self.reserve[..1 << set.log_secrets()];
        for number in 0..set.trees() {
            let mut keys = keys.next_tree();
            let tree = Tree { number, keys: &keys.levels };
            self.end.tree::<S>(&self.shape, tree, channel, round, &self.reserve, &mut self.leaves)?;
            let encoding = self.code.begin(self.code_base, table, &mut self.leaves);
            self.code_base += self.shape.leaves() as u64;
            made.keep(&self.end, &mut keys.pads, encoding);
        }
        Ok(())
    }
}
