//! Explicit padding becomes the padding of the window that reads it.

use fusion_rlwe::Padding;

use crate::graph::rewrite::{copy, rebuild};
use crate::graph::{FloatOp, Graph, NodeId, ShapeError};
use crate::program::PoolGeometry;

/// Folds `Pad` nodes into the convolutions and poolings that read them, where that changes nothing.
pub(super) fn fold_into_windows(graph: &Graph) -> Result<Graph, ShapeError> {
    rebuild(graph, |out, id, inputs| {
        let node = graph.node(id);
        let mut op = node.op.clone();
        let mut sources = inputs.to_vec();
        match &mut op {
            FloatOp::Linear { terms, .. } => {
                for (term, source) in terms.iter_mut().zip(&mut sources) {
                    if let FloatOp::Pad(padding) = out.node(*source).op {
                        *source = out.node(*source).inputs[0];
                        term.geometry.padding = padded(term.geometry.padding, padding);
                        term.geometry.input = out.node(*source).shape;
                    }
                }
            }
            FloatOp::MaxPool(pool) | FloatOp::AveragePool(pool) => {
                let source = out.node(sources[0]);
                let is_maximum = matches!(node.op, FloatOp::MaxPool(_));
                let around = match (&source.op, is_maximum) {
                    (FloatOp::Pad(padding), _) => Some((*padding, false)),
                    (FloatOp::PadLowest(padding), true) => Some((*padding, true)),
                    (_, _) => None,
                };
                if let Some((padding, lowest)) = around {
                    let inner = source.inputs[0];
                    let wider = PoolGeometry { padding: padded(pool.padding, padding), ..*pool };
                    // A zero is no new maximum among values that are not negative.
                    let same = !is_maximum || lowest || is_non_negative(out, inner);
                    if same && wider.output(out.node(inner).shape) == Some(node.shape) {
                        *pool = wider;
                        sources[0] = inner;
                    }
                }
            }
            FloatOp::Input
            | FloatOp::ChannelAffine { .. }
            | FloatOp::Relu
            | FloatOp::Clip { .. }
            | FloatOp::Curve(_)
            | FloatOp::Multiply
            | FloatOp::SumPool(_)
            | FloatOp::Pad(_)
            | FloatOp::PadLowest(_)
            | FloatOp::Select(_)
            | FloatOp::Add
            | FloatOp::Concat
            | FloatOp::Flatten => return copy(out, node, inputs),
        }
        out.push(&node.name, op, sources)
    })
}

fn is_non_negative(graph: &Graph, id: NodeId) -> bool {
    let node = graph.node(id);
    match &node.op {
        FloatOp::Relu => true,
        FloatOp::Clip { low, .. } => *low >= 0.0,
        FloatOp::Select(_)
        | FloatOp::Multiply
        | FloatOp::MaxPool(_)
        | FloatOp::AveragePool(_)
        | FloatOp::SumPool(_)
        | FloatOp::Add
        | FloatOp::Concat
        | FloatOp::Flatten => node.inputs.iter().all(|&input| is_non_negative(graph, input)),
        FloatOp::Pad(_) => is_non_negative(graph, node.inputs[0]),
        FloatOp::Input | FloatOp::Linear { .. } | FloatOp::ChannelAffine { .. } | FloatOp::Curve(_) | FloatOp::PadLowest(_) => false,
    }
}

/// Sum of two paddings.
fn padded(a: Padding, b: Padding) -> Padding {
    Padding { top: a.top + b.top, left: a.left + b.left, bottom: a.bottom + b.bottom, right: a.right + b.right }
}
