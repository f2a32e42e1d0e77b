//! `fusion eval`: the fixed-point twin beside the float model, in plaintext, so that a plan can be
//! chosen by what it costs and what it loses.

use anyhow::{Context, Result, bail};
use fusion::model::eval::{EvalReport, LabelFlips, evaluate};
use fusion::nn::cost::predict;
use fusion::nn::layers::LaneTerms;
use fusion::{FrontierPoint, Tolerance, Widths, images, quantise_file};
use indicatif::{ProgressBar, ProgressStyle};
use rand::RngExt;
use serde::Serialize;

use crate::cli::EvalArgs;
use crate::diagnostics::note;
use crate::frontier::show_frontier;
use crate::left_out::say_left_out;
use crate::outcome::write_json;
use crate::preview::show_preview;
use crate::settings::{fresh_rng, work};
use crate::tables::{human_bytes, plain_table};
use crate::terminal::show;

/// Samples of a lane for which the cost is predicted.
const LANE_SAMPLES: usize = 8;

/// Runs the command.
///
/// # Errors
/// A model that cannot be imported or planned, images that cannot be read.
pub(crate) fn run(args: &EvalArgs) -> Result<u8> {
    let labels = args.images.join("labels.csv");
    let found = images::listing(&args.images)?;
    let found = if labels.is_file() { found.with_labels(&labels)?.only_labelled() } else { found };
    say_left_out(&format!("of {}", args.images.display()), found.skipped.iter().map(|(file, reason)| (file.as_str(), *reason)));
    let mut photos = found.samples;
    let settings = args.quantise.settings()?;
    note(format_args!("{} ...", work(&settings, photos.len())));
    let quantised = quantise_file(&args.model, &settings, &photos)?;
    show_preview(&quantised, &photos)?;
    photos.truncate(args.limit.unwrap_or(usize::MAX));
    if photos.is_empty() {
        bail!("--limit 0 leaves nothing to evaluate");
    }
    let tensors = photos.iter().map(|s| s.tensor(&quantised.preprocess)).collect::<Result<Vec<_>, _>>()?;
    let labels: Option<Vec<usize>> = photos.iter().map(|s| s.label.map(|l| l as usize)).collect();
    let bar = ProgressBar::new(tensors.len() as u64);
    bar.set_style(ProgressStyle::with_template("images {bar:30} {pos} of {len} (ETA {eta})").context("progress template")?);
    let seed = fresh_rng()?.random();
    let report = evaluate(&quantised.graph, &quantised.program, &quantised.weights, &tensors, labels.as_deref(), seed, &|done| {
        bar.set_position(done as u64);
    })?;
    bar.finish_and_clear();
    let again = fresh_rng()?.random();
    let flips = LabelFlips::measure(&quantised.program, &quantised.weights, &tensors, &report.twin_labels, again)?;
    let cost = predict(&quantised.program, LANE_SAMPLES, LaneTerms::LONG_LINK)?;
    show_frontier(&quantised.frontier)?;
    let (bytes_per_sample, hint_bytes) = (cost.bytes_per_sample(), cost.hint_bytes());
    let report = PlanReport { report, flips, flip_rate: flips.rate(), bytes_per_sample, hint_bytes, frontier: quantised.frontier };
    print(&report, args, settings.widths)?;
    if let Some(path) = &args.json {
        write_json(path, &report)?;
    }
    Ok(0)
}

/// How good a plan is, and what it will cost.
#[derive(Serialize)]
struct PlanReport {
    #[serde(flatten)]
    report: EvalReport,
    /// Images whose label differed between two runs.
    flips: LabelFlips,
    /// What that is for `--flip-rate`.
    flip_rate: f64,
    /// Predicted traffic of one sample, both directions.
    bytes_per_sample: u64,
    /// Bytes of the hint, once per model.
    hint_bytes: u64,
    /// What a search for widths found.
    frontier: Vec<FrontierPoint>,
}

fn print(plan: &PlanReport, args: &EvalArgs, widths: Widths) -> Result<()> {
    let report = &plan.report;
    let widths = match widths {
        Widths::Uniform { window, weight_bits, left_out } => {
            let signs = if left_out > 1 { format!("signs without {left_out} bits") } else { "exact signs".to_owned() };
            format!("windows of {window} bits, weights of {weight_bits} bits, {signs}")
        }
        Widths::Search(Tolerance { label_agreement, logit_noise, exact_signs }) => {
            let signs = if exact_signs { "exact" } else { "coarse" };
            format!("widths for {:.1}% of labels and errors of {logit_noise} of the logits, {signs} ReLUs", 100.0 * label_agreement)
        }
    };
    show(format_args!("Plan:             {widths}, margin {}", args.quantise.margin))?;
    show(format_args!("Images:           {}", report.images))?;
    show(format_args!("Label agreement:  {:.2}% with the float model", 100.0 * report.label_agreement))?;
    if let (Some(float), Some(twin)) = (report.top1_float, report.top1_twin) {
        show(format_args!("Top-1:            float {:.2}%, fixed point {:.2}%", 100.0 * float, 100.0 * twin))?;
    }
    show(format_args!("Logit error:      {:.3} at most, {:.3} on average over images", report.max_logit_error, report.mean_logit_error))?;
    show(format_args!(
        "Label flips:      {} of {} images got different labels in two runs (--flip-rate {:.4})",
        plan.flips.differing, plan.flips.images, plan.flip_rate
    ))?;
    show(format_args!(
        "Cost:             {} per sample over a long link (--terms long-link), hint of {} once per model",
        human_bytes(plan.bytes_per_sample),
        human_bytes(plan.hint_bytes)
    ))?;
    if report.overflows.is_empty() {
        show(format_args!("Overflows:        none"))?;
    } else {
        let mut table = plain_table(&["layer with overflows", "values", "images"]);
        for layer in &report.overflows {
            table.add_row([layer.layer.clone(), layer.values.to_string(), layer.images.to_string()]);
        }
        show(table)?;
    }
    for d in &report.disagreements {
        show(format_args!(
            "image {}: float says {}, fixed point {} (float margin {:.3})",
            d.image, d.float_label, d.twin_label, d.float_margin
        ))?;
    }
    Ok(())
}
