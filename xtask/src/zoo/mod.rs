//! `cargo xtask model-zoo`: what becomes of the networks that people have.
//!
//! Python's tools export them and onnxruntime answers for [`photos::COMPARED`] photos; then each
//! file goes through import, plan, twin and cost model here. Tensors are made once, by us, and read
//! by both sides. A folder that holds onnxruntime's answers already is taken as it is.

mod catalogue;
mod compare;
mod measure;
mod photos;
mod table;
mod tools;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use clap::Args;
use fusion::images::Sample;
use fusion_cli::diagnostics::note;
use fusion_cli::terminal::show;

use self::catalogue::Entry;
use self::compare::Verdict;
use self::measure::{Row, measure};
use self::photos::Photos;
use self::tools::{Pythons, Tools};

/// Where the table goes, relative to the workspace.
const DOCUMENT: &str = "docs/models.md";

/// Options of the task.
#[derive(Args)]
pub(crate) struct Options {
    /// Also writes the rows to this file
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Where Python's environments, exported files and onnxruntime's answers are kept [default:
    /// target/model-zoo]
    #[arg(long, value_name = "DIR")]
    work: Option<PathBuf>,
    /// Only this network, by either exporter, or only this row (resnet18-dynamo); writes no
    /// document
    #[arg(long, value_name = "NAME")]
    only: Vec<String>,
    /// 32 photos or more: the first 16 are compared, the next 16 calibrate [default:
    /// ../shared/images/imagenet]
    #[arg(long, value_name = "DIR")]
    photos: Option<PathBuf>,
    /// EfficientNet-Lite0 with real weights [default: ../shared/models/efficientnet-lite0.onnx]
    #[arg(long, value_name = "ONNX")]
    lite0: Option<PathBuf>,
    #[command(flatten)]
    pythons: Pythons,
    /// Only exports and runs onnxruntime
    #[arg(long)]
    export_only: bool,
}

/// Runs the task for the workspace at `root`.
pub(crate) fn run(options: &Options, root: &Path) -> Result<()> {
    let entries = chosen(&options.only)?;
    let samples = photos::find(&options.photos.clone().unwrap_or_else(|| root.join("../shared/images/imagenet")))?;
    let work = options.work.clone().unwrap_or_else(|| root.join("target/model-zoo"));
    fs::create_dir_all(&work).with_context(|| work.display().to_string())?;
    let missing: Vec<Entry> = entries.iter().filter(|entry| !is_answered(&model_of(&work, entry))).copied().collect();
    let zoo = Zoo {
        tools: Tools::obtain(&options.pythons, root, &work, &missing)?,
        lite0: options.lite0.clone().unwrap_or_else(|| root.join("../shared/models/efficientnet-lite0.onnx")),
        samples,
        work,
    };
    let mut written = BTreeMap::new();
    let mut rows = Vec::new();
    for (index, entry) in entries.iter().enumerate() {
        note(format_args!("[{}/{}] {}", index + 1, entries.len(), entry.folder()));
        if !written.contains_key(entry.recipe.name()) {
            written.insert(entry.recipe.name(), Photos::write(&zoo.samples, entry.recipe, &zoo.work)?);
        }
        let photos = &written[entry.recipe.name()];
        zoo.answer(entry, photos)?;
        if !options.export_only {
            let row = measure(blank(entry), photos, &model_of(&zoo.work, entry)).with_context(|| entry.folder())?;
            note(table::line(&row).trim_end());
            rows.push(row);
        }
    }
    finish(options, root, &rows)
}

/// Writes what was asked for.
fn finish(options: &Options, root: &Path, rows: &[Row]) -> Result<()> {
    if options.export_only {
        return Ok(());
    }
    if let Some(file) = &options.json {
        fs::write(file, serde_json::to_string_pretty(rows)? + "\n").with_context(|| file.display().to_string())?;
    }
    // A document of some rows would pass for one of all.
    if options.only.is_empty() {
        fs::write(root.join(DOCUMENT), table::document(rows)).context(DOCUMENT)?;
    }
    show(table::summary(rows))
}

/// What rows are made with.
struct Zoo {
    tools: Tools,
    lite0: PathBuf,
    samples: Vec<Sample>,
    work: PathBuf,
}

impl Zoo {
    /// Makes the file of `entry` and onnxruntime's answers, unless they are there.
    fn answer(&self, entry: &Entry, photos: &Photos) -> Result<()> {
        let model = model_of(&self.work, entry);
        if is_answered(&model) {
            return Ok(());
        }
        fs::create_dir_all(self.work.join(entry.folder()))?;
        self.tools.export(entry, photos, &self.lite0, &model).with_context(|| entry.folder())?;
        self.tools.run_onnxruntime(photos, &model).with_context(|| entry.folder())
    }
}

/// The rows that `only` names; all if it names none.
fn chosen(only: &[String]) -> Result<Vec<Entry>> {
    let all = catalogue::all();
    let names = |entry: &Entry, name: &String| entry.network == name.as_str() || entry.folder() == *name;
    if let Some(unknown) = only.iter().find(|name| !all.iter().any(|entry| names(entry, name))) {
        bail!("no network is called {unknown}; there are {}", all.iter().map(Entry::folder).collect::<Vec<_>>().join(", "));
    }
    Ok(all.into_iter().filter(|entry| only.is_empty() || only.iter().any(|name| names(entry, name))).collect())
}

/// The ONNX file of a row.
fn model_of(work: &Path, entry: &Entry) -> PathBuf {
    work.join(entry.folder()).join("model.onnx")
}

/// Whether onnxruntime has answered; the file that says so is written last.
fn is_answered(model: &Path) -> bool {
    model.with_file_name("expected.json").exists()
}

/// A row of which nothing is known yet.
fn blank(entry: &Entry) -> Row {
    Row {
        name: entry.folder(),
        network: entry.network,
        exporter: entry.exporter.title(),
        verdict: Verdict::Wrong,
        note: "was not measured".to_owned(),
        distinct: 0,
        float: None,
        twin: None,
        overflows: 0,
        bytes: None,
        file: serde_json::Value::Null,
    }
}
