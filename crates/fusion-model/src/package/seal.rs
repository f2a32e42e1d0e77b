//! The seal: which card a package was made with, as only its maker can say it.
//!
//! A card names the other parts by their digests, but nothing in it names the card itself: one with
//! another claim, other class names or another flip rate would pass for the owner's, and an honest
//! server would look like a cheat to its clients. So the private part keeps the card's digest under
//! a tag that takes the server's key: who may change public files cannot make another.

use std::io::Read;
use std::path::Path;

use fusion_ring::symmetric::digest::{Digest, Hasher};
use fusion_rlwe::ServerKey;

use super::error::{PackageError, io_error};
use super::parts::SEAL;

/// What a seal begins with.
const MAGIC: &[u8; 8] = b"fusnsl1\n";

/// The digest of a card, and its tag.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Seal {
    card: Digest,
    tag: Digest,
}

impl Seal {
    /// Seals the card with this digest.
    pub(super) fn new(card: Digest, key: &ServerKey) -> Self {
        let mut hasher = Hasher::default();
        hasher.update(b"fusion package seal v1");
        hasher.update(key.as_bytes());
        hasher.update(card.as_bytes());
        Self { card, tag: hasher.finish() }
    }

    /// The card that was sealed.
    pub(super) fn card(&self) -> Digest {
        self.card
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        [&MAGIC[..], self.card.as_bytes(), self.tag.as_bytes()].concat()
    }

    /// Reads the seal from its file, once that is open.
    pub(super) fn read(file: impl Read, path: &Path) -> Result<Self, PackageError> {
        let mut bytes = Vec::new();
        let length = MAGIC.len() + 64;
        file.take(length as u64 + 1).read_to_end(&mut bytes).map_err(io_error("read", path))?;
        let body = bytes.strip_prefix(MAGIC).filter(|body| body.len() == 64).ok_or(PackageError::Seal)?;
        let (card, tag) = body.split_at(32);
        match (Digest::from_slice(card), Digest::from_slice(tag)) {
            (Some(card), Some(tag)) => Ok(Self { card, tag }),
            _ => Err(PackageError::Seal),
        }
    }

    /// Whether it was made with this key.
    pub(super) fn check(&self, key: &ServerKey) -> Result<(), PackageError> {
        if *self == Self::new(self.card, key) { Ok(()) } else { Err(PackageError::Seal) }
    }
}

/// What is said of a package without a seal.
pub(super) fn missing(package: &Path) -> PackageError {
    PackageError::MissingPart { package: package.to_owned(), part: SEAL }
}
