//! What the rounding at every place of a network does to its logits.
//!
//! Rounding errors of different places are independent and small, so that their variances in a
//! logit add up, and each is proportional to the square of its step: one measurement at a coarse
//! width tells what every width would do. A measurement is the float network with the values of
//! one node replaced, on a few images.

use rand_chacha::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};
use rayon::prelude::*;

use super::error::PlanError;
use super::lower::{self, Lowered};
use super::narrow::Widths;
use super::options::PlanBits;
use crate::calibrate::Ranges;
use crate::float;
use crate::graph::{FloatOp, FloatTerm, Graph, Node, NodeId};
use crate::program::{ImageError, Op, Step, uncertain};

/// Bits left out of the comparison where signs are measured: errors of seven units at most.
const PROBE_LEFT_OUT: u32 = 4;
/// Width at which places are measured: coarse enough to stand out of float rounding, fine enough
/// that errors do not change which neurons are active.
const PROBE_BITS: u32 = 8;

/// What rounding with one bit more than none would do: the variance in a logit at a width of b bits
/// is this times 4^-b.
#[derive(Debug, Clone, PartialEq)]
pub struct Sensitivity {
    /// Name of the program's step.
    pub step: String,
    /// The node of the graph.
    pub node: NodeId,
    /// The variance at a width of zero bits.
    pub variance: f64,
}

impl Sensitivity {
    /// The variance in a logit at a width of `bits`.
    #[must_use]
    pub fn at(&self, bits: u32) -> f64 {
        self.variance * 4f64.powi(-bits.cast_signed())
    }
}

/// What leaving bits out of a ReLU's comparison does, beside rounding. The error hits numbers in
/// the uncertain units around zero, m = 2^(left_out - 1) on either side: of numbers that are as
/// likely as their neighbours, by (m^3 - m) / 12 squared units for each that is expected in a unit.
#[derive(Debug, Clone, PartialEq)]
pub struct SignSensitivity {
    /// The ReLU's node of the graph.
    pub node: NodeId,
    /// The variance at a window of zero bits, by that number.
    pub variance: f64,
}

impl SignSensitivity {
    /// The variance in a logit at a window of `bits` whose comparison leaves out `left_out`, at
    /// least one. A unit fewer holds half the numbers, each off by half as much.
    #[must_use]
    pub fn at(&self, bits: u32, left_out: u32) -> f64 {
        let m = 2f64.powi(left_out.cast_signed() - 1);
        self.variance * 8f64.powi(-bits.cast_signed()) * (m.powi(3) - m) / 12.0
    }
}

/// Sensitivities of a network.
#[derive(Debug, Clone, PartialEq)]
pub struct Sensitivities {
    /// Of the window of the image, which no step makes.
    pub input: Sensitivity,
    /// Of the weights of every linear step, in the order of steps.
    pub weights: Vec<Sensitivity>,
    /// Of the windows of every requantisation, in the order of steps.
    pub windows: Vec<Sensitivity>,
    /// Of the comparisons of every ReLU, in the order of steps.
    pub signs: Vec<SignSensitivity>,
}

/// Why there are no sensitivities.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum SensitivityError {
    /// The network has no plan.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// An image has the wrong size.
    #[error(transparent)]
    Image(#[from] ImageError),
}

/// A place and a replacement of its node's values.
struct Place {
    step: String,
    node: NodeId,
    probe: Probe,
}

/// A replacement of one node's values.
enum Probe {
    /// A linear node with rounded weights.
    Weights(Node),
    /// Values of a node, rounded at random to multiples of 2^-frac.
    Window(i32),
    /// The image, rounded to the nearest multiples of 2^-frac: its errors are the same everywhere
    /// if its pixels are whole numbers less a mean.
    Input(i32),
    /// Values of a ReLU node, after a coarse comparison in units of 2^-frac.
    Sign(i32),
}

/// Measures all places of `graph` on `images`.
///
/// # Errors
/// The network cannot be planned, or an image does not suit it.
pub fn sensitivities(graph: &Graph, ranges: &Ranges, margin: f64, images: &[Vec<f32>]) -> Result<Sensitivities, SensitivityError> {
    let bits = PlanBits::uniform(graph, PROBE_BITS, PROBE_BITS);
    super::check(graph, ranges, margin, &bits)?;
    let lowered = lower::lower(graph, ranges, margin, &bits, &Widths::widest(graph, &bits))?;
    let weights = weight_places(graph, &lowered);
    let (linear, windows) = (weights.len(), lowered.activations.len());
    let input = Place { step: String::new(), node: NodeId(0), probe: Probe::Input(lowered.program.tensors[lowered.program.input.0].frac) };
    let places: Vec<Place> =
        std::iter::once(input).chain(weights).chain(window_places(&lowered)).chain(sign_places(graph, &lowered)).collect();
    let one = |image: &Vec<f32>| {
        let values = float::values(graph, image)?;
        let variance = |(number, place): (usize, &Place)| {
            let mut rng = ChaCha20Rng::from_seed([0; 32]);
            rng.set_stream(number as u64);
            variance(graph, &values, place, &mut rng)
        };
        Ok(places.par_iter().enumerate().map(variance).collect::<Vec<f64>>())
    };
    let of_images = images.par_iter().map(one).collect::<Result<Vec<_>, ImageError>>()?;
    let scale = 4f64.powi(PROBE_BITS.cast_signed()) / images.len().max(1) as f64;
    let mean = |(number, place): (usize, Place)| Sensitivity {
        step: place.step,
        node: place.node,
        variance: of_images.iter().map(|variances| variances[number]).sum::<f64>() * scale,
    };
    let mut all: Vec<Sensitivity> = places.into_iter().enumerate().map(mean).collect();
    // In the order of the places: the input, the weights, the windows, the signs.
    let signs = all.split_off(1 + linear + windows).into_iter().map(|measured| {
        let unit = SignSensitivity { node: measured.node, variance: 1.0 };
        SignSensitivity { variance: measured.at(PROBE_BITS) / unit.at(PROBE_BITS, PROBE_LEFT_OUT), ..unit }
    });
    let signs = signs.collect();
    let windows = all.split_off(1 + linear);
    let weights = all.split_off(1);
    Ok(Sensitivities { input: all.swap_remove(0), weights, windows, signs })
}

