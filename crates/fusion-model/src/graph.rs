//! The typed float graph: what an imported network computes, with every shape known and every
//! constant resolved.
//!
//! Values are of one sample (no batch axis). Nodes are in evaluation order: a node reads only nodes
//! before it. The importer makes a graph node by node; the [`passes`](crate::passes) rewrite it
//! into the few forms that the planner lowers.

pub(crate) mod rewrite;

use fusion_rlwe::{ConvGeometry, Padding, Shape};

pub use crate::curve::{Curve, Function};
use crate::program::PoolGeometry;

/// Most elements of a value: those of a program's tensor.
const MAX_ELEMENTS: usize = 1 << 24;

/// Index of a node in [`Graph::nodes`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NodeId(pub usize);

/// One convolution of a [`FloatOp::Linear`] node.
#[derive(Debug, Clone, PartialEq)]
pub struct FloatTerm {
    /// The convolution.
    pub geometry: ConvGeometry,
    /// Weights, ordered as [`ConvGeometry`] says.
    pub weights: Vec<f32>,
}

/// What a node computes.
#[derive(Debug, Clone, PartialEq)]
pub enum FloatOp {
    /// The image; the first node, and the only one of its kind.
    Input,
    /// Sum of convolutions, one per input, and a bias per output channel. Dense layers are 1x1
    /// convolutions of flat vectors.
    Linear {
        /// One per input of the node.
        terms: Vec<FloatTerm>,
        /// One per output channel.
        bias: Vec<f32>,
    },
    /// `x * scale + shift` per channel (batch normalisation, constant addends).
    ChannelAffine {
        /// One per channel.
        scale: Vec<f32>,
        /// One per channel.
        shift: Vec<f32>,
    },
    /// max(x, 0).
    Relu,
    /// The nearest number in `low..=high`; either may be infinite.
    Clip {
        /// Least value.
        low: f32,
        /// Largest value.
        high: f32,
    },
    /// A function of every number.
    Curve(Curve),
    /// Product of two inputs, the second of the first's shape or one number per channel.
    Multiply,
    /// Maximum over windows; positions outside the input do not take part.
    MaxPool(PoolGeometry),
    /// Sum over windows divided by the kernel's area (positions outside the input count as zeros).
    AveragePool(PoolGeometry),
    /// Sum over windows: an average whose division was moved into another node.
    SumPool(PoolGeometry),
    /// Zeros around the image.
    Pad(Padding),
    /// What is below every number around the image: for a maximum only.
    PadLowest(Padding),
    /// Sum of all inputs.
    Add,
    /// Channel concatenation of all inputs.
    Concat,
    /// Channels by their index in the input, in any order and number; `None` is a channel of zeros.
    Select(Vec<Option<usize>>),
    /// `[c][h][w]` to a flat vector.
    Flatten,
}

impl FloatOp {
    /// Short name for reports.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Input => "input",
            Self::Linear { .. } => "linear",
            Self::ChannelAffine { .. } => "channel affine",
            Self::Relu => "relu",
            Self::Clip { .. } => "clip",
            Self::Curve(_) => "curve",
            Self::Multiply => "multiply",
            Self::MaxPool(_) => "max pool",
            Self::AveragePool(_) => "average pool",
            Self::SumPool(_) => "sum pool",
            Self::Pad(_) => "pad",
            Self::PadLowest(_) => "pad for a maximum",
            Self::Add => "add",
            Self::Concat => "concat",
            Self::Select(_) => "select",
            Self::Flatten => "flatten",
        }
    }
}

impl FloatOp {
    /// Convolutions and biases of a linear node.
    #[must_use]
    pub fn as_linear(&self) -> Option<(&[FloatTerm], &[f32])> {
        if let Self::Linear { terms, bias } = self { Some((terms, bias)) } else { None }
    }
}

/// A node and its inputs.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    /// Name in the imported file (its output's name where the node has none).
    pub name: String,
    /// What it computes.
    pub op: FloatOp,
    /// What it reads.
    pub inputs: Vec<NodeId>,
    /// Shape of its value.
    pub shape: Shape,
}

/// A network from image to logits.
#[derive(Debug, Clone, PartialEq)]
pub struct Graph {
    /// In evaluation order.
    pub nodes: Vec<Node>,
    /// The node whose value is the logits.
    pub output: NodeId,
}

/// Shapes that do not fit together.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("node `{node}` ({kind}): {reason}")]
pub struct ShapeError {
    /// Name of the node.
    pub node: String,
    /// Its operation.
    pub kind: &'static str,
    /// What is wrong, with the shapes.
    pub reason: String,
}

impl Graph {
    /// The node `id`.
    ///
    /// # Panics
    /// If the id is of another graph.
    #[must_use]
    pub fn node(&self, id: NodeId) -> &Node {
        &self.nodes[id.0]
    }

    /// A graph that is only an image, which is also its output until something is appended.
    #[must_use]
    pub fn with_input(name: &str, shape: Shape) -> Self {
        let input = Node { name: name.to_owned(), op: FloatOp::Input, inputs: Vec::new(), shape };
        Self { nodes: vec![input], output: NodeId(0) }
    }

