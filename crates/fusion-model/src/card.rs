//! The model card: everything public about a served model, with canonical bytes and digests.
//!
//! A client decides by the card what it takes part in: what is evaluated, how its images are prepared, what accuracy is promised, and
//! by which digests it recognises the hint. So a card has exactly one encoding (other bytes of the same meaning are refused), its digest is
//! SHA3-256 of that, and decoding checks everything that the rest of the code relies on.
//!
//! Two digests: [`ModelCard::digest`] names the served model, hint included. The hint itself depends on public polynomials, and those come
//! from [`ModelCard::seed`], a hash of the card without its hint: what is evaluated fixes the polynomials, and nobody can choose them.

mod codec;
mod proto {
    //! Generated from `proto/card.proto`.
    #![expect(unreachable_pub, reason = "generated code")]
    include!("card/proto/fusion.card.rs");
}

use std::fmt;

use fusion_rlwe::{PublicSeed, RlweParams};
use sha3::{Digest as _, Sha3_256};

use crate::preprocess::{Preprocess, PreprocessError};
use crate::program::{Op, Program, ProgramError};

/// Longest card that is decoded, in bytes.
pub const MAX_CARD_BYTES: usize = 4 << 20;
/// Longest name, data set or class label, in bytes.
pub const MAX_TEXT: usize = 256;
/// Longest hint, in bytes.
pub const MAX_HINT_BYTES: u64 = 1 << 36;

/// A SHA3-256 digest, shown as 64 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Digest(pub [u8; 32]);

impl Digest {
    /// The digest of some bytes.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha3_256::digest(bytes).into())
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

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
}

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
    #[error("card format {0} is not supported (this build reads format 1)")]
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
        self.modulus_bits().map(|_| ())
    }

    /// Number of classes.
    #[must_use]
    pub fn classes(&self) -> usize {
        self.program.tensors.get(self.program.logits.0).map_or(0, |t| t.shape.channels)
    }

    /// Bits w of the widest ciphertext modulus 2^w that the linear layers need.
    ///
    /// # Errors
    /// A layer fits no secure modulus; the error names it.
    pub fn modulus_bits(&self) -> Result<u32, CardError> {
        let mut widest = 0;
        for step in &self.program.steps {
            let Op::Linear { row_norm_bits, .. } = step.op else { continue };
            let plain_bits = self.program.tensors[step.output.0].ring.0;
            let params = RlweParams::narrowest(plain_bits, row_norm_bits)
                .map_err(|e| CardError::Invalid { field: "program", reason: format!("layer `{}`: {e}", step.name) })?;
            widest = widest.max(params.modulus_bits());
        }
        Ok(widest)
    }

    /// The canonical bytes.
    ///
    /// # Errors
    /// The card is invalid: no invalid card is ever encoded.
    pub fn encode(&self) -> Result<Vec<u8>, CardError> {
        self.validate()?;
        codec::encode(self)
    }

    /// Reads canonical bytes.
    ///
    /// # Errors
    /// The bytes are not a valid card in canonical form.
    pub fn decode(bytes: &[u8]) -> Result<Self, CardError> {
        if bytes.len() > MAX_CARD_BYTES {
            return Err(CardError::TooLong(bytes.len()));
        }
        let card = codec::decode(bytes)?;
        if card.encode()? == bytes { Ok(card) } else { Err(CardError::NotCanonical) }
    }

    /// Names the served model: SHA3-256 of the canonical bytes.
    ///
    /// # Errors
    /// As [`ModelCard::encode`].
    pub fn digest(&self) -> Result<Digest, CardError> {
        Ok(Digest::of(&self.encode()?))
    }

    /// Seed of the public polynomials: a hash of the card without the hint, which depends on them.
    ///
    /// # Errors
    /// As [`ModelCard::encode`].
    pub fn seed(&self) -> Result<PublicSeed, CardError> {
        let bytes = Self { hint: None, ..self.clone() }.encode()?;
        let mut hash = Sha3_256::new();
        hash.update(b"fusion public polynomials v1");
        hash.update(bytes);
        Ok(PublicSeed(hash.finalize().into()))
    }
}

#[cfg(test)]
mod tests {
    use rand_chacha::ChaCha20Rng;
    use rand_core::{Rng, SeedableRng};

