//! Passes over the float graph: the same function in fewer, cheaper nodes.
//!
//! What is left after [`simplify`] are the forms that cost the protocol something (linear layers, ReLU, maxima) and free data movement:
//!
//! | before | after |
//! |---|---|
//! | conv, then batch normalisation or a constant addend | one linear node |
//! | batch normalisation or a division, then conv without padding (or no addend) | one linear node |
//! | any other per-channel affine map or padding | a depthwise 1x1 convolution |
//! | zero padding, then conv, average or maximum of non-negative values | the padding of that node |
//! | ReLU, then maximum | maximum, then ReLU: fewer ReLUs |
//! | sum of convolutions (a residual block's last and its shortcut) | one linear node with several inputs |
//! | average over a window whose area is no power of two | sum, then a factor, which the next linear node absorbs |
//!
//! Every pass keeps the function that the graph computes (up to float rounding), which a property test checks.

mod affine;
mod pads;

use fusion_rlwe::Padding;

use crate::graph::{FloatOp, FloatTerm, Graph, Node, NodeId, ShapeError};

/// Applies all passes.
///
/// # Errors
/// None for a graph built with [`Graph::push`]; the error type is that of the node constructor.
pub fn simplify(graph: &Graph) -> Result<Graph, ShapeError> {
    let graph = affine::fold_backward(graph)?;
    let graph = pads::fold_into_windows(&graph)?;
    let graph = pool_before_relu(&graph)?;
    let graph = affine::divide_after_sum(&graph)?;
    let graph = affine::flatten_first(&graph)?;
    let graph = affine::fold_forward(&graph)?;
    let graph = affine::into_depthwise(&graph)?;
    merge_summed_linears(&graph)
}

/// Builds a new graph node by node. `place` gets the graph under construction, the old node's id and its inputs' new ids, and returns the id of
/// the node that now stands for it. Nodes that the output does not need are left out of the result.
fn rebuild(graph: &Graph, mut place: impl FnMut(&mut Graph, NodeId, &[NodeId]) -> Result<NodeId, ShapeError>) -> Result<Graph, ShapeError> {
    let mut out = Graph::with_input(&graph.nodes[0].name, graph.input_shape());
    let mut map = vec![NodeId(0)];
    for (index, node) in graph.nodes.iter().enumerate().skip(1) {
        let inputs: Vec<NodeId> = node.inputs.iter().map(|id| map[id.0]).collect();
        map.push(place(&mut out, NodeId(index), &inputs)?);
    }
    out.output = map[graph.output.0];
    Ok(without_dead_nodes(&out))
}

fn copy(out: &mut Graph, node: &Node, inputs: &[NodeId]) -> Result<NodeId, ShapeError> {
    out.push(&node.name, node.op.clone(), inputs.to_vec())
}

fn without_dead_nodes(graph: &Graph) -> Graph {
    let mut live = vec![false; graph.nodes.len()];
    live[0] = true;
    live[graph.output.0] = true;
    for index in (0..graph.nodes.len()).rev() {
        if live[index] {
            graph.nodes[index].inputs.iter().for_each(|id| live[id.0] = true);
        }
    }
    let mut map = Vec::with_capacity(graph.nodes.len());
    let mut nodes: Vec<Node> = Vec::with_capacity(graph.nodes.len());
    for (node, &live) in graph.nodes.iter().zip(&live) {
        map.push(NodeId(nodes.len()));
        if live {
            let inputs = node.inputs.iter().map(|id| map[id.0]).collect();
            nodes.push(Node { inputs, ..node.clone() });
        }
    }
    Graph { nodes, output: map[graph.output.0] }
}

/// max(relu(x)) = relu(max(x)), with one ReLU per window instead of one per element.
fn pool_before_relu(graph: &Graph) -> Result<Graph, ShapeError> {
    rebuild(graph, |out, id, inputs| {
        let node = graph.node(id);
        let source = inputs.first().map(|&id| out.node(id).clone());
        match (&node.op, source) {
            (FloatOp::MaxPool(_), Some(relu)) if relu.op == FloatOp::Relu => {
                let pooled = out.push(&node.name, node.op.clone(), relu.inputs.clone())?;
                out.push(&relu.name, FloatOp::Relu, vec![pooled])
            }
            _ => copy(out, node, inputs),
        }
    })
}

/// A sum of linear nodes that nobody else reads, with one number of groups, is one linear node.
fn merge_summed_linears(graph: &Graph) -> Result<Graph, ShapeError> {
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

/// Sum of two paddings.
fn padded(a: Padding, b: Padding) -> Padding {
    Padding { top: a.top + b.top, left: a.left + b.left, bottom: a.bottom + b.bottom, right: a.right + b.right }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::onnx;
    use crate::testing::{Attribute, ModelBuilder};

    fn kinds(graph: &Graph) -> Vec<&'static str> {
        graph.nodes.iter().map(|n| n.op.kind()).collect()
    }

    #[test]
    fn a_residual_block_becomes_two_linear_layers() {
        let (mut b, image) = ModelBuilder::new(1, [3, 8, 8]);
        let conv = |b: &mut ModelBuilder, x: &str, c: usize| {
            let w = b.random(&[4, c, 3, 3], 0.3);
            let y = b.node("Conv", &[x, &w], &[Attribute::Ints("pads", vec![1; 4])]);
            let ones = |b: &mut ModelBuilder| b.random(&[4], 0.1);
            let (s, t, m, v) = (ones(b), ones(b), ones(b), b.constant(&[4], vec![1.0; 4]));
            b.node("BatchNormalization", &[&y, &s, &t, &m, &v], &[])
        };
        let x = conv(&mut b, &image.0, 3);
        let x = b.node("Relu", &[&x], &[]);
        let main = conv(&mut b, &x, 4);
        let shortcut = conv(&mut b, &x, 4);
        let sum = b.node("Add", &[&main, &shortcut], &[]);
        let x = b.node("Relu", &[&sum], &[]);
        let x = b.node("MaxPool", &[&x], &[Attribute::Ints("kernel_shape", vec![2, 2])]);
        let x = b.node("GlobalAveragePool", &[&x], &[]);
        let x = b.node("Flatten", &[&x], &[]);
        let w = b.random(&[4, 5], 0.5);
        let logits = b.node("MatMul", &[&x, &w], &[]);
        let graph = onnx::import(&b.finish(&logits, 5)).unwrap();
        let expected = ["input", "linear", "relu", "linear", "max pool", "relu", "sum pool", "flatten", "linear"];
        assert_eq!(kinds(&graph), expected);
        assert_eq!(graph.nodes[3].inputs, [NodeId(2), NodeId(2)]);
    }

    #[test]
    fn what_cannot_be_folded_becomes_a_depthwise_convolution() {
        let (mut b, image) = ModelBuilder::new(1, [2, 4, 4]);
        let x = b.node("Relu", &[&image.0], &[]);
        let shift = b.random(&[1, 2, 1, 1], 0.5);
        let y = b.node("Add", &[&x, &shift], &[]);
        let sum = b.node("Add", &[&x, &y], &[]);
        let flat = b.node("Flatten", &[&sum], &[]);
        let graph = onnx::import(&b.finish(&flat, 32)).unwrap();
        assert_eq!(kinds(&graph), ["input", "relu", "linear", "add", "flatten"]);
        let (terms, _) = graph.nodes[2].op.as_linear().unwrap();
        assert_eq!(terms[0].geometry.groups, 2);
    }
}
