//! Why a program is refused.

use fusion_rlwe::Shape;

use super::noise::LargestTerms;

/// Why a program cannot be evaluated. Whoever made the program is at fault.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProgramError {
    /// Something is larger than any supported program needs.
    #[error("{what}: {actual} is outside 1..={limit}")]
    Size {
        /// What was counted.
        what: &'static str,
        /// How many there are.
        actual: usize,
        /// How many there may be.
        limit: usize,
    },
    /// A tensor's own facts are impossible.
    #[error("tensor {tensor}: {fault}")]
    Tensor {
        /// Its index.
        tensor: usize,
        /// What is wrong.
        fault: StepFault,
    },
    /// A step does not fit its tensors.
    #[error("step {step} `{name}`: {fault}")]
    Step {
        /// Its index.
        step: usize,
        /// Its name.
        name: String,
        /// What is wrong.
        fault: StepFault,
    },
    /// The logits cannot be compared.
    #[error("logits: {0}")]
    Logits(StepFault),
    /// The noise of linear steps reaches beyond the last bit that a window keeps.
    #[error("step {step} `{name}` reads noise above one unit of its window; the largest parts, in units: {terms}")]
    Noise {
        /// Index of the step that reads; the number of steps stands for the argmax.
        step: usize,
        /// Its name.
        name: String,
        /// What the noise is made of.
        terms: LargestTerms,
    },
}

/// What is wrong with a step or a tensor.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StepFault {
    /// An index beyond the last tensor.
    #[error("there is no tensor {0}")]
    NoSuchTensor(usize),
    /// A tensor is read that no earlier step has written.
    #[error("tensor {0} is read before it is written")]
    ReadBeforeWritten(usize),
    /// A tensor has two sources.
    #[error("tensor {0} is written twice")]
    WrittenTwice(usize),
    /// A tensor that no step writes.
    #[error("it is never written")]
    NeverWritten,
    /// A number outside its range.
    #[error("{what} = {actual} is outside {least}..={most}")]
    Range {
        /// The number's name.
        what: &'static str,
        /// Its value.
        actual: i64,
        /// Smallest allowed.
        least: i64,
        /// Largest allowed.
        most: i64,
    },
    /// The output's declared shape is not the computed one (`None`: the geometry is impossible).
    #[error("shape is {declared:?}, computed {computed:?}")]
    Shape {
        /// From the tensor table.
        declared: Shape,
        /// From the inputs.
        computed: Option<Shape>,
    },
    /// The output's ring is wider than what the input's shares determine.
    #[error("needs {needed} bits of tensor {tensor}, whose ring has {available}")]
    Ring {
        /// The input.
        tensor: usize,
        /// Bits needed.
        needed: u32,
        /// Bits there.
        available: u32,
    },
    /// The output's scale is not the one that the inputs imply.
    #[error("scale is 2^{declared}, computed 2^{computed}")]
    Scale {
        /// From the tensor table.
        declared: i32,
        /// From the inputs.
        computed: i32,
    },
    /// A function that is not one of the window's numbers, or that no protocol evaluates.
    #[error("its function has too many knots, knots out of order or outside the window of {window_bits} bits, or slopes out of range")]
    Function {
        /// Bits of the window.
        window_bits: u32,
    },
    /// A linear step reads what another made, directly or through local steps.
    #[error("it reads the result of linear step `{linear}`, with no requantisation in between")]
    NotRequantised {
        /// Name of the step that made it.
        linear: String,
    },
}
