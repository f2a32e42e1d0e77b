//! Per-channel affine maps (batch normalisation, constant addends, divisions of averages) move into
//! neighbouring linear nodes.

use fusion_rlwe::{ConvGeometry, Padding};

use crate::graph::rewrite::{copy, rebuild};
use crate::graph::{FloatOp, FloatTerm, Graph, Node, NodeId, ShapeError};

/// `linear, affine -> linear` and `affine, affine -> affine`, where nobody else reads what lies
/// between.
pub(super) fn fold_backward(graph: &Graph) -> Result<Graph, ShapeError> {
    let consumers = graph.consumers();
    rebuild(graph, |out, id, inputs| {
        let node = graph.node(id);
        let FloatOp::ChannelAffine { scale, shift } = &node.op else { return copy(out, node, inputs) };
        if consumers[node.inputs[0].0].len() != 1 {
            return copy(out, node, inputs);
        }
        let source: Node = out.node(inputs[0]).clone();
        if let FloatOp::Linear { mut terms, mut bias } = source.op {
            for term in &mut terms {
                let per_output = term.weights.len() / scale.len();
                for (row, s) in term.weights.chunks_exact_mut(per_output).zip(scale) {
                    row.iter_mut().for_each(|w| *w *= s);
                }
            }
            for ((b, s), t) in bias.iter_mut().zip(scale).zip(shift) {
                *b = *b * s + t;
            }
            out.push(&source.name, FloatOp::Linear { terms, bias }, source.inputs)
        } else if let FloatOp::ChannelAffine { scale: first, shift: addend } = source.op {
            let scale_both = first.iter().zip(scale).map(|(a, b)| a * b).collect();
            let shift_both = addend.iter().zip(scale).zip(shift).map(|((a, s), t)| a * s + t).collect();
            out.push(&source.name, FloatOp::ChannelAffine { scale: scale_both, shift: shift_both }, source.inputs)
        } else {
            copy(out, node, inputs)
        }
    })
}

/// Averages over windows whose area is no power of two become a sum and a factor. (A power of two
/// is a change of binary scale and costs nothing.)
pub(super) fn divide_after_sum(graph: &Graph) -> Result<Graph, ShapeError> {
    rebuild(graph, |out, id, inputs| {
        let node = graph.node(id);
        if let FloatOp::AveragePool(pool) = &node.op
            && !pool.area().is_power_of_two()
        {
            let sum = out.push(&node.name, FloatOp::SumPool(*pool), inputs.to_vec())?;
            let channels = node.shape.channels;
            let op = FloatOp::ChannelAffine { scale: vec![1.0 / pool.area() as f32; channels], shift: vec![0.0; channels] };
            return out.push(&node.name, op, vec![sum]);
        }
        copy(out, node, inputs)
    })
}

/// `affine, flatten -> flatten, affine`.
pub(super) fn flatten_first(graph: &Graph) -> Result<Graph, ShapeError> {
    rebuild(graph, |out, id, inputs| {
        let node = graph.node(id);
        let source = inputs.first().map(|&id| out.node(id).clone());
        match (&node.op, source) {
            (FloatOp::Flatten, Some(Node { op: FloatOp::ChannelAffine { scale, shift }, inputs, shape, .. })) => {
                let spread = |v: Vec<f32>| v.into_iter().flat_map(|x| std::iter::repeat_n(x, shape.area())).collect();
                let flat = out.push(&node.name, FloatOp::Flatten, inputs)?;
                out.push(&node.name, FloatOp::ChannelAffine { scale: spread(scale), shift: spread(shift) }, vec![flat])
            }
            _ => copy(out, node, inputs),
        }
    })
}

/// `affine, linear -> linear`, where every reader of the affine map can take it in.
pub(super) fn fold_forward(graph: &Graph) -> Result<Graph, ShapeError> {
    let consumers = graph.consumers();
    let foldable = |id: NodeId, shift: &[f32]| {
        let readers = &consumers[id.0];
        id != graph.output
            && !readers.is_empty()
            && readers.iter().all(|&reader| match graph.node(reader).op.as_linear() {
                // With padding, the zeros around the image would have to become the addend.
                Some((terms, _)) => {
                    let mut here = terms.iter().zip(&graph.node(reader).inputs).filter(|(_, input)| **input == id);
                    shift.iter().all(|&t| t == 0.0) || here.all(|(term, _)| term.geometry.padding == Padding::default())
                }
                None => false,
            })
    };
    rebuild(graph, |out, id, inputs| {
        let node = graph.node(id);
        let FloatOp::Linear { terms, bias } = &node.op else { return copy(out, node, inputs) };
        let (mut terms, mut bias, mut sources) = (terms.clone(), bias.clone(), inputs.to_vec());
        for ((term, source), old) in terms.iter_mut().zip(&mut sources).zip(&node.inputs) {
            let FloatOp::ChannelAffine { scale, shift } = &graph.node(*old).op else { continue };
            if !foldable(*old, shift) {
                continue;
            }
            *source = out.node(*source).inputs[0];
            absorb(term, &mut bias, scale, shift);
        }
        out.push(&node.name, FloatOp::Linear { terms, bias }, sources)
    })
}

/// Makes `term` read `x` where it read `x * scale + shift`.
fn absorb(term: &mut FloatTerm, bias: &mut [f32], scale: &[f32], shift: &[f32]) {
    let g: ConvGeometry = term.geometry;
    let (in_channels, out_channels, taps) = (g.input.channels / g.groups, g.out_channels / g.groups, g.kernel.0 * g.kernel.1);
    for (j, row) in term.weights.chunks_exact_mut(in_channels * taps).enumerate() {
        let first = j / out_channels * in_channels;
        for (c, kernel) in row.chunks_exact_mut(taps).enumerate() {
            bias[j] += shift[first + c] * kernel.iter().sum::<f32>();
            kernel.iter_mut().for_each(|w| *w *= scale[first + c]);
        }
    }
}

/// What no neighbour absorbs becomes a depthwise 1x1 convolution: an affine map by its weights, a
/// padding by its own padding.
pub(super) fn into_depthwise(graph: &Graph) -> Result<Graph, ShapeError> {
    rebuild(graph, |out, id, inputs| {
        let node = graph.node(id);
        let channels = node.shape.channels;
        let (weights, bias, padding) = if let FloatOp::ChannelAffine { scale, shift } = &node.op {
            (scale.clone(), shift.clone(), Padding::default())
        } else if let FloatOp::Pad(padding) = &node.op {
            (vec![1.0; channels], vec![0.0; channels], *padding)
        } else {
            return copy(out, node, inputs);
        };
        let geometry = ConvGeometry {
            input: out.node(inputs[0]).shape,
            out_channels: channels,
            kernel: (1, 1),
            stride: (1, 1),
            dilation: (1, 1),
            padding,
            groups: channels,
        };
        out.push(&node.name, FloatOp::Linear { terms: vec![FloatTerm { geometry, weights }], bias }, inputs.to_vec())
    })
}
