//! The directory of one query run: what was agreed, the secret batch, and a journal of answers that survives a crash.
//!
//! ```text
//!   run.json      what runs: server, digests, plan, inputs, slices            (public to the client's user)
//!   batch.secret  the permutation, mode 0600, written by fusion-mix           (never leaves this machine)
//!   answers.jsonl one line per finished lane, synced to disk before the next  (labels by position)
//!   failures      one byte per failed lane run, synced likewise          (its length counts)
//! ```
//!
//! Failed lane runs are kept because their number is bounded: a server that could have a run
//! resumed with a fresh bound would have as many tries as it likes. One byte cannot be half
//! written, so no kill leaves a number that is too small.

use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};

/// Where the inputs of a run come from: enough to read them again on resume.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Inputs {
    /// Image files or folders of the queries.
    pub queries: Vec<PathBuf>,
    /// Where the public samples come from.
    pub publics: PublicSource,
    /// SHA3-256 of all input tensors in order, so that changed files are noticed.
    pub digest: String,
}

/// Source of public samples.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PublicSource {
    /// The digits that come with the program.
    Mnist,
    /// A folder and its labels.
    Folder {
        /// The images.
        images: PathBuf,
        /// CSV file of labels.
        labels: PathBuf,
    },
}

/// What a run agreed on before its first lane.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunFacts {
    /// Version of this format.
    pub version: u32,
    /// `host:port` of the server.
    pub server: String,
    /// Digest of the model card.
    pub card_digest: String,
    /// Digest of the hint.
    pub hint_digest: String,
    /// The plan.
    pub plan: fusion_mix::plan::PlanJson,
    /// Inputs.
    pub inputs: Inputs,
    /// Slices of positions, one lane each.
    pub slices: Vec<Range<u32>>,
    /// Lane runs that may fail, however often the run is resumed. Runs of older programs have no
    /// such number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_failures: Option<u32>,
}

/// Version of [`RunFacts`].
pub const FORMAT: u32 = 1;

/// One line of the journal.
#[derive(Serialize, Deserialize)]
struct Entry {
    start: u32,
    end: u32,
    labels: Vec<u32>,
}

/// A slice of positions and its labels.
pub type Answered = (Range<u32>, Vec<u32>);

/// An open run directory. Only one process may have it open.
#[derive(Debug)]
pub struct RunDir {
    path: PathBuf,
    journal: File,
    failures: File,
    /// Held for as long as the run is open.
    _lock: File,
}

impl RunDir {
    /// Makes a new directory.
    ///
    /// # Errors
    /// If it exists and is not empty, or cannot be written.
    pub fn create(path: &Path, facts: &RunFacts) -> Result<Self> {
        if path.join("run.json").exists() {
            bail!("{} already holds a run: go on with --resume {0}, or choose another --out", path.display());
        }
        std::fs::create_dir_all(path).with_context(|| format!("cannot make {}", path.display()))?;
        let run = Self::lock(path, true)?;
        let file = path.join("run.json");
        std::fs::write(&file, serde_json::to_vec_pretty(facts)?).with_context(|| format!("cannot write {}", file.display()))?;
        // The entries of the files, too: a journal whose name is lost is lost.
        File::open(path).and_then(|directory| directory.sync_all()).with_context(|| format!("cannot sync {}", path.display()))?;
        Ok(run)
    }

    /// Opens an existing run: its facts and the answers that are in.
    ///
    /// # Errors
    /// If it is no run directory, of another version, in use, or damaged (a cut last line of the journal is dropped: that lane runs again).
    pub fn open(path: &Path) -> Result<(Self, RunFacts, Vec<Answered>)> {
        let facts = read_facts(path)?;
        // A run that counts its failures has had the file from its beginning: one that lost it must
        // not begin again at zero.
        let run = Self::lock(path, facts.max_failures.is_none())?;
        let mut answers = Vec::new();
        let journal = path.join("answers.jsonl");
        let mut good = 0;
        let mut reader = BufReader::new(File::open(&journal)?);
        let mut line = String::new();
        while reader.read_line(&mut line)? > 0 {
            let entry = serde_json::from_str::<Entry>(&line).ok().filter(|_| line.ends_with('\n'));
            let Some(entry) = entry else {
                // Only the last line can be cut: each is synced before the next is begun.
                let mut rest = String::new();
                if reader.read_line(&mut rest)? > 0 {
                    bail!("{} is damaged at byte {good}", journal.display());
                }
                break;
            };
            good += line.len() as u64;
            answers.push((entry.start..entry.end, entry.labels));
            line.clear();
        }
        run.journal.set_len(good)?;
        Ok((run, facts, answers))
    }

