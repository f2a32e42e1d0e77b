//! What the oblivious-transfer protocols of this crate provide, apart from how they provide it.
//!
//! A user of OT is written against [`RandomOtSender`] and [`RandomOtReceiver`] and tested against
//! [`ideal`](crate::ideal) first; the protocol modules realise them.

use fusion_ring::channel::Channel;
use zeroize::{Zeroize, ZeroizeOnDrop};

use crate::OtError;

/// Width of a choice in bits: the OT is 1-out-of-2^m with m in 1..=4.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ChoiceBits(u8);

impl ChoiceBits {
    /// 1-out-of-2.
    pub const ONE: Self = Self(1);
    /// 1-out-of-4.
    pub const TWO: Self = Self(2);
    /// 1-out-of-8.
    pub const THREE: Self = Self(3);
    /// 1-out-of-16.
    pub const FOUR: Self = Self(4);

    /// `m` bits, if m is in 1..=4.
    #[must_use]
    pub const fn new(m: u8) -> Option<Self> {
        if m >= 1 && m <= 4 { Some(Self(m)) } else { None }
    }

    /// The width m.
    #[must_use]
    pub const fn bits(self) -> u32 {
        self.0 as u32
    }

    /// The number of messages 2^m.
    #[must_use]
    pub const fn messages(self) -> usize {
        1 << self.0
    }
}

/// The sender's output of `n` random 1-of-2^m OTs: 2^m independent 32-bit pads each.
#[derive(Zeroize, ZeroizeOnDrop)]
pub struct SenderPads {
    #[zeroize(skip)]
    m: ChoiceBits,
    pads: Vec<u32>,
}

impl SenderPads {
    /// Wraps `pads`, 2^m of them per OT, OT by OT.
    ///
    /// # Panics
    /// If the length is not a multiple of 2^m (a mistake of the producer).
    #[must_use]
    pub fn new(m: ChoiceBits, pads: Vec<u32>) -> Self {
        assert_eq!(pads.len() % m.messages(), 0, "whole OTs");
        Self { m, pads }
    }

    /// Number of OTs.
    #[must_use]
    pub fn len(&self) -> usize {
        self.pads.len() / self.m.messages()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.pads.is_empty()
    }

    /// Choice width.
    #[must_use]
    pub fn choice_bits(&self) -> ChoiceBits {
        self.m
    }

    /// The 2^m pads of OT `i`.
    #[must_use]
    pub fn get(&self, i: usize) -> &[u32] {
        let k = self.m.messages();
        &self.pads[i * k..(i + 1) * k]
    }

    /// All pads, 2^m per OT.
    #[must_use]
    pub fn as_slice(&self) -> &[u32] {
        &self.pads
    }
}

/// The receiver's output of `n` random 1-of-2^m OTs: a uniform choice below 2^m and the 32-bit pad at that choice.
#[derive(Zeroize, ZeroizeOnDrop)]
pub struct ReceiverPads {
    #[zeroize(skip)]
    m: ChoiceBits,
    choices: Vec<u8>,
    pads: Vec<u32>,
}

impl ReceiverPads {
    /// Wraps `choices` (each below 2^m) and the pads at them.
    ///
    /// # Panics
    /// If the lengths differ (a mistake of the producer).
    #[must_use]
    pub fn new(m: ChoiceBits, choices: Vec<u8>, pads: Vec<u32>) -> Self {
        assert_eq!(choices.len(), pads.len(), "one pad per choice");
        Self { m, choices, pads }
    }

    /// Number of OTs.
    #[must_use]
    pub fn len(&self) -> usize {
        self.pads.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.pads.is_empty()
    }

    /// Choice width.
    #[must_use]
    pub fn choice_bits(&self) -> ChoiceBits {
        self.m
    }

    /// The random choices, each below 2^m.
    #[must_use]
    pub fn choices(&self) -> &[u8] {
        &self.choices
    }

    /// The pads at the choices.
    #[must_use]
    pub fn pads(&self) -> &[u32] {
        &self.pads
    }
}

/// Sender of random 1-of-2^m OTs. One instance belongs to one lane; its peer calls
/// [`RandomOtReceiver::random_ot`] with the same `m` and `n` at the same point of the protocol.
pub trait RandomOtSender: Send {
    /// Produces `n` random OTs. Consumes `channel` only during the call. The outputs have passed the consistency check of the protocol:
    /// nothing derived from unchecked OTs ever leaves this call.
    ///
    /// # Errors
    /// [`OtError`]; the instance and its lane are dead afterwards.
    fn random_ot(&mut self, channel: &mut dyn Channel, m: ChoiceBits, n: usize) -> Result<SenderPads, OtError>;
}

/// Receiver of random 1-of-2^m OTs, see [`RandomOtSender`].
pub trait RandomOtReceiver: Send {
    /// Produces `n` random OTs.
    ///
    /// # Errors
    /// [`OtError`]; the instance and its lane are dead afterwards.
    fn random_ot(&mut self, channel: &mut dyn Channel, m: ChoiceBits, n: usize) -> Result<ReceiverPads, OtError>;
}