    /// Appends a node, makes it the output and returns its id.
    ///
    /// # Errors
    /// The inputs' shapes do not suit the operation.
    pub fn push(&mut self, name: &str, op: FloatOp, inputs: Vec<NodeId>) -> Result<NodeId, ShapeError> {
        let shapes: Vec<Shape> = inputs.iter().map(|&id| self.node(id).shape).collect();
        let bounded = |shape: Shape| {
            let elements = shape.channels.checked_mul(shape.height).and_then(|n| n.checked_mul(shape.width));
            match elements.filter(|&elements| elements <= MAX_ELEMENTS) {
                Some(_) => Ok(shape),
                None => Err(format!("its result of {shape:?} has more than {MAX_ELEMENTS} elements")),
            }
        };
        let shape =
            output_shape(&op, &shapes).and_then(bounded).map_err(|reason| ShapeError { node: name.to_owned(), kind: op.kind(), reason })?;
        self.nodes.push(Node { name: name.to_owned(), op, inputs, shape });
        self.output = NodeId(self.nodes.len() - 1);
        Ok(self.output)
    }

    /// Shape of the image.
    #[must_use]
    pub fn input_shape(&self) -> Shape {
        self.nodes[0].shape
    }

    /// For every node, the nodes that read it (twice if they read it twice).
    #[must_use]
    pub fn consumers(&self) -> Vec<Vec<NodeId>> {
        let mut consumers = vec![Vec::new(); self.nodes.len()];
        for (index, node) in self.nodes.iter().enumerate() {
            for input in &node.inputs {
                consumers[input.0].push(NodeId(index));
            }
        }
        consumers
    }

    /// Multiplications of one sample's linear layers.
    #[must_use]
    pub fn multiplications(&self) -> u64 {
        let taps = |t: &FloatTerm| t.geometry.input.channels / t.geometry.groups * t.geometry.kernel.0 * t.geometry.kernel.1;
        let of = |node: &Node| {
            let terms = node.op.as_linear().map_or(&[][..], |(terms, _)| terms);
            terms.iter().map(|t| (taps(t) * node.shape.len()) as u64).sum::<u64>()
        };
        self.nodes.iter().map(of).sum()
    }
}

/// Shape of the value that `op` computes from values of these shapes.
fn output_shape(op: &FloatOp, inputs: &[Shape]) -> Result<Shape, String> {
    let one = || match inputs {
        [shape] => Ok(*shape),
        _ => Err(format!("needs one input, has {}", inputs.len())),
    };
    match op {
        FloatOp::Input => Err("a graph has one input, its first node".to_owned()),
        FloatOp::Linear { terms, bias } => linear_shape(terms, bias, inputs),
        FloatOp::ChannelAffine { scale, shift } => {
            let shape = one()?;
            if scale.len() != shape.channels || shift.len() != shape.channels {
                return Err(format!("{} factors and {} addends for {} channels", scale.len(), shift.len(), shape.channels));
            }
            Ok(shape)
        }
        FloatOp::Relu | FloatOp::Clip { .. } | FloatOp::Curve(_) => one(),
        FloatOp::Multiply => match inputs {
            [a, b] if a == b || (a.channels == b.channels && b.area() == 1) => Ok(*a),
            _ => Err(format!("needs two inputs of one shape, or a number per channel as the second, has {inputs:?}")),
        },
        FloatOp::MaxPool(pool) | FloatOp::AveragePool(pool) | FloatOp::SumPool(pool) => {
            let shape = one()?;
            pool.output(shape).ok_or_else(|| format!("the pooling window {pool:?} does not fit {shape:?}"))
        }
        FloatOp::Pad(p) | FloatOp::PadLowest(p) => {
            let shape = one()?;
            let axis = |size: usize, before: usize, after: usize| size.checked_add(before)?.checked_add(after);
            let height = axis(shape.height, p.top, p.bottom).ok_or("padding overflows")?;
            let width = axis(shape.width, p.left, p.right).ok_or("padding overflows")?;
            Ok(Shape::new(shape.channels, height, width))
        }
        FloatOp::Add => match inputs {
            [first, rest @ ..] if !rest.is_empty() && rest.iter().all(|s| s == first) => Ok(*first),
            _ => Err(format!("needs two or more inputs of one shape, has {inputs:?}")),
        },
        FloatOp::Concat => match inputs {
            [first, rest @ ..] if rest.iter().all(|s| (s.height, s.width) == (first.height, first.width)) => {
                Ok(Shape::new(inputs.iter().map(|s| s.channels).sum(), first.height, first.width))
            }
            _ => Err(format!("needs inputs of one height and width, has {inputs:?}")),
        },
        FloatOp::Select(channels) => {
            let shape = one()?;
            match channels.iter().flatten().find(|&&channel| channel >= shape.channels) {
                Some(channel) => Err(format!("selects channel {channel} of {}", shape.channels)),
                None if channels.is_empty() => Err("selects no channel".to_owned()),
                None => Ok(Shape { channels: channels.len(), ..shape }),
            }
        }
        FloatOp::Flatten => Ok(Shape::flat(one()?.len())),
    }
}

fn linear_shape(terms: &[FloatTerm], bias: &[f32], inputs: &[Shape]) -> Result<Shape, String> {
    if terms.is_empty() || terms.len() != inputs.len() {
        return Err(format!("{} convolutions for {} inputs", terms.len(), inputs.len()));
    }
    let mut output = None;
    for (term, &input) in terms.iter().zip(inputs) {
        let g = &term.geometry;
        if g.input != input {
            return Err(format!("convolution of {:?} applied to {input:?}", g.input));
        }
        let shape = g.output().ok_or_else(|| format!("impossible convolution {g:?}"))?;
        if term.weights.len() != g.weights() {
            return Err(format!("{} weights where the convolution has {}", term.weights.len(), g.weights()));
        }
        if *output.get_or_insert(shape) != shape {
            return Err(format!("summed convolutions have different outputs: {output:?} and {shape:?}"));
        }
    }
    let shape = output.ok_or("no convolutions")?;
    if bias.len() != shape.channels {
        return Err(format!("{} biases for {} output channels", bias.len(), shape.channels));
    }
    Ok(shape)
}
