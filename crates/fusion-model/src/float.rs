//! Float evaluation of a [`Graph`]: the reference for labels and the source of calibration ranges.

use fusion_rlwe::{Padding, Shape};

use crate::conv;
use crate::graph::{FloatOp, Graph, Node, NodeId};
use crate::program::ImageError;

/// Evaluates the graph on one image (`[channel][row][column]`) and returns the logits.
///
/// # Errors
/// The image has the wrong length.
pub fn evaluate(graph: &Graph, image: &[f32]) -> Result<Vec<f32>, ImageError> {
    visit(graph, image, |_, _, _| ())
}

/// Like [`evaluate`], and shows every node's value as soon as it is computed. A value is freed
/// after its last reader, so that memory stays at a few activation tensors.
///
/// # Errors
/// The image has the wrong length.
pub(crate) fn visit(graph: &Graph, image: &[f32], mut see: impl FnMut(NodeId, &Node, &[f32])) -> Result<Vec<f32>, ImageError> {
    if image.len() != graph.input_shape().len() {
        return Err(ImageError { expected: graph.input_shape(), actual: image.len() });
    }
    let mut readers: Vec<usize> = graph.consumers().iter().map(Vec::len).collect();
    readers[graph.output.0] += 1;
    let mut values: Vec<Vec<f32>> = vec![Vec::new(); graph.nodes.len()];
    for (index, node) in graph.nodes.iter().enumerate() {
        let value = if node.inputs.is_empty() { image.to_vec() } else { self::value(graph, node, &values) };
        see(NodeId(index), node, &value);
        values[index] = value;
        for input in &node.inputs {
            readers[input.0] -= 1;
            if readers[input.0] == 0 {
                values[input.0] = Vec::new();
            }
        }
    }
    Ok(std::mem::take(&mut values[graph.output.0]))
}

/// The values of all nodes on one image.
///
/// # Errors
/// The image has the wrong length.
pub(crate) fn values(graph: &Graph, image: &[f32]) -> Result<Vec<Vec<f32>>, ImageError> {
    let mut values = Vec::with_capacity(graph.nodes.len());
    visit(graph, image, |_, _, value| values.push(value.to_vec()))?;
    Ok(values)
}

/// What `node`, which may differ from the graph's, computes from the values of its inputs.
pub(crate) fn value(graph: &Graph, node: &Node, values: &[Vec<f32>]) -> Vec<f32> {
    let inputs: Vec<&[f32]> = node.inputs.iter().map(|id| values[id.0].as_slice()).collect();
    compute(graph, node, &inputs)
}

/// The logits where the value of node `at` is `value` and all others follow from it; `values` are
/// those of [`values`].
pub(crate) fn logits_with(graph: &Graph, values: &[Vec<f32>], at: NodeId, value: Vec<f32>) -> Vec<f32> {
    let mut changed: Vec<Option<Vec<f32>>> = vec![None; graph.nodes.len()];
    changed[at.0] = Some(value);
    for (index, node) in graph.nodes.iter().enumerate().skip(at.0 + 1) {
        if node.inputs.iter().any(|id| changed[id.0].is_some()) {
            let inputs: Vec<&[f32]> = node.inputs.iter().map(|id| changed[id.0].as_deref().unwrap_or(&values[id.0])).collect();
            changed[index] = Some(compute(graph, node, &inputs));
        }
    }
    changed[graph.output.0].take().unwrap_or_else(|| values[graph.output.0].clone())
}

