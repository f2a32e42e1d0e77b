//! What the formulas say of a run's bytes, per sample and over the lanes that it was cut into.

use std::collections::BTreeMap;
use std::ops::Range;

use anyhow::Result;
use fusion_model::program::Program;
use fusion_nn::cost::{Prediction, StepCost, predict, silent_bytes};
use fusion_nn::layers::{LaneTerms, Phase};

/// Predicted bytes per sample, both directions, lane set-up apart.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Predicted {
    /// All of it.
    pub(crate) total: f64,
    /// By phase; activation stands for activation and pooling, whose formulas come as one.
    pub(crate) by_phase: BTreeMap<&'static str, f64>,
    /// Step by step, the opening last, random OTs included.
    pub(crate) steps: Vec<f64>,
}

impl Predicted {
    /// Predicts `program` on lanes of these slices and `terms`.
    ///
    /// # Errors
    /// A step that cannot be run (named).
    pub(crate) fn new(program: &Program, slices: &[Range<u32>], terms: LaneTerms) -> Result<Self> {
        let samples = slices.iter().map(Range::len).sum::<usize>().max(1) as f64;
        let mut lanes: BTreeMap<usize, (f64, Prediction)> = BTreeMap::new();
        for slice in slices {
            match lanes.get_mut(&slice.len()) {
                Some((count, _)) => *count += 1.0,
                None => drop(lanes.insert(slice.len(), (1.0, predict(program, slice.len(), terms)?))),
            }
        }
        let mut all = Self::default();
        for (count, lane) in lanes.values() {
            let weight = count / samples;
            let phases = lane.by_phase();
            all.total += weight * lane.bytes() as f64;
            for (phase, bytes) in [
                (Phase::Linear, phases.linear),
                (Phase::RandomOt, phases.random_ot),
                (Phase::Activation, phases.requantise),
                (Phase::Argmax, phases.argmax),
            ] {
                *all.by_phase.entry(phase.name()).or_default() += weight * bytes as f64;
            }
            all.steps.resize(lane.steps.len(), 0.0);
            all.steps.iter_mut().zip(&lane.steps).for_each(|(sum, step)| *sum += weight * bytes(step, terms));
        }
        Ok(all)
    }
}

/// Bytes of a step with the random OTs that it uses up.
fn bytes(step: &StepCost, terms: LaneTerms) -> f64 {
    (step.client_to_server + step.server_to_client) as f64 + silent_bytes(step.binary_ots, step.m_ary_ots, terms.extension)
}
