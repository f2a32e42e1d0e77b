//! The fixed-point program: what the two parties evaluate, step by step.
//!
//! A program is public (it is part of the model card). It has no weights: those are in [`Weights`],
//! which only the server holds. The planner makes it from a float graph, the twin evaluates it in
//! plaintext and the executor on shares. All three share these types, so that a step means the same
//! to each.
//!
//! # Values
//! A tensor holds integers `v` modulo 2^`ring`, two's complement, which stand for the real numbers
//! `v / 2^frac`. (Where an average was taken, the sum stands here and the weights of the next
//! linear step contain the division.)
//!
//! In the protocol a number is held in a 32-bit word as `v * 2^(32 - ring)`, so that words wrap
//! where numbers do. Words of what a linear step makes carry [`noise`] as well, until a
//! requantisation drops their low bits.

use fusion_rlwe::{ConvGeometry, Padding, Shape};

mod encode;
mod error;
pub mod noise;
mod piecewise;
mod validate;
mod weights;

pub use encode::ImageError;
pub use error::{ProgramError, StepFault};
pub use piecewise::{Knot, MOST_FRACTION, MOST_KNOTS, Piecewise};
pub use weights::{WeightsError, row_norm_of};

/// Index of a tensor in [`Program::tensors`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TensorId(pub usize);

/// Bits of a logit that may be opened, where its owner lets clients have logits at all. More would
/// be more of a linear output than the weights survive; with fewer, the mask over it would be wider
/// than the logit.
pub const LOGITS_BITS: std::ops::RangeInclusive<u32> = 6..=10;

/// Width l of a ring Z_2^l, in bits, 1..=32.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RingBits(pub u32);

/// Public facts about one tensor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TensorSpec {
    /// Shape of one sample.
    pub shape: Shape,
    /// The tensor is shared modulo 2^ring.
    pub ring: RingBits,
    /// Binary scale: one unit is 2^-frac.
    pub frac: i32,
}

/// The window that a requantisation keeps: shift out the low `shift` bits, keep the next `bits`
/// bits, sign included.
///
/// The plan guarantees |value| < 2^(shift + bits - 1); a value outside is an overflow (counted by
/// the twin, garbage in the protocol). Where values are compared (maximum pooling, argmax) or keep
/// their sign ([`Activation::Signed`]) the protocol works with one bit more, which is free if the
/// ring of the input has it; the planner makes it so.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Window {
    /// Low bits shifted out, d. Where the bits below the window may be other than zero, with d > 0
    /// or with noise, the server adds one unit of the window first (unbiased stochastic rounding).
    pub shift: u32,
    /// Window width h in bits, 2..=31.
    pub bits: u32,
}

/// Pooling geometry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct PoolGeometry {
    /// Kernel rows and columns.
    pub kernel: (usize, usize),
    /// Vertical and horizontal stride.
    pub stride: (usize, usize),
    /// Positions outside the input are left out of a maximum and count as zero in a sum. Ceil mode
    /// appears here as extra bottom/right padding.
    pub padding: Padding,
}

impl PoolGeometry {
    /// Output shape of one sample of shape `input`, or `None` if the geometry is impossible: a zero
    /// where none may be, a kernel larger than the padded input, a window that lies wholly in the
    /// padding, sizes that overflow.
    #[must_use]
    pub fn output(&self, input: Shape) -> Option<Shape> {
        let p = self.padding;
        let axis = |size: usize, before: usize, after: usize, kernel: usize, stride: usize| {
            if stride == 0 || kernel == 0 || before >= kernel {
                return None;
            }
            let padded = size.checked_add(before)?.checked_add(after)?;
            let outputs = padded.checked_sub(kernel)? / stride + 1;
            (((outputs - 1) * stride) < size + before).then_some(outputs)
        };
        let height = axis(input.height, p.top, p.bottom, self.kernel.0, self.stride.0)?;
        let width = axis(input.width, p.left, p.right, self.kernel.1, self.stride.1)?;
        Some(Shape::new(input.channels, height, width))
    }

    /// Positions of a kernel.
    #[must_use]
    pub const fn area(&self) -> usize {
        self.kernel.0 * self.kernel.1
    }
}

/// What a requantisation does to the sign.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Activation {
    /// max(v, 0).
    Relu,
    /// max(v, 0) but near zero: the sign is compared without the window's lowest `left_out` bits,
    /// [`COARSE_BITS`] of them. v is kept if v + u >= r, with u = 2^(left_out - 1) - 1 and r
    /// uniform in 0..2^left_out.
    CoarseRelu {
        /// Bits left out.
        left_out: u32,
    },
    /// min(max(v, 0), ceiling).
    Clip {
        /// In units of the window, at least 1.
        ceiling: u32,
    },
    /// Keeps signed values.
    Signed,
}

/// How many bits an [`Activation::CoarseRelu`] may leave out. One is left out without an error by
/// every ReLU, since it is only of zero that the sign is then uncertain.
pub const COARSE_BITS: std::ops::RangeInclusive<u32> = 2..=8;

impl Activation {
    /// Bits of the window that the comparison leaves out.
    #[must_use]
    pub const fn left_out(self) -> u32 {
        match self {
            Self::Relu | Self::Clip { .. } => 1,
            Self::CoarseRelu { left_out } => left_out,
            Self::Signed => 0,
        }
    }

    /// Whether a window of so many bits has room: a coarse ReLU compares at least two bits and a
    /// sign, and a ceiling is inside.
    #[must_use]
    pub fn fits(self, window_bits: u32) -> bool {
        match self {
            Self::CoarseRelu { left_out } => COARSE_BITS.contains(&left_out) && left_out + 3 <= window_bits,
            Self::Clip { ceiling } => ceiling > 0 && u64::from(ceiling) < 1 << (window_bits.clamp(1, 32) - 1),
            Self::Relu | Self::Signed => true,
        }
    }

