//! Which model belongs to which server: trust on first use, or a pin.
//!
//! A model is known by the digest of its card, which names everything else: the hint, which commits
//! the server to the weights of its linear layers (see `fusion-rlwe`), the private weights by a
//! commitment, and what is promised of them. The first digest seen at an address is remembered;
//! another one later is refused until the user says that the change is meant. Where a server has
//! several models, each name that is asked for has a first digest of its own.
//!
//! Older versions knew a model by its hint alone. What they remembered still counts, and is
//! replaced; a pin of a hint is taken and said to be one, since it leaves open what a card claims.

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

/// Whom a client asked, and for which of its models, if for one of several.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asked<'a> {
    /// `host:port`.
    pub(crate) address: &'a str,
    /// The model, by what the user calls it: a server cannot choose under what it is remembered.
    pub(crate) model: Option<&'a str>,
    /// What the card that is served says it is called.
    pub(crate) card_name: &'a str,
}

impl Asked<'_> {
    /// What the first digest is remembered under. No address has a `#` in it. A model that was
    /// met without a name is remembered under its own as well: else a server would only have to
    /// make its clients type a name to serve another one.
    pub(crate) fn keys(self) -> Vec<String> {
        let named = |name: &str| format!("{}#{name}", self.address);
        match self.model {
            Some(model) => vec![named(model)],
            None => vec![self.address.to_owned(), named(self.card_name)],
        }
    }
}

/// The digests that a served model is known by.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ServedDigests {
    /// Of the model: of its card.
    pub(crate) model: Digest,
    /// Of its hint.
    pub(crate) hint: Digest,
}

/// Decides on the model `served` at `address`, at which `known` was seen first; a pin overrides
/// that. Whatever is trusted is to be remembered.
///
/// # Errors
/// [`TrustError::NotPinned`] and [`TrustError::Changed`] with both digests.
pub(super) fn decide(address: &str, known: Option<&str>, served: ServedDigests, pin: Option<&str>) -> Result<Trust, TrustError> {
    let (served, hint) = (served.model.to_string(), served.hint.to_string());
    match (pin, known) {
        (Some(pin), _) if pin.eq_ignore_ascii_case(&served) => Ok(Trust::Pinned),
        (Some(pin), _) if pin.eq_ignore_ascii_case(&hint) => Ok(Trust::PinnedHint),
        (Some(pin), _) => Err(TrustError::NotPinned { pinned: pin.to_owned(), served }),
        (None, None) => Ok(Trust::FirstUse),
        (None, Some(first)) if first == served => Ok(Trust::Known),
        // As older versions remembered it: the model's own digest takes its place.
        (None, Some(first)) if first == hint => Ok(Trust::Known),
        (None, Some(first)) => Err(TrustError::Changed { address: address.to_owned(), known: first.to_owned(), served }),
    }
}
