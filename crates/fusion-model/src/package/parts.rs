//! The files of a package.

/// The model card.
pub(super) const CARD: &str = "card.pb";
/// The private part.
pub(super) const WEIGHTS: &str = "weights.safetensors";
/// What binds the card to the private part.
pub(super) const SEAL: &str = "seal.bin";
/// The hint.
pub(super) const HINT: &str = "hint.bin";
/// The answer sheet, of packages that have one.
pub(super) const ANSWERS: &str = "answers.bin";
