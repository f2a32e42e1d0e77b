//! The twin: a plaintext evaluator of a [`Program`] that computes what the two parties compute, bit
//! by bit.
//!
//! Two things are random in the protocol. One is the carry out of the bits that a requantisation
//! shifts out: the parties shift their shares separately, so the result is `floor(y / 2^d)` or one
//! more, depending on the low bits of the client's share. The other is the [noise] of
//! linear steps, which stays in their words until a requantisation shifts it out with the low bits.
//! The twin draws both ([`TruncationCarry::Random`], for accuracy figures) or fixes them. Noise is
//! drawn where a window reads it, so that a value with two readers has another at each.
//!
//! Values are exact integers between requantisations. A value that leaves its window counts as an
//! overflow of the step that requantises it, and wraps as it does in the protocol. So protocol
//! tests compare with the twin, and the twin says how good a plan is.
//!
//! Cost: an integer layer is one `f64` matrix product. That is exact as long as every sum of
//! products is below 2^53; a slow exact path takes the rest.

mod carry;
mod functions;
mod step;

pub use carry::TruncationCarry;

use self::step::{Reading, TermWeights};
use crate::noise;
use crate::program::{Op, Program, ProgramError, Step, TensorId, Weights, WeightsError};

/// Why a twin cannot be made or run.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TwinError {
    /// The program is invalid.
    #[error(transparent)]
    Program(#[from] ProgramError),
    /// The weights are not the program's.
    #[error(transparent)]
    Weights(#[from] WeightsError),
    /// A tensor handed in has the wrong length.
    #[error("tensor {tensor} has {expected} elements, got {actual}")]
    Length {
        /// Its index.
        tensor: usize,
        /// Elements of one sample.
        expected: usize,
        /// Elements given.
        actual: usize,
    },
}

/// A program with its weights, ready to be evaluated in plaintext. Can be shared between threads.
pub struct Twin<'a> {
    program: &'a Program,
    /// One entry per step; empty unless it is linear.
    weights: Vec<Vec<TermWeights<'a>>>,
    /// One entry per step; empty unless it is linear.
    bias: Vec<&'a [i64]>,
    /// One entry per step, `None` unless it reads through a window; the argmax at the end.
    readings: Vec<Option<Reading>>,
}

/// What one evaluation found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TwinRun {
    /// The logits at product scale, before their window.
    pub logits: Vec<i64>,
    /// The label: the largest logit inside the window, the lower index on ties.
    pub label: usize,
    /// Per step, the values that left its window; one more entry at the end for the logits' window.
    pub overflows: Vec<u64>,
}

impl TwinRun {
    /// Overflows of all steps.
    #[must_use]
    pub fn total_overflows(&self) -> u64 {
        self.overflows.iter().sum()
    }
}

impl<'a> Twin<'a> {
    /// Prepares a program and its weights.
    ///
    /// # Errors
    /// One of them is invalid.
    pub fn new(program: &'a Program, weights: &'a Weights) -> Result<Self, TwinError> {
        program.validate()?;
        weights.validate(program)?;
        let mut linear = weights.linear.iter();
        let mut prepared = Vec::with_capacity(program.steps.len());
        let mut bias = Vec::with_capacity(program.steps.len());
        for step in &program.steps {
            let of_step = if matches!(step.op, Op::Linear { .. }) { linear.next() } else { None };
            let rows = program.tensors[step.output.0].shape.channels;
            prepared.push(of_step.map(|w| w.terms.iter().map(|t| TermWeights::new(t, rows)).collect()).unwrap_or_default());
            bias.push(of_step.map(|w| w.bias.as_slice()).unwrap_or_default());
        }
        let mut readings = vec![None; program.steps.len() + 1];
        for reader in noise::window_noise(program) {
            let bits = match program.steps.get(reader.step).map(|s| &s.op) {
                Some(Op::Requantise { window, .. } | Op::Piecewise { window, .. }) => window.bits,
                _ => program.logits_window.bits,
            };
            readings[reader.step] = Some(Reading { bits, read: reader.read, deviation: reader.variance.sqrt() });
        }
        Ok(Self { program, weights: prepared, bias, readings })
    }

