//! The images of a batch: queries, and the pool of public samples.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Result;
use fusion_mix::batch::{Label, PublicSample};
use fusion_mix::pool::Pool;
use fusion_model::card::ModelCard;
use fusion_nn::exec::EncodedImage;
use fusion_ring::secret::Wiped;
use sha3::{Digest as _, Sha3_256};

use crate::assets;
use crate::rundir::PublicSource;
use crate::samples::{self, Sample};

/// The samples of a batch.
pub struct Batch {
    /// Queries.
    pub queries: Vec<Sample>,
    /// The pool of public samples, all labelled.
    pub pool: Vec<Sample>,
    /// Labels that the float model gives to the queries, where somebody knows them.
    pub float_labels: Option<Vec<Label>>,
}

impl Batch {
    /// Reads the inputs of a run.
    ///
    /// # Errors
    /// A file that cannot be read, a folder without images, a label file that does not fit.
    pub fn read(inputs: &[PathBuf], publics: &PublicSource) -> Result<Self> {
        let mut queries = Vec::new();
        for path in inputs {
            queries.extend(samples::folder(path)?);
        }
        let pool = match publics {
            PublicSource::Mnist => assets::mnist_pool()?,
            PublicSource::Folder { images, labels } => samples::labelled_folder(images, labels)?,
        };
        Ok(Self { queries, pool, float_labels: None })
    }

    /// Encodes every image: queries first, then the pool, and a digest of it all.
    pub(crate) fn encode(&self, card: &ModelCard) -> Result<(Encoded, String)> {
        let mut hash = Sha3_256::new();
        let mut encode = |sample: &Sample| -> Result<Arc<EncodedImage>> {
            let image = Wiped::from(sample.tensor(&card.preprocess)?);
            let encoded = EncodedImage::new(&card.program, &Wiped::from(card.program.encode(&image)?))?;
            encoded.words().iter().for_each(|v| hash.update(v.to_le_bytes()));
            Ok(Arc::new(encoded))
        };
        let queries = self.queries.iter().map(&mut encode).collect::<Result<Vec<_>>>()?;
        let pool = self.pool.iter().map(&mut encode).collect::<Result<Vec<_>>>()?;
        Ok((Encoded { queries, pool }, hex(&hash.finalize())))
    }

    pub(crate) fn public_pool(&self) -> Result<Pool> {
        let labelled = (0u32..).zip(&self.pool).filter_map(|(id, s)| s.label.map(|label| PublicSample { id, label }));
        Ok(Pool::new(labelled.collect())?)
    }
}

/// Images as the network reads them.
pub(crate) struct Encoded {
    /// By query.
    pub(crate) queries: Vec<Arc<EncodedImage>>,
    /// By id in the pool.
    pub(crate) pool: Vec<Arc<EncodedImage>>,
}

impl Encoded {
    /// The digest by which the audit log knows the pool.
    pub(crate) fn pool_digest(&self) -> String {
        let mut hash = Sha3_256::new();
        self.pool.iter().flat_map(|image| image.words()).for_each(|v| hash.update(v.to_le_bytes()));
        hex(&hash.finalize())
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}
