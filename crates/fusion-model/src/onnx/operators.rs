//! One function per ONNX operator.

use fusion_rlwe::{ConvGeometry, Padding};

use super::attributes::OnnxNode;
use super::constant::{Constant, Numbers};
use super::window::SlidingWindow;
use super::{ImportError, Importer, Value, proto};
use crate::graph::{FloatOp, FloatTerm, NodeId};
use crate::program::PoolGeometry;

const SIMPLIFY: &str =
    "simplify the model with onnx-simplifier (`onnxsim`), which folds constant shape arithmetic, or export it without this node";
const CHANNELS_FIRST: &str = "export the model with channels first ([N, C, H, W]) and without layout changes";
const REPLACE: &str = "replace it in the model by supported operators (Conv, BatchNormalization, Relu, MaxPool, AveragePool, GlobalAveragePool, \
                       Gemm, MatMul, Add, Concat, Flatten, Reshape, Pad) and retrain or fine-tune";
const TAIL_ONLY: &str = "it may only follow the logits, as the last node";

pub(super) fn import_node(importer: &mut Importer, node: &proto::NodeProto) -> Result<Value, ImportError> {
    let view = OnnxNode::new(node);
    if !(node.domain().is_empty() || node.domain() == "ai.onnx") {
        return Err(view.unsupported(format!("it belongs to the operator set `{}`", node.domain()), REPLACE));
    }
    let op = Operator { importer, node: view };
    match node.op_type() {
        "Conv" => op.conv(),
        "BatchNormalization" => op.batch_normalization(),
        "Relu" => op.unary(FloatOp::Relu),
        "MaxPool" => op.max_pool(),
        "AveragePool" => op.average_pool(),
        "GlobalAveragePool" => op.global_average_pool(),
        "Gemm" => op.gemm(),
        "MatMul" => op.mat_mul(),
        "Add" => op.add(),
        "Concat" => op.concat(),
        "Flatten" => op.flatten(),
        "Reshape" => op.reshape(),
        "Pad" => op.pad(),
        "Identity" | "Dropout" => op.value(0),
        "Constant" => op.constant(),
        "Softmax" | "LogSoftmax" | "ArgMax" => op.tail(),
        "Transpose" => Err(view.unsupported("it changes the layout of the data", CHANNELS_FIRST)),
        "Shape" | "Gather" | "Slice" | "Unsqueeze" | "Squeeze" | "Cast" | "Range" | "ConstantOfShape" | "Expand" => {
            Err(view.unsupported("it computes shapes or moves data in a way that is not imported", SIMPLIFY))
        }
        "Sigmoid" | "Tanh" | "Gelu" | "Elu" | "Selu" | "LeakyRelu" | "PRelu" | "Clip" | "HardSwish" | "HardSigmoid" | "Softplus"
        | "Erf" => {
            Err(view.unsupported("of the activation functions only Relu has a protocol", "replace it by Relu and fine-tune the model"))
        }
        _ => Err(view.unsupported("there is no protocol for this operator", REPLACE)),
    }
}

/// Dimensions and elements of a real constant.
type Reals = (Vec<usize>, Vec<f32>);

struct Operator<'a> {
    importer: &'a mut Importer,
    node: OnnxNode<'a>,
}

