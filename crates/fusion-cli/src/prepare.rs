//! `fusion prepare`: from an ONNX file to a package that can be served.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result, anyhow, bail};
use fusion::model::card::Claim;
use fusion::{PackageSettings, SystemClock, images, prepare, quantise_file};

use crate::cli::PrepareArgs;
use crate::frontier::show_frontier;
use crate::outcome::write_json;
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
    let calibration = images::folder(&args.calibrate)?;
    eprintln!("{} ...", work(&settings, calibration.len()));
    let quantised = quantise_file(&args.model, &settings, &calibration)?;
    show_frontier(&quantised.frontier)?;
    let file = args.model.file_stem().ok_or_else(|| anyhow!("{} names no file", args.model.display()))?;
    let name = args.name.clone().unwrap_or_else(|| file.to_string_lossy().into_owned());
    let mut watcher = Watcher::new(true);
    let package = PackageSettings { name, claim, labels, logits_bits: args.logits_bits };
    let events = &mut |event: fusion::Event<'_>| watcher.show(event);
    let prepared = prepare(&args.out, quantised, package, &SystemClock::new(), &mut fresh_rng()?, events)?;
    drop(watcher);
    show(format_args!("Package:  {}", args.out.display()))?;
    show(format_args!("Model:    {} ({} steps, rings up to {} bits)", prepared.name, prepared.steps, prepared.ring_bits))?;
    show(format_args!("Hint:     {} in {:.1} s", human_bytes(prepared.hint_bytes), prepared.hint_seconds))?;
    show(format_args!("Digest:   {} (publish it: clients pin it)", prepared.hint_digest))?;
    if let Some(path) = &args.json {
        write_json(path, &prepared)?;
    }
    Ok(())
}
