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

/// Tallies by hint digest, as a JSON file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AuditLog {
    version: u32,
    /// By hint digest, lower-case hexadecimal.
    models: BTreeMap<String, ModelTally>,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ModelTally {
    batches: u64,
    rejected: u64,
    /// The sum of the batches' chances that position-dependent cheating passes.
    chances: f64,
    /// By the image's digest, lower-case hexadecimal.
    images: BTreeMap<String, ImageOutcomes>,
    /// Names of the batches that are in here, so that none counts twice.
    #[serde(default)]
    names: BTreeSet<String>,
}

/// Whether an image was answered rightly every time, by where its known label came from.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ImageOutcomes {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    truth: Option<bool>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    certified: Option<bool>,
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
    /// Reads a log; a file that does not exist is an empty log.
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
        if !log.models.iter().all(|(digest, tally)| is_digest(digest) && tally.images.keys().all(|image| is_digest(image))) {
            return Err(bad("a digest in it is not lower-case hexadecimal".to_owned()));
        }
        Ok(log)
    }

    /// Writes the log in one step.
    ///
    /// # Errors
    /// [`MixError::File`].
    pub fn save(&self, path: &Path) -> Result<(), MixError> {
        let text = serde_json::to_vec_pretty(self).map_err(|e| MixError::File { path: path.to_owned(), source: e.into() })?;
        private_file::replace(path, &text)
    }

    /// Adds the public samples of one batch, once however often it is called, run under the hint
    /// `digest` (hexadecimal); `image` names the digest of the public sample with an id, and
    /// `counts` says which samples do: those that earlier batches have answered agree with
    /// themselves. An incomplete batch adds nothing.
    ///
    /// # Errors
    /// [`MixError::Misuse`] if a digest is not hexadecimal, or a sample has none.
    pub fn record<'a>(
        &mut self,
        digest: &str,
        of: &BatchFacts<'_>,
        image: impl Fn(u32) -> Option<&'a str>,
        counts: impl Fn(u32) -> bool,
        batch: &Verification,
    ) -> Result<(), MixError> {
        let digest = canonical(digest)?;
        if batch.verdict() == Verdict::Incomplete {
            return Ok(());
        }
        let outcomes = batch.evidence().public_outcomes.iter().filter(|(id, _)| counts(**id));
        let named = outcomes.map(|(&id, &right)| Ok((canonical(image(id).unwrap_or_default())?, right)));
        let named = named.collect::<Result<Vec<_>, MixError>>()?;
        let model = self.models.entry(digest).or_default();
        if !model.names.insert(of.name.to_owned()) {
            return Ok(());
        }
        model.batches += 1;
        model.rejected += u64::from(batch.verdict().is_rejected());
        model.chances += (of.soundness.log2 + of.soundness.error_log2).exp2();
        for (image, right) in named {
            model.images.entry(image).or_default().add(of.labels, right);
        }
        Ok(())
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

    /// The digests of all images that were public samples under any model: what a draw should
    /// avoid.
    #[must_use]
    pub fn used_images(&self) -> BTreeSet<&str> {
        self.models.values().flat_map(|model| model.images.keys()).map(String::as_str).collect()
    }
}

fn is_digest(text: &str) -> bool {
    !text.is_empty() && text.len() <= 128 && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
}

