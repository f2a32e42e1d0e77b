//! How wide windows and rings must be.

use super::error::PlanError;
use crate::program::{Activation, Op, Program, RingBits, TensorId};

/// What a comparison or a signed value needs above its window.
const HEADROOM_BITS: u32 = 1;
/// Widest ring of a tensor: a word.
pub(super) const MAX_RING_BITS: u32 = 32;
/// Units that rounding and noise, one each, may add to a value or take from it, kept free at both
/// ends of a window.
pub(super) const ROUNDING_UNITS: f64 = 2.0;

/// Makes every ring as wide as its readers need.
pub(super) fn set_rings(program: &mut Program) -> Result<(), PlanError> {
    let mut needed = vec![1u32; program.tensors.len()];
    needed[program.logits.0] = program.logits_window.shift + program.logits_window.bits + HEADROOM_BITS;
    for step in program.steps.iter().rev() {
        let mut output = needed[step.output.0];
        let mut need = |id: TensorId, bits: u32| needed[id.0] = needed[id.0].max(bits);
        match &step.op {
            Op::Linear { terms, .. } => {
                // The least that a word's precision is stated for.
                output = output.max(2);
                terms.iter().for_each(|t| need(t.input, output));
            }
            Op::Requantise { input, window, pool, activation } => {
                let headroom = if pool.is_some() || *activation == Activation::Signed { HEADROOM_BITS } else { 0 };
                output = output.max(window.bits);
                need(*input, window.shift + window.bits + headroom);
            }
            Op::Piecewise { input, window, .. } => need(*input, window.shift + window.bits + HEADROOM_BITS),
            Op::Multiply { input, factor, factor_bits } => {
                output = output.max(factor_bits + 1);
                need(*input, output);
                need(*factor, *factor_bits);
            }
            Op::Add { inputs } | Op::Concat { inputs } => {
                inputs.iter().for_each(|&(id, shift)| need(id, output.saturating_sub(shift)));
            }
            Op::SumPool { input, .. } | Op::Select { input, .. } | Op::Flatten { input } => need(*input, output),
        }
        if output > MAX_RING_BITS {
            return Err(PlanError::Ring { layer: step.name.clone(), needed: output, available: MAX_RING_BITS });
        }
        program.tensors[step.output.0].ring = RingBits(output);
    }
    program.tensors[program.input.0].ring = RingBits(needed[program.input.0]);
    Ok(())
}

/// Least window width, sign included, for values of this magnitude at this scale, with so many
/// units free beside those of rounding.
pub(super) fn window_bits(magnitude: f64, frac: i32, free: u32) -> u32 {
    let units = magnitude * 2f64.powi(frac) + ROUNDING_UNITS + f64::from(free);
    // Never less than sixteen units: at a scale so coarse that values are a few units, rounding of
    // weights and inputs is as large as the values. The upper clamp covers absurd ranges, which the
    // ring check refuses.
    units.log2().ceil().clamp(4.0, 40.0) as u32 + 1
}
