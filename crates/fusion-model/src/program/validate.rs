//! Validation of a program that came from a peer.
//!
//! The program is part of a model card, and a card may come from a malicious server. Everything that reads a program (the executor,
//! the twin, the cost model) indexes, shifts and allocates by its numbers; [`Program::validate`] is what makes that safe.
//!
//! It also refuses programs whose evaluation would not be private: what a linear step gives must be
//! requantised before another linear step reads it. A client's share of a linear step is a function
//! of the secret that it encrypts under, and of whatever the server answered. Only the
//! requantisation replaces it by a share that is masked by random OTs; a linear step that read it
//! directly would have the client encrypt functions of a secret, chosen by the server, under that
//! very secret.

use fusion_rlwe::{Padding, Shape};

use super::{Op, PoolGeometry, Program, Step, TensorId, TensorSpec, Window};

/// Most steps, and most tensors, of a program.
pub const MAX_STEPS: usize = 4096;
/// Most elements of one sample of a tensor.
pub const MAX_ELEMENTS: usize = 1 << 24;
/// Most weights of a program.
pub const MAX_WEIGHTS: usize = 1 << 30;
/// Most elements of one sample of all tensors together.
const MAX_TOTAL_ELEMENTS: usize = 1 << 30;
/// Most rows and columns of an image, of a kernel, and most padding.
const MAX_SIDE: usize = 1 << 12;
/// Most channels of an image or features of a vector.
const MAX_CHANNELS: usize = 1 << 22;
/// Most inputs of one step.
const MAX_INPUTS: usize = 256;
/// Most bytes of a step's name.
const MAX_NAME: usize = 256;
/// Largest magnitude of a binary scale.
const MAX_FRAC: i32 = 64;
/// Largest planned row norm, in bits.
const MAX_ROW_NORM_BITS: u32 = 32;

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
    /// A linear step reads what another made, directly or through local steps.
    #[error("it reads the result of linear step `{linear}`, with no requantisation in between")]
    NotRequantised {
        /// Name of the step that made it.
        linear: String,
    },
}

fn within(what: &'static str, actual: usize, limit: usize) -> Result<(), ProgramError> {
    if (1..=limit).contains(&actual) { Ok(()) } else { Err(ProgramError::Size { what, actual, limit }) }
}

fn range(what: &'static str, actual: impl TryInto<i64>, least: i64, most: i64) -> Result<(), StepFault> {
    let actual = actual.try_into().unwrap_or(i64::MAX);
    if (least..=most).contains(&actual) { Ok(()) } else { Err(StepFault::Range { what, actual, least, most }) }
}

impl Program {
    /// Checks that every index is in range, every tensor is written once and before it is read, shapes, scales and widths agree, and
    /// all sizes are bounded. The evaluators assume that a program has passed.
    ///
    /// # Errors
    /// The first fault found, with the step's name.
    pub fn validate(&self) -> Result<(), ProgramError> {
        within("tensors", self.tensors.len(), MAX_STEPS)?;
        within("steps", self.steps.len(), MAX_STEPS)?;
        let mut elements = 0usize;
        for (tensor, spec) in self.tensors.iter().enumerate() {
            check_tensor(spec).map_err(|fault| ProgramError::Tensor { tensor, fault })?;
            elements += spec.shape.len();
        }
        within("elements of all tensors", elements, MAX_TOTAL_ELEMENTS)?;

        let mut written = vec![false; self.tensors.len()];
        *written
            .get_mut(self.input.0)
            .ok_or(ProgramError::Tensor { tensor: self.input.0, fault: StepFault::NoSuchTensor(self.input.0) })? = true;
        let mut weights = 0usize;
        let mut raw = vec![None; self.tensors.len()];
        for (step, s) in self.steps.iter().enumerate() {
            within("bytes of a step's name", s.name.len().max(1), MAX_NAME)?;
            let checked = self.check_step(s, &mut written).and_then(|()| self.check_requantised(step, &mut raw));
            checked.map_err(|fault| ProgramError::Step { step, name: s.name.clone(), fault })?;
            if let Op::Linear { terms, .. } = &s.op {
                weights += terms.iter().map(|t| t.geometry.weights()).sum::<usize>();
                within("weights", weights, MAX_WEIGHTS)?;
            }
        }
        if let Some(tensor) = written.iter().position(|w| !w) {
            return Err(ProgramError::Tensor { tensor, fault: StepFault::NeverWritten });
        }
        self.check_logits().map_err(ProgramError::Logits)
    }

