//! A node and access to what it reads; what refusals advise.

use crate::graph::{FloatOp, NodeId};
use crate::onnx::attributes::OnnxNode;
use crate::onnx::constant::{Constant, Numbers};
use crate::onnx::error::ImportError;
use crate::onnx::importer::{Importer, Value};

/// Advice where shapes are computed.
pub(super) const SIMPLIFY: &str =
    "simplify the model with onnx-simplifier (`onnxsim`), which folds constant shape arithmetic, or export it without this node";
/// Advice where the layout changes.
pub(super) const CHANNELS_FIRST: &str = "export the model with channels first ([N, C, H, W]) and without layout changes";
/// Advice where there is no protocol.
pub(super) const REPLACE: &str = "use a network of supported operators (Conv, BatchNormalization, Relu, MaxPool, AveragePool, GlobalAveragePool, ReduceMean over rows and columns, \
                                   Gemm, MatMul, Add, Sub, Sum, Mul and Div by constants, Concat, Flatten, Reshape, Squeeze, Pad)";
/// Advice for softmax and argmax.
pub(super) const TAIL_ONLY: &str = "it may only follow the logits, as the last node";

/// Dimensions and elements of a real constant.
type Reals = (Vec<usize>, Vec<f32>);

/// A node that is being imported.
pub(super) struct Operator<'a> {
    pub(super) importer: &'a mut Importer,
    pub(super) node: OnnxNode<'a>,
}

impl Operator<'_> {
    pub(super) fn value(&self, index: usize) -> Result<Value, ImportError> {
        let name = self.node.input(index).ok_or_else(|| self.node.invalid(format!("input {index} is missing")))?;
        let value = self.importer.values.get(name);
        value.cloned().ok_or_else(|| self.node.invalid(format!("its input `{name}` is not computed before it")))
    }

    pub(super) fn activation(&self, index: usize) -> Result<(NodeId, bool), ImportError> {
        match self.value(index)? {
            Value::Activation { node, flat } => Ok((node, flat)),
            Value::Constant(_) => Err(self.node.unsupported(format!("its input {index} is a constant"), SIMPLIFY)),
            Value::Tail { .. } => Err(self.node.unsupported("it reads the result of a softmax or an argmax", TAIL_ONLY)),
            Value::Unreadable(reason) => Err(self.node.invalid(format!("its input {index} cannot be read: {reason}"))),
        }
    }

    /// An activation of rank 4.
    pub(super) fn image(&self, index: usize) -> Result<NodeId, ImportError> {
        match self.activation(index)? {
            (node, false) => Ok(node),
            (_, true) => Err(self.node.invalid(format!("input {index} should be an image [N, C, H, W] but is flat"))),
        }
    }

    pub(super) fn given_constant(&self, index: usize) -> Result<Option<Constant>, ImportError> {
        match self.node.input(index) {
            None => Ok(None),
            Some(_) => match self.value(index)? {
                Value::Constant(c) => Ok(Some(c)),
                Value::Unreadable(reason) => Err(self.node.invalid(format!("its input {index} cannot be read: {reason}"))),
                Value::Activation { .. } | Value::Tail { .. } => Err(self
                    .node
                    .unsupported(format!("its input {index} depends on the image, only constants are supported there"), REPLACE)),
            },
        }
    }

    pub(super) fn reals(&self, index: usize) -> Result<Option<Reals>, ImportError> {
        match self.given_constant(index)? {
            None => Ok(None),
            Some(Constant { dims, data: Numbers::Real(data) }) => Ok(Some((dims, data))),
            Some(_) => Err(self.node.invalid(format!("input {index} should hold real numbers"))),
        }
    }

    pub(super) fn integers(&self, index: usize) -> Result<Option<Vec<i64>>, ImportError> {
        match self.given_constant(index)? {
            None => Ok(None),
            Some(Constant { data: Numbers::Integer(data), .. }) => Ok(Some(data)),
            Some(_) => Err(self.node.invalid(format!("input {index} should hold integers"))),
        }
    }

    pub(super) fn required(&self, index: usize) -> Result<Reals, ImportError> {
        self.reals(index)?.ok_or_else(|| self.node.invalid(format!("input {index} is missing")))
    }

    /// A constant with one number per channel.
    pub(super) fn per_channel(&self, index: usize, channels: usize) -> Result<Vec<f32>, ImportError> {
        let (dims, data) = self.required(index)?;
        if data.len() == channels { Ok(data) } else { Err(self.node.invalid(format!("input {index} is {dims:?} for {channels} channels"))) }
    }

    pub(super) fn push(self, op: FloatOp, inputs: Vec<NodeId>, flat: bool) -> Result<Value, ImportError> {
        let node = self.importer.graph.push(&self.node.name(), op, inputs)?;
        Ok(Value::Activation { node, flat })
    }

    pub(super) fn unary(self, op: FloatOp) -> Result<Value, ImportError> {
        let (input, flat) = self.activation(0)?;
        self.push(op, vec![input], flat)
    }
}
