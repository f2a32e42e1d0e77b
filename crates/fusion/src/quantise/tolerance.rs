//! What a search for widths must meet.

/// How near to the float network a plan must be.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Tolerance {
    /// The part of images that must keep their label, between 0 and 1.
    pub label_agreement: f64,
    /// The largest standard deviation of a logit's error, as a part of the logits' own.
    pub logit_noise: f64,
    /// Whether every ReLU must be exact; else comparisons may leave out bits, which mistakes the
    /// signs of numbers near zero.
    pub exact_signs: bool,
}
