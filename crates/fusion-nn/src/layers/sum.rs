//! Sums of products of shared bits with shared numbers, all of them opened together.
//!
//! # Functionality
//! For every element, additive shares modulo 2^l of a sum whose terms are known to one party, or
//! are products of a bit and a number that each have one owner, or multiplexers: products of XOR
//! shares of a bit with additive shares of a number. A term may have a public factor 2^z.
//!
//! # Roles
//! Both parties add the same terms in the same order, each its own part. No opening depends on
//! another, so the party that has its inputs first opens first, and the peer answers.
//!
//! # Protocol
//! A product of one party's bit with the other's number is one correlated OT (`product`). With s =
//! s0 ^ s1, s * x = sum over both parties i of s_i x_i + s_j (1 - 2 s_i) x_i: one such product in
//! each direction (Rathee et al. 2020, section 3.1.2 in the form of Huang et al. 2022, Cheetah). A
//! term with the factor 2^z counts modulo 2^l, so its product is computed modulo 2^(l-z).
//!
//! # Cost
//! Two flights. A product takes one 1-of-2 OT and 1 + l - z bits, a multiplexer twice that.
//!
//! # Security
//! As in `compare`: private against a malicious peer, not protected against wrong bytes.

use fusion_model::program::RingBits;
use fusion_ring::bits::bitslice::{pack_bitslice_into, unpack_bitslice};
use fusion_ring::bits::pack::{SLACK, mask32, pack_into, packed_len, unpack};
use fusion_ring::ot::bit_products::{masks_of_bitslice, negated_where};
use fusion_ring::secret::Wiped;

use super::error::ProtocolError;
use super::ot_batch::OtBatch;
use super::party::Party;
use super::product::{RingReceiver, RingSender};
use super::role::{Role, WIDENING_SENDER};
use super::shares::{AdditiveShares, XorShares};

/// A sum in the making, of as many elements as the tile has.
pub(super) struct Sum<'s> {
    ots: &'s OtBatch,
    ring: RingBits,
    /// What this party knows of the sum already, not reduced.
    own: Wiped<u32>,
    /// Products with an own number, and the z of their factors.
    sent: Vec<(RingSender<'s>, u32)>,
    /// Products with an own bit, and the z of their factors.
    received: Vec<(RingReceiver<'s>, u32)>,
}

impl<'s> Sum<'s> {
    /// An empty sum of `n` elements modulo 2^`ring`.
    pub(super) fn new(ots: &'s OtBatch, n: usize, ring: RingBits) -> Self {
        Self { ots, ring, own: Wiped::new(n), sent: Vec::new(), received: Vec::new() }
    }

    /// Adds terms that this party knows.
    pub(super) fn add_own(&mut self, terms: impl Iterator<Item = u32>) {
        self.own.iter_mut().zip(terms).for_each(|(sum, term)| *sum = sum.wrapping_add(term));
    }

    /// Adds 2^`shift` times own numbers times bits of the peer, who adds them by
    /// [`Sum::add_own_bits`].
    pub(super) fn add_own_numbers(&mut self, numbers: Wiped<u32>, shift: u32) {
        debug_assert_eq!(numbers.len(), self.own.len(), "a number for every element");
        self.sent.push((RingSender::new(self.ots, numbers, self.ring.0 - shift), shift));
    }

    /// Adds 2^`shift` times own bits times numbers of the peer, who adds them by
    /// [`Sum::add_own_numbers`].
    pub(super) fn add_own_bits(&mut self, bits: &[u64], shift: u32) {
        self.received.push((RingReceiver::new(self.ots, bits, self.own.len(), self.ring.0 - shift), shift));
    }

    /// Adds 2^`shift` times s times x, where `x` are the own shares of x modulo 2^(ring - shift)
    /// at least.
    pub(super) fn add_mux(&mut self, s: &XorShares, x: &[u32], shift: u32) {
        debug_assert_eq!(s.len(), self.own.len(), "a bit for every element");
        let masks = masks_of_bitslice(s.bitslice(), s.len());
        self.add_own(x.iter().zip(masks.iter()).map(|(x, s)| (x & s) << shift));
        self.add_own_numbers(negated_where(s.bitslice(), x), shift);
        self.add_own_bits(s.bitslice(), shift);
    }

    /// Adds s times a public number, in one OT, which the party that sends it in a widening sends
    /// here too. Nothing where that number is zero in the ring: see [`constant_shift`].
    pub(super) fn add_multiple(&mut self, party: &Party<'_>, s: &XorShares, number: u32) {
        let Some(shift) = constant_shift(number, self.ring) else { return };
        let n = self.own.len();
        if party.role() == WIDENING_SENDER {
            // c XOR s = c + s (1 - 2c).
            self.add_own(masks_of_bitslice(s.bitslice(), n).iter().map(|c| number & c));
            let odd = Wiped::filled(n, std::iter::repeat_n(number >> shift, n));
            self.add_own_numbers(negated_where(s.bitslice(), &odd), shift);
        } else {
            self.add_own_bits(s.bitslice(), shift);
        }
    }

    /// Shares of the sum. The party `first` opens first.
    pub(super) fn open(self, party: &mut Party<'_>, first: Role) -> Result<AdditiveShares, ProtocolError> {
        let n = self.own.len();
        let width = |shift: &u32| self.ring.0 - shift;
        let [opened, awaited] = [
            message_len(n, self.received.len(), self.sent.iter().map(|(_, shift)| width(shift))),
            message_len(n, self.sent.len(), self.received.iter().map(|(_, shift)| width(shift))),
        ];
        let mut outgoing = Wiped::with_capacity(opened + SLACK);
        for (receiver, _) in &self.received {
            pack_bitslice_into(&mut outgoing, receiver.open(), n);
        }
        for (sender, shift) in &self.sent {
            pack_into(&mut outgoing, &sender.open(), width(shift));
        }
        // Without products nothing is sent, and nobody waits.
        let nothing = self.sent.is_empty() && self.received.is_empty();
        let incoming = if nothing { Wiped::default() } else { party.swap(first, &outgoing, awaited)? };
        let mut rest = &incoming[..];
        let mut next = |bits: u32| {
            let (message, after) = rest.split_at(packed_len(n, bits));
            rest = after;
            message
        };
        let mut sum = self.own;
        let mut add = |shares: &[u32], shift: u32| sum.iter_mut().zip(shares).for_each(|(sum, y)| *sum = sum.wrapping_add(y << shift));
        for (sender, shift) in &self.sent {
            add(&sender.shares(&unpack_bitslice(next(1), n)), *shift);
        }
        for (receiver, shift) in &self.received {
            add(&receiver.shares(&unpack(next(width(shift)), width(shift), n)), *shift);
        }
        sum.iter_mut().for_each(|sum| *sum &= mask32(self.ring.0));
        Ok(AdditiveShares::from_reduced(sum, self.ring))
    }
}

/// Bytes of one party's opening: of how so many of its bits differ from random ones, and of numbers
/// of these widths.
fn message_len(n: usize, bits: usize, widths: impl Iterator<Item = u32>) -> usize {
    bits * packed_len(n, 1) + widths.map(|width| packed_len(n, width)).sum::<usize>()
}

/// The z of the largest 2^z that divides a public factor: a product with it takes z bits less.
/// `None` where the factor is zero modulo 2^`ring`, so that there is nothing to compute.
pub(super) fn constant_shift(factor: u32, ring: RingBits) -> Option<u32> {
    Some(factor.trailing_zeros()).filter(|&shift| shift < ring.0)
}
