//! The images of a batch: queries, and the public samples that were drawn from their pool.

use std::collections::BTreeMap;
use std::sync::Arc;

use fusion_mix::batch::{Item, Label, MixedBatch};
use fusion_mix::report::SkippedFile;
use fusion_model::card::ModelCard;
use fusion_nn::exec::EncodedImage;
use fusion_ring::secret::Wiped;
use fusion_ring::symmetric::digest::{Digest, Hasher};

use crate::client::public_pool::PublicPool;
use crate::error::Error;
use crate::event::{Event, Events};
use crate::images::Sample;

/// What is to be classified.
#[derive(Clone)]
pub struct Inputs {
    /// The images.
    pub samples: Vec<Sample>,
    /// Labels that the float model gives to them, where somebody knows them: shown beside the
    /// answers.
    pub float_labels: Option<Vec<Label>>,
    /// What was given and left out, for the report.
    pub skipped: Vec<SkippedFile>,
}

impl Inputs {
    /// Leaves out the images that cannot be read, or do not fit the model of `card`: they are
    /// listed in [`skipped`](Self::skipped).
    #[must_use]
    pub fn readable(self, card: &ModelCard) -> Self {
        fn kept<T>(all: Vec<T>, reasons: &[Option<String>]) -> Vec<T> {
            all.into_iter().zip(reasons).filter_map(|(one, reason)| reason.is_none().then_some(one)).collect()
        }
        let Self { samples, float_labels, mut skipped } = self;
        let reasons: Vec<Option<String>> = samples.iter().map(|sample| encode(card, sample).err().map(|e| with_causes(&e))).collect();
        let refused = samples.iter().zip(&reasons).filter_map(|(sample, reason)| Some((sample.name.clone(), reason.clone()?)));
        skipped.extend(refused.map(|(file, reason)| SkippedFile { file, reason }));
        Self { samples: kept(samples, &reasons), float_labels: float_labels.map(|labels| kept(labels, &reasons)), skipped }
    }
}

impl Inputs {
    /// Refuses labels of the float model that are not one per image, or that the model has no class
    /// for: a report would show them beside answers that are none of theirs.
    pub(super) fn check_float_labels(&self, classes: usize) -> Result<(), Error> {
        let Some(labels) = &self.float_labels else { return Ok(()) };
        if labels.len() != self.samples.len() {
            return Err(Error::FloatLabels { labels: labels.len(), images: self.samples.len() });
        }
        let beyond = self.samples.iter().zip(labels).find(|(_, label)| **label as usize >= classes);
        beyond.map_or(Ok(()), |(sample, &label)| Err(Error::NoSuchClass { name: sample.name.clone(), label, classes }))
    }
}

/// An error and what lies behind it: which part of a file its decoder stumbled on stands there.
fn with_causes(error: &dyn std::error::Error) -> String {
    std::iter::successors(Some(error), |error| error.source()).map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

/// Says how many there are, and nothing of what they show.
impl std::fmt::Debug for Inputs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Inputs(of {} images)", self.samples.len())
    }
}

impl From<Vec<Sample>> for Inputs {
    fn from(samples: Vec<Sample>) -> Self {
        Self { samples, float_labels: None, skipped: Vec::new() }
    }
}

/// Digests of the images of a run as they are stored, nothing decoded.
pub(super) struct Sources {
    /// Of each query.
    pub(super) queries: Vec<Digest>,
    /// Of queries and pool: a resumed run is given the same images.
    pub(super) all: Digest,
}

impl Sources {
    /// Reads every query once; the pool knows its digests.
    pub(super) fn of(inputs: &[Sample], pool: &PublicPool) -> Result<Self, Error> {
        let queries = inputs.iter().map(Sample::digest).collect::<Result<Vec<_>, _>>()?;
        let mut all = Hasher::default();
        all.update(digest_of(queries.iter()).as_bytes());
        all.update(digest_of(pool.images()).as_bytes());
        Ok(Self { queries, all: all.finish() })
    }
}

fn digest_of<'a>(images: impl Iterator<Item = &'a Digest>) -> Digest {
    let mut hash = Hasher::default();
    images.for_each(|image| hash.update(image.as_bytes()));
    hash.finish()
}

/// Digest of all input tensors in order, by which runs of the first format know their images. Holds
/// one image at a time.
pub(super) fn tensors_digest(card: &ModelCard, inputs: &[Sample], pool: &PublicPool) -> Result<Digest, Error> {
    let mut hash = Hasher::default();
    for sample in inputs.iter().chain(pool.samples()) {
        encode(card, sample)?.words().iter().for_each(|v| hash.update(&v.to_le_bytes()));
    }
    Ok(hash.finish())
}

/// Images as the network reads them.
///
/// All that a batch needs are read before its first lane, and nothing else of the pool: a lane that
/// reads its images itself would begin sooner or later depending on which they are, and the server
/// would see that.
pub(super) struct Encoded {
    queries: Vec<Arc<EncodedImage>>,
    /// By id in the pool.
    publics: BTreeMap<u32, Arc<EncodedImage>>,
}

impl Encoded {
    /// Reads the queries and the drawn public samples.
    pub(super) fn read(
        card: &ModelCard,
        batch: &MixedBatch,
        inputs: &[Sample],
        pool: &PublicPool,
        events: &mut Events<'_>,
    ) -> Result<Self, Error> {
        let total = inputs.len() + batch.publics().len();
        let mut done = 0;
        let mut read = |sample: &Sample| {
            let encoded = encode(card, sample)?;
            done += 1;
            events(Event::Images { done, total });
            Ok::<_, Error>(encoded)
        };
        let queries = inputs.iter().map(&mut read).collect::<Result<_, _>>()?;
        let mut publics = BTreeMap::new();
        for drawn in batch.publics() {
            let sample = pool.sample(drawn.id).ok_or(Error::OtherInputs)?;
            publics.insert(drawn.id, read(sample)?);
        }
        Ok(Self { queries, publics })
    }

    /// The image of an item of the batch.
    pub(super) fn image(&self, item: Item) -> Option<Arc<EncodedImage>> {
        let found = match item {
            Item::Query { query } => self.queries.get(query as usize),
            Item::Public { id } => self.publics.get(&id),
        };
        found.cloned()
    }
}

/// The image as the network of `card` reads it, for lanes of the caller's
/// ([`unverified_lanes`](crate::Client::unverified_lanes)), or to see whether it fits.
///
/// # Errors
/// [`Error::Image`] and [`Error::Encode`] for one that cannot be read, or does not fit.
pub fn encode(card: &ModelCard, sample: &Sample) -> Result<Arc<EncodedImage>, Error> {
    let image = Wiped::from(sample.tensor(&card.preprocess)?);
    let refuse = |reason: String| Error::Encode { name: sample.name.clone(), reason };
    let values = Wiped::from(card.program.encode(&image).map_err(|e| refuse(e.to_string()))?);
    Ok(Arc::new(EncodedImage::new(&card.program, &values).map_err(|e| refuse(e.to_string()))?))
}
