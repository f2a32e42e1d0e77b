//! The directory of one query run: what was agreed, the secret batch, and a journal of answers that
//! survives a crash.
//!
//! ```text
//!   run.json      what runs: server, digests, plan, inputs, slices
//!   batch.secret  the permutation, mode 0600: never leaves this machine
//!   answers.jsonl one line per finished lane: labels by position
//!   failures      one byte per failed lane run: its length counts
//! ```
//! Each line and each byte is on disk before the next lane begins.
//!
//! Failed lane runs are kept because their number is bounded: a server that could have a run
//! resumed with a fresh bound would have as many tries as it likes. One byte cannot be half
//! written, so no kill leaves a number that is too small.

use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};

use fusion_mix::{MixError, private_file};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::client::run_facts::{FORMAT, RunFacts};

/// Why a journal cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum JournalError {
    /// There is a run in the directory already.
    #[error("{} already holds a run: resume it, or choose another directory", path.display())]
    Taken {
        /// The directory.
        path: PathBuf,
    },
    /// The directory holds no run.
    #[error("{} is no run directory", path.display())]
    NoRun {
        /// The directory.
        path: PathBuf,
        /// The system's reason.
        #[source]
        cause: std::io::Error,
    },
    /// A file of the run is not what this program wrote.
    #[error("{} is damaged{}", path.display(), at.map_or_else(String::new, |byte| format!(" at byte {byte}")))]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Where the damage begins, if that is known.
        at: Option<u64>,
    },
    /// The run is of a program that wrote another format.
    #[error("{} is of version {found}, this program reads {FORMAT} and below", path.display())]
    Version {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: u32,
    },
    /// Another process has the run open.
    #[error("another process is working on {}", path.display())]
    Busy {
        /// The directory.
        path: PathBuf,
    },
    /// The run's facts cannot be written.
    #[error(transparent)]
    Facts(#[from] MixError),
    /// The disk refuses.
    #[error("cannot use {}", path.display())]
    Disk {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        #[source]
        cause: std::io::Error,
    },
}

fn disk(path: &Path) -> impl FnOnce(std::io::Error) -> JournalError + '_ {
    move |cause| JournalError::Disk { path: path.to_owned(), cause }
}

/// Where a new run is to be kept, and what its user wants to find there again.
#[derive(Debug, Clone, PartialEq)]
pub struct Journal {
    pub(super) path: PathBuf,
    pub(super) source: Map<String, Value>,
}

impl Journal {
    /// A journal in the directory `path`, which must not hold a run yet.
    #[must_use]
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), source: Map::new() }
    }

    /// Keeps `source` in the journal, from which the caller can find the inputs again when it
    /// resumes: names of folders, for example. The key `digest` is the journal's own, and dropped.
    #[must_use]
    pub fn keeping(mut self, mut source: Map<String, Value>) -> Self {
        source.remove("digest");
        self.source = source;
        self
    }
}

/// Refuses a directory that holds a run.
pub(super) fn check_free(path: &Path) -> Result<(), JournalError> {
    if path.join("run.json").exists() {
        return Err(JournalError::Taken { path: path.to_owned() });
    }
    Ok(())
}

/// One line of the journal.
#[derive(Serialize, Deserialize)]
struct Entry {
    start: u32,
    end: u32,
    labels: Vec<u32>,
}

/// A slice of positions and its labels.
pub(super) type Answered = (Range<u32>, Vec<u32>);

/// What a run agreed on, read from its directory.
///
/// # Errors
/// If `path` is no run directory, or of a later version.
pub fn read_facts(path: &Path) -> Result<RunFacts, JournalError> {
    let file = path.join("run.json");
    let text = std::fs::read(&file).map_err(|cause| JournalError::NoRun { path: path.to_owned(), cause })?;
    let damaged = |_| JournalError::Damaged { path: file.clone(), at: None };
    let facts: RunFacts = serde_json::from_slice(&text).map_err(damaged)?;
    if !(1..=FORMAT).contains(&facts.version) {
        return Err(JournalError::Version { path: file, found: facts.version });
    }
    Ok(facts)
}

/// An open run directory. Only one process may have it open.
#[derive(Debug)]
pub(super) struct RunDir {
    path: PathBuf,
    journal: File,
    failures: File,
    /// Held for as long as the run is open.
    _lock: File,
}

