//! Lowering of functions that are approximated, and of products.

use super::{Lowering, Width};
use crate::curve::Curve;
use crate::graph::NodeId;
use crate::plan::error::PlanError;
use crate::plan::fit::{LEAST_FRACTION, Target, fit};
use crate::plan::rings::{ROUNDING_UNITS, window_bits};
use crate::program::{Activation, Op, TensorId, Window};

/// Error of an approximated function as a part of its largest value: half a unit of a window of ten
/// bits.
const TOLERANCE: f64 = 1.0 / 1024.0;
/// Part of its largest value that a function may be wrong by at most; else it is refused.
const VISIBLE: f64 = 1.0 / 64.0;
/// Widest window that a function reads.
const MOST_BITS: u32 = 14;
/// Bits of a factor that differs between channels only: every one of them costs two OTs and a ring
/// element for each number that is multiplied.
const FACTOR_BITS: u32 = 9;

impl Lowering<'_> {
    /// A function of every number: a piecewise linear one near it.
    pub(super) fn curve(&mut self, id: NodeId, curve: &Curve) -> Result<TensorId, PlanError> {
        let node = self.graph.node(id);
        let source = node.inputs[0];
        let input = self.value(source)?;
        let extent = self.ranges.nodes[source.0].magnitude();
        let from = self.tensors[input.0].frac;
        let planned = (extent * self.margin).max(self.input_rounding(input));
        let fitting = self.window_frac(id, planned, self.allowed.windows[id.0]);
        // Slopes have some binary places at least, which the ring holds.
        let most = self.ring_frac(id) - LEAST_FRACTION.cast_signed();
        // So few that each that occurs can be looked at.
        let widest = self.window_frac(id, planned, MOST_BITS);
        // Not the scale of the result, which may be of another size.
        let frac = fitting.min(widest).min(from).min(most);
        let bits = window_bits(planned, frac, 0);
        let window = Window { shift: (from - frac).unsigned_abs(), bits };
        // Where values may go, and no further: knots elsewhere would be for nothing.
        let end = (1i64 << (bits.min(MOST_BITS) - 1)) - 1;
        let (range, beyond) = (self.ranges.nodes[source.0], planned - extent);
        let numbers = |real: f64, units: f64| ((real * 2f64.powi(frac) + units).round() as i64).clamp(-end, end);
        let low = numbers(f64::from(range.min) - beyond, -ROUNDING_UNITS);
        let high = numbers(f64::from(range.max) + beyond, ROUNDING_UNITS);
        // Errors in the middle of a unit of what is read are not worth a knot.
        let tolerance = (self.ranges.nodes[id.0].magnitude() * TOLERANCE).max(2f64.powi(-frac - 1));
        let most_fraction = (self.ring_frac(id) - frac).unsigned_abs();
        let fitted = fit(&Target { curve, frac, numbers: low..=high, end, most_fraction, tolerance });
        // Where knots or binary places of slopes are used up, the tolerance of what calibration saw
        // is missed, but not by a visible part of what the function may give.
        let largest = (low..=high).map(|v| curve.value(v as f64 * 2f64.powi(-frac)).abs()).fold(0.0, f64::max);
        let visible = (largest * VISIBLE).max(8.0 * tolerance);
        if !fitted.function.fits(window) || fitted.error.is_nan() || fitted.error > visible {
            return Err(self.refuse(id, "its function is too steep for a fixed-point approximation"));
        }
        let output = self.tensor(node.shape, frac + fitted.function.fraction.cast_signed(), Width::Wide);
        self.activations.push((self.steps.len(), id));
        Ok(self.emit(&node.name, Op::Piecewise { input, window, function: fitted.function }, output))
    }

    /// A product of two activations; the second is the one whose bits are paid for.
    pub(super) fn multiply(&mut self, id: NodeId) -> Result<TensorId, PlanError> {
        let node = self.graph.node(id);
        let (first, second) = (node.inputs[0], node.inputs[1]);
        let input = self.activation(first)?;
        let factor = self.factor(second, node.shape == self.graph.node(second).shape)?;
        // A product of wide windows has more bits than a ring.
        let excess = self.tensors[input.0].frac + self.tensors[factor.0].frac - self.ring_frac(id);
        let input = if excess > 0 { self.coarser(first, input, excess) } else { input };
        let frac = self.tensors[input.0].frac + self.tensors[factor.0].frac;
        let units = self.ranges.nodes[second.0].magnitude() * self.margin * 2f64.powi(self.tensors[factor.0].frac) + ROUNDING_UNITS;
        let factor_bits = units.log2().ceil().clamp(1.0, 28.0) as u32 + 2;
        let output = self.tensor(node.shape, frac, Width::Wide);
        Ok(self.emit(&node.name, Op::Multiply { input, factor, factor_bits }, output))
    }

    /// An activation without its lowest bits.
    fn coarser(&mut self, id: NodeId, input: TensorId, less: i32) -> TensorId {
        self.signed("coarser", id, input, self.tensors[input.0].frac - less)
    }

    /// The node's value `input` at a scale that is not finer.
    fn signed(&mut self, what: &str, id: NodeId, input: TensorId, frac: i32) -> TensorId {
        let bits = window_bits(self.ranges.nodes[id.0].magnitude() * self.margin, frac, 0);
        let window = Window { shift: (self.tensors[input.0].frac - frac).unsigned_abs(), bits };
        let output = self.tensor(self.graph.node(id).shape, frac, Width::Narrow);
        let name = format!("{} ({what})", self.graph.node(id).name);
        self.emit(&name, Op::Requantise { input, window, pool: None, activation: Activation::Signed }, output)
    }

    /// A factor as an activation, requantised to fewer bits where it is read by products alone.
    fn factor(&mut self, id: NodeId, is_whole: bool) -> Result<TensorId, PlanError> {
        let value = self.value(id)?;
        if is_whole || self.widths[value.0] == Width::Narrow {
            return self.activation(id);
        }
        let extent = self.ranges.nodes[id.0].magnitude();
        let from = self.tensors[value.0].frac;
        let frac = self.window_frac(id, extent * self.margin, FACTOR_BITS.min(self.allowed.windows[id.0])).min(from);
        self.activations.push((self.steps.len(), id));
        Ok(self.signed("factor", id, value, frac))
    }
}
