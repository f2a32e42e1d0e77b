//! Lowering: one pass over the graph that emits steps, then one back over the steps that sets the
//! rings.

mod functions;
mod movement;

use fusion_rlwe::Shape;
use fusion_rlwe::precision::MODULUS_BITS;

use super::error::PlanError;
use super::narrow::Widths;
use super::options::PlanBits;
use super::quantise::{self, QuantisedLinear, largest_frac};
use super::rings::{MAX_RING_BITS, ROUNDING_UNITS, set_rings, window_bits};
use crate::calibrate::Ranges;
use crate::graph::{FloatOp, FloatTerm, Graph, NodeId};
use crate::program::{
    Activation, LinearTerm, LinearWeights, Op, PoolGeometry, Program, RingBits, Step, TensorId, TensorSpec, Weights, Window,
};

/// By how many bits the window that a clip reads may be wider than that of what it keeps.
const CLIP_EXTRA_BITS: u32 = 3;
/// Whether a linear step may read a tensor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Width {
    /// An activation: fits the window width.
    Narrow,
    /// At product scale: must be requantised first.
    Wide,
}

struct Lowering<'a> {
    graph: &'a Graph,
    ranges: &'a Ranges,
    margin: f64,
    asked: &'a PlanBits,
    allowed: &'a Widths,
    consumers: Vec<Vec<NodeId>>,
    /// Per node: the largest magnitude among the values that share its scale through sums,
    /// concatenations and data movement.
    ring_range: Vec<f64>,
    /// Per node: the same through concatenations only, whose parts share one activation scale.
    window_range: Vec<f64>,
    tensors: Vec<TensorSpec>,
    widths: Vec<Width>,
    steps: Vec<Step>,
    weights: Weights,
    /// Per node: its value as first computed.
    values: Vec<Option<TensorId>>,
    /// Per node: its value as an activation, where that is another tensor.
    requantised: Vec<Option<TensorId>>,
    /// See [`Lowered::activations`].
    activations: Vec<(usize, NodeId)>,
    /// Per linear step: the tensor written and the norm of its largest row of weights.
    norms: Vec<(TensorId, u32)>,
}

/// A lowered graph, with the precision of its linear steps still to be chosen.
pub(super) struct Lowered {
    pub(super) program: Program,
    pub(super) weights: Weights,
    /// The requantising steps and the nodes whose values they make.
    pub(super) activations: Vec<(usize, NodeId)>,
}

pub(super) fn lower(graph: &Graph, ranges: &Ranges, margin: f64, asked: &PlanBits, allowed: &Widths) -> Result<Lowered, PlanError> {
    let (ring_range, window_range) = carried_ranges(graph, ranges);
    let mut lowering = Lowering {
        graph,
        ranges,
        margin,
        asked,
        allowed,
        consumers: graph.consumers(),
        ring_range,
        window_range,
        tensors: Vec::new(),
        widths: Vec::new(),
        steps: Vec::new(),
        weights: Weights::default(),
        values: vec![None; graph.nodes.len()],
        requantised: vec![None; graph.nodes.len()],
        activations: Vec::new(),
        norms: Vec::new(),
    };
    for index in 0..graph.nodes.len() {
        let id = NodeId(index);
        let readers = &lowering.consumers[index];
        // A maximum that only ReLUs read is part of their requantisation.
        let fused = matches!(graph.node(id).op, FloatOp::MaxPool(_))
            && id != graph.output
            && readers.iter().all(|&r| matches!(graph.node(r).op, FloatOp::Relu | FloatOp::Clip { .. }));
        if !fused {
            lowering.node(id)?;
        }
    }
    lowering.finish()
}

/// The two per-node ranges of [`Lowering`].
fn carried_ranges(graph: &Graph, ranges: &Ranges) -> (Vec<f64>, Vec<f64>) {
    let mut ring: Vec<f64> = ranges.nodes.iter().map(|r| r.magnitude()).collect();
    let mut window = ring.clone();
    for (index, node) in graph.nodes.iter().enumerate().rev() {
        let (through_ring, through_window) = match &node.op {
            FloatOp::Add | FloatOp::SumPool(_) => (1.0, 0.0),
            // The average of a sum at scale s has scale s * area.
            FloatOp::AveragePool(pool) => (pool.area() as f64, 0.0),
            FloatOp::Concat | FloatOp::Select(_) | FloatOp::Flatten => (1.0, 1.0),
            FloatOp::Input
            | FloatOp::Linear { .. }
            | FloatOp::ChannelAffine { .. }
            | FloatOp::Relu
            | FloatOp::Clip { .. }
            | FloatOp::Curve(_)
            | FloatOp::Multiply
            | FloatOp::MaxPool(_)
            | FloatOp::Pad(_)
            | FloatOp::PadLowest(_) => continue,
        };
        for input in &node.inputs {
            ring[input.0] = ring[input.0].max(ring[index] * through_ring);
            window[input.0] = window[input.0].max(window[index] * through_window);
        }
    }
    (ring, window)
}

