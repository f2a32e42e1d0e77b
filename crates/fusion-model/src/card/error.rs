//! Why a card is refused.

use super::limits::{MAX_CARD_BYTES, VERSION};
use crate::preprocess::PreprocessError;
use crate::program::ProgramError;

/// Why a card is refused. Whoever made it is at fault.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum CardError {
    /// Longer than any card.
    #[error("a card of {0} bytes is longer than {MAX_CARD_BYTES}")]
    TooLong(usize),
    /// Not a card.
    #[error("not a model card: {0}")]
    Decode(String),
    /// Another version of the format.
    #[error("card format {0} is not supported (this build reads format {VERSION}): prepare the model again with this version")]
    Version(u32),
    /// A field is missing.
    #[error("the card has no {0}")]
    Missing(&'static str),
    /// A field has a value that it cannot have.
    #[error("the card's {field} is invalid: {reason}")]
    Invalid {
        /// Which field.
        field: &'static str,
        /// What is wrong.
        reason: String,
    },
    /// The bytes are not the canonical encoding.
    #[error("the card is not in canonical form")]
    NotCanonical,
    /// The program is invalid.
    #[error("the card's program is invalid: {0}")]
    Program(#[from] ProgramError),
    /// The preprocessing recipe is invalid.
    #[error("the card's preprocessing is invalid: {0}")]
    Preprocess(#[from] PreprocessError),
}
