//! What the oblivious-transfer protocols of this crate provide, apart from how they provide it.
//!
//! A user of OT is written against [`RandomOtSender`] and [`RandomOtReceiver`] and tested against
//! `ideal` (feature `test-utils`) first; the protocol modules realise them.

use fusion_ring::channel::Channel;
use fusion_ring::secret::wipe;
use zeroize::ZeroizeOnDrop;

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

/// The sender's output of `n` random 1-of-2^m OTs: 2^m independent pads each, of 32 bits if the OTs
/// are 1-of-2, of eight bits else.
///
/// Two 32-bit pads serve products with ring elements; the tables that wider OTs select from have
/// small entries, and pads are made by the hundred million.
pub struct SenderPads {
    m: ChoiceBits,
    /// Of 1-of-2 OTs, else empty.
    pairs: Vec<u32>,
    /// Of wider ones, else empty.
    bytes: Vec<u8>,
}

impl SenderPads {
    /// Wraps the pads of 1-of-2 OTs, OT by OT.
    ///
    /// # Panics
    /// If their number is odd (a mistake of the producer).
    #[must_use]
    pub fn pairs(pairs: Vec<u32>) -> Self {
        assert!(pairs.len().is_multiple_of(2), "whole OTs");
        Self { m: ChoiceBits::ONE, pairs, bytes: Vec::new() }
    }

    /// Wraps the pads of 1-of-2^m OTs, m > 1, OT by OT.
    ///
    /// # Panics
    /// If `m` is one or the length not a multiple of 2^m (a mistake of the producer).
    #[must_use]
    pub fn wide(m: ChoiceBits, bytes: Vec<u8>) -> Self {
        assert!(m != ChoiceBits::ONE && bytes.len().is_multiple_of(m.messages()), "whole wide OTs");
        Self { m, pairs: Vec::new(), bytes }
    }

    /// Nothing yet, with room for `n` OTs; `None` if so many have no room.
    pub(crate) fn with_capacity(m: ChoiceBits, n: usize) -> Option<Self> {
        let total = n.checked_mul(m.messages())?;
        let one = m == ChoiceBits::ONE;
        let (pairs, bytes) = if one { (total, 0) } else { (0, total) };
        Some(Self { m, pairs: Vec::with_capacity(pairs), bytes: Vec::with_capacity(bytes) })
    }

    /// Appends pads, of 1-of-2 OTs a word each, of wider ones four to a word. There must be room
    /// for them: a vector that grows leaves copies behind.
    pub(crate) fn extend_from_words(&mut self, words: &[u32]) {
        if self.m == ChoiceBits::ONE {
            self.pairs.extend_from_slice(words)
        } else {
            self.bytes.extend_from_slice(bytemuck::cast_slice(words))
        }
    }

    /// Number of OTs.
    #[must_use]
    pub fn len(&self) -> usize {
        (self.pairs.len() + self.bytes.len()) / self.m.messages()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Choice width.
    #[must_use]
    pub fn choice_bits(&self) -> ChoiceBits {
        self.m
    }

    /// The pad of OT `i` at `choice`; `choice` must be public.
    ///
    /// # Panics
    /// If there is no such OT or choice.
    #[must_use]
    pub fn pad(&self, i: usize, choice: usize) -> u32 {
        let k = self.m.messages();
        assert!(choice < k, "choice of {k}");
        if self.m == ChoiceBits::ONE { self.pairs[i * k + choice] } else { u32::from(self.bytes[i * k + choice]) }
    }

    /// All pads of 1-of-2 OTs, two per OT; nothing of wider ones.
    #[must_use]
    pub fn as_pairs(&self) -> &[u32] {
        &self.pairs
    }

    /// All pads of 1-of-2^m OTs, m > 1, 2^m per OT; nothing of 1-of-2 OTs.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for SenderPads {
    fn drop(&mut self) {
        wipe(&mut self.pairs);
        wipe(&mut self.bytes);
    }
}

impl ZeroizeOnDrop for SenderPads {}

/// The receiver's output of `n` random 1-of-2^m OTs: a uniform choice below 2^m and the pad at that
/// choice, of 32 bits for m = 1 and of eight else.
pub struct ReceiverPads {
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

    /// Nothing yet, with room for `n` OTs.
    pub(crate) fn with_capacity(m: ChoiceBits, n: usize) -> Self {
        Self { m, choices: Vec::with_capacity(n), pads: Vec::with_capacity(n) }
    }

