//! The served package: prepared once per model, options and version of the crates that decide its
//! content.

use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result};
use fusion::model::card::Claim;
use fusion::{PackageSettings, QuantiseSettings, SystemClock, prepare, quantise, silent};
use fusion_ring::symmetric::digest::Hasher;
use rand::SeedableRng;
use rand::rngs::SysRng;
use rand_chacha::ChaCha20Rng;

use super::machine;
use super::photos::{Model, Photos};

/// Top-1 accuracy of the published ResNet50 on ImageNet's validation set, from a single centre
/// crop.
pub(crate) const CLAIMED_ACCURACY: f64 = 0.747;

/// A package on disk.
pub(crate) struct Prepared {
    /// Its directory.
    pub(crate) path: PathBuf,
    /// Seconds that it took, or `None` if it was there.
    pub(crate) seconds: Option<f64>,
}

/// Finds the package in `cache` or prepares it.
///
/// # Errors
/// A model that cannot be quantised, a disk that refuses.
pub(crate) fn obtain(model: &Model, synthetic: bool, options: &QuantiseSettings, photos: &Photos, cache: &Path) -> Result<Prepared> {
    let path = cache.join(format!("{}.fusion", key(model, options, photos)));
    if path.is_dir() {
        return Ok(Prepared { path, seconds: None });
    }
    eprintln!("Calibrating on {} photos and preparing the package (once) ...", photos.calibration.len());
    let start = Instant::now();
    std::fs::create_dir_all(cache).with_context(|| format!("cannot create {}", cache.display()))?;
    let quantised = quantise(&model.bytes, "ResNet50", options, &photos.calibration)?;
    let claim = (!synthetic).then(|| Claim { top1: CLAIMED_ACCURACY, dataset: "ImageNet validation".to_owned() });
    let name = if synthetic { "ResNet50 (SYNTHETIC weights)" } else { "ResNet50" };
    let mut rng = ChaCha20Rng::try_from_rng(&mut SysRng).context("no randomness from the operating system")?;
    let settings = PackageSettings { name: name.to_owned(), claim, labels: Vec::new(), logits_bits: 0 };
    prepare(&path, quantised, settings, &SystemClock::new(), &mut rng, &mut silent)?;
    Ok(Prepared { path, seconds: Some(start.elapsed().as_secs_f64()) })
}

/// What the package's content depends on. The state of the crates is that of their committed trees:
/// whoever changes them without committing removes the cache.
fn key(model: &Model, options: &QuantiseSettings, photos: &Photos) -> String {
    let mut hash = Hasher::default();
    hash.update(model.digest.as_bytes());
    hash.update(format!("{options:?}").as_bytes());
    photos.calibration.iter().for_each(|p| hash.update(p.name.as_bytes()));
    hash.update(photos.source.as_bytes());
    for tree in ["HEAD:crates/fusion-model", "HEAD:crates/fusion-rlwe", "HEAD:crates/fusion-ring/src/poly"] {
        hash.update(machine::git(&crate::checkout::root(), &["rev-parse", tree]).unwrap_or_default().as_bytes());
    }
    hash.finish().to_string()[..16].to_owned()
}
