//! What both ends do alike: they keep checked rows and make OTs of them.

use fusion_ring::channel::Channel;
use fusion_ring::symmetric::aes::Block;
use rand_core::CryptoRng;
use zeroize::Zeroizing;

use super::tree::TreeDepth;
use super::vole::{Checked, Leaves};
use crate::OtError;
use crate::delta::{PadStream, combine};
use crate::functionality::ChoiceBits;
use crate::session::{Direction, RunId};

/// Fewest rows of a batch.
pub(super) const MIN_BATCH_ROWS: usize = 1 << 16;
/// Most rows of a batch: bounds memory at 16 MB per instance and batch.
const MAX_BATCH_ROWS: usize = 1 << 20;

/// How many rows the next batch has if `missing` more are needed.
pub(crate) fn batch_rows(missing: usize) -> usize {
    missing.clamp(MIN_BATCH_ROWS, MAX_BATCH_ROWS).next_multiple_of(128)
}

/// What one end does its own way.
pub(crate) trait End: Sized + Send {
    /// Whether this end lacks leaf 0 of every tree.
    const PUNCTURED: bool;
    /// What this end knows of choices.
    type Choices;
    /// The pads of this end.
    type Pads;

    /// Exchanges base OTs and trees of depth `k`: the name of the run and the leaves of all trees.
    fn setup(
        k: usize,
        direction: &Direction,
        channel: &mut dyn Channel,
        rng: &mut impl CryptoRng,
    ) -> Result<(Self, RunId, Zeroizing<Vec<Block>>), OtError>;

    /// Makes and checks a batch of `rows` rows.
    fn batch(&mut self, leaves: &mut Leaves, channel: &mut dyn Channel, rows: usize) -> Result<Checked, OtError>;

    /// Exchanges a public seed, which the sender draws.
    fn seed(&mut self, channel: &mut dyn Channel) -> Result<[u8; 16], OtError>;

    /// Takes the choices of all rows from number `start` on, those of `width` rows for one of as
    /// many bits.
    fn take_choices(&mut self, start: usize, width: usize) -> Self::Choices;

    /// Hashes correlations to pads.
    fn pads(&self, stream: &mut PadStream, m: ChoiceBits, choices: Self::Choices, blocks: &[Block]) -> Self::Pads;
}

/// The choices that an end knows.
pub(crate) type Choices<E> = <E as End>::Choices;
/// The pads of an end.
pub(crate) type Pads<E> = <E as End>::Pads;

/// One end of the extension: [`Sender`](super::Sender) or [`Receiver`](super::Receiver).
#[expect(private_bounds, reason = "the two ends are this module's: others name them, and cannot make more")]
pub struct SoftSpoken<E: End> {
    end: E,
    leaves: Leaves,
    /// Checked rows that no call has used yet.
    rows: Zeroizing<Vec<Block>>,
    run: RunId,
    pads: PadStream,
    dead: bool,
}

#[expect(private_bounds, reason = "the two ends are this module's: others name them, and cannot make more")]
impl<E: End> SoftSpoken<E> {
    /// Sets up this direction; the peer sets up the other end.
    ///
    /// # Errors
    /// [`OtError`].
    pub fn setup(depth: TreeDepth, direction: &Direction, channel: &mut dyn Channel, rng: &mut impl CryptoRng) -> Result<Self, OtError> {
        let (end, run, seeds) = E::setup(depth.k(), direction, channel, rng)?;
        Ok(Self::new(end, depth.k(), &seeds, run))
    }

    /// From the leaves of all trees of depth `k`.
    pub(super) fn new(end: E, k: usize, seeds: &[Block], run: RunId) -> Self {
        let (leaves, pads) = (Leaves::new(&run, k, seeds, E::PUNCTURED), PadStream::new(&run));
        Self { end, leaves, rows: Zeroizing::new(Vec::new()), run, pads, dead: false }
    }

    /// This end's own part.
    pub(super) fn end(&self) -> &E {
        &self.end
    }

    /// The name of the run.
    pub(crate) fn run(&self) -> &RunId {
        &self.run
    }

    /// `n` checked correlations of width `m`, w or v, and their choices.
    pub(crate) fn correlations(
        &mut self,
        channel: &mut dyn Channel,
        m: ChoiceBits,
        n: usize,
    ) -> Result<(E::Choices, Zeroizing<Vec<Block>>), OtError> {
        let width = m.bits() as usize;
        let n = n.checked_mul(width).ok_or(OtError::Misuse("too many OTs"))?;
        if self.dead {
            return Err(OtError::Misuse("the instance failed before"));
        }
        self.dead = true;
        while self.rows.len() < n {
            self.batch(channel, batch_rows(n - self.rows.len()))?;
        }
        self.dead = false;
        let start = self.rows.len() - n;
        let mut rows = Zeroizing::new(self.rows.split_off(start));
        if width > 1 {
            rows = Zeroizing::new(rows.chunks_exact(width).map(combine).collect());
        }
        Ok((self.end.take_choices(start, width), rows))
    }

    /// `n` random OTs of width `m`.
    pub(crate) fn pads(&mut self, channel: &mut dyn Channel, m: ChoiceBits, n: usize) -> Result<E::Pads, OtError> {
        let (choices, blocks) = self.correlations(channel, m, n)?;
        Ok(self.end.pads(&mut self.pads, m, choices, &blocks))
    }

    fn batch(&mut self, channel: &mut dyn Channel, rows: usize) -> Result<(), OtError> {
        let checked = self.end.batch(&mut self.leaves, channel, rows)?;
        self.rows = checked.append_to(&self.rows);
        // All rows are fixed: nothing that they enter later was known when they were made.
        let seed = self.end.seed(channel)?;
        self.pads.rekey(&self.run, &seed);
        Ok(())
    }
}
