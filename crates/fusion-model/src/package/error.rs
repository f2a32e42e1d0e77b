//! Why a package is refused.

use std::io;
use std::path::{Path, PathBuf};

use fusion_ring::symmetric::digest::Digest;

use super::parts::{ANSWERS, CARD, SEAL, WEIGHTS};
use crate::answer_sheet::SheetError;
use crate::card::CardError;
use crate::program::WeightsError;

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
    #[error(
        "{} is not a whole model package: it has no {part}{}", package.display(),
        if *part == SEAL { ", which packages of older versions lack: run `fusion prepare` again" } else { "" }
    )]
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
    /// The card is not the one that the package was made with.
    #[error(
        "{CARD} has digest {actual}, {SEAL} says {sealed}: the card was edited, or one of them is damaged; put the old one back, or run `fusion prepare` again"
    )]
    Edited {
        /// As the seal says.
        sealed: Digest,
        /// Of the card that is there.
        actual: Digest,
    },
    /// The seal is none, or of another package.
    #[error("{SEAL} is damaged or of another package; put the old one back, or run `fusion prepare` again")]
    Seal,
    /// The card is invalid.
    #[error("{CARD}: {0}")]
    Card(#[from] CardError),
    /// The weights are not the program's.
    #[error("{WEIGHTS}: {0}")]
    Weights(#[from] WeightsError),
    /// The answer sheet is none, or not of this model.
    #[error("{ANSWERS}: {0}")]
    Answers(#[from] SheetError),
    /// The weights file is malformed.
    #[error("{WEIGHTS} is malformed: {0}")]
    WeightsFormat(String),
}

pub(super) fn io_error(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> PackageError {
    move |e| PackageError::Io { action, path: path.to_owned(), reason: e.to_string() }
}
