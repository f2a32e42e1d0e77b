//! The photos of a run and what the float model says of them.

use std::path::Path;

use anyhow::{Context, Result, bail};
use fusion::images::{self, Sample};
use fusion_model::preprocess::Preprocess;
use fusion_ring::symmetric::digest::Hasher;

use crate::model::{Model, float_label};
use crate::pictures;

/// Pixels each way of the pictures that stand in for photos.
const SIDE: u32 = 224;

/// The photos of a run.
pub(crate) struct Photos {
    /// Those that are classified.
    pub(crate) queries: Vec<Sample>,
    /// Those that the plan is calibrated on: others, if there are enough.
    pub(crate) calibration: Vec<Sample>,
    /// Where they come from, for the report.
    pub(crate) source: String,
    /// True if they are no photos: labels then mean little.
    pub(crate) synthetic: bool,
}

/// The first `samples` images of `folder` by name, and the last `calibration` ones. Without a
/// folder: made-up pictures, kept in `cache`.
///
/// # Errors
/// A folder that cannot be read or has too few images.
pub(crate) fn find(folder: Option<&Path>, samples: usize, calibration: usize, cache: &Path) -> Result<Photos> {
    let (path, synthetic) = match folder {
        Some(folder) => (folder.to_owned(), false),
        None => (pictures::folder(cache, SIDE)?, true),
    };
    let mut all = images::folder(&path)?;
    if synthetic && all.len() < samples {
        // Pictures that mean nothing may come twice.
        all = all.iter().cycle().take(samples).cloned().collect();
    }
    if all.len() < samples {
        bail!("{} has {} images, --samples wants {samples}", path.display(), all.len());
    }
    let calibration = all[all.len().saturating_sub(calibration)..].to_vec();
    all.truncate(samples);
    let source = if synthetic { "SYNTHETIC pictures (no --images given)".to_owned() } else { path.display().to_string() };
    Ok(Photos { queries: all, calibration, source, synthetic })
}

/// The float model's labels, kept in `cache` by the digests of model and tensor: a plain evaluation
/// takes seconds per photo.
///
/// # Errors
/// Images that cannot be read, a cache that cannot be written.
pub(crate) fn float_labels(model: &Model, photos: &[Sample], recipe: &Preprocess, cache: &Path) -> Result<Vec<u32>> {
    let folder = cache.join("float-labels");
    std::fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
    photos
        .iter()
        .map(|photo| {
            let tensor = photo.tensor(recipe)?;
            let mut hash = Hasher::default();
            hash.update(model.digest.as_bytes());
            tensor.iter().for_each(|v| hash.update(&v.to_le_bytes()));
            let path = folder.join(hash.finish().to_string());
            if let Some(label) = std::fs::read_to_string(&path).ok().and_then(|text| text.trim().parse().ok()) {
                return Ok(label);
            }
            let label = float_label(&model.graph()?, &tensor)?;
            std::fs::write(&path, label.to_string()).with_context(|| format!("cannot write {}", path.display()))?;
            Ok(label)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn made_up_pictures_are_marked_and_enough() {
        let cache = tempfile::tempdir().unwrap();
        let photos = find(None, 40, 8, cache.path()).unwrap();
        assert!(photos.synthetic && photos.source.contains("SYNTHETIC"));
        assert_eq!((photos.queries.len(), photos.calibration.len()), (40, 8));
        let few = find(Some(&cache.path().join("pictures-224")), 33, 8, cache.path());
        assert!(format!("{:#}", few.err().unwrap()).contains("has 32 images"));
    }
}
