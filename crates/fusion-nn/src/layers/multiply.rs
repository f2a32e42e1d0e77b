//! Products of two shared numbers, one of them narrow.
//!
//! # Functionality
//! From additive shares of x modulo 2^l and of s modulo 2^k, -2^(k-2) <= s < 2^(k-2), k < l:
//! additive shares of x * s modulo 2^l. Exact.
//!
//! # Roles
//! Symmetric, but for the offset, which the server adds, and the order: the client opens first.
//!
//! # Protocol
//! The bit of headroom makes s' = s + 2^(k-2) a number whose top bit is zero. So the carry out of
//! the low k - 1 bits of its shares is the XOR of their top bits t0, t1, and over the integers s' =
//! low0 + low1 - 2^(k-1) (t0 XOR t1). Bit i of a party's low bits times the peer's share of x is a
//! product with the factor 2^i; the last term is a multiplexer with the factor 2^(k-1); all are
//! opened together (`sum`). Low bits times the own share of x, and the offset, are local. No
//! comparison and no widening of s is needed, which costs less than widening it first.
//!
//! # Cost
//! Two flights, 2 k 1-of-2 OTs, 2 sum over i < k of (1 + l - i) = k (2 l - k + 3) bits. For k = 9
//! and l = 20: 306 bits and 18 OTs. `cost::multiply` has the formula. A factor that is the same for
//! all positions of a channel takes as many bits as others: one OT per bit of a channel's factor,
//! with pads for all positions, would save OTs only.
//!
//! # Security
//! As in `compare`.

use fusion_model::program::RingBits;
use fusion_ring::bits::bitslice::bitslice_of_words;
use fusion_ring::bits::pack::mask32;
use fusion_ring::secret::Wiped;

use super::error::ProtocolError;
use super::ot_batch::OtCount;
use super::party::{Party, Phase};
use super::role::Role;
use super::shares::{AdditiveShares, AdditiveSlice};
use super::sum::Sum;
use super::tile::Tile;

/// Shares modulo 2^`out` of x * s, element by element, from shares of x modulo 2^`out` or more and
/// of s modulo 2^k, 3 <= k < out <= 32, -2^(k-2) <= s < 2^(k-2). A factor for every channel of x is
/// repeated first ([`AdditiveShares::repeated`]).
///
/// # Errors
/// [`ProtocolError`]; the lane is dead afterwards. Misuse if the lengths differ.
pub fn multiply(party: &mut Party<'_>, x: &AdditiveShares, s: &AdditiveShares, out: RingBits) -> Result<AdditiveShares, ProtocolError> {
    party.layer(Phase::Activation, |party| {
        let k = s.ring();
        if k.0 < 3 || k >= out || out.0 > 32 {
            return Err(ProtocolError::Misuse("multiply: widths are 3 <= k < out <= 32"));
        }
        if x.ring() < out || x.ring().0 > 32 {
            return Err(ProtocolError::Misuse("multiply: the ring of x is out at least"));
        }
        if x.len() != s.len() {
            return Err(ProtocolError::Misuse("multiply: as many x as s"));
        }
        let mut y = AdditiveShares::zeros(x.len(), out);
        for tile in Tile::all(x.len(), party.cut().tile) {
            y.set_tile(tile, &multiply_tile(party, x.tile(tile), s.tile(tile), out)?);
        }
        Ok(y)
    })
}

fn multiply_tile(
    party: &mut Party<'_>,
    x: AdditiveSlice<'_>,
    s: AdditiveSlice<'_>,
    out: RingBits,
) -> Result<AdditiveShares, ProtocolError> {
    let (n, k) = (x.len(), s.ring.0);
    // A product in each direction is as many OTs as a multiplexer.
    let ots = OtCount::default().muxes(n, k as usize).generate(party)?;
    let offset = 1 << (k - 2);
    let own = if party.role() == Role::Server { offset } else { 0 };
    let raised = AdditiveShares::from_words(Wiped::filled(n, s.words.iter().map(|s| s.wrapping_add(own))), s.ring);

    let mut sum = Sum::new(&ots, n, out);
    sum.add_own(x.words.iter().zip(raised.words()).map(|(x, s)| x.wrapping_mul((s & mask32(k - 1)).wrapping_sub(offset))));
    for bit in 0..k - 1 {
        sum.add_own_numbers(Wiped::filled(n, x.words.iter().copied()), bit);
        sum.add_own_bits(&bitslice_of_words(raised.words(), bit), bit);
    }
    let negated = Wiped::filled(n, x.words.iter().map(|x| x.wrapping_neg()));
    sum.add_mux(&raised.all().top_bits(), &negated, k - 1);
    let y = sum.open(party, Role::Client)?;
    debug_assert!(ots.is_used_up());
    Ok(y)
}