    fn check_logits(&self) -> Result<(), StepFault> {
        let spec = self.tensors.get(self.logits.0).ok_or(StepFault::NoSuchTensor(self.logits.0))?;
        if (spec.shape.height, spec.shape.width) != (1, 1) {
            return Err(StepFault::Shape { declared: spec.shape, computed: Some(Shape::flat(spec.shape.channels)) });
        }
        range("classes", spec.shape.channels, 2, i64::from(u16::MAX))?;
        check_window(self.logits_window, self.logits, spec)
    }

    fn check_step(&self, step: &Step, written: &mut [bool]) -> Result<(), StepFault> {
        let output = *self.tensors.get(step.output.0).ok_or(StepFault::NoSuchTensor(step.output.0))?;
        match &step.op {
            Op::Linear { terms, weight_bits, row_norm_bits } => {
                range("convolutions", terms.len(), 1, MAX_INPUTS as i64)?;
                range("weight bits", *weight_bits, 2, 16)?;
                range("row norm bits", *row_norm_bits, 0, i64::from(MAX_ROW_NORM_BITS))?;
                let mut weights = 0usize;
                for term in terms {
                    let input = self.read(term.input, written)?;
                    let g = term.geometry;
                    if g.input != input.shape {
                        return Err(StepFault::Shape { declared: input.shape, computed: Some(g.input) });
                    }
                    for (what, n) in [("kernel rows", g.kernel.0), ("kernel columns", g.kernel.1), ("vertical stride", g.stride.0)] {
                        range(what, n, 1, MAX_SIDE as i64)?;
                    }
                    for (what, n) in [("horizontal stride", g.stride.1), ("dilation", g.dilation.0), ("dilation", g.dilation.1)] {
                        range(what, n, 1, MAX_SIDE as i64)?;
                    }
                    range("groups", g.groups, 1, MAX_CHANNELS as i64)?;
                    range("output channels", g.out_channels, 1, MAX_CHANNELS as i64)?;
                    check_padding(g.padding)?;
                    same_shape(output.shape, g.output())?;
                    let per_output = g.input.channels / g.groups * g.kernel.0 * g.kernel.1;
                    weights = weights.saturating_add(per_output.saturating_mul(g.out_channels));
                    range("weights", weights, 1, MAX_WEIGHTS as i64)?;
                    needs(term.input, input, output.ring.0)?;
                }
            }
            Op::Requantise { input, window, pool, activation: _ } => {
                let spec = self.read(*input, written)?;
                check_window(*window, *input, &spec)?;
                range("output ring bits", output.ring.0, i64::from(window.bits), 32)?;
                let shape = match pool {
                    Some(pool) => pooled(pool, spec.shape)?,
                    None => Some(spec.shape),
                };
                same_shape(output.shape, shape)?;
                same_scale(output.frac, spec.frac - window.shift.cast_signed())?;
            }
            Op::Add { inputs } => {
                for spec in self.shifted(inputs, &output, written)? {
                    same_shape(output.shape, Some(spec.shape))?;
                }
            }
            Op::Concat { inputs } => {
                let mut channels = 0usize;
                for spec in self.shifted(inputs, &output, written)? {
                    channels += spec.shape.channels;
                    same_shape(Shape { channels: spec.shape.channels, ..output.shape }, Some(spec.shape))?;
                }
                same_shape(output.shape, Some(Shape { channels, ..output.shape }))?;
            }
            Op::SumPool { input, pool } => {
                let spec = self.read(*input, written)?;
                same_shape(output.shape, pooled(pool, spec.shape)?)?;
                needs(*input, spec, output.ring.0)?;
                // A division by a power of two is a change of scale.
                range("change of scale", output.frac - spec.frac, 0, 24)?;
            }
            Op::Flatten { input } => {
                let spec = self.read(*input, written)?;
                same_shape(output.shape, Some(Shape::flat(spec.shape.len())))?;
                needs(*input, spec, output.ring.0)?;
                same_scale(output.frac, spec.frac)?;
            }
        }
        let slot = written.get_mut(step.output.0).ok_or(StepFault::NoSuchTensor(step.output.0))?;
        if std::mem::replace(slot, true) {
            return Err(StepFault::WrittenTwice(step.output.0));
        }
        Ok(())
    }

    /// Checks that step number `step`, if it is linear, reads nothing that a linear step made and
    /// no step requantised. `raw` has that linear step's number for every tensor written so far;
    /// the tensors of `step` are known to exist.
    fn check_requantised(&self, step: usize, raw: &mut [Option<usize>]) -> Result<(), StepFault> {
        let Step { op, output, .. } = &self.steps[step];
        let read = op.inputs().into_iter().find_map(|id| raw[id.0]);
        raw[output.0] = match op {
            Op::Linear { .. } => match read {
                Some(linear) => return Err(StepFault::NotRequantised { linear: self.steps[linear].name.clone() }),
                None => Some(step),
            },
            Op::Requantise { .. } => None,
            Op::Add { .. } | Op::Concat { .. } | Op::SumPool { .. } | Op::Flatten { .. } => read,
        };
        Ok(())
    }

