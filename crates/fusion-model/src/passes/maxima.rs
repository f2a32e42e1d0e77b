//! A maximum before a ReLU instead of behind it.

use crate::graph::rewrite::{copy, rebuild};
use crate::graph::{FloatOp, Graph, ShapeError};

/// max(relu(x)) = relu(max(x)), with one ReLU per window instead of one per element; a clip keeps
/// the order of numbers, too.
pub(super) fn pool_before_relu(graph: &Graph) -> Result<Graph, ShapeError> {
    rebuild(graph, |out, id, inputs| {
        let node = graph.node(id);
        let source = inputs.first().map(|&id| out.node(id).clone());
        match (&node.op, source) {
            (FloatOp::MaxPool(_), Some(relu)) if matches!(relu.op, FloatOp::Relu | FloatOp::Clip { .. }) => {
                let pooled = out.push(&node.name, node.op.clone(), relu.inputs.clone())?;
                out.push(&relu.name, relu.op.clone(), vec![pooled])
            }
            _ => copy(out, node, inputs),
        }
    })
}
