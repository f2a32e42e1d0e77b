//! ReLU and requantisation: max(x, 0) from a narrow window into the ring of the next layer.
//!
//! # Functionality
//! From additive shares modulo 2^h of x, |x| < 2^(h-1): additive shares of max(x, 0) modulo 2^l. Exact.
//!
//! # Roles
//! Symmetric over a whole tile (see `tile`).
//!
//! # Protocol
//! The sign bit by comparison (`compare`), the product of its negation with x modulo 2^min(h, l) (`mux`), then widening with known
//! sign to 2^l (`widen`) when l > h.
//!
//! # Cost
//! For h = 13 and l = 25: 67 + 28 + 13 = 108 bits and 7 OTs (3 of 1-of-16, 1 of 1-of-8, 3 of 1-of-2), 7 rounds. [`cost::relu`](super::cost::relu) has the formula.
//!
//! # Security
//! As in `compare`.

use fusion_ring::bits::pack::mask32;
use fusion_ring::secret::Wiped;

use super::ProtocolError;
use super::compare::msb;
use super::digits::Digits;
use super::mux::mux;
use super::ot_batch::OtCount;
use super::party::{Party, Phase, Role};
use super::tile::Tile;
use super::widen::widen;

/// Shares modulo 2^out_bits of max(x, 0), from shares `x` modulo 2^h (reduced), 2 <= h <= 32, 1 <= out_bits <= 32.
///
/// # Errors
/// [`ProtocolError`]; the lane is dead afterwards.
pub fn relu(party: &mut Party<'_>, x: &[u32], h: u32, out_bits: u32) -> Result<Wiped<u32>, ProtocolError> {
    if !(2..=32).contains(&h) || !(1..=32).contains(&out_bits) {
        return Err(ProtocolError::Misuse("relu: widths are h in 2..=32 and out_bits in 1..=32"));
    }
    let phase = party.enter(Phase::Activation);
    let digits = Digits::of(h - 1);
    let mut out = Wiped::new(x.len());
    for tile in Tile::all(x.len(), party.half_tile()) {
        tile.of_mut(&mut out).copy_from_slice(&relu_tile(party, tile, tile.of(x), &digits, h, out_bits)?);
    }
    party.enter(phase);
    Ok(out)
}

fn relu_tile(party: &mut Party<'_>, tile: Tile, x: &[u32], digits: &Digits, h: u32, out_bits: u32) -> Result<Wiped<u32>, ProtocolError> {
    let count = OtCount::default().comparison(tile, digits).both_ways(tile, 1);
    let count = if out_bits > h { count.one_way(tile) } else { count };
    let ots = count.generate(party)?;
    let mut keep = msb(party, &ots, tile, x, digits, h)?;
    if party.role() == Role::Client {
        keep.iter_mut().for_each(|word| *word = !*word);
    }
    let narrow = h.min(out_bits);
    let reduced: Wiped<u32>;
    let x = if narrow < h {
        reduced = Wiped::filled(x.len(), x.iter().map(|x| x & mask32(narrow)));
        &reduced
    } else {
        x
    };
    let y = mux(party, &ots, &keep, x, narrow)?;
    let y = if out_bits > h { widen(party, &ots, tile, &y, h, out_bits)? } else { y };
    debug_assert!(ots.is_used_up());
    Ok(y)
}
