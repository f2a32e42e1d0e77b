//! From an ONNX file and calibration images to a fixed-point program and its weights.

mod preview;
mod search;
mod tolerance;

use std::path::Path;

use fusion_model::calibrate::calibrate;
use fusion_model::graph::Graph;
use fusion_model::onnx::{self, ImportOptions};
use fusion_model::plan::{PlanOptions, plan};
use fusion_model::preprocess::Preprocess;
use fusion_model::program::{Program, Weights};

use crate::error::Error;
use crate::images::{Sample, check_labels};

pub use preview::Preview;
pub use search::{FRONTIER_MBIT, FrontierPoint};
pub use tolerance::Tolerance;

/// Images beyond those of calibration on which a search checks its plan, at most.
const HELD_OUT: usize = 32;

/// How the widths of windows and weights are chosen.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Widths {
    /// The same everywhere.
    Uniform {
        /// Window width h of activations, bits.
        window: u32,
        /// Bits of a weight, sign included.
        weight_bits: u32,
        /// Bits that comparisons of ReLUs leave out: exact with one.
        left_out: u32,
    },
    /// Place by place, as cheap as a tolerance allows.
    Search(Tolerance),
}

impl Default for Widths {
    /// Those of [`PlanOptions`].
    fn default() -> Self {
        let PlanOptions { window_bits, weight_bits, left_out, .. } = PlanOptions::default();
        Self::Uniform { window: window_bits, weight_bits, left_out }
    }
}

/// What of a recipe follows the square that the network reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fit {
    /// Nothing: it is as it is stated.
    No,
    /// The crop.
    Crop,
    /// The crop; and a short side keeps its proportion to it.
    CropAndResize,
}

/// How to read a float model and quantise it.
#[derive(Debug, Clone)]
pub struct QuantiseSettings {
    /// The shape of an image in the order of the file, where the file leaves it open.
    pub input_shape: Option<Vec<usize>>,
    /// The output with the class scores, where the file has several.
    pub output: Option<String>,
    /// From pixels to the input tensor.
    pub preprocess: Preprocess,
    /// What of it follows the network's input.
    pub fit: Fit,
    /// Widths of windows and weights.
    pub widths: Widths,
    /// How far beyond the calibration images values may go.
    pub margin: f64,
    /// Calibration images used, at most.
    pub calibration_images: usize,
}

impl QuantiseSettings {
    /// The defaults: a recipe that is fitted to the network, the widths of [`PlanOptions`]
    /// everywhere, 16 images, margin 1.3.
    #[must_use]
    pub fn new(preprocess: Preprocess) -> Self {
        let (input_shape, output) = (None, None);
        Self { input_shape, output, preprocess, fit: Fit::CropAndResize, widths: Widths::default(), margin: 1.3, calibration_images: 16 }
    }
}

impl QuantiseSettings {
    /// The recipe for the network of `graph`.
    fn recipe(&self, graph: &Graph) -> Preprocess {
        let shape = graph.input_shape();
        let side = u32::try_from(shape.height).ok().filter(|side| shape.height == shape.width && *side != self.preprocess.crop);
        let recipe = self.preprocess.clone();
        match (self.fit, side) {
            (Fit::No, _) | (_, None) => recipe,
            (Fit::Crop, Some(crop)) => Preprocess { crop, ..recipe },
            (Fit::CropAndResize, Some(side)) => recipe.for_side(side),
        }
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
    /// What a search found, by bytes; empty where none was asked for.
    pub frontier: Vec<FrontierPoint>,
    /// What the float network says of the images that it was calibrated on.
    pub preview: Preview,
}

/// Imports, calibrates and plans the network of an ONNX file held in memory; `name` is for
/// messages. The first of the `calibration` images are calibrated on; a search for widths checks
/// its plan on some of the others, too.
///
/// # Errors
/// An operator that is not supported (named), images that cannot be read, labels beyond the
/// classes, a layer that does not fit, a tolerance that no plan meets.
pub fn quantise(onnx_bytes: &[u8], name: &str, settings: &QuantiseSettings, calibration: &[Sample]) -> Result<Quantised, Error> {
    quantise_beside(onnx_bytes, name, None, settings, calibration)
}

/// [`quantise`] with the folder in which the model may keep its weights.
fn quantise_beside(
    onnx_bytes: &[u8],
    name: &str,
    folder: Option<&Path>,
    settings: &QuantiseSettings,
    calibration: &[Sample],
) -> Result<Quantised, Error> {
    let options = ImportOptions { folder, input_shape: settings.input_shape.clone(), output: settings.output.clone() };
    let graph = onnx::import_with(onnx_bytes, &options).map_err(|cause| Error::Import { name: name.to_owned(), cause })?;
    check_labels(calibration.iter(), graph.node(graph.output).shape.channels)?;
    let preprocess = settings.recipe(&graph);
    let tensors = |samples: &[Sample]| samples.iter().map(|s| s.tensor(&preprocess)).collect::<Result<Vec<_>, _>>();
    let (fitted, rest) = calibration.split_at(calibration.len().min(settings.calibration_images));
    let mut images = tensors(fitted)?;
    let ranges = calibrate(&graph, &images)?;
    let preview = Preview::of(&graph, fitted, &images)?;
    match settings.widths {
        Widths::Uniform { window, weight_bits, left_out } => {
            let options = PlanOptions { window_bits: window, weight_bits, left_out, margin: settings.margin };
            let (program, weights) = plan(&graph, &ranges, &options)?;
            Ok(Quantised { graph, program, weights, preprocess, frontier: Vec::new(), preview })
        }
        Widths::Search(tolerance) => {
            images.extend(tensors(&rest[..rest.len().min(HELD_OUT)])?);
            let found = search::search(&graph, &ranges, settings.margin, &images, tolerance)?;
            let (program, weights, frontier) = (found.program, found.weights, found.frontier);
            Ok(Quantised { graph, program, weights, preprocess, frontier, preview })
        }
    }
}

/// Reads the model file, and weights that it keeps in files beside it, and quantises it.
///
/// # Errors
/// As [`quantise`], and if the file cannot be read.
pub fn quantise_file(model: &Path, settings: &QuantiseSettings, calibration: &[Sample]) -> Result<Quantised, Error> {
    let bytes = std::fs::read(model).map_err(Error::file(model))?;
    // The parent of a bare name is the empty path, which joins to the name.
    quantise_beside(&bytes, &model.display().to_string(), model.parent(), settings, calibration)
}
