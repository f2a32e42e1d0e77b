//! ONNX import: from a file's bytes to a typed [`Graph`].
//!
//! Supported are the operators of image classifiers: Conv (groups, strides, pads, dilations, auto_pad), BatchNormalization, Relu,
//! MaxPool, AveragePool, GlobalAveragePool, Gemm, MatMul and Add (also with constants), Concat, Flatten, Reshape (to a vector), Pad
//! (zeros), Identity, Dropout, Constant, and Softmax, LogSoftmax or ArgMax at the end, which are dropped because they do not change the
//! label. Anything else is refused with the node's name, its operator and what to do about it.
//!
//! The batch axis is taken off: a graph describes one sample. Images are `[N, C, H, W]`.
//!
//! The message types are generated (`cargo xtask codegen`) from `proto/onnx.proto`, the part of the format that is read here.

mod attributes;
mod constant;
mod operators;
mod window;
pub(crate) mod proto {
    //! Generated from `proto/onnx.proto`.
    #![expect(unreachable_pub, reason = "generated code")]
    include!("onnx/proto/onnx.rs");
}

use std::collections::{HashMap, HashSet};

use bytes::Bytes;
use prost::Message as _;

use self::constant::Constant;
use crate::graph::{Graph, NodeId, ShapeError};
use crate::passes;

#[cfg(test)]
mod tests;

/// Why a model cannot be imported.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ImportError {
    /// The bytes are not an ONNX model.
    #[error("not an ONNX model: {0}")]
    Decode(String),
    /// An operator, or a use of one, that the protocol does not support.
    #[error("node `{node}` ({operator}) is not supported: {reason}; {advice}")]
    Unsupported {
        /// The node's name.
        node: String,
        /// Its operator.
        operator: String,
        /// What about it.
        reason: String,
        /// What the user can do.
        advice: &'static str,
    },
    /// A node contradicts the ONNX specification.
    #[error("node `{node}` ({operator}) is invalid: {reason}")]
    Invalid {
        /// The node's name.
        node: String,
        /// Its operator.
        operator: String,
        /// What is wrong.
        reason: String,
    },
    /// Shapes that do not fit together.
    #[error(transparent)]
    Shape(#[from] ShapeError),
    /// The graph as a whole is not an image classifier.
    #[error("the model is not an image classifier: {0}")]
    Model(String),
}

/// Imports an ONNX file and brings it into the form that the planner takes (see [`passes::simplify`]).
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
    Importer::new(&graph, opset.unwrap_or(1))?.run(&graph)
}

/// What a name of the file stands for.
#[derive(Debug, Clone)]
enum Value {
    /// A constant.
    Constant(Constant),
    /// A value that depends on the image; `flat` if it has rank 2 in the file.
    Activation {
        /// Its node.
        node: NodeId,
        /// `[N, features]` rather than `[N, C, H, W]`.
        flat: bool,
    },
    /// What follows from a value without changing the label: the logits are `node`.
    Tail {
        /// The logits.
        node: NodeId,
    },
}

struct Importer {
    opset: i64,
    graph: Graph,
    values: HashMap<String, Value>,
}

impl Importer {
    fn new(file: &proto::GraphProto, opset: i64) -> Result<Self, ImportError> {
        let mut values = HashMap::new();
        for tensor in &file.initializer {
            let constant = Constant::read(tensor).map_err(|reason| ImportError::Invalid {
                node: tensor.name().to_owned(),
                operator: "initializer".to_owned(),
                reason,
            })?;
            values.insert(tensor.name().to_owned(), Value::Constant(constant));
        }
        let mut inputs = file.input.iter().filter(|v| !values.contains_key(v.name()));
        let input = match (inputs.next(), inputs.next()) {
            (Some(input), None) => input,
            (None, _) => return Err(ImportError::Model("it has no input".to_owned())),
            (Some(a), Some(b)) => {
                return Err(ImportError::Model(format!("it has several inputs, `{}` and `{}`", a.name(), b.name())));
            }
        };
        let (shape, flat) = window::image_shape(input).map_err(ImportError::Model)?;
        values.insert(input.name().to_owned(), Value::Activation { node: NodeId(0), flat });
        Ok(Self { opset, graph: Graph::with_input(input.name(), shape), values })
    }

    fn run(mut self, file: &proto::GraphProto) -> Result<Graph, ImportError> {
        let [output] = file.output.as_slice() else {
            return Err(ImportError::Model(format!(
                "it has {} outputs; export it with the class scores as its only output",
                file.output.len()
            )));
        };
        let needed = needed_nodes(file, output.name());
        for (_, node) in file.node.iter().enumerate().filter(|(index, _)| needed.contains(index)) {
            let value = operators::import_node(&mut self, node)?;
            let name = node.output.first().cloned().unwrap_or_default();
            self.values.insert(name, value);
        }
        let logits = match self.values.get(output.name()) {
            Some(Value::Activation { node, .. } | Value::Tail { node }) => *node,
            Some(Value::Constant(_)) => return Err(ImportError::Model("its output is a constant".to_owned())),
            None => return Err(ImportError::Model(format!("no node computes its output `{}`", output.name()))),
        };
        let shape = self.graph.node(logits).shape;
        if (shape.height, shape.width) != (1, 1) || shape.channels < 2 {
            return Err(ImportError::Model(format!("its output has shape {shape:?}, not one score for each of two or more classes")));
        }
        self.graph.output = logits;
        Ok(self.graph)
    }
}

/// Indices of the nodes that the output depends on; what a training export leaves beside it is of no interest.
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
