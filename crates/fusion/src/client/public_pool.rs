//! The images that a server is tested with, and where their known labels come from.
//!
//! ```text
//!   labelled     somebody looked at them, or vouches for the model's answers
//!   of_sheet     the owner of the model has published what it answers
//!   Client::earlier   the model has answered them in an accepted batch
//! ```
//! An image counts once, however often it occurs: known by the digest of its file.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use fusion_mix::accuracy::{FlipRate, SheetAccuracy};
use fusion_mix::batch::{Label, MixedBatch, PublicSample};
use fusion_mix::pool::{KnownFrom, Pool, PoolPart, PoolWarning};
use fusion_mix::verify::Verdict;
use fusion_model::answer_sheet::AnswerSheet;
use fusion_ring::symmetric::digest::Digest;

use crate::client::journal::JournalError;
use crate::client::judge::judged;
use crate::client::mixing::PoolFacts;
use crate::client::run_facts::ImageDigests;
use crate::error::Error;
use crate::images::{Sample, check_labels};

/// How often an honest run differs from a decided answer of a sheet, at most. The owner leaves out
/// what lies closer to a tie (`fusion_model::repeatability`).
const SHEET_MISMATCH: f64 = 1e-5;

/// Public samples with known labels.
#[derive(Debug, Clone, Default)]
pub struct PublicPool {
    samples: Vec<Known>,
    /// The place of each image in `samples`.
    places: BTreeMap<[u8; 32], usize>,
    parts: Vec<PoolPart>,
    sheet: Option<SheetAccuracy>,
    weakest: Option<f64>,
}

/// One of them.
#[derive(Debug, Clone)]
struct Known {
    sample: Sample,
    image: Digest,
    label: Label,
    /// How often an honest run gives another label; none: as often as copies flip.
    mismatch: Option<f64>,
}

impl PublicPool {
    /// Those of `samples` that have a label, which is known from `known_from`. Reads every file
    /// once.
    ///
    /// # Errors
    /// A file that cannot be read; an image that occurs twice, with different labels.
    pub fn labelled(samples: Vec<Sample>, known_from: KnownFrom) -> Result<Self, Error> {
        let mut pool = Self::default();
        for sample in samples {
            if let Some(label) = sample.label {
                pool.add(sample, label, None)?;
            }
        }
        Ok(pool.of_one_part(known_from))
    }

    /// Those of `samples` that `sheet` decides, with its answers for labels. The labels that some
    /// of them may have are taken for the truth, and make the sheet's [accuracy](Self::sheet).
    ///
    /// # Errors
    /// As [`labelled`](Self::labelled).
    pub fn of_sheet(samples: Vec<Sample>, sheet: &AnswerSheet) -> Result<Self, Error> {
        let mut pool = Self::default();
        let mut truths = BTreeMap::new();
        for sample in samples {
            let image = sample.digest()?;
            let answer = sheet.answer(&image);
            if let Some(truth) = sample.label {
                let before = truths.insert(*image.as_bytes(), (truth, answer));
                if before.is_some_and(|(other, _)| other != truth) {
                    return Err(Error::TwoLabels { name: sample.name });
                }
            }
            if let Some(Some(label)) = answer {
                pool.add_known(Known { sample, image, label, mismatch: Some(SHEET_MISMATCH) })?;
            }
        }
        let count = |holds: &dyn Fn(Label, Option<Option<Label>>) -> bool| {
            u32::try_from(truths.values().filter(|(truth, answer)| holds(*truth, *answer)).count()).unwrap_or(u32::MAX)
        };
        if !truths.is_empty() {
            let right = count(&|truth, answer| answer == Some(Some(truth)));
            let (undecided, missing) = (count(&|_, answer| answer == Some(None)), count(&|_, answer| answer.is_none()));
            pool.sheet = Some(SheetAccuracy::new(right, undecided, missing, count(&|_, _| true))?);
        }
        Ok(pool.of_one_part(KnownFrom::AnswerSheet))
    }

