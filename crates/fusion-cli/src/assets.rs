//! The demo's models and digits, compiled in, so that `fusion demo` needs no file and no network.
//!
//! Origin, licence, split and training recipe: `assets/mnist/README.md`.

use fusion::images::{self, ImageError, Sample};
use fusion::model::preprocess::Preprocess;
use fusion::{QuantiseSettings, Widths};

/// ONNX file of the digit classifier.
pub const MNIST_MODEL: &[u8] = include_bytes!("../assets/mnist/mnist.onnx");
/// ONNX file of a network of the same architecture and clearly lower accuracy: what the demo's
/// low-quality server serves instead.
pub const MNIST_LOW_MODEL: &[u8] = include_bytes!("../assets/mnist/mnist-low.onnx");
/// Fraction of the 620 held-out digits that [`MNIST_MODEL`] gets right in floating point, as the
/// training script measured it.
pub const MNIST_ACCURACY: f64 = 0.9887;

/// How the demo quantises digits: a small network needs no more.
#[must_use]
pub fn mnist_quantise() -> QuantiseSettings {
    let widths = Widths::Uniform { window: 13, weight_bits: 10, left_out: 1 };
    QuantiseSettings { widths, margin: 1.5, calibration_images: 64, ..QuantiseSettings::new(Preprocess::mnist()) }
}

const POOL_SHEET: &[u8] = include_bytes!("../assets/mnist/pool.png");
const POOL_LABELS: &str = include_str!("../assets/mnist/pool.csv");

/// Side of a digit, in pixels.
const DIGIT_SIDE: u32 = 28;

/// The public pool: digits with true labels that no training run has seen.
///
/// # Errors
/// None, unless the files were replaced by unsuitable ones before the build.
pub fn mnist_pool() -> Result<Vec<Sample>, ImageError> {
    images::sheet(POOL_SHEET, POOL_LABELS, DIGIT_SIDE, "pool")
}