    fn read(&self, id: TensorId, written: &[bool]) -> Result<TensorSpec, StepFault> {
        match written.get(id.0) {
            None => Err(StepFault::NoSuchTensor(id.0)),
            Some(false) => Err(StepFault::ReadBeforeWritten(id.0)),
            Some(true) => Ok(self.tensors[id.0]),
        }
    }

    /// Reads the inputs of a sum or a concatenation and checks shifts, rings and scales.
    fn shifted(&self, inputs: &[(TensorId, u32)], output: &TensorSpec, written: &[bool]) -> Result<Vec<TensorSpec>, StepFault> {
        range("inputs", inputs.len(), 1, MAX_INPUTS as i64)?;
        let mut specs = Vec::with_capacity(inputs.len());
        for &(id, shift) in inputs {
            let spec = self.read(id, written)?;
            range("left shift", shift, 0, 31)?;
            needs(id, spec, output.ring.0.saturating_sub(shift))?;
            same_scale(output.frac, spec.frac + shift.cast_signed())?;
            specs.push(spec);
        }
        Ok(specs)
    }
}

fn check_tensor(spec: &TensorSpec) -> Result<(), StepFault> {
    range("channels", spec.shape.channels, 1, MAX_CHANNELS as i64)?;
    range("height", spec.shape.height, 1, MAX_SIDE as i64)?;
    range("width", spec.shape.width, 1, MAX_SIDE as i64)?;
    range("elements", spec.shape.len(), 1, MAX_ELEMENTS as i64)?;
    range("ring bits", spec.ring.0, 1, 32)?;
    range("scale", spec.frac, i64::from(-MAX_FRAC), i64::from(MAX_FRAC))
}

fn check_window(window: Window, tensor: TensorId, spec: &TensorSpec) -> Result<(), StepFault> {
    range("window bits", window.bits, 2, 31)?;
    range("window shift", window.shift, 0, 31)?;
    needs(tensor, *spec, window.shift + window.bits)
}

fn check_padding(p: Padding) -> Result<(), StepFault> {
    [p.top, p.left, p.bottom, p.right].into_iter().try_for_each(|n| range("padding", n, 0, MAX_SIDE as i64))
}

fn pooled(pool: &PoolGeometry, input: Shape) -> Result<Option<Shape>, StepFault> {
    for n in [pool.kernel.0, pool.kernel.1, pool.stride.0, pool.stride.1] {
        range("pooling size", n, 1, MAX_SIDE as i64)?;
    }
    check_padding(pool.padding)?;
    Ok(pool.output(input))
}

fn same_shape(declared: Shape, computed: Option<Shape>) -> Result<(), StepFault> {
    if computed == Some(declared) { Ok(()) } else { Err(StepFault::Shape { declared, computed }) }
}

fn same_scale(declared: i32, computed: i32) -> Result<(), StepFault> {
    if declared == computed { Ok(()) } else { Err(StepFault::Scale { declared, computed }) }
}

fn needs(tensor: TensorId, spec: TensorSpec, needed: u32) -> Result<(), StepFault> {
    if spec.ring.0 >= needed { Ok(()) } else { Err(StepFault::Ring { tensor: tensor.0, needed, available: spec.ring.0 }) }
}

#[cfg(test)]
mod tests {
    use fusion_rlwe::ConvGeometry;

    use super::*;
    use crate::program::{Activation, LinearTerm, RingBits};

