//! Products of shared bits with a party's ring elements, from random 1-of-2 OTs: local
//! computations.
//!
//! A random OT with pads p0, p1 at the sender and choice u, pad p_u at the receiver is a random
//! product: p_u = p0 + u * (p1 - p0). Both parties open how their inputs differ from the random
//! factors, in either order, since neither opening depends on the other's: a product costs an
//! opening each way, as with a multiplication triple, and one choice bit plus one message per OT,
//! as with a correlated OT.

use fusion_ring::bits::bitslice::bitslice_of_bytes;
use fusion_ring::bits::pack::mask32;
use fusion_ring::ot::bit_products::{opening, receiver_shares, sender_shares};
use fusion_ring::secret::Wiped;

use super::ot_batch::{OtBatch, Received};

/// The sender's side of products c * delta in Z_2^bits, delta being the sender's, the bit c the
/// receiver's. 1 + bits bits per product.
pub(super) struct RingSender<'s> {
    pairs: &'s [u32],
    delta: Wiped<u32>,
    bits: u32,
}

impl<'s> RingSender<'s> {
    /// Takes one OT per element of `delta`.
    pub(super) fn new(ots: &'s OtBatch, delta: Wiped<u32>, bits: u32) -> Self {
        Self { pairs: ots.pairs(delta.len()), delta, bits }
    }

    /// The message: how delta differs from the random factor.
    pub(super) fn open(&self) -> Wiped<u32> {
        opening(self.pairs, &self.delta, mask32(self.bits))
    }

    /// Own shares of the products, given the bitslice d = c ^ u that the receiver opened.
    pub(super) fn shares(&self, d: &[u64]) -> Wiped<u32> {
        sender_shares(self.pairs, &self.delta, d, mask32(self.bits))
    }
}

/// The receiver's side, see [`RingSender`].
pub(super) struct RingReceiver<'s> {
    received: Received<'s>,
    d: Wiped<u64>,
    bits: u32,
}

impl<'s> RingReceiver<'s> {
    /// Takes one OT for each of the `n` elements of the bitslice `c`.
    pub(super) fn new(ots: &'s OtBatch, c: &[u64], n: usize, bits: u32) -> Self {
        let received = ots.received(n);
        // Where they differ. Own bits and choices are words of the same bitslice.
        let choices = bitslice_of_bytes(received.choices);
        let d = Wiped::filled(c.len().min(choices.len()), c.iter().zip(&choices).map(|(c, u)| c ^ u));
        Self { received, d, bits }
    }

    /// The message: the bitslice d = c ^ u.
    pub(super) fn open(&self) -> &[u64] {
        &self.d
    }

    /// Own shares of the products, given the sender's message.
    pub(super) fn shares(&self, opened: &[u32]) -> Wiped<u32> {
        receiver_shares(self.received.choices, self.received.pads, opened, &self.d, mask32(self.bits))
    }
}