impl Operator<'_> {
    fn value(&self, index: usize) -> Result<Value, ImportError> {
        let name = self.node.input(index).ok_or_else(|| self.node.invalid(format!("input {index} is missing")))?;
        let value = self.importer.values.get(name);
        value.cloned().ok_or_else(|| self.node.invalid(format!("its input `{name}` is not computed before it")))
    }

    fn activation(&self, index: usize) -> Result<(NodeId, bool), ImportError> {
        match self.value(index)? {
            Value::Activation { node, flat } => Ok((node, flat)),
            Value::Constant(_) => Err(self.node.unsupported(format!("its input {index} is a constant"), SIMPLIFY)),
            Value::Tail { .. } => Err(self.node.unsupported("it reads the result of a softmax or an argmax", TAIL_ONLY)),
        }
    }

    /// An activation of rank 4.
    fn image(&self, index: usize) -> Result<NodeId, ImportError> {
        match self.activation(index)? {
            (node, false) => Ok(node),
            (_, true) => Err(self.node.invalid(format!("input {index} should be an image [N, C, H, W] but is flat"))),
        }
    }

    fn given_constant(&self, index: usize) -> Result<Option<Constant>, ImportError> {
        match self.node.input(index) {
            None => Ok(None),
            Some(_) => match self.value(index)? {
                Value::Constant(c) => Ok(Some(c)),
                Value::Activation { .. } | Value::Tail { .. } => Err(self
                    .node
                    .unsupported(format!("its input {index} depends on the image, only constants are supported there"), REPLACE)),
            },
        }
    }

    fn reals(&self, index: usize) -> Result<Option<Reals>, ImportError> {
        match self.given_constant(index)? {
            None => Ok(None),
            Some(Constant { dims, data: Numbers::Real(data) }) => Ok(Some((dims, data))),
            Some(_) => Err(self.node.invalid(format!("input {index} should hold real numbers"))),
        }
    }

    fn integers(&self, index: usize) -> Result<Option<Vec<i64>>, ImportError> {
        match self.given_constant(index)? {
            None => Ok(None),
            Some(Constant { data: Numbers::Integer(data), .. }) => Ok(Some(data)),
            Some(_) => Err(self.node.invalid(format!("input {index} should hold integers"))),
        }
    }

    fn required(&self, index: usize) -> Result<Reals, ImportError> {
        self.reals(index)?.ok_or_else(|| self.node.invalid(format!("input {index} is missing")))
    }

    /// A constant with one number per channel.
    fn per_channel(&self, index: usize, channels: usize) -> Result<Vec<f32>, ImportError> {
        let (dims, data) = self.required(index)?;
        if data.len() == channels { Ok(data) } else { Err(self.node.invalid(format!("input {index} is {dims:?} for {channels} channels"))) }
    }

    fn push(self, op: FloatOp, inputs: Vec<NodeId>, flat: bool) -> Result<Value, ImportError> {
        let node = self.importer.graph.push(&self.node.name(), op, inputs)?;
        Ok(Value::Activation { node, flat })
    }

    fn unary(self, op: FloatOp) -> Result<Value, ImportError> {
        let (input, flat) = self.activation(0)?;
        self.push(op, vec![input], flat)
    }

    fn conv(self) -> Result<Value, ImportError> {
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

    fn batch_normalization(self) -> Result<Value, ImportError> {
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

    fn pool(&self) -> Result<(NodeId, PoolGeometry, bool), ImportError> {
        let input = self.image(0)?;
        let window = SlidingWindow::read(self.node, self.importer.graph.node(input).shape, None)?;
        if window.dilation != (1, 1) {
            return Err(self.node.unsupported("its window is dilated", "use a pooling without dilation"));
        }
        let pool = PoolGeometry { kernel: window.kernel, stride: window.stride, padding: window.padding };
        Ok((input, pool, window.ceil_extra))
    }

    fn max_pool(self) -> Result<Value, ImportError> {
        let (input, pool, _) = self.pool()?;
        self.push(FloatOp::MaxPool(pool), vec![input], false)
    }

    fn average_pool(self) -> Result<Value, ImportError> {
        let (input, pool, ceil_extra) = self.pool()?;
        if ceil_extra {
            return Err(self.node.unsupported(
                "in ceil mode its last windows average fewer elements than the others",
                "use ceil_mode = 0, or an input size that the stride divides",
            ));
        }
        if self.node.int("count_include_pad", 0) == 0 && pool.padding != Padding::default() {
            return Err(self.node.unsupported(
                "its windows at the border average fewer elements than the others (pads with count_include_pad = 0)",
                "set count_include_pad = 1 or remove the pads",
            ));
        }
        self.push(FloatOp::AveragePool(pool), vec![input], false)
    }

    fn global_average_pool(self) -> Result<Value, ImportError> {
        let input = self.image(0)?;
        let shape = self.importer.graph.node(input).shape;
        let pool = PoolGeometry { kernel: (shape.height, shape.width), stride: (1, 1), padding: Padding::default() };
        self.push(FloatOp::AveragePool(pool), vec![input], false)
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

    fn gemm(self) -> Result<Value, ImportError> {
        if self.node.int("transA", 0) != 0 {
            return Err(self.node.unsupported("it transposes the batch axis (transA = 1)", "export the layer with transA = 0"));
        }
        let beta = self.node.float("beta", 1.0);
        let bias = self.reals(2)?.map(|(_, data)| data.iter().map(|x| x * beta).collect());
        let (transposed, alpha) = (self.node.int("transB", 0) != 0, self.node.float("alpha", 1.0));
        self.dense(transposed, alpha, bias)
    }

    fn mat_mul(self) -> Result<Value, ImportError> {
        self.dense(false, 1.0, None)
    }

    fn add(self) -> Result<Value, ImportError> {
        match (self.value(0)?, self.value(1)?) {
            (Value::Activation { node: a, flat }, Value::Activation { node: b, flat: other }) => {
                if flat != other {
                    return Err(self.node.invalid("its inputs have different ranks"));
                }
                self.push(FloatOp::Add, vec![a, b], flat)
            }
            (Value::Activation { node, flat }, Value::Constant(c)) | (Value::Constant(c), Value::Activation { node, flat }) => {
                let channels = self.importer.graph.node(node).shape.channels;
                let Numbers::Real(data) = c.data else { return Err(self.node.invalid("its constant should hold real numbers")) };
                // The channel axis counts from the right: [.., C, 1, 1] for images, [.., C] for vectors.
                let position = if flat { 1 } else { 3 };
                let spread = c.dims.iter().rev().enumerate().any(|(i, &n)| n != 1 && i + 1 != position);
                let shift = match data.as_slice() {
                    &[x] => vec![x; channels],
                    _ if !spread && data.len() == channels => data,
                    _ => {
                        return Err(self.node.unsupported(
                            format!("its constant of shape {:?} is not one number per channel", c.dims),
                            "add one number per channel, or none",
                        ));
                    }
                };
                self.push(FloatOp::ChannelAffine { scale: vec![1.0; channels], shift }, vec![node], flat)
            }
            (Value::Constant(_), Value::Constant(_)) => Err(self.node.unsupported("both inputs are constants", SIMPLIFY)),
            (Value::Tail { .. }, _) | (_, Value::Tail { .. }) => {
                Err(self.node.unsupported("it reads the result of a softmax or an argmax", TAIL_ONLY))
            }
        }
    }

    fn concat(self) -> Result<Value, ImportError> {
        let parts = (0..self.node.inputs().len()).map(|i| self.activation(i)).collect::<Result<Vec<_>, _>>()?;
        let Some(&(_, flat)) = parts.first() else { return Err(self.node.invalid("it has no inputs")) };
        let axis = self.node.int("axis", 1);
        let rank = if flat { 2 } else { 4 };
        if axis != 1 && axis + rank != 1 || parts.iter().any(|p| p.1 != flat) {
            return Err(self.node.unsupported(format!("it joins along axis {axis}"), "join along the channels (axis 1)"));
        }
        self.push(FloatOp::Concat, parts.into_iter().map(|p| p.0).collect(), flat)
    }

    fn flatten(self) -> Result<Value, ImportError> {
        let (input, flat) = self.activation(0)?;
        let (axis, rank) = (self.node.int("axis", 1), if flat { 2 } else { 4 });
        if axis != 1 && axis + rank != 1 {
            return Err(self
                .node
                .unsupported(format!("it flattens from axis {axis}"), "flatten from axis 1, which keeps the samples apart"));
        }
        if flat { self.value(0) } else { self.push(FloatOp::Flatten, vec![input], true) }
    }

    fn reshape(self) -> Result<Value, ImportError> {
        let (input, flat) = self.activation(0)?;
        let shape = self.importer.graph.node(input).shape;
        let target = match (self.integers(1)?, self.node.attribute("shape")) {
            (Some(target), _) => target,
            (None, Some(attribute)) => attribute.ints.clone(),
            (None, None) => return Err(self.node.invalid("it has no target shape")),
        };
        let source: &[usize] = if flat { &[shape.channels] } else { &[shape.channels, shape.height, shape.width] };
        let Some(resolved) = resolve_shape(&target, source, self.node.int("allowzero", 0) != 0) else {
            let reason = format!("it turns {source:?} per sample into {target:?}");
            return Err(self.node.unsupported(reason, "only a reshape of a sample to one vector is supported: [N, -1]"));
        };
        match resolved.as_slice() {
            same if same == source => self.value(0),
            [_] => self.push(FloatOp::Flatten, vec![input], true),
            &[_, 1, 1] if flat => Ok(Value::Activation { node: input, flat: false }),
            _ => {
                let reason = format!("it turns {source:?} per sample into {resolved:?}");
                Err(self.node.unsupported(reason, "only a reshape of a sample to one vector is supported: [N, -1]"))
            }
        }
    }

    fn pad(self) -> Result<Value, ImportError> {
        let input = self.image(0)?;
        let mode = self.node.string("mode", "constant")?;
        let value = match self.reals(2)? {
            Some((_, v)) => v.first().copied().unwrap_or(0.0),
            None => self.node.float("value", 0.0),
        };
        if mode != "constant" || value != 0.0 {
            return Err(self.node.unsupported(format!("it pads with {mode} {value}"), "pad with zeros"));
        }
        let pads = match self.integers(1)? {
            Some(pads) => pads,
            None => self.node.attribute("pads").map(|a| a.ints.clone()).unwrap_or_default(),
        };
        let axes = self.integers(3)?.unwrap_or_else(|| vec![0, 1, 2, 3]);
        if pads.len() != 2 * axes.len() {
            return Err(self.node.invalid(format!("{} pads for {} axes", pads.len(), axes.len())));
        }
        let mut around = [(0, 0); 4];
        for (i, &axis) in axes.iter().enumerate() {
            let axis = usize::try_from(if axis < 0 { axis + 4 } else { axis }).ok().filter(|&a| a < 4);
            let axis = axis.ok_or_else(|| self.node.invalid(format!("axes {axes:?}")))?;
            around[axis] = (pads[i], pads[i + axes.len()]);
        }
        let size = |n: i64| {
            let n = usize::try_from(n).ok().filter(|&n| n <= 4096);
            n.ok_or_else(|| self.node.unsupported(format!("pads {pads:?}"), "pad by 0 to 4096 rows and columns; cropping is not supported"))
        };
        if around[0] != (0, 0) || around[1] != (0, 0) {
            return Err(self.node.unsupported(format!("it pads samples or channels ({pads:?})"), "pad rows and columns only"));
        }
        let padding = Padding { top: size(around[2].0)?, bottom: size(around[2].1)?, left: size(around[3].0)?, right: size(around[3].1)? };
        self.push(FloatOp::Pad(padding), vec![input], false)
    }

    fn constant(self) -> Result<Value, ImportError> {
        if let Some(tensor) = self.node.attribute("value").and_then(|a| a.t.as_ref()) {
            return Ok(Value::Constant(Constant::read(tensor).map_err(|reason| self.node.invalid(reason))?));
        }
        let constant = if let Some(a) = self.node.attribute("value_float") {
            Constant::real(Vec::new(), vec![a.f()])
        } else if let Some(a) = self.node.attribute("value_floats") {
            Constant::real(vec![a.floats.len()], a.floats.clone())
        } else if let Some(a) = self.node.attribute("value_int") {
            Constant::integers(vec![a.i()])
        } else if let Some(a) = self.node.attribute("value_ints") {
            Constant::integers(a.ints.clone())
        } else {
            return Err(self.node.unsupported("it holds no dense numbers", SIMPLIFY));
        };
        Ok(Value::Constant(constant))
    }

    fn tail(self) -> Result<Value, ImportError> {
        let (node, rank) = match self.value(0)? {
            Value::Activation { node, flat } => (node, if flat { 2 } else { 4 }),
            // ArgMax of Softmax.
            Value::Tail { node } => (node, 2),
            Value::Constant(_) => return Err(self.node.unsupported("its input is a constant", SIMPLIFY)),
        };
        let default = match self.node.operator() {
            "ArgMax" => 0,
            _ if self.importer.opset >= 13 => -1,
            _ => 1,
        };
        let axis = self.node.int("axis", default);
        if axis != 1 && axis + rank != 1 {
            return Err(self.node.unsupported(format!("it works along axis {axis}"), "the classes should be axis 1"));
        }
        if self.node.int("select_last_index", 0) != 0 {
            return Err(self.node.unsupported("it resolves ties to the last index", "use select_last_index = 0"));
        }
        Ok(Value::Tail { node })
    }
}

/// The shape per sample that a target shape with a batch axis stands for: 0 copies, -1 is inferred, the batch axis may be 0, -1 or any number.
fn resolve_shape(target: &[i64], source: &[usize], zero_is_zero: bool) -> Option<Vec<usize>> {
    let (&batch, rest) = target.split_first()?;
    let total: usize = source.iter().product();
    let mut resolved = Vec::with_capacity(rest.len().min(8));
    let mut known = 1usize;
    let mut inferred = None;
    for (i, &n) in rest.iter().enumerate() {
        let size = match n {
            -1 if inferred.is_none() && batch != -1 => {
                inferred = Some(i);
                1
            }
            0 if !zero_is_zero => *source.get(i)?,
            n => usize::try_from(n).ok().filter(|&n| n > 0)?,
        };
        known = known.checked_mul(size)?;
        resolved.push(size);
    }
    match inferred {
        Some(i) if total.is_multiple_of(known) => resolved[i] = total / known,
        None if known == total => {}
        Some(_) | None => return None,
    }
    Some(resolved)
}

#[cfg(test)]
mod tests {
    use super::resolve_shape;

    #[test]
    fn reshape_targets() {
        assert_eq!(resolve_shape(&[0, -1], &[8, 2, 2], false), Some(vec![32]));
        assert_eq!(resolve_shape(&[-1, 32], &[8, 2, 2], false), Some(vec![32]));
        assert_eq!(resolve_shape(&[1, 0, -1], &[8, 2, 2], false), Some(vec![8, 4]));
        assert_eq!(resolve_shape(&[-1, -1], &[8, 2, 2], false), None);
        assert_eq!(resolve_shape(&[1, 31], &[8, 2, 2], false), None);
        assert_eq!(resolve_shape(&[1, 5, -1], &[8, 2, 2], false), None);
        assert_eq!(resolve_shape(&[1, 0, -1], &[8, 2, 2], true), None);
        assert_eq!(resolve_shape(&[], &[8], false), None);
    }
}
