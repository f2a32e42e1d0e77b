//! Time and bytes of a run.

use std::collections::BTreeMap;

use fusion_nn::layers::{Ledger, Phase};
use serde::Serialize;

use crate::client::lanes::LaneResult;

/// Where the time of one lane went.
#[derive(Debug, Clone, Serialize)]
pub struct LaneTime {
    /// Its first position in the batch.
    pub first: u32,
    /// Its samples.
    pub samples: usize,
    /// From its beginning to its end.
    pub seconds: f64,
    /// Of them, until the server began to say what comes next, the trip over the link included.
    pub waited_for_peer: f64,
    /// Of them, until the link took or carried more.
    pub waited_for_link: f64,
}

impl LaneTime {
    /// Seconds in which the client computed, or waited for a core.
    #[must_use]
    pub fn computed(&self) -> f64 {
        (self.seconds - self.waited_for_peer - self.waited_for_link).max(0.0)
    }
}

/// Time and bytes of all lanes of one run, by phase, by step and by lane.
#[derive(Debug, Clone, Default)]
pub struct Costs {
    total: Ledger,
    steps: Vec<(String, Ledger)>,
    /// Finished lanes, in the order of their ends.
    pub lanes: Vec<LaneTime>,
    /// Seconds of all lanes together, side by side.
    pub wall_seconds: f64,
    /// Of them, those in which no lane could begin because the server was away.
    pub waited_seconds: f64,
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
        self.lanes.push(LaneTime {
            first: lane.slice.start,
            samples: lane.slice.len(),
            seconds: lane.seconds,
            waited_for_peer: lane.waits.peer.as_secs_f64(),
            waited_for_link: lane.waits.link.as_secs_f64(),
        });
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
            waited_for_server: self.waited_seconds,
            by_phase: by(|ledger, phase| ledger.get(phase).time.as_secs_f64()),
            by_lane: self.lanes.clone(),
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
    /// Of them, those in which no lane could begin because the server was away.
    pub waited_for_server: f64,
    /// Summed over lanes, which run side by side.
    pub by_phase: BTreeMap<&'static str, f64>,
    /// Where each lane's time went.
    pub by_lane: Vec<LaneTime>,
}
