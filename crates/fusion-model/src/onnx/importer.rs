//! The state of an import: the graph so far, and what the file's names stand for.

use std::collections::HashMap;

use super::constant::Constant;
use super::error::ImportError;
use super::{proto, window};
use crate::graph::{Graph, NodeId};

/// What a name of the file stands for.
#[derive(Debug, Clone)]
pub(super) enum Value {
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
    /// A constant that cannot be read, and why: an error of whoever reads it.
    Unreadable(String),
}

/// The import so far.
pub(super) struct Importer {
    pub(super) opset: i64,
    pub(super) graph: Graph,
    pub(super) values: HashMap<String, Value>,
}

impl Importer {
    /// Before the first node: constants, as far as `is_read` says that somebody reads them, and the
    /// image.
    pub(super) fn new(file: &proto::GraphProto, opset: i64, is_read: impl Fn(&str) -> bool) -> Result<Self, ImportError> {
        let mut values = HashMap::new();
        for tensor in &file.initializer {
            let value = match is_read(tensor.name()) {
                true => Constant::read(tensor).map_or_else(Value::Unreadable, Value::Constant),
                false => Value::Unreadable("no node that counts reads it".to_owned()),
            };
            values.insert(tensor.name().to_owned(), value);
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

    /// The graph whose logits are called `output`.
    pub(super) fn finish(mut self, output: &str) -> Result<Graph, ImportError> {
        let logits = match self.values.get(output) {
            Some(Value::Activation { node, .. } | Value::Tail { node }) => *node,
            Some(Value::Constant(_) | Value::Unreadable(_)) => return Err(ImportError::Model("its output is a constant".to_owned())),
            None => return Err(ImportError::Model(format!("no node computes its output `{output}`"))),
        };
        let shape = self.graph.node(logits).shape;
        if (shape.height, shape.width) != (1, 1) || shape.channels < 2 {
            return Err(ImportError::Model(format!("its output has shape {shape:?}, not one score for each of two or more classes")));
        }
        self.graph.output = logits;
        Ok(self.graph)
    }
}
