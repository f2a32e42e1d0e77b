//! Which hint digest belongs to which server: trust on first use, or a pin.
//!
//! The hint commits a server to the weights of its linear layers (see `fusion-rlwe`), so the digest
//! of the hint is the identity of a model. The first digest seen at an address is remembered;
//! another one later is refused until the user says that the change is meant.

use fusion_net::Digest;
use serde::{Deserialize, Serialize};

/// Why a served model is not trusted, or why we cannot tell.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TrustError {
    /// The digest is not the pinned one.
    #[error(
        "the server's model is not the pinned one\n  pinned: {pinned}\n  served: {served}\nThe weights behind a digest cannot change; ask the operator, or pin the new digest if you mean it."
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
    /// Seen at this address for the first time, now remembered.
    FirstUse,
    /// The same digest as before.
    Known,
}

/// Decides on the model `served` at `address`, at which `known` was seen first; a pin overrides
/// that. Whatever is trusted is to be remembered.
///
/// # Errors
/// [`TrustError::NotPinned`] and [`TrustError::Changed`] with both digests.
pub(super) fn decide(address: &str, known: Option<&str>, served: Digest, pin: Option<&str>) -> Result<Trust, TrustError> {
    let served = served.to_string();
    match (pin, known) {
        (Some(pin), _) if pin.eq_ignore_ascii_case(&served) => Ok(Trust::Pinned),
        (Some(pin), _) => Err(TrustError::NotPinned { pinned: pin.to_owned(), served }),
        (None, None) => Ok(Trust::FirstUse),
        (None, Some(first)) if first == served => Ok(Trust::Known),
        (None, Some(first)) => Err(TrustError::Changed { address: address.to_owned(), known: first.to_owned(), served }),
    }
}
