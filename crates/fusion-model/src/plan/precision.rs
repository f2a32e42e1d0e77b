//! How many bits ciphertexts and hints need, so that every window hides the noise of the linear
//! steps that it reads.
//!
//! A linear step's noise may take one unit of its reader's window ([`TAIL`] deviations of it). The
//! unit is taken back to the step's own word: shifts on the way scale it, a sum over a pooling
//! window adds the variances of its positions, and where k linear steps meet, each gets a k-th of
//! the variance.

use fusion_rlwe::Precision;
use fusion_rlwe::precision::{HINT_SHARE, MODULUS_BITS, Noise, TAIL};

use crate::program::noise::{LargestTerms, gains_into, read_gain, window_read};
use crate::program::{Op, Program, Step};

/// Keeps what is chosen here below what validation allows, whatever the order of summation.
const ROUNDING: f64 = 1.0 - 1e-9;

/// A linear step whose noise fits no window, however precise its ciphertexts are.
pub(super) struct Refusal {
    /// Its index among the linear steps.
    pub(super) linear: usize,
    /// Its index among all steps.
    pub(super) step: usize,
    /// The step whose window is too fine; the number of steps: the argmax.
    pub(super) reader: usize,
    /// The largest parts of the noise, in the unit that this step may take.
    pub(super) terms: LargestTerms,
}

/// The finest window that reads what a linear step makes.
#[derive(Clone, Copy)]
struct Budget {
    /// What [`TAIL`] deviations of its noise may be, in its own word.
    unit: f64,
    reader: usize,
}

/// Sets the widths of ciphertexts and hints of all linear steps, from their rings and row norms;
/// returns those for which there are none.
pub(super) fn set_precisions(program: &mut Program) -> Vec<Refusal> {
    let budgets = budgets(program);
    let (mut refusals, mut linear) = (Vec::new(), 0);
    for step in 0..program.steps.len() {
        let budget = budgets[program.steps[step].output.0];
        let Step { name, op, output } = &mut program.steps[step];
        let Op::Linear { row_norm, upload_bits, hint_bits, .. } = op else { continue };
        let ring = program.tensors[output.0].ring.0;
        match narrowest(ring, *row_norm, budget.unit) {
            Ok(precision) => (*upload_bits, *hint_bits) = (precision.upload_bits(), precision.hint_bits()),
            Err(noise) => {
                let terms = LargestTerms::of(std::iter::once((name.as_str(), 1.0, noise)), budget.unit);
                refusals.push(Refusal { linear, step, reader: budget.reader, terms });
            }
        }
        linear += 1;
    }
    refusals
}

/// Per tensor, the finest window that reads it.
fn budgets(program: &Program) -> Vec<Budget> {
    let meeting = meeting(program);
    let none = Budget { unit: f64::INFINITY, reader: program.steps.len() };
    let mut budgets = vec![none; program.tensors.len()];
    for reader in 0..=program.steps.len() {
        let Some((input, read)) = window_read(program, reader) else { continue };
        let unit = 2f64.powi(MODULUS_BITS.cast_signed() - read.bits.cast_signed()) * ROUNDING;
        let scale = (meeting[input.0].max(1) as f64 * read_gain(program, input, read)).sqrt();
        for (budget, gain) in budgets.iter_mut().zip(gains_into(program, input)) {
            let unit = unit / (scale * gain.sqrt());
            if unit < budget.unit {
                *budget = Budget { unit, reader };
            }
        }
    }
    budgets
}

/// Per tensor, how many noisy linear outputs an element is at most the sum of.
fn meeting(program: &Program) -> Vec<usize> {
    let mut meeting = vec![0usize; program.tensors.len()];
    for step in &program.steps {
        let mut inputs = step.op.inputs();
        inputs.sort_unstable();
        inputs.dedup();
        let parts = inputs.iter().map(|id| meeting[id.0]);
        meeting[step.output.0] = match &step.op {
            Op::Linear { .. } => 1,
            Op::Requantise { .. } | Op::Piecewise { .. } | Op::Multiply { .. } => 0,
            Op::Add { .. } => parts.fold(0, usize::saturating_add),
            Op::Concat { .. } | Op::SumPool { .. } | Op::Select { .. } | Op::Flatten { .. } => parts.max().unwrap_or(0),
        };
    }
    meeting
}

/// The least widths at which [`TAIL`] deviations of a step's noise are below `unit`: first the
/// hint, which is published once, then the ciphertexts, which travel with every image. `Err` is the
/// noise at full width, if even that is too much.
fn narrowest(ring: u32, row_norm: u32, unit: f64) -> Result<Precision, Noise> {
    let full = MODULUS_BITS;
    let noise = |upload: u32, hint: u32| Precision::new(ring, upload, hint).map(|p| (p, p.noise(f64::from(row_norm))));
    let widths = || (2..=full).rev();
    let within = |hint: u32| noise(full, hint).is_ok_and(|(_, n)| n.hint_deviation() <= HINT_SHARE * unit);
    let hint = widths().take_while(|&bits| within(bits)).last().unwrap_or(full);
    let fits = |upload: u32| noise(upload, hint).ok().filter(|(_, n)| TAIL * n.variance().sqrt() <= unit);
    match widths().map_while(fits).last() {
        Some((precision, _)) => Ok(precision),
        None => {
            let empty = Noise { errors: f64::INFINITY, upload: 0.0, masks: 0.0, hint: 0.0, key: 0.0 };
            Err(noise(full, hint).map_or(empty, |(_, n)| n))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unit(window: u32) -> f64 {
        2f64.powi(32 - window.cast_signed())
    }

    #[test]
    fn widths_of_layers_of_resnet50() {
        for (window, log_norm, upload, hint) in [(11, 11.7, 25, 19), (11, 9.7, 23, 19), (13, 11.7, 27, 21)] {
            let p = narrowest(26, 2f64.powf(log_norm) as u32, unit(window)).unwrap();
            assert_eq!((p.upload_bits(), p.hint_bits()), (upload, hint), "window {window}, norm 2^{log_norm}");
            // A deviation of 0.107 units is 9.3 deviations in one unit; one bit less does not fit.
            let deviation = |up: u32| Precision::new(26, up, hint).unwrap().noise(2f64.powf(log_norm)).variance().sqrt();
            assert!(deviation(upload) <= 0.107 * unit(window) && deviation(upload - 1) > 0.107 * unit(window));
        }
    }

    #[test]
    fn what_no_ciphertext_carries_is_refused() {
        let noise = narrowest(30, 1 << 14, unit(16)).unwrap_err();
        assert_eq!(noise.upload, 0.0);
        assert!(TAIL * noise.errors.sqrt() > unit(16));
        // The masks alone are too much for the finest windows.
        assert!(narrowest(30, 1, unit(24)).is_err());
        // A tensor that no window reads needs no precision.
        let p = narrowest(2, 1 << 20, f64::INFINITY).unwrap();
        assert_eq!((p.upload_bits(), p.hint_bits()), (2, 2));
    }
}
