//! The photos of a run and what the float model says of them.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use fusion::images::{self, Sample};
use fusion_model::graph::Graph;
use fusion_model::preprocess::Preprocess;
use fusion_model::{float, onnx};
use fusion_ring::symmetric::digest::{Digest, Hasher};
use image::{Rgb, RgbImage};
use rand::RngExt;
use rand::SeedableRng;
use rand_chacha::ChaCha20Rng;

/// How many pictures stand in for photos if there are none.
const MADE_UP: u64 = 32;

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
        None => (made_up(cache)?, true),
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

/// Smooth random colour fields, seeded.
fn made_up(cache: &Path) -> Result<PathBuf> {
    let folder = cache.join("pictures");
    std::fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
    for number in 0..MADE_UP {
        let path = folder.join(format!("{number:04}.png"));
        if !path.is_file() {
            picture(number).save(&path).with_context(|| format!("cannot write {}", path.display()))?;
        }
    }
    Ok(folder)
}

fn picture(number: u64) -> RgbImage {
    let mut rng = ChaCha20Rng::seed_from_u64(number);
    let mut wave = || -> [f32; 4] {
        [
            rng.random_range(-0.12..0.12),
            rng.random_range(-0.12..0.12),
            rng.random_range(0.0..std::f32::consts::TAU),
            rng.random_range(5.0..30.0),
        ]
    };
    let waves: Vec<[[f32; 4]; 6]> = (0..3).map(|_| std::array::from_fn(|_| wave())).collect();
    RgbImage::from_fn(224, 224, |x, y| {
        Rgb(std::array::from_fn(|c| {
            let sum: f32 = waves[c].iter().map(|[u, v, phase, size]| size * (u * x as f32 + v * y as f32 + phase).cos()).sum();
            (128.0 + sum).clamp(0.0, 255.0) as u8
        }))
    })
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
            let label = float::argmax(&float::evaluate(&model.graph()?, &tensor)?) as u32;
            std::fs::write(&path, label.to_string()).with_context(|| format!("cannot write {}", path.display()))?;
            Ok(label)
        })
        .collect()
}

/// An ONNX file in memory.
pub(crate) struct Model {
    /// Its bytes.
    pub(crate) bytes: Vec<u8>,
    /// SHA3-256 of them, in hexadecimal.
    pub(crate) digest: String,
}

impl Model {
    /// Reads the file.
    ///
    /// # Errors
    /// If it cannot be read.
    pub(crate) fn read(path: &Path) -> Result<Self> {
        let bytes = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
        let digest = Digest::of(&bytes).to_string();
        Ok(Self { bytes, digest })
    }

    fn graph(&self) -> Result<Graph> {
        onnx::import(&self.bytes).context("cannot import the model")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn made_up_pictures_are_seeded_varied_and_enough() {
        assert_eq!(picture(3), picture(3));
        assert_ne!(picture(3), picture(4));
        let values: std::collections::BTreeSet<u8> = picture(0).into_raw().into_iter().collect();
        assert!(values.len() > 100, "{} values", values.len());
        let cache = tempfile::tempdir().unwrap();
        let photos = find(None, 40, 8, cache.path()).unwrap();
        assert!(photos.synthetic && photos.source.contains("SYNTHETIC"));
        assert_eq!((photos.queries.len(), photos.calibration.len()), (40, 8));
        let few = find(Some(&cache.path().join("pictures")), 33, 8, cache.path());
        assert!(format!("{:#}", few.err().unwrap()).contains("has 32 images"));
    }
}
