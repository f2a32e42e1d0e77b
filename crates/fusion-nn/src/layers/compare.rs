//! Sign and carry of additively shared numbers.
//!
//! # Functionality
//! [`carry`]: for shares x0 + x1 of every element, XOR shares of 1{x0 mod 2^n + x1 mod 2^n >= 2^n}. [`msb`]: XOR shares of the most
//! significant bit of x0 + x1 mod 2^h.
//!
//! # Roles
//! On each half of a tile one party leads (OT sender) at the lowest digit and the other follows, and they change places from digit to digit; both halves travel together (see `tile`).
//!
//! # Protocol
//! The carry out of a digit is 1{b < a + c} for the lead's digit a, the follower's b = 2^w - 1 - (its digit), and the carry c from below, which they share. So a digit is one table
//! of the lead's with one bit for every digit and every share of the carry that the follower may have, looked up by one 1-of-2^m OT (`lookup`): the millionaires' problem in digits as in CrypTFlow2
//! (Rathee et al. 2020, section 3.1), but with the carry in the index, where their leaves are compared first and then merged. That is one OT per digit of three bits instead of three and fewer bits.
//! Since a lead chooses its own share of the carry, it can follow at the next digit in the message in which it answers at this one: a digit costs one message. msb(x) = msb(x0) ^ msb(x1) ^ carry of the bits below.
//!
//! # Cost
//! Rounds: one, and one per digit. Per digit one 1-of-2^m OT and m + 2^m - 1 bits, m being the bits of the digit and, above the lowest, one more. See [`cost`](super::cost).
//!
//! # Security
//! As secure as the OT instances, against a malicious peer for privacy: each message is masked by pads or choices of fresh random OTs that the peer
//! does not know. Correctness is not protected: a peer that sends other bytes gets shares of other bits.
//! Every byte string is a valid message.

use fusion_ring::bits::pack::{SLACK, pack_into, packed_len, unpack};
use fusion_ring::secret::Wiped;

use super::ProtocolError;
use super::digits::{Digit, Digits};
use super::lookup::{Lookup, answer};
use super::party::Party;
use super::product::xor;
use super::stock::Stock;
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

    /// Follows at `digit`: appends the corrections to `outgoing`.
    fn follow<'s>(&self, digit: Digit, stock: &'s Stock, outgoing: &mut Wiped<u8>) -> Lookup<'s> {
        let lookup = Lookup::new(digit, stock.lookups(digit.m, self.x.len()), self.x, &self.carry);
        pack_into(outgoing, &lookup.corrections(), digit.m.bits());
        lookup
    }
}

/// XOR shares of the carry out of the low bits of `x` that `digits` cover.
pub(super) fn carry(party: &mut Party<'_>, stock: &Stock, tile: Tile, x: &[u32], digits: &Digits) -> Result<Wiped<u64>, ProtocolError> {
    let role = party.role();
    let mut leads = Half::new(&x[tile.led_by(role)]);
    let mut follows = Half::new(&x[tile.followed_by(role)]);
    let mut digits = digits.iter().peekable();
    let Some(lowest) = digits.peek() else { return Err(ProtocolError::Misuse("a comparison has digits")) };
    let mut outgoing = Wiped::with_capacity(packed_len(follows.x.len(), lowest.m.bits()) + SLACK);
    let mut lookup = follows.follow(*lowest, stock, &mut outgoing);
    let mut incoming = party.exchange(&outgoing, packed_len(leads.x.len(), lowest.m.bits()))?;
    // Where the follower's corrections begin: behind the answers in the same message.
    let mut corrections_at = 0;
    let mut swapped = false;
    while let Some(digit) = digits.next() {
        let corrections = unpack(&incoming[corrections_at..], digit.m.bits(), leads.x.len());
        let tables = answer(digit, &stock.tables(digit.m, leads.x.len()), leads.x, &leads.carry, &corrections);
        leads.carry = tables.masks;
        let ahead = digits.peek().map_or(0, |next| packed_len(leads.x.len(), next.m.bits()));
        let mut outgoing = Wiped::with_capacity(packed_len(leads.x.len(), digit.answer_bits()) + ahead + SLACK);
        pack_into(&mut outgoing, &tables.entries, digit.answer_bits());
        let next = digits.peek().map(|&next| (leads.follow(next, stock, &mut outgoing), packed_len(follows.x.len(), next.m.bits())));
        let answered = packed_len(follows.x.len(), digit.answer_bits());
        incoming = party.exchange(&outgoing, answered + next.as_ref().map_or(0, |next| next.1))?;
        follows.carry = lookup.learn(&unpack(&incoming[..answered], digit.answer_bits(), follows.x.len()));
        corrections_at = answered;
        if let Some((next, _)) = next {
            lookup = next;
            (leads, follows) = (follows, leads);
            swapped = !swapped;
        }
    }
    let (led, followed) = if swapped { (follows.carry, leads.carry) } else { (leads.carry, follows.carry) };
    Ok(join(role, &led, &followed))
}

/// XOR shares of the sign bit of the shared `h`-bit numbers; `digits` are of h - 1 bits.
pub(super) fn msb(
    party: &mut Party<'_>,
    stock: &Stock,
    tile: Tile,
    x: &[u32],
    digits: &Digits,
    h: u32,
) -> Result<Wiped<u64>, ProtocolError> {
    let carry = carry(party, stock, tile, x, digits)?;
    Ok(xor(&carry, &fusion_ring::bits::bitslice::bitslice_of_words(x, h - 1)))
}
