//! The noise of linear layers, from where it arises to the windows that must hide it.
//!
//! A linear layer is evaluated on ciphertexts and nobody removes their errors: a word of its output
//! is `y * 2^(32 - l) + v`, where l is the tensor's ring and v is noise. Local steps carry v along,
//! shifts scale it, and a requantisation keeps the top bits of the word, of which v changes the
//! last by one at most if it is small beside their unit. [`Program::validate`] refuses a program in
//! which it is not.
//!
//! Variances are in squared units of the 32-bit word. Summands of different layers are
//! independent; a tensor that is added to itself is not, and its deviations add. So do those of as
//! many positions of a pooling window as a kernel may make from one ciphertext.

use std::collections::BTreeMap;
use std::fmt;

use fusion_rlwe::Precision;
use fusion_rlwe::precision::{Noise, TAIL};

use super::{Activation, Op, PoolGeometry, Program, TensorId, Window};

/// The noise at one reader of a window: a requantisation, or the argmax.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct WindowNoise {
    /// Index of the step that reads; the number of steps stands for the argmax.
    pub step: usize,
    /// The window as read: with the spare bit, where the reader uses one.
    pub read: Window,
    /// U = 2^(32 - bits read): the word's unit in the window.
    pub unit: f64,
    /// Variance of the noise in the word that is read.
    pub variance: f64,
    /// [`TAIL`] deviations in units of the window; a valid program has at most 1 everywhere.
    pub used: f64,
}

/// What a part of the noise comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoiseCause {
    /// The weights times the client's errors.
    Errors,
    /// The weights times the rounding of ciphertexts.
    Upload,
    /// Errors of the key and of the hint times ternary secrets.
    Masks,
    /// The rounding of the hint times the client's secret.
    Hint,
    /// The rounding of the client's key times the server's secret.
    Key,
}

impl fmt::Display for NoiseCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Errors => "errors",
            Self::Upload => "upload",
            Self::Masks => "masks",
            Self::Hint => "hint",
            Self::Key => "key",
        })
    }
}

/// One part of the noise at a reader.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoiseTerm {
    /// Name of the linear step that it comes from.
    pub layer: String,
    /// What makes it.
    pub cause: NoiseCause,
    /// [`TAIL`] deviations of this part, in thousandths of the window's unit.
    pub permille: u64,
}

impl fmt::Display for NoiseTerm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of `{}` {}.{:03}", self.cause, self.layer, self.permille / 1000, self.permille % 1000)
    }
}

/// The three largest parts of a reader's noise, for a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LargestTerms(pub Vec<NoiseTerm>);

impl LargestTerms {
    /// Of layers with their names and their noise in the reader's word.
    pub(crate) fn of<'a>(layers: impl Iterator<Item = (&'a str, f64, Noise)>, unit: f64) -> Self {
        let mut terms = Vec::new();
        for (layer, gain, noise) in layers {
            let parts = [
                (NoiseCause::Errors, noise.errors),
                (NoiseCause::Upload, noise.upload),
                (NoiseCause::Masks, noise.masks),
                (NoiseCause::Hint, noise.hint),
                (NoiseCause::Key, noise.key),
            ];
            for (cause, variance) in parts {
                let permille = (TAIL * (gain * variance).sqrt() / unit * 1000.0).round() as u64;
                terms.push(NoiseTerm { layer: layer.to_owned(), cause, permille });
            }
        }
        terms.sort_by_key(|term| std::cmp::Reverse(term.permille));
        terms.truncate(3);
        Self(terms)
    }
}

impl fmt::Display for LargestTerms {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, term) in self.0.iter().enumerate() {
            write!(f, "{}{term}", if index == 0 { "" } else { ", " })?;
        }
        Ok(())
    }
}

