//! A plan beside the float network, as `fusion eval` has it.

use std::collections::BTreeMap;

use fusion::model::eval::{LabelFlips, evaluate as compare};
use fusion::nn::cost::predict;
use fusion::nn::layers::LaneTerms;
use fusion::{Event, images::Sample};
use pyo3::prelude::*;

use crate::calls::{Patience, call};
use crate::faults::Fault;
use crate::images::Images;
use crate::package::Model;
use crate::settings::{QuantiseKeywords, read};
use crate::twin::seed_of;

/// Samples of a lane for which the cost is predicted.
const LANE_SAMPLES: usize = 8;

/// Compares the fixed-point network with the float one on `images`, the first of which it is
/// calibrated on; returns a JSON object.
#[pyfunction]
pub(crate) fn evaluate(
    py: Python<'_>,
    model: Model,
    images: &Images,
    keywords: &str,
    seed: Option<u64>,
    on_event: &Bound<'_, PyAny>,
) -> PyResult<String> {
    let settings = read::<QuantiseKeywords>(keywords).and_then(QuantiseKeywords::settings).map_err(|fault| fault.raise(py))?;
    let samples: Vec<Sample> = images.samples.clone();
    call(py, on_event, Patience::Moment, move |events| {
        let quantised = model.quantised(&settings, &samples)?;
        let tensors = samples.iter().map(|sample| sample.tensor(&quantised.preprocess)).collect::<Result<Vec<_>, _>>()?;
        let truth: Option<Vec<usize>> = samples.iter().map(|sample| sample.label.map(|label| label as usize)).collect();
        let (graph, program, weights) = (&quantised.graph, &quantised.program, &quantised.weights);
        let report = compare(graph, program, weights, &tensors, truth.as_deref(), seed_of(seed)?, &|_| ())?;
        events(Event::Answers { done: tensors.len(), total: tensors.len() });
        // Another seed than the first run's.
        let again = seed_of(seed.map(|seed| seed.wrapping_add(1)))?;
        let flips = LabelFlips::measure(program, weights, &tensors, &report.twin_labels, again)?;
        let cost = predict(program, LANE_SAMPLES, LaneTerms::LONG_LINK)?;
        let differing: BTreeMap<usize, usize> = report.disagreements.iter().map(|found| (found.image, found.float_label)).collect();
        let float_label = |(image, twin): (usize, &usize)| *differing.get(&image).unwrap_or(twin);
        let float_labels: Vec<usize> = report.twin_labels.iter().enumerate().map(float_label).collect();
        let mut value = serde_json::to_value(&report).map_err(Fault::input)?;
        value["twin_labels"] = report.twin_labels.into();
        value["float_labels"] = float_labels.into();
        value["flip_rate"] = flips.rate().into();
        value["bytes_per_sample"] = cost.bytes_per_sample().into();
        value["hint_bytes"] = cost.hint_bytes().into();
        value["frontier"] = serde_json::to_value(&quantised.frontier).map_err(Fault::input)?;
        Ok(value.to_string())
    })
}
