//! Writing a package.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use fusion_ring::symmetric::digest::{Digest, Hasher};

use super::error::{PackageError, io_error};
use super::parts::{CARD, HINT, WEIGHTS};
use super::private::{self, PrivateModel};
use crate::card::{HintFacts, ModelCard};

/// A package being written: card and weights are fixed, the hint is still to come. A [`Write`] for
/// the hint's bytes, in layer order.
pub struct PackageWriter {
    target: PathBuf,
    directory: PathBuf,
    card: ModelCard,
    hint: BufWriter<File>,
    hasher: Hasher,
    bytes: u64,
}

impl PackageWriter {
    /// Starts the package `target`, which must not exist, and writes the weights. The card's
    /// digests are filled in here and in [`PackageWriter::finish`]; whatever they are in `card` is
    /// ignored.
    ///
    /// # Errors
    /// The card or the weights are invalid, `target` exists, or the file system refuses.
    pub fn create(target: &Path, card: ModelCard, private: &PrivateModel) -> Result<Self, PackageError> {
        if target.symlink_metadata().is_ok() {
            return Err(PackageError::Exists(target.to_owned()));
        }
        let mut card = ModelCard { hint: None, ..card };
        card.validate()?;
        private.weights.validate(&card.program)?;
        let bytes = private::encode(private)?;
        card.weights_digest = Digest::of(&bytes);

        let mut name = target.file_name().unwrap_or_default().to_owned();
        name.push(".partial");
        let directory = target.with_file_name(name);
        match fs::create_dir(&directory) {
            // Left by an interrupted run: its files are overwritten.
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
            other => other.map_err(io_error("create", &directory))?,
        }
        let path = directory.join(WEIGHTS);
        private_file(&path).and_then(|mut f| f.write_all(&bytes).and_then(|()| f.sync_all())).map_err(io_error("write", &path))?;
        let path = directory.join(HINT);
        let hint = BufWriter::with_capacity(1 << 20, File::create(&path).map_err(io_error("create", &path))?);
        Ok(Self { target: target.to_owned(), directory, card, hint, hasher: Hasher::default(), bytes: 0 })
    }

    /// The card so far; its [`seed`](ModelCard::seed) is final.
    #[must_use]
    pub fn card(&self) -> &ModelCard {
        &self.card
    }

    /// Closes the hint, writes the card and gives the package its name.
    ///
    /// # Errors
    /// The hint is empty or the file system refuses.
    pub fn finish(mut self) -> Result<ModelCard, PackageError> {
        let path = self.directory.join(HINT);
        self.hint.flush().and_then(|()| self.hint.get_ref().sync_all()).map_err(io_error("write", &path))?;
        self.card.hint = Some(HintFacts { digest: self.hasher.finish(), bytes: self.bytes });
        let path = self.directory.join(CARD);
        fs::write(&path, self.card.encode()?).map_err(io_error("write", &path))?;
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

/// A file that only its owner may read.
fn private_file(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}