impl Lowering<'_> {
    fn node(&mut self, id: NodeId) -> Result<(), PlanError> {
        let node = self.graph.node(id);
        let value = match &node.op {
            FloatOp::Input => {
                let frac = self.activation_frac(id, self.ranges.nodes[id.0].magnitude());
                self.tensor(node.shape, frac, Width::Narrow)
            }
            FloatOp::Linear { terms, bias } => self.linear(id, terms, bias)?,
            FloatOp::Relu | FloatOp::Clip { .. } => {
                let source = self.graph.node(node.inputs[0]);
                if let FloatOp::MaxPool(pool) = &source.op
                    && self.values[node.inputs[0].0].is_none()
                {
                    let name = format!("{} + {}", source.name, node.name);
                    self.requantise(&name, id, source.inputs[0], Some(*pool), self.relu(id))?
                } else {
                    self.requantise(&node.name, id, node.inputs[0], None, self.relu(id))?
                }
            }
            FloatOp::Curve(curve) => self.curve(id, curve)?,
            FloatOp::Multiply => self.multiply(id)?,
            FloatOp::Select(channels) => {
                let input = self.value(node.inputs[0])?;
                let output = self.tensor(node.shape, self.tensors[input.0].frac, self.widths[input.0]);
                self.emit(&node.name, Op::Select { input, channels: channels.clone() }, output)
            }
            FloatOp::MaxPool(pool) => self.requantise(&node.name, id, node.inputs[0], Some(*pool), Activation::Signed)?,
            FloatOp::AveragePool(pool) => {
                if !pool.area().is_power_of_two() {
                    return Err(self.refuse(id, "its window's area is no power of two; simplify the graph first"));
                }
                self.sum_pool(id, *pool, pool.area().ilog2().cast_signed())?
            }
            FloatOp::SumPool(pool) => self.sum_pool(id, *pool, 0)?,
            FloatOp::Add => {
                let parts = node.inputs.iter().map(|&n| self.value(n)).collect::<Result<Vec<_>, _>>()?;
                let (inputs, frac) = self.aligned(id, &parts)?;
                let output = self.tensor(node.shape, frac, Width::Wide);
                self.emit(&node.name, Op::Add { inputs }, output)
            }
            FloatOp::Concat => self.concat(id)?,
            FloatOp::Flatten => {
                let input = self.value(node.inputs[0])?;
                let output = self.tensor(node.shape, self.tensors[input.0].frac, self.widths[input.0]);
                self.emit(&node.name, Op::Flatten { input }, output)
            }
            FloatOp::PadLowest(_) => return Err(self.refuse(id, "only a maximum may read it; pad with zeros")),
            FloatOp::Pad(_) | FloatOp::ChannelAffine { .. } => return Err(self.refuse(id, "simplify the graph first")),
        };
        self.values[id.0] = Some(value);
        Ok(())
    }

    fn refuse(&self, id: NodeId, reason: &str) -> PlanError {
        let node = self.graph.node(id);
        PlanError::Node { node: node.name.clone(), kind: node.op.kind(), reason: reason.to_owned() }
    }

    fn tensor(&mut self, shape: Shape, frac: i32, width: Width) -> TensorId {
        // Rings are set when all readers are known.
        self.tensors.push(TensorSpec { shape, ring: RingBits(1), frac });
        self.widths.push(width);
        TensorId(self.tensors.len() - 1)
    }

    fn emit(&mut self, name: &str, op: Op, output: TensorId) -> TensorId {
        let name: String = name.chars().take(64).collect();
        self.steps.push(Step { name, op, output });
        output
    }

    fn value(&self, id: NodeId) -> Result<TensorId, PlanError> {
        self.values[id.0].ok_or_else(|| self.refuse(id, "its value is read before it is computed"))
    }

    /// The node's value as an activation.
    fn activation(&mut self, id: NodeId) -> Result<TensorId, PlanError> {
        let value = self.value(id)?;
        if self.widths[value.0] == Width::Narrow {
            return Ok(value);
        }
        if let Some(done) = self.requantised[id.0] {
            return Ok(done);
        }
        let name = format!("{} (requantise)", self.graph.node(id).name);
        let narrow = self.requantise(&name, id, id, None, Activation::Signed)?;
        self.requantised[id.0] = Some(narrow);
        Ok(narrow)
    }

    /// The activation of a ReLU node, with as many bits left out as was asked for if the window has
    /// room.
    fn relu(&self, id: NodeId) -> Activation {
        if matches!(self.graph.node(id).op, FloatOp::Clip { .. }) {
            return Activation::Relu;
        }
        let coarse = Activation::CoarseRelu { left_out: self.asked.left_out[id.0] };
        if coarse.fits(self.allowed.windows[id.0]) { coarse } else { Activation::Relu }
    }

    /// Largest scale at which a node's values of this magnitude fit a window of `bits`.
    fn window_frac(&self, id: NodeId, magnitude: f64, bits: u32) -> i32 {
        let free = if self.graph.node(id).op == FloatOp::Relu { self.relu(id).uncertain() } else { 0 };
        largest_frac(magnitude, 2f64.powi(bits.cast_signed() - 1) - ROUNDING_UNITS - f64::from(free))
    }

    /// Scale of an activation of this magnitude.
    fn activation_frac(&self, id: NodeId, magnitude: f64) -> i32 {
        let magnitude = magnitude.max(self.window_range[id.0]) * self.margin;
        let within = |bits: u32| self.window_frac(id, magnitude, bits);
        let mut frac = within(self.allowed.windows[id.0].min(self.asked.windows[id.0]));
        if self.allowed.windows[id.0] > self.asked.windows[id.0] {
            frac = frac.max(within(self.allowed.windows[id.0]).min(self.useful_frac(id)));
        }
        frac.min(self.ring_frac(id))
    }

    /// The finest scale that costs no linear reader a bit of its weights.
    fn useful_frac(&self, id: NodeId) -> i32 {
        let mut finest = i32::MAX;
        for &reader in &self.consumers[id.0] {
            let node = self.graph.node(reader);
            let limit = match &node.op {
                FloatOp::Linear { terms, .. } => {
                    let here = terms.iter().zip(&node.inputs).filter(|(_, input)| **input == id);
                    let scales = here.filter_map(|(t, _)| quantise::largest_scale(&t.weights, self.asked.weights[reader.0]));
                    self.ring_frac(reader) - scales.max().unwrap_or(0)
                }
                FloatOp::AveragePool(pool) => self.useful_frac(reader).saturating_sub(pool.area().ilog2().cast_signed()),
                FloatOp::SumPool(_) | FloatOp::Flatten | FloatOp::Concat | FloatOp::Select(_) => self.useful_frac(reader),
                FloatOp::Input
                | FloatOp::ChannelAffine { .. }
                | FloatOp::Relu
                | FloatOp::Clip { .. }
                | FloatOp::Curve(_)
                | FloatOp::Multiply
                | FloatOp::MaxPool(_)
                | FloatOp::Pad(_)
                | FloatOp::PadLowest(_)
                | FloatOp::Add => i32::MAX,
            };
            finest = finest.min(limit);
        }
        finest
    }

    /// Largest scale at which everything that this node's scale reaches stays within the widest
    /// ring: three bits are for the sign, the slack of a window over its range, and the headroom of
    /// a comparison.
    fn ring_frac(&self, id: NodeId) -> i32 {
        let limit = 2f64.powi(MAX_RING_BITS.cast_signed() - 3);
        largest_frac(self.ring_range[id.0] * self.margin, limit)
    }

    /// Requantises the value of `source` into the value of `node`.
    fn requantise(
        &mut self,
        name: &str,
        node: NodeId,
        source: NodeId,
        pool: Option<PoolGeometry>,
        activation: Activation,
    ) -> Result<TensorId, PlanError> {
        let input = self.value(source)?;
        let range = self.ranges.nodes[source.0];
        let shape = match (&pool, self.tensors[input.0].shape) {
            (Some(pool), shape) => pool.output(shape).ok_or_else(|| self.refuse(node, "its pooling window does not fit"))?,
            (None, shape) => shape,
        };
        let extent = range.magnitude();
        let from = self.tensors[input.0].frac;
        let planned = (extent * self.margin).max(self.input_rounding(input));
        let (kept, wider) = self.clipped(node, extent);
        // A window wider than was allowed would leave less room for noise.
        let fitting = self.window_frac(node, planned, self.allowed.windows[node.0] + wider);
        let frac = self.activation_frac(node, kept).min(from).min(fitting);
        let bits = window_bits(planned, frac, activation.uncertain());
        // Values of a few units have nothing to leave out, however wide a window was allowed.
        let activation = if activation.fits(bits) { activation } else { Activation::Relu };
        let activation = self.ceiling(node, frac, bits).unwrap_or(activation);
        let window = Window { shift: (from - frac).unsigned_abs(), bits };
        let output = self.tensor(shape, frac, Width::Narrow);
        self.activations.push((self.steps.len(), node));
        Ok(self.emit(name, Op::Requantise { input, window, pool, activation }, output))
    }

    /// How large rounding of the inputs may make a zero in the result of the linear step that wrote
    /// `tensor`: one unit of each input times its weight. In most layers that is far below the
    /// values; where calibration saw hardly any values it is all that there is.
    fn input_rounding(&self, tensor: TensorId) -> f64 {
        let taps = |step: &Step| {
            let Op::Linear { terms, .. } = &step.op else { return None };
            let taps: usize = terms.iter().map(|t| t.geometry.weights() / t.geometry.out_channels).sum();
            (step.output == tensor).then_some(taps as f64)
        };
        let norm = self.norms.iter().find(|(output, _)| *output == tensor).map_or(0.0, |(_, norm)| f64::from(*norm));
        self.steps.iter().find_map(taps).unwrap_or(0.0).sqrt() * norm * 2f64.powi(-self.tensors[tensor.0].frac)
    }

    fn linear(&mut self, id: NodeId, terms: &[FloatTerm], bias: &[f32]) -> Result<TensorId, PlanError> {
        let node = self.graph.node(id);
        let inputs = node.inputs.iter().map(|&n| self.activation(n)).collect::<Result<Vec<_>, _>>()?;
        let fracs: Vec<i32> = inputs.iter().map(|t| self.tensors[t.0].frac).collect();
        let number = self.weights.linear.len();
        let weight_bits = self.allowed.weights[number];
        let finest = terms.iter().zip(&fracs).filter_map(|(term, frac)| {
            quantise::largest_scale(&term.weights, self.asked.weights[id.0]).map(|scale| scale.saturating_add(*frac))
        });
        let less = (self.asked.weights[id.0] - weight_bits).cast_signed();
        let product = finest.min().unwrap_or(0).min(self.ring_frac(id)) - less;
        let means: Vec<&[f32]> = node.inputs.iter().map(|n| self.ranges.means[n.0].as_slice()).collect();
        let scales: Vec<i32> = fracs.iter().map(|frac| product - frac).collect();
        let QuantisedLinear { terms: integers, bias, row_norm } = quantise::quantise(terms, bias, &means, &scales, product);
        let op = Op::Linear {
            terms: terms.iter().zip(&inputs).map(|(t, &input)| LinearTerm { input, geometry: t.geometry }).collect(),
            weight_bits,
            row_norm,
            upload_bits: MODULUS_BITS,
            hint_bits: MODULUS_BITS,
        };
        self.weights.linear.push(LinearWeights { terms: integers, bias });
        let output = self.tensor(node.shape, product, Width::Wide);
        self.norms.push((output, row_norm));
        Ok(self.emit(&node.name, op, output))
    }

    /// The largest magnitude that is left of values of this one, and by how many bits the window
    /// that reads them may be wider than one for what is left: a clip reads what it drops, too.
    fn clipped(&self, id: NodeId, extent: f64) -> (f64, u32) {
        let FloatOp::Clip { high, .. } = self.graph.node(id).op else { return (extent, 0) };
        (extent.min(f64::from(high)), CLIP_EXTRA_BITS)
    }

    /// A clip, where its ceiling is within the window; above it there is nothing to clip.
    fn ceiling(&self, id: NodeId, frac: i32, bits: u32) -> Option<Activation> {
        let FloatOp::Clip { high, .. } = self.graph.node(id).op else { return None };
        let ceiling = (f64::from(high) * 2f64.powi(frac)).round().clamp(1.0, f64::from(u32::MAX)) as u32;
        let clip = Activation::Clip { ceiling };
        clip.fits(bits).then_some(clip)
    }

    fn finish(self) -> Result<Lowered, PlanError> {
        let logits = self.value(self.graph.output)?;
        let range = self.ranges.nodes[self.graph.output.0];
        let extent = range.magnitude() * self.margin;
        let from = self.tensors[logits.0].frac;
        let frac = largest_frac(extent, 2f64.powi(self.allowed.logits.cast_signed() - 1) - ROUNDING_UNITS).min(from);
        let logits_window = Window { shift: (from - frac).unsigned_abs(), bits: window_bits(extent, frac, 0).min(self.allowed.logits) };
        let mut program = Program { tensors: self.tensors, input: TensorId(0), steps: self.steps, logits, logits_window };
        set_rings(&mut program)?;
        Ok(Lowered { program, weights: self.weights, activations: self.activations })
    }
}

#[cfg(test)]
mod tests;
