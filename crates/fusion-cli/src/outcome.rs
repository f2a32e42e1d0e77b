//! What a query run leaves: the report of `fusion-mix` beside time and bytes, in the shape that `--json` prints.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result};
use fusion_mix::report::Report;
use fusion_mix::verify::Verdict;
use fusion_nn::layers::{Ledger, Phase};
use serde::Serialize;

use crate::lanes::LaneResult;
use crate::report::report_html;

/// Exit code of a rejected batch.
pub const EXIT_REJECTED: u8 = 3;
/// Exit code of an incomplete batch.
pub const EXIT_INCOMPLETE: u8 = 4;

/// Time and bytes of all lanes of one run, by phase and by step.
#[derive(Debug, Clone, Default)]
pub struct Costs {
    total: Ledger,
    steps: Vec<(String, Ledger)>,
    noise: f64,
    /// Seconds of the whole run, lanes side by side.
    pub wall_seconds: f64,
    /// Seconds before the first lane: description, hint, plan, images.
    pub setup_seconds: f64,
    /// Samples run.
    pub samples: usize,
}

impl Costs {
    /// Adds a finished lane.
    pub fn add(&mut self, lane: &LaneResult) {
        for (index, cost) in lane.costs.iter().enumerate() {
            self.total += cost.ledger;
            match self.steps.get_mut(index) {
                Some((_, sum)) => *sum += cost.ledger,
                None => self.steps.push((cost.name.clone(), cost.ledger)),
            }
        }
        self.noise = self.noise.max(lane.noise);
        self.samples += lane.slice.len();
    }

    /// Bytes of all lanes, from the client to the server and back.
    #[must_use]
    pub fn bytes(&self) -> (u64, u64) {
        let traffic = self.total.total().traffic;
        (traffic.sent, traffic.received)
    }

    /// What each step cost, summed over lanes.
    #[must_use]
    pub fn steps(&self) -> &[(String, Ledger)] {
        &self.steps
    }

    /// What each phase cost, summed over lanes.
    #[must_use]
    pub fn phases(&self) -> &Ledger {
        &self.total
    }

    /// Largest decryption noise met, as a share of Delta.
    #[must_use]
    pub fn noise(&self) -> f64 {
        self.noise
    }

    /// The JSON objects `bytes` and `seconds`.
    #[must_use]
    pub fn to_json(&self) -> (BytesJson, SecondsJson) {
        let by = |value: fn(&Ledger, Phase) -> f64| Phase::ALL.iter().map(|&p| (p.name(), value(&self.total, p))).collect();
        let (sent, received) = self.bytes();
        let bytes = BytesJson {
            client_to_server: sent,
            server_to_client: received,
            by_phase: Phase::ALL.iter().map(|&p| (p.name(), self.total.get(p).traffic.total())).collect(),
        };
        let seconds = SecondsJson {
            total: self.setup_seconds + self.wall_seconds,
            setup: self.setup_seconds,
            lanes: self.wall_seconds,
            by_phase: by(|ledger, phase| ledger.get(phase).time.as_secs_f64()),
        };
        (bytes, seconds)
    }

    /// A table of phases.
    #[must_use]
    pub fn phase_table(&self) -> comfy_table::Table {
        let mut table = plain_table(&["phase", "seconds (sum over lanes)", "to server", "to client", "rounds"]);
        for phase in Phase::ALL {
            let cost = self.total.get(phase);
            table.add_row(cost_row(phase.name(), &cost));
        }
        table.add_row(cost_row("total", &self.total.total()));
        table
    }

    /// A table of steps.
    #[must_use]
    pub fn step_table(&self) -> comfy_table::Table {
        let mut table = plain_table(&["step", "seconds (sum over lanes)", "to server", "to client", "rounds"]);
        for (name, ledger) in &self.steps {
            table.add_row(cost_row(name, &ledger.total()));
        }
        table
    }
}

fn cost_row(name: &str, cost: &fusion_nn::layers::PhaseCost) -> Vec<String> {
    vec![
        name.to_owned(),
        format!("{:.2}", cost.time.as_secs_f64()),
        human_bytes(cost.traffic.sent),
        human_bytes(cost.traffic.received),
        cost.traffic.turns.to_string(),
    ]
}

/// A table without frills, for terminals and logs alike.
#[must_use]
pub fn plain_table(headings: &[&str]) -> comfy_table::Table {
    let mut table = comfy_table::Table::new();
    table.load_style(comfy_table::presets::NOTHING).set_header(headings);
    for column in 1..headings.len() {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(comfy_table::CellAlignment::Right);
        }
    }
    table
}

/// Bytes with a unit, for people.
#[must_use]
pub fn human_bytes(bytes: u64) -> String {
    let units = [("GB", 1e9), ("MB", 1e6), ("kB", 1e3)];
    let value = bytes as f64;
    units.iter().find(|u| value >= u.1).map_or_else(|| format!("{bytes} B"), |(unit, size)| format!("{:.2} {unit}", value / size))
}

/// `bytes` of the JSON output.
#[derive(Debug, Clone, Serialize)]
pub struct BytesJson {
    /// Payload bytes to the server.
    pub client_to_server: u64,
    /// Payload bytes to the client.
    pub server_to_client: u64,
    /// Both directions together, by phase.
    pub by_phase: BTreeMap<&'static str, u64>,
}

/// `seconds` of the JSON output.
#[derive(Debug, Clone, Serialize)]
pub struct SecondsJson {
    /// Set-up and lanes.
    pub total: f64,
    /// Before the first lane.
    pub setup: f64,
    /// From the first lane's beginning to the last one's end.
    pub lanes: f64,
    /// Summed over lanes, which run side by side.
    pub by_phase: BTreeMap<&'static str, f64>,
}

/// The outcome of a query run.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// Verdict, answers, evidence.
    pub report: Report,
    /// Time and bytes; of the lanes that this process ran.
    pub costs: Costs,
}

impl Outcome {
    /// The exit code that says the verdict.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self.report.verdict {
            Verdict::Accepted => 0,
            Verdict::RejectedAccuracy | Verdict::RejectedInconsistentCopies => EXIT_REJECTED,
            Verdict::Incomplete => EXIT_INCOMPLETE,
        }
    }

    /// The report as JSON with `bytes` and `seconds` added.
    ///
    /// # Errors
    /// Never for finite figures.
    pub fn to_json(&self) -> Result<serde_json::Value> {
        let (bytes, seconds) = self.costs.to_json();
        let mut json = self.report.to_json();
        json["bytes"] = serde_json::to_value(bytes)?;
        json["seconds"] = serde_json::to_value(seconds)?;
        Ok(json)
    }

    /// Writes what was asked for.
    ///
    /// # Errors
    /// If a file cannot be written.
    pub fn write(&self, json: Option<&Path>, html: Option<&Path>) -> Result<()> {
        if let Some(path) = json {
            write_json(path, &self.to_json()?)?;
        }
        if let Some(path) = html {
            std::fs::write(path, report_html(&self.report)).with_context(|| format!("cannot write {}", path.display()))?;
        }
        Ok(())
    }
}

/// Writes a JSON file.
///
/// # Errors
/// If it cannot be written.
pub fn write_json(path: &Path, value: &impl Serialize) -> Result<()> {
    let mut text = serde_json::to_vec_pretty(value)?;
    text.push(b'\n');
    std::fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::human_bytes;

    #[test]
    fn bytes_are_readable() {
        assert_eq!(
            ["999 B", "1.00 kB", "280.00 MB", "1.41 GB"].map(str::to_owned),
            [999, 1000, 280_000_000, 1_410_000_000].map(human_bytes)
        );
    }
}
