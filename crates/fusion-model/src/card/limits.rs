//! Sizes that a card may have.

/// Longest card that is decoded, in bytes.
pub(crate) const MAX_CARD_BYTES: usize = 4 << 20;
/// Longest name, data set or class label, in bytes.
pub(super) const MAX_TEXT: usize = 256;
/// Longest hint, in bytes.
pub(super) const MAX_HINT_BYTES: u64 = 1 << 36;
