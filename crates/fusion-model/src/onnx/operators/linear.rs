//! Linear operators and what is folded into them.

use fusion_rlwe::ConvGeometry;

use super::operator::{Operator, REPLACE, SIMPLIFY, TAIL_ONLY};
use crate::graph::{FloatOp, FloatTerm, NodeId};
use crate::onnx::constant::{Constant, Numbers};
use crate::onnx::error::ImportError;
use crate::onnx::importer::Value;
use crate::onnx::window::SlidingWindow;

impl Operator<'_> {
    pub(super) fn conv(self) -> Result<Value, ImportError> {
        let input = self.image(0)?;
        let shape = self.importer.graph.node(input).shape;
        let (dims, weights) = self.required(1)?;
        let &[out_channels, per_group, kernel_rows, kernel_columns] = dims.as_slice() else {
            return Err(self.node.unsupported(format!("its weights are {dims:?}"), "only two-dimensional convolutions have a protocol"));
        };
        let window = SlidingWindow::read(self.node, shape, Some((kernel_rows, kernel_columns)))?;
        let groups = usize::try_from(self.node.int("group", 1)).unwrap_or(0);
        if groups == 0 || per_group.checked_mul(groups) != Some(shape.channels) {
            return Err(self.node.invalid(format!("weights {dims:?} in {groups} groups do not fit {} input channels", shape.channels)));
        }
        let bias = match self.node.input(2) {
            Some(_) => self.per_channel(2, out_channels)?,
            None => vec![0.0; out_channels],
        };
        let geometry = ConvGeometry {
            input: shape,
            out_channels,
            kernel: window.kernel,
            stride: window.stride,
            dilation: window.dilation,
            padding: window.padding,
            groups,
        };
        self.push(FloatOp::Linear { terms: vec![FloatTerm { geometry, weights }], bias }, vec![input], false)
    }

    pub(super) fn batch_normalization(self) -> Result<Value, ImportError> {
        let (input, flat) = self.activation(0)?;
        if self.node.int("training_mode", 0) != 0 {
            return Err(self.node.unsupported("it is in training mode", "export the model in inference mode (`model.eval()`)"));
        }
        let channels = self.importer.graph.node(input).shape.channels;
        let gamma = self.per_channel(1, channels)?;
        let beta = self.per_channel(2, channels)?;
        let mean = self.per_channel(3, channels)?;
        let variance = self.per_channel(4, channels)?;
        let epsilon = f64::from(self.node.float("epsilon", 1e-5));
        let mut scale = Vec::with_capacity(channels);
        let mut shift = Vec::with_capacity(channels);
        for (((g, b), m), v) in gamma.iter().zip(&beta).zip(&mean).zip(&variance) {
            let s = f64::from(*g) / (f64::from(*v) + epsilon).sqrt();
            if !s.is_finite() {
                return Err(self.node.invalid(format!("variance {v} with epsilon {epsilon}")));
            }
            scale.push(s as f32);
            shift.push((f64::from(*b) - f64::from(*m) * s) as f32);
        }
        self.push(FloatOp::ChannelAffine { scale, shift }, vec![input], flat)
    }

    /// A dense layer from weights `[inputs, outputs]`, or `[outputs, inputs]` if `transposed`.
    fn dense(self, transposed: bool, alpha: f32, bias: Option<Vec<f32>>) -> Result<Value, ImportError> {
        let (input, flat) = self.activation(0)?;
        let features = self.importer.graph.node(input).shape.channels;
        if !flat {
            return Err(self.node.unsupported("its first input is not a flat vector [N, features]", "put a Flatten before it"));
        }
        let (dims, data) = self.required(1)?;
        let &[rows, columns] = dims.as_slice() else {
            return Err(self.node.unsupported(format!("its second input is {dims:?}, not a matrix"), REPLACE));
        };
        let (inputs, outputs) = if transposed { (columns, rows) } else { (rows, columns) };
        if inputs != features || outputs == 0 {
            return Err(self.node.invalid(format!("a matrix {dims:?} does not fit {features} features")));
        }
        let mut weights = Vec::with_capacity(data.len());
        for j in 0..outputs {
            weights.extend((0..inputs).map(|i| alpha * if transposed { data[j * inputs + i] } else { data[i * outputs + j] }));
        }
        let bias = match bias {
            None => vec![0.0; outputs],
            Some(b) if b.len() == 1 => vec![b[0]; outputs],
            Some(b) if b.len() == outputs => b,
            Some(b) => return Err(self.node.invalid(format!("{} addends for {outputs} outputs", b.len()))),
        };
        let geometry = ConvGeometry::dense(inputs, outputs);
        self.push(FloatOp::Linear { terms: vec![FloatTerm { geometry, weights }], bias }, vec![input], true)
    }

    pub(super) fn gemm(self) -> Result<Value, ImportError> {
        if self.node.int("transA", 0) != 0 {
            return Err(self.node.unsupported("it transposes the batch axis (transA = 1)", "export the layer with transA = 0"));
        }
        let beta = self.node.float("beta", 1.0);
        let bias = self.reals(2)?.map(|(_, data)| data.iter().map(|x| x * beta).collect());
        let (transposed, alpha) = (self.node.int("transB", 0) != 0, self.node.float("alpha", 1.0));
        self.dense(transposed, alpha, bias)
    }

    pub(super) fn mat_mul(self) -> Result<Value, ImportError> {
        self.dense(false, 1.0, None)
    }

    /// Add, Sub, Mul and Div: of two values, or of a value and one constant for each channel.
    pub(super) fn arithmetic(self) -> Result<Value, ImportError> {
        match (self.value(0)?, self.value(1)?) {
            (Value::Activation { node: a, flat }, Value::Activation { node: b, flat: other }) => {
                if flat != other {
                    return Err(self.node.invalid("its inputs have different ranks"));
                }
                match self.node.operator() {
                    "Add" => self.push(FloatOp::Add, vec![a, b], flat),
                    "Sub" => {
                        let channels = self.importer.graph.node(b).shape.channels;
                        let negated = FloatOp::ChannelAffine { scale: vec![-1.0; channels], shift: vec![0.0; channels] };
                        let name = format!("{} (negated)", self.node.name());
                        let b = self.importer.graph.push(&name, negated, vec![b])?;
                        self.push(FloatOp::Add, vec![a, b], flat)
                    }
                    _ => Err(self.node.unsupported("both of its inputs depend on the image", "multiply or divide by constants")),
                }
            }
            (Value::Activation { node, flat }, Value::Constant(c)) => self.affine(node, flat, c, false),
            (Value::Constant(c), Value::Activation { node, flat }) => self.affine(node, flat, c, true),
            (Value::Constant(_), Value::Constant(_)) => Err(self.node.unsupported("both inputs are constants", SIMPLIFY)),
            (Value::Unreadable(reason), _) | (_, Value::Unreadable(reason)) => {
                Err(self.node.invalid(format!("one of its inputs cannot be read: {reason}")))
            }
            (Value::Tail { .. }, _) | (_, Value::Tail { .. }) => {
                Err(self.node.unsupported("it reads the result of a softmax or an argmax", TAIL_ONLY))
            }
        }
    }

    /// Arithmetic with one number, or one for each channel; `turned` if the constant is the first
    /// operand.
    fn affine(self, node: NodeId, flat: bool, constant: Constant, turned: bool) -> Result<Value, ImportError> {
        let channels = self.importer.graph.node(node).shape.channels;
        let Constant { dims, data: Numbers::Real(data) } = constant else {
            return Err(self.node.invalid("its constant should hold real numbers"));
        };
        // The channel axis counts from the right: [.., C, 1, 1] for images, [.., C] for vectors.
        let position = if flat { 1 } else { 3 };
        let spread = dims.iter().rev().enumerate().any(|(i, &n)| n != 1 && i + 1 != position);
        let numbers = match data.as_slice() {
            &[x] => vec![x; channels],
            _ if !spread && data.len() == channels => data,
            _ => {
                let advice = "use one number, or one for each channel";
                return Err(self.node.unsupported(format!("its constant of shape {dims:?} is not one number per channel"), advice));
            }
        };
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
        self.push(FloatOp::ChannelAffine { scale, shift }, vec![node], flat)
    }

    /// The sum of any number of values.
    pub(super) fn sum(self) -> Result<Value, ImportError> {
        let parts = (0..self.node.inputs().len()).map(|i| self.activation(i)).collect::<Result<Vec<_>, _>>()?;
        let Some((&(first, flat), rest)) = parts.split_first() else { return Err(self.node.invalid("it has no inputs")) };
        if rest.iter().any(|&(_, other)| other != flat) {
            return Err(self.node.invalid("its inputs have different ranks"));
        }
        let name = self.node.name();
        let mut sum = first;
        for &(part, _) in rest {
            sum = self.importer.graph.push(&name, FloatOp::Add, vec![sum, part])?;
        }
        Ok(Value::Activation { node: sum, flat })
    }
}
