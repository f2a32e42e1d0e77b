//! What a card says, and what must hold for it.

use fusion_ring::symmetric::digest::Digest;

use super::error::CardError;
use super::limits::{MAX_HINT_BYTES, MAX_TEXT};
use crate::answer_sheet::MAX_SHEET_BYTES;
use crate::preprocess::Preprocess;
use crate::program::LOGITS_BITS;
use crate::program::Program;

/// A promise of accuracy.
#[derive(Debug, Clone, PartialEq)]
pub struct Claim {
    /// Fraction of right answers, 0..=1.
    pub top1: f64,
    /// On which data.
    pub dataset: String,
}

/// What the card says about the hint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HintFacts {
    /// Of all its bytes.
    pub digest: Digest,
    /// Its length.
    pub bytes: u64,
}

/// What the card says about the answers on public images that the owner has published.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AnswerFacts {
    /// Of the whole [`AnswerSheet`](crate::answer_sheet::AnswerSheet).
    pub digest: Digest,
    /// Its length.
    pub bytes: u64,
}

/// How often honest copies of one image disagree, as the owner measured it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Flips {
    /// The chance that a copy's label is not the usual one of its image.
    pub rate: f64,
    /// The chance that 32 copies of one image do not all get one label.
    pub group: f64,
    /// Images that both were measured on.
    pub images: u32,
}

/// The public description of a served model.
#[derive(Debug, Clone, PartialEq)]
pub struct ModelCard {
    /// What the operator calls it.
    pub name: String,
    /// What is evaluated.
    pub program: Program,
    /// From pixels to the input tensor.
    pub preprocess: Preprocess,
    /// Names of the classes: none, or one for each logit.
    pub labels: Vec<String>,
    /// What the operator promises, if anything.
    pub claim: Option<Claim>,
    /// Of the private weights file, whose random key makes it tell nothing about the weights.
    pub weights_digest: Digest,
    /// The hint; `None` only while it is being made, a card without it is not served.
    pub hint: Option<HintFacts>,
    /// Bits of each logit that the owner lets clients have, [`LOGITS_BITS`]; 0: labels only.
    /// Whoever gets logits learns more about the weights from each image.
    pub logits_bits: u32,
    /// Answers that the owner has published, if any.
    pub answers: Option<AnswerFacts>,
    /// How often honest copies disagree, if it was measured.
    pub flips: Option<Flips>,
}

impl ModelCard {
    /// Checks everything that users of a card rely on.
    ///
    /// # Errors
    /// The first fault found.
    pub fn validate(&self) -> Result<(), CardError> {
        let text = |field, s: &str| {
            let bad = s.len() > MAX_TEXT || s.chars().any(char::is_control);
            let reason = format!("longer than {MAX_TEXT} bytes or with control characters");
            if bad { Err(CardError::Invalid { field, reason }) } else { Ok(()) }
        };
        self.program.validate()?;
        self.preprocess.validate()?;
        text("name", &self.name)?;
        let input = self.program.tensors[self.program.input.0].shape;
        if input.len() != self.preprocess.len() {
            let reason = format!("it makes {} values, the program reads {input:?}", self.preprocess.len());
            return Err(CardError::Invalid { field: "preprocessing", reason });
        }
        let classes = self.classes();
        if !(self.labels.is_empty() || self.labels.len() == classes) {
            let reason = format!("{} labels for {classes} classes", self.labels.len());
            return Err(CardError::Invalid { field: "labels", reason });
        }
        self.labels.iter().try_for_each(|label| text("labels", label))?;
        if let Some(claim) = &self.claim {
            text("claim", &claim.dataset)?;
            if !(0.0..=1.0).contains(&claim.top1) {
                return Err(CardError::Invalid { field: "claim", reason: format!("an accuracy of {}", claim.top1) });
            }
        }
        if let Some(hint) = self.hint.filter(|h| !(1..=MAX_HINT_BYTES).contains(&h.bytes)) {
            return Err(CardError::Invalid { field: "hint", reason: format!("{} bytes long", hint.bytes) });
        }
        if let Some(answers) = self.answers.filter(|a| !(1..=MAX_SHEET_BYTES).contains(&a.bytes)) {
            return Err(CardError::Invalid { field: "answers", reason: format!("{} bytes long", answers.bytes) });
        }
        let rate = 0.0..=1.0;
        if let Some(flips) = self.flips.filter(|f| !rate.contains(&f.rate) || !rate.contains(&f.group) || f.images == 0) {
            let reason = format!("rates of {} and {} on {} images", flips.rate, flips.group, flips.images);
            return Err(CardError::Invalid { field: "flips", reason });
        }
        if self.logits_bits != 0 && !LOGITS_BITS.contains(&self.logits_bits) {
            let reason = format!("{} bits; 0 for labels only, or {} to {}", self.logits_bits, LOGITS_BITS.start(), LOGITS_BITS.end());
            return Err(CardError::Invalid { field: "logits", reason });
        }
        Ok(())
    }

    /// Number of classes.
    #[must_use]
    pub fn classes(&self) -> usize {
        self.program.tensors.get(self.program.logits.0).map_or(0, |t| t.shape.channels)
    }
}
