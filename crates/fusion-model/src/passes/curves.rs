//! Functions of one number that a file spells out node by node.

use crate::curve::{Curve, Function};
use crate::graph::rewrite::{copy, rebuild};
use crate::graph::{FloatOp, Graph, NodeId, ShapeError};

/// Largest expression: a chain of nodes in which each reads the last one twice doubles with every
/// node.
const MAX_SIZE: usize = 64;
/// Largest factor that becomes part of a function.
const STEEPEST: f32 = 8.0;

/// A product of two functions of one value is a function of that value, which needs no product of
/// shared numbers; so is a function of a function.
pub(super) fn merge(graph: &Graph) -> Result<Graph, ShapeError> {
    let consumers = graph.consumers();
    let graph = rebuild(graph, |out, id, inputs| {
        let node = graph.node(id);
        match (&node.op, inputs) {
            (FloatOp::Multiply, &[a, b]) => match common(out, a, b) {
                Some((root, [a, b])) if a.size() + b.size() < MAX_SIZE => {
                    out.push(&node.name, FloatOp::Curve(Curve::Product(Box::new([a, b]))), vec![root])
                }
                _ => copy(out, node, inputs),
            },
            (FloatOp::Curve(curve), &[input]) => {
                let source = out.node(input).clone();
                // One that others read as well is computed anyhow.
                let alone = consumers[node.inputs[0].0].len() == 1;
                match (&source.op, alone) {
                    (FloatOp::Curve(inner), true) if curve.size() * inner.size() < MAX_SIZE => {
                        out.push(&node.name, FloatOp::Curve(curve.after(inner)), source.inputs)
                    }
                    _ => copy(out, node, inputs),
                }
            }
            _ => copy(out, node, inputs),
        }
    })?;
    scaled(&graph)
}

/// One factor and one addend for all channels behind a function are part of it, unless they make it
/// too steep for slopes of some binary places: then they go into what follows.
fn scaled(graph: &Graph) -> Result<Graph, ShapeError> {
    let consumers = graph.consumers();
    rebuild(graph, |out, id, inputs| {
        let node = graph.node(id);
        let source = inputs.first().map(|&input| out.node(input).clone());
        match (step(&node.op), source) {
            (Some(outer), Some(source)) if matches!(node.op, FloatOp::ChannelAffine { .. }) && consumers[node.inputs[0].0].len() == 1 => {
                let steep = matches!(&node.op, FloatOp::ChannelAffine { scale, .. } if scale.iter().any(|x| x.abs() > STEEPEST));
                if let FloatOp::Curve(inner) = &source.op
                    && inner.size() < MAX_SIZE
                    && !steep
                {
                    return out.push(&node.name, FloatOp::Curve(outer.after(inner)), source.inputs);
                }
                copy(out, node, inputs)
            }
            _ => copy(out, node, inputs),
        }
    })
}

/// The node that both values are functions of, and the functions; the nearest one.
fn common(graph: &Graph, a: NodeId, b: NodeId) -> Option<(NodeId, [Curve; 2])> {
    let (first, second) = (chain(graph, a), chain(graph, b));
    for (node, curve) in first {
        if let Some((_, other)) = second.iter().find(|(candidate, _)| *candidate == node) {
            return Some((node, [curve, other.clone()]));
        }
    }
    None
}

/// The nodes that a value is a function of, with the functions; the value itself comes first.
fn chain(graph: &Graph, mut id: NodeId) -> Vec<(NodeId, Curve)> {
    let mut curve = Curve::X;
    let mut chain = vec![(id, curve.clone())];
    while let Some(step) = step(&graph.node(id).op)
        && curve.size() * step.size() < MAX_SIZE
    {
        curve = curve.after(&step);
        id = graph.node(id).inputs[0];
        chain.push((id, curve.clone()));
    }
    chain
}

/// What a node does to every number alike.
fn step(op: &FloatOp) -> Option<Curve> {
    match op {
        FloatOp::Curve(curve) => Some(curve.clone()),
        FloatOp::Relu => Some(Curve::of(Function::Relu)),
        FloatOp::Clip { low, high } => Some(Curve::of(Function::Clip { low: *low, high: *high })),
        FloatOp::ChannelAffine { scale, shift } => {
            let (&a, &b) = (scale.first()?, shift.first()?);
            let alike = scale.iter().all(|&x| x == a) && shift.iter().all(|&x| x == b);
            alike.then(|| Curve::Affine { inner: Box::new(Curve::X), scale: a, shift: b })
        }
        FloatOp::Input
        | FloatOp::Linear { .. }
        | FloatOp::Multiply
        | FloatOp::MaxPool(_)
        | FloatOp::AveragePool(_)
        | FloatOp::SumPool(_)
        | FloatOp::Pad(_)
        | FloatOp::PadLowest(_)
        | FloatOp::Add
        | FloatOp::Concat
        | FloatOp::Select(_)
        | FloatOp::Flatten => None,
    }
}