/// The linear nodes with the weights of the plan.
fn weight_places(graph: &Graph, lowered: &Lowered) -> Vec<Place> {
    let program = &lowered.program;
    let steps = program.steps.iter().filter_map(|step| if let Op::Linear { terms, .. } = &step.op { Some((step, terms)) } else { None });
    let nodes = graph.nodes.iter().enumerate().filter(|(_, node)| node.op.as_linear().is_some());
    let places = nodes.zip(steps).zip(&lowered.weights.linear).map(|(((index, node), (step, terms)), weights)| {
        let product = program.tensors[step.output.0].frac;
        let float = |integer: f64, frac: i32| (integer * 2f64.powi(-frac)) as f32;
        let terms = terms.iter().zip(&weights.terms).map(|(term, integers)| FloatTerm {
            geometry: term.geometry,
            weights: integers.iter().map(|&w| float(f64::from(w), product - program.tensors[term.input.0].frac)).collect(),
        });
        let bias = weights.bias.iter().map(|&b| float(b as f64, product)).collect();
        let op = FloatOp::Linear { terms: terms.collect(), bias };
        Place { step: step.name.clone(), node: NodeId(index), probe: Probe::Weights(Node { op, ..node.clone() }) }
    });
    places.collect()
}

fn window_places(lowered: &Lowered) -> impl Iterator<Item = Place> {
    let program = &lowered.program;
    lowered.activations.iter().map(|&(step, node)| {
        let Step { name, output, .. } = &program.steps[step];
        Place { step: name.clone(), node, probe: Probe::Window(program.tensors[output.0].frac) }
    })
}

/// The windows of ReLU nodes.
fn sign_places<'a>(graph: &'a Graph, lowered: &'a Lowered) -> impl Iterator<Item = Place> + use<'a> {
    let relus = lowered.activations.iter().filter(|(_, node)| graph.node(*node).op == FloatOp::Relu);
    relus.map(|&(step, node)| {
        let Step { name, output, .. } = &lowered.program.steps[step];
        Place { step: name.clone(), node, probe: Probe::Sign(lowered.program.tensors[output.0].frac) }
    })
}

/// The variance of the logits' errors over the classes, when one place is rounded.
fn variance(graph: &Graph, values: &[Vec<f32>], place: &Place, rng: &mut ChaCha20Rng) -> f64 {
    let value = match &place.probe {
        Probe::Weights(rounded) => float::value(graph, rounded, values),
        Probe::Input(frac) => {
            let (up, down) = (2f64.powi(*frac), 2f64.powi(-frac));
            values[place.node.0].iter().map(|&x| ((f64::from(x) * up).round() * down) as f32).collect()
        }
        Probe::Window(frac) => {
            let (up, down) = (2f64.powi(*frac), 2f64.powi(-frac));
            let round = |&x: &f32| ((f64::from(x) * up + f64::from(rng.next_u32()) * 2f64.powi(-32)).floor() * down) as f32;
            values[place.node.0].iter().map(round).collect()
        }
        Probe::Sign(frac) => {
            let before = graph.node(place.node).inputs[0];
            values[before.0].iter().map(|&x| after_coarse_sign(x, *frac, rng)).collect()
        }
    };
    let logits = float::logits_with(graph, values, place.node, value);
    float::error_variance(&logits, &values[graph.output.0])
}

/// A number behind a ReLU whose comparison leaves out [`PROBE_LEFT_OUT`] bits, not rounded.
fn after_coarse_sign(x: f32, frac: i32, rng: &mut ChaCha20Rng) -> f32 {
    let draw = rng.next_u32();
    let uncertain = f64::from(uncertain(PROBE_LEFT_OUT));
    // The units that the number is rounded to at random, and the low bits of a share.
    let units = (f64::from(x) * 2f64.powi(frac) + f64::from(draw) * 2f64.powi(-32)).floor();
    let low = f64::from(rng.next_u32() & ((1 << PROBE_LEFT_OUT) - 1));
    if units + uncertain >= low { x } else { 0.0 }
}
