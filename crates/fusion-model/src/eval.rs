//! How good a plan is: the twin beside the float network on the same images.

use std::sync::atomic::{AtomicUsize, Ordering};

use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use rayon::prelude::*;
use serde::Serialize;

use crate::float;
use crate::graph::Graph;
use crate::program::{ImageError, Program, Weights};
use crate::twin::{TruncationCarry, Twin, TwinError, TwinRun};

/// Why a plan cannot be evaluated.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum EvalError {
    /// There is nothing to evaluate on.
    #[error("evaluation needs at least one image")]
    NoImages,
    /// A label is missing or superfluous.
    #[error("{labels} labels for {images} images")]
    Labels {
        /// Images given.
        images: usize,
        /// Labels given.
        labels: usize,
    },
    /// An image has the wrong size.
    #[error("image {index}: {error}")]
    Image {
        /// Which one.
        index: usize,
        /// What is wrong.
        error: ImageError,
    },
    /// Program and weights do not fit.
    #[error(transparent)]
    Twin(#[from] TwinError),
}

/// Values that left their window in one layer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LayerOverflow {
    /// The step's name.
    pub layer: String,
    /// Values over all images.
    pub values: u64,
    /// Images with at least one.
    pub images: usize,
}

/// An image on which float network and twin disagree.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Disagreement {
    /// Index of the image.
    pub image: usize,
    /// The float network's label.
    pub float_label: usize,
    /// The twin's label.
    pub twin_label: usize,
    /// By how much the float network prefers its own label.
    pub float_margin: f32,
}

/// The comparison.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct EvalReport {
    /// Images compared.
    pub images: usize,
    /// Fraction of images on which the twin's label is the float network's.
    pub label_agreement: f64,
    /// Fraction of right labels of the float network, if the right ones are known.
    pub top1_float: Option<f64>,
    /// Fraction of right labels of the twin.
    pub top1_twin: Option<f64>,
    /// Largest difference of a logit.
    pub max_logit_error: f32,
    /// Mean over images of the largest difference.
    pub mean_logit_error: f32,
    /// Standard deviation of the differences over classes and images; what the logits of an image
    /// have in common does not count.
    pub logit_deviation: f64,
    /// Layers with overflows.
    pub overflows: Vec<LayerOverflow>,
    /// Images with different labels.
    pub disagreements: Vec<Disagreement>,
    /// The twin's labels.
    #[serde(skip)]
    pub twin_labels: Vec<usize>,
}

/// How often two copies of an image get different labels from an honest server. Copies draw their
/// rounding and their noise independently, which decides near ties.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct LabelFlips {
    /// Images that were run twice.
    pub images: usize,
    /// Images whose labels differed.
    pub differing: usize,
}

impl LabelFlips {
    /// Runs the twin on `images` once more, with carries of its own, and compares with `first`, the
    /// labels of [`EvalReport::twin_labels`]. `seed` must not be that of the first run.
    ///
    /// # Errors
    /// As [`evaluate`].
    pub fn measure(program: &Program, weights: &Weights, images: &[Vec<f32>], first: &[usize], seed: [u8; 32]) -> Result<Self, EvalError> {
        if images.len() != first.len() {
            return Err(EvalError::Labels { images: images.len(), labels: first.len() });
        }
        let twin = Twin::new(program, weights)?;
        let label = |(index, image): (usize, &Vec<f32>)| Ok(run(&twin, program, image, index, seed)?.label);
        let again = images.par_iter().enumerate().map(label).collect::<Result<Vec<_>, EvalError>>()?;
        Ok(Self { images: images.len(), differing: again.iter().zip(first).filter(|(again, first)| again != first).count() })
    }

    /// The chance that one copy's label is not that of most copies, for the planner: half of the
    /// differing part, since either of the two may be the one that flipped.
    #[must_use]
    pub fn rate(self) -> f64 {
        self.differing as f64 / (2 * self.images.max(1)) as f64
    }
}

