//! The end of a run on the command line: exit codes and files.

use std::path::Path;

use anyhow::{Context, Result};
use fusion::client::Outcome;
use fusion::mix::report::Report;
use fusion::mix::verify::Verdict;
use serde::Serialize;

use crate::report::report_html;

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

/// Writes what was asked for.
///
/// # Errors
/// If a file cannot be written.
pub fn write(outcome: &Outcome, json: Option<&Path>, html: Option<&Path>) -> Result<()> {
    if let Some(path) = json {
        write_json(path, &outcome.to_json()?)?;
    }
    html.map_or(Ok(()), |path| write_html(path, &outcome.report))
}

/// Writes the report as a page.
///
/// # Errors
/// If it cannot be written.
pub fn write_html(path: &Path, report: &Report) -> Result<()> {
    std::fs::write(path, report_html(report)).with_context(|| format!("cannot write {}", path.display()))
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
