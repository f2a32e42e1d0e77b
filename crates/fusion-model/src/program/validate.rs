//! Validation of a program that came from a peer.
//!
//! The program is part of a model card, and a card may come from a malicious server. Everything
//! that reads a program (the executor, the twin, the cost model) indexes, shifts and allocates by
//! its numbers; [`Program::validate`] makes that safe.
//!
//! It refuses a program whose windows do not hide the noise of its linear steps, since its results
//! would be noise. It also refuses programs in which a linear step reads what another gave without
//! a requantisation between them: noise that is multiplied by weights once more is no longer small.
//! (That is not what keeps the client's secrets apart. A malicious server can make a requantisation
//! hand on what it got; they are apart because every layer has its own.)

use fusion_rlwe::{Padding, Shape};

use super::error::{ProgramError, StepFault};
use super::noise;
use super::{Activation, COARSE_BITS, Op, Piecewise, PoolGeometry, Program, Step, TensorId, TensorSpec, Window};

/// Most steps, and most tensors, of a program.
const MAX_STEPS: usize = 4096;
/// Most elements of one sample of a tensor.
const MAX_ELEMENTS: usize = 1 << 24;
/// Most weights of a program.
const MAX_WEIGHTS: usize = 1 << 30;
/// Most elements of one sample of all tensors together.
const MAX_TOTAL_ELEMENTS: usize = 1 << 30;
/// Most rows and columns of an image, of a kernel, and most padding.
const MAX_SIDE: usize = 1 << 12;
/// Most channels of an image or features of a vector.
const MAX_CHANNELS: usize = 1 << 22;
/// Most positions of a plane that all windows of a pooling read together.
const MAX_POOL_READS: i64 = 1 << 21;
/// Most such positions of all poolings of a program: their schedules are made before anything runs.
const MAX_TOTAL_POOL_READS: usize = 1 << 22;
/// Most inputs of one step.
const MAX_INPUTS: usize = 256;
/// Most bytes of a step's name.
const MAX_NAME: usize = 256;
/// Largest magnitude of a binary scale.
const MAX_FRAC: i32 = 64;
/// Largest planned row norm.
const MAX_ROW_NORM: i64 = 1 << 31;

fn within(what: &'static str, actual: usize, limit: usize) -> Result<(), ProgramError> {
    if (1..=limit).contains(&actual) { Ok(()) } else { Err(ProgramError::Size { what, actual, limit }) }
}

fn range(what: &'static str, actual: impl TryInto<i64>, least: i64, most: i64) -> Result<(), StepFault> {
    let actual = actual.try_into().unwrap_or(i64::MAX);
    if (least..=most).contains(&actual) { Ok(()) } else { Err(StepFault::Range { what, actual, least, most }) }
}

