//! Which model belongs to which server: trust on first use, or a pin.
//!
//! A model is known by the digest of its card, which names everything else: the hint, which commits
//! the server to the weights of its linear layers (see `fusion-rlwe`), the private weights by a
//! commitment, and what is promised of them. The first digest seen at an address is remembered;
//! another one later is refused until the user says that the change is meant.
//!
//! Older versions knew a model by its hint alone. What they remembered still counts, and is
//! replaced; a pin of a hint is taken and said to be one, since it leaves open what the card claims.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use fusion_mix::private_file;
use fusion_net::Digest;
use serde::{Deserialize, Serialize};

/// Why a served model is not trusted, or why we cannot tell.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TrustError {
    /// The digest is not the pinned one.
    #[error(
        "the server's model is not the pinned one\n  pinned: {pinned}\n  served: {served}\nThe model behind a digest cannot change; ask the operator, or pin the new digest if you mean it."
    )]
    NotPinned {
        /// What the user pinned.
        pinned: String,
        /// What the server serves.
        served: String,
    },
    /// The digest is not the one seen before at this address.
    #[error(
        "the model at {address} changed since it was first seen\n  first seen: {known}\n  now served: {served}\nIf the change is meant, run again with --pin {served}."
    )]
    Changed {
        /// The server's address.
        address: String,
        /// First digest.
        known: String,
        /// What the server serves now.
        served: String,
    },
    /// The list of known models is unreadable.
    #[error("{path}: {reason}")]
    Store {
        /// The file.
        path: String,
        /// What is wrong.
        reason: String,
    },
}

/// How a model came to be trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Trust {
    /// The user pinned the digest.
    Pinned,
    /// The user pinned the digest of the hint, as was done before models had digests of their own:
    /// the weights of linear layers are as expected, what the card says of them is not checked.
    PinnedHint,
    /// Seen at this address for the first time, now remembered.
    FirstUse,
    /// The same digest as before.
    Known,
}

/// The digests that a served model is known by.
#[derive(Debug, Clone, Copy)]
pub(super) struct ServedDigests {
    /// Of the model: of its card.
    pub(super) model: Digest,
    /// Of its hint.
    pub(super) hint: Digest,
}

/// The models seen so far, a JSON file of the user.
#[derive(Debug)]
pub(super) struct TrustStore {
    path: PathBuf,
}

impl TrustStore {
    /// The store in the directory `home`.
    #[must_use]
    pub(super) fn new(home: &Path) -> Self {
        Self { path: home.join("known-models.json") }
    }

    /// Decides on `served` at `address`; a pin overrides what was seen before, and is remembered.
    ///
    /// # Errors
    /// [`TrustError::NotPinned`] and [`TrustError::Changed`] with both digests.
    pub(super) fn check(&self, address: &str, served: ServedDigests, pin: Option<&str>) -> Result<Trust, TrustError> {
        let (served, hint) = (served.model.to_string(), served.hint.to_string());
        let mut known = self.load()?;
        let trust = match (pin, known.get(address)) {
            (Some(pin), _) if pin.eq_ignore_ascii_case(&served) => Trust::Pinned,
            (Some(pin), _) if pin.eq_ignore_ascii_case(&hint) => Trust::PinnedHint,
            (Some(pin), _) => return Err(TrustError::NotPinned { pinned: pin.to_owned(), served }),
            (None, None) => Trust::FirstUse,
            (None, Some(first)) if *first == served => return Ok(Trust::Known),
            // As older versions remembered it: the model's own digest takes its place.
            (None, Some(first)) if *first == hint => Trust::Known,
            (None, Some(first)) => {
                return Err(TrustError::Changed { address: address.to_owned(), known: first.clone(), served });
            }
        };
        if known.insert(address.to_owned(), served.clone()) != Some(served) {
            self.save(&known)?;
        }
        Ok(trust)
    }

    fn load(&self) -> Result<BTreeMap<String, String>, TrustError> {
        match std::fs::read(&self.path) {
            Ok(bytes) => serde_json::from_slice(&bytes).map_err(|e| self.fail(&e)),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(BTreeMap::new()),
            Err(e) => Err(self.fail(&e)),
        }
    }

    fn save(&self, known: &BTreeMap<String, String>) -> Result<(), TrustError> {
        let text = serde_json::to_vec_pretty(known).map_err(|e| self.fail(&e))?;
        let directory = self.path.parent().unwrap_or(Path::new("."));
        std::fs::create_dir_all(directory).map_err(|e| self.fail(&e))?;
        private_file::replace(&self.path, &text).map_err(|e| self.fail(&e))
    }

    fn fail(&self, reason: &dyn std::fmt::Display) -> TrustError {
        TrustError::Store { path: self.path.display().to_string(), reason: reason.to_string() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A model whose digest is this.
    fn model(name: &str) -> ServedDigests {
        ServedDigests { model: Digest::of(name.as_bytes()), hint: Digest::of(b"hint") }
    }

    #[test]
    fn first_use_is_remembered_and_a_change_refused_with_both_digests() {
        let home = tempfile::tempdir().unwrap();
        let store = TrustStore::new(home.path());
        let (a, b) = (model("a"), model("b"));
        assert_eq!(store.check("h:1", a, None).unwrap(), Trust::FirstUse);
        assert_eq!(store.check("h:1", a, None).unwrap(), Trust::Known);
        let changed = store.check("h:1", b, None).unwrap_err().to_string();
        assert!(changed.contains(&a.model.to_string()) && changed.contains(&b.model.to_string()), "{changed}");
        assert_eq!(store.check("h:2", b, None).unwrap(), Trust::FirstUse);
        // A pin overrides and becomes the known digest.
        assert!(matches!(store.check("h:1", b, Some(&a.model.to_string())), Err(TrustError::NotPinned { .. })));
        assert_eq!(store.check("h:1", b, Some(&b.model.to_string())).unwrap(), Trust::Pinned);
        assert_eq!(store.check("h:1", b, None).unwrap(), Trust::Known);
    }

    #[test]
    fn digests_of_hints_count_as_before_and_give_way_to_those_of_models() {
        let home = tempfile::tempdir().unwrap();
        let store = TrustStore::new(home.path());
        let (a, b) = (model("a"), model("b"));
        let hint = a.hint.to_string();
        std::fs::write(home.path().join("known-models.json"), format!("{{\"h:1\": \"{hint}\"}}")).unwrap();
        assert_eq!(store.check("h:1", a, None).unwrap(), Trust::Known);
        // From now on the card counts, although the hint is the same.
        assert!(matches!(store.check("h:1", b, None), Err(TrustError::Changed { .. })));
        assert_eq!(store.check("h:2", b, Some(&hint)).unwrap(), Trust::PinnedHint);
        assert!(matches!(store.check("h:2", a, None), Err(TrustError::Changed { .. })));
    }

    #[test]
    fn a_damaged_store_is_an_error_and_not_a_first_use() {
        let home = tempfile::tempdir().unwrap();
        std::fs::write(home.path().join("known-models.json"), b"{").unwrap();
        assert!(matches!(TrustStore::new(home.path()).check("h:1", model("a"), None), Err(TrustError::Store { .. })));
    }
}