    /// Image 2x4x4 -> conv -> requantise with pooling -> add to itself -> flatten -> dense.
    fn program() -> Program {
        let spec = |shape, ring, frac| TensorSpec { shape, ring: RingBits(ring), frac };
        let image = Shape::new(2, 4, 4);
        let conv = ConvGeometry {
            input: image,
            out_channels: 3,
            kernel: (3, 3),
            stride: (1, 1),
            dilation: (1, 1),
            padding: Padding { top: 1, left: 1, bottom: 1, right: 1 },
            groups: 1,
        };
        let pool = PoolGeometry { kernel: (2, 2), stride: (2, 2), padding: Padding::default() };
        let step = |name: &str, op, output| Step { name: name.to_owned(), op, output: TensorId(output) };
        let linear = |input, geometry| Op::Linear {
            terms: vec![LinearTerm { input: TensorId(input), geometry }],
            weight_bits: 10,
            row_norm_bits: 9,
        };
        Program {
            tensors: vec![
                spec(image, 22, 4),
                spec(Shape::new(3, 4, 4), 22, 13),
                spec(Shape::new(3, 2, 2), 20, 4),
                spec(Shape::new(3, 2, 2), 20, 5),
                spec(Shape::flat(12), 20, 5),
                spec(Shape::flat(5), 20, 15),
            ],
            input: TensorId(0),
            steps: vec![
                step("conv", linear(0, conv), 1),
                step(
                    "pool",
                    Op::Requantise {
                        input: TensorId(1),
                        window: Window { shift: 9, bits: 13 },
                        pool: Some(pool),
                        activation: Activation::Relu,
                    },
                    2,
                ),
                step("twice", Op::Add { inputs: vec![(TensorId(2), 1), (TensorId(2), 1)] }, 3),
                step("flat", Op::Flatten { input: TensorId(3) }, 4),
                step("dense", linear(4, ConvGeometry::dense(12, 5)), 5),
            ],
            logits: TensorId(5),
            logits_window: Window { shift: 4, bits: 16 },
        }
    }

    #[test]
    fn a_valid_program_passes() {
        assert_eq!(program().validate(), Ok(()));
    }

    #[test]
    fn hostile_programs_are_refused() {
        type Change = fn(&mut Program);
        let at = |step: usize, name: &str, fault| ProgramError::Step { step, name: name.to_owned(), fault };
        let shape = Shape::new;
        let cases: Vec<(Change, ProgramError)> = vec![
            (|p| p.tensors.clear(), ProgramError::Size { what: "tensors", actual: 0, limit: MAX_STEPS }),
            (|p| p.steps.clear(), ProgramError::Size { what: "steps", actual: 0, limit: MAX_STEPS }),
            (|p| p.steps[0].name = "x".repeat(1000), ProgramError::Size { what: "bytes of a step's name", actual: 1000, limit: MAX_NAME }),
            (|p| p.input = TensorId(99), ProgramError::Tensor { tensor: 99, fault: StepFault::NoSuchTensor(99) }),
            (|p| p.logits = TensorId(99), ProgramError::Logits(StepFault::NoSuchTensor(99))),
            (|p| p.logits_window.shift = 5, ProgramError::Logits(StepFault::Ring { tensor: 5, needed: 21, available: 20 })),
            (
                |p| p.tensors[1].shape.width = usize::MAX,
                ProgramError::Tensor {
                    tensor: 1,
                    fault: StepFault::Range { what: "width", actual: i64::MAX, least: 1, most: MAX_SIDE as i64 },
                },
            ),
            (
                |p| p.tensors[1].ring.0 = 33,
                ProgramError::Tensor { tensor: 1, fault: StepFault::Range { what: "ring bits", actual: 33, least: 1, most: 32 } },
            ),
            (|p| p.tensors.push(p.tensors[0]), ProgramError::Tensor { tensor: 6, fault: StepFault::NeverWritten }),
            (|p| p.steps[1].output = TensorId(99), at(1, "pool", StepFault::NoSuchTensor(99))),
            (|p| p.steps.swap(0, 1), at(0, "pool", StepFault::ReadBeforeWritten(1))),
            (
                |p| p.steps[4].output = TensorId(0),
                at(4, "dense", StepFault::Shape { declared: shape(2, 4, 4), computed: Some(shape(5, 1, 1)) }),
            ),
            (
                |p| {
                    p.tensors[5] = p.tensors[4];
                    p.steps[4] = p.steps[3].clone();
                },
                at(4, "flat", StepFault::WrittenTwice(4)),
            ),
            (
                |p| p.tensors[1].shape.channels = 4,
                at(0, "conv", StepFault::Shape { declared: shape(4, 4, 4), computed: Some(shape(3, 4, 4)) }),
            ),
            (|p| p.tensors[0].ring.0 = 21, at(0, "conv", StepFault::Ring { tensor: 0, needed: 22, available: 21 })),
            (|p| p.tensors[2].frac = 5, at(1, "pool", StepFault::Scale { declared: 5, computed: 4 })),
            (|p| p.tensors[3].ring.0 = 22, at(2, "twice", StepFault::Ring { tensor: 2, needed: 21, available: 20 })),
        ];
        for (index, (change, expected)) in cases.into_iter().enumerate() {
            let mut bad = program();
            change(&mut bad);
            assert_eq!(bad.validate(), Err(expected), "case {index}");
        }
    }