    /// [`uncertain`] of the bits left out.
    #[must_use]
    pub const fn uncertain(self) -> u32 {
        uncertain(self.left_out())
    }
}

/// Units on either side of zero whose sign is left to chance where a comparison leaves out so many
/// bits, below 32. As many stay free at both ends of the window.
#[must_use]
pub const fn uncertain(left_out: u32) -> u32 {
    ((1u32 << left_out) >> 1).saturating_sub(1)
}

/// One convolution of a linear step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LinearTerm {
    /// The activation tensor read.
    pub input: TensorId,
    /// Its convolution.
    pub geometry: ConvGeometry,
}

/// One step of a program. Every step writes exactly one tensor, `output`, which no other step
/// writes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Op {
    /// `output = sum of convolutions + bias`, at product scale, modulo 2^ring of the output. All
    /// terms have the same output shape and product scale. Every input ring is at least as wide as
    /// the output ring (shares are reduced locally). The output carries [`noise`].
    Linear {
        /// One or more convolutions.
        terms: Vec<LinearTerm>,
        /// Bound on |weight| over all terms is 2^(weight_bits - 1); at most 16.
        weight_bits: u32,
        /// Bound on the Euclidean norm of any row of weights, all terms together (see
        /// [`row_norm_of`]).
        row_norm: u32,
        /// Bits of a ciphertext coefficient that are sent, 2..=32.
        upload_bits: u32,
        /// Bits of a hint coefficient that are published, 2..=32.
        hint_bits: u32,
    },
    /// Window, then the optional maximum pooling, then the activation, then widening to the output
    /// ring.
    Requantise {
        /// Tensor at product scale.
        input: TensorId,
        /// Bits kept.
        window: Window,
        /// Maximum pooling inside the window (before the activation; the two commute).
        pool: Option<PoolGeometry>,
        /// What happens to negative values.
        activation: Activation,
    },
    /// `output = sum over inputs of (input << shift)` modulo 2^ring of the output. Local.
    Add {
        /// Summands and their left shifts, all of the same shape.
        inputs: Vec<(TensorId, u32)>,
    },
    /// Sum over pooling windows (average pooling with its division folded elsewhere). Local.
    SumPool {
        /// Tensor read.
        input: TensorId,
        /// Geometry.
        pool: PoolGeometry,
    },
    /// Channel concatenation, `input << shift` each. Local.
    Concat {
        /// Parts in order, with left shifts that bring them to one scale.
        inputs: Vec<(TensorId, u32)>,
    },
    /// Window, then a function of every number, exact, at the window's scale with as many binary
    /// places more as the function says.
    Piecewise {
        /// Tensor at product scale.
        input: TensorId,
        /// Bits kept.
        window: Window,
        /// The function.
        function: Piecewise,
    },
    /// Product of two tensors that no linear step made, at the sum of their scales. `factor` has
    /// the shape of `input`, or one number per channel.
    Multiply {
        /// Tensor whose ring is at least as wide as the output's.
        input: TensorId,
        /// The other one.
        factor: TensorId,
        /// Bits that hold the factor, sign included, and one more: |factor| < 2^(factor_bits - 2).
        factor_bits: u32,
    },
    /// Channels by their index in the input, in any order and number; `None` is a channel of zeros.
    /// Local.
    Select {
        /// Tensor read.
        input: TensorId,
        /// One per channel of the output.
        channels: Vec<Option<usize>>,
    },
    /// `[c][h][w] -> [c*h*w][1][1]`. Local.
    Flatten {
        /// Tensor read.
        input: TensorId,
    },
}

impl Op {
    /// The tensors read, in order.
    #[must_use]
    pub fn inputs(&self) -> Vec<TensorId> {
        match self {
            Self::Linear { terms, .. } => terms.iter().map(|t| t.input).collect(),
            Self::Requantise { input, .. }
            | Self::Piecewise { input, .. }
            | Self::SumPool { input, .. }
            | Self::Select { input, .. }
            | Self::Flatten { input } => vec![*input],
            Self::Multiply { input, factor, .. } => vec![*input, *factor],
            Self::Add { inputs } | Self::Concat { inputs } => inputs.iter().map(|part| part.0).collect(),
        }
    }
}

/// A step and where its result goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// Name of the node(s) of the imported graph that this step came from, for reports and errors.
    pub name: String,
    /// What to do.
    pub op: Op,
    /// The tensor written.
    pub output: TensorId,
}

/// The fixed-point program of a classifier.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Program {
    /// All tensors.
    pub tensors: Vec<TensorSpec>,
    /// The input image tensor, which the client holds in the clear at the start.
    pub input: TensorId,
    /// Steps in an order in which every tensor is written before it is read.
    pub steps: Vec<Step>,
    /// The logits (shape `classes` x 1 x 1), at product scale.
    pub logits: TensorId,
    /// Window of the logits for the argmax.
    pub logits_window: Window,
}

/// Private weights of the [`Op::Linear`] steps of one program, in step order.
#[derive(Clone, Default)]
pub struct Weights {
    /// One entry per linear step.
    pub linear: Vec<LinearWeights>,
}

/// Private weights of one linear step.
#[derive(Clone)]
pub struct LinearWeights {
    /// One weight array per term, ordered as [`ConvGeometry`] says.
    pub terms: Vec<Vec<i16>>,
    /// One bias per output channel, at product scale.
    pub bias: Vec<i64>,
}

fusion_ring::opaque!(Weights, LinearWeights);
