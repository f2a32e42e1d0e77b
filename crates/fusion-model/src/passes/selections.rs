//! An order of channels that a linear layer reads is an order of its weights.

use crate::graph::rewrite::{copy, rebuild};
use crate::graph::{FloatOp, FloatTerm, Graph, ShapeError};

/// Makes linear layers of one group read the channels as they were before they were selected.
pub(super) fn into_weights(graph: &Graph) -> Result<Graph, ShapeError> {
    rebuild(graph, |out, id, inputs| {
        let node = graph.node(id);
        let FloatOp::Linear { terms, bias } = &node.op else { return copy(out, node, inputs) };
        let (mut terms, mut sources) = (terms.clone(), inputs.to_vec());
        for (term, source) in terms.iter_mut().zip(&mut sources) {
            let selection = out.node(*source).clone();
            let FloatOp::Select(channels) = &selection.op else { continue };
            let before = out.node(selection.inputs[0]).shape;
            // A part of the channels alone is cheaper to read than all.
            if term.geometry.groups != 1 || before.channels > channels.len() {
                continue;
            }
            *term = reading(term, channels, before.channels);
            *source = selection.inputs[0];
        }
        out.push(&node.name, FloatOp::Linear { terms, bias: bias.clone() }, sources)
    })
}

/// The convolution of `before` channels that equals `term` on the selected ones.
fn reading(term: &FloatTerm, channels: &[Option<usize>], before: usize) -> FloatTerm {
    let mut geometry = term.geometry;
    geometry.input.channels = before;
    let taps = geometry.kernel.0 * geometry.kernel.1;
    let mut weights = vec![0.0; before * taps * geometry.out_channels];
    let rows = term.weights.chunks_exact(channels.len() * taps).zip(weights.chunks_exact_mut(before * taps));
    for (selected, row) in rows {
        for (kernel, channel) in selected.chunks_exact(taps).zip(channels) {
            let Some(channel) = channel else { continue };
            row[channel * taps..][..taps].iter_mut().zip(kernel).for_each(|(w, k)| *w += k);
        }
    }
    FloatTerm { geometry, weights }
}
