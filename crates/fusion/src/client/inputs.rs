//! The images of a batch: queries, and the public samples that were drawn from their pool.

use std::collections::BTreeMap;
use std::sync::Arc;

use fusion_mix::batch::{Item, Label, MixedBatch, PublicSample};
use fusion_mix::pool::Pool;
use fusion_model::card::ModelCard;
use fusion_nn::exec::EncodedImage;
use fusion_ring::secret::Wiped;
use fusion_ring::symmetric::digest::{Digest, Hasher};

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
}

/// Says how many there are, and nothing of what they show.
impl std::fmt::Debug for Inputs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Inputs(of {} images)", self.samples.len())
    }
}

impl From<Vec<Sample>> for Inputs {
    fn from(samples: Vec<Sample>) -> Self {
        Self { samples, float_labels: None }
    }
}

/// The pool of those samples that have a label; their place in `samples` is their id.
pub(super) fn public_pool(samples: &[Sample]) -> Result<Pool, Error> {
    let labelled = (0u32..).zip(samples).filter_map(|(id, s)| s.label.map(|label| PublicSample { id, label }));
    Ok(Pool::new(labelled.collect())?)
}

/// Digests of the images of a run as they are stored, nothing decoded.
pub(super) struct Sources {
    /// Of the pool: by it the audit tally knows which public samples were used before.
    pub(super) pool: Digest,
    /// Of queries and pool: a resumed run is given the same images.
    pub(super) all: Digest,
}

impl Sources {
    /// Reads every file once.
    pub(super) fn of(inputs: &[Sample], pool: &[Sample]) -> Result<Self, Error> {
        let digest = |samples: &[Sample]| -> Result<Digest, Error> {
            let mut hash = Hasher::default();
            for sample in samples {
                hash.update(sample.digest()?.as_bytes());
            }
            Ok(hash.finish())
        };
        let pool = digest(pool)?;
        let mut all = Hasher::default();
        all.update(digest(inputs)?.as_bytes());
        all.update(pool.as_bytes());
        Ok(Self { pool, all: all.finish() })
    }
}

/// Digest of all input tensors in order, by which runs of the first format know their images. Holds
/// one image at a time.
pub(super) fn tensors_digest(card: &ModelCard, inputs: &[Sample], pool: &[Sample]) -> Result<Digest, Error> {
    let mut hash = Hasher::default();
    for sample in inputs.iter().chain(pool) {
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
        pool: &[Sample],
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
            let sample = pool.get(drawn.id as usize).ok_or(Error::OtherInputs)?;
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

fn encode(card: &ModelCard, sample: &Sample) -> Result<Arc<EncodedImage>, Error> {
    let image = Wiped::from(sample.tensor(&card.preprocess)?);
    let refuse = |reason: String| Error::Encode { name: sample.name.clone(), reason };
    let values = Wiped::from(card.program.encode(&image).map_err(|e| refuse(e.to_string()))?);
    Ok(Arc::new(EncodedImage::new(&card.program, &values).map_err(|e| refuse(e.to_string()))?))
}
