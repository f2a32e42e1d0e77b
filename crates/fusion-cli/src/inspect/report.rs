//! A report, as it was shown when it was written.

use std::path::Path;

use anyhow::{Context, Result};
use fusion::mix::report::Report;

use crate::outcome::write_json;
use crate::report::report_text;
use crate::terminal::show;

/// Shows a report.
///
/// # Errors
/// JSON that is none, a file that cannot be written.
pub(super) fn inspect(path: &Path, json: Option<&Path>) -> Result<()> {
    let text = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    let report: Report = serde_json::from_slice(&text)?;
    show(format_args!("A report as {} has it: `fusion verify RUN` judges the answers themselves.\n", path.display()))?;
    show(report_text(&report))?;
    json.map_or(Ok(()), |path| write_json(path, &report))
}
