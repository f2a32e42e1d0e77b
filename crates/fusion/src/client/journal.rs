//! The directory of one query run: what was agreed, the secret batch, and a journal of answers that
//! survives a crash.
//!
//! ```text
//!   run.json      what runs: server, digests, plan, inputs, slices
//!   batch.secret  the permutation, mode 0600: never leaves this machine
//!   answers.jsonl one line per finished lane: labels by position
//!   failures      one byte per failed lane run: its length counts
//! ```
//! Each line and each byte is on disk before the next lane begins. `run.json` is written last when
//! a run begins: a directory without it holds no run yet, whatever a kill has left there.
//!
//! Failed lane runs are kept because their number is bounded: a server that could have a run
//! resumed with a fresh bound would have as many tries as it likes. One byte cannot be half
//! written, so no kill leaves a number that is too small.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{BufRead, BufReader, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};

use fusion_mix::batch::MixedBatch;
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
    /// The directory holds what a run wrote before it was killed at its very beginning.
    #[error("the run in {0} was interrupted before it had begun, and nothing is lost: begin it again with --out {0}", path.display())]
    NotBegun {
        /// The directory.
        path: PathBuf,
    },
    /// A file is gone without which the run can be neither resumed nor verified.
    #[error("{} is gone, and the rest of its run cannot be used without it: put it back, or choose another directory for a new run", path.display())]
    Torn {
        /// The file.
        path: PathBuf,
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
    #[error("another process is working on {}: wait for its end, or stop it", path.display())]
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

/// What runs.
const FACTS: &str = "run.json";
/// The secret batch.
const BATCH: &str = "batch.secret";
/// The journal.
const ANSWERS: &str = "answers.jsonl";
/// Its length counts failures.
const FAILURES: &str = "failures";

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

/// What is in a directory.
enum Held {
    /// No run.
    Nothing,
    /// A run that was killed at its beginning: no lane has run.
    Beginning,
    Run,
    /// A run that lost this file.
    Torn(PathBuf),
}

impl Held {
    fn by(path: &Path) -> Self {
        let (facts, batch) = (path.join(FACTS), path.join(BATCH));
        let filled = |name: &str| path.join(name).metadata().is_ok_and(|file| file.len() > 0);
        let has_run = filled(ANSWERS) || filled(FAILURES);
        match (facts.exists(), batch.exists()) {
            (true, true) => Self::Run,
            (false, _) if has_run => Self::Torn(facts),
            (true, false) if has_run => Self::Torn(batch),
            (false, false) => Self::Nothing,
            // Versions before wrote the facts first.
            (true, false) | (false, true) => Self::Beginning,
        }
    }
}

/// Refuses a directory that holds a run.
pub(super) fn check_free(path: &Path) -> Result<(), JournalError> {
    match Held::by(path) {
        Held::Nothing | Held::Beginning => Ok(()),
        Held::Run => Err(JournalError::Taken { path: path.to_owned() }),
        Held::Torn(path) => Err(JournalError::Torn { path }),
    }
}

/// One line of the journal.
#[derive(Serialize, Deserialize)]
struct Entry {
    start: u32,
    end: u32,
    labels: Vec<u32>,
}

/// Options for files that others may not read where they are made: labels by position are among
/// them.
fn owner_only() -> OpenOptions {
    let mut options = OpenOptions::new();
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

/// A slice of positions and its labels.
pub(super) type Answered = (Range<u32>, Vec<u32>);

/// What a run agreed on, read from its directory.
///
/// # Errors
/// If `path` is no run directory, or of a later version.
pub fn read_facts(path: &Path) -> Result<RunFacts, JournalError> {
    match Held::by(path) {
        Held::Nothing | Held::Run => {}
        Held::Beginning => return Err(JournalError::NotBegun { path: path.to_owned() }),
        Held::Torn(path) => return Err(JournalError::Torn { path }),
    }
    let file = path.join(FACTS);
    let text = std::fs::read(&file).map_err(|cause| JournalError::NoRun { path: path.to_owned(), cause })?;
    let damaged = |_| JournalError::Damaged { path: file.clone(), at: None };
    let facts: RunFacts = serde_json::from_slice(&text).map_err(damaged)?;
    if !(1..=FORMAT).contains(&facts.version) {
        return Err(JournalError::Version { path: file, found: facts.version });
    }
    Ok(facts)
}

/// How far a run is.
#[derive(Debug, Clone, PartialEq)]
pub struct RunState {
    /// What it agreed on.
    pub facts: RunFacts,
    /// Lanes whose answers are on disk.
    pub lanes: usize,
    /// Positions that those answer.
    pub answered: u32,
    /// Positions in all.
    pub positions: u32,
    /// Lane runs that failed.
    pub failures: u32,
}

impl RunState {
    /// Whether every position is answered.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.answered >= self.positions
    }

    /// Whether the run may go on: something is left to do, and the number of failed lane runs that
    /// it began with is not used up.
    #[must_use]
    pub fn is_resumable(&self) -> bool {
        !self.is_complete() && self.facts.max_failures.is_none_or(|most| self.failures <= most)
    }
}

/// How far the run in a directory is. Changes nothing there and takes no lock, so that it may be
/// asked while the run goes on; a last line that is not whole does not count.
///
/// # Errors
/// As [`read_facts`], and for a damaged journal.
pub fn read_state(path: &Path) -> Result<RunState, JournalError> {
    let facts = read_facts(path)?;
    let file = path.join(ANSWERS);
    let (answers, _) = read_answers(&file)?;
    let failures = path.join(FAILURES).metadata().map_or(0, |file| u32::try_from(file.len()).unwrap_or(u32::MAX));
    let answered = answers.iter().map(|(slice, _)| slice.end.saturating_sub(slice.start)).sum();
    let positions = facts.slices.iter().map(|slice| slice.end).max().unwrap_or(0);
    Ok(RunState { facts, lanes: answers.len(), answered, positions, failures })
}

/// The whole lines of a journal, and the bytes that they take.
fn read_answers(file: &Path) -> Result<(Vec<Answered>, u64), JournalError> {
    let (mut answers, mut good) = (Vec::new(), 0);
    let mut reader = BufReader::new(File::open(file).map_err(disk(file))?);
    let mut line = String::new();
    while reader.read_line(&mut line).map_err(disk(file))? > 0 {
        let entry = serde_json::from_str::<Entry>(&line).ok().filter(|_| line.ends_with('\n'));
        let Some(entry) = entry else {
            // Only the last line can be cut: each is synced before the next is begun.
            let mut rest = String::new();
            if reader.read_line(&mut rest).map_err(disk(file))? > 0 {
                return Err(JournalError::Damaged { path: file.to_owned(), at: Some(good) });
            }
            break;
        };
        good += line.len() as u64;
        answers.push((entry.start..entry.end, entry.labels));
        line.clear();
    }
    Ok((answers, good))
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
    /// Makes a new directory, or uses one in which a run was killed at its beginning. The facts
    /// come last: with them, there is a run.
    pub(super) fn create(path: &Path, facts: &RunFacts, batch: &MixedBatch) -> Result<Self, JournalError> {
        std::fs::create_dir_all(path).map_err(disk(path))?;
        let lock = Self::lock(path)?;
        check_free(path)?;
        for name in [FACTS, BATCH] {
            let left = path.join(name);
            match std::fs::remove_file(&left) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(disk(&left)(error)),
                _ => {}
            }
        }
        let run = Self::files(path, lock, true)?;
        batch.save(&run.batch_path())?;
        let file = path.join(FACTS);
        let text = serde_json::to_vec_pretty(facts).map_err(|e| disk(&file)(e.into()))?;
        // Brings the names of the others to the disk, too: a journal whose name is lost is lost.
        private_file::create_new(&file, &text)?;
        Ok(run)
    }

    /// Opens an existing run: its facts and the answers that are in. A cut last line of the journal
    /// is dropped: that lane runs again.
    pub(super) fn open(path: &Path) -> Result<(Self, RunFacts, Vec<Answered>), JournalError> {
        let facts = read_facts(path)?;
        // A run that counts its failures has had the file from its beginning: one that lost it must
        // not begin again at zero.
        let run = Self::files(path, Self::lock(path)?, facts.max_failures.is_none())?;
        let file = path.join(ANSWERS);
        let (answers, good) = read_answers(&file)?;
        run.journal.set_len(good).map_err(disk(&file))?;
        Ok((run, facts, answers))
    }

    fn lock(path: &Path) -> Result<File, JournalError> {
        let file = path.join("lock");
        let lock = owner_only().create(true).append(true).open(&file).map_err(disk(&file))?;
        match lock.try_lock() {
            Ok(()) => Ok(lock),
            Err(TryLockError::WouldBlock) => Err(JournalError::Busy { path: path.to_owned() }),
            Err(TryLockError::Error(error)) => Err(disk(&file)(error)),
        }
    }

    fn files(path: &Path, lock: File, may_create_failures: bool) -> Result<Self, JournalError> {
        let file = path.join(ANSWERS);
        let journal = owner_only().create(true).append(true).open(&file).map_err(disk(&file))?;
        let file = path.join(FAILURES);
        let failures = owner_only().create(may_create_failures).append(true).open(&file).map_err(disk(&file))?;
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
        self.path.join(BATCH)
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
mod tests;
