//! From a quantised network to a package that can be served.

use std::io::Write;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use fusion_model::answer_sheet::AnswerSheet;
use fusion_model::card::{CardError, Claim, Flips, ModelCard};
use fusion_model::package::{PackageWriter, PrivateModel};
use fusion_model::program::Op;
use fusion_model::repeatability::{Repeatability, measure};
use fusion_nn::exec::{LaneError, PublicModel, ServerModel};
use fusion_rlwe::ServerKey;
use rand_core::CryptoRng;
use serde::Serialize;

use crate::clock::Clock;
use crate::error::Error;
use crate::event::{Event, Events};
use crate::images::{Sample, check_labels};
use crate::quantise::Quantised;

/// What a package says of itself.
#[derive(Debug, Clone, Default)]
pub struct PackageSettings {
    /// Name on the card.
    pub name: String,
    /// What its owner claims.
    pub claim: Option<Claim>,
    /// Class names, by index; none, or one for every class.
    pub labels: Vec<String>,
    /// Bits of a logit that clients may ask for, 6 to 10; 0 for labels only.
    pub logits_bits: u32,
    /// Public images whose answers are published with the model; none for no answer sheet. Labels
    /// that they may have are the truth, and tell how accurate the sheet is.
    pub answers: Vec<Sample>,
    /// Images on which it is measured how often copies disagree, if no answers are published; none
    /// for a card that does not say.
    pub measured_on: Vec<Sample>,
}

/// What was prepared.
#[derive(Debug, Clone, Serialize)]
pub struct Prepared {
    /// Name on the card.
    pub name: String,
    /// Digest of the card, and so of the whole model: what clients pin.
    pub card_digest: String,
    /// Digest of the hint, under which what batches prove of the weights is added up.
    pub hint_digest: String,
    /// Bytes of the hint.
    pub hint_bytes: u64,
    /// Steps of the program.
    pub steps: usize,
    /// Widest ring of a linear layer, bits.
    pub ring_bits: u32,
    /// Seconds that the hint took.
    pub hint_seconds: f64,
    /// The answers that were published.
    pub answers: Option<PublishedAnswers>,
    /// The chance that a copy's label is not the usual one of its image, if it was measured.
    pub flip_rate: Option<f64>,
}

/// What an answer sheet says.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct PublishedAnswers {
    /// Images.
    pub images: usize,
    /// Those that are undecided: their label hangs on rounding.
    pub undecided: usize,
    /// Those whose true label is known.
    pub labelled: usize,
    /// Those of them whose answer is decided and right: what a client will find.
    pub right: usize,
}

/// How often progress is told while images are run.
const TICK: Duration = Duration::from_millis(250);

/// Writes the package `out`, a directory that does not exist yet, for a quantised network: public
/// card, private weights and key, hint.
///
/// # Errors
/// A layer whose noise does not fit (named), a target that exists, a disk that refuses.
pub fn prepare(
    out: &Path,
    quantised: Quantised,
    settings: PackageSettings,
    clock: &dyn Clock,
    rng: &mut impl CryptoRng,
    events: &mut Events<'_>,
) -> Result<Prepared, Error> {
    let classes = quantised.program.tensors[quantised.program.logits.0].shape.channels;
    check_labels(settings.answers.iter(), classes)?;
    let measured_on = if settings.answers.is_empty() { &settings.measured_on } else { &settings.answers };
    let measured = if measured_on.is_empty() { None } else { Some(run_twice(&quantised, measured_on, rng, events)?) };
    let published = match &measured {
        Some(measured) if !settings.answers.is_empty() => Some(answer_sheet(&settings.answers, &measured.answers, classes)?),
        _ => None,
    };
    let flips: Option<Flips> = measured.map(|measured| measured.flips);
    let private = PrivateModel { weights: quantised.weights, key: ServerKey::random(rng) };
    let card = ModelCard {
        name: settings.name,
        program: quantised.program,
        preprocess: quantised.preprocess,
        labels: settings.labels,
        claim: settings.claim,
        logits_bits: settings.logits_bits,
        weights_digest: Default::default(),
        hint: None,
        answers: None,
        flips,
    };
    let mut writer = PackageWriter::create(out, card, &private, published.as_ref().map(|(sheet, _)| sheet))?;
    let public = PublicModel::new(writer.card().program.clone(), writer.card().seed()?)?;
    let total = public.hint_bytes() as u64;
    let model = ServerModel::new(public, &private.weights, &private.key)?;
    let start = clock.now();
    let mut done = 0;
    let linear = model.public().program().steps.iter().filter(|step| matches!(step.op, Op::Linear { .. }));
    for (layer, step) in model.layers().iter().zip(linear) {
        let rows = layer.hint(rng);
        writer.write_all(&rows).map_err(Error::file(out))?;
        // What is on the disk was in memory a moment ago; what a later reading finds, serving
        // tests.
        let all: Vec<usize> = (0..layer.layer().outputs()).collect();
        layer.self_test(&rows, &all, rng).map_err(|error| LaneError::Linear { step: step.name.clone(), error })?;
        done += rows.len() as u64;
        events(Event::Package { done, total });
    }
    let hint_seconds = clock.now().saturating_sub(start).as_secs_f64();
    let card = writer.finish()?;
    let hint = card.hint.ok_or(CardError::Missing("hint"))?;
    let rings = model.public().layers().map(|l| l.precision().ring_bits());
    Ok(Prepared {
        name: card.name.clone(),
        card_digest: card.digest()?.to_string(),
        hint_digest: hint.digest.to_string(),
        hint_bytes: total,
        steps: card.program.steps.len(),
        ring_bits: rings.max().unwrap_or(0),
        hint_seconds,
        answers: published.map(|(_, facts)| facts),
        flip_rate: flips.map(|flips| flips.rate),
    })
}

/// Runs the twin twice on each image, and tells how far it is.
fn run_twice(quantised: &Quantised, images: &[Sample], rng: &mut impl CryptoRng, events: &mut Events<'_>) -> Result<Repeatability, Error> {
    let mut seed = [0; 32];
    rng.fill_bytes(&mut seed);
    let (done, total) = (AtomicUsize::new(0), images.len());
    let tensor = |index: usize| Ok::<_, Error>(images[index].tensor(&quantised.preprocess)?);
    let model = (&quantised.program, &quantised.weights);
    std::thread::scope(|scope| {
        let run = scope.spawn(|| measure(model, total, &tensor, seed, &|count| done.store(count, Ordering::Relaxed)));
        while !run.is_finished() {
            std::thread::sleep(TICK.min(Duration::from_millis(1 + 50 * total as u64)));
            events(Event::Answers { done: done.load(Ordering::Relaxed), total });
        }
        run.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

/// The answer sheet of `images`, and what it says.
fn answer_sheet(images: &[Sample], answers: &[Option<u32>], classes: usize) -> Result<(AnswerSheet, PublishedAnswers), Error> {
    let digests = images.iter().map(Sample::digest).collect::<Result<Vec<_>, _>>()?;
    let sheet = AnswerSheet::new(digests.into_iter().zip(answers.iter().copied()), classes)?;
    let labelled = || images.iter().zip(answers).filter_map(|(image, answer)| Some((image.label?, *answer)));
    let facts = PublishedAnswers {
        images: sheet.images(),
        undecided: sheet.undecided(),
        labelled: labelled().count(),
        right: labelled().filter(|(truth, answer)| *answer == Some(*truth)).count(),
    };
    Ok((sheet, facts))
}