/// One run of the twin, whose carries `seed` and the image's number fix.
fn run(twin: &Twin<'_>, program: &Program, image: &[f32], index: usize, seed: [u8; 32]) -> Result<TwinRun, EvalError> {
    let encoded = program.encode(image).map_err(|error| EvalError::Image { index, error })?;
    let mut rng = ChaCha20Rng::from_seed(seed);
    rng.set_stream(index as u64);
    Ok(twin.run(encoded, &mut TruncationCarry::Random(&mut rng))?)
}

struct Outcome {
    float_label: usize,
    float_margin: f32,
    error: f32,
    /// Variance of the differences over the classes.
    variance: f64,
    run: TwinRun,
}

/// Compares the twin of `program` with the float `graph` on `images`, in parallel. `labels` are the
/// right answers, if they are known; `seed` fixes the carries; `progress` is called from several
/// threads with the number of images done.
///
/// # Errors
/// Images, labels, program and weights do not fit together.
pub fn evaluate(
    graph: &Graph,
    program: &Program,
    weights: &Weights,
    images: &[Vec<f32>],
    labels: Option<&[usize]>,
    seed: [u8; 32],
    progress: &(dyn Fn(usize) + Sync),
) -> Result<EvalReport, EvalError> {
    if images.is_empty() {
        return Err(EvalError::NoImages);
    }
    if let Some(labels) = labels.filter(|l| l.len() != images.len()) {
        return Err(EvalError::Labels { images: images.len(), labels: labels.len() });
    }
    let twin = Twin::new(program, weights)?;
    let done = AtomicUsize::new(0);
    let one = |(index, image): (usize, &Vec<f32>)| {
        let logits = float::evaluate(graph, image).map_err(|error| EvalError::Image { index, error })?;
        let run = run(&twin, program, image, index, seed)?;
        let fixed = program.decode_logits(&run.logits);
        let error = logits.iter().zip(&fixed).fold(0f32, |m, (a, b)| m.max((a - b).abs()));
        let float_label = float::argmax(&logits);
        progress(done.fetch_add(1, Ordering::Relaxed) + 1);
        let variance = float::error_variance(&fixed, &logits);
        Ok(Outcome { float_label, float_margin: logits[float_label] - logits[run.label], error, variance, run })
    };
    let outcomes = images.par_iter().enumerate().map(one).collect::<Result<Vec<_>, EvalError>>()?;
    Ok(report(program, &outcomes, labels))
}

fn report(program: &Program, outcomes: &[Outcome], labels: Option<&[usize]>) -> EvalReport {
    let images = outcomes.len();
    let fraction = |n: usize| n as f64 / images as f64;
    let right =
        |label: fn(&Outcome) -> usize| labels.map(|labels| fraction(outcomes.iter().zip(labels).filter(|(o, l)| label(o) == **l).count()));
    let different = outcomes.iter().enumerate().filter(|(_, o)| o.float_label != o.run.label);
    let disagreements: Vec<_> = different
        .map(|(image, o)| Disagreement { image, float_label: o.float_label, twin_label: o.run.label, float_margin: o.float_margin })
        .collect();
    let names = program.steps.iter().map(|s| s.name.as_str()).chain(std::iter::once("logits"));
    let overflows = names.enumerate().map(|(step, layer)| LayerOverflow {
        layer: layer.to_owned(),
        values: outcomes.iter().map(|o| o.run.overflows[step]).sum(),
        images: outcomes.iter().filter(|o| o.run.overflows[step] > 0).count(),
    });
    EvalReport {
        images,
        label_agreement: fraction(images - disagreements.len()),
        top1_float: right(|o| o.float_label),
        top1_twin: right(|o| o.run.label),
        max_logit_error: outcomes.iter().fold(0.0, |m, o| m.max(o.error)),
        mean_logit_error: outcomes.iter().map(|o| o.error).sum::<f32>() / images as f32,
        logit_deviation: (outcomes.iter().map(|o| o.variance).sum::<f64>() / images as f64).sqrt(),
        overflows: overflows.filter(|o| o.values > 0).collect(),
        disagreements,
        twin_labels: outcomes.iter().map(|o| o.run.label).collect(),
    }
}
