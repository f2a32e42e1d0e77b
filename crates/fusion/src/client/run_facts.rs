//! What a run agreed on before its first lane, as `run.json` keeps it.

use std::collections::BTreeMap;
use std::ops::Range;

use fusion_mix::accuracy::SheetAccuracy;
use fusion_mix::pool::PoolPart;
use fusion_mix::report::SkippedFile;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// What is known of the inputs of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunInputs {
    /// What the caller kept, see [`Journal::keeping`](crate::Journal::keeping).
    #[serde(flatten)]
    pub source: Map<String, Value>,
    /// SHA3-256 of the images, so that changed ones are noticed: of all files in order; of all
    /// input tensors in runs of the first format.
    pub digest: String,
    /// File names of the queries.
    #[serde(default)]
    pub files: Vec<String>,
    /// Files that were left out of the queries.
    #[serde(default)]
    pub skipped: Vec<SkippedFile>,
    /// Digests of the images of the batch. Runs of older programs have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub images: Option<ImageDigests>,
}

/// SHA3-256 of the images of a batch, lower-case hexadecimal: by them a later run knows which
/// images this one has answered.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageDigests {
    /// Of the queries.
    pub queries: Vec<String>,
    /// Of the public samples that were drawn, by id.
    pub publics: BTreeMap<u32, String>,
}

/// What a run agreed on before its first lane.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunFacts {
    /// Version of this format.
    pub version: u32,
    /// A random name of the run, by which its batch counts once. Runs of older programs have none.
    #[serde(default)]
    pub id: String,
    /// `host:port` of the server.
    pub server: String,
    /// What the model was asked for by, where the server may have several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Digest of the model card.
    pub card_digest: String,
    /// Digest of the hint.
    pub hint_digest: String,
    /// The plan.
    pub plan: fusion_mix::plan::PlanJson,
    /// Names of the model's classes, if it names them.
    #[serde(default)]
    pub class_names: Vec<String>,
    /// How many classes the model has. Runs of older programs do not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub classes: Option<u32>,
    /// Inputs.
    pub inputs: RunInputs,
    /// Which samples of the pool are known from where.
    #[serde(default)]
    pub pool: Vec<PoolPart>,
    /// What the model's published answers say of its accuracy.
    #[serde(default)]
    pub sheet: Option<SheetAccuracy>,
    /// Slices of positions, one lane each.
    pub slices: Vec<Range<u32>>,
    /// Lane runs that may fail, however often the run is resumed. Runs of older programs have no
    /// such number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_failures: Option<u32>,
}

impl RunFacts {
    /// What the run is called in the audit tally. Older runs are told apart by their images.
    pub(super) fn name(&self) -> &str {
        if self.id.is_empty() { &self.inputs.digest } else { &self.id }
    }
}

/// Version of [`RunFacts`].
pub(super) const FORMAT: u32 = 2;
