//! Networks as lists of layers: an ONNX file with seeded random weights, and what a file holds.

use anyhow::{Context, Result, ensure};
use fusion_model::graph::{FloatOp, Graph, Node};
use fusion_model::onnx;
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use serde::Serialize;

use crate::onnx_file::{Builder, Conv};

/// A layer of a network that is made here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Layer {
    /// Square convolution of stride 1, then ReLU.
    Conv { kernel: usize, pad: usize, outputs: usize },
    /// Averages over windows of 2 x 2.
    AveragePool,
    /// A dense layer; ReLU unless it is the last.
    Dense(usize),
}

/// Weights and biases of He's variance: activations neither vanish nor explode.
struct Weights(ChaCha8Rng);

impl Weights {
    fn kernel(&mut self, count: usize, inputs: usize) -> Vec<f32> {
        let bound = (6.0 / inputs as f32).sqrt();
        (0..count).map(|_| self.0.random_range(-bound..bound)).collect()
    }

    fn bias(&mut self, count: usize) -> Vec<f32> {
        (0..count).map(|_| self.0.random_range(-0.05..0.05)).collect()
    }
}

/// The ONNX file of a network for images of this shape; the same seed gives the same file on every
/// machine.
///
/// # Errors
/// A convolution behind a dense layer, an image that it does not fit.
pub(crate) fn onnx_of(name: &str, image: [usize; 3], layers: &[Layer], seed: u64) -> Result<Vec<u8>> {
    let (mut onnx, mut weights) = (Builder::new(name), Weights(ChaCha8Rng::seed_from_u64(seed)));
    let ([mut channels, mut side, _], mut flat) = (image, None::<usize>);
    let mut x = "image".to_owned();
    for (index, layer) in layers.iter().enumerate() {
        let last = index + 1 == layers.len();
        match *layer {
            Layer::Conv { kernel, pad, outputs } => {
                ensure!(flat.is_none() && side + 2 * pad >= kernel, "layer {index} of {name} does not fit");
                let taps = channels * kernel * kernel;
                let conv = Conv { kernel, stride: 1, pad, inputs: channels, outputs };
                x = onnx.conv(&format!("conv{index}"), &x, conv, &weights.kernel(taps * outputs, taps), &weights.bias(outputs));
                x = onnx.node("Relu", &format!("relu{index}"), &[&x]);
                (channels, side) = (outputs, side + 2 * pad + 1 - kernel);
            }
            Layer::AveragePool => {
                x = onnx.average_pool(&format!("pool{index}"), &x, 2, 2);
                side /= 2;
            }
            Layer::Dense(outputs) => {
                let inputs = flat.unwrap_or(channels * side * side);
                if flat.is_none() {
                    x = onnx.node("Flatten", "flatten", &[&x]);
                }
                let (kernel, bias) = (weights.kernel(inputs * outputs, inputs), weights.bias(outputs));
                x = onnx.dense(&format!("dense{index}"), &x, (outputs, inputs), &kernel, &bias);
                if !last {
                    x = onnx.node("Relu", &format!("relu{index}"), &[&x]);
                }
                flat = Some(outputs);
            }
        }
    }
    Ok(onnx.finish(("image", image), (&x, flat.context("the last layer is dense")?)))
}

/// What a network consists of, as its file has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Contents {
    /// Convolutions, dense layers and pooling in order, each in words.
    pub(crate) layers: Vec<String>,
    pub(crate) convolutions: usize,
    pub(crate) dense: usize,
    pub(crate) average_pools: usize,
    pub(crate) maximum_pools: usize,
    /// ReLUs of one sample, before anything is simplified.
    pub(crate) relus: usize,
    /// Multiplications of one sample.
    pub(crate) multiplications: u64,
}

