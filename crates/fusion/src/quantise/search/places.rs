//! The places of a network where widths are chosen, with what every width costs there.

use std::ops::RangeInclusive;

use fusion_model::calibrate::Ranges;
use fusion_model::graph::{Graph, NodeId};
use fusion_model::plan::{PlanBits, PlanOptions, Sensitivities, Sensitivity, plan};
use fusion_model::program::{Activation, Op, Program, RingBits, Step, Window};
use fusion_nn::cost::{StepCost, predict, silent_bytes};
use fusion_nn::layers::{Cut, LaneTerms, Requantise};

use crate::error::Error;

/// Samples of a lane for which bytes are predicted.
pub(super) const LANE_SAMPLES: usize = 8;
/// Widths of windows to choose from, bits.
const WINDOWS: RangeInclusive<u32> = 9..=15;
/// Bits that the comparison of a ReLU may leave out: exact with one.
const LEFT_OUT: RangeInclusive<u32> = 1..=4;
/// Bits of weights to choose from.
const WEIGHTS: RangeInclusive<u32> = 8..=14;
/// Window and weight bits of the plan that costs are taken from: one in the middle.
const REFERENCE: (u32, u32) = (12, 11);

/// What one width costs, and what it does to the logits.
#[derive(Clone, Copy)]
struct Choice {
    bits: u32,
    /// Bits left out of a comparison, if there is one.
    left_out: u32,
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
    fn best(&self, multiplier: f64) -> Option<&Choice> {
        let value = |choice: &Choice| choice.bytes + multiplier * choice.variance;
        self.choices.iter().min_by(|a, b| value(a).total_cmp(&value(b)))
    }

    fn variance(&self, bits: u32, left_out: u32) -> f64 {
        let same = |choice: &&Choice| (choice.bits, choice.left_out) == (bits, left_out);
        self.choices.iter().find(same).map_or(0.0, |choice| choice.variance)
    }
}

/// All places.
pub(super) struct Places {
    windows: Vec<Place>,
    weights: Vec<Place>,
}

impl Places {
    /// Coarse ReLUs are among the choices unless `exact_signs`.
    ///
    /// # Errors
    /// The network has no plan at [`REFERENCE`].
    pub(super) fn new(
        graph: &Graph,
        ranges: &Ranges,
        margin: f64,
        sensitivities: &Sensitivities,
        exact_signs: bool,
    ) -> Result<Self, Error> {
        let options = PlanOptions { window_bits: REFERENCE.0, weight_bits: REFERENCE.1, margin, ..PlanOptions::default() };
        let (program, _) = plan(graph, ranges, &options)?;
        let coefficients = coefficients(&program)?;
        let producers = producers(&program);
        let window_bytes = |step: usize, bits: u32, left_out: u32| {
            let Op::Requantise { input, .. } = &program.steps[step].op else { return None };
            // A bit of the window is a bit of every ciphertext coefficient of what it reads.
            let uploaded: f64 = producers[input.0].iter().map(|&linear| coefficients[linear]).sum();
            Some(requantise_bytes(&program, step, bits, left_out)? + uploaded * f64::from(bits) / 8.0)
        };
        let weight_bytes = |step: usize, bits: u32| {
            let Op::Linear { terms, .. } = &program.steps[step].op else { return None };
            // So is a bit of the weights, and one of the rings that their inputs are widened to.
            let widened: usize = terms.iter().map(|term| term.geometry.input.len()).sum();
            Some((coefficients[step] + widened as f64) * f64::from(bits) / 8.0)
        };
        let readers = program.steps.iter().enumerate().filter(|(_, step)| step.op.inputs().contains(&program.input));
        let read: f64 = readers.map(|(step, _)| coefficients[step]).sum();
        let exact = |bits: u32, bytes: f64, s: &Sensitivity| Choice { bits, left_out: 1, bytes, variance: s.at(bits) };
        let windows = sensitivities.windows.iter().map(|s| {
            let sign = sensitivities.signs.iter().find(|sign| sign.node == s.node && !exact_signs);
            place(&program, s, &|step| {
                let all = WINDOWS.flat_map(|bits| LEFT_OUT.map(move |left_out| (bits, left_out)));
                let allowed = all.filter(|&(_, left_out)| left_out == 1 || sign.is_some());
                let choice = |(bits, left_out)| {
                    let coarse = sign.map_or(0.0, |sign| sign.at(bits, left_out));
                    Some(Choice { bits, left_out, bytes: window_bytes(step, bits, left_out)?, variance: s.at(bits) + coarse })
                };
                allowed.filter_map(choice).collect()
            })
        });
        let image = &sensitivities.input;
        let image = Place { node: image.node, choices: WINDOWS.map(|bits| exact(bits, read * f64::from(bits) / 8.0, image)).collect() };
        let weights = sensitivities
            .weights
            .iter()
            .map(|s| place(&program, s, &|step| WEIGHTS.filter_map(|bits| Some(exact(bits, weight_bytes(step, bits)?, s))).collect()));
        Ok(Self { windows: windows.flatten().chain([image]).collect(), weights: weights.flatten().collect() })
    }

