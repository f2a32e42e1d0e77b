//! From an ONNX file and calibration images to a fixed-point program and its weights.

use std::path::Path;

use fusion_model::calibrate::calibrate;
use fusion_model::graph::Graph;
use fusion_model::onnx;
use fusion_model::plan::{PlanOptions, plan};
use fusion_model::preprocess::Preprocess;
use fusion_model::program::{Program, Weights};

use crate::error::Error;
use crate::images::Sample;

/// How to read a float model and quantise it.
#[derive(Debug, Clone)]
pub struct QuantiseSettings {
    /// From pixels to the input tensor.
    pub preprocess: Preprocess,
    /// Window width h of activations, bits.
    pub window: u32,
    /// Bits of a weight, sign included.
    pub weight_bits: u32,
    /// How far beyond the calibration images values may go.
    pub margin: f64,
    /// Calibration images used, at most.
    pub calibration_images: usize,
}

impl QuantiseSettings {
    /// The defaults, which keep ResNet50's labels.
    #[must_use]
    pub fn new(preprocess: Preprocess) -> Self {
        Self { preprocess, window: 13, weight_bits: 12, margin: 1.3, calibration_images: 16 }
    }
}

/// A float network with its plan.
pub struct Quantised {
    /// The simplified float graph.
    pub graph: Graph,
    /// The public program.
    pub program: Program,
    /// Its weights.
    pub weights: Weights,
    /// How images become tensors.
    pub preprocess: Preprocess,
}

/// Imports, calibrates and plans the network of an ONNX file held in memory; `name` is for
/// messages.
///
/// # Errors
/// An operator that is not supported (named), images that cannot be read, a layer that does not
/// fit.
pub fn quantise(onnx_bytes: &[u8], name: &str, settings: &QuantiseSettings, calibration: &[Sample]) -> Result<Quantised, Error> {
    let graph = onnx::import(onnx_bytes).map_err(|cause| Error::Import { name: name.to_owned(), cause })?;
    let images = calibration.iter().take(settings.calibration_images);
    let images = images.map(|s| s.tensor(&settings.preprocess)).collect::<Result<Vec<_>, _>>()?;
    let ranges = calibrate(&graph, &images)?;
    let options = PlanOptions { window_bits: settings.window, weight_bits: settings.weight_bits, margin: settings.margin };
    let (program, weights) = plan(&graph, &ranges, &options)?;
    Ok(Quantised { graph, program, weights, preprocess: settings.preprocess.clone() })
}

/// Reads the model file and quantises it.
///
/// # Errors
/// As [`quantise`], and if the file cannot be read.
pub fn quantise_file(model: &Path, settings: &QuantiseSettings, calibration: &[Sample]) -> Result<Quantised, Error> {
    let bytes = std::fs::read(model).map_err(Error::file(model))?;
    quantise(&bytes, &model.display().to_string(), settings, calibration)
}