    use super::*;
    use crate::testing::small_model;

    fn card() -> ModelCard {
        ModelCard { hint: Some(HintFacts { digest: Digest::of(b"hint"), bytes: 1000 }), ..small_model(1).0 }
    }

    #[test]
    fn a_card_survives_its_encoding() {
        let card = card();
        let bytes = card.encode().unwrap();
        assert_eq!(ModelCard::decode(&bytes).unwrap(), card);
        assert_eq!(card.digest().unwrap(), Digest::of(&bytes));
        let bare = ModelCard { claim: None, labels: Vec::new(), hint: None, ..card };
        assert_eq!(ModelCard::decode(&bare.encode().unwrap()).unwrap(), bare);
    }

    #[test]
    fn digests_name_what_they_should() {
        let card = card();
        let other_hint = ModelCard { hint: Some(HintFacts { digest: Digest::of(b"another"), bytes: 1000 }), ..card.clone() };
        assert_ne!(card.digest().unwrap(), other_hint.digest().unwrap());
        assert_eq!(card.seed().unwrap(), other_hint.seed().unwrap());
        let renamed = ModelCard { name: "other".to_owned(), ..card.clone() };
        assert_ne!(card.seed().unwrap(), renamed.seed().unwrap());
    }

    #[test]
    fn other_encodings_of_the_same_card_are_refused() {
        let bytes = card().encode().unwrap();
        // An unknown field (15, a zero varint), and a repeated version field.
        assert_eq!(ModelCard::decode(&[&bytes[..], &[0x78, 0]].concat()), Err(CardError::NotCanonical));
        assert_eq!(ModelCard::decode(&[&[0x08, 1], &bytes[..]].concat()), Err(CardError::NotCanonical));
        assert_eq!(ModelCard::decode(&vec![0; MAX_CARD_BYTES + 1]), Err(CardError::TooLong(MAX_CARD_BYTES + 1)));
    }

    #[test]
    fn invalid_cards_are_neither_read_nor_written() {
        let good = card();
        let field = |card: ModelCard| match card.encode() {
            Err(CardError::Invalid { field, .. }) => field,
            other => panic!("{other:?}"),
        };
        assert_eq!(field(ModelCard { name: "x".repeat(300), ..good.clone() }), "name");
        assert_eq!(field(ModelCard { name: "\u{1b}[2J".to_owned(), ..good.clone() }), "name");
        assert_eq!(field(ModelCard { labels: vec!["a".to_owned()], ..good.clone() }), "labels");
        assert_eq!(field(ModelCard { preprocess: Preprocess::mnist(), ..good.clone() }), "preprocessing");
        let claim = Some(Claim { top1: f64::NAN, dataset: String::new() });
        assert_eq!(field(ModelCard { claim, ..good.clone() }), "claim");
        let hint = Some(HintFacts { digest: Digest::default(), bytes: u64::MAX });
        assert_eq!(field(ModelCard { hint, ..good.clone() }), "hint");
        let mut wide = good;
        for step in &mut wide.program.steps {
            if let Op::Linear { row_norm_bits, .. } = &mut step.op {
                *row_norm_bits = 32;
            }
        }
        assert_eq!(field(wide), "program");
    }

    #[test]
    fn decoding_survives_damage() {
        let bytes = card().encode().unwrap();
        let mut rng = ChaCha20Rng::seed_from_u64(7);
        for n in 0..bytes.len() {
            // A cut just before the hint leaves the card that the seed is made of.
            let cut = ModelCard::decode(&bytes[..n]);
            assert!(cut.is_err() || cut.is_ok_and(|c| c.hint.is_none()), "{n} bytes");
        }
        let mut accepted = 0;
        for _ in 0..20_000 {
            let mut bad = bytes.clone();
            for _ in 0..=rng.next_u32() % 3 {
                let at = rng.next_u32() as usize % bad.len();
                bad[at] = rng.next_u32() as u8;
            }
            // What is accepted is a valid card with exactly this encoding.
            if let Ok(card) = ModelCard::decode(&bad) {
                assert_eq!(card.encode().unwrap(), bad);
                accepted += 1;
            }
        }
        assert!(accepted > 0, "some damage only changes a name or a digest");
    }
}
