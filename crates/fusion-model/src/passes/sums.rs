//! Sums of linear nodes are linear.

use crate::graph::rewrite::{copy, rebuild};
use crate::graph::{FloatOp, FloatTerm, Graph, ShapeError};

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
