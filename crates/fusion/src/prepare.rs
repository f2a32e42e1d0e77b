//! From a quantised network to a package that can be served.

use std::io::Write;
use std::path::Path;

use fusion_model::card::{CardError, Claim, ModelCard};
use fusion_model::package::{PackageWriter, PrivateModel};
use fusion_model::program::Op;
use fusion_nn::exec::{LaneError, PublicModel, ServerModel};
use fusion_rlwe::ServerKey;
use rand_core::CryptoRng;
use serde::Serialize;

use crate::clock::Clock;
use crate::error::Error;
use crate::event::{Event, Events};
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
}

/// What was prepared.
#[derive(Debug, Clone, Serialize)]
pub struct Prepared {
    /// Name on the card.
    pub name: String,
    /// Digest of the card.
    pub card_digest: String,
    /// Digest of the hint: what clients pin.
    pub hint_digest: String,
    /// Bytes of the hint.
    pub hint_bytes: u64,
    /// Steps of the program.
    pub steps: usize,
    /// Widest ring of a linear layer, bits.
    pub ring_bits: u32,
    /// Seconds that the hint took.
    pub hint_seconds: f64,
}

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
    };
    let mut writer = PackageWriter::create(out, card, &private)?;
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
    })
}
