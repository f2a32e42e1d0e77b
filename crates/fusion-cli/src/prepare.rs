//! `fusion prepare`: from an ONNX file to a package that can be served.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result, anyhow, bail};
use fusion::images::Sample;
use fusion::model::card::Claim;
use fusion::{PackageSettings, PublishedAnswers, SystemClock, images, prepare, quantise_file};

use crate::cli::PrepareArgs;
use crate::diagnostics::note;
use crate::frontier::show_frontier;
use crate::left_out::say_left_out;
use crate::outcome::write_json;
use crate::preview::show_preview;
use crate::progress::Watcher;
use crate::settings::{fresh_rng, work};
use crate::tables::human_bytes;
use crate::terminal::show;

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

/// Images of the calibration on which it is measured how often copies disagree, at most.
const MEASURED_IMAGES: usize = 32;

/// The images of a folder, with their true labels if `labels.csv` lies beside them.
fn labelled_if_known(folder: &Path) -> Result<Vec<Sample>> {
    let (found, list) = (images::listing(folder)?, folder.join("labels.csv"));
    let found = if list.is_file() { found.with_labels(&list)? } else { found };
    say_left_out(&format!("of {}", folder.display()), found.skipped.iter().map(|(file, reason)| (file.as_str(), *reason)));
    Ok(found.samples)
}

fn show_answers(answers: &PublishedAnswers, claimed: Option<f64>) -> Result<()> {
    let PublishedAnswers { images, undecided, labelled, right } = *answers;
    show(format_args!("Answers:  {images} images, {undecided} of them undecided (near ties, which clients do not test)"))?;
    if labelled == 0 {
        return Ok(());
    }
    let rate = right as f64 / labelled as f64;
    show(format_args!("          right on {right} of {labelled} with a true label ({:.2}%): that is what clients find", 100.0 * rate))?;
    if let Some(claimed) = claimed.filter(|claimed| *claimed > rate) {
        show(format_args!(
            "Warning:  the card claims {:.2}%, more than the answers bear out: clients with many labelled images will refuse them",
            100.0 * claimed
        ))?;
    }
    Ok(())
}

/// Runs the command.
///
/// # Errors
/// Anything that keeps the package from being written; what is there already is left alone.
pub(crate) fn run(args: &PrepareArgs) -> Result<()> {
    if args.out.symlink_metadata().is_ok() {
        bail!("{} exists already: choose another --out, or remove it", args.out.display());
    }
    let claim = match args.claimed_accuracy {
        Some(top1) if (0.0..=1.0).contains(&top1) => Some(Claim { top1, dataset: args.dataset.clone() }),
        Some(rate) => bail!("an accuracy is between 0 and 1, not {rate}"),
        None => None,
    };
    let labels = args.labels.as_deref().map(class_names).transpose()?.unwrap_or_default();
    let settings = args.quantise.settings()?;
    let calibration = labelled_if_known(&args.calibrate)?;
    note(format_args!("{} ...", work(&settings, calibration.len())));
    let quantised = quantise_file(&args.model, &settings, &calibration)?;
    show_preview(&quantised, &calibration)?;
    show_frontier(&quantised.frontier)?;
    let file = args.model.file_stem().ok_or_else(|| anyhow!("{} names no file", args.model.display()))?;
    let name = args.name.clone().unwrap_or_else(|| file.to_string_lossy().into_owned());
    let mut watcher = Watcher::new(true);
    let (answers, measured_on) = match &args.answers {
        Some(folder) => (labelled_if_known(folder)?, Vec::new()),
        None => (Vec::new(), calibration.iter().take(MEASURED_IMAGES).cloned().collect()),
    };
    let claimed = claim.as_ref().map(|claim| claim.top1);
    let package = PackageSettings { name, claim, labels, logits_bits: args.logits_bits, answers, measured_on };
    let events = &mut |event: fusion::Event<'_>| watcher.show(event);
    let prepared = prepare(&args.out, quantised, package, &SystemClock::new(), &mut fresh_rng()?, events)?;
    drop(watcher);
    show(format_args!("Package:  {}", args.out.display()))?;
    show(format_args!("Model:    {} ({} steps, rings up to {} bits)", prepared.name, prepared.steps, prepared.ring_bits))?;
    show(format_args!("Hint:     {} in {:.1} s", human_bytes(prepared.hint_bytes), prepared.hint_seconds))?;
    if let Some(rate) = prepared.flip_rate {
        show(format_args!("Flips:    a copy's label is not the usual one of its image with chance {rate:.1e}"))?;
    }
    if let Some(answers) = &prepared.answers {
        show_answers(answers, claimed)?;
    }
    show(format_args!("Digest:   {} (publish it: clients pin it)", prepared.card_digest))?;
    if let Some(path) = &args.json {
        write_json(path, &prepared)?;
    }
    Ok(())
}
