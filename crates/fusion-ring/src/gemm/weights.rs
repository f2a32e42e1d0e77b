//! Weights in the order in which the kernels read them, and how wide they let limbs be.

use super::reduction::{Reduction, TILE_OUT};
use crate::secret::Wiped;

/// Widest limb in bits: limbs are non-negative `i16`.
const MAX_LIMB_BITS: u32 = 15;

/// Weights in the order in which the kernels read them. Wiped on drop.
pub struct PackedWeights {
    pub(super) reduction: Reduction,
    pub(super) outputs: usize,
    pub(super) limb_bits: u32,
    /// `[output tile][step][TILE_OUT]` pairs of `i16`, as `i32`.
    pub(super) data: Wiped<i32>,
}

crate::opaque!(PackedWeights);

impl PackedWeights {
    /// Packs `weight(output, row, tap index)` for `outputs` outputs.
    ///
    /// # Errors
    /// The largest sum of |weights| of an output, if even 1-bit limbs overflow with it (2^30 or
    /// more).
    pub fn new(reduction: Reduction, outputs: usize, weight: impl Fn(usize, usize, usize) -> i16) -> Result<Self, u64> {
        let steps = reduction.steps.len();
        let tiles = outputs.div_ceil(TILE_OUT);
        let mut data = Wiped::new(tiles * steps * TILE_OUT);
        let mut largest = 0u64;
        for output in 0..outputs {
            let (tile, lane) = (output / TILE_OUT, output % TILE_OUT);
            let mut sum = 0u64;
            let mut tap = 0;
            for (step, &(pair, _)) in reduction.steps.iter().enumerate() {
                tap = if step > 0 && reduction.steps[step - 1].0 == pair { tap + 1 } else { 0 };
                let low = weight(output, 2 * pair, tap);
                let high = if 2 * pair + 1 < reduction.rows { weight(output, 2 * pair + 1, tap) } else { 0 };
                sum += u64::from(low.unsigned_abs()) + u64::from(high.unsigned_abs());
                data[(tile * steps + step) * TILE_OUT + lane] = i32::from(low) & 0xffff | i32::from(high) << 16;
            }
            largest = largest.max(sum);
        }
        let limb_bits = (1..=MAX_LIMB_BITS).rev().find(|&b| largest << b < 1 << 31).ok_or(largest)?;
        Ok(Self { reduction, outputs, limb_bits, data })
    }

    /// Bits per limb that rows for these weights must be cut into.
    #[must_use]
    pub fn limb_bits(&self) -> u32 {
        self.limb_bits
    }

    /// 16-bit multiply-adds of a product over `positions` positions of `bits`-bit residues.
    #[must_use]
    pub fn limb_macs(&self, positions: usize, bits: u32) -> u64 {
        let limbs = u64::from(bits.div_ceil(self.limb_bits));
        2 * limbs * self.reduction.steps.len() as u64 * self.outputs as u64 * positions as u64
    }
}
