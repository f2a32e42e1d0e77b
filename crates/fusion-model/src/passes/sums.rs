//! Sums of linear nodes are linear, and sums over windows commute with what is linear in every
//! position alone.

use fusion_rlwe::Padding;

use crate::graph::rewrite::{copy, rebuild};
use crate::graph::{FloatOp, FloatTerm, Graph, ShapeError};

/// An average behind a 1x1 convolution that nobody else reads goes before it: the convolution has
/// fewer positions, and its noise is not summed.
pub(super) fn average_first(graph: &Graph) -> Result<Graph, ShapeError> {
    let consumers = graph.consumers();
    rebuild(graph, |out, id, inputs| {
        let node = graph.node(id);
        let (FloatOp::AveragePool(pool), &[input]) = (&node.op, inputs) else { return copy(out, node, inputs) };
        let source = out.node(input).clone();
        let FloatOp::Linear { mut terms, bias } = source.op else { return copy(out, node, inputs) };
        let pointwise = |t: &FloatTerm| {
            let g = &t.geometry;
            (g.kernel, g.stride, g.padding) == ((1, 1), (1, 1), Padding::default())
        };
        if pool.padding != Padding::default() || consumers[node.inputs[0].0].len() != 1 || !terms.iter().all(pointwise) {
            return copy(out, node, inputs);
        }
        let mut pooled = Vec::with_capacity(terms.len());
        for (term, &input) in terms.iter_mut().zip(&source.inputs) {
            let average = out.push(&node.name, node.op.clone(), vec![input])?;
            term.geometry.input = out.node(average).shape;
            pooled.push(average);
        }
        out.push(&source.name, FloatOp::Linear { terms, bias }, pooled)
    })
}

/// A sum of linear nodes that nobody else reads, with one number of groups, is one linear node.
pub(super) fn merge_linears(graph: &Graph) -> Result<Graph, ShapeError> {
    let consumers = graph.consumers();
    rebuild(graph, |out, id, inputs| {
        let node = graph.node(id);
        if node.op != FloatOp::Add {
            return copy(out, node, inputs);
        }
        let mut names = Vec::new();
        let mut sources = Vec::new();
        let mut merged: Vec<FloatTerm> = Vec::new();
        let mut total: Vec<f32> = Vec::new();
        let mut others = Vec::new();
        for (old, &new) in node.inputs.iter().zip(inputs) {
            match out.node(new).op.as_linear() {
                Some((terms, bias))
                    if consumers[old.0].len() == 1
                        && terms.iter().all(|t| t.geometry.groups == merged.first().unwrap_or(t).geometry.groups) =>
                {
                    names.push(out.node(new).name.clone());
                    sources.extend(out.node(new).inputs.iter().copied());
                    merged.extend(terms.iter().cloned());
                    total.resize(bias.len(), 0.0);
                    total.iter_mut().zip(bias).for_each(|(t, b)| *t += b);
                }
                Some(_) | None => others.push(new),
            }
        }
        if names.len() < 2 {
            return copy(out, node, inputs);
        }
        let sum = out.push(&names.join(" + "), FloatOp::Linear { terms: merged, bias: total }, sources)?;
        if others.is_empty() {
            return Ok(sum);
        }
        others.insert(0, sum);
        out.push(&node.name, FloatOp::Add, others)
    })
}
