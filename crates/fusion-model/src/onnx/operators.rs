//! One method of [`Operator`] per ONNX operator; here, which one.

mod activation;
mod arithmetic;
mod channels;
mod layout;
mod linear;
mod operator;
mod pool;

use self::operator::{Operator, REPLACE, SIMPLIFY};
use super::attributes::OnnxNode;
use super::error::ImportError;
use super::fold::fold;
use super::importer::{Importer, Value};
use super::proto;
use crate::curve::Function;
use crate::graph::FloatOp;

/// The values of the outputs of a node, in order.
pub(super) fn import_node(importer: &mut Importer<'_>, node: &proto::NodeProto) -> Result<Vec<Value>, ImportError> {
    let view = OnnxNode::new(node);
    if !(node.domain().is_empty() || node.domain() == "ai.onnx") {
        return Err(view.unsupported(format!("it belongs to the operator set `{}`", node.domain()), REPLACE));
    }
    if let Some(constant) = fold(importer, view)? {
        return Ok(vec![Value::Constant(constant)]);
    }
    let op = Operator { importer, node: view };
    let value = match node.op_type() {
        "Split" => return op.split(),
        "Conv" => op.conv(),
        "BatchNormalization" => op.batch_normalization(),
        "MaxPool" => op.max_pool(),
        "AveragePool" => op.average_pool(),
        "GlobalAveragePool" => op.global_average_pool(),
        "ReduceMean" => op.reduce(FloatOp::AveragePool),
        "ReduceSum" => op.reduce(FloatOp::SumPool),
        "Gemm" => op.gemm(),
        "MatMul" => op.mat_mul(),
        "Add" | "Sub" | "Mul" | "Div" => op.arithmetic(),
        "Neg" => op.negate(),
        "Pow" => op.power(),
        "Sum" => op.sum(),
        "Concat" => op.concat(),
        "Gather" => op.gather(),
        "Slice" => op.slice(),
        "Pad" => op.pad(),
        "Squeeze" => op.squeeze(),
        "Unsqueeze" => op.unsqueeze(),
        "Flatten" => op.flatten(),
        "Reshape" => op.reshape(),
        "Transpose" => op.transpose(),
        "Identity" => op.value(0),
        "Dropout" => op.dropout(),
        "Cast" => op.cast(),
        "Constant" => op.constant(),
        "Softmax" | "LogSoftmax" | "ArgMax" => op.tail(),
        _ => activation(op),
    }?;
    Ok(vec![value])
}

/// Functions of every number, and what is refused.
fn activation(op: Operator<'_, '_>) -> Result<Value, ImportError> {
    let node = op.node;
    match node.operator() {
        "Relu" => op.unary(FloatOp::Relu),
        "Clip" => op.clip(),
        "Min" | "Max" => op.bounded(),
        "PRelu" => op.p_relu(),
        "LeakyRelu" => op.leaky_relu(),
        "HardSigmoid" => op.hard_sigmoid(),
        "HardSwish" => op.hard_swish(),
        "Elu" | "Selu" => op.elu(),
        "Gelu" => op.gelu(),
        "Mish" => op.mish(),
        "Sigmoid" => op.function(Function::Sigmoid),
        "Tanh" => op.function(Function::Tanh),
        "Erf" => op.function(Function::Erf),
        "Softplus" => op.function(Function::Softplus),
        "Softsign" => op.function(Function::Softsign),
        "LRN" => Err(node.unsupported(
            "local response normalisation divides by sums of squares",
            "use BatchNormalization, which costs nothing, in its place",
        )),
        "LayerNormalization" | "InstanceNormalization" | "GroupNormalization" | "LpNormalization" => Err(node.unsupported(
            "it divides by a deviation that depends on the image",
            "use BatchNormalization, which costs nothing, in its place",
        )),
        "QuantizeLinear" | "DynamicQuantizeLinear" | "QLinearConv" | "ConvInteger" | "DequantizeLinear" => Err(node.unsupported(
            "it rounds values that depend on the image to a few bits",
            "give the float model: Fusion plans its own fixed point; weights alone may be quantised",
        )),
        "Shape" | "Range" | "ConstantOfShape" | "Expand" | "Tile" | "Size" | "NonZero" | "Where" | "Equal" => {
            Err(node.unsupported("it computes shapes or moves data in a way that is not imported", SIMPLIFY))
        }
        _ => Err(node.unsupported("there is no protocol for this operator", REPLACE)),
    }
}