impl RunDir {
    /// Makes a new directory.
    pub(super) fn create(path: &Path, facts: &RunFacts) -> Result<Self, JournalError> {
        check_free(path)?;
        let file = path.join("run.json");
        std::fs::create_dir_all(path).map_err(disk(path))?;
        let run = Self::lock(path, true)?;
        let text = serde_json::to_vec_pretty(facts).map_err(|e| disk(&file)(e.into()))?;
        private_file::create_new(&file, &text)?;
        // The entries of the files, too: a journal whose name is lost is lost.
        File::open(path).and_then(|directory| directory.sync_all()).map_err(disk(path))?;
        Ok(run)
    }

    /// Opens an existing run: its facts and the answers that are in. A cut last line of the journal
    /// is dropped: that lane runs again.
    pub(super) fn open(path: &Path) -> Result<(Self, RunFacts, Vec<Answered>), JournalError> {
        let facts = read_facts(path)?;
        // A run that counts its failures has had the file from its beginning: one that lost it must
        // not begin again at zero.
        let run = Self::lock(path, facts.max_failures.is_none())?;
        let mut answers = Vec::new();
        let file = path.join("answers.jsonl");
        let mut good = 0;
        let mut reader = BufReader::new(File::open(&file).map_err(disk(&file))?);
        let mut line = String::new();
        while reader.read_line(&mut line).map_err(disk(&file))? > 0 {
            let entry = serde_json::from_str::<Entry>(&line).ok().filter(|_| line.ends_with('\n'));
            let Some(entry) = entry else {
                // Only the last line can be cut: each is synced before the next is begun.
                let mut rest = String::new();
                if reader.read_line(&mut rest).map_err(disk(&file))? > 0 {
                    return Err(JournalError::Damaged { path: file, at: Some(good) });
                }
                break;
            };
            good += line.len() as u64;
            answers.push((entry.start..entry.end, entry.labels));
            line.clear();
        }
        run.journal.set_len(good).map_err(disk(&file))?;
        Ok((run, facts, answers))
    }

    fn lock(path: &Path, may_create_failures: bool) -> Result<Self, JournalError> {
        let lock = path.join("lock");
        let lock = File::create(&lock).map_err(disk(&lock))?;
        if lock.try_lock().is_err() {
            return Err(JournalError::Busy { path: path.to_owned() });
        }
        let file = path.join("answers.jsonl");
        let journal = OpenOptions::new().create(true).append(true).open(&file).map_err(disk(&file))?;
        let file = path.join("failures");
        let failures = OpenOptions::new().create(may_create_failures).append(true).open(&file).map_err(disk(&file))?;
        Ok(Self { path: path.to_owned(), journal, failures, _lock: lock })
    }

    /// How many lane runs have failed so far, by [`RunDir::lane_failed`] of this process and those
    /// before it.
    pub(super) fn failures(&self) -> Result<u32, JournalError> {
        let length = self.failures.metadata().map_err(disk(&self.path))?.len();
        Ok(u32::try_from(length).unwrap_or(u32::MAX))
    }

    /// Counts a failed lane run and waits until that is on disk. Only then another lane may begin.
    pub(super) fn lane_failed(&mut self) -> Result<(), JournalError> {
        // The length is metadata: `sync_data` would not do.
        self.failures.write_all(b"x").and_then(|()| self.failures.sync_all()).map_err(disk(&self.path))
    }

    /// The directory.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The secret batch file.
    pub(super) fn batch_path(&self) -> PathBuf {
        self.path.join("batch.secret")
    }

    /// Appends the answers of a finished lane and waits until they are on disk.
    pub(super) fn append(&mut self, slice: &Range<u32>, labels: &[u32]) -> Result<(), JournalError> {
        let entry = Entry { start: slice.start, end: slice.end, labels: labels.to_vec() };
        let mut line = serde_json::to_vec(&entry).map_err(|e| disk(&self.path)(e.into()))?;
        line.push(b'\n');
        self.journal.write_all(&line).and_then(|()| self.journal.sync_data()).map_err(disk(&self.path))
    }
}

#[cfg(test)]
mod tests {
    use fusion_mix::report::SkippedFile;

