//! The model package: what `prepare` writes and `serve` reads.
//!
//! A directory of three files:
//!
//! | file | who may see it | holds |
//! |---|---|---|
//! | `card.pb` | everybody | the [`ModelCard`], with the digests of the other two |
//! | `weights.safetensors` | the server only | integer weights, biases, the server's RLWE key |
//! | `hint.bin` | everybody | the hint, streamed |
//!
//! A package is written under a temporary name and renamed when it is whole, and it is read only if every part has the length and digest that the
//! card states: a truncated file, or a part of another model, is refused by name.

mod weights;

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use fusion_rlwe::ServerKey;
use sha3::{Digest as _, Sha3_256};
use zeroize::Zeroizing;

use crate::card::{CardError, Digest, HintFacts, MAX_CARD_BYTES, ModelCard};
use crate::program::{Weights, WeightsError};

const CARD: &str = "card.pb";
const WEIGHTS: &str = "weights.safetensors";
const HINT: &str = "hint.bin";

/// Why a package cannot be written or read.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum PackageError {
    /// The file system refused.
    #[error("cannot {action} {}: {reason}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On which file or directory.
        path: PathBuf,
        /// The system's words.
        reason: String,
    },
    /// The package to be written exists.
    #[error("{} exists already", .0.display())]
    Exists(PathBuf),
    /// A file of the package is not there.
    #[error("{} is not a whole model package: it has no {part}", package.display())]
    MissingPart {
        /// The package.
        package: PathBuf,
        /// The file's name.
        part: &'static str,
    },
    /// A part is longer or shorter than it must be.
    #[error("{part} has {actual} bytes instead of {expected}: it is truncated or of another model")]
    Length {
        /// The file's name.
        part: &'static str,
        /// What the card implies.
        expected: u64,
        /// What is there.
        actual: u64,
    },
    /// A part is not the one that the card names.
    #[error("{part} has digest {actual}, the card says {expected}: it is damaged or of another model")]
    Digest {
        /// The file's name.
        part: &'static str,
        /// From the card.
        expected: Digest,
        /// Of the file.
        actual: Digest,
    },
    /// The card is invalid.
    #[error(transparent)]
    Card(#[from] CardError),
    /// The weights are not the program's.
    #[error(transparent)]
    Weights(#[from] WeightsError),
    /// The weights file is malformed.
    #[error("{WEIGHTS} is malformed: {0}")]
    WeightsFormat(String),
}

fn io_error(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> PackageError {
    move |e| PackageError::Io { action, path: path.to_owned(), reason: e.to_string() }
}

/// What only the server holds.
pub struct PrivateModel {
    /// Integer weights of the program.
    pub weights: Weights,
    /// Key of the hint's masks. Fresh for every package: it is also what keeps the public digest of the weights file from telling anything.
    pub key: ServerKey,
}

/// A package on disk whose parts match.
pub struct Package {
    directory: PathBuf,
    card: ModelCard,
    private: PrivateModel,
}

impl Package {
    /// Reads a package and checks every part: the weights are in memory afterwards, the hint (large) has been read through once.
    ///
    /// # Errors
    /// A part is missing, truncated, damaged, of another model, or invalid.
    pub fn open(directory: &Path) -> Result<Self, PackageError> {
        let card = Self::read_card(directory)?;
        let hint = card.hint.ok_or(CardError::Missing("hint digest"))?;
        let file = part(directory, WEIGHTS)?;
        let path = directory.join(WEIGHTS);
        let limit = weights::longest_file(&card.program);
        let mut bytes = Zeroizing::new(Vec::new());
        file.take(limit + 1).read_to_end(&mut bytes).map_err(io_error("read", &path))?;
        if bytes.len() as u64 > limit {
            return Err(PackageError::Length { part: WEIGHTS, expected: limit, actual: bytes.len() as u64 });
        }
        same_digest(WEIGHTS, card.weights_digest, Digest::of(&bytes))?;
        let private = weights::decode(&card.program, &bytes)?;
        private.weights.validate(&card.program)?;
        check_hint(directory, hint)?;
        Ok(Self { directory: directory.to_owned(), card, private })
    }

    /// Reads the public card alone. `path` is a package, or a card file itself.
    ///
    /// # Errors
    /// There is none, or it is invalid.
    pub fn read_card(path: &Path) -> Result<ModelCard, PackageError> {
        let (file, path) = if path.is_dir() {
            (part(path, CARD)?, path.join(CARD))
        } else {
            (File::open(path).map_err(io_error("open", path))?, path.to_owned())
        };
        let mut bytes = Vec::new();
        file.take(MAX_CARD_BYTES as u64 + 1).read_to_end(&mut bytes).map_err(io_error("read", &path))?;
        Ok(ModelCard::decode(&bytes)?)
    }

    /// The public card.
    #[must_use]
    pub fn card(&self) -> &ModelCard {
        &self.card
    }

    /// The private part.
    #[must_use]
    pub fn private(&self) -> &PrivateModel {
        &self.private
    }

    /// The hint's file.
    #[must_use]
    pub fn hint_path(&self) -> PathBuf {
        self.directory.join(HINT)
    }
}

fn part(directory: &Path, name: &'static str) -> Result<File, PackageError> {
    let path = directory.join(name);
    match File::open(&path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Err(PackageError::MissingPart { package: directory.to_owned(), part: name }),
        other => other.map_err(io_error("open", &path)),
    }
}

fn same_digest(part: &'static str, expected: Digest, actual: Digest) -> Result<(), PackageError> {
    if expected == actual { Ok(()) } else { Err(PackageError::Digest { part, expected, actual }) }
}

fn check_hint(directory: &Path, facts: HintFacts) -> Result<(), PackageError> {
    let mut file = part(directory, HINT)?;
    let path = directory.join(HINT);
    let actual = file.metadata().map_err(io_error("read", &path))?.len();
    if actual != facts.bytes {
        return Err(PackageError::Length { part: HINT, expected: facts.bytes, actual });
    }
    let mut hash = Sha3_256::new();
    let mut buffer = vec![0u8; 1 << 20];
    loop {
        match file.read(&mut buffer).map_err(io_error("read", &path))? {
            0 => break,
            n => hash.update(&buffer[..n]),
        }
    }
    same_digest(HINT, facts.digest, Digest(hash.finalize().into()))
}

/// A package being written: card and weights are fixed, the hint is still to come. A [`Write`] for the hint's bytes, in layer order.
pub struct PackageWriter {
    target: PathBuf,
    directory: PathBuf,
    card: ModelCard,
    hint: BufWriter<File>,
    hash: Sha3_256,
    bytes: u64,
}

impl PackageWriter {
    /// Starts the package `target`, which must not exist, and writes the weights. The card's digests are filled in here and in
    /// [`PackageWriter::finish`]; whatever they are in `card` is ignored.
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
        let bytes = weights::encode(private)?;
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
        Ok(Self { target: target.to_owned(), directory, card, hint, hash: Sha3_256::new(), bytes: 0 })
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
        self.card.hint = Some(HintFacts { digest: Digest(self.hash.finalize().into()), bytes: self.bytes });
        let path = self.directory.join(CARD);
        fs::write(&path, self.card.encode()?).map_err(io_error("write", &path))?;
        fs::rename(&self.directory, &self.target).map_err(io_error("create", &self.target))?;
        Ok(self.card)
    }
}

impl Write for PackageWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let n = self.hint.write(bytes)?;
        self.hash.update(&bytes[..n]);
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::small_model;

    fn written(directory: &Path, seed: u64) -> PathBuf {
        let (card, private) = small_model(seed);
        let target = directory.join(format!("model{seed}.fusion"));
        let mut writer = PackageWriter::create(&target, card, &private).unwrap();
        for chunk in [seed as u8; 5000].chunks(1234) {
            writer.write_all(chunk).unwrap();
        }
        let card = writer.finish().unwrap();
        assert_eq!(Package::read_card(&target).unwrap(), card);
        target
    }

    #[test]
    fn what_is_written_is_read() {
        let scratch = tempfile::tempdir().unwrap();
        let target = written(scratch.path(), 1);
        let package = Package::open(&target).unwrap();
        let (card, private) = small_model(1);
        assert_eq!(package.card().program, card.program);
        let plain = |w: &Weights| w.linear.iter().map(|l| (l.terms.clone(), l.bias.clone())).collect::<Vec<_>>();
        assert_eq!(plain(&package.private().weights), plain(&private.weights));
        assert_eq!(package.private().key.as_bytes(), private.key.as_bytes());
        assert_eq!(fs::read(package.hint_path()).unwrap(), [1; 5000]);
        assert_eq!(package.card().hint, Some(HintFacts { digest: Digest::of(&[1; 5000]), bytes: 5000 }));
        assert_eq!(Package::read_card(&target.join(CARD)).unwrap(), *package.card());
        assert!(matches!(PackageWriter::create(&target, card, &private), Err(PackageError::Exists(_))));
        // The temporary name is gone.
        assert_eq!(fs::read_dir(scratch.path()).unwrap().count(), 1);
    }

    #[cfg(unix)]
    #[test]
    fn only_the_owner_reads_the_weights() {
        use std::os::unix::fs::PermissionsExt;
        let scratch = tempfile::tempdir().unwrap();
        let target = written(scratch.path(), 1);
        assert_eq!(fs::metadata(target.join(WEIGHTS)).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn missing_parts_are_named() {
        for name in [CARD, WEIGHTS, HINT] {
            let scratch = tempfile::tempdir().unwrap();
            let target = written(scratch.path(), 1);
            fs::remove_file(target.join(name)).unwrap();
            let expected = PackageError::MissingPart { package: target.clone(), part: name };
            assert_eq!(Package::open(&target).err(), Some(expected));
        }
    }

    #[test]
    fn truncated_parts_are_refused() {
        for name in [CARD, WEIGHTS, HINT] {
            let scratch = tempfile::tempdir().unwrap();
            let target = written(scratch.path(), 1);
            let path = target.join(name);
            let bytes = fs::read(&path).unwrap();
            for keep in [0, 1, bytes.len() / 2, bytes.len() - 1] {
                fs::write(&path, &bytes[..keep]).unwrap();
                let error = Package::open(&target).err();
                match name {
                    CARD => assert!(matches!(error, Some(PackageError::Card(_))), "{error:?}"),
                    WEIGHTS => assert!(matches!(error, Some(PackageError::Digest { part: WEIGHTS, .. })), "{error:?}"),
                    _ => assert_eq!(error, Some(PackageError::Length { part: HINT, expected: 5000, actual: keep as u64 })),
                }
            }
        }
    }

    #[test]
    fn parts_of_another_model_are_refused() {
        for name in [CARD, WEIGHTS, HINT] {
            let scratch = tempfile::tempdir().unwrap();
            let (one, two) = (written(scratch.path(), 1), written(scratch.path(), 2));
            fs::copy(two.join(name), one.join(name)).unwrap();
            let expected_part = if name == CARD { WEIGHTS } else { name };
            match Package::open(&one).err() {
                Some(PackageError::Digest { part, .. }) => assert_eq!(part, expected_part),
                other => panic!("{name}: {other:?}"),
            }
        }
    }

    #[test]
    fn weights_beyond_the_stated_bounds_are_not_written() {
        let scratch = tempfile::tempdir().unwrap();
        let (card, mut private) = small_model(1);
        private.weights.linear[0].terms[0][0] = i16::MAX;
        let error = PackageWriter::create(&scratch.path().join("x"), card, &private).err();
        assert!(matches!(error, Some(PackageError::Weights(WeightsError::Bound { .. }))), "{error:?}");
        assert_eq!(fs::read_dir(scratch.path()).unwrap().count(), 0);
    }
}
