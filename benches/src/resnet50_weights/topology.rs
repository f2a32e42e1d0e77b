//! ResNet50 v1 as Keras defines it (stride in the first 1x1 convolution of a stage), built around
//! any source of weights.

use anyhow::{Result, ensure};

use crate::onnx_file::{Builder, Conv};

/// Of every BatchNormalization of the published network.
const EPSILON: f32 = 1e-3;

/// Where the numbers come from.
pub(super) trait Weights {
    /// The tensor `layer/part` as Keras stores it: kernels `[rows, columns, inputs, outputs]`,
    /// dense kernels `[inputs, outputs]`.
    ///
    /// # Errors
    /// There is none of this name and shape.
    fn tensor(&mut self, layer: &str, part: &str, shape: &[usize]) -> Result<Vec<f32>>;
}

/// Bytes of the ONNX file: input `[N, 3, 224, 224]`, output the logits `[N, 1000]`.
pub(super) fn resnet50(weights: &mut impl Weights) -> Result<Vec<u8>> {
    let mut net = Net { onnx: Builder::new("resnet50"), weights };
    let stem = net.conv("input", "conv1", "bn_conv1", Conv { kernel: 7, stride: 2, pad: 3, inputs: 3, outputs: 64 })?;
    let stem = net.onnx.node("Relu", "conv1_relu", &[&stem]);
    // Keras pads with zeros and ONNX with minus infinity: the same maximum, since a ReLU precedes.
    let mut x = net.onnx.max_pool("pool1", &stem, 3, 2, 1);
    let mut inputs = 64;
    for (stage, blocks, width, stride) in [(2, 3, 64, 1), (3, 4, 128, 2), (4, 6, 256, 2), (5, 3, 512, 2)] {
        for (block, letter) in ('a'..='z').take(blocks).enumerate() {
            let stride = if block == 0 { stride } else { 1 };
            x = net.block(&format!("{stage}{letter}"), &x, inputs, width, stride, block == 0)?;
            inputs = 4 * width;
        }
    }
    let mean = net.onnx.node("GlobalAveragePool", "avg_pool", &[&x]);
    let flat = net.onnx.node("Flatten", "flatten", &[&mean]);
    net.dense(&flat, "fc1000", inputs, 1000)
}

struct Net<'a, W> {
    onnx: Builder,
    weights: &'a mut W,
}

impl<W: Weights> Net<'_, W> {
    /// Bottleneck block: 1x1, 3x3, 1x1 beside the identity or, where the shape changes, a
    /// projection.
    fn block(&mut self, name: &str, x: &str, inputs: usize, width: usize, stride: usize, project: bool) -> Result<String> {
        let names = |branch: &str| (format!("res{name}_{branch}"), format!("bn{name}_{branch}"));
        let one = |stride, inputs, outputs| Conv { kernel: 1, stride, pad: 0, inputs, outputs };

        let (conv, norm) = names("branch2a");
        let a = self.conv(x, &conv, &norm, one(stride, inputs, width))?;
        let a = self.onnx.node("Relu", &format!("{conv}_relu"), &[&a]);
        let (conv, norm) = names("branch2b");
        let b = self.conv(&a, &conv, &norm, Conv { kernel: 3, stride: 1, pad: 1, inputs: width, outputs: width })?;
        let b = self.onnx.node("Relu", &format!("{conv}_relu"), &[&b]);
        let (conv, norm) = names("branch2c");
        let c = self.conv(&b, &conv, &norm, one(1, width, 4 * width))?;
        let shortcut = if project {
            let (conv, norm) = names("branch1");
            self.conv(x, &conv, &norm, one(stride, inputs, 4 * width))?
        } else {
            x.to_owned()
        };
        let sum = self.onnx.node("Add", &format!("res{name}_add"), &[&c, &shortcut]);
        Ok(self.onnx.node("Relu", &format!("res{name}_relu"), &[&sum]))
    }

    /// Convolution with bias, then batch normalisation.
    fn conv(&mut self, x: &str, name: &str, norm: &str, conv: Conv) -> Result<String> {
        let Conv { kernel, inputs, outputs, .. } = conv;
        let stored = self.weights.tensor(name, "kernel", &[kernel, kernel, inputs, outputs])?;
        let bias = self.weights.tensor(name, "bias", &[outputs])?;
        let weights = outputs_first(&stored, kernel * kernel, inputs, outputs)?;
        let y = self.onnx.conv(name, x, conv, &weights, &bias);
        let mut statistics = Vec::with_capacity(4);
        for part in ["gamma", "beta", "moving_mean", "moving_variance"] {
            statistics.push((part, self.weights.tensor(norm, part, &[outputs])?));
        }
        Ok(self.onnx.batch_normalization(norm, &y, &statistics, EPSILON))
    }

    fn dense(mut self, x: &str, name: &str, inputs: usize, outputs: usize) -> Result<Vec<u8>> {
        let stored = self.weights.tensor(name, "kernel", &[inputs, outputs])?;
        let bias = self.weights.tensor(name, "bias", &[outputs])?;
        let weights = outputs_first(&stored, 1, inputs, outputs)?;
        let logits = self.onnx.dense(name, x, (outputs, inputs), &weights, &bias);
        Ok(self.onnx.finish(("input", [3, 224, 224]), (&logits, outputs)))
    }
}

/// `[position][input][output]` to `[output][input][position]`.
fn outputs_first(stored: &[f32], positions: usize, inputs: usize, outputs: usize) -> Result<Vec<f32>> {
    ensure!(stored.len() == positions * inputs * outputs, "a kernel has {} values", stored.len());
    let mut turned = Vec::with_capacity(stored.len());
    for o in 0..outputs {
        for i in 0..inputs {
            turned.extend((0..positions).map(|p| stored[(p * inputs + i) * outputs + o]));
        }
    }
    Ok(turned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kernels_are_transposed_position_by_position() {
        // value = 100 position + 10 input + output
        let stored: Vec<f32> = (0..4).flat_map(|p| (0..2).flat_map(move |i| (0..3).map(move |o| (100 * p + 10 * i + o) as f32))).collect();
        let turned = outputs_first(&stored, 4, 2, 3).unwrap();
        assert_eq!(&turned[..8], &[0., 100., 200., 300., 10., 110., 210., 310.]);
        assert_eq!(&turned[8..12], &[1., 101., 201., 301.]);
        assert!(outputs_first(&stored, 4, 3, 3).is_err());
    }
}
