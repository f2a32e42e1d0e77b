//! The state of an import: the graph so far, and what the file's names stand for.

use std::collections::HashMap;

use fusion_rlwe::Shape;

use super::constant::Constant;
use super::error::ImportError;
use super::external::ExternalData;
use super::view::View;
use super::{proto, window};
use crate::curve::{Curve, Function};
use crate::graph::{FloatOp, Graph, NodeId, ShapeError};

/// What a name of the file stands for.
#[derive(Debug, Clone)]
pub(super) enum Value {
    /// A constant.
    Constant(Constant),
    /// A value that depends on the image.
    Activation {
        /// Its node.
        node: NodeId,
        /// How the tensor of the file lies over the node's value.
        view: View,
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
pub(super) struct Importer<'a> {
    pub(super) opset: i64,
    pub(super) external: ExternalData<'a>,
    pub(super) graph: Graph,
    pub(super) values: HashMap<String, Value>,
    /// Nodes whose elements are counted, and their elements.
    counted: usize,
    elements: usize,
}

/// Most elements of all values of a network together.
const MAX_ELEMENTS: usize = 1 << 30;

impl<'a> Importer<'a> {
    /// Before the first node: constants, as far as `is_read` says that somebody reads them, and the
    /// image, whose shape is `shape` where the file leaves it open.
    pub(super) fn new(
        file: &proto::GraphProto,
        opset: i64,
        external: ExternalData<'a>,
        shape: Option<&[usize]>,
        is_read: impl Fn(&str) -> bool,
    ) -> Result<Self, ImportError> {
        let mut values = HashMap::new();
        let mut insert = |name: &str, read: &dyn Fn() -> Result<Constant, String>| {
            let value = match is_read(name) {
                true => read().map_or_else(Value::Unreadable, Value::Constant),
                false => Value::Unreadable("no node that counts reads it".to_owned()),
            };
            values.insert(name.to_owned(), value);
        };
        for tensor in &file.initializer {
            insert(tensor.name(), &|| Constant::read(tensor, external));
        }
        for tensor in &file.sparse_initializer {
            let name = tensor.values.as_ref().map(proto::TensorProto::name).unwrap_or_default();
            insert(name, &|| Constant::read_sparse(tensor, external));
        }
        let mut inputs = file.input.iter().filter(|v| !values.contains_key(v.name()));
        let input = match (inputs.next(), inputs.next()) {
            (Some(input), None) => input,
            (None, _) => return Err(ImportError::Model("it has no input".to_owned())),
            (Some(a), Some(b)) => {
                return Err(ImportError::Model(format!("it has several inputs, `{}` and `{}`", a.name(), b.name())));
            }
        };
        let to_front = |node: &proto::NodeProto| {
            node.op_type() == "Transpose" && node.attribute.iter().any(|a| a.name() == "perm" && a.ints == [0, 3, 1, 2])
        };
        let (shape, view) = window::image_shape(input, shape, file.node.iter().any(to_front)).map_err(ImportError::Model)?;
        values.insert(input.name().to_owned(), Value::Activation { node: NodeId(0), view });
        Ok(Self { opset, external, graph: Graph::with_input(input.name(), shape), values, counted: 0, elements: 0 })
    }

    pub(super) fn shape(&self, node: NodeId) -> Shape {
        self.graph.node(node).shape
    }

    /// A vector of all numbers of a tensor, in the order of the file.
    pub(super) fn flattened(&mut self, name: &str, node: NodeId, view: &View) -> Result<NodeId, ShapeError> {
        let shape = self.shape(node);
        let order = view.order(shape);
        let flat = if shape.area() == 1 { node } else { self.graph.push(name, FloatOp::Flatten, vec![node])? };
        if order.iter().copied().eq(0..shape.len()) {
            return Ok(flat);
        }
        self.graph.push(name, FloatOp::Select(order.into_iter().map(Some).collect()), vec![flat])
    }

    /// The graph whose logits are called `output`.
    pub(super) fn finish(mut self, output: &str) -> Result<Graph, ImportError> {
        let logits = match self.values.get(output).cloned() {
            Some(Value::Activation { node, view }) if view.dims().iter().filter(|&&dim| dim > 1).count() <= 1 => {
                self.flattened(output, node, &view)?
            }
            Some(Value::Activation { view, .. }) => {
                let reason = format!("its output `{output}` has shape {:?} per image, not one score for each class", view.dims());
                return Err(ImportError::Model(reason));
            }
            Some(Value::Tail { node }) => node,
            Some(Value::Constant(_) | Value::Unreadable(_)) => return Err(ImportError::Model("its output is a constant".to_owned())),
            None => return Err(ImportError::Model(format!("no node computes its output `{output}`"))),
        };
        let shape = self.shape(logits);
        let logits = match (shape.area(), shape.channels) {
            (1, 1) if !self.is_score(self.before_sigmoid(logits)) => {
                let reason =
                    "its only score is not that of a linear layer, with or without one sigmoid behind: what it says yes at is not known";
                return Err(ImportError::Model(format!("{reason}; name the value before by --output")));
            }
            // One score says yes above zero: class 1, against a score of zero for class 0.
            (1, 1) => {
                let logits = self.before_sigmoid(logits);
                self.graph.push(output, FloatOp::Select(vec![None, Some(0)]), vec![logits])?
            }
            (1, _) => self.before_sigmoid(logits),
            _ => return Err(ImportError::Model(format!("its output has shape {shape:?}, not one score for each class"))),
        };
        self.graph.output = logits;
        Ok(self.graph)
    }

    /// What a sigmoid at the end reads: it changes neither which score is the largest nor whether
    /// one is above its half.
    fn before_sigmoid(&self, logits: NodeId) -> NodeId {
        let node = self.graph.node(logits);
        if node.op == FloatOp::Curve(Curve::of(Function::Sigmoid)) { node.inputs[0] } else { logits }
    }

    /// Whether a value is a score that says yes above zero: one that no bounded function made.
    fn is_score(&self, mut id: NodeId) -> bool {
        loop {
            let node = self.graph.node(id);
            if matches!(node.op, FloatOp::Linear { .. }) {
                return true;
            }
            let sums = matches!(node.op, FloatOp::Flatten | FloatOp::Select(_) | FloatOp::AveragePool(_) | FloatOp::SumPool(_));
            // A batch normalisation, or an addend, of such a score.
            let rises = matches!(&node.op, FloatOp::ChannelAffine { scale, .. } if scale.iter().all(|&factor| factor > 0.0));
            if !(sums || rises) {
                return false;
            }
            id = node.inputs[0];
        }
    }

    /// Takes in the values of a node's outputs.
    pub(super) fn insert(&mut self, node: &proto::NodeProto, values: Vec<Value>) -> Result<(), ImportError> {
        for (name, value) in node.output.iter().zip(values) {
            if !name.is_empty() && self.values.insert(name.clone(), value).is_some() {
                return Err(ImportError::Model(format!("`{name}` is computed twice")));
            }
        }
        // Files of a few bytes may ask for any number of values.
        self.elements += self.graph.nodes[self.counted..].iter().map(|node| node.shape.len()).sum::<usize>();
        self.counted = self.graph.nodes.len();
        if self.elements > MAX_ELEMENTS {
            return Err(ImportError::Model(format!("its values have more than {MAX_ELEMENTS} elements")));
        }
        Ok(())
    }
}
