//! Time and bytes of a run.

use std::collections::BTreeMap;

use fusion_nn::layers::{Ledger, Phase};
use serde::Serialize;

use crate::client::lanes::LaneResult;

/// Time and bytes of all lanes of one run, by phase and by step.
#[derive(Debug, Clone, Default)]
pub struct Costs {
    total: Ledger,
    steps: Vec<(String, Ledger)>,
    /// Seconds of all lanes together, side by side.
    pub wall_seconds: f64,
    /// Seconds before the first lane: plan, images.
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