fn canonical(digest: &str) -> Result<String, MixError> {
    let lower = digest.to_ascii_lowercase();
    if is_digest(&lower) { Ok(lower) } else { Err(MixError::Misuse("a digest is written in hexadecimal, at most 128 digits")) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        batch::{BatchAnswers, MixedBatch, PublicSample},
        mix::Mix,
        verify::verify,
    };
    use rand_chacha::{ChaCha20Rng, rand_core::SeedableRng};

    /// A batch of public samples alone but for one query, answered with label 1; those of `wrong`
    /// expect another.
    fn batch(ids: std::ops::Range<u32>, wrong: &[u32], tau: u32) -> Verification {
        let publics: Vec<_> = ids.map(|id| PublicSample { id, label: if wrong.contains(&id) { 0 } else { 1 } }).collect();
        let mix = Mix::new(1, 1, publics.len() as u32, tau, 0).unwrap();
        let batch = MixedBatch::assemble(mix, publics, &mut ChaCha20Rng::seed_from_u64(1)).unwrap();
        let mut sheet = BatchAnswers::new(&batch, 0);
        sheet.record(0..mix.samples(), &vec![1; mix.samples() as usize]).unwrap();
        verify(&batch, &sheet).unwrap()
    }

    const TRUTH: LabelSource = LabelSource::GroundTruth;
    const SOUNDNESS: Soundness = Soundness { log2: -40.0, worst_m: 1, error_log2: 0.0 };

    fn named(name: &str) -> BatchFacts<'_> {
        BatchFacts { name, labels: TRUTH, soundness: &SOUNDNESS }
    }

    /// Records a batch whose sample `id` is the image with digest `images[id]`.
    fn record(log: &mut AuditLog, digest: &str, labels: LabelSource, batch: &Verification) -> Result<(), MixError> {
        let images: Vec<String> = (0..64).map(|id| format!("b0{id:02x}")).collect();
        let name = log.models.values().map(|model| model.batches).sum::<u64>().to_string();
        let of = BatchFacts { name: &name, labels, soundness: &SOUNDNESS };
        log.record(digest, &of, |id| images.get(id as usize).map(String::as_str), |_| true, batch)
    }

    #[test]
    fn accumulates_per_digest_and_counts_each_image_once() {
        let mut log = AuditLog::default();
        record(&mut log, "AA01", TRUTH, &batch(0..10, &[3], 1)).unwrap();
        record(&mut log, "aa01", TRUTH, &batch(5..15, &[], 0)).unwrap();
        record(&mut log, "aa02", TRUTH, &batch(0..50, &[], 0)).unwrap();
        let found = log.accuracy("aa01", TRUTH, 0.95).unwrap().unwrap();
        assert_eq!((found.correct, found.total, found.batches, found.rejected), (14, 15, 2, 0));
        assert_eq!(found.interval, clopper_pearson(14, 15, 0.95));
        assert_eq!(log.accuracy("aa03", TRUTH, 0.95).unwrap(), None, "another digest's tally does not count");
        assert_eq!(log.accuracy("aa01", LabelSource::Certified, 0.95).unwrap(), None);
        // Agreement with the model's own outputs is another rate.
        record(&mut log, "aa01", LabelSource::Certified, &batch(0..10, &[], 0)).unwrap();
        assert_eq!(log.accuracy("aa01", LabelSource::Certified, 0.95).unwrap().unwrap().total, 10);
        assert_eq!(log.accuracy("aa01", TRUTH, 0.95).unwrap().unwrap().total, 15);
        assert_eq!(log.used_images().len(), 50);
    }

    #[test]
    fn an_image_counts_once_however_the_pool_is_cut() {
        let mut log = AuditLog::default();
        let batch = batch(0..10, &[], 0);
        // The same ten images, numbered from the other end in another pool.
        let images: Vec<String> = (0..10).map(|id| format!("c{id}")).collect();
        for turned in [false, true, true] {
            let image = |id: u32| images.get(if turned { 9 - id } else { id } as usize).map(String::as_str);
            // The third time it is the second batch again, which a resumed run has finished before.
            log.record("aa", &named(if turned { "two" } else { "one" }), image, |_| true, &batch).unwrap();
        }
        assert_eq!(log.accuracy("aa", TRUTH, 0.95).unwrap().unwrap().total, 10);
        assert_eq!(log.batches("AA"), Some(BatchCount { batches: 2, log2: -39.0 }));
        assert!(log.record("aa", &named("three"), |_| None, |_| true, &batch).is_err(), "a sample without a digest");
        log.record("bb", &named("one"), |_| Some("c0"), |id| id == 3, &batch).unwrap();
        assert_eq!(log.accuracy("bb", TRUTH, 0.95).unwrap().unwrap().total, 1, "what does not count is left out");
    }

    #[test]
    fn rejected_batches_count_and_a_wrong_answer_stays_wrong() {
        let mut log = AuditLog::default();
        record(&mut log, "aa", TRUTH, &batch(0..10, &[], 0)).unwrap();
        record(&mut log, "aa", TRUTH, &batch(0..10, &[1, 2, 3], 0)).unwrap();
        record(&mut log, "aa", TRUTH, &batch(0..10, &[], 0)).unwrap();
        let found = log.accuracy("aa", TRUTH, 0.95).unwrap().unwrap();
        assert_eq!((found.correct, found.total, found.batches, found.rejected), (7, 10, 3, 1));
        assert!(record(&mut log, "not hex", TRUTH, &batch(0..1, &[], 0)).is_err());
        assert!(log.accuracy("aa", TRUTH, 1.0).is_err());
    }

    #[test]
    fn is_kept_in_a_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("audit.json");
        let mut log = AuditLog::load(&path).unwrap();
        assert_eq!(log.digests().count(), 0);
        record(&mut log, "aa", TRUTH, &batch(0..10, &[4], 1)).unwrap();
        log.save(&path).unwrap();
        log.save(&path).unwrap();
        assert_eq!(AuditLog::load(&path).unwrap(), log);
        let tally = "{\"version\":2,\"models\":{\"XX\":{\"batches\":0,\"rejected\":0,\"chances\":0,\"images\":{}}}}";
        for bad in ["", "{}", "{\"version\":1,\"models\":{}}", tally] {
            std::fs::write(&path, bad).unwrap();
            assert!(matches!(AuditLog::load(&path), Err(MixError::BadFile { .. })), "{bad}");
        }
    }
}
