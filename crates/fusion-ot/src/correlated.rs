//! Correlated OT over Z_2^l: additive shares of choice times difference.
//!
//! # Functionality
//! Per OT the sender has a difference d in Z_2^l, the receiver a choice bit b. The sender learns s, the receiver r, with s + r = b d mod 2^l and s uniform.
//!
//! # Roles
//! The receiver is [`derandomised::request`] then [`open`], the sender [`reply`]; [`send`] and [`receive`] drive one batch over a channel.
//!
//! # Protocol
//! Derandomisation as in [`derandomised`], with the message at choice 0 fixed by the pad itself (Asharov, Lindell, Schneider, Zohner, CCS 2013, section 5.1):
//! with q_x the pad of x ^ e, the sender outputs s = -q_0 and sends y = q_0 + d - q_1; the receiver outputs q_0, or q_1 + y.
//!
//! # Cost
//! One round trip for n OTs: 1 bit per OT from the receiver ([`derandomised::request_len`]), l bits from the sender ([`reply_len`]). One random 1-of-2 OT each.
//!
//! # Security
//! As [`derandomised`]: perfect against malicious parties given random OT. A cheating receiver changes only its choices, a cheating sender only its differences.

use fusion_ring::channel::Channel;

use crate::OtError;
use crate::bits::{BitReader, BitWriter, mask, packed_len};
use crate::derandomised::{self, Requested};
use crate::functionality::{ChoiceBits, ReceiverPads, SenderPads};

/// Bytes of the sender's message for `n` correlated OTs over Z_2^`bits`.
#[must_use]
pub const fn reply_len(n: usize, bits: u32) -> usize {
    packed_len(n, bits)
}

fn check(m: ChoiceBits, bits: u32) -> Result<u32, OtError> {
    if m != ChoiceBits::ONE {
        return Err(OtError::Misuse("correlated OT takes random 1-of-2 OTs"));
    }
    if !(1..=32).contains(&bits) {
        return Err(OtError::Misuse("ring width is not in 1..=32 bits"));
    }
    Ok(mask(bits) as u32)
}

/// The sender's answer to `request`, and its shares mod 2^`bits`: one difference per OT (bits above the ring are ignored).
///
/// # Errors
/// [`OtError::PeerMisbehaved`] if `request` is malformed; [`OtError::Misuse`] for an impossible width or a wrong number of differences.
pub fn reply(pads: SenderPads, request: &[u8], differences: &[u32], bits: u32) -> Result<(Vec<u8>, Vec<u32>), OtError> {
    let ring = check(pads.choice_bits(), bits)?;
    if differences.len() != pads.len() {
        return Err(OtError::Misuse("one difference per random OT"));
    }
    let mut reply = BitWriter::with_capacity(pads.len(), bits);
    let mut shares = Vec::with_capacity(pads.len());
    let (ots, _) = pads.as_pairs().as_chunks::<2>();
    for ((e, pads), d) in BitReader::new(request, ots.len(), 1)?.zip(ots).zip(differences) {
        // `e` came over the wire: indexing by it reveals nothing.
        let (q0, q1) = (pads[e as usize], pads[1 ^ e as usize]);
        shares.push(q0.wrapping_neg() & ring);
        reply.push(u64::from(q0.wrapping_add(*d).wrapping_sub(q1) & ring), bits);
    }
    Ok((reply.finish(), shares))
}

/// The receiver's shares mod 2^`bits`, from the sender's [`reply`].
///
/// # Errors
/// [`OtError::PeerMisbehaved`] if `reply` is malformed; [`OtError::Misuse`] for an impossible width.
pub fn open(requested: Requested, reply: &[u8], bits: u32) -> Result<Vec<u32>, OtError> {
    let ring = check(requested.choice_bits(), bits)?;
    let words = BitReader::new(reply, requested.len(), bits)?;
    let share = |(c, pad): (u8, u32), y: u64| pad.wrapping_add(y as u32 & u32::from(c).wrapping_neg()) & ring;
    Ok(requested.iter().zip(words).map(|(own, y)| share(own, y)).collect())
}

/// Runs the sender over `channel` and returns its shares, see [`reply`].
///
/// # Errors
/// [`OtError`].
pub fn send(pads: SenderPads, channel: &mut dyn Channel, differences: &[u32], bits: u32) -> Result<Vec<u32>, OtError> {
    let request = channel.recv_vec(derandomised::request_len(pads.len(), pads.choice_bits()))?;
    let (message, shares) = reply(pads, &request, differences, bits)?;
    channel.send(&message)?;
    channel.flush()?;
    Ok(shares)
}

/// Runs the receiver over `channel` and returns its shares, see [`open`].
///
/// # Errors
/// [`OtError`].
pub fn receive(pads: ReceiverPads, channel: &mut dyn Channel, choices: &[u8], bits: u32) -> Result<Vec<u32>, OtError> {
    check(pads.choice_bits(), bits)?;
    let n = pads.len();
    let (requested, message) = derandomised::request(pads, choices)?;
    channel.send(&message)?;
    open(requested, &channel.recv_vec(reply_len(n, bits))?, bits)
}

#[cfg(test)]
mod tests;