    fn lock(path: &Path, may_create_failures: bool) -> Result<Self> {
        let lock = File::create(path.join("lock"))?;
        if lock.try_lock().is_err() {
            bail!("another process is working on {}", path.display());
        }
        let file = path.join("answers.jsonl");
        let journal = OpenOptions::new().create(true).append(true).open(&file);
        let journal = journal.with_context(|| format!("cannot write {}", file.display()))?;
        let file = path.join("failures");
        let failures = OpenOptions::new().create(may_create_failures).append(true).open(&file);
        let failures = failures.with_context(|| format!("cannot write {}", file.display()))?;
        Ok(Self { path: path.to_owned(), journal, failures, _lock: lock })
    }

    /// How many lane runs have failed so far, by [`RunDir::lane_failed`] of this process and those
    /// before it.
    ///
    /// # Errors
    /// If the disk does not say.
    pub fn failures(&self) -> Result<u32> {
        Ok(u32::try_from(self.failures.metadata()?.len()).unwrap_or(u32::MAX))
    }

    /// Counts a failed lane run and waits until that is on disk. Only then another lane may begin.
    ///
    /// # Errors
    /// If the disk refuses.
    pub fn lane_failed(&mut self) -> Result<()> {
        self.failures.write_all(b"x")?;
        // The length is metadata.
        self.failures.sync_all()?;
        Ok(())
    }

    /// The directory.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The secret batch file.
    #[must_use]
    pub fn batch_path(&self) -> PathBuf {
        self.path.join("batch.secret")
    }

    /// Appends the answers of a finished lane and waits until they are on disk.
    ///
    /// # Errors
    /// If the disk refuses.
    pub fn append(&mut self, slice: &Range<u32>, labels: &[u32]) -> Result<()> {
        let mut line = serde_json::to_vec(&Entry { start: slice.start, end: slice.end, labels: labels.to_vec() })?;
        line.push(b'\n');
        self.journal.write_all(&line)?;
        self.journal.sync_data()?;
        Ok(())
    }
}

fn read_facts(path: &Path) -> Result<RunFacts> {
    let file = path.join("run.json");
    let text = std::fs::read(&file).with_context(|| format!("{} is no run directory", path.display()))?;
    let facts: RunFacts = serde_json::from_slice(&text).with_context(|| format!("{} is damaged", file.display()))?;
    if facts.version != FORMAT {
        bail!("{} is of version {}, this program reads {FORMAT}", file.display(), facts.version);
    }
    Ok(facts)
}

/// The server of a run.
///
/// # Errors
/// If `path` is no run directory.
pub fn server_of(path: &Path) -> Result<String> {
    Ok(read_facts(path)?.server)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts() -> RunFacts {
        let mix = fusion_mix::mix::Mix::new(4, 3, 5, 0, 0).unwrap();
        let labels = fusion_mix::accuracy::PublicLabels::Certified { mismatch: 0.0, detect_below: None };
        let plan = fusion_mix::plan::Plan::evaluate(&fusion_mix::plan::PlanRequest::new(4, 5.0, labels), mix).unwrap().to_json();
        RunFacts {
            version: FORMAT,
            server: "127.0.0.1:1".to_owned(),
            card_digest: "aa".to_owned(),
            hint_digest: "bb".to_owned(),
            plan,
            inputs: Inputs { queries: vec!["q".into()], publics: PublicSource::Mnist, digest: "cc".to_owned() },
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
