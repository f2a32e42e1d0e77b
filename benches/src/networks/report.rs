//! What a run reports: the JSON of `--json`, field by field. `text` has the same for people.

use anyhow::{Result, bail};
use fusion_mix::plan::Plan;
use fusion_net::relay::Link;
use fusion_nn::cost::predict;
use fusion_nn::layers::Phase;
use serde::Serialize;

use super::catalogue::Network;
use super::layers::Contents;
use crate::machine::Host;
use crate::measure::{LinkJson, Measured};
use crate::peers::NetworkPeer;
use crate::verified::{Cost, Verified};

/// Everything that is known of a run.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Report {
    /// Soundness of verified queries, bits.
    pub(crate) lambda: f64,
    pub(crate) networks: Vec<NetworkRows>,
    pub(crate) interrupted: bool,
    pub(crate) host: Host,
    /// Runnable processes over the minute before the run began and before it ended: what else the
    /// machine did.
    pub(crate) load_average: (Option<f64>, Option<f64>),
    pub(crate) isa: &'static str,
    /// `release`, or `dev` for a build whose seconds mean nothing.
    pub(crate) profile: &'static str,
    pub(crate) commit: String,
    pub(crate) seconds_in_all: f64,
}

/// A network: what it is, what was measured, what others say.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct NetworkRows {
    pub(crate) letter: char,
    pub(crate) name: &'static str,
    pub(crate) about: &'static str,
    pub(crate) contents: Contents,
    pub(crate) weights: String,
    pub(crate) images: &'static str,
    /// The accuracy that the mixes assume, and where it comes from.
    pub(crate) accuracy: f64,
    pub(crate) accuracy_from: &'static str,
    /// Preparing the package, if this run did.
    pub(crate) prepare_seconds: Option<f64>,
    /// One per link.
    pub(crate) rows: Vec<Row>,
    pub(crate) peers: Vec<PeerRow>,
}

/// A network over a link. Bytes are payload of the lanes; seconds are the wall clock's.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Row {
    pub(crate) link_name: &'static str,
    pub(crate) link: LinkJson,
    /// Where this row was measured: always here.
    pub(crate) machine: &'static str,
    pub(crate) weights: String,
    /// What lanes agreed on, in words.
    pub(crate) terms: String,
    /// One inference on a lane of its own.
    pub(crate) alone: Run,
    /// Batches of verified queries, lanes side by side, ordered by their samples.
    pub(crate) batches: Vec<Run>,
    /// What the formulas say of an inference's bytes in the largest batch, without the start of
    /// lanes.
    pub(crate) predicted_bytes: f64,
    /// Keys and base OTs of a lane of the largest batch; the runs include them.
    pub(crate) lane_setup: CostJson,
    /// Once per model: the hint's bytes, and the seconds of server start, description and hint.
    pub(crate) model_setup: CostJson,
    pub(crate) verified: Vec<Query>,
}

/// A measured run; seconds and bytes are of one inference: all of it over its samples.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(crate) struct Run {
    pub(crate) samples: usize,
    pub(crate) lanes: usize,
    pub(crate) seconds: f64,
    pub(crate) bytes_up: f64,
    pub(crate) bytes_down: f64,
    /// Processor seconds: client (with the relay) and server.
    pub(crate) cpu_seconds: (Option<f64>, Option<f64>),
    /// Labels equal to the float network's.
    pub(crate) labels_matching: usize,
}

impl Run {
    /// The figures of lanes that all ran side by side.
    pub(crate) fn of(measured: &Measured, float_labels: &[u32]) -> Self {
        let over = |sum: f64| sum / measured.costs.samples.max(1) as f64;
        let (up, down) = measured.costs.bytes();
        // More samples than images: they come again.
        let opened = measured.labels.iter().zip(float_labels.iter().cycle());
        Self {
            samples: measured.costs.samples,
            lanes: measured.lanes.len(),
            seconds: over(measured.costs.wall_seconds),
            bytes_up: over(up as f64),
            bytes_down: over(down as f64),
            cpu_seconds: (measured.cpu_seconds.0.map(over), measured.cpu_seconds.1.map(over)),
            labels_matching: opened.filter(|(opened, float)| **opened == Some(**float)).count(),
        }
    }

    /// Bytes of an inference, both directions.
    pub(crate) fn bytes(&self) -> f64 {
        self.bytes_up + self.bytes_down
    }
}

/// Seconds and bytes.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(crate) struct CostJson {
    pub(crate) seconds: f64,
    pub(crate) bytes: f64,
}

/// A verified query, and what its cost rests on.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Query {
    #[serde(flatten)]
    pub(crate) verified: Verified,
    /// Samples of the batch.
    pub(crate) samples: u32,
    /// Those that were run: all of them, or as many as take a bearable time. The rest then counts
    /// at the pace of these, a little too dear, since lanes start only once.
    pub(crate) measured_samples: usize,
    /// Per query, 10^6 bytes.
    pub(crate) megabytes: f64,
}

/// What another system takes, and how many times ours.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct PeerRow {
    #[serde(flatten)]
    pub(crate) peer: NetworkPeer,
    /// Against our row of its link, or that of the LAN where it names none of ours.
    pub(crate) against: Option<&'static str>,
    pub(crate) ours: Vec<Times>,
}

