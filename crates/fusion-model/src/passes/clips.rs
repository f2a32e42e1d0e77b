//! Clips in the forms that have a protocol: from zero to a ceiling, or to no ceiling (a ReLU).

use crate::graph::rewrite::{copy, rebuild};
use crate::graph::{FloatOp, Graph, NodeId, ShapeError};

/// Moves the floor of every clip to zero; what is added before and taken away behind goes into
/// neighbouring linear layers.
pub(super) fn from_zero(graph: &Graph) -> Result<Graph, ShapeError> {
    rebuild(graph, |out, id, inputs| {
        let node = graph.node(id);
        let FloatOp::Clip { low, high } = node.op else { return copy(out, node, inputs) };
        let channels = node.shape.channels;
        let affine = |out: &mut Graph, input: NodeId, scale: f32, shift: f32| match (scale, shift) {
            (1.0, 0.0) => Ok(input),
            _ => out.push(&node.name, FloatOp::ChannelAffine { scale: vec![scale; channels], shift: vec![shift; channels] }, vec![input]),
        };
        let (turned, floor, span) = match (low.is_finite(), high.is_finite()) {
            (false, false) => return Ok(inputs[0]),
            // min(x, high) = high - relu(high - x).
            (false, true) => (-1.0, -high, f32::INFINITY),
            (true, _) => (1.0, low, high - low),
        };
        let input = affine(out, inputs[0], turned, -floor)?;
        let op = if span.is_finite() { FloatOp::Clip { low: 0.0, high: span } } else { FloatOp::Relu };
        let clipped = out.push(&node.name, op, vec![input])?;
        affine(out, clipped, turned, floor * turned)
    })
}
