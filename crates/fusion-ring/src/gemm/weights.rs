//! Weights in the order in which the kernels read them.

use super::reduction::{Reduction, TILE_OUT};
use crate::secret::Wiped;

/// Weights in the order in which the kernels read them. Wiped on drop.
pub struct PackedWeights {
    pub(super) reduction: Reduction,
    pub(super) outputs: usize,
    /// `[output tile][step][TILE_OUT]` pairs of `i16`, as `i32`.
    pub(super) data: Wiped<i32>,
}

crate::opaque!(PackedWeights);

impl PackedWeights {
    /// Packs `weight(output, row, tap index)` for `outputs` outputs.
    #[must_use]
    pub fn new(reduction: Reduction, outputs: usize, weight: impl Fn(usize, usize, usize) -> i16) -> Self {
        let steps = reduction.steps.len();
        let tiles = outputs.div_ceil(TILE_OUT);
        let mut data = Wiped::new(tiles * steps * TILE_OUT);
        for output in 0..outputs {
            let (tile, lane) = (output / TILE_OUT, output % TILE_OUT);
            let mut tap = 0;
            for (step, &(pair, _)) in reduction.steps.iter().enumerate() {
                tap = if step > 0 && reduction.steps[step - 1].0 == pair { tap + 1 } else { 0 };
                let low = weight(output, 2 * pair, tap);
                let high = if 2 * pair + 1 < reduction.rows { weight(output, 2 * pair + 1, tap) } else { 0 };
                data[(tile * steps + step) * TILE_OUT + lane] = i32::from(low) & 0xffff | i32::from(high) << 16;
            }
        }
        Self { reduction, outputs, data }
    }

    /// 16-bit multiply-adds of a product over `positions` positions.
    #[must_use]
    pub fn macs(&self, positions: usize) -> u64 {
        // Two limbs, and two rows a step.
        2 * 2 * self.reduction.steps.len() as u64 * self.outputs as u64 * positions as u64
    }
}
