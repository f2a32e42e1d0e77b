//! One end of one direction: an engine per choice width, each made when it is first needed.

use std::marker::PhantomData;
use std::ops::Range;

use fusion_ring::channel::Channel;
use fusion_ring::symmetric::aes::Block;
use rand_core::CryptoRng;

use super::coin_toss::Toss;
use super::end::{End, slot};
use super::engine::Engine;
use super::forms::{GotBits, GotPads, SentBits, SentPads};
use super::parameters::{ExtensionSize, Parameters};
use super::receiver::ReceivingEnd;
use super::security::{Malicious, Security};
use super::sender::SendingEnd;
use super::store::{Blocks, Collect, Outputs};
use crate::OtError;
use crate::functionality::{ChoiceBits, RandomOtReceiver, RandomOtSender, ReceiverBits, ReceiverPads, SenderBits, SenderPads};
use crate::session::Direction;
use crate::softspoken::{Pads, SoftSpoken, TreeDepth};

/// One end of the silent extension: [`Sender`](super::Sender) or [`Receiver`](super::Receiver).
#[expect(private_bounds, reason = "the two ends are this module's: others name them, and cannot make more")]
pub struct SilentOt<E: End, S: Security = Malicious> {
    pub(super) source: SoftSpoken<E::Source>,
    size: ExtensionSize,
    pub(super) toss: Toss,
    pub(super) coins: E::Coins,
    pub(super) engines: [Option<Box<Engine<E>>>; 4],
    /// OTs of each width that SoftSpoken has made.
    small: [usize; 4],
    dead: bool,
    security: PhantomData<S>,
}

#[expect(private_bounds, reason = "the two ends are this module's: others name them, and cannot make more")]
impl<E: End, S: Security> SilentOt<E, S> {
    /// Sets up this direction; the peer sets up the other end.
    ///
    /// # Errors
    /// [`OtError`]; [`OtError::PeerMisbehaved`] if the peer opens another coin than it committed
    /// to.
    pub fn setup(size: ExtensionSize, direction: &Direction, channel: &mut dyn Channel, rng: &mut impl CryptoRng) -> Result<Self, OtError> {
        Self::over(SoftSpoken::setup(TreeDepth::Eight, direction, channel, rng)?, size, channel, rng)
    }

    /// Goes on from correlations of `source`.
    pub(super) fn over(
        source: SoftSpoken<E::Source>,
        size: ExtensionSize,
        channel: &mut dyn Channel,
        rng: &mut impl CryptoRng,
    ) -> Result<Self, OtError> {
        let toss = E::toss(source.run(), channel, rng)?;
        Ok(Self::new(source, size, toss, E::coins(rng)))
    }

    /// Before the first extension.
    pub(super) fn new(source: SoftSpoken<E::Source>, size: ExtensionSize, toss: Toss, coins: E::Coins) -> Self {
        Self { source, size, toss, coins, engines: [const { None }; 4], small: [0; 4], dead: false, security: PhantomData }
    }

    /// Produces `n` correlations of width `m` and hands this end's blocks to `sink` in pieces, in
    /// order. The peer calls the same with the same numbers. Pads and bits of the width that are
    /// left from earlier extensions are dropped.
    ///
    /// The blocks are w at the sender, their low m bits zero, and v at the receiver, where the
    /// choice u stands in them. Blocks under one Delta must be hashed before anything of them is
    /// sent; `pads` does.
    ///
    /// # Errors
    /// [`OtError`]; the instance is dead afterwards and what `sink` got is void.
    pub fn correlated(
        &mut self,
        channel: &mut dyn Channel,
        m: ChoiceBits,
        n: usize,
        sink: &mut dyn FnMut(&[Block]),
    ) -> Result<(), OtError> {
        self.take(channel, m, n, &mut |blocks: &Blocks, range| sink(blocks.part(range)))
    }

    fn collect<O: Outputs<E::Hashing>, C: Collect<O>>(&mut self, channel: &mut dyn Channel, m: ChoiceBits, n: usize) -> Result<C, OtError> {
        let mut collected = C::with_capacity(m, n)?;
        self.take(channel, m, n, &mut |outputs: &O, range| collected.collect(outputs, range))?;
        Ok(collected)
    }

    fn take<O: Outputs<E::Hashing>>(
        &mut self,
        channel: &mut dyn Channel,
        m: ChoiceBits,
        n: usize,
        sink: &mut dyn FnMut(&O, Range<usize>),
    ) -> Result<(), OtError> {
        if self.dead {
            return Err(OtError::Misuse("the instance failed before"));
        }
        self.dead = true;
        // Back in its slot when all went well: of one that failed nothing stays.
        let mut engine = match self.engines[slot(m)].take() {
            Some(engine) => engine,
            None => Box::new(self.engine(channel, m)?),
        };
        engine.take::<S, O>(channel, n, sink)?;
        self.engines[slot(m)] = Some(engine);
        self.dead = false;
        Ok(())
    }