impl Program {
    /// Checks that every index is in range, every tensor is written once and before it is read,
    /// shapes, scales and widths agree, and all sizes are bounded. The evaluators assume that a
    /// program has passed.
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
        let (mut weights, mut reads) = (0usize, 0usize);
        let mut raw = vec![None; self.tensors.len()];
        for (step, s) in self.steps.iter().enumerate() {
            // Names are shown to people, and a card comes from a stranger.
            let can_be_shown = !s.name.chars().any(char::is_control);
            within("bytes of a step's name", s.name.len().max(1), MAX_NAME)?;
            within("a step's name without control characters", usize::from(can_be_shown), 1)?;
            let checked = self.check_step(s, &mut written).and_then(|()| self.check_requantised(step, &mut raw));
            checked.map_err(|fault| ProgramError::Step { step, name: s.name.clone(), fault })?;
            reads += self.pool_reads(s);
            within("positions read by all poolings", reads.max(1), MAX_TOTAL_POOL_READS)?;
            if let Op::Linear { terms, .. } = &s.op {
                weights += terms.iter().map(|t| t.geometry.weights()).sum::<usize>();
                within("weights", weights, MAX_WEIGHTS)?;
            }
        }
        if let Some(tensor) = written.iter().position(|w| !w) {
            return Err(ProgramError::Tensor { tensor, fault: StepFault::NeverWritten });
        }
        self.check_logits().map_err(ProgramError::Logits)?;
        self.check_noise()
    }

    /// Positions that the windows of a checked step's pooling read.
    fn pool_reads(&self, step: &Step) -> usize {
        let pool = match &step.op {
            Op::Requantise { pool, .. } => pool.as_ref(),
            Op::SumPool { pool, .. } => Some(pool),
            Op::Linear { .. }
            | Op::Add { .. }
            | Op::Concat { .. }
            | Op::Piecewise { .. }
            | Op::Multiply { .. }
            | Op::Select { .. }
            | Op::Flatten { .. } => None,
        };
        pool.map_or(0, |pool| self.tensors[step.output.0].shape.area().saturating_mul(pool.area()))
    }

    fn check_noise(&self) -> Result<(), ProgramError> {
        match noise::window_noise(self).iter().find(|reader| reader.used > 1.0) {
            None => Ok(()),
            Some(reader) => {
                let name = self.steps.get(reader.step).map_or("logits", |s| s.name.as_str()).to_owned();
                Err(ProgramError::Noise { step: reader.step, name, terms: noise::largest_terms(self, reader) })
            }
        }
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
            Op::Linear { terms, weight_bits, row_norm, upload_bits, hint_bits } => {
                range("convolutions", terms.len(), 1, MAX_INPUTS as i64)?;
                range("weight bits", *weight_bits, 2, 16)?;
                range("row norm", *row_norm, 0, MAX_ROW_NORM)?;
                range("upload bits", *upload_bits, 2, 32)?;
                range("hint bits", *hint_bits, 2, 32)?;
                range("ring bits of a linear step", output.ring.0, 2, 32)?;
                let mut weights = 0usize;
                for term in terms {
                    let input = self.read(term.input, written)?;
                    let g = term.geometry;
                    if g.input != input.shape {
                        return Err(StepFault::Shape { declared: input.shape, computed: Some(g.input) });
                    }
                    for (what, size) in [("kernel size", g.kernel), ("stride", g.stride), ("dilation", g.dilation)] {
                        range(what, size.0.min(size.1), 1, MAX_SIDE as i64)?;
                        range(what, size.0.max(size.1), 1, MAX_SIDE as i64)?;
                    }
                    range("groups", g.groups, 1, MAX_CHANNELS as i64)?;
                    // A layer has one number of them.
                    range("groups", g.groups, terms[0].geometry.groups as i64, terms[0].geometry.groups as i64)?;
                    range("output channels", g.out_channels, 1, MAX_CHANNELS as i64)?;
                    check_padding(g.padding)?;
                    same_shape(output.shape, g.output())?;
                    let per_output = g.input.channels / g.groups * g.kernel.0 * g.kernel.1;
                    weights = weights.saturating_add(per_output.saturating_mul(g.out_channels));
                    range("weights", weights, 1, MAX_WEIGHTS as i64)?;
                    needs(term.input, input, output.ring.0)?;
                }
            }
            Op::Requantise { input, window, pool, activation } => {
                let spec = self.read(*input, written)?;
                check_window(*window, *input, &spec)?;
                check_activation(*activation, *window)?;
                range("output ring bits", output.ring.0, i64::from(window.bits), 32)?;
                let shape = match pool {
                    Some(pool) => pooled(pool, spec.shape)?,
                    None => Some(spec.shape),
                };
                same_shape(output.shape, shape)?;
                same_scale(output.frac, spec.frac - window.shift.cast_signed())?;
            }
            Op::Add { inputs } => {
                let parts = self.shifted(inputs, &output, written)?;
                parts.iter().try_for_each(|spec| same_shape(output.shape, Some(spec.shape)))?;
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
            Op::Piecewise { input, window, function } => self.check_piecewise(*input, *window, function, &output, written)?,
            Op::Multiply { input, factor, factor_bits } => self.check_product(*input, *factor, *factor_bits, &output, written)?,
            Op::Select { input, channels } => self.check_selection(*input, channels, &output, written)?,
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

    fn check_piecewise(
        &self,
        input: TensorId,
        window: Window,
        function: &Piecewise,
        output: &TensorSpec,
        written: &[bool],
    ) -> Result<(), StepFault> {
        let spec = self.read(input, written)?;
        check_window(window, input, &spec)?;
        // The sign of a difference needs one bit more, and one is kept for the sum.
        range("bits of a window that a function reads", window.bits, 2, 29)?;
        if !function.fits(window) {
            return Err(StepFault::Function { window_bits: window.bits });
        }
        same_shape(output.shape, Some(spec.shape))?;
        same_scale(output.frac, spec.frac - window.shift.cast_signed() + function.fraction.cast_signed())
    }

    fn check_product(
        &self,
        input: TensorId,
        factor: TensorId,
        factor_bits: u32,
        output: &TensorSpec,
        written: &[bool],
    ) -> Result<(), StepFault> {
        let (spec, other) = (self.read(input, written)?, self.read(factor, written)?);
        same_shape(output.shape, Some(spec.shape))?;
        if other.shape != Shape::flat(spec.shape.channels) {
            same_shape(spec.shape, Some(other.shape))?;
        }
        range("bits of a product", output.ring.0, 4, 31)?;
        range("bits of a factor", factor_bits, 3, i64::from(output.ring.0) - 1)?;
        needs(factor, other, factor_bits)?;
        needs(input, spec, output.ring.0)?;
        same_scale(output.frac, spec.frac + other.frac)
    }

    fn check_selection(&self, input: TensorId, channels: &[Option<usize>], output: &TensorSpec, written: &[bool]) -> Result<(), StepFault> {
        let spec = self.read(input, written)?;
        range("channels selected", channels.len(), 1, MAX_CHANNELS as i64)?;
        channels.iter().flatten().try_for_each(|&channel| range("channel", channel, 0, spec.shape.channels as i64 - 1))?;
        same_shape(output.shape, Some(Shape { channels: channels.len(), ..spec.shape }))?;
        needs(input, spec, output.ring.0)?;
        same_scale(output.frac, spec.frac)
    }

    /// Checks that step number `step`, if it is linear or a product, reads nothing that a linear
    /// step made and no step requantised. `raw` has that linear step's number for every tensor
    /// written so far; the tensors of `step` are known to exist.
    fn check_requantised(&self, step: usize, raw: &mut [Option<usize>]) -> Result<(), StepFault> {
        let Step { op, output, .. } = &self.steps[step];
        let read = op.inputs().into_iter().find_map(|id| raw[id.0]);
        raw[output.0] = match op {
            Op::Linear { .. } | Op::Multiply { .. } => match read {
                Some(linear) => return Err(StepFault::NotRequantised { linear: self.steps[linear].name.clone() }),
                None => matches!(op, Op::Linear { .. }).then_some(step),
            },
            Op::Requantise { .. } | Op::Piecewise { .. } => None,
            Op::Add { .. } | Op::Concat { .. } | Op::SumPool { .. } | Op::Select { .. } | Op::Flatten { .. } => read,
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

fn check_activation(activation: Activation, window: Window) -> Result<(), StepFault> {
    if activation.fits(window.bits) {
        return Ok(());
    }
    if let Activation::Clip { ceiling } = activation {
        return range("ceiling of a clip", ceiling, 1, (1 << (window.bits - 1)) - 1);
    }
    let most = (i64::from(window.bits) - 3).min(i64::from(*COARSE_BITS.end()));
    range("bits left out of a comparison", activation.left_out(), i64::from(*COARSE_BITS.start()), most)
}

fn check_window(window: Window, tensor: TensorId, spec: &TensorSpec) -> Result<(), StepFault> {
    // One more bit may be read, and a share has at most 31.
    range("window bits", window.bits, 2, 30)?;
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
    let output = pool.output(input);
    // The schedule of a maximum lists them all.
    let reads = output.map_or(0, |shape| shape.area().saturating_mul(pool.area()));
    range("positions read by a pooling", reads, 0, MAX_POOL_READS)?;
    Ok(output)
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
mod tests;
