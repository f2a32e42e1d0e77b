//! What public samples have shown about one pinned model over many batches.
//!
//! A hint commits the server to its weights, so answers to public samples of all batches under one
//! hint digest are about one set of linear layers and may be added up. Three rules keep the
//! interval valid:
//!
//! * A tally belongs to one digest; another model's is never counted.
//! * An image counts once, however often it was asked and in whichever pool it stood: a fixed
//!   function answers it the same way each time. If it was ever wrong, it counts as wrong.
//! * *Every* complete batch counts, also a rejected one. Counting accepted batches alone would
//!   select for good luck.
//!
//! A tally is history. It never replaces the public samples of a batch: a hint binds linear layers
//! only, and a server may be honest while the tally grows.
//!
//! The log is a value. Keeping it, and letting several processes add to it, is its owner's: a batch
//! is checked before it runs ([`AuditEntry::new`]), and adding its answers cannot fail any more.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::{
    MixError,
    accuracy::PublicLabels,
    interval::{Interval, clopper_pearson},
    private_file,
    soundness::Soundness,
    verify::{Verdict, Verification},
};

/// The largest tally file that is read, bytes.
const LARGEST: u64 = 1 << 28;

/// Version 1 knew samples by pool and place, where one image could count twice.
const VERSION: u32 = 2;

/// Where the known labels of a pool come from. Agreement with the truth and with certified outputs
/// are different rates and never added.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LabelSource {
    /// The truth.
    GroundTruth,
    /// Outputs of the advertised model.
    Certified,
}

impl From<&PublicLabels> for LabelSource {
    fn from(labels: &PublicLabels) -> Self {
        match labels {
            PublicLabels::GroundTruth { .. } => Self::GroundTruth,
            PublicLabels::Certified { .. } => Self::Certified,
        }
    }
}

/// The rate of right answers that the accumulated public samples show.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct AuditedAccuracy {
    /// Distinct public samples that were answered rightly every time.
    pub correct: u64,
    /// Distinct public samples.
    pub total: u64,
    /// Complete batches that they come from.
    pub batches: u64,
    /// Those of them that were rejected.
    pub rejected: u64,
    /// The exact interval of the rate.
    pub interval: Interval,
}

/// How many batches ran under a digest, and what may have slipped through all of them.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct BatchCount {
    /// Complete batches.
    pub batches: u64,
    /// `log2` of the sum of their chances that position-dependent cheating passes: no more than
    /// that is the chance that it passed in any of them.
    pub log2: f64,
}

/// What a batch is beside its answers.
#[derive(Debug, Clone, Copy)]
pub struct BatchFacts<'a> {
    /// A name of its own, by which it counts once.
    pub name: &'a str,
    /// Where its known labels come from.
    pub labels: LabelSource,
    /// How sound its plan is.
    pub soundness: &'a Soundness,
}

/// A batch that the log can take, whatever its answers turn out to be.
#[derive(Debug, Clone, PartialEq)]
pub struct AuditEntry {
    name: String,
    digest: String,
    labels: LabelSource,
    /// The chance that position-dependent cheating passes.
    chance: f64,
    /// Digests of the public samples that count, by id.
    images: BTreeMap<u32, String>,
}

impl AuditEntry {
    /// A batch that is to run under the hint `digest` (hexadecimal). `images` are the digests of
    /// those of its public samples that count, by id: those that earlier batches have answered
    /// agree with themselves, and do not.
    ///
    /// # Errors
    /// [`MixError::Misuse`] if a digest is not hexadecimal.
    pub fn new<'a>(digest: &str, of: &BatchFacts<'_>, images: impl IntoIterator<Item = (u32, &'a str)>) -> Result<Self, MixError> {
        Ok(Self {
            name: of.name.to_owned(),
            digest: canonical(digest)?,
            labels: of.labels,
            chance: (of.soundness.log2 + of.soundness.error_log2).exp2(),
            images: images.into_iter().map(|(id, image)| Ok((id, canonical(image)?))).collect::<Result<_, MixError>>()?,
        })
    }

    /// The hint's digest, lower-case hexadecimal.
    #[must_use]
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// The batch's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Digests of the public samples that count, lower-case hexadecimal.
    pub fn images(&self) -> impl Iterator<Item = &str> {
        self.images.values().map(String::as_str)
    }
}

/// Tallies by hint digest.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AuditLog {
    version: u32,
    /// By hint digest, lower-case hexadecimal.
    models: BTreeMap<String, ModelTally>,
}

/// What the batches under one hint digest have shown.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelTally {
    /// Complete batches.
    pub batches: u64,
    /// Those of them that were rejected.
    pub rejected: u64,
    /// The sum of the batches' chances that position-dependent cheating passes.
    pub chances: f64,
    /// By the image's digest, lower-case hexadecimal.
    pub images: BTreeMap<String, ImageOutcomes>,
    /// Names of the batches that are in here, so that none counts twice. Those of programs that
    /// gave them none are missing.
    #[serde(default)]
    pub names: BTreeSet<String>,
}

/// Whether an image was answered rightly every time, by where its known label came from.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ImageOutcomes {
    /// By true labels.
    #[serde(default)]
    pub truth: Option<bool>,
    /// By labels that are the model's own answers.
    #[serde(default)]
    pub certified: Option<bool>,
}