    /// A new engine for width `m`, whose first extension starts from SoftSpoken's correlations.
    fn engine(&mut self, channel: &mut dyn Channel, m: ChoiceBits) -> Result<Engine<E>, OtError> {
        let parameters = Parameters::new(m, self.size);
        let (choices, mut reserve) = self.source.correlations(channel, m, parameters.reserve())?;
        E::embed(&choices, parameters.choice_mask(), &mut reserve);
        let end = E::new(&self.source, &mut self.coins, parameters);
        Ok(Engine::new(end, self.toss.code_seed(self.source.run(), m), parameters, reserve))
    }

    /// Whether SoftSpoken makes the next `n` OTs: both parties decide alike.
    fn is_small(&self, m: ChoiceBits, n: usize) -> bool {
        let total = self.small[slot(m)].saturating_add(n);
        let reserve = Parameters::new(m, self.size).reserve();
        // Who takes larger extensions expects many OTs, and would pay for the reserve twice.
        let most = if self.size == ExtensionSize::Small { reserve } else { reserve / 8 };
        !self.dead && self.engines[slot(m)].is_none() && total <= most
    }

    /// Random OTs of SoftSpoken.
    fn small_pads(&mut self, channel: &mut dyn Channel, m: ChoiceBits, n: usize) -> Result<Pads<E::Source>, OtError> {
        self.small[slot(m)] += n;
        let pads = self.source.pads(channel, m, n);
        self.dead = pads.is_err();
        pads
    }
}

impl<S: Security> SilentOt<SendingEnd, S> {
    /// Random 1-of-2^m OTs at this instance's security, all from LPN; blocks and bits of the width
    /// that are left from earlier extensions are dropped. See [`RandomOtSender::random_ot`].
    ///
    /// # Errors
    /// [`OtError`].
    pub fn pads(&mut self, channel: &mut dyn Channel, m: ChoiceBits, n: usize) -> Result<SenderPads, OtError> {
        self.collect::<SentPads, _>(channel, m, n)
    }

    /// As [`pads`](Self::pads), with pads of one bit. See [`RandomOtSender::random_bits`].
    ///
    /// # Errors
    /// [`OtError`].
    pub fn bits(&mut self, channel: &mut dyn Channel, m: ChoiceBits, n: usize) -> Result<SenderBits, OtError> {
        self.collect::<SentBits, _>(channel, m, n)
    }
}

impl RandomOtSender for SilentOt<SendingEnd, Malicious> {
    fn random_ot(&mut self, channel: &mut dyn Channel, m: ChoiceBits, n: usize) -> Result<SenderPads, OtError> {
        if self.is_small(m, n) { self.small_pads(channel, m, n) } else { self.pads(channel, m, n) }
    }

    fn random_bits(&mut self, channel: &mut dyn Channel, m: ChoiceBits, n: usize) -> Result<SenderBits, OtError> {
        if self.is_small(m, n) { self.small_pads(channel, m, n).map(|pads| SenderBits::of(&pads)) } else { self.bits(channel, m, n) }
    }
}

impl<S: Security> SilentOt<ReceivingEnd, S> {
    /// Random 1-of-2^m OTs at this instance's security, all from LPN; blocks and bits of the width
    /// that are left from earlier extensions are dropped. See [`RandomOtReceiver::random_ot`].
    ///
    /// # Errors
    /// [`OtError`].
    pub fn pads(&mut self, channel: &mut dyn Channel, m: ChoiceBits, n: usize) -> Result<ReceiverPads, OtError> {
        self.collect::<GotPads, _>(channel, m, n)
    }

    /// As [`pads`](Self::pads), with pads of one bit. See [`RandomOtReceiver::random_bits`].
    ///
    /// # Errors
    /// [`OtError`].
    pub fn bits(&mut self, channel: &mut dyn Channel, m: ChoiceBits, n: usize) -> Result<ReceiverBits, OtError> {
        self.collect::<GotBits, _>(channel, m, n)
    }
}

impl RandomOtReceiver for SilentOt<ReceivingEnd, Malicious> {
    fn random_ot(&mut self, channel: &mut dyn Channel, m: ChoiceBits, n: usize) -> Result<ReceiverPads, OtError> {
        if self.is_small(m, n) { self.small_pads(channel, m, n) } else { self.pads(channel, m, n) }
    }

    fn random_bits(&mut self, channel: &mut dyn Channel, m: ChoiceBits, n: usize) -> Result<ReceiverBits, OtError> {
        if self.is_small(m, n) { self.small_pads(channel, m, n).map(|pads| ReceiverBits::of(&pads)) } else { self.bits(channel, m, n) }
    }
}
