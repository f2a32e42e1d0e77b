//! One row: an ONNX file through our import, twin and cost model, beside onnxruntime's answers.

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use anyhow::{Context as _, Result, anyhow};
use fusion_model::calibrate::calibrate;
use fusion_model::float;
use fusion_model::graph::Graph;
use fusion_model::onnx::{ImportOptions, import_with};
use fusion_model::plan::{PlanOptions, plan};
use fusion_model::program::{Program, Weights};
use fusion_model::twin::{TruncationCarry, Twin};
use fusion_nn::cost::predict;
use fusion_nn::layers::LaneTerms;
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng as _;
use rayon::prelude::*;
use serde::Serialize;

use super::compare::{Answers, Deviation, Verdict};
use super::photos::{COMPARED, Photos, floats};

/// How networks are planned. Seeded weights answer some photos with values far beyond those of the
/// others: a margin takes them in, and costs the precision that wider windows give back.
pub(super) fn options() -> PlanOptions {
    PlanOptions { window_bits: 14, margin: 3.0, ..PlanOptions::default() }
}

/// Samples of the lane whose bytes are stated.
pub(super) const LANE_SAMPLES: usize = 8;

/// What was found of one file.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Row {
    /// The folder's name.
    pub(super) name: String,
    /// As its library calls it.
    pub(super) network: &'static str,
    /// Who wrote the file.
    pub(super) exporter: &'static str,
    /// The verdict.
    pub(super) verdict: Verdict,
    /// Why, if it is not right; or what should be known nevertheless.
    pub(super) note: String,
    /// Labels among onnxruntime's answers that differ from each other.
    pub(super) distinct: usize,
    /// Of the float network as imported, from onnxruntime.
    pub(super) float: Option<Deviation>,
    /// Of the twin, from onnxruntime.
    pub(super) twin: Option<Deviation>,
    /// Values of the twin that left their windows, over all photos.
    pub(super) overflows: u64,
    /// Both directions, per photo.
    pub(super) bytes: Option<u64>,
    /// What onnxruntime's tool said of the file: shapes, operators.
    pub(super) file: serde_json::Value,
}

/// Measures the file `model`, which onnxruntime has answered.
///
/// # Errors
/// What the tools should have written is not there. Faults of the file, or of what we make of it,
/// are in the row.
pub(super) fn measure(mut row: Row, photos: &Photos, model: &Path) -> Result<Row> {
    let beside = |name: &str| model.with_file_name(name);
    let text = fs::read_to_string(beside("expected.json")).context("onnxruntime's tool wrote nothing")?;
    row.file = serde_json::from_str(&text)?;
    let inputs = floats(&beside("inputs.bin"), COMPARED)?;
    let expected = Answers::new(floats(&beside("outputs.bin"), COMPARED)?);
    row.distinct = expected.distinct();
    anyhow::ensure!(inputs[0].len() == photos.len(), "{}: its inputs.bin is of another recipe; delete the folder", row.name);
    let calibration = photos.calibration()?;
    // A fault of one network must not take the others' rows away.
    let outcome = catch_unwind(AssertUnwindSafe(|| follow(&mut row, model, &inputs, &calibration, &expected)));
    match outcome {
        Ok(Ok(())) => (row.verdict, row.note) = expected.verdict(row.float.as_ref(), row.twin.as_ref(), row.overflows),
        Ok(Err(error)) if row.float.as_ref().is_some_and(|d| !d.is_import_right()) => {
            (row.verdict, row.note) = (Verdict::Wrong, format!("the imported network computes something else; and {error:#}"));
        }
        Ok(Err(error)) => (row.verdict, row.note) = (Verdict::Refused, format!("{error:#}")),
        Err(panic) => {
            let said = panic.downcast_ref::<String>().cloned().or_else(|| panic.downcast_ref::<&str>().map(ToString::to_string));
            (row.verdict, row.note) = (Verdict::Wrong, format!("panicked: {}", said.unwrap_or_default()));
        }
    }
    Ok(row)
}

/// Fills `row` as far as the file gets; an error says where it was refused.
fn follow(row: &mut Row, model: &Path, inputs: &[Vec<f32>], calibration: &[Vec<f32>], expected: &Answers) -> Result<()> {
    let graph = import(model)?;
    let floats = inputs.par_iter().map(|x| float::evaluate(&graph, x)).collect::<Result<Vec<_>, _>>().context("float evaluation")?;
    row.float = Some(expected.deviation(&floats, None));
    let ranges = calibrate(&graph, calibration).context("calibration")?;
    let (program, weights) = plan(&graph, &ranges, &options()).context("plan")?;
    drop((graph, ranges));
    row.bytes = Some(predict(&program, LANE_SAMPLES, LaneTerms::LONG_LINK).context("cost")?.bytes_per_sample());
    let (logits, labels, overflows) = run_twin(&program, &weights, inputs)?;
    row.overflows = overflows;
    row.twin = Some(expected.deviation(&logits, Some(labels)));
    Ok(())
}

/// The one place where a file is read and imported.
fn import(model: &Path) -> Result<Graph> {
    let bytes = fs::read(model).with_context(|| model.display().to_string())?;
    let options = ImportOptions { folder: model.parent(), ..ImportOptions::default() };
    import_with(&bytes, &options).map_err(|error| anyhow!(error))
}

/// The twin's logits and labels, drawing what is random in the protocol, and all overflows.
fn run_twin(program: &Program, weights: &Weights, inputs: &[Vec<f32>]) -> Result<(Vec<Vec<f32>>, Vec<usize>, u64)> {
    let twin = Twin::new(program, weights).context("twin")?;
    let one = |(index, input): (usize, &Vec<f32>)| -> Result<(Vec<f32>, usize, u64)> {
        let mut rng = ChaCha20Rng::seed_from_u64(index as u64);
        let run = twin.run(program.encode(input)?, &mut TruncationCarry::Random(&mut rng)).context("twin")?;
        Ok((program.decode_logits(&run.logits), run.label, run.total_overflows()))
    };
    let runs = inputs.par_iter().enumerate().map(one).collect::<Result<Vec<_>>>()?;
    let overflows = runs.iter().map(|run| run.2).sum();
    let (logits, labels) = runs.into_iter().map(|(logits, label, _)| (logits, label)).unzip();
    Ok((logits, labels, overflows))
}
