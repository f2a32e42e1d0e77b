//! The places of a network where widths are chosen, with what every width costs there.

use std::ops::RangeInclusive;

use fusion_model::calibrate::Ranges;
use fusion_model::graph::{Graph, NodeId};
use fusion_model::plan::{PlanBits, PlanOptions, Sensitivities, Sensitivity, plan};
use fusion_model::program::{Op, Program, RingBits, Step, Window};
use fusion_nn::cost::{StepCost, predict, silent_bytes};
use fusion_nn::layers::{Cut, LaneTerms, Requantise};

use crate::error::Error;

/// Samples of a lane for which bytes are predicted.
pub(super) const LANE_SAMPLES: usize = 8;
/// Widths of windows to choose from, bits.
const WINDOWS: RangeInclusive<u32> = 9..=15;
/// Bits of weights to choose from.
const WEIGHTS: RangeInclusive<u32> = 8..=14;
/// Window and weight bits of the plan that costs are taken from: one in the middle.
const REFERENCE: (u32, u32) = (12, 11);

/// What one width costs, and what it does to the logits.
#[derive(Clone, Copy)]
struct Choice {
    bits: u32,
    /// Bytes per sample, up to what all widths have in common.
    bytes: f64,
    /// Variance of a logit.
    variance: f64,
}

/// One place, by the node of the graph that is rounded there.
struct Place {
    node: NodeId,
    choices: Vec<Choice>,
}

impl Place {
    fn best(&self, multiplier: f64) -> Option<u32> {
        let value = |choice: &Choice| choice.bytes + multiplier * choice.variance;
        self.choices.iter().min_by(|a, b| value(a).total_cmp(&value(b))).map(|choice| choice.bits)
    }

    fn variance(&self, bits: u32) -> f64 {
        self.choices.iter().find(|choice| choice.bits == bits).map_or(0.0, |choice| choice.variance)
    }
}

/// All places.
pub(super) struct Places {
    windows: Vec<Place>,
    weights: Vec<Place>,
}

impl Places {
    /// # Errors
    /// The network has no plan at [`REFERENCE`].
    pub(super) fn new(graph: &Graph, ranges: &Ranges, margin: f64, sensitivities: &Sensitivities) -> Result<Self, Error> {
        let options = PlanOptions { window_bits: REFERENCE.0, weight_bits: REFERENCE.1, margin };
        let (program, _) = plan(graph, ranges, &options)?;
        let coefficients = coefficients(&program)?;
        let producers = producers(&program);
        let window_bytes = |step: usize, bits: u32| {
            let Op::Requantise { input, .. } = &program.steps[step].op else { return None };
            // A bit of the window is a bit of every ciphertext coefficient of what it reads.
            let uploaded: f64 = producers[input.0].iter().map(|&linear| coefficients[linear]).sum();
            Some(requantise_bytes(&program, step, bits)? + uploaded * f64::from(bits) / 8.0)
        };
        let weight_bytes = |step: usize, bits: u32| {
            let Op::Linear { terms, .. } = &program.steps[step].op else { return None };
            // So is a bit of the weights, and one of the rings that their inputs are widened to.
            let widened: usize = terms.iter().map(|term| term.geometry.input.len()).sum();
            Some((coefficients[step] + widened as f64) * f64::from(bits) / 8.0)
        };
        let readers = program.steps.iter().enumerate().filter(|(_, step)| step.op.inputs().contains(&program.input));
        let read: f64 = readers.map(|(step, _)| coefficients[step]).sum();
        let image = |bits: u32| Choice { bits, bytes: read * f64::from(bits) / 8.0, variance: sensitivities.input.at(bits) };
        let mut windows = places(&program, &sensitivities.windows, WINDOWS, &window_bytes);
        windows.push(Place { node: sensitivities.input.node, choices: WINDOWS.map(image).collect() });
        Ok(Self { windows, weights: places(&program, &sensitivities.weights, WEIGHTS, &weight_bytes) })
    }

