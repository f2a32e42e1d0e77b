//! Passes over the float graph: the same function in fewer, cheaper nodes.
//!
//! [`simplify`] leaves only what has a protocol (linear layers, activation functions,
//! products, maxima) and data movement,
//! which is free:
//!
//! | before | after |
//! |---|---|
//! | conv, then batch normalisation or a constant addend | one linear node |
//! | batch normalisation or division, then conv without padding or addend | one linear node |
//! | any other per-channel affine map or padding | a depthwise 1x1 convolution |
//! | `x * sigmoid(x)` and other products of functions of one value | one function |
//! | clip to low..high | clip to 0..high - low between addends, or a ReLU |
//! | channels in another order, then a linear layer | another order of its weights |
//! | zero padding, then conv, average or maximum of values >= 0 | the padding of that node |
//! | ReLU, then maximum | maximum, then ReLU: fewer ReLUs |
//! | sum of convolutions (last of a residual block, shortcut) | one linear node, several inputs |
//! | concatenation, then a linear layer | one linear node that reads the parts, each at its scale |
//! | 1x1 convolution, then an average | average, then the convolution |
//! | average over an area that is no power of two | sum, then a factor for the next linear node |
//!
//! Every pass keeps the function that the graph computes (up to float rounding), which a property
//! test checks.

mod affine;
mod clips;
mod curves;
mod maxima;
mod pads;
mod parts;
mod selections;
mod sums;

use crate::graph::{Graph, ShapeError};

