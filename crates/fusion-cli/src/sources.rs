//! Where the images of a run come from: enough to read them again on resume, and to use them as
//! public samples of later runs.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use fusion::client::read_facts;
use fusion::images::{self, ImageError, LeftOut, Sample, check_labels};
use fusion::mix::pool::KnownFrom;
use fusion::mix::report::SkippedFile;
use fusion::{Client, Error, Inputs, MixSettings, PublicPool};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::assets;
use crate::diagnostics::note;

/// Sources of queries and public samples, as they stand in a run's `run.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Sources {
    /// Image files or folders of the queries.
    pub queries: Vec<PathBuf>,
    /// Where the public samples come from, if not from earlier runs alone.
    #[serde(default)]
    pub publics: Option<PublicSource>,
    /// Earlier runs whose answers are public samples.
    #[serde(default)]
    pub known_from: Vec<PathBuf>,
    /// The labels count as they are, although the model's owner may have published answers.
    #[serde(default)]
    pub as_labelled: Option<AsLabelled>,
}

/// What the labels of a list are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum AsLabelled {
    /// The truth.
    GroundTruth,
    /// The model's own answers, which somebody vouches for.
    Certified,
}

/// Source of public samples.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum PublicSource {
    /// The digits that come with the program.
    Mnist,
    /// A folder, and its labels if there are any.
    Folder {
        /// The images.
        images: PathBuf,
        /// CSV file of labels.
        labels: Option<PathBuf>,
    },
}

impl Sources {
    /// Lists the images to classify, and what lies beside them.
    ///
    /// # Errors
    /// A folder that cannot be read or has no images.
    pub(crate) fn queries(&self) -> Result<Inputs, ImageError> {
        let mut inputs = Inputs::from(Vec::new());
        for path in &self.queries {
            let found = images::listing(path)?;
            inputs.samples.extend(found.samples);
            inputs.skipped.extend(found.skipped.into_iter().map(|(file, reason)| SkippedFile { file, reason: reason.to_owned() }));
        }
        Ok(inputs)
    }

    /// Lists the public samples that do not come from earlier runs, and what was left out.
    ///
    /// # Errors
    /// A folder that cannot be read or has no images, a label file that does not fit.
    pub(crate) fn publics(&self) -> Result<(Vec<Sample>, Vec<LeftOut>), ImageError> {
        match &self.publics {
            None => Ok((Vec::new(), Vec::new())),
            Some(PublicSource::Mnist) => Ok((assets::mnist_pool()?, Vec::new())),
            Some(PublicSource::Folder { images, labels }) => {
                let found = images::listing(images)?;
                let found = match labels {
                    Some(labels) => found.with_labels(labels)?.only_labelled(),
                    None => found,
                };
                Ok((found.samples, found.skipped))
            }
        }
    }

    /// The pool of public samples, of which `publics` were listed before.
    ///
    /// # Errors
    /// Files that cannot be read; no published answers where labels are missing; an earlier run
    /// that was not accepted, or of another model.
    pub(crate) fn pool(&self, client: &Client, mix: &MixSettings, publics: Vec<Sample>) -> Result<PublicPool> {
        check_labels(publics.iter(), client.card().classes())?;
        let mut pool = match (&self.publics, self.as_labelled) {
            (None, _) => PublicPool::default(),
            (_, Some(AsLabelled::Certified)) => PublicPool::labelled(publics, KnownFrom::Certified)?,
            (Some(PublicSource::Mnist), _) | (_, Some(AsLabelled::GroundTruth)) => PublicPool::labelled(publics, KnownFrom::GroundTruth)?,
            (Some(PublicSource::Folder { labels, .. }), None) => match (client.answer_sheet()?, labels) {
                (Some(sheet), _) => {
                    let given = publics.len();
                    let pool = PublicPool::of_sheet(publics, &sheet)?;
                    let (images, undecided) = (sheet.images(), sheet.undecided());
                    note(format_args!(
                        "Answers:  published for {images} images, {undecided} of them undecided; {} of your {given} can be tested with",
                        pool.len()
                    ));
                    pool
                }
                (None, Some(_)) => PublicPool::labelled(publics, KnownFrom::GroundTruth)?,
                (None, None) => return Err(Error::NoAnswers.into()),
            },
        };
        for run in &self.known_from {
            let mut seen = BTreeSet::new();
            let candidates = images_of_run(run, &mut seen)?;
            pool = pool.with(client.earlier(mix, run, candidates)?)?;
        }
        Ok(pool)
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

/// All images that a run may have answered: its own, and those of the runs that it drew from.
fn images_of_run(path: &Path, seen: &mut BTreeSet<PathBuf>) -> Result<Vec<Sample>> {
    if !seen.insert(path.to_owned()) {
        return Ok(Vec::new());
    }
    let sources = Sources::of_run(path, read_facts(path).map_err(Error::from)?.inputs.source)?;
    let mut all = sources.queries()?.samples;
    all.extend(sources.publics()?.0);
    for run in &sources.known_from {
        all.extend(images_of_run(run, seen)?);
    }
    Ok(all)
}
