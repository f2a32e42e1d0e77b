//! ONNX import: from a file's bytes to a typed [`Graph`].
//!
//! The operators of image classifiers are supported: Conv (groups, strides, pads, dilations,
//! auto_pad), BatchNormalization, Relu, MaxPool, AveragePool, GlobalAveragePool, Gemm, MatMul and
//! Add (also with constants), Concat, Flatten, Reshape (to a vector), ReduceMean over rows and
//! columns, Squeeze and Unsqueeze of a pooled image, Pad (zeros), Identity, Dropout and Constant.
//! What computes shapes or rearranges constants is folded. Softmax, LogSoftmax or ArgMax at the end
//! are left out, with what reshapes their result, because they do not change the label. Anything
//! else is refused with the node's name, its operator and what to do about it.
//!
//! The batch axis is taken off: a graph describes one sample. Images are `[N, C, H, W]`.
//!
//! The message types are generated (`cargo xtask codegen`) from `proto/onnx.proto`, the part of the
//! format that is read here.

mod attributes;
mod constant;
mod error;
mod fold;
mod importer;
mod operators;
pub(crate) mod proto;
mod window;

pub use error::ImportError;

use std::collections::HashSet;

use bytes::Bytes;
use prost::Message as _;

use self::importer::Importer;
use crate::graph::Graph;
use crate::passes;

#[cfg(test)]
mod tests;

/// Imports an ONNX file and brings it into the form that the planner takes (see
/// [`passes::simplify`]).
///
/// # Errors
/// The file is malformed or uses something unsupported; the error names the node.
pub fn import(file: &[u8]) -> Result<Graph, ImportError> {
    let graph = import_raw(file)?;
    Ok(passes::simplify(&graph)?)
}

/// Imports an ONNX file node by node, without simplifying anything.
///
/// # Errors
/// As [`import`].
pub fn import_raw(file: &[u8]) -> Result<Graph, ImportError> {
    let model = proto::ModelProto::decode(Bytes::copy_from_slice(file)).map_err(|e| ImportError::Decode(e.to_string()))?;
    let opset = model.opset_import.iter().filter(|o| o.domain().is_empty() || o.domain() == "ai.onnx").map(|o| o.version()).max();
    let graph = model.graph.ok_or_else(|| ImportError::Decode("it has no graph".to_owned()))?;
    let [output] = graph.output.as_slice() else {
        let reason = format!("it has {} outputs; export it with the class scores as its only output", graph.output.len());
        return Err(ImportError::Model(reason));
    };
    let needed = needed_nodes(&graph, output.name());
    let read: HashSet<&str> = needed.iter().flat_map(|&index| &graph.node[index].input).map(String::as_str).collect();
    let mut importer = Importer::new(&graph, opset.unwrap_or(1), |name| read.contains(name))?;
    for (_, node) in graph.node.iter().enumerate().filter(|(index, _)| needed.contains(index)) {
        let value = operators::import_node(&mut importer, node)?;
        importer.values.insert(node.output.first().cloned().unwrap_or_default(), value);
    }
    importer.finish(output.name())
}

/// Indices of the nodes that the output depends on. Training exports may hold others, which need
/// not be supported.
fn needed_nodes(file: &proto::GraphProto, output: &str) -> HashSet<usize> {
    let mut names = HashSet::from([output]);
    let mut needed = HashSet::new();
    for (index, node) in file.node.iter().enumerate().rev() {
        if node.output.iter().any(|o| names.contains(o.as_str())) {
            needed.insert(index);
            names.extend(node.input.iter().map(String::as_str));
        }
    }
    needed
}
