//! What public samples have shown about one pinned model over many batches.
//!
//! A hint commits the server to its weights, so answers to public samples of all batches under one
//! hint digest are about one set of linear layers and may be added up. Three rules keep the
//! interval valid:
//!
//! * A tally belongs to one digest; another model's is never counted.
//! * A public sample counts once per pool, however often it was asked: a fixed function answers it
//!   the same way each time. If it was ever wrong, it counts as wrong.
//! * *Every* complete batch counts, also a rejected one. Counting accepted batches alone would
//!   select for good luck.

use std::{collections::BTreeMap, path::Path};

use serde::{Deserialize, Serialize};

use crate::{
    MixError,
    accuracy::PublicLabels,
    interval::{Interval, clopper_pearson},
    private_file,
    verify::{Verdict, Verification},
};

/// The largest tally file that is read, bytes.
const LARGEST: u64 = 1 << 28;

const VERSION: u32 = 1;

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
    /// By the pool's digest, lower-case hexadecimal.
    pools: BTreeMap<String, PoolTally>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct PoolTally {
    labels: LabelSource,
    /// By sample id: whether it was answered rightly every time.
    outcomes: BTreeMap<u32, bool>,
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
        if !log.models.iter().all(|(digest, tally)| is_digest(digest) && tally.pools.keys().all(|pool| is_digest(pool))) {
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

    /// Adds the public samples of one batch, run under the hint `digest` with samples of the pool
    /// `pool` (both hexadecimal). An incomplete batch adds nothing.
    ///
    /// # Errors
    /// [`MixError::Misuse`] if a digest is not hexadecimal, or the pool was recorded with labels of
    /// another source.
    pub fn record(&mut self, digest: &str, pool: &str, labels: LabelSource, batch: &Verification) -> Result<(), MixError> {
        let (digest, pool) = (canonical(digest)?, canonical(pool)?);
        if batch.verdict() == Verdict::Incomplete {
            return Ok(());
        }
        let known = self.models.get(&digest).and_then(|model| model.pools.get(&pool));
        if known.is_some_and(|tally| tally.labels != labels) {
            return Err(MixError::Misuse("this pool was recorded with labels of another source"));
        }
        let model = self.models.entry(digest).or_default();
        model.batches += 1;
        model.rejected += u64::from(batch.verdict().is_rejected());
        let tally = model.pools.entry(pool).or_insert_with(|| PoolTally { labels, outcomes: BTreeMap::new() });
        for (&id, &right) in &batch.evidence().public_outcomes {
            *tally.outcomes.entry(id).or_insert(true) &= right;
        }
        Ok(())
    }

    /// What is known about the model with hint `digest`, from pools with labels of the given
    /// source; `None` if nothing is.
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
        let outcomes = || model.pools.values().filter(|pool| pool.labels == labels).flat_map(|pool| pool.outcomes.values());
        let (correct, total) = (outcomes().filter(|&&right| right).count() as u64, outcomes().count() as u64);
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

    /// The ids of the samples of `pool` that the log has seen under any model: what a draw should
    /// avoid.
    #[must_use]
    pub fn used_samples(&self, pool: &str) -> std::collections::BTreeSet<u32> {
        let pool = pool.to_ascii_lowercase();
        self.models.values().filter_map(|model| model.pools.get(&pool)).flat_map(|tally| tally.outcomes.keys().copied()).collect()
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
        batch::{AnswerSheet, MixedBatch, PublicSample},
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
        let mut sheet = AnswerSheet::new(&batch, 0);
        sheet.record(0..mix.samples(), &vec![1; mix.samples() as usize]).unwrap();
        verify(&batch, &sheet).unwrap()
    }

    const TRUTH: LabelSource = LabelSource::GroundTruth;

    #[test]
    fn accumulates_per_digest_and_counts_each_sample_once() {
        let mut log = AuditLog::default();
        log.record("AA01", "b0", TRUTH, &batch(0..10, &[3], 1)).unwrap();
        log.record("aa01", "b0", TRUTH, &batch(5..15, &[], 0)).unwrap();
        log.record("aa02", "b0", TRUTH, &batch(0..50, &[], 0)).unwrap();
        let found = log.accuracy("aa01", TRUTH, 0.95).unwrap().unwrap();
        assert_eq!((found.correct, found.total, found.batches, found.rejected), (14, 15, 2, 0));
        assert_eq!(found.interval, clopper_pearson(14, 15, 0.95));
        assert_eq!(log.accuracy("aa03", TRUTH, 0.95).unwrap(), None, "another digest's tally does not count");
        assert_eq!(log.accuracy("aa01", LabelSource::Certified, 0.95).unwrap(), None);
        // The same samples of another pool are other samples.
        log.record("aa01", "b1", TRUTH, &batch(0..10, &[], 0)).unwrap();
        assert_eq!(log.accuracy("aa01", TRUTH, 0.95).unwrap().unwrap().total, 25);
        assert_eq!(log.used_samples("b1").len(), 10);
    }

    #[test]
    fn rejected_batches_count_and_a_wrong_answer_stays_wrong() {
        let mut log = AuditLog::default();
        log.record("aa", "b0", TRUTH, &batch(0..10, &[], 0)).unwrap();
        log.record("aa", "b0", TRUTH, &batch(0..10, &[1, 2, 3], 0)).unwrap();
        log.record("aa", "b0", TRUTH, &batch(0..10, &[], 0)).unwrap();
        let found = log.accuracy("aa", TRUTH, 0.95).unwrap().unwrap();
        assert_eq!((found.correct, found.total, found.batches, found.rejected), (7, 10, 3, 1));
        assert!(log.record("aa", "b0", LabelSource::Certified, &batch(0..1, &[], 0)).is_err());
        assert!(log.record("not hex", "b0", TRUTH, &batch(0..1, &[], 0)).is_err());
        assert!(log.accuracy("aa", TRUTH, 1.0).is_err());
    }

    #[test]
    fn is_kept_in_a_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("audit.json");
        let mut log = AuditLog::load(&path).unwrap();
        assert_eq!(log.digests().count(), 0);
        log.record("aa", "b0", TRUTH, &batch(0..10, &[4], 1)).unwrap();
        log.save(&path).unwrap();
        log.save(&path).unwrap();
        assert_eq!(AuditLog::load(&path).unwrap(), log);
        for bad in
            ["", "{}", "{\"version\":2,\"models\":{}}", "{\"version\":1,\"models\":{\"XX\":{\"batches\":0,\"rejected\":0,\"pools\":{}}}}"]
        {
            std::fs::write(&path, bad).unwrap();
            assert!(matches!(AuditLog::load(&path), Err(MixError::BadFile { .. })), "{bad}");
        }
    }
}
