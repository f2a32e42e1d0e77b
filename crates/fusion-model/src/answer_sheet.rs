//! An answer sheet: what a model answers to public images, as its owner publishes it.
//!
//! A client that has some of the images needs no labels for them: it tests whether the server
//! agrees with the sheet, which an honest one does but for rounding. It downloads the whole sheet,
//! so that the download does not tell which images it has, and the digest on the card binds the
//! owner to it.
//!
//! Layout: `FUSIONANS1\n`, then for each image the SHA3-256 of its file (32 bytes) and the label
//! (32-bit, little-endian; all ones if it is *undecided*: the label hangs on rounding). Images
//! stand in the order of their digests, each once, so that a sheet has one encoding.

use std::collections::BTreeMap;

use fusion_ring::symmetric::digest::Digest;

const MAGIC: &[u8] = b"FUSIONANS1\n";
/// Bytes of a digest and of a label.
const ENTRY: usize = 32 + 4;
/// Written for an image that is undecided.
const UNDECIDED: u32 = u32::MAX;

/// Most images of a sheet.
pub const MAX_SHEET_IMAGES: usize = 1 << 20;
/// Longest encoded sheet, bytes.
pub const MAX_SHEET_BYTES: u64 = (MAGIC.len() + ENTRY * MAX_SHEET_IMAGES) as u64;

/// Why bytes are no answer sheet.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SheetError {
    /// Not the format, or cut short.
    #[error("no answer sheet, or cut short")]
    Malformed,
    /// An image occurs twice, or the images are not in order.
    #[error("entry {entry} of the answer sheet is out of order")]
    Order {
        /// Counted from zero.
        entry: usize,
    },
    /// A label beyond the model's classes.
    #[error("the answer sheet names class {label}, the model has {classes} classes (0 to {})", classes.saturating_sub(1))]
    Label {
        /// The label.
        label: u32,
        /// Classes of the model.
        classes: usize,
    },
    /// More images than a sheet may have, or none.
    #[error("an answer sheet has 1 to {MAX_SHEET_IMAGES} images, not {images}")]
    Size {
        /// Images.
        images: usize,
    },
}

/// Answers to public images.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AnswerSheet {
    answers: BTreeMap<[u8; 32], Option<u32>>,
}

impl AnswerSheet {
    /// A sheet of `answers`: the digest of an image's file, and its label, or none if it is
    /// undecided. Of an image that occurs twice the last counts.
    ///
    /// # Errors
    /// No image, or too many; a label beyond `classes`.
    pub fn new(answers: impl IntoIterator<Item = (Digest, Option<u32>)>, classes: usize) -> Result<Self, SheetError> {
        let sheet = Self { answers: answers.into_iter().map(|(image, label)| (*image.as_bytes(), label)).collect() };
        sheet.validate(classes)?;
        Ok(sheet)
    }

    fn validate(&self, classes: usize) -> Result<(), SheetError> {
        let images = self.answers.len();
        if images == 0 || images > MAX_SHEET_IMAGES {
            return Err(SheetError::Size { images });
        }
        let beyond = self.answers.values().flatten().find(|&&label| label as usize >= classes);
        beyond.map_or(Ok(()), |&label| Err(SheetError::Label { label, classes }))
    }

    /// The canonical bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(MAGIC.len() + ENTRY * self.answers.len());
        bytes.extend_from_slice(MAGIC);
        for (image, label) in &self.answers {
            bytes.extend_from_slice(image);
            bytes.extend_from_slice(&label.unwrap_or(UNDECIDED).to_le_bytes());
        }
        bytes
    }

    /// Reads canonical bytes, for a model of so many classes.
    ///
    /// # Errors
    /// They are none.
    pub fn decode(bytes: &[u8], classes: usize) -> Result<Self, SheetError> {
        let body = bytes.strip_prefix(MAGIC).ok_or(SheetError::Malformed)?;
        let (entries, rest) = body.as_chunks::<ENTRY>();
        if !rest.is_empty() {
            return Err(SheetError::Malformed);
        }
        if entries.len() > MAX_SHEET_IMAGES {
            return Err(SheetError::Size { images: entries.len() });
        }
        let mut answers = BTreeMap::new();
        for (entry, cell) in entries.iter().enumerate() {
            let (Some(image), Some(label)) = (cell.first_chunk::<32>(), cell.last_chunk::<4>()) else {
                return Err(SheetError::Malformed);
            };
            if answers.last_key_value().is_some_and(|(last, _)| last >= image) {
                return Err(SheetError::Order { entry });
            }
            let label = u32::from_le_bytes(*label);
            answers.insert(*image, (label != UNDECIDED).then_some(label));
        }
        let sheet = Self { answers };
        sheet.validate(classes)?;
        Ok(sheet)
    }

    /// The answer to the image with this digest: `None` if the sheet does not have it, `Some(None)`
    /// if it is undecided.
    #[must_use]
    pub fn answer(&self, image: &Digest) -> Option<Option<u32>> {
        self.answers.get(image.as_bytes()).copied()
    }

    /// Its images.
    #[must_use]
    pub fn images(&self) -> usize {
        self.answers.len()
    }

    /// Those of them that are undecided.
    #[must_use]
    pub fn undecided(&self) -> usize {
        self.answers.values().filter(|label| label.is_none()).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sheet() -> AnswerSheet {
        let image = |i: u8| Digest::of(&[i]);
        AnswerSheet::new([(image(1), Some(3)), (image(2), None), (image(3), Some(9)), (image(4), Some(0))], 10).unwrap()
    }

    #[test]
    fn survives_a_round_trip() {
        let decoded = AnswerSheet::decode(&sheet().encode(), 10).unwrap();
        assert_eq!(decoded, sheet());
        assert_eq!(decoded.answer(&Digest::of(&[3])), Some(Some(9)));
        assert_eq!(decoded.answer(&Digest::of(&[2])), Some(None));
        assert_eq!(decoded.answer(&Digest::of(&[9])), None);
        assert_eq!((decoded.images(), decoded.undecided()), (4, 1));
    }

    #[test]
    fn has_one_encoding() {
        let bytes = sheet().encode();
        for length in 0..bytes.len() {
            let cut = AnswerSheet::decode(&bytes[..length], 10);
            assert!(cut.is_err() || length > MAGIC.len() && (length - MAGIC.len()).is_multiple_of(ENTRY), "cut to {length}");
        }
        let entry = |at: usize| MAGIC.len() + at * ENTRY..MAGIC.len() + (at + 1) * ENTRY;
        let swapped = [&bytes[..MAGIC.len()], &bytes[entry(1)], &bytes[entry(0)], &bytes[entry(2)]].concat();
        assert_eq!(AnswerSheet::decode(&swapped, 10), Err(SheetError::Order { entry: 1 }));
        let twice = [&bytes[..MAGIC.len()], &bytes[entry(0)], &bytes[entry(0)]].concat();
        assert_eq!(AnswerSheet::decode(&twice, 10), Err(SheetError::Order { entry: 1 }));
        assert_eq!(AnswerSheet::decode(&bytes, 9), Err(SheetError::Label { label: 9, classes: 9 }));
        assert_eq!(AnswerSheet::decode(MAGIC, 10), Err(SheetError::Size { images: 0 }));
        assert_eq!(AnswerSheet::decode(&[0; 40], 10), Err(SheetError::Malformed));
    }
}
