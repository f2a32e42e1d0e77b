//! Sign and carry of additively shared numbers.
//!
//! # Functionality
//! [`carry`]: for shares x0 + x1 of every element, XOR shares of 1{x0 mod 2^n + x1 mod 2^n >= 2^n}.
//! [`msb`]: XOR shares of the most significant bit of x0 + x1 mod 2^h.
//!
//! # Roles
//! On each half of a tile one party is the OT sender at the first (lowest) digit and the other the
//! OT receiver, and they change places from digit to digit; both halves travel together (see
//! `tile`).
//!
//! # Protocol
//! The carry out of a digit is 1{b < a + c} for the sender's digit a, the receiver's
//! b = 2^w - 1 - (its digit), and the carry c from below, which they share. So a digit is one table
//! of the sender's with one bit for every digit and every share of the carry that the receiver may
//! have, looked up by one 1-of-2^m OT (`lookup`): the millionaires' problem in digits as in
//! CrypTFlow2 (Rathee et al. 2020, section 3.1), but with the carry in the index, where their
//! leaves are compared first and then merged. That takes one OT per digit of three bits instead of
//! three, and fewer bits. Since the sender chooses its own share of the carry, it can be the
//! receiver at the next digit in the message in which it answers at this one: a digit costs one
//! message. msb(x) = msb(x0) ^ msb(x1) ^ carry of the bits below.
//!
//! # Cost
//! Rounds: one, and one per digit. Per digit one 1-of-2^m OT and m + 2^m - 1 bits, m being the bits
//! of the digit and, above the lowest, one more. See `cost`.
//!
//! # Security
//! As secure as the OT instances, against a malicious peer for privacy: each message is masked by
//! pads or choices of fresh random OTs that the peer does not know. Correctness is not protected: a
//! peer that sends other bytes gets shares of other bits. Every byte string is a valid message.

use fusion_ring::bits::pack::{SLACK, pack_into, packed_len, unpack};
use fusion_ring::secret::Wiped;

use super::digits::{Digit, Digits};
use super::error::ProtocolError;
use super::lookup::{Lookup, answer};
use super::ot_batch::OtBatch;
use super::party::Party;
use super::shares::{AdditiveSlice, XorShares};
use super::tile::{Tile, join};

/// One half of a tile as this party sees it.
struct Half<'a> {
    /// Words that hold its digits.
    x: &'a [u32],
    /// Its shares of the carry so far.
    carry: Wiped<u64>,
}

impl<'a> Half<'a> {
    fn new(x: &'a [u32]) -> Self {
        Self { x, carry: Wiped::default() }
    }

    /// Is the receiver at `digit`: appends the corrections to `outgoing`.
    fn receive<'s>(&self, digit: Digit, ots: &'s OtBatch, outgoing: &mut Wiped<u8>) -> Lookup<'s> {
        let lookup = Lookup::new(digit, ots.lookup_receiver(digit.m, self.x.len()), self.x, &self.carry);
        pack_into(outgoing, &lookup.corrections(), digit.m.bits());
        lookup
    }
}

/// XOR shares of the carry out of the low bits of `x` that `digits` cover.
pub(super) fn carry(
    party: &mut Party<'_>,
    ots: &OtBatch,
    tile: Tile,
    x: AdditiveSlice<'_>,
    digits: &Digits,
) -> Result<XorShares, ProtocolError> {
    let role = party.role();
    let mut sending = Half::new(&x.words[tile.sent_by(role)]);
    let mut receiving = Half::new(&x.words[tile.received_by(role)]);
    let mut digits = digits.iter().peekable();
    let Some(lowest) = digits.peek() else { return Err(ProtocolError::Misuse("a comparison has digits")) };
    let mut outgoing = Wiped::with_capacity(packed_len(receiving.x.len(), lowest.m.bits()) + SLACK);
    let mut lookup = receiving.receive(*lowest, ots, &mut outgoing);
    let mut incoming = party.exchange(&outgoing, packed_len(sending.x.len(), lowest.m.bits()))?;
    // Where the receiver's corrections begin: behind the answers in the same message.
    let mut corrections_at = 0;
    let mut swapped = false;
    while let Some(digit) = digits.next() {
        let corrections = unpack(&incoming[corrections_at..], digit.m.bits(), sending.x.len());
        let tables = answer(digit, &ots.lookup_sender(digit.m, sending.x.len()), sending.x, &sending.carry, &corrections);
        sending.carry = tables.masks;
        let ahead = digits.peek().map_or(0, |next| packed_len(sending.x.len(), next.m.bits()));
        let mut outgoing = Wiped::with_capacity(packed_len(sending.x.len(), digit.answer_bits()) + ahead + SLACK);
        pack_into(&mut outgoing, &tables.entries, digit.answer_bits());
        let next = digits.peek().map(|&next| (sending.receive(next, ots, &mut outgoing), packed_len(receiving.x.len(), next.m.bits())));
        let answered = packed_len(receiving.x.len(), digit.answer_bits());
        incoming = party.exchange(&outgoing, answered + next.as_ref().map_or(0, |next| next.1))?;
        receiving.carry = lookup.learn(&unpack(&incoming[..answered], digit.answer_bits(), receiving.x.len()));
        corrections_at = answered;
        if let Some((next, _)) = next {
            lookup = next;
            (sending, receiving) = (receiving, sending);
            swapped = !swapped;
        }
    }
    let (sent, received) = if swapped { (receiving.carry, sending.carry) } else { (sending.carry, receiving.carry) };
    Ok(XorShares::from_bitslice(join(role, &sent, &received), tile.len()))
}

/// XOR shares of the sign bits of the numbers; `digits` cover all bits of them but that.
pub(super) fn msb(
    party: &mut Party<'_>,
    ots: &OtBatch,
    tile: Tile,
    x: AdditiveSlice<'_>,
    digits: &Digits,
) -> Result<XorShares, ProtocolError> {
    Ok(carry(party, ots, tile, x, digits)?.xor(&x.top_bits()))
}
