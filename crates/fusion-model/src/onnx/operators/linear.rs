//! Convolutions, dense layers and batch normalisation.

use fusion_rlwe::ConvGeometry;

use super::operator::{CHANNELS_FIRST, Operator, REPLACE};
use crate::graph::{FloatOp, FloatTerm};
use crate::onnx::error::ImportError;
use crate::onnx::importer::Value;
use crate::onnx::view::View;
use crate::onnx::window::SlidingWindow;

impl Operator<'_, '_> {
    pub(super) fn conv(mut self) -> Result<Value, ImportError> {
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
        self.push_image(FloatOp::Linear { terms: vec![FloatTerm { geometry, weights }], bias }, vec![input])
    }

    pub(super) fn batch_normalization(mut self) -> Result<Value, ImportError> {
        let (input, view) = self.activation(0)?;
        if view.rank() == 0 || view.channel_order(0, self.importer.shape(input).channels).is_none() {
            return Err(self.node.unsupported("its second axis is not that of the channels", CHANNELS_FIRST));
        }
        let (input, view) = self.with_channels_in_order(input, view, 0)?;
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
        self.push(FloatOp::ChannelAffine { scale, shift }, vec![input], view)
    }

    /// A dense layer from weights `[inputs, outputs]`, or `[outputs, inputs]` if `transposed`.
    fn dense(self, transposed: bool, alpha: f32, bias: Option<Vec<f32>>) -> Result<Value, ImportError> {
        let (input, view) = self.activation(0)?;
        let dims = view.dims();
        let Some((&features, leading)) = dims.split_last().filter(|(_, leading)| leading.iter().all(|&dim| dim == 1)) else {
            let reason = format!("its first input is {dims:?} per image, not a vector");
            return Err(self.node.unsupported(reason, "put a Flatten or a global average pool before it"));
        };
        let before: Vec<usize> = (0..leading.len()).collect();
        let name = self.node.name();
        let input = self.importer.flattened(&name, input, &view)?;
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
        let view = View::flat(outputs).unsqueezed(&before).unwrap_or_else(|| View::flat(outputs));
        self.push(FloatOp::Linear { terms: vec![FloatTerm { geometry, weights }], bias }, vec![input], view)
    }

    pub(super) fn gemm(self) -> Result<Value, ImportError> {
        if self.node.int("transA", 0) != 0 {
            return Err(self.node.unsupported("it transposes the batch axis (transA = 1)", "export the layer with transA = 0"));
        }
        let beta = self.node.float("beta", 1.0);
        let bias = match self.reals(2)? {
            // A column would be an addend for every sample.
            Some((dims, data)) if data.len() > 1 && dims.last() != Some(&data.len()) => {
                return Err(self.node.invalid(format!("its addends have the shape {dims:?}, which differs between samples")));
            }
            given => given.map(|(_, data)| data.iter().map(|x| x * beta).collect()),
        };
        let (transposed, alpha) = (self.node.int("transB", 0) != 0, self.node.float("alpha", 1.0));
        self.dense(transposed, alpha, bias)
    }

    pub(super) fn mat_mul(self) -> Result<Value, ImportError> {
        self.dense(false, 1.0, None)
    }
}
