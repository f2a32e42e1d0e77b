//! Activation functions.

use super::operator::Operator;
use crate::curve::{Curve, Function};
use crate::graph::{FloatOp, NodeId};
use crate::onnx::error::ImportError;
use crate::onnx::importer::Value;

impl Operator<'_, '_> {
    /// A function of every number.
    pub(super) fn function(self, function: Function) -> Result<Value, ImportError> {
        self.unary(FloatOp::Curve(Curve::of(function)))
    }

    pub(super) fn clip(self) -> Result<Value, ImportError> {
        let low = self.scalar(1)?.unwrap_or_else(|| self.node.float("min", f32::NEG_INFINITY));
        let high = self.scalar(2)?.unwrap_or_else(|| self.node.float("max", f32::INFINITY));
        self.clipped(low, high)
    }

    /// The smaller, or the larger, of a value and a number.
    pub(super) fn bounded(self) -> Result<Value, ImportError> {
        let reads_two = self.node.inputs().len() == 2;
        match (self.node.operator(), self.scalar(1)) {
            ("Min", Ok(Some(high))) if reads_two => self.clipped(f32::NEG_INFINITY, high),
            ("Max", Ok(Some(low))) if reads_two => self.clipped(low, f32::INFINITY),
            _ => Err(self.node.unsupported("it compares values with one another", "compare a value with one number, or use Relu")),
        }
    }

    fn clipped(self, low: f32, high: f32) -> Result<Value, ImportError> {
        // Exporters write the largest number of a type where they mean no bound.
        let low = if low <= -1e30 { f32::NEG_INFINITY } else { low };
        let high = if high >= 1e30 { f32::INFINITY } else { high };
        if low.is_nan() || high.is_nan() || low >= high {
            return Err(self.node.invalid(format!("it clips to {low}..{high}")));
        }
        self.unary(FloatOp::Clip { low, high })
    }

    pub(super) fn leaky_relu(self) -> Result<Value, ImportError> {
        let alpha = self.node.float("alpha", 0.01);
        self.function(Function::LeakyRelu { alpha })
    }

    pub(super) fn elu(self) -> Result<Value, ImportError> {
        let (alpha, gamma) = match self.node.operator() {
            "Selu" => (self.node.float("alpha", 1.673_263_2), self.node.float("gamma", 1.050_701)),
            _ => (self.node.float("alpha", 1.0), 1.0),
        };
        self.function(Function::Elu { alpha, gamma })
    }

    /// alpha * x + beta, clipped to 0..1.
    pub(super) fn hard_sigmoid(mut self) -> Result<Value, ImportError> {
        let (alpha, beta) = (self.node.float("alpha", 0.2), self.node.float("beta", 0.5));
        let (node, view) = self.activation(0)?;
        let gate = self.gate(node, alpha, beta)?;
        Ok(Value::Activation { node: gate, view })
    }

    /// x * hard_sigmoid(x) with alpha = 1/6.
    pub(super) fn hard_swish(mut self) -> Result<Value, ImportError> {
        let (node, view) = self.activation(0)?;
        let gate = self.gate(node, 1.0 / 6.0, 0.5)?;
        self.push(FloatOp::Multiply, vec![node, gate], view)
    }

    fn gate(&mut self, node: NodeId, alpha: f32, beta: f32) -> Result<NodeId, ImportError> {
        let channels = self.importer.shape(node).channels;
        let affine = FloatOp::ChannelAffine { scale: vec![alpha; channels], shift: vec![beta; channels] };
        let name = self.node.name();
        let affine = self.importer.graph.push(&name, affine, vec![node])?;
        Ok(self.importer.graph.push(&name, FloatOp::Clip { low: 0.0, high: 1.0 }, vec![affine])?)
    }

    /// x * (1 + erf(x / sqrt 2)) / 2, or with a hyperbolic tangent in its place.
    pub(super) fn gelu(self) -> Result<Value, ImportError> {
        let affine = |inner, scale, shift| Curve::Affine { inner: Box::new(inner), scale, shift };
        let inner = match self.node.string("approximate", "none")? {
            "tanh" => {
                // tanh(sqrt(2 / pi) * (x + 0.044715 x^3))
                let square = Curve::Product(Box::new([Curve::X, Curve::X]));
                let cubic = Curve::Product(Box::new([Curve::X, affine(square, 0.044_715, 1.0)]));
                let root = std::f32::consts::FRAC_2_SQRT_PI * std::f32::consts::FRAC_1_SQRT_2;
                Curve::of(Function::Tanh).after(&affine(cubic, root, 0.0))
            }
            _ => Curve::of(Function::Erf).after(&affine(Curve::X, std::f32::consts::FRAC_1_SQRT_2, 0.0)),
        };
        self.unary(FloatOp::Curve(Curve::Product(Box::new([Curve::X, affine(inner, 0.5, 0.5)]))))
    }

    /// x * tanh(softplus(x)).
    pub(super) fn mish(self) -> Result<Value, ImportError> {
        let inner = Curve::of(Function::Tanh).after(&Curve::of(Function::Softplus));
        self.unary(FloatOp::Curve(Curve::Product(Box::new([Curve::X, inner]))))
    }

    /// relu(x) - slope * relu(-x), with one slope, or one for each channel. Slopes are weights:
    /// they go into a linear layer, not into a public function.
    pub(super) fn p_relu(self) -> Result<Value, ImportError> {
        let (node, view) = self.activation(0)?;
        let (dims, slopes) = self.required(1)?;
        let channels = self.importer.shape(node).channels;
        let Some(places) = view.per_channel(&dims, channels) else {
            let reason = format!("its slopes of shape {dims:?} are not one per channel of {:?}", view.dims());
            return Err(self.node.unsupported(reason, "use one slope, or one for each channel, of shape [C, 1, 1] for an image"));
        };
        let scaled = |scale: Vec<f32>| FloatOp::ChannelAffine { scale, shift: vec![0.0; channels] };
        let (name, graph) = (self.node.name(), &mut self.importer.graph);
        let positive = graph.push(&name, FloatOp::Relu, vec![node])?;
        let turned = graph.push(&name, scaled(vec![-1.0; channels]), vec![node])?;
        let negative = graph.push(&name, FloatOp::Relu, vec![turned])?;
        let negative = graph.push(&name, scaled(places.into_iter().map(|place| -slopes[place]).collect()), vec![negative])?;
        self.push(FloatOp::Add, vec![positive, negative], view)
    }
}