    /// Those of `candidates` that the run in `journal` has answered: its conclusive queries, and
    /// its public samples that were answered rightly. The run must have been accepted, and of the
    /// model with this hint digest.
    pub(super) fn of_run(journal: &Path, candidates: Vec<Sample>, hint_digest: &str, flips: FlipRate) -> Result<Self, Error> {
        let (facts, batch, plan, verification) = judged(journal)?;
        if facts.hint_digest != hint_digest {
            return Err(Error::OtherModel { run: facts.hint_digest, served: hint_digest.to_owned() });
        }
        let path = || journal.to_owned();
        let answers = match verification.answers() {
            Some(answers) if verification.verdict() == Verdict::Accepted => answers,
            _ => return Err(Error::NotAccepted { path: path(), verdict: verification.verdict() }),
        };
        let ImageDigests { queries, publics } = facts.inputs.images.ok_or_else(|| Error::NoDigests { path: path() })?;
        let damaged = || JournalError::Damaged { path: path(), at: None };
        let copies = batch.mix().copies();
        // What an image is known to be answered, and how often an honest copy will differ.
        let mut known: BTreeMap<&str, (Label, f64)> = BTreeMap::new();
        for answer in answers {
            if let Some(label) = answer.label {
                let image = queries.get(answer.query as usize).ok_or_else(damaged)?;
                known.insert(image, (label, flips.differs_after(copies)));
            }
        }
        let wrong: Vec<u32> = verification.evidence().wrong_publics.iter().map(|wrong| wrong.id).collect();
        for sample in batch.publics().iter().filter(|sample| !wrong.contains(&sample.id)) {
            let image = publics.get(&sample.id).ok_or_else(damaged)?;
            let part = facts.pool.iter().find(|part| (part.first..part.end).contains(&sample.id));
            let of_sheet = part.is_some_and(|part| part.known_from == KnownFrom::AnswerSheet);
            let mismatch = if of_sheet { SHEET_MISMATCH } else { flips.differs_after(1) };
            known.entry(image).or_insert((sample.label, mismatch));
        }
        let mut pool = Self { weakest: Some(plan.soundness.log2), ..Self::default() };
        for sample in candidates {
            let image = sample.digest()?;
            if let Some(&(label, mismatch)) = known.get(image.to_string().as_str()) {
                pool.add_known(Known { sample, image, label, mismatch: Some(mismatch) })?;
            }
        }
        Ok(pool.of_one_part(KnownFrom::EarlierRuns))
    }

    /// Both pools together; of an image that is in both, this one's label counts.
    ///
    /// # Errors
    /// [`Error::MixedPool`] if one of them is of true labels and the other of the model's answers:
    /// an honest server's error rates are too far apart for one test.
    pub fn with(mut self, other: Self) -> Result<Self, Error> {
        let truth = |pool: &Self| pool.parts.iter().any(|part| part.known_from == KnownFrom::GroundTruth);
        if !self.is_empty() && !other.is_empty() && truth(&self) != truth(&other) {
            return Err(Error::MixedPool);
        }
        let Self { samples, parts, sheet, weakest, .. } = other;
        for part in parts {
            let first = self.count();
            for known in &samples[part.first as usize..part.end as usize] {
                if self.place(&known.image).is_none() {
                    self.push(known.clone());
                }
            }
            self.parts.push(PoolPart { known_from: part.known_from, first, end: self.count() });
        }
        self.sheet = self.sheet.or(sheet);
        self.weakest = self.weakest.into_iter().chain(weakest).reduce(f64::max);
        Ok(self)
    }

    fn add(&mut self, sample: Sample, label: Label, mismatch: Option<f64>) -> Result<(), Error> {
        let image = sample.digest()?;
        self.add_known(Known { sample, image, label, mismatch })
    }

    fn add_known(&mut self, known: Known) -> Result<(), Error> {
        match self.place(&known.image) {
            Some(place) if self.samples[place].label != known.label => Err(Error::TwoLabels { name: known.sample.name }),
            Some(_) => Ok(()),
            None => {
                self.push(known);
                Ok(())
            }
        }
    }

    fn place(&self, image: &Digest) -> Option<usize> {
        self.places.get(image.as_bytes()).copied()
    }

    fn push(&mut self, known: Known) {
        self.places.insert(*known.image.as_bytes(), self.samples.len());
        self.samples.push(known);
    }

    fn of_one_part(mut self, known_from: KnownFrom) -> Self {
        self.parts = vec![PoolPart { known_from, first: 0, end: self.count() }];
        self
    }

    fn count(&self) -> u32 {
        u32::try_from(self.samples.len()).unwrap_or(u32::MAX)
    }

