//! The forms of pads: how they are kept while an extension is unchecked and handed out after it.
//!
//! Pads of one bit take two bytes per OT at the sender and one at the receiver, so that more of
//! them stay in the cache.

use std::ops::Range;

use fusion_ring::bits::bitslice::bitslice_of_byte_bits;
use fusion_ring::ot::lpn::Encoding;
use fusion_ring::secret::Wiped;
use fusion_ring::symmetric::aes::Block;
use zeroize::Zeroizing;

use super::pads::PadHash;
use super::parameters::Parameters;
use super::store::{Collect, Outputs};
use crate::OtError;
use crate::delta::pad_mask;
use crate::functionality::{ChoiceBits, PAD_BIT, ReceiverBits, ReceiverPads, SenderBits, SenderPads};

/// A sender's pads: two words each at m = 1, 2^m bytes else. It hashes with the multiples x Delta
/// for every choice x.
pub(super) struct SentPads(Wiped<u32>);

impl SentPads {
    /// Words per OT of 2^m messages.
    fn words(messages: usize) -> usize {
        if messages == 2 { 2 } else { messages / 4 }
    }
}

impl Outputs<[Block]> for SentPads {
    fn new(set: Parameters, n: usize) -> Self {
        Self(Wiped::new(n * Self::words(set.choice_bits().messages())))
    }

    fn keep(&mut self, multiples: &[Block], hash: &mut PadHash, encoding: &mut Encoding<'_>, range: Range<usize>, at: usize) {
        let words = Self::words(multiples.len());
        let out = &mut self.0[at * words..][..range.len() * words];
        if multiples.len() == 2 {
            hash.sender(multiples, encoding, range, |pad| pad as u32, out);
        } else {
            hash.sender(multiples, encoding, range, |pad| pad as u8, bytemuck::cast_slice_mut(out));
        }
    }
}

impl Collect<SentPads> for SenderPads {
    fn with_capacity(m: ChoiceBits, n: usize) -> Result<Self, OtError> {
        SenderPads::with_capacity(m, n).ok_or(OtError::Misuse("too many OTs"))
    }

    fn collect(&mut self, outputs: &SentPads, range: Range<usize>) {
        let words = SentPads::words(self.choice_bits().messages());
        self.extend_from_words(&outputs.0[range.start * words..range.end * words]);
    }
}

/// A receiver's choices, and the pads at them. It hashes with the choice width alone.
pub(super) struct GotPads {
    choices: Wiped<u8>,
    pads: Wiped<u32>,
}

impl Outputs<ChoiceBits> for GotPads {
    fn new(_: Parameters, n: usize) -> Self {
        Self { choices: Wiped::new(n), pads: Wiped::new(n) }
    }

    fn keep(&mut self, m: &ChoiceBits, hash: &mut PadHash, encoding: &mut Encoding<'_>, range: Range<usize>, at: usize) {
        let kept = pad_mask(*m);
        let (choices, pads) = (&mut self.choices[at..][..range.len()], &mut self.pads[at..][..range.len()]);
        hash.receiver(encoding, range, |pad| pad as u32 & kept, pads, choice_mask(*m), choices);
    }
}

impl Collect<GotPads> for ReceiverPads {
    fn with_capacity(m: ChoiceBits, n: usize) -> Result<Self, OtError> {
        Ok(ReceiverPads::with_capacity(m, n))
    }

    fn collect(&mut self, outputs: &GotPads, range: Range<usize>) {
        self.extend_from_slices(&outputs.choices[range.clone()], &outputs.pads[range]);
    }
}

/// A sender's pads of one bit: bit x of each is the pad at choice x.
pub(super) struct SentBits {
    tables: Wiped<u16>,
    /// The pads of one tree, a byte each.
    pads: Wiped<u8>,
}

impl Outputs<[Block]> for SentBits {
    fn new(set: Parameters, n: usize) -> Self {
        Self { tables: Wiped::new(n), pads: Wiped::new(set.choice_bits().messages() << set.depth()) }
    }

    fn keep(&mut self, multiples: &[Block], hash: &mut PadHash, encoding: &mut Encoding<'_>, range: Range<usize>, at: usize) {
        let k = multiples.len();
        let tables = &mut self.tables[at..][..range.len()];
        let pads = &mut self.pads[..k * range.len()];
        hash.sender(multiples, encoding, range, |pad| pad as u8, pads);
        // A word of the bitslice has the tables of 64 / 2^m OTs.
        let bitslice = Zeroizing::new(bitslice_of_byte_bits(pads, 0));
        for (tables, word) in tables.chunks_mut(64 / k).zip(bitslice.iter()) {
            for (i, table) in tables.iter_mut().enumerate() {
                *table = (word >> (k * i)) as u16 & (u16::MAX >> (16 - k));
            }
        }
    }
}

impl Collect<SentBits> for SenderBits {
    fn with_capacity(m: ChoiceBits, n: usize) -> Result<Self, OtError> {
        Ok(SenderBits::new(m, Vec::with_capacity(n)))
    }

    fn collect(&mut self, outputs: &SentBits, range: Range<usize>) {
        self.extend_from_slice(&outputs.tables[range]);
    }
}

/// A receiver's pads of one bit: the choice in the low bits and the pad at [`PAD_BIT`].
pub(super) struct GotBits {
    bytes: Wiped<u8>,
    /// The choices of one tree.
    choices: Wiped<u8>,
}

impl Outputs<ChoiceBits> for GotBits {
    fn new(set: Parameters, n: usize) -> Self {
        Self { bytes: Wiped::new(n), choices: Wiped::new(1 << set.depth()) }
    }

    fn keep(&mut self, m: &ChoiceBits, hash: &mut PadHash, encoding: &mut Encoding<'_>, range: Range<usize>, at: usize) {
        let bytes = &mut self.bytes[at..][..range.len()];
        let choices = &mut self.choices[..range.len()];
        hash.receiver(encoding, range, |pad| (pad as u8) << PAD_BIT, bytes, choice_mask(*m), choices);
        bytes.iter_mut().zip(choices).for_each(|(byte, choice)| *byte |= *choice);
    }
}

impl Collect<GotBits> for ReceiverBits {
    fn with_capacity(m: ChoiceBits, n: usize) -> Result<Self, OtError> {
        Ok(ReceiverBits::new(m, Vec::with_capacity(n)))
    }

    fn collect(&mut self, outputs: &GotBits, range: Range<usize>) {
        self.extend_from_slice(&outputs.bytes[range]);
    }
}

/// The low bits of a receiver's block that carry its choice.
fn choice_mask(m: ChoiceBits) -> u8 {
    (1 << m.bits()) - 1
}
