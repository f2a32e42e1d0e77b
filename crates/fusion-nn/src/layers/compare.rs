//! Sign and carry of additively shared numbers.
//!
//! # Functionality
//! [`carry`]: for shares x0 + x1 of every element, XOR shares of 1{x0 mod 2^n + x1 mod 2^n >= 2^n}.
//! [`msb`]: XOR shares of the most significant bit of x0 + x1 mod 2^h.
//!
//! # Roles
//! The server is the OT sender at the first (lowest) digit, the client the OT receiver; they change
//! places from digit to digit. So the client's first message follows its ciphertexts without a
//! wait, and the sender at the last digit has its shares before its last message.
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
//! Flights: one, and one per digit. Per digit one 1-of-2^m OT and m + 2^m - 1 bits, m being the
//! bits of the digit and, above the lowest, one more. See `cost`.
//!
//! # Security
//! As secure as the OT instances, against a malicious peer for privacy: each message is masked by
//! pads or choices of fresh random OTs that the peer does not know. Correctness is not protected: a
//! peer that sends other bytes gets shares of other bits. Every byte string is a valid message.

use fusion_ring::bits::pack::{pack, packed_len, unpack};
use fusion_ring::secret::Wiped;

use super::digits::Digits;
use super::error::ProtocolError;
use super::lookup::{Lookup, answer};
use super::ot_batch::OtBatch;
use super::party::Party;
use super::shares::{AdditiveSlice, XorShares};

/// XOR shares of the carry out of the low bits of `x` that `digits` cover.
pub(super) fn carry(party: &mut Party<'_>, ots: &OtBatch, x: AdditiveSlice<'_>, digits: &Digits) -> Result<XorShares, ProtocolError> {
    let n = x.len();
    let mut carry = Wiped::<u64>::default();
    for digit in digits.iter() {
        if digit.sender == party.role() {
            let corrections = unpack(&party.recv(packed_len(n, digit.m.bits()))?, digit.m.bits(), n);
            let tables = answer(digit, &ots.lookup_sender(digit.m, n), x.words, &carry, &corrections);
            party.send(&pack(&tables.entries, digit.answer_bits()))?;
            carry = tables.masks;
        } else {
            let lookup = Lookup::new(digit, ots.lookup_receiver(digit.m, n), x.words, &carry);
            party.send(&pack(&lookup.corrections(), digit.m.bits()))?;
            let answers = unpack(&party.recv(packed_len(n, digit.answer_bits()))?, digit.answer_bits(), n);
            carry = lookup.learn(&answers);
        }
    }
    Ok(XorShares::from_bitslice(carry, n))
}

/// XOR shares of the sign bits of the numbers; `digits` cover all bits of them but that.
pub(super) fn msb(party: &mut Party<'_>, ots: &OtBatch, x: AdditiveSlice<'_>, digits: &Digits) -> Result<XorShares, ProtocolError> {
    Ok(carry(party, ots, x, digits)?.xor(&x.top_bits()))
}