    /// The widths of least bytes plus `multiplier` times the variance.
    pub(super) fn best(&self, graph: &Graph, multiplier: f64) -> PlanBits {
        let mut bits = PlanBits::uniform(graph, REFERENCE.0, REFERENCE.1);
        for (node, best) in self.windows.iter().filter_map(|place| Some((place.node.0, place.best(multiplier)?))) {
            bits.windows[node] = best.bits;
            bits.left_out[node] = best.left_out;
        }
        for (node, best) in self.weights.iter().filter_map(|place| Some((place.node.0, place.best(multiplier)?))) {
            bits.weights[node] = best.bits;
        }
        bits
    }

    /// The variance of a logit with these widths.
    pub(super) fn variance(&self, bits: &PlanBits) -> f64 {
        let windows = self.windows.iter().map(|place| place.variance(bits.windows[place.node.0], bits.left_out[place.node.0]));
        let weights = self.weights.iter().map(|place| place.variance(bits.weights[place.node.0], 1));
        windows.chain(weights).sum()
    }

    /// The narrowest and the widest window, then the same of weights, then the fewest and the most
    /// bits that comparisons leave out, where they may.
    pub(super) fn extent(&self, bits: &PlanBits) -> [(u32, u32); 3] {
        let range = |widths: &[u32]| (widths.iter().min().copied().unwrap_or(1), widths.iter().max().copied().unwrap_or(1));
        let of = |places: &[Place], bits: &[u32]| places.iter().map(|place| bits[place.node.0]).collect::<Vec<_>>();
        let coarse = self.windows.iter().filter(|place| place.choices.iter().any(|choice| choice.left_out > 1));
        let left_out: Vec<u32> = coarse.map(|place| bits.left_out[place.node.0]).collect();
        [range(&of(&self.windows, &bits.windows)), range(&of(&self.weights, &bits.weights)), range(&left_out)]
    }
}

/// The place that a sensitivity was measured at, with the choices at its step.
fn place(program: &Program, measured: &Sensitivity, choices: &dyn Fn(usize) -> Vec<Choice>) -> Option<Place> {
    let step = program.steps.iter().position(|step| step.name == measured.step)?;
    Some(Place { node: measured.node, choices: choices(step) })
}

/// Per step, the ciphertext coefficients of a sample.
fn coefficients(program: &Program) -> Result<Vec<f64>, Error> {
    let cost = predict(program, LANE_SAMPLES, LaneTerms::LONG_LINK)?;
    let of = |(step, cost): (&Step, &StepCost)| {
        let Op::Linear { upload_bits, .. } = &step.op else { return 0.0 };
        cost.client_to_server as f64 * 8.0 / f64::from(*upload_bits) / LANE_SAMPLES as f64
    };
    Ok(program.steps.iter().zip(&cost.steps).map(of).collect())
}

/// Per tensor, the linear steps whose outputs its elements are sums of.
fn producers(program: &Program) -> Vec<Vec<usize>> {
    let mut producers: Vec<Vec<usize>> = vec![Vec::new(); program.tensors.len()];
    for (index, step) in program.steps.iter().enumerate() {
        producers[step.output.0] = match &step.op {
            Op::Linear { .. } => vec![index],
            Op::Requantise { .. } | Op::Piecewise { .. } | Op::Multiply { .. } => Vec::new(),
            Op::Add { .. } | Op::Concat { .. } | Op::SumPool { .. } | Op::Select { .. } | Op::Flatten { .. } => {
                step.op.inputs().iter().flat_map(|id| producers[id.0].clone()).collect()
            }
        };
    }
    producers
}

/// Bytes of a requantisation per sample if its window had `bits` bits below the same top, and its
/// comparison left out `left_out` of them.
fn requantise_bytes(program: &Program, step: usize, bits: u32, left_out: u32) -> Option<f64> {
    let Step { op: Op::Requantise { input, window, pool, activation }, output, .. } = &program.steps[step] else { return None };
    let (spec, output) = (program.tensors[input.0], program.tensors[output.0]);
    let shift = (window.shift + window.bits).checked_sub(bits)?;
    let output = RingBits(output.ring.0.max(bits));
    let activation = match *activation {
        _ if left_out > 1 => Activation::CoarseRelu { left_out },
        // The ceiling keeps its place below the top of the window.
        Activation::Clip { ceiling } => {
            let (more, less) = (bits.saturating_sub(window.bits), window.bits.saturating_sub(bits));
            Activation::Clip { ceiling: (ceiling << more >> less).max(1) }
        }
        other @ (Activation::Relu | Activation::CoarseRelu { .. } | Activation::Signed) => other,
    };
    let requantise = Requantise::new(spec.shape, spec.ring, Window { shift, bits }, pool.as_ref(), activation, output).ok()?;
    let cost = requantise.cost(LANE_SAMPLES, Cut::from(LaneTerms::LONG_LINK.split));
    Some((cost.bytes() as f64 + silent_bytes(cost.binary_ots, cost.m_ary_ots, LaneTerms::LONG_LINK.extension)) / LANE_SAMPLES as f64)
}
