//! The report on a batch: data, words and page.

use std::path::PathBuf;

use fusion::mix::verify::RevealRejected;
use fusion::{Outcome, mix};
use fusion_cli::{outcome, report_text};
use pyo3::prelude::*;

use crate::calls::{Patience, call};
use crate::faults::Fault;
use crate::images::Images;

/// What a batch has shown.
#[pyclass(module = "fusion._fusion", frozen)]
pub(crate) struct Report {
    report: mix::report::Report,
    json: String,
}

impl Report {
    pub(crate) fn of(outcome: Outcome) -> Result<Self, Fault> {
        let json = outcome.to_json().map_err(|error| Fault::input(format!("a report that is no JSON: {error}")))?;
        Ok(Self { report: outcome.report, json: json.to_string() })
    }
}

#[pymethods]
impl Report {
    /// Everything, as a JSON object.
    fn json(&self) -> &str {
        &self.json
    }

    /// The text that the command line prints.
    fn text(&self) -> String {
        report_text(&self.report)
    }

    /// A page, with small pictures of the queries if they are given.
    #[pyo3(signature = (queries=None))]
    fn html(&self, py: Python<'_>, queries: Option<&Images>) -> String {
        let samples = queries.map(|queries| queries.samples.clone()).unwrap_or_default();
        py.detach(|| outcome::html(&self.report, &samples))
    }
}

/// The report on a run, from its journal alone.
#[pyfunction]
pub(crate) fn judge(py: Python<'_>, run: PathBuf, show_rejected_answers: bool) -> PyResult<Report> {
    call(py, py.None().bind(py), Patience::Moment, move |_| {
        let report = fusion::verify(&run, show_rejected_answers.then_some(RevealRejected))?;
        Ok(Report { json: report.to_json().to_string(), report })
    })
}
