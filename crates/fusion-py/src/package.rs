//! From an ONNX file to a package that can be served.

use std::path::PathBuf;

use fusion::images::Sample;
use fusion::{PackageSettings, QuantiseSettings, Quantised, SystemClock, prepare as write_package, quantise, quantise_file};
use pyo3::prelude::*;
use serde_json::json;

use crate::calls::{Patience, call};
use crate::faults::Fault;
use crate::images::Images;
use crate::settings::{PackageKeywords, QuantiseKeywords, fresh_rng, read};

/// Images of the calibration on which it is measured how often copies disagree, at most.
const MEASURED_IMAGES: usize = 32;

/// A float network: a file, or its bytes.
#[derive(FromPyObject)]
pub(crate) enum Model {
    /// The bytes of a file that has no others beside it.
    Bytes(Vec<u8>),
    /// A file, and the weights that it may keep beside it.
    File(PathBuf),
}

impl Model {
    pub(crate) fn quantised(self, settings: &QuantiseSettings, calibration: &[Sample]) -> Result<Quantised, Fault> {
        Ok(match self {
            Self::Bytes(bytes) => quantise(&bytes, "the model", settings, calibration)?,
            Self::File(path) => quantise_file(&path, settings, calibration)?,
        })
    }
}

/// Writes the package `out`; returns what it is, as a JSON object.
#[pyfunction]
#[expect(clippy::too_many_arguments, reason = "called by the package alone, which names them")]
pub(crate) fn prepare(
    py: Python<'_>,
    model: Model,
    calibration: &Images,
    answers: &Images,
    quantise_keywords: &str,
    package_keywords: &str,
    out: PathBuf,
    on_event: &Bound<'_, PyAny>,
) -> PyResult<String> {
    let settings = read::<QuantiseKeywords>(quantise_keywords).and_then(QuantiseKeywords::settings);
    let prepared = settings.and_then(|settings| Ok((settings, read::<PackageKeywords>(package_keywords)?)));
    let (settings, keywords) = prepared.map_err(|fault| fault.raise(py))?;
    let (calibration, answers) = (calibration.samples.clone(), answers.samples.clone());
    call(py, on_event, Patience::Moment, move |events| {
        let claim = keywords.claim()?;
        let quantised = model.quantised(&settings, &calibration)?;
        let (preview, frontier) = (quantised.preview, quantised.frontier.clone());
        let measured_on = if answers.is_empty() { calibration.into_iter().take(MEASURED_IMAGES).collect() } else { Vec::new() };
        let PackageKeywords { name, labels, logits_bits, .. } = keywords;
        let package = PackageSettings { name, claim, labels, logits_bits, answers, measured_on };
        let prepared =
            write_package(&out, quantised, package, &SystemClock::new(), &mut fresh_rng()?, events).map_err(Fault::of_package)?;
        let mut value = serde_json::to_value(&prepared).map_err(Fault::input)?;
        value["frontier"] = serde_json::to_value(&frontier).map_err(Fault::input)?;
        value["preview"] = json!({
            "images": preview.images,
            "most_frequent": preview.most_frequent,
            "labelled": preview.labelled,
            "right": preview.right,
            "nearly_constant": preview.is_nearly_constant(),
        });
        Ok(value.to_string())
    })
}
