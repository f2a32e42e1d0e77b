//! Rewriting: a graph from another, node by node.

use super::{Graph, Node, NodeId, ShapeError};

/// Builds a new graph node by node. `replace` gets the graph under construction, the old node's id
/// and the new ids of its inputs; it returns the id of the node that now stands for the old one.
/// Nodes that the output does not need are left out of the result.
pub(crate) fn rebuild(
    graph: &Graph,
    mut replace: impl FnMut(&mut Graph, NodeId, &[NodeId]) -> Result<NodeId, ShapeError>,
) -> Result<Graph, ShapeError> {
    let mut out = Graph::with_input(&graph.nodes[0].name, graph.input_shape());
    let mut map = vec![NodeId(0)];
    for (index, node) in graph.nodes.iter().enumerate().skip(1) {
        let inputs: Vec<NodeId> = node.inputs.iter().map(|id| map[id.0]).collect();
        map.push(replace(&mut out, NodeId(index), &inputs)?);
    }
    out.output = map[graph.output.0];
    Ok(without_dead_nodes(&out))
}

pub(crate) fn copy(out: &mut Graph, node: &Node, inputs: &[NodeId]) -> Result<NodeId, ShapeError> {
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