    /// The program.
    #[must_use]
    pub fn program(&self) -> &'a Program {
        self.program
    }

    /// Evaluates the program on one encoded image (see [`Program::encode`]).
    ///
    /// # Errors
    /// The image has the wrong length.
    pub fn run(&self, image: Vec<i64>, carries: &mut TruncationCarry<'_>) -> Result<TwinRun, TwinError> {
        self.visit(image, carries, |_, _, _| ())
    }

    /// Like [`Twin::run`], showing every step's result as soon as it is computed.
    ///
    /// # Errors
    /// The image has the wrong length.
    pub fn visit(
        &self,
        image: Vec<i64>,
        carries: &mut TruncationCarry<'_>,
        mut see: impl FnMut(usize, &Step, &[i64]),
    ) -> Result<TwinRun, TwinError> {
        let program = self.program;
        let mut readers = vec![0usize; program.tensors.len()];
        for step in &program.steps {
            step.op.inputs().iter().for_each(|id| readers[id.0] += 1);
        }
        readers[program.logits.0] += 1;
        let mut tensors: Vec<Option<Vec<i64>>> = vec![None; program.tensors.len()];
        tensors[program.input.0] = Some(image);
        let mut overflows = Vec::with_capacity(program.steps.len() + 1);
        for (index, step) in program.steps.iter().enumerate() {
            let inputs = step.op.inputs();
            let slices: Vec<&[i64]> = inputs.iter().map(|id| tensors[id.0].as_deref().unwrap_or_default()).collect();
            let (value, overflow) = self.step(index, &slices, carries)?;
            overflows.push(overflow);
            see(index, step, &value);
            tensors[step.output.0] = Some(value);
            for id in inputs {
                readers[id.0] -= 1;
                if readers[id.0] == 0 {
                    tensors[id.0] = None;
                }
            }
        }
        let logits = tensors[program.logits.0].take().unwrap_or_default();
        let (label, overflow) = self.label(&logits, carries);
        overflows.push(overflow);
        Ok(TwinRun { logits, label, overflows })
    }

    /// Evaluates step `index` alone, on the values of the tensors that it reads (in the order of
    /// [`Op::inputs`]); returns the result and the number of overflows. A protocol test checks each
    /// step on the values that the protocol had: where a requantisation reads noise, its result is
    /// at most one unit above that of [`TruncationCarry::Zero`] and at most two below.
    ///
    /// Inputs are taken as exact integers; where only their residues modulo the ring are known,
    /// pass the representative in `-2^(ring-1)..2^(ring-1)`.
    ///
    /// # Errors
    /// A tensor has the wrong length.
    pub fn step(&self, index: usize, inputs: &[&[i64]], carries: &mut TruncationCarry<'_>) -> Result<(Vec<i64>, u64), TwinError> {
        let step = &self.program.steps[index];
        let ids = step.op.inputs();
        for (position, id) in ids.iter().enumerate() {
            let expected = self.program.tensors[id.0].shape.len();
            let actual = inputs.get(position).map_or(0, |v| v.len());
            if actual != expected {
                return Err(TwinError::Length { tensor: id.0, expected, actual });
            }
        }
        let shape_of = |id: TensorId| self.program.tensors[id.0].shape;
        let local = match &step.op {
            Op::Linear { terms, .. } => {
                let output = shape_of(step.output);
                step::linear(terms, &self.weights[index], self.bias[index], inputs, output)
            }
            Op::Requantise { input, window, pool, activation } => {
                let reading = self.readings[index].unwrap_or(Reading::exact(*window));
                return Ok(step::requantise(inputs[0], shape_of(*input), reading, pool.as_ref(), *activation, carries));
            }
            Op::Piecewise { window, function, .. } => {
                let reading = self.readings[index].unwrap_or(Reading::exact(*window));
                return Ok(functions::piecewise(inputs[0], reading, function, carries));
            }
            Op::Multiply { factor_bits, .. } => return Ok(functions::multiply(inputs[0], inputs[1], *factor_bits)),
            Op::Select { input, channels } => functions::select(inputs[0], shape_of(*input).area(), channels),
            Op::Add { inputs: parts } => step::add(parts, inputs),
            Op::SumPool { input, pool } => step::sum_pool(pool, shape_of(*input), inputs[0]),
            Op::Concat { inputs: parts } => step::concat(parts, inputs),
            Op::Flatten { .. } => inputs[0].to_vec(),
        };
        Ok((local, 0))
    }

    /// The logits as the argmax reads them through their window, and the number of overflows.
    #[must_use]
    pub fn windowed_logits(&self, logits: &[i64], carries: &mut TruncationCarry<'_>) -> (Vec<i64>, u64) {
        let reading = self.readings.last().copied().flatten().unwrap_or(Reading::exact(self.program.logits_window));
        step::window(logits, reading, carries)
    }

    /// The argmax inside the logits' window, the lower index on ties, and the number of overflows.
    #[must_use]
    pub fn label(&self, logits: &[i64], carries: &mut TruncationCarry<'_>) -> (usize, u64) {
        let (windowed, overflows) = self.windowed_logits(logits, carries);
        let mut best = 0;
        for (index, &value) in windowed.iter().enumerate() {
            if value > windowed[best] {
                best = index;
            }
        }
        (best, overflows)
    }
}
