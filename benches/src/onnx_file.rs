//! Writing an ONNX file: the messages that a convolutional network needs (field numbers of
//! `onnx.proto`), and a builder for its nodes.

use prost::Message;

const OPSET: i64 = 13;
const IR_VERSION: i64 = 8;
const FLOAT: i32 = 1;
const ATTRIBUTE_FLOAT: i32 = 1;
const ATTRIBUTE_INT: i32 = 2;
const ATTRIBUTE_INTS: i32 = 7;

#[derive(Clone, PartialEq, Message)]
struct Model {
    #[prost(int64, tag = "1")]
    ir_version: i64,
    #[prost(string, tag = "2")]
    producer_name: String,
    #[prost(message, optional, tag = "7")]
    graph: Option<Graph>,
    #[prost(message, repeated, tag = "8")]
    opset_import: Vec<OperatorSet>,
}

#[derive(Clone, PartialEq, Message)]
struct OperatorSet {
    #[prost(int64, tag = "2")]
    version: i64,
}

#[derive(Clone, PartialEq, Message)]
struct Graph {
    #[prost(message, repeated, tag = "1")]
    node: Vec<Node>,
    #[prost(string, tag = "2")]
    name: String,
    #[prost(message, repeated, tag = "5")]
    initializer: Vec<Tensor>,
    #[prost(message, repeated, tag = "11")]
    input: Vec<ValueInfo>,
    #[prost(message, repeated, tag = "12")]
    output: Vec<ValueInfo>,
}

#[derive(Clone, PartialEq, Message)]
struct Node {
    #[prost(string, repeated, tag = "1")]
    input: Vec<String>,
    #[prost(string, repeated, tag = "2")]
    output: Vec<String>,
    #[prost(string, tag = "3")]
    name: String,
    #[prost(string, tag = "4")]
    op_type: String,
    #[prost(message, repeated, tag = "5")]
    attribute: Vec<Attribute>,
}

#[derive(Clone, PartialEq, Message)]
struct Attribute {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(float, tag = "2")]
    f: f32,
    #[prost(int64, tag = "3")]
    i: i64,
    #[prost(int64, repeated, packed = "false", tag = "8")]
    ints: Vec<i64>,
    #[prost(int32, tag = "20")]
    kind: i32,
}

#[derive(Clone, PartialEq, Message)]
struct Tensor {
    #[prost(int64, repeated, packed = "false", tag = "1")]
    dims: Vec<i64>,
    #[prost(int32, tag = "2")]
    data_type: i32,
    #[prost(string, tag = "8")]
    name: String,
    #[prost(bytes = "vec", tag = "9")]
    raw_data: Vec<u8>,
}

#[derive(Clone, PartialEq, Message)]
struct ValueInfo {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(message, optional, tag = "2")]
    kind: Option<Type>,
}

#[derive(Clone, PartialEq, Message)]
struct Type {
    #[prost(message, optional, tag = "1")]
    tensor: Option<TensorType>,
}

#[derive(Clone, PartialEq, Message)]
struct TensorType {
    #[prost(int32, tag = "1")]
    element: i32,
    #[prost(message, optional, tag = "2")]
    shape: Option<TensorShape>,
}

#[derive(Clone, PartialEq, Message)]
struct TensorShape {
    #[prost(message, repeated, tag = "1")]
    dim: Vec<Dimension>,
}

#[derive(Clone, PartialEq, Message)]
struct Dimension {
    #[prost(int64, optional, tag = "1")]
    value: Option<i64>,
    #[prost(string, optional, tag = "2")]
    name: Option<String>,
}

/// Square convolution: sides in pixels, then channels.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Conv {
    pub(crate) kernel: usize,
    pub(crate) stride: usize,
    pub(crate) pad: usize,
    pub(crate) inputs: usize,
    pub(crate) outputs: usize,
}

/// Appends nodes; each is named, and so is its one output, which the method returns for use as an
/// input.
pub(crate) struct Builder(Graph);

impl Builder {
    pub(crate) fn new(name: &str) -> Self {
        Self(Graph { name: name.to_owned(), ..Graph::default() })
    }

    /// A node without attributes.
    pub(crate) fn node(&mut self, operator: &str, name: &str, inputs: &[&str]) -> String {
        self.push(operator, name, inputs, Vec::new())
    }

