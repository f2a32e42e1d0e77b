//! The end of a run on the command line: exit codes and files.

use std::path::Path;

use anyhow::{Context, Result, anyhow};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
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

impl Files<'_> {
    /// Refuses what cannot be written, before there is anything to write. Changes nothing: a file
    /// that is there keeps its content until a new one can take its place.
    ///
    /// # Errors
    /// The first path that cannot be written.
    pub fn check(&self) -> Result<()> {
        [self.json, self.csv, self.html]
            .into_iter()
            .flatten()
            .try_for_each(|path| writable(path).with_context(|| format!("cannot write {}, and nothing has been run", path.display())))
    }

    /// Writes what was asked for, all of it that can be; `queries` are the images of the answers,
    /// in order.
    ///
    /// # Errors
    /// If a file cannot be written.
    pub fn write(&self, report: &Report, json: &impl Serialize, queries: &[Sample]) -> Result<()> {
        every([
            self.json.map_or(Ok(()), |path| write_json(path, json)),
            self.csv.map_or(Ok(()), |path| write_csv(path, report)),
            self.html.map_or(Ok(()), |path| write_html(path, report, queries)),
        ])
    }
}

/// Whether a file can be written at `path`, as far as that can be known without writing it.
fn writable(path: &Path) -> std::io::Result<()> {
    match path.metadata() {
        // Opening a pipe would tell its reader that something comes.
        Ok(there) if there.is_file() || there.is_dir() => std::fs::OpenOptions::new().append(true).open(path).map(drop),
        Ok(_) => Ok(()),
        Err(_) => {
            let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
            tempfile::tempfile_in(directory).map(drop)
        }
    }
}

/// All that was done is done, whatever failed of it.
///
/// # Errors
/// What failed, in one.
pub fn every(done: impl IntoIterator<Item = Result<()>>) -> Result<()> {
    let failed: Vec<String> = done.into_iter().filter_map(|done| Some(format!("{:#}", done.err()?))).collect();
    if failed.is_empty() { Ok(()) } else { Err(anyhow!("{}", failed.join("; "))) }
}

/// Writes the answers as CSV.
///
/// # Errors
/// If it cannot be written.
fn write_csv(path: &Path, report: &Report) -> Result<()> {
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
fn write_html(path: &Path, report: &Report, queries: &[Sample]) -> Result<()> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_tried_and_nothing_is_changed() {
        let folder = tempfile::tempdir().unwrap();
        let (there, new, lost) = (folder.path().join("there"), folder.path().join("new"), folder.path().join("none/file"));
        std::fs::write(&there, "before").unwrap();
        Files { json: Some(&there), csv: Some(&new), html: Some(Path::new("/dev/null")) }.check().unwrap();
        assert_eq!(std::fs::read_to_string(&there).unwrap(), "before");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "nothing is left");
        for bad in [&lost, folder.path()] {
            let error = Files { html: Some(bad), ..Files::default() }.check().unwrap_err().to_string();
            assert!(error.contains(&bad.display().to_string()), "{error}");
        }
    }

    #[test]
    fn what_fails_does_not_keep_the_rest_from_being_done() {
        let mut done = 0;
        let mut step = |failed: bool| {
            done += 1;
            if failed { Err(anyhow!("step {done}")) } else { Ok(()) }
        };
        let error = every([step(true), step(false), step(true), step(false)]).unwrap_err();
        assert_eq!((done, error.to_string().as_str()), (4, "step 1; step 3"));
    }
}
