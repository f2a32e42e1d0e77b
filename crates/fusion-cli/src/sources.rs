//! Where the images of a run come from: enough to read them again on resume.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use fusion::images::{self, ImageError, Sample};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::assets;

/// Sources of queries and public samples, as they stand in a run's `run.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Sources {
    /// Image files or folders of the queries.
    pub queries: Vec<PathBuf>,
    /// Where the public samples come from.
    pub publics: PublicSource,
}

/// Source of public samples.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum PublicSource {
    /// The digits that come with the program.
    Mnist,
    /// A folder and its labels.
    Folder {
        /// The images.
        images: PathBuf,
        /// CSV file of labels.
        labels: PathBuf,
    },
}

impl Sources {
    /// Lists the images: queries, public samples.
    ///
    /// # Errors
    /// A folder that cannot be read or has no images, a label file that does not fit.
    pub(crate) fn read(&self) -> Result<(Vec<Sample>, Vec<Sample>), ImageError> {
        let mut queries = Vec::new();
        for path in &self.queries {
            queries.extend(images::folder(path)?);
        }
        let publics = match &self.publics {
            PublicSource::Mnist => assets::mnist_pool()?,
            PublicSource::Folder { images: folder, labels } => images::labelled_folder(folder, labels)?,
        };
        Ok((queries, publics))
    }

    /// What the journal of the run keeps.
    ///
    /// # Errors
    /// Paths that are no Unicode.
    pub(crate) fn to_json(&self) -> Result<Map<String, Value>> {
        let value = serde_json::to_value(self).context("paths of images must be Unicode, to be found again on resume")?;
        value.as_object().cloned().context("sources are an object")
    }

    /// Reads what a journal kept.
    ///
    /// # Errors
    /// If another program kept something else there.
    pub(crate) fn of_run(path: &Path, source: Map<String, Value>) -> Result<Self> {
        serde_json::from_value(Value::Object(source)).with_context(|| format!("{} does not say where its images are", path.display()))
    }
}
