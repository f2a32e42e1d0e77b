//! Signed widening: the second half of a truncation that keeps the sign (the first half, [`to_window`](super::window::to_window), is local).
//!
//! # Functionality
//! From additive shares modulo 2^h of x, |x| < 2^(h-1) (|x| < 2^(h-2) with [`Headroom::OneBit`]): additive shares of x modulo 2^l. Exact.
//!
//! # Roles
//! Symmetric over a whole tile (see `tile`).
//!
//! # Protocol
//! The server adds an offset that makes the number non-negative, the number is widened, the offset
//! is taken away. With a bit of headroom the top bit of the sum is known to be zero, so that no
//! comparison is needed (`widen`); without, the wrap bit is the carry of all h bits (`compare`).
//!
//! # Cost
//! With headroom one round, one 1-of-2 OT and 1 + l - h bits. Without, a comparison of h bits more.
//! Nothing when l <= h.
//!
//! # Security
//! As in `compare`.

use fusion_ring::bits::pack::mask32;
use fusion_ring::secret::Wiped;

use super::ProtocolError;
use super::compare::carry;
use super::digits::{Digits, MAX_COMPARED_BITS};
use super::ot_batch::OtCount;
use super::party::{Party, Phase, Role};
use super::tile::Tile;
use super::widen::{widen, widen_full};

/// Whether the window has a bit more than the numbers need.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Headroom {
    /// |x| < 2^(h-2).
    OneBit,
    /// |x| < 2^(h-1).
    None,
}

/// Shares modulo 2^out_bits of the signed x, from shares modulo 2^h (reduced), 2 <= h <= 32 (31 without headroom), out_bits <= 32.
///
/// # Errors
/// [`ProtocolError`]; the lane is dead afterwards.
pub fn widen_signed(party: &mut Party<'_>, x: &[u32], h: u32, headroom: Headroom, out_bits: u32) -> Result<Wiped<u32>, ProtocolError> {
    if !(2..=32).contains(&h) || !(1..=32).contains(&out_bits) {
        return Err(ProtocolError::Misuse("widen_signed: widths are h in 2..=32 and out_bits in 1..=32"));
    }
    if out_bits <= h {
        return Ok(Wiped::filled(x.len(), x.iter().map(|x| x & mask32(out_bits))));
    }
    if headroom == Headroom::None && h > MAX_COMPARED_BITS {
        return Err(ProtocolError::Misuse("widen_signed: h is at most 31 without headroom"));
    }
    let phase = party.enter(Phase::Activation);
    let offset = match (party.role(), headroom) {
        (Role::Client, _) => 0,
        (Role::Server, Headroom::OneBit) => 1 << (h - 2),
        (Role::Server, Headroom::None) => 1 << (h - 1),
    };
    let x = Wiped::filled(x.len(), x.iter().map(|x: &u32| x.wrapping_add(offset) & mask32(h)));
    let digits = (headroom == Headroom::None).then(|| Digits::of(h));
    let mut out = Wiped::new(x.len());
    for tile in Tile::all(x.len(), party.half_tile()) {
        tile.of_mut(&mut out).copy_from_slice(&widen_tile(party, tile, tile.of(&x), digits.as_ref(), h, out_bits)?);
    }
    out.iter_mut().for_each(|y| *y = y.wrapping_sub(offset) & mask32(out_bits));
    party.enter(phase);
    Ok(out)
}

fn widen_tile(
    party: &mut Party<'_>,
    tile: Tile,
    x: &[u32],
    digits: Option<&Digits>,
    h: u32,
    out_bits: u32,
) -> Result<Wiped<u32>, ProtocolError> {
    let count = OtCount::default().one_way(tile);
    let y = if let Some(digits) = digits {
        let ots = count.comparison(tile, digits).generate(party)?;
        let wrap = carry(party, &ots, tile, x, digits)?;
        let y = widen_full(party, &ots, tile, x, &wrap, (h, out_bits))?;
        debug_assert!(ots.is_used_up());
        y
    } else {
        let ots = count.generate(party)?;
        let y = widen(party, &ots, tile, x, h, out_bits)?;
        debug_assert!(ots.is_used_up());
        y
    };
    Ok(y)
}
