//! Chosen 1-of-2^m OT and shared table look-up from random OT.
//!
//! # Functionality
//! Per OT the sender has 2^m messages of s bits, the receiver a choice c below 2^m.
//! - *chosen*: the receiver learns message c, the sender nothing.
//! - *table*: the sender learns a mask r of s bits, the receiver message c ^ r: XOR shares of the entry that c selects. The sender cannot choose r, which saves a message.
//!
//! # Roles
//! [`request`] then [`Requested`] is the receiver, [`reply_chosen`] or [`reply_table`] the sender. These are pure functions from message to message, so that a caller can
//! batch several OTs, of both directions, in one round trip; [`send_chosen`], [`receive_chosen`], [`send_table`], [`receive_table`] drive one batch over a channel.
//!
//! # Protocol
//! Beaver, "Precomputing oblivious transfer", CRYPTO 1995. With random pads p_x at the sender and (u, p_u) at the receiver: the receiver sends e = c ^ u, the sender
//! y_x = message_x ^ p_(x ^ e), the receiver outputs y_c ^ p_u. For a table y_0 is fixed at zero by r = message_0 ^ p_e and is not sent.
//!
//! # Cost
//! One round trip for n OTs; the receiver sends [`request_len`] bytes (m bits per OT), the sender [`chosen_len`] (2^m s bits per OT) or [`table_len`] ((2^m - 1) s bits).
//! One random OT of width m each.
//!
//! # Security
//! Perfect, against malicious parties, given the random-OT functionality: e is uniform for the sender, all y_x but y_c are uniform for the receiver. A cheating
//! receiver only changes its own choice, a cheating sender only its own messages; nothing else can be caught here and nothing needs to be. Messages of a wrong
//! length or padding are refused. Pads are taken by value: none is used twice.

use fusion_ring::channel::Channel;
use zeroize::Zeroizing;

use crate::OtError;
use crate::bits::{BitReader, BitWriter, mask, packed_len};
use crate::functionality::{ChoiceBits, ReceiverPads, SenderPads};

/// Bytes of the receiver's message for `n` OTs of width `m`.
#[must_use]
pub const fn request_len(n: usize, m: ChoiceBits) -> usize {
    packed_len(n, m.bits())
}

/// Bytes of the sender's message for `n` chosen OTs with messages of `bits` bits.
#[must_use]
pub const fn chosen_len(n: usize, m: ChoiceBits, bits: u32) -> usize {
    packed_len(n, m.messages() as u32 * bits)
}

/// Bytes of the sender's message for `n` table look-ups with entries of `bits` bits.
#[must_use]
pub const fn table_len(n: usize, m: ChoiceBits, bits: u32) -> usize {
    packed_len(n, (m.messages() as u32 - 1) * bits)
}

/// A message width of 1..=8 bits with which the 2^m messages fit one 64-bit word.
fn check_width(m: ChoiceBits, bits: u32) -> Result<(), OtError> {
    if (1..=8).contains(&bits) && m.messages() as u32 * bits <= 64 {
        Ok(())
    } else {
        Err(OtError::Misuse("message width is not in 1..=8 bits, or 2^m messages exceed 64 bits"))
    }
}

/// The receiver after its message has been made: it waits for the sender's.
pub struct Requested {
    pads: ReceiverPads,
    choices: Zeroizing<Vec<u8>>,
}

/// The receiver's message, [`request_len`] bytes: asks for `choices`, one below 2^m per OT of `pads`.
///
/// # Errors
/// [`OtError::Misuse`] if the lengths differ or a choice is out of range.
pub fn request(pads: ReceiverPads, choices: &[u8]) -> Result<(Requested, Vec<u8>), OtError> {
    if choices.len() != pads.len() {
        return Err(OtError::Misuse("one choice per random OT"));
    }
    let m = pads.choice_bits();
    if choices.iter().fold(0, |all, c| all | c) >> m.bits() != 0 {
        return Err(OtError::Misuse("choice is not below 2^m"));
    }
    let mut message = BitWriter::with_capacity(choices.len(), m.bits());
    for (c, u) in choices.iter().zip(pads.choices()) {
        message.push(u64::from(c ^ u), m.bits());
    }
    Ok((Requested { pads, choices: Zeroizing::new(choices.to_vec()) }, message.finish()))
}

