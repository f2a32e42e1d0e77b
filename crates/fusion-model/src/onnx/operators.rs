//! One method of [`Operator`] per ONNX operator; here, which one.

mod layout;
mod linear;
mod operator;
mod pool;

use self::operator::{CHANNELS_FIRST, Operator, REPLACE, SIMPLIFY};
use super::attributes::OnnxNode;
use super::error::ImportError;
use super::fold::fold;
use super::importer::{Importer, Value};
use super::proto;
use crate::graph::FloatOp;

pub(super) fn import_node(importer: &mut Importer, node: &proto::NodeProto) -> Result<Value, ImportError> {
    let view = OnnxNode::new(node);
    if !(node.domain().is_empty() || node.domain() == "ai.onnx") {
        return Err(view.unsupported(format!("it belongs to the operator set `{}`", node.domain()), REPLACE));
    }
    if let Some(constant) = fold(importer, view)? {
        return Ok(Value::Constant(constant));
    }
    let op = Operator { importer, node: view };
    match node.op_type() {
        "Conv" => op.conv(),
        "BatchNormalization" => op.batch_normalization(),
        "Relu" => op.unary(FloatOp::Relu),
        "MaxPool" => op.max_pool(),
        "AveragePool" => op.average_pool(),
        "GlobalAveragePool" => op.global_average_pool(),
        "ReduceMean" => op.reduce_mean(),
        "Squeeze" => op.squeeze(),
        "Unsqueeze" => op.unsqueeze(),
        "Gemm" => op.gemm(),
        "MatMul" => op.mat_mul(),
        "Add" | "Sub" | "Mul" | "Div" => op.arithmetic(),
        "Sum" => op.sum(),
        "Concat" => op.concat(),
        "Flatten" => op.flatten(),
        "Reshape" => op.reshape(),
        "Pad" => op.pad(),
        "Identity" | "Dropout" => op.value(0),
        "Constant" => op.constant(),
        "Softmax" | "LogSoftmax" | "ArgMax" => op.tail(),
        "Transpose" => Err(view.unsupported("it changes the layout of the data", CHANNELS_FIRST)),
        "Shape" | "Gather" | "Slice" | "Cast" | "Range" | "ConstantOfShape" | "Expand" => {
            Err(view.unsupported("it computes shapes or moves data in a way that is not imported", SIMPLIFY))
        }
        "Sigmoid" | "Tanh" | "Gelu" | "Elu" | "Selu" | "LeakyRelu" | "PRelu" | "Clip" | "HardSwish" | "HardSigmoid" | "Softplus"
        | "Erf" => {
            Err(view.unsupported("of the activation functions only Relu has a protocol", "use a network that has Relu in its place"))
        }
        _ => Err(view.unsupported("there is no protocol for this operator", REPLACE)),
    }
}
