//! Arithmetic of values with constants and with one another.

use super::operator::{CHANNELS_FIRST, Operator, REPLACE, SIMPLIFY, TAIL_ONLY};
use crate::graph::{FloatOp, NodeId};
use crate::onnx::constant::{Constant, Numbers};
use crate::onnx::error::ImportError;
use crate::onnx::importer::Value;
use crate::onnx::view::View;

impl Operator<'_, '_> {
    /// Add, Sub, Mul and Div: of two values, or of a value and one constant for each channel.
    pub(super) fn arithmetic(self) -> Result<Value, ImportError> {
        match (self.value(0)?, self.value(1)?) {
            (Value::Activation { .. }, Value::Activation { .. }) => self.of_two_values(),
            (Value::Activation { node, view }, Value::Constant(c)) => self.affine(node, view, &c, false),
            (Value::Constant(c), Value::Activation { node, view }) => self.affine(node, view, &c, true),
            (Value::Constant(_), Value::Constant(_)) => Err(self.node.unsupported("both inputs are constants", SIMPLIFY)),
            (Value::Unreadable(reason), _) | (_, Value::Unreadable(reason)) => {
                Err(self.node.invalid(format!("one of its inputs cannot be read: {reason}")))
            }
            (Value::Tail { .. }, _) | (_, Value::Tail { .. }) => {
                Err(self.node.unsupported("it reads the result of a softmax or an argmax", TAIL_ONLY))
            }
        }
    }

    fn of_two_values(mut self) -> Result<Value, ImportError> {
        let (a, b) = (self.ordered(0)?, self.ordered(1)?);
        match self.node.operator() {
            "Add" => {
                let (nodes, view) = self.of_one_shape(&[a, b])?;
                self.push(FloatOp::Add, nodes, view)
            }
            "Sub" => {
                let (nodes, view) = self.of_one_shape(&[a, b])?;
                let negation = negation(self.importer.shape(nodes[1]).channels);
                let name = format!("{} (negated)", self.node.name());
                let negated = self.importer.graph.push(&name, negation, vec![nodes[1]])?;
                self.push(FloatOp::Add, vec![nodes[0], negated], view)
            }
            "Mul" => self.multiply(a, b),
            _ => Err(self.node.unsupported("it divides one value by another", "divide by constants")),
        }
    }

    /// A product, where one factor may have one number per channel.
    fn multiply(mut self, a: (NodeId, View), b: (NodeId, View)) -> Result<Value, ImportError> {
        let shapes = [self.importer.shape(a.0), self.importer.shape(b.0)];
        let per_channel = |wide: &(NodeId, View), narrow: &(NodeId, View), shape: fusion_rlwe::Shape, other: fusion_rlwe::Shape| {
            other.area() == 1 && shape.area() > 1 && other.channels == shape.channels && narrow.1 == wide.1.without_positions()
        };
        if per_channel(&a, &b, shapes[0], shapes[1]) {
            return self.push(FloatOp::Multiply, vec![a.0, b.0], a.1);
        }
        if per_channel(&b, &a, shapes[1], shapes[0]) {
            return self.push(FloatOp::Multiply, vec![b.0, a.0], b.1);
        }
        let (nodes, view) = self.of_one_shape(&[a, b])?;
        self.push(FloatOp::Multiply, nodes, view)
    }

    /// An activation whose node has its channels in the order of the file, where an axis has them
    /// all.
    fn ordered(&mut self, index: usize) -> Result<(NodeId, View), ImportError> {
        let (node, view) = self.activation(index)?;
        let channels = self.importer.shape(node).channels;
        match (0..view.rank()).find(|&axis| channels > 1 && view.channel_order(axis, channels).is_some()) {
            Some(axis) => self.with_channels_in_order(node, view, axis),
            None => Ok((node, view)),
        }
    }

