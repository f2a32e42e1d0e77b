//! Sign and carry of additively shared numbers.
//!
//! # Functionality
//! [`carry`]: for shares x0 + x1 of every element, XOR shares of 1{x0 mod 2^n + x1 mod 2^n >= 2^n}. [`msb`]: XOR shares of the most
//! significant bit of x0 + x1 mod 2^h.
//!
//! # Roles
//! On each half of a tile one party leads (OT sender of the leaves), the other follows; both halves travel together (see `tile`).
//!
//! # Protocol
//! The carry is 1{b < a} for the lead's a = x mod 2^n and the follower's b = 2^n - 1 - (x mod 2^n): the millionaires' problem, cut into digits of up to four
//! bits as in CrypTFlow2 (Rathee et al. 2020, section 3.1), one 1-of-2^m OT per digit, then merged
//! pairwise: less = less_high ^ equal_high * less_low, equal = equal_high * equal_low. The two products of a merge share their left factor and
//! so their OTs (`product`); a merge takes one round. msb(x) = msb(x0) ^ msb(x1) ^ carry of the bits below.
//!
//! # Cost
//! Two rounds for the leaves and one per level of merges. Bits per comparison: m + 2 (2^m - 1) per digit, m + 2^m - 1 for the lowest; 6 per merge, 4 where
//! no equality is needed afterwards. One 1-of-2^m OT per digit, two 1-of-2 OTs per merge. See [`cost`](super::cost).
//!
//! # Security
//! As secure as the OT instances, against a malicious peer for privacy: each message is masked by pads or choices of fresh random OTs that the peer
//! does not know. Correctness is not protected: a peer that sends other bytes gets shares of other bits.
//! Every byte string is a valid message.

use fusion_ring::pack::{mask32, pack_into, packed_len, unpack};
use fusion_ring::planes::{pack_plane_into, unpack_plane};

use super::ProtocolError;
use super::digits::Digits;
use super::leaf::{self, Outcome};
use super::party::{Party, Role};
use super::product::{And, xor};
use super::stock::Stock;
use super::tile::{Tile, join};

/// XOR shares of the carry out of the low `bits` bits (the width of `digits`).
pub(super) fn carry(
    party: &mut Party<'_>,
    stock: &Stock,
    tile: Tile,
    x: &[u32],
    digits: &Digits,
    bits: u32,
) -> Result<Vec<u64>, ProtocolError> {
    let mut outcomes = leaves(party, stock, tile, x, digits, bits)?;
    let n = tile.len();
    for level in digits.levels() {
        let mut outgoing = Vec::new();
        let mut pending = Vec::with_capacity(level.len());
        for merge in level {
            let (high, low) = (&outcomes[merge.high], &outcomes[merge.low]);
            let values: &[&[u64]] = if merge.equality { &[&low.less, &low.equal] } else { &[&low.less] };
            let and = And::new(stock, n, values.len() as u32);
            let mine = and.open(&high.equal, values);
            mine.iter().for_each(|plane| pack_plane_into(&mut outgoing, plane, n));
            pending.push((merge, and, mine));
        }
        let incoming = party.exchange(&outgoing, outgoing.len())?;
        let mut theirs = incoming.chunks_exact(packed_len(n, 1));
        for (merge, and, mine) in pending {
            let opened: Vec<_> = mine.iter().zip(&mut theirs).map(|(plane, bytes)| xor(plane, &unpack_plane(bytes, n))).collect();
            let mut products = and.products(&opened, party.role() == Role::Client).into_iter();
            let less = products.next().map(|product| xor(&product, &outcomes[merge.high].less));
            let merged = Outcome { less: less.unwrap_or_default(), equal: products.next().unwrap_or_default() };
            outcomes[merge.low] = merged;
        }
    }
    // Digits::of has at least one digit, and every merge keeps the lower place.
    Ok(outcomes.swap_remove(0).less)
}

/// XOR shares of the sign bit of the shared `h`-bit numbers; `digits` are of h - 1 bits.
pub(super) fn msb(party: &mut Party<'_>, stock: &Stock, tile: Tile, x: &[u32], digits: &Digits, h: u32) -> Result<Vec<u64>, ProtocolError> {
    let carry = carry(party, stock, tile, x, digits, h - 1)?;
    Ok(xor(&carry, &fusion_ring::planes::plane_of_words(x, h - 1)))
}

/// Compares all digits: two rounds.
fn leaves(party: &mut Party<'_>, stock: &Stock, tile: Tile, x: &[u32], digits: &Digits, bits: u32) -> Result<Vec<Outcome>, ProtocolError> {
    let role = party.role();
    let (led, followed) = (tile.led_by(role), tile.followed_by(role));
    let a = &x[led.clone()];
    let b: Vec<u32> = x[followed.clone()].iter().map(|x| !x & mask32(bits)).collect();

    let received: Vec<_> = digits.leaves().map(|leaf| (leaf, stock.receiver(leaf.m, b.len()))).collect();
    let mut corrections = b.clone();
    for (leaf, received) in &received {
        for (d, &u) in corrections.iter_mut().zip(received.choices) {
            *d ^= u32::from(u) << leaf.shift;
        }
    }
    let mut outgoing = Vec::new();
    pack_into(&mut outgoing, &corrections, bits);
    let incoming = party.exchange(&outgoing, packed_len(a.len(), bits))?;
    let d = unpack(&incoming, bits, a.len());

    outgoing.clear();
    let mut lead = Vec::new();
    for leaf in digits.leaves() {
        let (outcome, answers) = leaf::answer(leaf, stock.sender(leaf.m, a.len()), a, &d);
        pack_into(&mut outgoing, &answers, leaf.answer_bits());
        lead.push(outcome);
    }
    let expected = digits.leaves().map(|leaf| packed_len(b.len(), leaf.answer_bits())).sum();
    let incoming = party.exchange(&outgoing, expected)?;
    let mut rest = &incoming[..];
    let follow = received.into_iter().map(|(leaf, received)| {
        let (bytes, later) = rest.split_at(packed_len(b.len(), leaf.answer_bits()));
        rest = later;
        leaf::learn(leaf, received, &b, &unpack(bytes, leaf.answer_bits(), b.len()))
    });
    let both = lead.into_iter().zip(follow.collect::<Vec<_>>());
    let joined =
        both.map(|(led, followed)| Outcome { less: join(role, led.less, followed.less), equal: join(role, led.equal, followed.equal) });
    Ok(joined.collect())
}
