//! From an ONNX file and calibration images to a fixed-point program and its weights.

use std::path::Path;

use anyhow::{Context, Result, anyhow};
use fusion_model::calibrate::calibrate;
use fusion_model::graph::Graph;
use fusion_model::onnx;
use fusion_model::plan::{PlanOptions, plan};
use fusion_model::preprocess::Preprocess;
use fusion_model::program::{Program, Weights};

use crate::cli::QuantiseArgs;
use crate::samples::Sample;

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

impl QuantiseArgs {
    /// The recipe for images.
    ///
    /// # Errors
    /// An unknown preset.
    pub fn recipe(&self) -> Result<Preprocess> {
        Preprocess::preset(&self.preprocess)
            .ok_or_else(|| anyhow!("there is no preprocessing {}: choose one of {}", self.preprocess, Preprocess::PRESETS.join(", ")))
    }

    fn options(&self) -> PlanOptions {
        // 27 bits is the widest ring that a modulus of 2^88 carries; narrower layers get narrower rings.
        PlanOptions { window_bits: self.window, weight_bits: self.weight_bits, margin: self.margin, max_ring_bits: 27 }
    }

    /// Imports, calibrates and plans.
    ///
    /// # Errors
    /// An operator that is not supported (named), images that cannot be read, a layer that does not fit.
    pub fn quantise(&self, onnx_bytes: &[u8], name: &str, calibration: &[Sample]) -> Result<Quantised> {
        let preprocess = self.recipe()?;
        let graph = onnx::import(onnx_bytes).with_context(|| format!("cannot import {name}"))?;
        let images = calibration.iter().take(self.calibration_images).map(|s| s.tensor(&preprocess)).collect::<Result<Vec<_>, _>>()?;
        let ranges = calibrate(&graph, &images)?;
        let (program, weights) = plan(&graph, &ranges, &self.options())?;
        Ok(Quantised { graph, program, weights, preprocess })
    }

    /// Reads the model file and quantises it.
    ///
    /// # Errors
    /// As [`QuantiseArgs::quantise`], and if the file cannot be read.
    pub fn quantise_file(&self, model: &Path, calibration: &[Sample]) -> Result<Quantised> {
        let bytes = std::fs::read(model).with_context(|| format!("cannot read {}", model.display()))?;
        self.quantise(&bytes, &model.display().to_string(), calibration)
    }
}