    /// Image -> conv -> the local step of `op`, which reads the convolution last, -> flatten if
    /// need be -> dense.
    fn unrequantised(op: Op, output: Shape) -> Program {
        let mut p = program();
        let spec = |shape| TensorSpec { shape, ring: RingBits(20), frac: 13 };
        let flat = Shape::flat(output.len());
        // An activation of the convolution's shape beside it, for steps of several inputs.
        let window = Window { shift: 0, bits: 13 };
        let pure = Op::Requantise { input: TensorId(1), window, pool: None, activation: Activation::Relu };
        p.tensors.truncate(2);
        p.tensors.extend([spec(p.tensors[1].shape), spec(output), spec(flat), spec(Shape::flat(5))]);
        p.steps.truncate(1);
        let step = |name: &str, op, output| Step { name: name.to_owned(), op, output: TensorId(output) };
        let terms = vec![LinearTerm { input: TensorId(4), geometry: ConvGeometry::dense(output.len(), 5) }];
        p.steps.extend([
            step("pure", pure, 2),
            step("local", op, 3),
            step("flat", Op::Flatten { input: TensorId(3) }, 4),
            step("dense", Op::Linear { terms, weight_bits: 10, row_norm_bits: 9 }, 5),
        ]);
        p
    }

    #[test]
    fn a_linear_step_reads_no_linear_step_without_a_requantisation() {
        const POOL: PoolGeometry =
            PoolGeometry { kernel: (2, 2), stride: (2, 2), padding: Padding { top: 0, left: 0, bottom: 0, right: 0 } };
        let (image, raw, pure) = (Shape::new(3, 4, 4), TensorId(1), TensorId(2));
        let refused = |step: usize, name: &str, linear: &str| {
            let fault = StepFault::NotRequantised { linear: linear.to_owned() };
            Err(ProgramError::Step { step, name: name.to_owned(), fault })
        };
        // Every path is allowed from an activation, and refused from the convolution wherever it
        // stands among the inputs.
        type Path = fn(TensorId, TensorId) -> Op;
        let paths: [(Path, Shape); 6] = [
            (|input, _| Op::SumPool { input, pool: POOL }, Shape::new(3, 2, 2)),
            (|from, _| Op::Add { inputs: vec![(from, 0), (from, 0)] }, image),
            (|from, other| Op::Add { inputs: vec![(other, 0), (from, 0)] }, image),
            (|from, other| Op::Concat { inputs: vec![(from, 0), (other, 0)] }, Shape::new(6, 4, 4)),
            (|from, other| Op::Concat { inputs: vec![(other, 0), (from, 0)] }, Shape::new(6, 4, 4)),
            (|input, _| Op::Flatten { input }, Shape::flat(48)),
        ];
        for (index, (op, output)) in paths.into_iter().enumerate() {
            assert_eq!(unrequantised(op(pure, pure), output).validate(), Ok(()), "path {index}");
            let bad = unrequantised(op(raw, pure), output).validate();
            assert_eq!(bad, refused(4, "dense", "conv"), "path {index}");
        }

        // Directly, and as one of several convolutions of a step.
        let mut direct = unrequantised(Op::Flatten { input: pure }, Shape::flat(48));
        let geometry = ConvGeometry { input: image, ..ConvGeometry::dense(3, 3) };
        let terms = vec![LinearTerm { input: pure, geometry }, LinearTerm { input: raw, geometry }];
        direct.steps[2] =
            Step { name: "twice linear".to_owned(), op: Op::Linear { terms, weight_bits: 10, row_norm_bits: 9 }, output: TensorId(3) };
        direct.tensors[3].shape = image;
        assert_eq!(direct.validate(), refused(2, "twice linear", "conv"));
        let message = direct.validate().unwrap_err().to_string();
        assert!(message.contains("`twice linear`") && message.contains("`conv`"), "{message}");
    }

    #[test]
    fn impossible_convolutions_are_refused() {
        type Change = fn(&mut ConvGeometry);
        let changes: [Change; 8] = [
            |g| g.kernel = (0, 3),
            |g| g.kernel = (9, 9),
            |g| g.stride = (0, 1),
            |g| g.dilation = (usize::MAX, 1),
            |g| g.padding.left = usize::MAX,
            |g| g.groups = 0,
            |g| g.groups = 5,
            |g| g.out_channels = usize::MAX,
        ];
        for (index, change) in changes.into_iter().enumerate() {
            let mut bad = program();
            let Op::Linear { terms, .. } = &mut bad.steps[0].op else { panic!("the first step is linear") };
            change(&mut terms[0].geometry);
            assert!(matches!(bad.validate(), Err(ProgramError::Step { step: 0, .. })), "case {index}");
        }
    }
}