    use super::*;
    use crate::client::run_facts::{ImageDigests, RunInputs};

    fn source() -> Map<String, Value> {
        let queries = ("queries".to_owned(), Value::from(vec!["q"]));
        [queries, ("publics".to_owned(), Value::from("mnist"))].into_iter().collect()
    }

    fn facts() -> RunFacts {
        let mix = fusion_mix::mix::Mix::new(4, 3, 5, 0, 0).unwrap();
        let labels = fusion_mix::accuracy::PublicLabels::Certified { mismatch: 0.0, detect_below: None };
        let plan = fusion_mix::plan::Plan::evaluate(&fusion_mix::plan::PlanRequest::new(4, 5.0, labels), mix).unwrap().to_json();
        RunFacts {
            version: FORMAT,
            id: "ab".to_owned(),
            server: "127.0.0.1:1".to_owned(),
            card_digest: "aa".to_owned(),
            hint_digest: "bb".to_owned(),
            plan,
            class_names: vec!["cat".to_owned(), "dog".to_owned()],
            classes: Some(2),
            inputs: RunInputs {
                source: source(),
                digest: "cc".to_owned(),
                files: vec!["a.png".to_owned()],
                skipped: vec![SkippedFile { file: "notes.txt".to_owned(), reason: "no image".to_owned() }],
                images: Some(ImageDigests { queries: vec!["dd".to_owned()], publics: [(3, "ee".to_owned())].into() }),
            },
            pool: Vec::new(),
            sheet: None,
            slices: vec![0..9, 9..17],
            max_failures: Some(3),
        }
    }

    #[test]
    fn a_run_survives_being_killed_at_any_byte() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("run");
        let mut run = RunDir::create(&path, &facts()).unwrap();
        run.append(&(0..2), &[7, 8]).unwrap();
        run.append(&(2..3), &[9]).unwrap();
        assert!(RunDir::open(&path).unwrap_err().to_string().contains("another process"));
        drop(run);
        let journal = path.join("answers.jsonl");
        let whole = std::fs::read(&journal).unwrap();
        let first = whole.iter().position(|&b| b == b'\n').unwrap() + 1;
        for cut in first..=whole.len() {
            std::fs::write(&journal, &whole[..cut]).unwrap();
            let (mut run, read, answers) = RunDir::open(&path).unwrap();
            assert_eq!(read, facts());
            assert_eq!(answers[0], (0..2, vec![7, 8]));
            assert_eq!(answers.len(), if cut == whole.len() { 2 } else { 1 }, "cut at {cut}");
            if answers.len() == 1 {
                run.append(&(2..3), &[9]).unwrap();
                drop(run);
                assert_eq!(RunDir::open(&path).unwrap().2.len(), 2);
            }
        }
        assert!(RunDir::create(&path, &facts()).is_err());
        std::fs::write(&journal, [b"x\n", &whole[..]].concat()).unwrap();
        assert!(RunDir::open(&path).unwrap_err().to_string().contains("damaged"));
    }

    #[test]
    fn failed_lanes_stay_failed() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("run");
        let mut run = RunDir::create(&path, &facts()).unwrap();
        assert_eq!(run.failures().unwrap(), 0);
        run.lane_failed().unwrap();
        run.lane_failed().unwrap();
        drop(run);
        let (mut run, read, _) = RunDir::open(&path).unwrap();
        assert_eq!((run.failures().unwrap(), read.max_failures), (2, Some(3)));
        run.lane_failed().unwrap();
        drop(run);
        assert_eq!(RunDir::open(&path).unwrap().0.failures().unwrap(), 3);
        std::fs::remove_file(path.join("failures")).unwrap();
        assert!(RunDir::open(&path).unwrap_err().to_string().contains("failures"), "a lost count is not zero");
    }

    #[test]
    fn runs_of_older_programs_have_no_bound() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("run");
        drop(RunDir::create(&path, &RunFacts { max_failures: None, ..facts() }).unwrap());
        assert!(!std::fs::read_to_string(path.join("run.json")).unwrap().contains("max_failures"));
        std::fs::remove_file(path.join("failures")).unwrap();
        let (run, read, _) = RunDir::open(&path).unwrap();
        assert_eq!((run.failures().unwrap(), read.max_failures), (0, None));
    }
}