/// Variance of the noise in each tensor of a valid program.
#[must_use]
pub fn tensor_noise(program: &Program) -> Vec<f64> {
    let shared = shared_ciphertexts(program);
    let mut noise = vec![0f64; program.tensors.len()];
    for (index, step) in program.steps.iter().enumerate() {
        let carried = |id: TensorId, shift: u32| noise[id.0] * word_gain(program, id, shift, step.output);
        noise[step.output.0] = match &step.op {
            Op::Linear { .. } => linear_noise(program, index).map_or(0.0, |n| n.variance()),
            // Nothing that is made by a protocol has noise, and a product reads nothing that has.
            Op::Requantise { .. } | Op::Piecewise { .. } | Op::Multiply { .. } => 0.0,
            Op::Add { inputs } => {
                // The noise of one tensor is the same in all its copies.
                let mut deviations = BTreeMap::new();
                for &(id, shift) in inputs {
                    *deviations.entry(id).or_insert(0f64) += carried(id, shift).sqrt();
                }
                deviations.values().map(|d| d * d).sum()
            }
            Op::Concat { inputs } => inputs.iter().map(|&(id, shift)| carried(id, shift)).fold(0.0, f64::max),
            Op::SumPool { input, pool } => carried(*input, 0) * pooled_gain(pool, shared[input.0]),
            Op::Select { input, .. } | Op::Flatten { input } => carried(*input, 0),
        };
    }
    noise
}

/// By how many positions of each tensor one ciphertext's error may be shared: those that the kernel
/// of its linear layer reads it for.
fn shared_ciphertexts(program: &Program) -> Vec<usize> {
    let mut shared = vec![1usize; program.tensors.len()];
    for step in &program.steps {
        let largest = step.op.inputs().iter().map(|id| shared[id.0]).max().unwrap_or(1);
        shared[step.output.0] = match &step.op {
            Op::Linear { terms, .. } => terms.iter().map(|t| t.geometry.kernel.0 * t.geometry.kernel.1).max().unwrap_or(1),
            Op::Requantise { .. } | Op::Piecewise { .. } | Op::Multiply { .. } => 1,
            Op::SumPool { pool, .. } => largest.saturating_mul(pool.area()),
            Op::Add { .. } | Op::Concat { .. } | Op::Select { .. } | Op::Flatten { .. } => largest,
        };
    }
    shared
}

/// The largest factor from the variance of the positions of a pooling window to that of their sum,
/// where `shared` of them may have a ciphertext in common.
fn pooled_gain(pool: &PoolGeometry, shared: usize) -> f64 {
    let area = pool.area();
    area as f64 * area.min(shared) as f64
}

/// The noise at every reader of a window, in the order of steps; the argmax last.
#[must_use]
pub fn window_noise(program: &Program) -> Vec<WindowNoise> {
    let tensors = tensor_noise(program);
    let one = |step| {
        let (input, read) = window_read(program, step)?;
        let unit = 2f64.powi(32 - read.bits.cast_signed());
        let variance = tensors[input.0] * read_gain(program, input, read);
        Some(WindowNoise { step, read, unit, variance, used: TAIL * variance.sqrt() / unit })
    };
    (0..=program.steps.len()).filter_map(one).collect()
}

/// Of every linear step, in order: the standard deviation of its own noise, without that of others
/// that is added to it, in units of the window that it comes nearest to filling.
#[must_use]
pub fn linear_deviations(program: &Program) -> Vec<f64> {
    let readers: Vec<(Vec<f64>, f64)> = window_noise(program)
        .iter()
        .filter_map(|reader| {
            let (input, read) = window_read(program, reader.step)?;
            Some((gains_into(program, input), read_gain(program, input, read) / reader.unit.powi(2)))
        })
        .collect();
    let linear = program.steps.iter().enumerate().filter_map(|(index, step)| Some((step.output, linear_noise(program, index)?)));
    linear
        .map(|(output, noise)| {
            let units = readers.iter().map(|(gains, scale)| (gains[output.0] * scale * noise.variance()).sqrt());
            units.fold(0.0, f64::max)
        })
        .collect()
}

