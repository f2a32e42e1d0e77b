//! Writing a package.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use fusion_ring::symmetric::digest::{Digest, Hasher};
use fusion_rlwe::ServerKey;

use super::error::{PackageError, io_error};
use super::parts::{ANSWERS, CARD, HINT, SEAL, WEIGHTS};
use super::private::{self, PrivateModel};
use super::seal::Seal;
use crate::answer_sheet::AnswerSheet;
use crate::card::{AnswerFacts, HintFacts, ModelCard};

/// A package being written: card and weights are fixed, the hint is still to come. A [`Write`] for
/// the hint's bytes, in layer order.
///
/// The files are written to `NAME.partial` beside the target, synced, and renamed in one step by
/// [`PackageWriter::finish`]: whoever finds the package finds all of it.
pub struct PackageWriter {
    target: PathBuf,
    directory: PathBuf,
    card: ModelCard,
    hint: BufWriter<File>,
    hasher: Hasher,
    bytes: u64,
    key: ServerKey,
}

impl PackageWriter {
    /// Starts the package `target`, which must not exist, and writes the weights and the answers
    /// that are published with it. The card's digests are filled in here and in
    /// [`PackageWriter::finish`]; whatever they are in `card` is ignored.
    ///
    /// # Errors
    /// The card or the weights are invalid, `target` exists, or the file system refuses.
    pub fn create(target: &Path, card: ModelCard, private: &PrivateModel, answers: Option<&AnswerSheet>) -> Result<Self, PackageError> {
        if target.symlink_metadata().is_ok() {
            return Err(PackageError::Exists(target.to_owned()));
        }
        let answers = answers.map(AnswerSheet::encode);
        let facts = answers.as_ref().map(|bytes| AnswerFacts { digest: Digest::of(bytes), bytes: bytes.len() as u64 });
        let mut card = ModelCard { hint: None, answers: facts, ..card };
        card.validate()?;
        private.weights.validate(&card.program)?;
        let bytes = private::encode(private)?;
        card.weights_digest = Digest::of(&bytes);

        let directory = partial_directory(target)?;
        write_file(&directory.join(WEIGHTS), Readers::Owner, &bytes)?;
        if let Some(answers) = answers {
            write_file(&directory.join(ANSWERS), Readers::All, &answers)?;
        }
        let path = directory.join(HINT);
        let hint = new_file(&path, Readers::All).map_err(io_error("create", &path))?;
        let hint = BufWriter::with_capacity(1 << 20, hint);
        let key = ServerKey::from_bytes(*private.key.as_bytes());
        Ok(Self { target: target.to_owned(), directory, card, hint, hasher: Hasher::default(), bytes: 0, key })
    }

    /// The card so far; its [`seed`](ModelCard::seed) is final.
    #[must_use]
    pub fn card(&self) -> &ModelCard {
        &self.card
    }

    /// Closes the hint, writes the card and its seal, and gives the package its name.
    ///
    /// # Errors
    /// The hint is empty or the file system refuses.
    pub fn finish(mut self) -> Result<ModelCard, PackageError> {
        let path = self.directory.join(HINT);
        self.hint.flush().and_then(|()| self.hint.get_ref().sync_all()).map_err(io_error("write", &path))?;
        self.card.hint = Some(HintFacts { digest: self.hasher.finish(), bytes: self.bytes });
        let card = self.card.encode()?;
        write_file(&self.directory.join(CARD), Readers::All, &card)?;
        let seal = Seal::new(Digest::of(&card), &self.key);
        write_file(&self.directory.join(SEAL), Readers::Owner, &seal.encode())?;
        sync_directory(&self.directory).map_err(io_error("write", &self.directory))?;
        fs::rename(&self.directory, &self.target).map_err(io_error("create", &self.target))?;
        Ok(self.card)
    }
}

impl Write for PackageWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let n = self.hint.write(bytes)?;
        self.hasher.update(&bytes[..n]);
        self.bytes += n as u64;
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.hint.flush()
    }
}

/// The directory `target`.partial, without what an interrupted run may have left in it.
fn partial_directory(target: &Path) -> Result<PathBuf, PackageError> {
    let mut name = target.file_name().unwrap_or_default().to_owned();
    name.push(".partial");
    let directory = target.with_file_name(name);
    match fs::create_dir(&directory) {
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
        other => other.map_err(io_error("create", &directory))?,
    }
    for part in [CARD, WEIGHTS, SEAL, HINT, ANSWERS] {
        let path = directory.join(part);
        match fs::remove_file(&path) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => {}
            other => other.map_err(io_error("replace", &path))?,
        }
    }
    Ok(directory)
}

/// Who may read a file.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Readers {
    Owner,
    All,
}

/// A file that was not there before. An old one would keep its permissions, and a link would lead
/// the weights elsewhere.
fn new_file(path: &Path, readers: Readers) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    if readers == Readers::Owner {
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    }
    #[cfg(not(unix))]
    let _ = readers;
    options.open(path)
}

fn write_file(path: &Path, readers: Readers, bytes: &[u8]) -> Result<(), PackageError> {
    let written = new_file(path, readers).and_then(|mut file| file.write_all(bytes).and_then(|()| file.sync_all()));
    written.map_err(io_error("write", path))
}

/// Makes the names in a directory survive a power failure, where the system can do that.
fn sync_directory(directory: &Path) -> io::Result<()> {
    #[cfg(unix)]
    File::open(directory)?.sync_all()?;
    #[cfg(not(unix))]
    let _ = directory;
    Ok(())
}
