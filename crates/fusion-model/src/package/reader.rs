//! Opening a package.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use fusion_ring::symmetric::digest::{Digest, Hasher};
use zeroize::Zeroizing;

use super::error::{PackageError, io_error};
use super::parts::{ANSWERS, CARD, HINT, SEAL, WEIGHTS};
use super::private::{self, PrivateModel};
use super::seal::{self, Seal};
use crate::answer_sheet::AnswerSheet;
use crate::card::{AnswerFacts, CardError, HintFacts, MAX_CARD_BYTES, ModelCard};

/// A package on disk whose parts match.
pub struct Package {
    directory: PathBuf,
    card: ModelCard,
    private: PrivateModel,
}

impl Package {
    /// Name of the file that only the owner of a package has.
    pub const PRIVATE_PART: &str = WEIGHTS;

    /// Reads a package and checks every part. The weights stay in memory; the hint, which is large,
    /// is read once for its digest.
    ///
    /// # Errors
    /// A part is missing, truncated, damaged, of another model, or invalid.
    pub fn open(directory: &Path) -> Result<Self, PackageError> {
        let (card, digest) = read_card(directory)?;
        let seal = read_seal(directory)?;
        if let Some(seal) = seal.filter(|seal| seal.card() != digest) {
            return Err(PackageError::Edited { sealed: seal.card(), actual: digest });
        }
        let card = ModelCard::decode(&card)?;
        let hint = card.hint.ok_or(CardError::Missing("hint digest"))?;
        let file = part(directory, WEIGHTS)?;
        let path = directory.join(WEIGHTS);
        let limit = private::longest_file(&card.program);
        let mut bytes = Zeroizing::new(Vec::new());
        file.take(limit + 1).read_to_end(&mut bytes).map_err(io_error("read", &path))?;
        if bytes.len() as u64 > limit {
            return Err(PackageError::Length { part: WEIGHTS, expected: limit, actual: bytes.len() as u64 });
        }
        same_digest(WEIGHTS, card.weights_digest, Digest::of(&bytes))?;
        let private = private::decode(&card.program, &bytes)?;
        private.weights.validate(&card.program)?;
        // Packages of older versions have none.
        seal.ok_or_else(|| seal::missing(directory))?.check(&private.key)?;
        check_hint(directory, hint)?;
        card.answers.map_or(Ok(()), |answers| check_answers(directory, answers, card.classes()))?;
        Ok(Self { directory: directory.to_owned(), card, private })
    }

    /// Reads the public card alone. `path` is a package, or a card file itself.
    ///
    /// # Errors
    /// There is none, or it is invalid.
    pub fn read_card(path: &Path) -> Result<ModelCard, PackageError> {
        Ok(ModelCard::decode(&read_card(path)?.0)?)
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

    /// The answer sheet's file, if there is one.
    #[must_use]
    pub fn answers_path(&self) -> Option<PathBuf> {
        self.card.answers.map(|_| self.directory.join(ANSWERS))
    }
}

/// The bytes of the card in a package or a file of its own, and their digest.
fn read_card(path: &Path) -> Result<(Vec<u8>, Digest), PackageError> {
    let (file, path) = if path.is_dir() {
        (part(path, CARD)?, path.join(CARD))
    } else {
        (File::open(path).map_err(io_error("open", path))?, path.to_owned())
    };
    let mut bytes = Vec::new();
    file.take(MAX_CARD_BYTES as u64 + 1).read_to_end(&mut bytes).map_err(io_error("read", &path))?;
    let digest = Digest::of(&bytes);
    Ok((bytes, digest))
}

fn read_seal(directory: &Path) -> Result<Option<Seal>, PackageError> {
    let path = directory.join(SEAL);
    match File::open(&path) {
        Ok(file) => Seal::read(file, &path).map(Some),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(io_error("open", &path)(error)),
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

fn check_answers(directory: &Path, facts: AnswerFacts, classes: usize) -> Result<(), PackageError> {
    let path = directory.join(ANSWERS);
    let mut bytes = Vec::new();
    part(directory, ANSWERS)?.take(facts.bytes + 1).read_to_end(&mut bytes).map_err(io_error("read", &path))?;
    if bytes.len() as u64 != facts.bytes {
        return Err(PackageError::Length { part: ANSWERS, expected: facts.bytes, actual: bytes.len() as u64 });
    }
    same_digest(ANSWERS, facts.digest, Digest::of(&bytes))?;
    AnswerSheet::decode(&bytes, classes)?;
    Ok(())
}

fn check_hint(directory: &Path, facts: HintFacts) -> Result<(), PackageError> {
    let mut file = part(directory, HINT)?;
    let path = directory.join(HINT);
    let actual = file.metadata().map_err(io_error("read", &path))?.len();
    if actual != facts.bytes {
        return Err(PackageError::Length { part: HINT, expected: facts.bytes, actual });
    }
    let mut hasher = Hasher::default();
    let mut buffer = vec![0u8; 1 << 20];
    loop {
        match file.read(&mut buffer).map_err(io_error("read", &path))? {
            0 => break,
            n => hasher.update(&buffer[..n]),
        }
    }
    same_digest(HINT, facts.digest, hasher.finish())
}