impl ImageOutcomes {
    fn by(&self, labels: LabelSource) -> Option<bool> {
        match labels {
            LabelSource::GroundTruth => self.truth,
            LabelSource::Certified => self.certified,
        }
    }

    fn add(&mut self, labels: LabelSource, right: bool) {
        let cell = match labels {
            LabelSource::GroundTruth => &mut self.truth,
            LabelSource::Certified => &mut self.certified,
        };
        *cell = Some(cell.unwrap_or(true) && right);
    }
}

impl Default for AuditLog {
    fn default() -> Self {
        Self { version: VERSION, models: BTreeMap::new() }
    }
}

impl AuditLog {
    /// Reads a log that an earlier version of this program kept as a JSON file; a file that does
    /// not exist is an empty log.
    ///
    /// # Errors
    /// [`MixError::File`] or [`MixError::BadFile`].
    pub fn load(path: &Path) -> Result<Self, MixError> {
        let Some(bytes) = private_file::read_if_there(path, LARGEST)? else {
            return Ok(Self::default());
        };
        let bad = |reason: String| MixError::BadFile { path: path.to_owned(), reason };
        let log: Self = serde_json::from_slice(&bytes).map_err(|error| bad(format!("it is no audit log: {error}")))?;
        if log.version != VERSION {
            return Err(bad(format!("version {} of the audit log is not known", log.version)));
        }
        log.models.iter().try_for_each(|(digest, tally)| check(digest, tally)).map_err(|_| bad(NO_DIGEST.to_owned()))?;
        Ok(log)
    }

    /// Puts the tally of a model into the log, in the place of what it had under this digest.
    ///
    /// # Errors
    /// [`MixError::Misuse`] if a digest is not lower-case hexadecimal.
    pub fn insert(&mut self, digest: &str, tally: ModelTally) -> Result<(), MixError> {
        check(digest, &tally)?;
        self.models.insert(digest.to_owned(), tally);
        Ok(())
    }

    /// The tallies by hint digest.
    pub fn tallies(&self) -> impl Iterator<Item = (&str, &ModelTally)> {
        self.models.iter().map(|(digest, tally)| (digest.as_str(), tally))
    }

    /// Adds the answers of one batch, once however often it is called. An incomplete batch adds
    /// nothing.
    pub fn record(&mut self, entry: &AuditEntry, batch: &Verification) {
        if batch.verdict() == Verdict::Incomplete {
            return;
        }
        let model = self.models.entry(entry.digest.clone()).or_default();
        if !model.names.insert(entry.name.clone()) {
            return;
        }
        model.batches += 1;
        model.rejected += u64::from(batch.verdict().is_rejected());
        model.chances += entry.chance;
        for (id, &right) in &batch.evidence().public_outcomes {
            if let Some(image) = entry.images.get(id) {
                model.images.entry(image.clone()).or_default().add(entry.labels, right);
            }
        }
    }

    /// How many complete batches ran under `digest`, and what may have slipped through them.
    #[must_use]
    pub fn batches(&self, digest: &str) -> Option<BatchCount> {
        let model = self.models.get(&digest.to_ascii_lowercase())?;
        Some(BatchCount { batches: model.batches, log2: model.chances.log2().min(0.0) })
    }

    /// What is known about the model with hint `digest`, from labels of the given source; `None` if
    /// nothing is.
    ///
    /// # Errors
    /// [`MixError::Misuse`] if the digest is not hexadecimal, [`MixError::OutOfRange`] if the
    /// confidence is not between 0 and 1.
    pub fn accuracy(&self, digest: &str, labels: LabelSource, confidence: f64) -> Result<Option<AuditedAccuracy>, MixError> {
        if !(confidence > 0.0 && confidence < 1.0) {
            return Err(MixError::OutOfRange { what: "the confidence", range: "strictly between 0 and 1", value: confidence.to_string() });
        }
        let Some(model) = self.models.get(&canonical(digest)?) else {
            return Ok(None);
        };
        let outcomes = || model.images.values().filter_map(|image| image.by(labels));
        let (correct, total) = (outcomes().filter(|&right| right).count() as u64, outcomes().count() as u64);
        if total == 0 {
            return Ok(None);
        }
        let interval = clopper_pearson(correct, total, confidence);
        Ok(Some(AuditedAccuracy { correct, total, batches: model.batches, rejected: model.rejected, interval }))
    }

    /// The hint digests that the log knows.
    pub fn digests(&self) -> impl Iterator<Item = &str> {
        self.models.keys().map(String::as_str)
    }
}

const NO_DIGEST: &str = "a digest in it is not lower-case hexadecimal";

fn check(digest: &str, tally: &ModelTally) -> Result<(), MixError> {
    let good = is_digest(digest) && tally.images.keys().all(|image| is_digest(image));
    if good { Ok(()) } else { Err(MixError::Misuse(NO_DIGEST)) }
}

fn is_digest(text: &str) -> bool {
    !text.is_empty() && text.len() <= 128 && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
}

fn canonical(digest: &str) -> Result<String, MixError> {
    let lower = digest.to_ascii_lowercase();
    if is_digest(&lower) { Ok(lower) } else { Err(MixError::Misuse("a digest is written in hexadecimal, at most 128 digits")) }
}

#[cfg(test)]
mod tests;