    /// The widths of least bytes plus `multiplier` times the variance.
    pub(super) fn best(&self, graph: &Graph, multiplier: f64) -> PlanBits {
        let mut bits = PlanBits::uniform(graph, REFERENCE.0, REFERENCE.1);
        for (places, bits) in [(&self.windows, &mut bits.windows), (&self.weights, &mut bits.weights)] {
            for place in places {
                bits[place.node.0] = place.best(multiplier).unwrap_or(bits[place.node.0]);
            }
        }
        bits
    }

    /// The variance of a logit with these widths.
    pub(super) fn variance(&self, bits: &PlanBits) -> f64 {
        let sum = |places: &[Place], bits: &[u32]| places.iter().map(|place| place.variance(bits[place.node.0])).sum::<f64>();
        sum(&self.windows, &bits.windows) + sum(&self.weights, &bits.weights)
    }

    /// The narrowest and the widest window, then the same of weights.
    pub(super) fn extent(&self, bits: &PlanBits) -> [(u32, u32); 2] {
        [(&self.windows, &bits.windows), (&self.weights, &bits.weights)].map(|(places, bits)| {
            let widths = || places.iter().map(|place| bits[place.node.0]);
            (widths().min().unwrap_or(0), widths().max().unwrap_or(0))
        })
    }
}

/// The places of one kind; `bytes` is what a width costs at a step.
fn places(
    program: &Program,
    sensitivities: &[Sensitivity],
    widths: RangeInclusive<u32>,
    bytes: &dyn Fn(usize, u32) -> Option<f64>,
) -> Vec<Place> {
    let place = |s: &Sensitivity| {
        let step = program.steps.iter().position(|step| step.name == s.step)?;
        let choice = |bits: u32| Some(Choice { bits, bytes: bytes(step, bits)?, variance: s.at(bits) });
        Some(Place { node: s.node, choices: widths.clone().filter_map(choice).collect() })
    };
    sensitivities.iter().filter_map(place).collect()
}

/// Per step, the ciphertext coefficients of a sample.
fn coefficients(program: &Program) -> Result<Vec<f64>, Error> {
    let cost = predict(program, LANE_SAMPLES, LaneTerms::LONG_LINK)?;
    let of = |(step, cost): (&Step, &StepCost)| match &step.op {
        Op::Linear { upload_bits, .. } => cost.client_to_server as f64 * 8.0 / f64::from(*upload_bits) / LANE_SAMPLES as f64,
        Op::Requantise { .. } | Op::Add { .. } | Op::Concat { .. } | Op::SumPool { .. } | Op::Flatten { .. } => 0.0,
    };
    Ok(program.steps.iter().zip(&cost.steps).map(of).collect())
}

/// Per tensor, the linear steps whose outputs its elements are sums of.
fn producers(program: &Program) -> Vec<Vec<usize>> {
    let mut producers: Vec<Vec<usize>> = vec![Vec::new(); program.tensors.len()];
    for (index, step) in program.steps.iter().enumerate() {
        producers[step.output.0] = match &step.op {
            Op::Linear { .. } => vec![index],
            Op::Requantise { .. } => Vec::new(),
            Op::Add { .. } | Op::Concat { .. } | Op::SumPool { .. } | Op::Flatten { .. } => {
                step.op.inputs().iter().flat_map(|id| producers[id.0].clone()).collect()
            }
        };
    }
    producers
}

/// Bytes of a requantisation per sample if its window had `bits` bits below the same top.
fn requantise_bytes(program: &Program, step: usize, bits: u32) -> Option<f64> {
    let Step { op: Op::Requantise { input, window, pool, activation }, output, .. } = &program.steps[step] else { return None };
    let (spec, output) = (program.tensors[input.0], program.tensors[output.0]);
    let shift = (window.shift + window.bits).checked_sub(bits)?;
    let output = RingBits(output.ring.0.max(bits));
    let requantise = Requantise::new(spec.shape, spec.ring, Window { shift, bits }, pool.as_ref(), *activation, output).ok()?;
    let cost = requantise.cost(LANE_SAMPLES, Cut::from(LaneTerms::LONG_LINK.split));
    Some((cost.bytes() as f64 + silent_bytes(cost.binary_ots, cost.m_ary_ots, LaneTerms::LONG_LINK.extension)) / LANE_SAMPLES as f64)
}
