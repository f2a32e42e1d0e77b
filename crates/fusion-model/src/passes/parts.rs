//! A linear layer of joined channels is a sum of linear layers of the parts.

use fusion_rlwe::ConvGeometry;

use crate::graph::rewrite::{copy, rebuild};
use crate::graph::{FloatOp, FloatTerm, Graph, NodeId, ShapeError};

/// Sums over windows of the parts in place of sums of the whole, where nobody else reads it.
pub(super) fn pools_first(graph: &Graph) -> Result<Graph, ShapeError> {
    let consumers = graph.consumers();
    rebuild(graph, |out, id, inputs| {
        let node = graph.node(id);
        let pooled = matches!(node.op, FloatOp::SumPool(_) | FloatOp::AveragePool(_));
        match inputs {
            &[input] if pooled && out.node(input).op == FloatOp::Concat && consumers[node.inputs[0].0].len() == 1 => {
                let parts = out.node(input).inputs.clone();
                let parts =
                    parts.into_iter().map(|part| out.push(&node.name, node.op.clone(), vec![part])).collect::<Result<Vec<_>, _>>()?;
                out.push(&node.name, FloatOp::Concat, parts)
            }
            _ => copy(out, node, inputs),
        }
    })
}

/// Makes linear layers of one group read the parts of a concatenation, each at its own scale, in
/// place of the whole at one scale for all. Where others read the whole as well, only if that makes
/// no part be requantised for itself.
pub(super) fn of_concatenations(graph: &Graph) -> Result<Graph, ShapeError> {
    let consumers = graph.consumers();
    let takes_parts = |id: NodeId| {
        let node = graph.node(id);
        let narrow = |input: &NodeId| matches!(graph.node(*input).op, FloatOp::Relu | FloatOp::Clip { .. } | FloatOp::Input);
        let linear =
            |reader: &NodeId| graph.node(*reader).op.as_linear().is_some_and(|(terms, _)| terms.iter().all(|t| t.geometry.groups == 1));
        let readers = &consumers[id.0];
        node.op == FloatOp::Concat && id != graph.output && (readers.iter().all(linear) || node.inputs.iter().all(narrow))
    };
    rebuild(graph, |out, id, inputs| {
        let node = graph.node(id);
        let FloatOp::Linear { terms, bias } = &node.op else { return copy(out, node, inputs) };
        let (mut parts, mut sources) = (Vec::new(), Vec::new());
        for ((term, &source), &old) in terms.iter().zip(inputs).zip(&node.inputs) {
            if term.geometry.groups == 1 && takes_parts(old) {
                sources.extend(&out.node(source).inputs);
                let channels = out.node(source).inputs.iter().map(|&part| out.node(part).shape.channels);
                parts.extend(split(term, channels));
            } else {
                sources.push(source);
                parts.push(term.clone());
            }
        }
        out.push(&node.name, FloatOp::Linear { terms: parts, bias: bias.clone() }, sources)
    })
}

/// The convolutions of neighbouring channels whose sum is `term`.
fn split(term: &FloatTerm, channels: impl Iterator<Item = usize>) -> Vec<FloatTerm> {
    let taps = term.geometry.kernel.0 * term.geometry.kernel.1;
    let all = term.geometry.input.channels * taps;
    let mut first = 0;
    let part = |count: usize| {
        let mut geometry: ConvGeometry = term.geometry;
        geometry.input.channels = count;
        let from = first * taps;
        first += count;
        let weights = term.weights.chunks_exact(all).flat_map(|row| row[from..from + count * taps].to_vec()).collect();
        FloatTerm { geometry, weights }
    };
    channels.map(part).collect()
}
