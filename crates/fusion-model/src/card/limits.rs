//! Sizes that a card may have, and its version.

/// Version of the format. The hints of older packages are not those of the linear layers of today:
/// 1 had answers, 2 had biases in the hint.
pub(super) const VERSION: u32 = 3;

/// Longest card that is decoded, in bytes.
pub(crate) const MAX_CARD_BYTES: usize = 4 << 20;
/// Longest name, data set or class label, in bytes.
pub(super) const MAX_TEXT: usize = 256;
/// Longest hint, in bytes.
pub(super) const MAX_HINT_BYTES: u64 = 1 << 36;