/// The tensor that step number `step` reads through a window (the number of steps: the argmax), and
/// that window with the spare bit where the reader uses it.
#[must_use]
pub fn window_read(program: &Program, step: usize) -> Option<(TensorId, Window)> {
    let (input, window, wants_headroom) = match program.steps.get(step) {
        // The argmax compares.
        None => (program.logits, program.logits_window, true),
        Some(s) => {
            match &s.op {
                Op::Requantise { input, window, pool, activation } => {
                    let widened = *activation == Activation::Signed && program.tensors[s.output.0].ring.0 > window.bits;
                    (*input, *window, pool.is_some() || widened)
                }
                // Differences from knots are compared.
                Op::Piecewise { input, window, .. } => (*input, *window, true),
                Op::Linear { .. }
                | Op::Multiply { .. }
                | Op::Add { .. }
                | Op::SumPool { .. }
                | Op::Concat { .. }
                | Op::Select { .. }
                | Op::Flatten { .. } => return None,
            }
        }
    };
    let spare = wants_headroom && window.shift + window.bits < program.tensors[input.0].ring.0;
    Some((input, Window { bits: window.bits + u32::from(spare), ..window }))
}

/// The noise of linear step number `step`, in its own output's word.
pub(crate) fn linear_noise(program: &Program, step: usize) -> Option<Noise> {
    let Op::Linear { row_norm, upload_bits, hint_bits, .. } = &program.steps[step].op else { return None };
    let ring = program.tensors[program.steps[step].output.0].ring.0;
    Precision::new(ring, *upload_bits, *hint_bits).ok().map(|p| p.noise(f64::from(*row_norm)))
}

/// The factor of a variance when a reader shifts a word to the top of its window.
pub(crate) fn read_gain(program: &Program, input: TensorId, read: Window) -> f64 {
    4f64.powi((program.tensors[input.0].ring.0 - (read.shift + read.bits)).cast_signed())
}

/// The factor of a variance when a tensor, shifted left by `shift`, becomes a part of another.
fn word_gain(program: &Program, input: TensorId, shift: u32, output: TensorId) -> f64 {
    let ring = |id: TensorId| program.tensors[id.0].ring.0.cast_signed();
    4f64.powi(shift.cast_signed() + ring(input) - ring(output))
}

/// Factors from the variance of every tensor to that of one element of `tensor`, by steps backwards
/// from the first step not to look at. A tensor that gets there in several ways adds up by its
/// deviation.
pub(crate) fn gains_into(program: &Program, tensor: TensorId) -> Vec<f64> {
    let shared = shared_ciphertexts(program);
    let mut deviations = vec![0f64; program.tensors.len()];
    deviations[tensor.0] = 1.0;
    for step in program.steps.iter().rev() {
        let output = deviations[step.output.0];
        let mut pass = |id: TensorId, shift: u32, gain: f64| {
            deviations[id.0] += output * (gain * word_gain(program, id, shift, step.output)).sqrt();
        };
        match &step.op {
            Op::Linear { .. } | Op::Requantise { .. } | Op::Piecewise { .. } | Op::Multiply { .. } => {}
            Op::Add { inputs } | Op::Concat { inputs } => inputs.iter().for_each(|&(id, shift)| pass(id, shift, 1.0)),
            Op::SumPool { input, pool } => pass(*input, 0, pooled_gain(pool, shared[input.0])),
            Op::Select { input, .. } | Op::Flatten { input } => pass(*input, 0, 1.0),
        }
    }
    deviations.iter().map(|d| d * d).collect()
}

/// The three largest parts of the noise at one reader.
pub(super) fn largest_terms(program: &Program, reader: &WindowNoise) -> LargestTerms {
    let Some((input, read)) = window_read(program, reader.step) else { return LargestTerms(Vec::new()) };
    let gains = gains_into(program, input);
    let scale = read_gain(program, input, read);
    let layers = program.steps.iter().enumerate().filter_map(|(index, step)| {
        let gain = gains[step.output.0];
        linear_noise(program, index).filter(|_| gain > 0.0).map(|noise| (step.name.as_str(), gain * scale, noise))
    });
    LargestTerms::of(layers, reader.unit)
}

#[cfg(test)]
mod tests;
