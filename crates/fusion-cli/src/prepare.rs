//! `fusion prepare`: from an ONNX file to a package that can be served.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;

use anyhow::{Context, Result, anyhow, bail};
use fusion_model::card::{Claim, ModelCard};
use fusion_model::package::{PackageWriter, PrivateModel};
use fusion_nn::exec::{PublicModel, ServerModel};
use fusion_rlwe::ServerKey;
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;

use crate::cli::PrepareArgs;
use crate::lanes::fresh_rng;
use crate::outcome::{human_bytes, write_json};
use crate::quantise::Quantised;
use crate::samples;
use crate::terminal::show;

/// What `prepare` says at the end.
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

/// Writes the package `out` for a quantised network.
///
/// # Errors
/// A layer whose noise does not fit (named), a target that exists, a disk that refuses.
pub fn write_package(
    out: &Path,
    name: &str,
    quantised: Quantised,
    claim: Option<Claim>,
    labels: Vec<String>,
    progress: bool,
) -> Result<Prepared> {
    let mut rng = fresh_rng()?;
    let private = PrivateModel { weights: quantised.weights, key: ServerKey::random(&mut rng) };
    let card = ModelCard {
        name: name.to_owned(),
        program: quantised.program,
        preprocess: quantised.preprocess,
        labels,
        claim,
        weights_digest: Default::default(),
        hint: None,
    };
    let mut writer = PackageWriter::create(out, card, &private)?;
    let public = PublicModel::new(writer.card().program.clone(), writer.card().seed()?)?;
    let hint_bytes = public.hint_bytes() as u64;
    let model = ServerModel::new(public, &private.weights, &private.key)?;
    let bar = if progress { ProgressBar::new(hint_bytes) } else { ProgressBar::hidden() };
    bar.set_style(ProgressStyle::with_template("hint {bar:30} {binary_bytes} of {binary_total_bytes} (ETA {eta})")?);
    let start = std::time::Instant::now();
    for layer in model.layers() {
        let rows = layer.hint(&mut rng);
        writer.write_all(&rows).with_context(|| format!("cannot write the hint of {}", out.display()))?;
        bar.inc(rows.len() as u64);
    }
    bar.finish_and_clear();
    let hint_seconds = start.elapsed().as_secs_f64();
    let card = writer.finish()?;
    let hint = card.hint.context("a finished card has a hint")?;
    let rings = model.public().layers().map(|l| l.params().plain_bits());
    Ok(Prepared {
        name: card.name.clone(),
        card_digest: card.digest()?.to_string(),
        hint_digest: hint.digest.to_string(),
        hint_bytes,
        steps: card.program.steps.len(),
        ring_bits: rings.max().unwrap_or(0),
        hint_seconds,
    })
}

/// Class names from a JSON file: a list, or an object from index to name.
fn class_names(path: &Path) -> Result<Vec<String>> {
    let text = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    if let Ok(list) = serde_json::from_slice::<Vec<String>>(&text) {
        return Ok(list);
    }
    let map: BTreeMap<usize, String> = serde_json::from_slice(&text)
        .with_context(|| format!("{} is neither a list of names nor an object from index to name", path.display()))?;
    match map.keys().next_back() {
        Some(&last) if last + 1 == map.len() => Ok(map.into_values().collect()),
        _ => bail!("the indices in {} are not 0, 1, 2, ...", path.display()),
    }
}

/// Runs the command.
///
/// # Errors
/// Anything that keeps the package from being written; what is there already is left alone.
pub fn run(args: &PrepareArgs) -> Result<Prepared> {
    if args.out.symlink_metadata().is_ok() {
        bail!("{} exists already: choose another --out, or remove it", args.out.display());
    }
    let claim = match args.claimed_accuracy {
        Some(top1) if (0.0..=1.0).contains(&top1) => Some(Claim { top1, dataset: args.dataset.clone() }),
        Some(rate) => bail!("an accuracy is between 0 and 1, not {rate}"),
        None => None,
    };
    let labels = args.labels.as_deref().map(class_names).transpose()?.unwrap_or_default();
    let calibration = samples::folder(&args.calibrate)?;
    eprintln!("Calibrating on {} images ...", calibration.len().min(args.quantise.calibration_images));
    let quantised = args.quantise.quantise_file(&args.model, &calibration)?;
    let file = args.model.file_stem().ok_or_else(|| anyhow!("{} names no file", args.model.display()))?;
    let name = args.name.clone().unwrap_or_else(|| file.to_string_lossy().into_owned());
    let prepared = write_package(&args.out, &name, quantised, claim, labels, true)?;
    show(format_args!("Package:  {}", args.out.display()))?;
    show(format_args!("Model:    {} ({} steps, rings up to {} bits)", prepared.name, prepared.steps, prepared.ring_bits))?;
    show(format_args!("Hint:     {} in {:.1} s", human_bytes(prepared.hint_bytes), prepared.hint_seconds))?;
    show(format_args!("Digest:   {} (publish it: clients pin it)", prepared.hint_digest))?;
    if let Some(path) = &args.json {
        write_json(path, &prepared)?;
    }
    Ok(prepared)
}
