//! An ONNX file in memory, and what it says in floating point.

use std::path::Path;

use anyhow::{Context, Result};
use fusion_model::graph::Graph;
use fusion_model::{float, onnx};
use fusion_ring::symmetric::digest::Digest;

/// An ONNX file in memory.
pub(crate) struct Model {
    /// Its bytes.
    pub(crate) bytes: Vec<u8>,
    /// SHA3-256 of them, in hexadecimal.
    pub(crate) digest: String,
}

impl Model {
    /// The file with this content.
    pub(crate) fn new(bytes: Vec<u8>) -> Self {
        let digest = Digest::of(&bytes).to_string();
        Self { bytes, digest }
    }

    /// Reads the file.
    ///
    /// # Errors
    /// If it cannot be read.
    pub(crate) fn read(path: &Path) -> Result<Self> {
        Ok(Self::new(std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?))
    }

    /// The network.
    ///
    /// # Errors
    /// An operator that is not imported.
    pub(crate) fn graph(&self) -> Result<Graph> {
        onnx::import(&self.bytes).context("cannot import the model")
    }
}

/// The float network's label of an image.
///
/// # Errors
/// A tensor that is not the network's input.
pub(crate) fn float_label(graph: &Graph, tensor: &[f32]) -> Result<u32> {
    Ok(float::argmax(&float::evaluate(graph, tensor)?) as u32)
}