impl Contents {
    /// Counts what an ONNX file holds.
    ///
    /// # Errors
    /// A file that cannot be imported.
    pub(crate) fn of(file: &[u8]) -> Result<Self> {
        let graph = onnx::import_raw(file, &onnx::ImportOptions::default())?;
        let count = |of: fn(&FloatOp) -> bool| graph.nodes.iter().filter(|node| of(&node.op)).count();
        let flat = |node: &Node| graph.node(node.inputs[0]).shape.height * graph.node(node.inputs[0]).shape.width == 1;
        let linear: Vec<&Node> = graph.nodes.iter().filter(|node| node.op.as_linear().is_some()).collect();
        let dense = linear.iter().filter(|node| is_dense(node) && flat(node)).count();
        Ok(Self {
            layers: graph.nodes.iter().filter_map(|node| described(&graph, node)).collect(),
            convolutions: linear.len() - dense,
            dense,
            average_pools: count(|op| matches!(op, FloatOp::AveragePool(_))),
            maximum_pools: count(|op| matches!(op, FloatOp::MaxPool(_))),
            relus: graph.nodes.iter().filter(|node| node.op == FloatOp::Relu).map(|node| node.shape.len()).sum(),
            multiplications: graph.multiplications(),
        })
    }
}

/// A dense layer is a 1x1 convolution of a flat vector.
fn is_dense(node: &Node) -> bool {
    node.shape.height * node.shape.width == 1 && node.op.as_linear().is_some_and(|(terms, _)| terms[0].geometry.kernel == (1, 1))
}

/// The layer in words, if it is one.
fn described(graph: &Graph, node: &Node) -> Option<String> {
    let input = graph.node(*node.inputs.first()?).shape;
    match &node.op {
        FloatOp::Linear { .. } if is_dense(node) && input.height * input.width == 1 => {
            Some(format!("dense {} -> {}", input.channels, node.shape.channels))
        }
        FloatOp::Linear { terms, .. } => {
            let (rows, columns) = terms.first()?.geometry.kernel;
            Some(format!("conv {rows}x{columns} -> {}x{}x{}", node.shape.channels, node.shape.height, node.shape.width))
        }
        FloatOp::AveragePool(pool) => Some(format!("average pool {}x{}", pool.kernel.0, pool.kernel.1)),
        FloatOp::MaxPool(pool) => Some(format!("maximum pool {}x{}", pool.kernel.0, pool.kernel.1)),
        FloatOp::Input
        | FloatOp::ChannelAffine { .. }
        | FloatOp::Relu
        | FloatOp::Clip { .. }
        | FloatOp::Curve(_)
        | FloatOp::Multiply
        | FloatOp::SumPool(_)
        | FloatOp::Pad(_)
        | FloatOp::PadLowest(_)
        | FloatOp::Select(_)
        | FloatOp::Add
        | FloatOp::Concat
        | FloatOp::Flatten => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_seeded_and_computed_as_they_are_listed() {
        let layers = [Layer::Conv { kernel: 3, pad: 1, outputs: 4 }, Layer::AveragePool, Layer::Dense(6), Layer::Dense(3)];
        let file = onnx_of("small", [2, 8, 8], &layers, 5).unwrap();
        assert_eq!(file, onnx_of("small", [2, 8, 8], &layers, 5).unwrap());
        assert_ne!(file, onnx_of("small", [2, 8, 8], &layers, 6).unwrap());
        let contents = Contents::of(&file).unwrap();
        assert_eq!(contents.layers, ["conv 3x3 -> 4x8x8", "average pool 2x2", "dense 64 -> 6", "dense 6 -> 3"]);
        assert_eq!((contents.convolutions, contents.dense, contents.average_pools), (1, 2, 1));
        assert_eq!(contents.relus, 4 * 8 * 8 + 6);
        let logits = fusion_model::float::evaluate(&onnx::import(&file).unwrap(), &vec![0.5; 128]).unwrap();
        assert!(logits.len() == 3 && logits.iter().any(|l| l.abs() > 1e-3), "{logits:?}");
        assert!(onnx_of("wrong", [1, 4, 4], &[Layer::Dense(3), layers[0]], 5).is_err());
        assert!(onnx_of("open", [1, 4, 4], &layers[..1], 5).is_err(), "no dense layer at the end");
    }
}