/// Applies all passes.
///
/// # Errors
/// None for a graph built with [`Graph::push`]; the error type is that of the node constructor.
pub fn simplify(graph: &Graph) -> Result<Graph, ShapeError> {
    let graph = curves::merge(graph)?;
    let graph = clips::from_zero(&graph)?;
    let graph = selections::into_weights(&graph)?;
    let graph = affine::fold_backward(&graph)?;
    let graph = pads::fold_into_windows(&graph)?;
    let graph = maxima::pool_before_relu(&graph)?;
    let graph = sums::average_first(&graph)?;
    let graph = affine::divide_after_sum(&graph)?;
    let graph = parts::pools_first(&graph)?;
    let graph = affine::flatten_first(&graph)?;
    let graph = affine::fold_forward(&graph)?;
    let graph = affine::into_depthwise(&graph)?;
    let graph = parts::of_concatenations(&graph)?;
    sums::merge_linears(&graph)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::NodeId;
    use crate::onnx;
    use crate::testing::{Attribute, ModelBuilder};

    fn kinds(graph: &Graph) -> Vec<&'static str> {
        graph.nodes.iter().map(|n| n.op.kind()).collect()
    }

    #[test]
    fn a_residual_block_becomes_two_linear_layers() {
        let (mut b, image) = ModelBuilder::new(1, [3, 8, 8]);
        let conv = |b: &mut ModelBuilder, x: &str, c: usize| {
            let w = b.random(&[4, c, 3, 3], 0.3);
            let y = b.node("Conv", &[x, &w], &[Attribute::Ints("pads", vec![1; 4])]);
            let ones = |b: &mut ModelBuilder| b.random(&[4], 0.1);
            let (s, t, m, v) = (ones(b), ones(b), ones(b), b.constant(&[4], vec![1.0; 4]));
            b.node("BatchNormalization", &[&y, &s, &t, &m, &v], &[])
        };
        let x = conv(&mut b, &image.0, 3);
        let x = b.node("Relu", &[&x], &[]);
        let main = conv(&mut b, &x, 4);
        let shortcut = conv(&mut b, &x, 4);
        let sum = b.node("Add", &[&main, &shortcut], &[]);
        let x = b.node("Relu", &[&sum], &[]);
        let x = b.node("MaxPool", &[&x], &[Attribute::Ints("kernel_shape", vec![2, 2])]);
        let x = b.node("GlobalAveragePool", &[&x], &[]);
        let x = b.node("Flatten", &[&x], &[]);
        let w = b.random(&[4, 5], 0.5);
        let logits = b.node("MatMul", &[&x, &w], &[]);
        let graph = onnx::import(&b.finish(&logits, 5)).unwrap();
        let expected = ["input", "linear", "relu", "linear", "max pool", "relu", "sum pool", "linear"];
        assert_eq!(kinds(&graph), expected);
        assert_eq!(graph.nodes[3].inputs, [NodeId(2), NodeId(2)]);
    }

    #[test]
    fn what_cannot_be_folded_becomes_a_depthwise_convolution() {
        let (mut b, image) = ModelBuilder::new(1, [2, 4, 4]);
        let x = b.node("Relu", &[&image.0], &[]);
        let shift = b.random(&[1, 2, 1, 1], 0.5);
        let y = b.node("Add", &[&x, &shift], &[]);
        let sum = b.node("Add", &[&x, &y], &[]);
        let flat = b.node("Flatten", &[&sum], &[]);
        let graph = onnx::import(&b.finish(&flat, 32)).unwrap();
        assert_eq!(kinds(&graph), ["input", "relu", "linear", "add", "flatten"]);
        let (terms, _) = graph.nodes[2].op.as_linear().unwrap();
        assert_eq!(terms[0].geometry.groups, 2);
    }

    fn ending(end: impl Fn(&mut ModelBuilder, &str) -> String) -> Graph {
        let (mut b, image) = ModelBuilder::new(1, [2, 6, 6]);
        let weights = b.random(&[3, 2, 3, 3], 0.4);
        let x = b.node("Conv", &[&image.0, &weights], &[]);
        let x = b.node("Relu", &[&x], &[]);
        let scores = end(&mut b, &x);
        onnx::import(&b.finish(&scores, 4)).unwrap()
    }

    /// The scores of such a network were sums of noisy numbers.
    #[test]
    fn an_average_goes_before_a_pointwise_convolution() {
        let network = |kernel: usize| {
            ending(|b, x| {
                let weights = b.random(&[4, 3, kernel, kernel], 0.4);
                let y = b.node("Conv", &[x, &weights], &[]);
                let y = b.node("GlobalAveragePool", &[&y], &[]);
                b.node("Flatten", &[&y], &[])
            })
        };
        assert_eq!(kinds(&network(1)), ["input", "linear", "relu", "average pool", "linear"]);
        assert_eq!(kinds(&network(2)), ["input", "linear", "relu", "linear", "sum pool", "linear"]);
    }

    #[test]
    fn linear_layers_read_the_parts_of_a_concatenation() {
        let graph = ending(|b, x| {
            let weights = b.random(&[2, 3, 1, 1], 0.4);
            let y = b.node("Conv", &[x, &weights], &[]);
            let y = b.node("Relu", &[&y], &[]);
            let joined = b.node("Concat", &[x, &y], &[Attribute::Int("axis", 1)]);
            let pooled = b.node("GlobalAveragePool", &[&joined], &[]);
            let flat = b.node("Flatten", &[&pooled], &[]);
            let weights = b.random(&[4, 5], 0.4);
            b.node("Gemm", &[&flat, &weights], &[Attribute::Int("transB", 1)])
        });
        assert_eq!(kinds(&graph), ["input", "linear", "relu", "linear", "relu", "average pool", "average pool", "linear"]);
        assert_eq!(graph.nodes[7].inputs, [NodeId(5), NodeId(6)]);
    }

    #[test]
    fn products_of_functions_of_one_value_are_one_function() {
        let graph = ending(|b, x| {
            let weights = b.random(&[4, 3, 1, 1], 0.4);
            let y = b.node("Conv", &[x, &weights], &[]);
            let gate = b.node("Sigmoid", &[&y], &[]);
            let y = b.node("Mul", &[&gate, &y], &[]);
            let y = b.node("GlobalAveragePool", &[&y], &[]);
            b.node("Flatten", &[&y], &[])
        });
        assert_eq!(kinds(&graph), ["input", "linear", "relu", "linear", "curve", "average pool"]);
        let gated = ending(|b, x| {
            let pooled = b.node("GlobalAveragePool", &[x], &[]);
            let gate = b.node("HardSigmoid", &[&pooled], &[]);
            let y = b.node("Mul", &[x, &gate], &[]);
            b.node("Flatten", &[&y], &[])
        });
        assert!(kinds(&gated).contains(&"multiply") && kinds(&gated).contains(&"clip"), "{:?}", kinds(&gated));
    }
}