    /// Nodes of one shape for values of one shape in the file, and how the file has them all.
    fn of_one_shape(&mut self, values: &[(NodeId, View)]) -> Result<(Vec<NodeId>, View), ImportError> {
        let nodes: Vec<NodeId> = values.iter().map(|value| value.0).collect();
        let view = &values[0].1;
        let alike = |value: &(NodeId, View)| value.1 == *view && self.importer.shape(value.0) == self.importer.shape(nodes[0]);
        if values.iter().all(alike) {
            return Ok((nodes, view.clone()));
        }
        let dims: Vec<Vec<usize>> = values.iter().map(|value| value.1.dims()).collect();
        if dims.iter().any(|other| *other != dims[0]) {
            let reason = format!("its inputs have shapes {dims:?} per image");
            return Err(self.node.unsupported(reason, "combine values of one shape, or a value and one number per channel"));
        }
        if dims[0].len() == 1 {
            let name = self.node.name();
            let flat = |(node, view): &(NodeId, View)| self.importer.flattened(&name, *node, view);
            let nodes = values.iter().map(flat).collect::<Result<Vec<_>, _>>()?;
            return Ok((nodes, View::flat(dims[0][0])));
        }
        Err(self.node.unsupported("its inputs lie differently in memory", CHANNELS_FIRST))
    }

    /// Arithmetic with one number, or one for each channel; `turned` if the constant is the first
    /// operand.
    fn affine(self, node: NodeId, view: View, constant: &Constant, turned: bool) -> Result<Value, ImportError> {
        let channels = self.importer.shape(node).channels;
        let Constant { dims, data: Numbers::Real(data) } = constant else {
            return Err(self.node.invalid("its constant should hold real numbers"));
        };
        let Some(places) = view.per_channel(dims, channels) else {
            let reason = format!("its constant of shape {dims:?} is not one number per channel of {:?}", view.dims());
            return Err(self.node.unsupported(reason, "use one number, or one for each channel"));
        };
        let numbers: Vec<f32> = places.into_iter().map(|place| data[place]).collect();
        if numbers.iter().any(|x| !x.is_finite()) {
            return Err(self.node.invalid("its constant holds a number that is not finite"));
        }
        let (ones, zeros) = (vec![1.0; channels], vec![0.0; channels]);
        let each = |f: fn(f32) -> f32| numbers.iter().map(|&x| f(x)).collect::<Vec<f32>>();
        let (scale, shift) = match (self.node.operator(), turned) {
            ("Add", _) => (ones, numbers),
            ("Sub", false) => (ones, each(|x| -x)),
            ("Sub", true) => (vec![-1.0; channels], numbers),
            ("Mul", _) => (numbers, zeros),
            ("Div", false) => (each(|x| 1.0 / x), zeros),
            _ => return Err(self.node.unsupported("it divides by what depends on the image", "divide by constants")),
        };
        if scale.iter().any(|x| !x.is_finite()) {
            return Err(self.node.invalid("it divides by zero"));
        }
        self.push(FloatOp::ChannelAffine { scale, shift }, vec![node], view)
    }

    /// The sum of any number of values.
    pub(super) fn sum(mut self) -> Result<Value, ImportError> {
        let parts = (0..self.node.inputs().len()).map(|i| self.ordered(i)).collect::<Result<Vec<_>, _>>()?;
        if parts.is_empty() {
            return Err(self.node.invalid("it has no inputs"));
        }
        let (nodes, view) = self.of_one_shape(&parts)?;
        match nodes.as_slice() {
            &[node] => Ok(Value::Activation { node, view }),
            _ => self.push(FloatOp::Add, nodes, view),
        }
    }

    /// The number with the other sign.
    pub(super) fn negate(self) -> Result<Value, ImportError> {
        let (node, view) = self.activation(0)?;
        let negation = negation(self.importer.shape(node).channels);
        self.push(negation, vec![node], view)
    }

    /// A square.
    pub(super) fn power(self) -> Result<Value, ImportError> {
        let (node, view) = self.activation(0)?;
        match self.scalar(1)? {
            Some(2.0) => self.push(FloatOp::Multiply, vec![node, node], view),
            Some(1.0) => Ok(Value::Activation { node, view }),
            other => Err(self.node.unsupported(format!("it raises to the power {other:?}"), REPLACE)),
        }
    }
}

fn negation(channels: usize) -> FloatOp {
    FloatOp::ChannelAffine { scale: vec![-1.0; channels], shift: vec![0.0; channels] }
}
