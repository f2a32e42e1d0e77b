//! Multiplexer: a shared bit times a shared ring element.
//!
//! # Functionality
//! From XOR shares of a bit s and additive shares of x modulo 2^k: additive shares of s * x modulo
//! 2^k.
//!
//! # Roles
//! Symmetric, but for the order: neither opening depends on the other, so the party that has its
//! share of s first sends its own without a wait, and the peer answers.
//!
//! # Protocol
//! With s = s0 ^ s1, s * x = sum over both parties i of s_i x_i + s_j (1 - 2 s_i) x_i: one product
//! of the peer's bit with an own ring element in each direction, by correlated OT (Rathee et al.
//! 2020, section 3.1.2 in the form of Huang et al. 2022, Cheetah).
//!
//! # Cost
//! Two flights, two 1-of-2 OTs, 2 (k + 1) bits.
//!
//! # Security
//! As in `compare`: private against a malicious peer, not protected against wrong bytes.

use fusion_ring::bits::bitslice::{pack_bitslice_into, unpack_bitslice};
use fusion_ring::bits::pack::{SLACK, mask32, pack_into, packed_len, unpack};
use fusion_ring::ot::bit_products::{masks_of_bitslice, negated_where};
use fusion_ring::secret::Wiped;

use super::error::ProtocolError;
use super::ot_batch::OtBatch;
use super::party::Party;
use super::product::{RingReceiver, RingSender};
use super::role::Role;
use super::shares::{AdditiveShares, AdditiveSlice, XorShares};

/// Shares of s * x, in the ring of `x`. The party `first` opens first.
pub(super) fn mux(
    party: &mut Party<'_>,
    ots: &OtBatch,
    first: Role,
    s: &XorShares,
    x: AdditiveSlice<'_>,
) -> Result<AdditiveShares, ProtocolError> {
    debug_assert_eq!(s.len(), x.len(), "a bit for every element");
    let (n, bits) = (x.len(), x.ring.0);
    let masks = masks_of_bitslice(s.bitslice(), n);
    let sender = RingSender::new(ots, negated_where(s.bitslice(), x.words), bits);
    let receiver = RingReceiver::new(ots, s.bitslice(), n, bits);

    let mut outgoing = Wiped::with_capacity(packed_len(n, 1) + packed_len(n, bits) + SLACK);
    pack_bitslice_into(&mut outgoing, receiver.open(), n);
    pack_into(&mut outgoing, &sender.open(), bits);
    let incoming = party.swap(first, &outgoing, outgoing.len())?;
    let (d, t) = incoming.split_at(packed_len(n, 1));
    let sent = sender.shares(&unpack_bitslice(d, n));
    let got = receiver.shares(&unpack(t, bits, n));
    let own = x.words.iter().zip(masks.iter()).map(|(x, s)| x & s);
    let parts = own.zip(sent.iter()).zip(got.iter());
    let words = parts.map(|((own, sent), got)| own.wrapping_add(*sent).wrapping_add(*got) & mask32(bits));
    Ok(AdditiveShares::from_reduced(Wiped::filled(n, words), x.ring))
}
