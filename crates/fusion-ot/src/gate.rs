//! Products of a shared bit with short shared vectors over F_2: bit AND and the merge gate of a comparison.
//!
//! # Functionality
//! The receiver has a bit a, the sender a vector v of s bits. They learn XOR shares of a v. With both directions at once this gives the product of shared values,
//! (a ^ a')(v ^ v') = a v ^ a' v' ^ [a v'] ^ [a' v]: a bit AND at s = 1; at s = 2 the two products of a comparison's merge, which share the factor eq_hi:
//! (lt, eq) = (lt_hi, 0) ^ eq_hi (lt_lo, eq_lo).
//!
//! # Roles
//! The receiver is [`derandomised::request`] with choice a, then [`Requested::open_table`](crate::derandomised::Requested::open_table); the sender is [`reply`].
//! [`multiply`] runs both directions in one round trip.
//!
//! # Protocol
//! Table look-up as in [`derandomised`] with m = 1 and the table (0, v).
//!
//! # Cost
//! One round trip; 1 + s bits and one random 1-of-2 OT per cross term, so 2 (1 + s) bits and one OT each way per product of shared values.
//!
//! # Security
//! As [`derandomised`].

use fusion_ring::channel::{Channel, MAX_CROSSING_BYTES};

use crate::OtError;
use crate::derandomised;
use crate::functionality::{ChoiceBits, ReceiverPads, SenderPads};

/// The sender's answer to `request`, and its shares of a v: one vector of `bits` bits (1..=8) per OT.
///
/// # Errors
/// As [`derandomised::reply_table`], and [`OtError::Misuse`] if the OTs are not 1-of-2.
pub fn reply(pads: SenderPads, request: &[u8], vectors: &[u8], bits: u32) -> Result<(Vec<u8>, Vec<u8>), OtError> {
    if pads.choice_bits() != ChoiceBits::ONE {
        return Err(OtError::Misuse("a gate takes random 1-of-2 OTs"));
    }
    let tables: Vec<u64> = vectors.iter().map(|&v| u64::from(v) << bits).collect();
    derandomised::reply_table(pads, request, &tables, bits)
}

/// This party's XOR shares of (a ^ a')(v ^ v'), where `factors` holds its shares of the bits a and `vectors` of the vectors v of `bits` bits (1..=8). The peer calls the
/// same function. Consumes one random 1-of-2 OT in each direction per product.
///
/// # Errors
/// [`OtError`]; misuse if the lengths differ or one message would exceed [`MAX_CROSSING_BYTES`] (both parties send at once).
pub fn multiply(
    sender: SenderPads,
    receiver: ReceiverPads,
    channel: &mut dyn Channel,
    factors: &[u8],
    vectors: &[u8],
    bits: u32,
) -> Result<Vec<u8>, OtError> {
    let n = factors.len();
    if vectors.len() != n || sender.len() != n || receiver.len() != n {
        return Err(OtError::Misuse("one factor, one vector and one random OT each way per product"));
    }
    if derandomised::table_len(n, ChoiceBits::ONE, bits) > MAX_CROSSING_BYTES {
        return Err(OtError::Misuse("batch exceeds the crossing allowance of the channel"));
    }
    let (requested, message) = derandomised::request(receiver, factors)?;
    channel.send(&message)?;
    let theirs = channel.recv_vec(derandomised::request_len(n, ChoiceBits::ONE))?;
    let (message, mut shares) = reply(sender, &theirs, vectors, bits)?;
    channel.send(&message)?;
    let opened = requested.open_table(&channel.recv_vec(derandomised::table_len(n, ChoiceBits::ONE, bits))?, bits)?;
    for (((share, other), a), v) in shares.iter_mut().zip(opened).zip(factors).zip(vectors) {
        *share ^= other ^ (a.wrapping_neg() & v);
    }
    Ok(shares)
}

#[cfg(test)]
mod tests;
