//! The end of a run on the command line: exit codes and files.

use std::path::Path;

use anyhow::{Context, Result};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use fusion::client::Outcome;
use fusion::images::Sample;
use fusion::mix::report::Report;
use fusion::mix::verify::Verdict;
use serde::Serialize;

use crate::report::{report_csv, report_html};

/// Exit code of a rejected batch.
pub const EXIT_REJECTED: u8 = 3;
/// Exit code of an incomplete batch.
pub const EXIT_INCOMPLETE: u8 = 4;

/// The exit code that says the verdict.
#[must_use]
pub fn exit_code(report: &Report) -> u8 {
    match report.verdict {
        Verdict::Accepted => 0,
        Verdict::RejectedAccuracy | Verdict::RejectedInconsistentCopies => EXIT_REJECTED,
        Verdict::Incomplete => EXIT_INCOMPLETE,
    }
}

/// Files that were asked for.
#[derive(Debug, Clone, Copy, Default)]
pub struct Files<'a> {
    /// Everything, for programs.
    pub json: Option<&'a Path>,
    /// The answers, for spreadsheets.
    pub csv: Option<&'a Path>,
    /// The report, as a page for people.
    pub html: Option<&'a Path>,
}

/// Writes what was asked for; `queries` are the images of the answers, in order.
///
/// # Errors
/// If a file cannot be written.
pub fn write(outcome: &Outcome, queries: &[Sample], files: Files<'_>) -> Result<()> {
    if let Some(path) = files.json {
        write_json(path, &outcome.to_json()?)?;
    }
    files.csv.map_or(Ok(()), |path| write_csv(path, &outcome.report))?;
    files.html.map_or(Ok(()), |path| write_html(path, &outcome.report, queries))
}

/// Writes the answers as CSV.
///
/// # Errors
/// If it cannot be written.
pub fn write_csv(path: &Path, report: &Report) -> Result<()> {
    std::fs::write(path, report_csv(report)?).with_context(|| format!("cannot write {}", path.display()))
}

/// Longest side of a small picture on a page, pixels.
const THUMBNAIL: u32 = 96;

/// The report as a page, with small pictures of `queries` as far as they can be read.
#[must_use]
pub fn html(report: &Report, queries: &[Sample]) -> String {
    let uri = |png: Vec<u8>| format!("data:image/png;base64,{}", BASE64_STANDARD.encode(png));
    let shown = if report.answers.is_empty() { &[] } else { queries };
    let thumbnails: Vec<Option<String>> = shown.iter().map(|sample| sample.thumbnail(THUMBNAIL).ok().map(uri)).collect();
    report_html(report, &thumbnails)
}

/// Writes the report as a page.
///
/// # Errors
/// If it cannot be written.
pub fn write_html(path: &Path, report: &Report, queries: &[Sample]) -> Result<()> {
    std::fs::write(path, html(report, queries)).with_context(|| format!("cannot write {}", path.display()))
}

/// Writes a JSON file.
///
/// # Errors
/// If it cannot be written.
pub fn write_json(path: &Path, value: &impl Serialize) -> Result<()> {
    let mut text = serde_json::to_vec_pretty(value)?;
    text.push(b'\n');
    std::fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}