    /// Appends as many choices as pads, for which there must be room.
    pub(crate) fn extend_from_slices(&mut self, choices: &[u8], pads: &[u32]) {
        debug_assert_eq!(choices.len(), pads.len());
        self.choices.extend_from_slice(choices);
        self.pads.extend_from_slice(pads);
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

impl Drop for ReceiverPads {
    fn drop(&mut self) {
        wipe(&mut self.choices);
        wipe(&mut self.pads);
    }
}

impl ZeroizeOnDrop for ReceiverPads {}

/// The bit of a byte of [`ReceiverBits`] that is the pad.
pub const PAD_BIT: u32 = 7;

/// The sender's output of random 1-of-2^m OTs whose pads have one bit: enough to mask a truth
/// table, in an eighth of the memory.
pub struct SenderBits {
    m: ChoiceBits,
    tables: Vec<u16>,
}

impl SenderBits {
    /// Wraps one table of 2^m pads per OT, bit x being the pad at choice x.
    #[must_use]
    pub fn new(m: ChoiceBits, tables: Vec<u16>) -> Self {
        Self { m, tables }
    }

    /// Appends tables, for which there must be room.
    pub(crate) fn extend_from_slice(&mut self, tables: &[u16]) {
        self.tables.extend_from_slice(tables);
    }

    /// The lowest bits of `pads`.
    #[must_use]
    pub fn of(pads: &SenderPads) -> Self {
        let bit = |i: usize, x: usize| (pads.pad(i, x) as u16 & 1) << x;
        let table = |i| (0..pads.m.messages()).fold(0, |table, x| table | bit(i, x));
        Self { m: pads.m, tables: (0..pads.len()).map(table).collect() }
    }

    /// Choice width.
    #[must_use]
    pub fn choice_bits(&self) -> ChoiceBits {
        self.m
    }

    /// One table per OT.
    #[must_use]
    pub fn tables(&self) -> &[u16] {
        &self.tables
    }
}

impl Drop for SenderBits {
    fn drop(&mut self) {
        wipe(&mut self.tables);
    }
}

impl ZeroizeOnDrop for SenderBits {}

/// The receiver's output of random 1-of-2^m OTs whose pads have one bit.
pub struct ReceiverBits {
    m: ChoiceBits,
    bytes: Vec<u8>,
}

impl ReceiverBits {
    /// Wraps one byte per OT: the choice in the low m bits, the pad at it in bit [`PAD_BIT`], zeros
    /// between.
    #[must_use]
    pub fn new(m: ChoiceBits, bytes: Vec<u8>) -> Self {
        Self { m, bytes }
    }

    /// Appends bytes, for which there must be room.
    pub(crate) fn extend_from_slice(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// The lowest bits of `pads`.
    #[must_use]
    pub fn of(pads: &ReceiverPads) -> Self {
        let bytes = pads.choices.iter().zip(&pads.pads).map(|(choice, pad)| choice | (*pad as u8) << PAD_BIT);
        Self { m: pads.m, bytes: bytes.collect() }
    }

    /// Choice width.
    #[must_use]
    pub fn choice_bits(&self) -> ChoiceBits {
        self.m
    }

    /// One byte per OT, see [`ReceiverBits::new`].
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for ReceiverBits {
    fn drop(&mut self) {
        wipe(&mut self.bytes);
    }
}

impl ZeroizeOnDrop for ReceiverBits {}

/// Sender of random 1-of-2^m OTs. One instance belongs to one lane; its peer calls
/// [`RandomOtReceiver::random_ot`] with the same `m` and `n` at the same point of the protocol.
pub trait RandomOtSender: Send {
    /// Produces `n` random OTs. Consumes `channel` only during the call. The outputs have passed
    /// the consistency check of the protocol: nothing derived from unchecked OTs ever leaves this
    /// call.
    ///
    /// # Errors
    /// [`OtError`]; the instance and its lane are dead afterwards.
    fn random_ot(&mut self, channel: &mut dyn Channel, m: ChoiceBits, n: usize) -> Result<SenderPads, OtError>;

    /// As [`random_ot`](Self::random_ot), with pads of one bit. The peer calls
    /// [`RandomOtReceiver::random_bits`].
    ///
    /// # Errors
    /// [`OtError`]; the instance and its lane are dead afterwards.
    fn random_bits(&mut self, channel: &mut dyn Channel, m: ChoiceBits, n: usize) -> Result<SenderBits, OtError> {
        self.random_ot(channel, m, n).map(|pads| SenderBits::of(&pads))
    }
}

/// Receiver of random 1-of-2^m OTs, see [`RandomOtSender`].
pub trait RandomOtReceiver: Send {
    /// Produces `n` random OTs.
    ///
    /// # Errors
    /// [`OtError`]; the instance and its lane are dead afterwards.
    fn random_ot(&mut self, channel: &mut dyn Channel, m: ChoiceBits, n: usize) -> Result<ReceiverPads, OtError>;

    /// As [`random_ot`](Self::random_ot), with pads of one bit.
    ///
    /// # Errors
    /// [`OtError`]; the instance and its lane are dead afterwards.
    fn random_bits(&mut self, channel: &mut dyn Channel, m: ChoiceBits, n: usize) -> Result<ReceiverBits, OtError> {
        self.random_ot(channel, m, n).map(|pads| ReceiverBits::of(&pads))
    }
}
