//! Oblivious transfers between the real ones and a lane: they tell the phase, and lie to their own
//! party if it is to deviate.

use fusion_ot::OtError;
use fusion_ot::functionality::{ChoiceBits, PAD_BIT, RandomOtReceiver, RandomOtSender, ReceiverBits, ReceiverPads, SenderBits, SenderPads};
use fusion_ring::channel::Channel;
use rand::RngExt;
use rand_chacha::ChaCha20Rng;

use super::tamper::PhaseNow;

/// The phase while random OTs are made.
pub(super) const RANDOM_OT: &str = "random OT";

/// One OT in so many is lied about.
const ONE_IN: u32 = 50;

/// How a party lies about its OTs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lie {
    /// As a receiver it goes on with other choices than those that its pads are for.
    Choices,
    /// As a sender it masks its tables with other pads.
    Tables,
    /// As a sender it has another Delta, so that the pads at all choices but zero are others.
    Delta,
}

/// An OT instance that lies.
pub(super) struct Lying<T> {
    inner: T,
    phase: PhaseNow,
    lie: Option<Lie>,
    rng: ChaCha20Rng,
}

impl<T> Lying<T> {
    pub(super) fn new(inner: T, phase: PhaseNow, lie: Option<Lie>, rng: ChaCha20Rng) -> Self {
        Self { inner, phase, lie, rng }
    }

    fn within<U>(&mut self, make: impl FnOnce(&mut T) -> U) -> U {
        let left = self.phase.enter(RANDOM_OT);
        let made = make(&mut self.inner);
        self.phase.enter(left);
        made
    }

    /// The choices at which the pads of the next OT are wrong.
    fn wrong(&mut self, m: ChoiceBits) -> std::ops::Range<usize> {
        let from = match self.lie {
            Some(Lie::Tables) => 0,
            Some(Lie::Delta) => 1,
            Some(Lie::Choices) | None => return 0..0,
        };
        if self.rng.random_ratio(1, ONE_IN) { from..m.messages() } else { 0..0 }
    }
}

impl<T: RandomOtSender> RandomOtSender for Lying<T> {
    fn random_ot(&mut self, channel: &mut dyn Channel, m: ChoiceBits, n: usize) -> Result<SenderPads, OtError> {
        let made = self.within(|inner| inner.random_ot(channel, m, n))?;
        let (mut pairs, mut bytes) = (made.as_pairs().to_vec(), made.as_bytes().to_vec());
        for ot in 0..n {
            for choice in self.wrong(m) {
                let at = ot * m.messages() + choice;
                if m == ChoiceBits::ONE { pairs[at] = self.rng.random() } else { bytes[at] = self.rng.random() }
            }
        }
        Ok(if m == ChoiceBits::ONE { SenderPads::pairs(pairs) } else { SenderPads::wide(m, bytes) })
    }

    fn random_bits(&mut self, channel: &mut dyn Channel, m: ChoiceBits, n: usize) -> Result<SenderBits, OtError> {
        let made = self.within(|inner| inner.random_bits(channel, m, n))?;
        let mut tables = made.tables().to_vec();
        for table in &mut tables {
            self.wrong(m).for_each(|choice| *table ^= u16::from(self.rng.random::<bool>()) << choice);
        }
        Ok(SenderBits::new(m, tables))
    }
}

impl<T: RandomOtReceiver> Lying<T> {
    /// What is added to a choice.
    fn added(&mut self, m: ChoiceBits) -> u8 {
        let lies = self.lie == Some(Lie::Choices) && self.rng.random_ratio(1, ONE_IN);
        if lies { self.rng.random_range(1..m.messages() as u8) } else { 0 }
    }
}

impl<T: RandomOtReceiver> RandomOtReceiver for Lying<T> {
    fn random_ot(&mut self, channel: &mut dyn Channel, m: ChoiceBits, n: usize) -> Result<ReceiverPads, OtError> {
        let made = self.within(|inner| inner.random_ot(channel, m, n))?;
        let choices = made.choices().iter().map(|choice| choice ^ self.added(m)).collect();
        Ok(ReceiverPads::new(m, choices, made.pads().to_vec()))
    }

    fn random_bits(&mut self, channel: &mut dyn Channel, m: ChoiceBits, n: usize) -> Result<ReceiverBits, OtError> {
        let made = self.within(|inner| inner.random_bits(channel, m, n))?;
        let bytes = made.bytes().iter().map(|byte| byte ^ self.added(m)).collect();
        debug_assert!(m.bits() < PAD_BIT);
        Ok(ReceiverBits::new(m, bytes))
    }
}
