//! Random small networks as ONNX files, for tests.

mod blocks;

use prost::Message as _;
use rand_chacha::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};

use crate::onnx::proto::{
    AttributeProto, GraphProto, ModelProto, NodeProto, OperatorSetIdProto, TensorProto, TensorShapeProto, TypeProto, ValueInfoProto,
    tensor_shape_proto::{Dimension, dimension},
    type_proto,
};

/// A named value under construction: `[channels, height, width]`.
type Value = (String, [usize; 3]);

/// Builds an ONNX file node by node.
pub(crate) struct ModelBuilder {
    pub(crate) rng: ChaCha20Rng,
    graph: GraphProto,
    count: usize,
}

pub(crate) enum Attribute<'a> {
    Ints(&'a str, Vec<usize>),
    Int(&'a str, i64),
    Float(&'a str, f32),
    Text(&'a str, &'a str),
}

impl ModelBuilder {
    pub(crate) fn new(seed: u64, input: [usize; 3]) -> (Self, Value) {
        let mut builder = Self { rng: ChaCha20Rng::seed_from_u64(seed), graph: GraphProto::default(), count: 0 };
        builder.graph.name = Some("test".to_owned());
        builder.graph.input.push(described("image", &input));
        (builder, ("image".to_owned(), input))
    }

    pub(crate) fn below(&mut self, n: usize) -> usize {
        self.rng.next_u32() as usize % n
    }

    fn coin(&mut self) -> bool {
        self.below(2) == 0
    }

    /// Uniform in -1..1.
    pub(crate) fn real(&mut self) -> f32 {
        (self.rng.next_u32() as f32 / u32::MAX as f32) * 2.0 - 1.0
    }

    fn fresh(&mut self, prefix: &str) -> String {
        self.count += 1;
        format!("{prefix}{}", self.count)
    }

    pub(crate) fn constant(&mut self, dims: &[usize], data: Vec<f32>) -> String {
        let name = self.fresh("c");
        // Alternate between the two encodings of the format.
        let raw = self.coin();
        self.graph.initializer.push(TensorProto {
            dims: dims.iter().map(|&d| d as i64).collect(),
            data_type: Some(1),
            raw_data: raw.then(|| data.iter().flat_map(|x| x.to_le_bytes()).collect::<Vec<u8>>().into()),
            float_data: if raw { Vec::new() } else { data },
            name: Some(name.clone()),
            ..Default::default()
        });
        name
    }

    pub(crate) fn integers(&mut self, data: &[i64]) -> String {
        let name = self.fresh("s");
        self.graph.initializer.push(TensorProto {
            dims: vec![data.len() as i64],
            data_type: Some(7),
            int64_data: data.to_vec(),
            name: Some(name.clone()),
            ..Default::default()
        });
        name
    }

    pub(crate) fn random(&mut self, dims: &[usize], scale: f32) -> String {
        let data = (0..dims.iter().product()).map(|_| self.real() * scale).collect();
        self.constant(dims, data)
    }

    pub(crate) fn node(&mut self, operator: &str, inputs: &[&str], attributes: &[Attribute<'_>]) -> String {
        let output = self.fresh("v");
        let attribute = |a: &Attribute<'_>| match a {
            Attribute::Ints(name, v) => {
                AttributeProto { name: Some((*name).to_owned()), ints: v.iter().map(|&x| x as i64).collect(), ..Default::default() }
            }
            Attribute::Int(name, i) => AttributeProto { name: Some((*name).to_owned()), i: Some(*i), ..Default::default() },
            Attribute::Float(name, f) => AttributeProto { name: Some((*name).to_owned()), f: Some(*f), ..Default::default() },
            Attribute::Text(name, s) => {
                AttributeProto { name: Some((*name).to_owned()), s: Some(s.as_bytes().to_vec().into()), ..Default::default() }
            }
        };
        self.graph.node.push(NodeProto {
            input: inputs.iter().map(|&i| i.to_owned()).collect(),
            output: vec![output.clone()],
            name: Some(format!("node_{output}")),
            op_type: Some(operator.to_owned()),
            attribute: attributes.iter().map(attribute).collect(),
            domain: None,
        });
        output
    }

    /// One more output of the last node.
    fn more_output(&mut self, name: &str) {
        if let Some(node) = self.graph.node.last_mut() {
            node.output.push(name.to_owned());
        }
    }

    pub(crate) fn finish(mut self, output: &str, classes: usize) -> Vec<u8> {
        let mut value = described(output, &[classes, 1, 1]);
        if let Some(TypeProto { value: Some(type_proto::Value::TensorType(t)) }) = &mut value.r#type {
            t.shape = None;
        }
        self.graph.output.push(value);
        let opset = OperatorSetIdProto { domain: None, version: Some(13) };
        ModelProto { ir_version: Some(8), graph: Some(self.graph), opset_import: vec![opset] }.encode_to_vec()
    }

    fn relu(&mut self, x: &Value) -> Value {
        (self.node("Relu", &[&x.0], &[]), x.1)
    }

    /// A convolution of random geometry; `stride` and `out` as given.
    fn conv(&mut self, x: &Value, out: usize, kernel: usize, stride: usize, groups: usize) -> Value {
        let [c, h, w] = x.1;
        let dilation = if kernel > 1 && self.below(4) == 0 { 2 } else { 1 };
        let reach = (kernel - 1) * dilation + 1;
        let scale = 1.5 / ((c / groups * kernel * kernel) as f32).sqrt();
        let weights = self.random(&[out, c / groups, kernel, kernel], scale);
        let mut attributes = vec![
            Attribute::Ints("kernel_shape", vec![kernel; 2]),
            Attribute::Ints("strides", vec![stride; 2]),
            Attribute::Ints("dilations", vec![dilation; 2]),
            Attribute::Int("group", groups as i64),
        ];
        let size: [usize; 2] = match self.below(4) {
            0 => {
                let mode = if self.count.is_multiple_of(2) { "SAME_UPPER" } else { "SAME_LOWER" };
                attributes.push(Attribute::Text("auto_pad", mode));
                [h.div_ceil(stride), w.div_ceil(stride)]
            }
            1 if h >= reach && w >= reach => {
                attributes.push(Attribute::Text("auto_pad", "VALID"));
                [(h - reach) / stride + 1, (w - reach) / stride + 1]
            }
            _ => {
                // Asymmetric, and enough for the kernel to fit.
                let pads: Vec<usize> = (0..4).map(|_| self.below(2) + reach / 2).collect();
                let size = [(h + pads[0] + pads[2] - reach) / stride + 1, (w + pads[1] + pads[3] - reach) / stride + 1];
                attributes.push(Attribute::Ints("pads", pads));
                size
            }
        };
        let name = if self.coin() {
            let bias = self.random(&[out], 0.3);
            self.node("Conv", &[&x.0, &weights, &bias], &attributes)
        } else {
            self.node("Conv", &[&x.0, &weights], &attributes)
        };
        let value = (name, [out, size[0], size[1]]);
        if self.coin() { self.batch_norm(&value) } else { value }
    }

    /// A 3x3 convolution that keeps the size, or a 1x1.
    fn same_conv(&mut self, x: &Value, out: usize, kernel: usize, stride: usize) -> Value {
        let [c, h, w] = x.1;
        let weights = self.random(&[out, c, kernel, kernel], 1.5 / ((c * kernel * kernel) as f32).sqrt());
        // The independent engine of the tests takes the number of axes from the kernel's shape.
        let attributes = [
            Attribute::Ints("kernel_shape", vec![kernel; 2]),
            Attribute::Ints("strides", vec![stride; 2]),
            Attribute::Ints("pads", vec![kernel / 2; 4]),
        ];
        let name = self.node("Conv", &[&x.0, &weights], &attributes);
        (name, [out, (h - 1) / stride + 1, (w - 1) / stride + 1])
    }

    fn batch_norm(&mut self, x: &Value) -> Value {
        let channels = x.1[0];
        let mut parameters = Vec::new();
        for (centre, spread) in [(1.0, 0.4), (0.0, 0.3), (0.0, 0.2), (1.0, 0.5)] {
            let data = (0..channels).map(|_| centre + spread * self.real()).collect();
            parameters.push(self.constant(&[channels], data));
        }
        let [gamma, beta, mean, variance] = parameters.try_into().expect("four");
        let epsilon = [Attribute::Float("epsilon", 1e-3)];
        (self.node("BatchNormalization", &[&x.0, &gamma, &beta, &mean, &variance], &epsilon), x.1)
    }

    fn add(&mut self, a: &Value, b: &Value) -> Value {
        (self.node("Add", &[&a.0, &b.0], &[]), a.1)
    }

    fn max_pool(&mut self, x: &Value) -> Value {
        let [c, h, w] = x.1;
        let (kernel, stride) = (2 + self.below(2), 1 + self.below(2));
        if h < kernel || w < kernel {
            return x.clone();
        }
        let ceil = self.coin();
        let before = self.below(kernel);
        let pads = vec![before, 0, 0, before.min(1)];
        let axis = |size: usize, a: usize, b: usize| {
            let padded = size + a + b - kernel;
            if !ceil {
                return padded / stride + 1;
            }
            let n = padded.div_ceil(stride) + 1;
            if (n - 1) * stride >= size + a { n - 1 } else { n }
        };
        let size = [axis(h, pads[0], pads[2]), axis(w, pads[1], pads[3])];
        let attributes = [
            Attribute::Ints("kernel_shape", vec![kernel; 2]),
            Attribute::Ints("strides", vec![stride; 2]),
            Attribute::Ints("pads", pads),
            Attribute::Int("ceil_mode", i64::from(ceil)),
        ];
        (self.node("MaxPool", &[&x.0], &attributes), [c, size[0], size[1]])
    }

    fn average_pool(&mut self, x: &Value) -> Value {
        let [c, h, w] = x.1;
        let kernel = 2 + self.below(2);
        if h < kernel || w < kernel {
            return x.clone();
        }
        let pad = self.below(2);
        let attributes = [
            Attribute::Ints("kernel_shape", vec![kernel; 2]),
            Attribute::Ints("strides", vec![2; 2]),
            Attribute::Ints("pads", vec![pad; 4]),
            Attribute::Int("count_include_pad", 1),
        ];
        let size = |n: usize| (n + 2 * pad - kernel) / 2 + 1;
        (self.node("AveragePool", &[&x.0], &attributes), [c, size(h), size(w)])
    }

    fn pad(&mut self, x: &Value, sides: [i64; 4]) -> Value {
        let [c, h, w] = x.1;
        let [top, left, bottom, right] = sides;
        let pads = self.integers(&[0, 0, top, left, 0, 0, bottom, right]);
        (self.node("Pad", &[&x.0, &pads], &[]), [c, h + (top + bottom) as usize, w + (left + right) as usize])
    }
}

fn described(name: &str, shape: &[usize; 3]) -> ValueInfoProto {
    let fixed = |n: usize| Dimension { value: Some(dimension::Value::DimValue(n as i64)) };
    let batch = Dimension { value: Some(dimension::Value::DimParam("N".to_owned())) };
    let dim = std::iter::once(batch).chain(shape.iter().map(|&n| fixed(n))).collect();
    let tensor = type_proto::Tensor { elem_type: Some(1), shape: Some(TensorShapeProto { dim }) };
    ValueInfoProto { name: Some(name.to_owned()), r#type: Some(TypeProto { value: Some(type_proto::Value::TensorType(tensor)) }) }
}

/// A random network of `blocks` blocks and some images for it.
pub fn random_network(seed: u64, blocks: usize) -> (Vec<u8>, Vec<Vec<f32>>) {
    let mut shape_rng = ChaCha20Rng::seed_from_u64(seed ^ 0x5eed);
    let mut size = |least: usize, span: u32| least + (shape_rng.next_u32() % span) as usize;
    let shape = [size(1, 3), size(6, 5), size(6, 5)];
    let (mut b, mut x) = ModelBuilder::new(seed, shape);
    for _ in 0..blocks {
        x = b.block(&x);
    }
    let classes = 2 + b.below(6);
    let flat = if b.coin() {
        x = (b.node("GlobalAveragePool", &[&x.0], &[]), [x.1[0], 1, 1]);
        b.node("Flatten", &[&x.0], &[])
    } else {
        let target = b.integers(&[0, -1]);
        b.node("Reshape", &[&x.0, &target], &[])
    };
    let features = x.1.iter().product::<usize>();
    let scale = 2.0 / (features as f32).sqrt();
    let logits = if b.coin() {
        let (weights, bias) = (b.random(&[classes, features], scale), b.random(&[classes], 0.3));
        b.node("Gemm", &[&flat, &weights, &bias], &[Attribute::Int("transB", 1), Attribute::Float("alpha", 0.5)])
    } else {
        let (weights, bias) = (b.random(&[features, classes], scale), b.random(&[classes], 0.3));
        let product = b.node("MatMul", &[&flat, &weights], &[]);
        b.node("Add", &[&product, &bias], &[])
    };
    let images = (0..4).map(|_| (0..shape.iter().product()).map(|_| b.real()).collect()).collect();
    let logits = b.node("Identity", &[&logits], &[]);
    (b.finish(&logits, classes), images)
}

/// A planned 1x6x6 network of three classes: card (without hint) and private part.
#[must_use]
pub fn small_model(seed: u64) -> (crate::card::ModelCard, crate::package::PrivateModel) {
    let (mut b, image) = ModelBuilder::new(seed, [1, 6, 6]);
    let x = b.same_conv(&image, 3, 3, 1);
    let x = b.relu(&x);
    let x = b.max_pool(&x);
    let flat = b.node("Flatten", &[&x.0], &[]);
    let weights = b.random(&[x.1.iter().product(), 3], 0.5);
    let logits = b.node("MatMul", &[&flat, &weights], &[]);
    let images: Vec<Vec<f32>> = (0..4).map(|_| (0..36).map(|_| b.real()).collect()).collect();
    let graph = crate::onnx::import(&b.finish(&logits, 3)).expect("a supported network");
    let ranges = crate::calibrate::calibrate(&graph, &images).expect("images of the right size");
    let (program, weights) = crate::plan::plan(&graph, &ranges, &crate::plan::PlanOptions::default()).expect("a plan");
    let card = crate::card::ModelCard {
        name: format!("test network {seed}"),
        program,
        preprocess: crate::preprocess::Preprocess { crop: 6, ..crate::preprocess::Preprocess::mnist() },
        labels: ["a", "b", "c"].map(str::to_owned).to_vec(),
        claim: Some(crate::card::Claim { top1: 0.75, dataset: "noise".to_owned() }),
        weights_digest: fusion_ring::symmetric::digest::Digest::of(b"weights"),
        hint: None,
        logits_bits: 0,
        answers: None,
        flips: None,
    };
    (card, crate::package::PrivateModel { weights, key: fusion_rlwe::ServerKey::from_bytes([seed as u8; 32]) })
}