    /// Its images.
    #[must_use]
    pub fn len(&self) -> usize {
        self.samples.len()
    }

    /// Whether it has none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.samples.is_empty()
    }

    /// Which of its samples are known from where.
    #[must_use]
    pub fn parts(&self) -> &[PoolPart] {
        &self.parts
    }

    /// What the published answers say of the model's accuracy, if they are what labels come from
    /// and the truth is known for some images.
    #[must_use]
    pub fn sheet(&self) -> Option<&SheetAccuracy> {
        self.sheet.as_ref()
    }

    /// What a plan depends on. `flips` is how often honest copies disagree.
    #[must_use]
    pub fn facts(&self, flips: FlipRate) -> PoolFacts {
        // Samples are drawn alike, and the number of errors of unequal ones has lighter tails than
        // that of equal ones with their mean (Hoeffding, 1956).
        let sum: f64 = self.samples.iter().map(|known| known.mismatch.unwrap_or(flips.rate())).sum();
        let part = self.parts.iter().find(|part| part.first < part.end);
        let known_from = part.map_or(KnownFrom::GroundTruth, |part| part.known_from);
        PoolFacts { size: self.count(), known_from, mismatch: sum / self.samples.len().max(1) as f64 }
    }

    /// Refuses labels that the model has no class for.
    pub(super) fn check_classes(&self, classes: usize) -> Result<(), Error> {
        check_labels(self.samples.iter().map(|known| &known.sample), classes)?;
        let beyond = self.samples.iter().find(|known| known.label as usize >= classes);
        beyond.map_or(Ok(()), |known| Err(Error::NoSuchClass { name: known.sample.name.clone(), label: known.label, classes }))
    }

    /// What a batch draws from: ids are places in the pool.
    pub(super) fn to_draw_from(&self) -> Result<Pool, Error> {
        Ok(Pool::new((0u32..).zip(&self.samples).map(|(id, known)| PublicSample { id, label: known.label }).collect())?)
    }

    pub(super) fn sample(&self, id: u32) -> Option<&Sample> {
        self.samples.get(id as usize).map(|known| &known.sample)
    }

    /// Digests of the public samples of a batch, by id.
    pub(super) fn images_of(&self, batch: &MixedBatch) -> BTreeMap<u32, String> {
        let image = |id: u32| self.samples.get(id as usize).map(|known| known.image.to_string());
        batch.publics().iter().filter_map(|sample| Some((sample.id, image(sample.id)?))).collect()
    }

    /// The ids of those whose digests (hexadecimal) are among `images`.
    pub(super) fn ids_of(&self, images: &BTreeSet<String>) -> BTreeSet<u32> {
        let among = |known: &Known| images.contains(&known.image.to_string());
        (0u32..).zip(&self.samples).filter(|(_, known)| among(known)).map(|(id, _)| id).collect()
    }

    /// Refuses answers of earlier runs that were tested less strictly than is asked for now: a
    /// wrong one that slipped through there would be taken for the right one here.
    pub(super) fn check_runs(&self, lambda: f64) -> Result<(), Error> {
        let weak = self.weakest.filter(|log2| *log2 > -lambda);
        weak.map_or(Ok(()), |log2| Err(Error::WeakRun { log2, lambda }))
    }

    /// What weakens that which the samples of a batch show, of what was noticed in `drawing` them.
    /// No server can fit a model to images that the client alone knows; and only a rate of right
    /// answers, which is added up over batches, loses by samples that occur again.
    pub(super) fn warnings(&self, drawing: &[PoolWarning]) -> Vec<String> {
        let of = |known_from| self.parts.iter().any(|part| part.known_from == known_from);
        let known_to_others = self.parts.iter().any(|part| part.known_from != KnownFrom::EarlierRuns);
        let weakens = |warning: &&PoolWarning| {
            if matches!(warning, PoolWarning::Reused { .. }) { of(KnownFrom::GroundTruth) } else { known_to_others }
        };
        drawing.iter().filter(weakens).map(ToString::to_string).collect()
    }

    pub(super) fn images(&self) -> impl Iterator<Item = &Digest> {
        self.samples.iter().map(|known| &known.image)
    }

    pub(super) fn samples(&self) -> impl Iterator<Item = &Sample> {
        self.samples.iter().map(|known| &known.sample)
    }
}
