//! What one end of an extension does its own way.

use fusion_ring::channel::Channel;
use fusion_ring::symmetric::aes::Block;
use fusion_ring::symmetric::prg::Seed;
use rand_core::CryptoRng;

use super::check::Passed;
use super::coin_toss::Toss;
use super::parameters::Parameters;
use super::security::Security;
use super::trees::{Shape, Tree};
use crate::OtError;
use crate::functionality::ChoiceBits;
use crate::session::RunId;
use crate::softspoken::{self, Choices, SoftSpoken};

/// One end of the extensions of one choice width.
pub(super) trait End: Sized + Send {
    /// Its end of SoftSpoken.
    type Source: softspoken::End;
    /// What the ends of all choice widths draw randomness from.
    type Coins: Send;
    /// What an extension adds up, tree by tree.
    type State;
    /// What this end hashes with, beside a tree's keys.
    type Hashing: ?Sized;

    /// Tosses the coin that decides the code.
    fn toss(run: &RunId, channel: &mut dyn Channel, rng: &mut impl CryptoRng) -> Result<Toss, OtError>;

    /// New coins.
    fn coins(rng: &mut impl CryptoRng) -> Self::Coins;

    /// This end before its first extension.
    fn new(source: &SoftSpoken<Self::Source>, coins: &mut Self::Coins, parameters: Parameters) -> Self;

    /// Clears the bits within `mask` of correlations, or has them carry the choices.
    fn embed(choices: &Choices<Self::Source>, mask: Block, correlations: &mut [Block]);

    /// What this end hashes with.
    fn hashing(&self) -> &Self::Hashing;

    /// Exchanges what comes before the trees. Gives the public seed of the extension's keys, which
    /// the sender draws last.
    fn begin(&mut self, shape: &Shape, channel: &mut dyn Channel, reserve: &mut [Block]) -> Result<(Self::State, Seed), OtError>;

    /// Makes a tree from the correlations set aside: its leaves, in order.
    fn tree<S: Security>(
        &mut self,
        shape: &Shape,
        tree: Tree<'_>,
        channel: &mut dyn Channel,
        state: &mut Self::State,
        reserve: &[Block],
        leaves: &mut [Block],
    ) -> Result<(), OtError>;

    /// Checks all trees with the peer.
    fn check(&mut self, shape: &Shape, channel: &mut dyn Channel, state: Self::State, reserve: &[Block]) -> Result<Passed, OtError>;
}

/// Index of what belongs to width `m`.
pub(super) fn slot(m: ChoiceBits) -> usize {
    m.bits() as usize - 1
}
