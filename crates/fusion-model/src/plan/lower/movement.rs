//! Lowering of sums and of data movement, which are local.

use super::{Lowering, Width};
use crate::graph::NodeId;
use crate::plan::error::PlanError;
use crate::plan::rings::window_bits;
use crate::program::{Op, PoolGeometry, TensorId};

/// A linear step may read a sum over a pooling window directly if it is at most this many bits
/// wider than a window.
const SUM_HEADROOM_BITS: u32 = 2;

impl Lowering<'_> {
    pub(super) fn sum_pool(&mut self, id: NodeId, pool: PoolGeometry, division: i32) -> Result<TensorId, PlanError> {
        let node = self.graph.node(id);
        let input = self.value(node.inputs[0])?;
        let frac = self.tensors[input.0].frac + division;
        let bits = window_bits(self.ranges.nodes[id.0].magnitude() * self.margin, frac, 0);
        let narrow = self.widths[input.0] == Width::Narrow && bits <= self.asked.windows[id.0] + SUM_HEADROOM_BITS;
        let output = self.tensor(node.shape, frac, if narrow { Width::Narrow } else { Width::Wide });
        Ok(self.emit(&node.name, Op::SumPool { input, pool }, output))
    }

    pub(super) fn concat(&mut self, id: NodeId) -> Result<TensorId, PlanError> {
        let node = self.graph.node(id);
        let mut parts = node.inputs.iter().map(|&n| self.value(n)).collect::<Result<Vec<_>, _>>()?;
        let wide = parts.iter().all(|p| self.widths[p.0] == Width::Wide);
        if !wide {
            parts = node.inputs.iter().map(|&n| self.activation(n)).collect::<Result<Vec<_>, _>>()?;
        }
        let (inputs, frac) = self.aligned(id, &parts)?;
        let bits = window_bits(self.ranges.nodes[id.0].magnitude() * self.margin, frac, 0);
        let narrow = !wide && bits <= self.asked.windows[id.0] + SUM_HEADROOM_BITS;
        let output = self.tensor(node.shape, frac, if narrow { Width::Narrow } else { Width::Wide });
        Ok(self.emit(&node.name, Op::Concat { inputs }, output))
    }

    /// Left shifts that bring tensors to the finest of their scales.
    pub(super) fn aligned(&self, id: NodeId, parts: &[TensorId]) -> Result<(Vec<(TensorId, u32)>, i32), PlanError> {
        let fracs = parts.iter().map(|p| self.tensors[p.0].frac);
        let finest = fracs.max().unwrap_or(0);
        let shift = |p: &TensorId| (finest - self.tensors[p.0].frac).unsigned_abs();
        if parts.iter().any(|p| shift(p) > 31) {
            return Err(self.refuse(id, "the scales of its inputs are too far apart"));
        }
        Ok((parts.iter().map(|p| (*p, shift(p))).collect(), finest))
    }
}
