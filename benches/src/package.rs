//! The served package: prepared once per model, options and version of the crates that decide its
//! content.

use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result};
use fusion::images::Sample;
use fusion::model::card::Claim;
use fusion::{PackageSettings, QuantiseSettings, SystemClock, prepare, quantise, silent};
use fusion_ring::symmetric::digest::Hasher;
use rand::SeedableRng;
use rand::rngs::SysRng;
use rand_chacha::ChaCha20Rng;

use crate::machine;
use crate::model::Model;

/// A package on disk.
pub(crate) struct Prepared {
    /// Its directory.
    pub(crate) path: PathBuf,
    /// Seconds that it took, or `None` if it was there.
    pub(crate) seconds: Option<f64>,
}

/// What a package is made of.
pub(crate) struct Ingredients<'a> {
    /// The network.
    pub(crate) model: &'a Model,
    /// Its name on the card.
    pub(crate) name: &'a str,
    /// What the card claims.
    pub(crate) claim: Option<Claim>,
    /// How it is quantised.
    pub(crate) options: &'a QuantiseSettings,
    /// The images that it is calibrated on.
    pub(crate) calibration: &'a [Sample],
    /// Where those come from.
    pub(crate) source: &'a str,
}

/// Finds the package in `cache` or prepares it.
///
/// # Errors
/// A model that cannot be quantised, a disk that refuses.
pub(crate) fn obtain(of: Ingredients<'_>, cache: &Path) -> Result<Prepared> {
    let path = cache.join(format!("{}.fusion", key(&of)));
    if path.is_dir() {
        return Ok(Prepared { path, seconds: None });
    }
    eprintln!("{}: calibrating on {} images and preparing the package (once) ...", of.name, of.calibration.len());
    let start = Instant::now();
    std::fs::create_dir_all(cache).with_context(|| format!("cannot create {}", cache.display()))?;
    let quantised = quantise(&of.model.bytes, of.name, of.options, of.calibration)?;
    let mut rng = ChaCha20Rng::try_from_rng(&mut SysRng).context("no randomness from the operating system")?;
    let settings = PackageSettings { name: of.name.to_owned(), claim: of.claim, ..PackageSettings::default() };
    prepare(&path, quantised, settings, &SystemClock::new(), &mut rng, &mut silent)?;
    Ok(Prepared { path, seconds: Some(start.elapsed().as_secs_f64()) })
}

/// What the package's content depends on. The state of the crates is that of their committed trees:
/// whoever changes them without committing removes the cache.
fn key(of: &Ingredients<'_>) -> String {
    let mut hash = Hasher::default();
    hash.update(of.model.digest.as_bytes());
    hash.update(format!("{:?}", of.options).as_bytes());
    of.calibration.iter().for_each(|p| hash.update(p.name.as_bytes()));
    hash.update(of.source.as_bytes());
    for tree in ["HEAD:crates/fusion-model", "HEAD:crates/fusion-rlwe", "HEAD:crates/fusion-ring/src/poly"] {
        hash.update(machine::git(&crate::checkout::root(), &["rev-parse", tree]).unwrap_or_default().as_bytes());
    }
    hash.finish().to_string()[..16].to_owned()
}
