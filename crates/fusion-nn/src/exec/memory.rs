//! How much memory a lane of the server takes, known from the program before it runs.

use fusion_model::program::{Op, Program, Step};
use fusion_ot::silent::ExtensionSize;
use fusion_ring::poly::fft::DEGREE;

use super::lane::last_uses;
use crate::layers::{LaneTerms, TILE};

/// Bytes of a word of a tensor.
const WORD: u64 = 4;

/// Copies of a step's largest tensor that a protocol holds beside the tensors themselves: the
/// window, its widening, the levels of a maximum and the numbers in between. Measured; linear steps
/// hold none.
const WORKING_COPIES: u64 = 7;

/// Bytes per element of a tile: its random OTs, messages and digits.
const TILE_ELEMENT: u64 = 128;

/// Bytes per coefficient of a linear step and channel: rows in limbs, transforms of masks.
const COEFFICIENT: u64 = 8;

/// Bytes of the silent extensions of both directions and of all widths together.
fn extension_bytes(size: ExtensionSize) -> u64 {
    match size {
        ExtensionSize::Small => 64 << 20,
        ExtensionSize::Medium => 128 << 20,
        ExtensionSize::Large => 256 << 20,
    }
}

/// Bytes that a lane of the server takes at its most, beside its channel:
///
/// ```text
///   most over all steps of   4 samples (live tensors + 7 largest tensor of a nonlinear step)
///                            + 128 min(samples largest, tile)      random OTs of a tile
///   + most over linear steps of   8 DEGREE (channels read + channels written)
///   + the silent extensions       64 MiB for small ones, twice that for each size above
/// ```
///
/// An estimate: a test of the crate `fusion` holds it to the memory of a process that serves a
/// lane, which takes at most that and a channel's buffers, and at least a third of it. A lane of
/// few elements, which never fills an extension, takes less.
#[must_use]
pub fn server_lane_bytes(program: &Program, samples: usize, terms: LaneTerms) -> u64 {
    let samples = samples as u64;
    let size = |index: usize| program.tensors.get(index).map_or(0, |tensor| tensor.shape.len() as u64);
    let last_use = last_uses(&program.steps, program.logits, program.tensors.len());
    let mut live = vec![false; program.tensors.len()];
    if let Some(input) = live.get_mut(program.input.0) {
        *input = true;
    }
    let (mut steps, mut linear) = (0, 0);
    for (index, step) in program.steps.iter().enumerate() {
        if let Some(output) = live.get_mut(step.output.0) {
            *output = true;
        }
        let held: u64 = live.iter().enumerate().filter(|(_, live)| **live).map(|(tensor, _)| size(tensor)).sum();
        let largest = step.op.inputs().iter().map(|id| size(id.0)).chain([size(step.output.0)]).max().unwrap_or(0);
        let elements = samples.saturating_mul(largest);
        let mut bytes = WORD.saturating_mul(samples).saturating_mul(held);
        if is_protocol(step) {
            bytes = bytes.saturating_add(WORKING_COPIES.saturating_mul(WORD).saturating_mul(elements));
            bytes = bytes.saturating_add(TILE_ELEMENT * elements.min(TILE as u64));
        }
        steps = steps.max(bytes);
        linear = linear.max(linear_bytes(program, step));
        for (live, &last) in live.iter_mut().zip(&last_use) {
            *live &= last != index;
        }
    }
    steps.saturating_add(linear).saturating_add(extension_bytes(terms.extension))
}

/// Whether a step takes oblivious transfers.
fn is_protocol(step: &Step) -> bool {
    match step.op {
        Op::Requantise { .. } | Op::Piecewise { .. } | Op::Multiply { .. } => true,
        Op::Linear { .. } | Op::Select { .. } | Op::Add { .. } | Op::SumPool { .. } | Op::Concat { .. } | Op::Flatten { .. } => false,
    }
}

fn linear_bytes(program: &Program, step: &Step) -> u64 {
    let Op::Linear { terms, .. } = &step.op else { return 0 };
    let channels = |index: usize| program.tensors.get(index).map_or(0, |tensor| tensor.shape.channels as u64);
    let read: u64 = terms.iter().map(|term| channels(term.input.0)).sum();
    COEFFICIENT * DEGREE as u64 * (read + channels(step.output.0))
}
