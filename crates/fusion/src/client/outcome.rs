//! What a run leaves.

use fusion_mix::report::Report;
use serde_json::Value;

use crate::client::costs::Costs;

/// The outcome of a run: the report of `fusion-mix` beside time and bytes.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// Verdict, answers, evidence.
    pub report: Report,
    /// Time and bytes; of the lanes that this process ran.
    pub costs: Costs,
}

impl Outcome {
    /// The report as JSON with `bytes` and `seconds` added.
    ///
    /// # Errors
    /// Never for finite figures.
    pub fn to_json(&self) -> Result<Value, serde_json::Error> {
        let (bytes, seconds) = self.costs.to_json();
        let mut json = self.report.to_json();
        json["bytes"] = serde_json::to_value(bytes)?;
        json["seconds"] = serde_json::to_value(seconds)?;
        Ok(json)
    }
}