    /// `weights` are ordered `[output][input][row][column]`.
    pub(crate) fn conv(&mut self, name: &str, x: &str, conv: Conv, weights: &[f32], bias: &[f32]) -> String {
        let w = self.constant(name, "w", &[conv.outputs, conv.inputs, conv.kernel, conv.kernel], weights);
        let b = self.constant(name, "b", &[conv.outputs], bias);
        self.push("Conv", name, &[x, &w, &b], window(conv.kernel, conv.stride, conv.pad))
    }

    /// `statistics`: scale, shift, mean and variance, each with its name.
    pub(crate) fn batch_normalization(&mut self, name: &str, x: &str, statistics: &[(&str, Vec<f32>)], epsilon: f32) -> String {
        let parts: Vec<_> = statistics.iter().map(|(part, values)| self.constant(name, part, &[values.len()], values)).collect();
        let inputs: Vec<_> = std::iter::once(x).chain(parts.iter().map(String::as_str)).collect();
        let epsilon = Attribute { name: "epsilon".to_owned(), f: epsilon, kind: ATTRIBUTE_FLOAT, ..Attribute::default() };
        self.push("BatchNormalization", name, &inputs, vec![epsilon])
    }

    pub(crate) fn max_pool(&mut self, name: &str, x: &str, kernel: usize, stride: usize, pad: usize) -> String {
        self.push("MaxPool", name, &[x], window(kernel, stride, pad))
    }

    pub(crate) fn average_pool(&mut self, name: &str, x: &str, kernel: usize, stride: usize) -> String {
        self.push("AveragePool", name, &[x], window(kernel, stride, 0))
    }

    /// `weights` are ordered `[output][input]`, `shape` is (outputs, inputs).
    pub(crate) fn dense(&mut self, name: &str, x: &str, shape: (usize, usize), weights: &[f32], bias: &[f32]) -> String {
        let w = self.constant(name, "w", &[shape.0, shape.1], weights);
        let b = self.constant(name, "b", &[shape.0], bias);
        let transposed = Attribute { name: "transB".to_owned(), i: 1, kind: ATTRIBUTE_INT, ..Attribute::default() };
        self.push("Gemm", name, &[x, &w, &b], vec![transposed])
    }

    /// The file's bytes; `input` is named with the shape of one sample, `output` with its number of
    /// features.
    pub(crate) fn finish(mut self, input: (&str, [usize; 3]), output: (&str, usize)) -> Vec<u8> {
        self.0.input = vec![batch_of(input.0, &input.1)];
        self.0.output = vec![batch_of(output.0, &[output.1])];
        let model = Model {
            ir_version: IR_VERSION,
            producer_name: "fusion xtask".to_owned(),
            graph: Some(self.0),
            opset_import: vec![OperatorSet { version: OPSET }],
        };
        model.encode_to_vec()
    }

    fn push(&mut self, operator: &str, name: &str, inputs: &[&str], attribute: Vec<Attribute>) -> String {
        self.0.node.push(Node {
            input: inputs.iter().map(|&i| i.to_owned()).collect(),
            output: vec![name.to_owned()],
            name: name.to_owned(),
            op_type: operator.to_owned(),
            attribute,
        });
        name.to_owned()
    }

    fn constant(&mut self, node: &str, part: &str, dims: &[usize], values: &[f32]) -> String {
        let name = format!("{node}.{part}");
        self.0.initializer.push(Tensor {
            dims: dims.iter().map(|&d| d as i64).collect(),
            data_type: FLOAT,
            name: name.clone(),
            raw_data: values.iter().flat_map(|v| v.to_le_bytes()).collect(),
        });
        name
    }
}

fn window(kernel: usize, stride: usize, pad: usize) -> Vec<Attribute> {
    let ints = |name: &str, side: usize, count: usize| Attribute {
        name: name.to_owned(),
        ints: vec![side as i64; count],
        kind: ATTRIBUTE_INTS,
        ..Attribute::default()
    };
    vec![ints("kernel_shape", kernel, 2), ints("strides", stride, 2), ints("pads", pad, 4)]
}

/// A tensor with a batch axis of any size before `sample`.
fn batch_of(name: &str, sample: &[usize]) -> ValueInfo {
    let any = Dimension { value: None, name: Some("N".to_owned()) };
    let fixed = sample.iter().map(|&n| Dimension { value: Some(n as i64), name: None });
    let shape = TensorShape { dim: std::iter::once(any).chain(fixed).collect() };
    let tensor = TensorType { element: FLOAT, shape: Some(shape) };
    ValueInfo { name: name.to_owned(), kind: Some(Type { tensor: Some(tensor) }) }
}