fn compute(graph: &Graph, node: &Node, inputs: &[&[f32]]) -> Vec<f32> {
    let area = node.shape.area();
    match &node.op {
        FloatOp::Input => Vec::new(),
        FloatOp::Linear { terms, bias } => {
            let mut output: Vec<f32> = bias.iter().flat_map(|&b| std::iter::repeat_n(b, area)).collect();
            for (term, input) in terms.iter().zip(inputs) {
                conv::add_convolution(&term.geometry, &term.weights, input, &mut output);
            }
            output
        }
        FloatOp::ChannelAffine { scale, shift } => {
            let planes = inputs[0].chunks_exact(area);
            planes.zip(scale.iter().zip(shift)).flat_map(|(plane, (&a, &b))| plane.iter().map(move |&x| x * a + b)).collect()
        }
        FloatOp::Relu => inputs[0].iter().map(|&x| x.max(0.0)).collect(),
        FloatOp::Clip { low, high } => inputs[0].iter().map(|&x| x.max(*low).min(*high)).collect(),
        FloatOp::Curve(curve) => inputs[0].iter().map(|&x| curve.value(f64::from(x)) as f32).collect(),
        FloatOp::Multiply => {
            let each = inputs[0].len() / inputs[1].len().max(1);
            inputs[0].chunks(each.max(1)).zip(inputs[1]).flat_map(|(xs, &s)| xs.iter().map(move |&x| x * s)).collect()
        }
        FloatOp::Select(channels) => {
            let plane = |channel: &Option<usize>| channel.map_or(vec![0.0; area], |c| inputs[0][c * area..][..area].to_vec());
            channels.iter().flat_map(plane).collect()
        }
        FloatOp::MaxPool(pool) => conv::pool(pool, graph.node(node.inputs[0]).shape, inputs[0], f32::max),
        FloatOp::AveragePool(pool) => {
            let factor = 1.0 / pool.area() as f32;
            let mut sums = conv::pool(pool, graph.node(node.inputs[0]).shape, inputs[0], |a, b| a + b);
            sums.iter_mut().for_each(|x| *x *= factor);
            sums
        }
        FloatOp::SumPool(pool) => conv::pool(pool, graph.node(node.inputs[0]).shape, inputs[0], |a, b| a + b),
        FloatOp::Pad(padding) => padded(graph.node(node.inputs[0]).shape, node.shape, padding, inputs[0], 0.0),
        FloatOp::PadLowest(padding) => padded(graph.node(node.inputs[0]).shape, node.shape, padding, inputs[0], f32::MIN),
        FloatOp::Add => {
            let mut sum = inputs[0].to_vec();
            for input in &inputs[1..] {
                sum.iter_mut().zip(*input).for_each(|(a, b)| *a += b);
            }
            sum
        }
        FloatOp::Concat => inputs.concat(),
        FloatOp::Flatten => inputs[0].to_vec(),
    }
}

/// An image of shape `from` inside one of shape `to`, with `fill` around it.
fn padded(from: Shape, to: Shape, padding: &Padding, image: &[f32], fill: f32) -> Vec<f32> {
    let mut output = vec![fill; to.len()];
    for (plane, target) in image.chunks_exact(from.area()).zip(output.chunks_exact_mut(to.area())) {
        let rows = target.chunks_exact_mut(to.width).skip(padding.top);
        for (source, row) in plane.chunks_exact(from.width).zip(rows) {
            row[padding.left..padding.left + from.width].copy_from_slice(source);
        }
    }
    output
}

/// The variance over the classes of the errors of logits: what all have in common changes no label.
pub(crate) fn error_variance(logits: &[f32], exact: &[f32]) -> f64 {
    let errors: Vec<f64> = logits.iter().zip(exact).map(|(a, b)| f64::from(a - b)).collect();
    let mean = errors.iter().sum::<f64>() / errors.len().max(1) as f64;
    errors.iter().map(|e| (e - mean).powi(2)).sum::<f64>() / (errors.len().max(2) - 1) as f64
}

/// The variance of an image's logits over the classes.
#[must_use]
pub fn variance(logits: &[f32]) -> f64 {
    error_variance(logits, &vec![0.0; logits.len()])
}

/// Index of the largest logit; ties go to the lower index.
#[must_use]
pub fn argmax(logits: &[f32]) -> usize {
    let mut best = 0;
    for (index, &value) in logits.iter().enumerate() {
        if value > logits[best] {
            best = index;
        }
    }
    best
}
