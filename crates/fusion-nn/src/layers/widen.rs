//! Widening: shares modulo 2^h become shares modulo a larger power of two.
//!
//! # Functionality
//! From additive shares of x modulo 2^h, 0 <= x < 2^h, additive shares of x modulo 2^l, l > h.
//! [`widen`] asks that x < 2^(h-1); [`widen_full`] takes XOR shares of the wrap bit instead.
//!
//! # Roles
//! The server is the sender of the OT, because the client's direction is busy with ciphertexts.
//! Neither opening depends on the other: as in `mux`, either party opens first.
//!
//! # Protocol
//! x = x0 + x1 - 2^h w over the integers, where w says whether the sum of the shares wraps. When
//! the top bit of x is known to be zero, the sum wraps exactly if a share has its top bit set (w =
//! msb(x0) OR msb(x1)), which needs no comparison (the known-sign case of SIRNN, Rathee et al.
//! 2021, section III-B). One correlated OT makes w additive modulo 2^(l-h): c + s - c s for an OR,
//! c + s - 2 c s for an XOR.
//!
//! # Cost
//! Two flights, one 1-of-2 OT, 1 + l - h bits.
//!
//! # Security
//! As in `compare`.

use fusion_model::program::RingBits;
use fusion_ring::bits::bitslice::{bitslice_of_words, pack_bitslice_into, unpack_bitslice};
use fusion_ring::bits::pack::{SLACK, mask32, pack, packed_len, unpack};
use fusion_ring::ot::bit_products::masks_of_bitslice;
use fusion_ring::secret::Wiped;

use super::error::ProtocolError;
use super::ot_batch::OtBatch;
use super::party::Party;
use super::product::{RingReceiver, RingSender};
use super::role::{Role, WIDENING_SENDER};
use super::shares::{AdditiveShares, AdditiveSlice, XorShares};

/// Widens numbers whose top bit is zero into the ring `to`. The party `first` opens first.
pub(super) fn widen(
    party: &mut Party<'_>,
    ots: &OtBatch,
    first: Role,
    x: AdditiveSlice<'_>,
    to: RingBits,
) -> Result<AdditiveShares, ProtocolError> {
    let from = x.ring.0;
    // c OR s = c + s (1 - c).
    let wrap =
        bit_to_ring(party, ots, first, OwnBits { bits: &bitslice_of_words(x.words, from - 1), n: x.len() }, to.0 - from, |c| 1 & !c)?;
    Ok(unwrap(x, &wrap, to))
}

/// Widens any numbers into the ring `to`, given XOR shares of the wrap bits. The party
/// `first` opens first.
pub(super) fn widen_full(
    party: &mut Party<'_>,
    ots: &OtBatch,
    first: Role,
    x: AdditiveSlice<'_>,
    wrap: &XorShares,
    to: RingBits,
) -> Result<AdditiveShares, ProtocolError> {
    // c XOR s = c + s (1 - 2c).
    let wrap = bit_to_ring(party, ots, first, OwnBits { bits: wrap.bitslice(), n: x.len() }, to.0 - x.ring.0, |c| 1 | c)?;
    Ok(unwrap(x, &wrap, to))
}

fn unwrap(x: AdditiveSlice<'_>, wrap: &[u32], to: RingBits) -> AdditiveShares {
    let from = x.ring.0;
    let words = x.words.iter().zip(wrap).map(|(x, w)| x.wrapping_sub(w << from) & mask32(to.0));
    AdditiveShares::from_reduced(Wiped::filled(x.len(), words), to)
}

/// This party's bits, of `n` elements.
struct OwnBits<'a> {
    bits: &'a [u64],
    n: usize,
}

/// Additive shares modulo 2^bits of c + s * delta(c), c being the sender's bit (given to `delta` as
/// a mask) and s the receiver's.
fn bit_to_ring(
    party: &mut Party<'_>,
    ots: &OtBatch,
    first: Role,
    own: OwnBits<'_>,
    bits: u32,
    delta: impl Fn(u32) -> u32,
) -> Result<Wiped<u32>, ProtocolError> {
    let n = own.n;
    if party.role() == WIDENING_SENDER {
        let c = masks_of_bitslice(own.bits, n);
        let sender = RingSender::new(ots, Wiped::filled(n, c.iter().map(|&c| delta(c))), bits);
        let d = party.swap(first, &pack(&sender.open(), bits), packed_len(n, 1))?;
        let mut shares = sender.shares(&unpack_bitslice(&d, n));
        shares.iter_mut().zip(c.iter()).for_each(|(share, c)| *share = share.wrapping_add(c & 1) & mask32(bits));
        return Ok(shares);
    }
    let receiver = RingReceiver::new(ots, own.bits, n, bits);
    let mut d = Wiped::with_capacity(packed_len(n, 1) + SLACK);
    pack_bitslice_into(&mut d, receiver.open(), n);
    let opened = party.swap(first, &d, packed_len(n, bits))?;
    Ok(receiver.shares(&unpack(&opened, bits, n)))
}