impl Requested {
    /// Number of OTs.
    #[must_use]
    pub fn len(&self) -> usize {
        self.choices.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.choices.is_empty()
    }

    /// Width of the choices.
    #[must_use]
    pub fn choice_bits(&self) -> ChoiceBits {
        self.pads.choice_bits()
    }

    /// The choices and the pads at them, OT by OT.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (u8, u32)> + '_ {
        self.choices.iter().copied().zip(self.pads.pads().iter().copied())
    }

    /// The chosen messages, from the sender's [`reply_chosen`].
    ///
    /// # Errors
    /// [`OtError::PeerMisbehaved`] if `reply` is malformed; [`OtError::Misuse`] for an impossible width.
    pub fn open_chosen(self, reply: &[u8], bits: u32) -> Result<Vec<u8>, OtError> {
        let m = self.choice_bits();
        check_width(m, bits)?;
        let words = BitReader::new(reply, self.len(), m.messages() as u32 * bits)?;
        // A shift by the secret choice takes the same time for every choice, unlike an index.
        Ok(self
            .iter()
            .zip(words)
            .map(|((c, pad), word)| ((word >> (u32::from(c) * bits)) ^ u64::from(pad)) & mask(bits))
            .map(|v| v as u8)
            .collect())
    }

    /// The receiver's shares of the selected entries, from the sender's [`reply_table`].
    ///
    /// # Errors
    /// As [`Requested::open_chosen`].
    pub fn open_table(self, reply: &[u8], bits: u32) -> Result<Vec<u8>, OtError> {
        let m = self.choice_bits();
        check_width(m, bits)?;
        let words = BitReader::new(reply, self.len(), (m.messages() as u32 - 1) * bits)?;
        let select = |(c, pad): (u8, u32), word: u64| (((word << bits) >> (u32::from(c) * bits)) ^ u64::from(pad)) & mask(bits);
        Ok(self.iter().zip(words).map(|(own, word)| select(own, word) as u8).collect())
    }
}

/// Per OT the low bits of the 2^m pads, moved to where the receiver's correction e in `request` points: field x of a word holds the pad of x ^ e.
fn pad_words(pads: &SenderPads, request: &[u8], bits: u32) -> Result<Zeroizing<Vec<u64>>, OtError> {
    // Each e came over the wire: it is public, and below 2^m by its field's width.
    fn words<T: Copy + Into<u64>>(pads: &[T], k: usize, corrections: BitReader<'_>, bits: u32) -> Zeroizing<Vec<u64>> {
        let low = mask(bits);
        let word = |(e, pads): (u64, &[T])| (0..k).fold(0, |word, x| word | (pads[x ^ e as usize].into() & low) << (x as u32 * bits));
        Zeroizing::new(corrections.zip(pads.chunks_exact(k)).map(word).collect())
    }
    let (m, k) = (pads.choice_bits(), pads.choice_bits().messages());
    let corrections = BitReader::new(request, pads.len(), m.bits())?;
    Ok(if m == ChoiceBits::ONE { words(pads.as_pairs(), k, corrections, bits) } else { words(pads.as_bytes(), k, corrections, bits) })
}

fn check_messages(pads: &SenderPads, messages: &[u64], bits: u32) -> Result<(), OtError> {
    check_width(pads.choice_bits(), bits)?;
    if messages.len() != pads.len() {
        return Err(OtError::Misuse("one word of messages per random OT"));
    }
    Ok(())
}

