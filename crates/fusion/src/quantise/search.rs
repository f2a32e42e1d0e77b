//! Widths place by place: the cheapest plan that keeps the float network's labels.
//!
//! Rounding at one place of a network may do a thousand times more to the logits than at another,
//! while a bit costs about the same. So widths are chosen per place: the plan with the fewest bytes
//! for a given variance of the logits gives every place the width at which bytes plus a multiplier
//! times the variance are least. Places are independent of each other, but for the multiplier,
//! which is searched until the labels are kept as often as is asked. What the search expects is
//! then checked by the twin, on the calibration images and on some that nothing was fitted to.

mod places;

use fusion_model::calibrate::Ranges;
use fusion_model::eval::evaluate;
use fusion_model::float;
use fusion_model::graph::Graph;
use fusion_model::plan::{PlanBits, SensitivityError, plan_with, sensitivities};
use fusion_model::program::{Program, Weights};
use fusion_nn::cost::predict;
use fusion_nn::layers::LaneTerms;
use rayon::prelude::*;
use serde::Serialize;
use statrs::function::erf::erfc;

use self::places::{LANE_SAMPLES, Places};
use super::tolerance::Tolerance;
use crate::error::Error;
use crate::sample_seconds::SampleSeconds;

/// Images that sensitivities are measured on.
const PROBED: usize = 4;
/// Expected label agreements of the other points of the frontier.
const FRONTIER: [f64; 6] = [0.95, 0.98, 0.99, 0.995, 0.998, 0.999];
/// Plans that the twin is asked about, at most.
const ATTEMPTS: usize = 8;
/// Measured over expected variance from which on a plan is made again with what was measured.
const CLOSE: f64 = 1.1;
/// Halvings of the interval that holds the logarithm of a multiplier.
const BISECTIONS: usize = 40;

/// The link that seconds of a frontier are estimated for, Mbit/s each way.
pub const FRONTIER_MBIT: f64 = 400.0;

/// A plan on the frontier of bytes and accuracy.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FrontierPoint {
    /// Predicted traffic of a sample, bytes, both directions.
    pub bytes_per_sample: u64,
    /// Estimated seconds of a sample over [`FRONTIER_MBIT`] Mbit/s each way, one core per party.
    pub seconds_per_sample: f64,
    /// Bytes of the hint, once per model.
    pub hint_bytes: u64,
    /// Expected part of images with the float network's label, for errors that are normal.
    pub label_agreement: f64,
    /// Expected standard deviation of a logit's error.
    pub logit_deviation: f64,
    /// Narrowest and widest window, bits.
    pub windows: (u32, u32),
    /// Fewest and most bits of weights.
    pub weights: (u32, u32),
    /// Fewest and most bits that comparisons of ReLUs leave out: exact with one.
    pub left_out: (u32, u32),
    /// Whether this is the plan that was chosen.
    pub chosen: bool,
}

/// What a search found.
pub(super) struct Found {
    pub(super) program: Program,
    pub(super) weights: Weights,
    pub(super) frontier: Vec<FrontierPoint>,
}

/// The cheapest plan that meets `tolerance` by expectation and on `images`.
///
/// # Errors
/// The network cannot be planned, or no plan meets the tolerance.
pub(super) fn search(graph: &Graph, ranges: &Ranges, margin: f64, images: &[Vec<f32>], tolerance: Tolerance) -> Result<Found, Error> {
    let probed = &images[..images.len().min(PROBED)];
    let sensitivities = sensitivities(graph, ranges, margin, probed)?;
    let places = Places::new(graph, ranges, margin, &sensitivities, tolerance.exact_signs)?;
    let logits = images.par_iter().map(|image| float::evaluate(graph, image)).collect::<Result<Vec<_>, _>>();
    let logits = logits.map_err(SensitivityError::Image)?;
    let spread = logits.iter().map(|logits| float::variance(logits)).sum::<f64>() / logits.len().max(1) as f64;
    let margins = logits.iter().map(|logits| margins(logits)).collect();
    let mut search = Search { graph, ranges, margin, places, margins, excess: 1.0 };
    let mut target = search.largest_variance(tolerance.label_agreement).min(spread * tolerance.logit_noise.powi(2));
    let (mut kept, mut measured) = (0.0, f64::INFINITY);
    let mut tried = None;
    for _ in 0..ATTEMPTS {
        let bits = search.cheapest(target);
        // Nothing finer is left, and the twin would say the same again.
        if tried.as_ref() == Some(&bits) {
            break;
        }
        let (program, weights) = plan_with(graph, ranges, margin, &bits)?;
        let report = evaluate(graph, &program, &weights, images, None, [0; 32], &|_| ())?;
        kept = report.label_agreement;
        measured = report.logit_deviation.powi(2);
        search.excess = (measured / search.places.variance(&bits)).max(f64::MIN_POSITIVE);
        let close = measured <= target * CLOSE;
        if close && kept >= tolerance.label_agreement {
            return Ok(Found { frontier: search.frontier(&bits, &program)?, program, weights });
        }
        if close {
            target /= 2.0;
        }
        tried = Some(bits);
    }
    Err(Error::Tolerance {
        label_agreement: tolerance.label_agreement,
        logit_noise: tolerance.logit_noise,
        kept,
        noise: (measured / spread).sqrt(),
        images: images.len(),
    })
}