/// How many times the seconds and bytes of ours.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Times {
    /// `inference`, or a verified query at some R.
    pub(crate) of: String,
    pub(crate) seconds: Option<f64>,
    pub(crate) bytes: Option<f64>,
}

/// What a query of a batch costs that ran, in part or as a whole, as `run`.
pub(crate) fn query(plan: &Plan, run: &Run) -> Query {
    let overhead = plan.mix.overhead();
    let cost = Cost { seconds: overhead * run.seconds, bytes: overhead * run.bytes() };
    Query {
        verified: Verified::new(plan, Some(cost)),
        samples: plan.mix.samples(),
        measured_samples: run.samples,
        megabytes: cost.bytes * 1e-6,
    }
}

/// What was measured of a network over a link.
pub(crate) struct Runs {
    pub(crate) alone: Measured,
    /// Of different sizes, ascending, at least one.
    pub(crate) batches: Vec<Measured>,
}

impl Row {
    /// Puts the runs of a network over a link together: each plan is priced by the smallest run
    /// that has all of its samples, else by the largest.
    ///
    /// # Errors
    /// No batch, a program that the formulas refuse.
    pub(crate) fn new(
        network: &Network,
        (link_name, link): (&'static str, Link),
        runs: &Runs,
        float_labels: &[u32],
        plans: &[Plan],
    ) -> Result<Self> {
        let batches: Vec<Run> = runs.batches.iter().map(|run| Run::of(run, float_labels)).collect();
        let (Some(largest), Some(last)) = (runs.batches.last(), batches.last()) else { bail!("no batch was run") };
        let in_lane = (last.samples / last.lanes.max(1)).max(1);
        let setup = largest.costs.phases().get(Phase::Setup);
        let lanes = last.lanes.max(1) as f64;
        let run_of = |plan: &Plan| batches.iter().find(|run| run.samples >= plan.mix.samples() as usize).unwrap_or(last);
        Ok(Self {
            link_name,
            link: LinkJson::from(link),
            machine: "this machine",
            weights: network.weights(),
            alone: Run::of(&runs.alone, float_labels),
            predicted_bytes: predict(&largest.card.program, in_lane, largest.terms)?.bytes() as f64 / in_lane as f64,
            terms: largest.terms.to_string(),
            lane_setup: CostJson { seconds: setup.time.as_secs_f64() / lanes, bytes: setup.traffic.total() as f64 / lanes },
            model_setup: CostJson { seconds: largest.costs.setup_seconds, bytes: largest.hint_bytes as f64 },
            verified: plans.iter().map(|plan| query(plan, run_of(plan))).collect(),
            batches,
        })
    }
}

impl PeerRow {
    /// Compares a peer with our row of its link.
    pub(crate) fn new(peer: NetworkPeer, rows: &[Row]) -> Self {
        let same = |row: &&Row| peer.link.as_deref() == Some(row.link_name);
        let row = rows.iter().find(same).or(rows.first()).filter(|_| peer.seconds.is_some());
        let times = |of: String, seconds: f64, megabytes: f64| Times {
            of,
            seconds: peer.seconds.map(|theirs| theirs / seconds),
            bytes: peer.megabytes.map(|theirs| theirs / megabytes),
        };
        let ours = row.map_or_else(Vec::new, |row| {
            let plain = row.batches.last().map(|run| times("inference".to_owned(), run.seconds, run.bytes() * 1e-6));
            let queries =
                row.verified.iter().filter_map(|q| Some(times(format!("R = {}", q.verified.R), q.verified.seconds?, q.megabytes)));
            plain.into_iter().chain(queries).collect()
        });
        Self { against: row.map(|row| row.link_name), ours, peer }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verified::plans;

    fn run(samples: usize, seconds: f64, bytes: f64) -> Run {
        let of = |sum: f64| sum / samples as f64;
        let halves = of(bytes) / 2.0;
        Run {
            samples,
            lanes: 4,
            seconds: of(seconds),
            bytes_up: halves,
            bytes_down: halves,
            cpu_seconds: (None, None),
            labels_matching: samples,
        }
    }

    fn close(a: f64, b: f64) -> bool {
        (a - b).abs() <= 1e-9 * b.abs().max(1.0)
    }

    #[test]
    fn a_query_pays_for_its_part_of_the_batch() {
        let plans = plans(&[1, 16, 512], 40.0, 0.9).unwrap();
        for plan in &plans {
            let (n, queries) = (plan.mix.samples(), f64::from(plan.mix.queries()));
            let whole = query(plan, &run(n as usize, 12.0, 3e6));
            assert_eq!((whole.samples as usize, whole.measured_samples), (n as usize, n as usize));
            assert!(close(whole.verified.seconds.unwrap(), 12.0 / queries) && close(whole.megabytes, 3.0 / queries));
            assert!(close(whole.megabytes * 1e6, whole.verified.gib.unwrap() * f64::from(1 << 30)));
            // Of another size: at its pace.
            let part = query(plan, &run(1000, 6.0, 1.5e6));
            assert!(close(part.verified.seconds.unwrap(), 6.0 / 1000.0 * f64::from(n) / queries));
            assert_eq!(part.measured_samples, 1000);
        }
        let overheads: Vec<f64> = plans.iter().map(|plan| plan.mix.overhead()).collect();
        assert!(overheads.windows(2).all(|pair| pair[0] > pair[1]), "{overheads:?}");
    }
}