/// The sender's answer to `request`: one word of `messages` per OT, message x in its bits from x `bits` on.
///
/// # Errors
/// [`OtError::PeerMisbehaved`] if `request` is malformed; [`OtError::Misuse`] for an impossible width or a wrong number of words.
pub fn reply_chosen(pads: SenderPads, request: &[u8], messages: &[u64], bits: u32) -> Result<Vec<u8>, OtError> {
    check_messages(&pads, messages, bits)?;
    let (m, n) = (pads.choice_bits(), pads.len());
    let width = m.messages() as u32 * bits;
    let mut reply = BitWriter::with_capacity(n, width);
    for (pads, &word) in pad_words(&pads, request, bits)?.iter().zip(messages) {
        reply.push((word ^ pads) & mask(width), width);
    }
    Ok(reply.finish())
}

/// The sender's answer to `request` for table look-up, and its shares (the masks): one word of entries per OT in `tables`, entry x in its bits from x `bits` on.
///
/// # Errors
/// As [`reply_chosen`].
pub fn reply_table(pads: SenderPads, request: &[u8], tables: &[u64], bits: u32) -> Result<(Vec<u8>, Vec<u8>), OtError> {
    check_messages(&pads, tables, bits)?;
    let (m, n) = (pads.choice_bits(), pads.len());
    let width = (m.messages() as u32 - 1) * bits;
    let full = mask(m.messages() as u32 * bits);
    // A one in the lowest bit of every field: times r it is r in every field.
    let every = (0..m.messages() as u32).fold(0u64, |acc, x| acc | 1 << (x * bits));
    let mut reply = BitWriter::with_capacity(n, width);
    let mut masks = Vec::with_capacity(n);
    for (pads, &word) in pad_words(&pads, request, bits)?.iter().zip(tables) {
        let masked = word ^ pads;
        let r = masked & mask(bits);
        masks.push(r as u8);
        reply.push(((masked ^ r.wrapping_mul(every)) & full) >> bits, width);
    }
    Ok((reply.finish(), masks))
}

/// Runs the sender of chosen OT over `channel`, see [`reply_chosen`].
///
/// # Errors
/// [`OtError`].
pub fn send_chosen(pads: SenderPads, channel: &mut dyn Channel, messages: &[u64], bits: u32) -> Result<(), OtError> {
    let request = channel.recv_vec(request_len(pads.len(), pads.choice_bits()))?;
    channel.send(&reply_chosen(pads, &request, messages, bits)?)?;
    Ok(channel.flush()?)
}

/// Runs the receiver of chosen OT over `channel`, see [`request`] and [`Requested::open_chosen`].
///
/// # Errors
/// [`OtError`].
pub fn receive_chosen(pads: ReceiverPads, channel: &mut dyn Channel, choices: &[u8], bits: u32) -> Result<Vec<u8>, OtError> {
    let (m, n) = (pads.choice_bits(), pads.len());
    check_width(m, bits)?;
    let (requested, message) = request(pads, choices)?;
    channel.send(&message)?;
    requested.open_chosen(&channel.recv_vec(chosen_len(n, m, bits))?, bits)
}

/// Runs the sender of table look-up over `channel` and returns its shares, see [`reply_table`].
///
/// # Errors
/// [`OtError`].
pub fn send_table(pads: SenderPads, channel: &mut dyn Channel, tables: &[u64], bits: u32) -> Result<Vec<u8>, OtError> {
    let request = channel.recv_vec(request_len(pads.len(), pads.choice_bits()))?;
    let (reply, masks) = reply_table(pads, &request, tables, bits)?;
    channel.send(&reply)?;
    channel.flush()?;
    Ok(masks)
}

/// Runs the receiver of table look-up over `channel` and returns its shares, see [`request`] and [`Requested::open_table`].
///
/// # Errors
/// [`OtError`].
pub fn receive_table(pads: ReceiverPads, channel: &mut dyn Channel, choices: &[u8], bits: u32) -> Result<Vec<u8>, OtError> {
    let (m, n) = (pads.choice_bits(), pads.len());
    check_width(m, bits)?;
    let (requested, message) = request(pads, choices)?;
    channel.send(&message)?;
    requested.open_table(&channel.recv_vec(table_len(n, m, bits))?, bits)
}

#[cfg(test)]
mod tests;
