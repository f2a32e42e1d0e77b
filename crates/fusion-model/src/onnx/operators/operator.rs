//! A node and access to what it reads; what refusals advise.

use crate::graph::{FloatOp, NodeId};
use crate::onnx::attributes::OnnxNode;
use crate::onnx::constant::{Constant, Numbers};
use crate::onnx::error::ImportError;
use crate::onnx::importer::{Importer, Value};
use crate::onnx::view::{NodeAxis, View};

/// Advice where shapes are computed.
pub(super) const SIMPLIFY: &str =
    "simplify the model with onnx-simplifier (`onnxsim`), which folds constant shape arithmetic, or export it without this node";
/// Advice where the axes of the data do not lie as a protocol needs them.
pub(super) const CHANNELS_FIRST: &str = "export the model with channels first ([N, C, H, W])";
/// Advice where there is no protocol.
pub(super) const REPLACE: &str = "use a network of supported operators (docs/models.md lists them)";
/// Advice for softmax and argmax.
pub(super) const TAIL_ONLY: &str = "it may only follow the logits, as the last node";

/// Dimensions and elements of a real constant.
type Reals = (Vec<usize>, Vec<f32>);

/// A node that is being imported.
pub(super) struct Operator<'a, 'b> {
    pub(super) importer: &'a mut Importer<'b>,
    pub(super) node: OnnxNode<'a>,
}

impl Operator<'_, '_> {
    pub(super) fn value(&self, index: usize) -> Result<Value, ImportError> {
        let name = self.node.input(index).ok_or_else(|| self.node.invalid(format!("input {index} is missing")))?;
        let value = self.importer.values.get(name);
        value.cloned().ok_or_else(|| self.node.invalid(format!("its input `{name}` is not computed before it")))
    }

    pub(super) fn activation(&self, index: usize) -> Result<(NodeId, View), ImportError> {
        match self.value(index)? {
            Value::Activation { node, view } => Ok((node, view)),
            Value::Constant(_) => Err(self.node.unsupported(format!("its input {index} is a constant"), SIMPLIFY)),
            Value::Tail { .. } => Err(self.node.unsupported("it reads the result of a softmax or an argmax", TAIL_ONLY)),
            Value::Unreadable(reason) => Err(self.node.invalid(format!("its input {index} cannot be read: {reason}"))),
        }
    }

    /// An activation that the file has as `[N, C, H, W]`: a node whose value is that.
    pub(super) fn image(&mut self, index: usize) -> Result<NodeId, ImportError> {
        let (node, view) = self.activation(index)?;
        let shape = self.importer.shape(node);
        let positions = |axis: usize, of, size| view.is_whole(axis, of, size);
        if view.rank() == 3 && positions(1, NodeAxis::Row, shape.height) && positions(2, NodeAxis::Column, shape.width) {
            let (node, _) = self.with_channels_in_order(node, view, 0)?;
            return Ok(node);
        }
        let reason = format!("its input {index} is {:?} per image, whose axes are not channels, rows and columns of an image", view.dims());
        Err(self.node.unsupported(reason, CHANNELS_FIRST))
    }

    /// The same tensor as a view that has the channels of its node along `axis`, in their order.
    pub(super) fn with_channels_in_order(&mut self, node: NodeId, view: View, axis: usize) -> Result<(NodeId, View), ImportError> {
        let channels = self.importer.shape(node).channels;
        let Some(order) = view.channel_order(axis, channels) else {
            let reason = format!("axis {} of {:?} is not that of the channels", axis + 1, view.dims());
            return Err(self.node.unsupported(reason, CHANNELS_FIRST));
        };
        if order.iter().copied().eq(0..channels) {
            return Ok((node, view));
        }
        let select = FloatOp::Select(order.into_iter().map(Some).collect());
        let node = self.importer.graph.push(&self.node.name(), select, vec![node])?;
        Ok((node, view.with_channels(axis, channels)))
    }

    /// An axis of a tensor of this rank, the batch not counted, from one that counts it and may
    /// count from the end.
    pub(super) fn axis(&self, axis: i64, rank: usize) -> Result<usize, ImportError> {
        let all = rank as i64 + 1;
        let from_front = if axis < 0 { axis.saturating_add(all) } else { axis };
        match from_front {
            0 => Err(self.node.unsupported("it works along the batch axis", "keep the samples apart")),
            _ if (1..all).contains(&from_front) => Ok((from_front - 1) as usize),
            _ => Err(self.node.invalid(format!("axis {axis} of a tensor with {all} axes"))),
        }
    }

    /// Refuses a list that names an axis twice, counted from the front or from the end.
    pub(super) fn distinct(&self, axes: impl Iterator<Item = i64>, rank: usize) -> Result<(), ImportError> {
        let mut named: Vec<i64> = axes.map(|axis| if axis < 0 { axis.saturating_add(rank as i64 + 1) } else { axis }).collect();
        named.sort_unstable();
        match named.windows(2).find(|pair| pair[0] == pair[1]) {
            Some(pair) => Err(self.node.invalid(format!("it names axis {} twice", pair[0]))),
            None => Ok(()),
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
            Some(Constant { dims, data: Numbers::Real(data) }) if data.iter().all(|x| x.is_finite()) => Ok(Some((dims, data))),
            Some(Constant { data: Numbers::Real(_), .. }) => {
                Err(self.node.invalid(format!("input {index} holds a number that is not finite")))
            }
            Some(_) => Err(self.node.invalid(format!("input {index} should hold real numbers"))),
        }
    }

    /// One real number, which may be infinite.
    pub(super) fn scalar(&self, index: usize) -> Result<Option<f32>, ImportError> {
        match self.given_constant(index)? {
            None => Ok(None),
            Some(constant) => {
                let numbers = match constant.data {
                    Numbers::Real(data) => data,
                    Numbers::Integer(data) => data.into_iter().map(|x| x as f32).collect(),
                };
                match numbers.as_slice() {
                    &[number] => Ok(Some(number)),
                    _ => Err(self.node.invalid(format!("input {index} should hold one number"))),
                }
            }
        }
    }

    /// Integers by input or, in old operator sets, by attribute.
    pub(super) fn listed(&self, index: usize, attribute: &str) -> Result<Option<Vec<i64>>, ImportError> {
        match self.integers(index)? {
            Some(integers) => Ok(Some(integers)),
            None => Ok(self.node.attribute(attribute).map(|a| a.ints.clone())),
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

    /// A node whose value the file has in the order of the graph.
    pub(super) fn push_image(self, op: FloatOp, inputs: Vec<NodeId>) -> Result<Value, ImportError> {
        let node = self.importer.graph.push(&self.node.name(), op, inputs)?;
        let view = View::image(self.importer.shape(node));
        Ok(Value::Activation { node, view })
    }

    /// A node whose value the file has as another.
    pub(super) fn push(self, op: FloatOp, inputs: Vec<NodeId>, view: View) -> Result<Value, ImportError> {
        let node = self.importer.graph.push(&self.node.name(), op, inputs)?;
        Ok(Value::Activation { node, view })
    }

    pub(super) fn unary(self, op: FloatOp) -> Result<Value, ImportError> {
        let (input, view) = self.activation(0)?;
        self.push(op, vec![input], view)
    }
}
