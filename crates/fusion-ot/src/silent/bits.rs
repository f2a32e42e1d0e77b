//! Outputs as pads of one bit: two bytes per OT at the sender and one at the receiver, so that an
//! extension's outputs fit the cache better.

use std::ops::Range;

use fusion_ring::bits::bitslice::bitslice_of_byte_bits;
use fusion_ring::ot::lpn::Encoding;
use fusion_ring::secret::Wiped;
use zeroize::Zeroizing;

use super::pads::PadHash;
use super::parameters::Parameters;
use super::receiver::ReceivingEnd;
use super::sender::SendingEnd;
use super::store::{Outputs, Stock, Stocks};
use crate::functionality::PAD_BIT;

/// A sender's: bit x of each is the pad at choice x.
pub(super) struct SentBits {
    tables: Wiped<u16>,
    /// The pads of one tree, a byte each.
    pads: Wiped<u8>,
}

impl SentBits {
    /// The tables of OTs in `range`.
    pub(super) fn part(&self, range: Range<usize>) -> &[u16] {
        &self.tables[range]
    }
}

impl Outputs<SendingEnd> for SentBits {
    fn new(set: Parameters, n: usize) -> Self {
        Self { tables: Wiped::new(n), pads: Wiped::new(set.choice_bits().messages() << set.depth()) }
    }

    fn keep(&mut self, end: &SendingEnd, hash: &mut PadHash, encoding: &mut Encoding<'_>, range: Range<usize>, at: usize) {
        let k = end.multiples().len();
        let tables = &mut self.tables[at..][..range.len()];
        let pads = &mut self.pads[..k * range.len()];
        hash.sender(end.multiples(), encoding, range, |pad| pad as u8, pads);
        // A word of the bitslice has the tables of 64 / 2^m OTs.
        let bitslice = Zeroizing::new(bitslice_of_byte_bits(pads, 0));
        for (tables, word) in tables.chunks_mut(64 / k).zip(bitslice.iter()) {
            for (i, table) in tables.iter_mut().enumerate() {
                *table = (word >> (k * i)) as u16 & (u16::MAX >> (16 - k));
            }
        }
    }

    fn place(stocks: &mut Stocks<SendingEnd>) -> &mut Option<Stock<Self>> {
        &mut stocks.bits
    }
}

/// A receiver's: the choice in the low bits and the pad at [`PAD_BIT`].
pub(super) struct GotBits {
    bytes: Wiped<u8>,
    /// The choices of one tree.
    choices: Wiped<u8>,
}

impl GotBits {
    /// The bytes of OTs in `range`.
    pub(super) fn part(&self, range: Range<usize>) -> &[u8] {
        &self.bytes[range]
    }
}

impl Outputs<ReceivingEnd> for GotBits {
    fn new(set: Parameters, n: usize) -> Self {
        Self { bytes: Wiped::new(n), choices: Wiped::new(1 << set.depth()) }
    }

    fn keep(&mut self, end: &ReceivingEnd, hash: &mut PadHash, encoding: &mut Encoding<'_>, range: Range<usize>, at: usize) {
        let bytes = &mut self.bytes[at..][..range.len()];
        let choices = &mut self.choices[..range.len()];
        hash.receiver(encoding, range, |pad| (pad as u8) << PAD_BIT, bytes, end.low(), choices);
        bytes.iter_mut().zip(choices).for_each(|(byte, choice)| *byte |= *choice);
    }

    fn place(stocks: &mut Stocks<ReceivingEnd>) -> &mut Option<Stock<Self>> {
        &mut stocks.bits
    }
}