/// What a search knows.
struct Search<'a> {
    graph: &'a Graph,
    ranges: &'a Ranges,
    margin: f64,
    places: Places,
    /// Of every image, by how much its label's logit is above each of the others.
    margins: Vec<Vec<f64>>,
    /// By what factor the twin found more variance than the places add up to.
    excess: f64,
}

impl Search<'_> {
    /// The expected variance of a logit.
    fn variance(&self, bits: &PlanBits) -> f64 {
        self.places.variance(bits) * self.excess
    }

    /// The largest variance of which the expected agreement is at least `agreement`.
    fn largest_variance(&self, agreement: f64) -> f64 {
        let (mut low, mut high) = (-30f64, 10f64);
        for _ in 0..BISECTIONS {
            let middle = f64::midpoint(low, high);
            let keeps = expected_agreement(&self.margins, middle.exp()) >= agreement;
            *(if keeps { &mut low } else { &mut high }) = middle;
        }
        low.exp()
    }

    /// The cheapest widths with at most this variance; the widest if there are none.
    fn cheapest(&self, variance: f64) -> PlanBits {
        // From bytes only to variance only.
        let (mut low, mut high) = (0f64, 100f64);
        for _ in 0..BISECTIONS {
            let middle = f64::midpoint(low, high);
            let fits = self.variance(&self.places.best(self.graph, middle.exp())) <= variance;
            *(if fits { &mut high } else { &mut low }) = middle;
        }
        self.places.best(self.graph, high.exp())
    }

    /// The plan that was chosen among others, by bytes.
    fn frontier(&self, chosen: &PlanBits, program: &Program) -> Result<Vec<FrontierPoint>, Error> {
        let mut frontier = vec![self.point(chosen, program, true)?];
        for level in FRONTIER {
            let bits = self.cheapest(self.largest_variance(level));
            if bits != *chosen {
                let (program, _) = plan_with(self.graph, self.ranges, self.margin, &bits)?;
                frontier.push(self.point(&bits, &program, false)?);
            }
        }
        frontier.sort_by_key(|point| point.bytes_per_sample);
        Ok(frontier)
    }

    fn point(&self, bits: &PlanBits, program: &Program, chosen: bool) -> Result<FrontierPoint, Error> {
        let cost = predict(program, LANE_SAMPLES, LaneTerms::LONG_LINK)?;
        let variance = self.variance(bits);
        let [windows, weights, left_out] = self.places.extent(bits);
        Ok(FrontierPoint {
            bytes_per_sample: cost.bytes_per_sample(),
            seconds_per_sample: SampleSeconds::of(&cost, FRONTIER_MBIT).longer(),
            hint_bytes: cost.hint_bytes(),
            label_agreement: expected_agreement(&self.margins, variance),
            logit_deviation: variance.sqrt(),
            windows,
            weights,
            left_out,
            chosen,
        })
    }
}

/// By how much the largest logit is above each of the others.
fn margins(logits: &[f32]) -> Vec<f64> {
    let best = float::argmax(logits);
    let others = logits.iter().enumerate().filter(|(class, _)| *class != best);
    others.map(|(_, &logit)| f64::from(logits[best]) - f64::from(logit)).collect()
}

/// The expected part of images that keep their label where every logit has an error of this
/// variance, normal and independent of the others': no other logit overtakes. A lower bound where
/// several may overtake at once.
fn expected_agreement(margins: &[Vec<f64>], variance: f64) -> f64 {
    // The difference of two errors has twice the variance of one.
    let overtaken = |margin: &f64| 0.5 * erfc(margin / (2.0 * variance.sqrt().max(f64::MIN_POSITIVE)));
    let lost: f64 = margins.iter().map(|others| others.iter().map(overtaken).sum::<f64>().min(1.0)).sum();
    1.0 - lost / margins.len().max(1) as f64
}

#[cfg(test)]
mod tests;
