//! What a run reports: the JSON of `--json`, field by field. `text` has the same as text, `page` as
//! a page.

use std::collections::BTreeMap;

use anyhow::Result;
use fusion_mix::plan::Plan;
use fusion_model::program::Op;
use fusion_net::relay::Link;
use fusion_nn::layers::{Ledger, Phase};
use serde::Serialize;

use super::efficiency::Efficiency;
use super::prediction::Predicted;
use super::scaling;
use crate::machine::Host;
use crate::measure::{LaneFigures, LinkJson, Measured};
use crate::peers::Peers;
use crate::verified::{self, Cost, Verified};

/// Top-1 accuracy of the published ResNet50 on ImageNet's validation set, from a single centre
/// crop.
pub(crate) const CLAIMED_ACCURACY: f64 = 0.747;

/// Numbers of queries that the verified query is priced at.
const QUERIES: [u32; 5] = [1, 16, 64, 512, 8192];

/// Everything that is known of a run. Bytes and seconds are per sample where the name does not say
/// otherwise, and bytes are payload of the lanes.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Report {
    pub(crate) model: String,
    pub(crate) synthetic_weights: bool,
    pub(crate) photos: String,
    pub(crate) synthetic_photos: bool,
    /// Samples that came to their end.
    pub(crate) samples: usize,
    pub(crate) samples_wanted: usize,
    pub(crate) interrupted: bool,
    pub(crate) failures: Vec<String>,
    /// Lanes side by side.
    pub(crate) lanes: usize,
    pub(crate) lane_figures: Vec<LaneFigures>,
    /// Cores that each party was kept to; null if both could use all.
    pub(crate) cores_per_party: Option<u32>,
    /// The same samples on other numbers of lanes, if that was asked for.
    pub(crate) scaling: Vec<scaling::Row>,
    /// Null for loopback.
    pub(crate) link: Option<LinkJson>,
    pub(crate) plan: PlanFacts,
    /// What lanes agreed on, in words.
    pub(crate) terms: String,
    pub(crate) hint_bytes: u64,
    /// Whether set-up found the hint in the client's cache.
    pub(crate) hint_cached: bool,
    pub(crate) bytes_per_sample: BytesPerSample,
    pub(crate) efficiency: Efficiency,
    pub(crate) bytes_by_phase: BTreeMap<&'static str, f64>,
    /// Activation stands for activation and pooling.
    pub(crate) predicted_by_phase: BTreeMap<&'static str, f64>,
    pub(crate) seconds: Seconds,
    pub(crate) steps: Vec<StepFigures>,
    pub(crate) peak_rss_mb: Sides,
    /// Processor seconds.
    pub(crate) cpu_seconds_per_sample: Sides,
    pub(crate) labels: Labels,
    pub(crate) verified: Vec<Verified>,
    pub(crate) ratio: Option<Ratio>,
    pub(crate) peers: Peers,
    pub(crate) host: Host,
    pub(crate) isa: &'static str,
    /// `release`, or `dev` for a build whose seconds mean nothing.
    pub(crate) profile: &'static str,
    pub(crate) commit: String,
}

/// The fixed-point plan: widest window, ring of a linear layer, ciphertext modulus and weights, in
/// bits.
#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct PlanFacts {
    pub(crate) h: u32,
    pub(crate) l: u32,
    pub(crate) w: u32,
    pub(crate) weight_bits: u32,
}

#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct BytesPerSample {
    pub(crate) client_to_server: f64,
    pub(crate) server_to_client: f64,
    pub(crate) total: f64,
    /// The same total from the formulas, lane set-up apart.
    pub(crate) predicted: f64,
    /// Of the total, what a lane spends once, whatever its samples: keys and base OTs.
    pub(crate) lane_setup: f64,
    /// With the transport's framing, if a relay counted it.
    pub(crate) on_the_wire: Option<f64>,
}

#[derive(Debug, Clone, Serialize)]
pub(crate) struct Seconds {
    /// Server start, description, hint download: once.
    pub(crate) setup: f64,
    /// Preparing the package, if this run did; not part of set-up.
    pub(crate) prepare: Option<f64>,
    /// Wall clock of all lanes over samples; null if none came to its end.
    pub(crate) per_sample: Option<f64>,
    /// Least and most of what the lanes would give, were there only lanes like it: a lane's seconds
    /// over its samples and the lanes beside it.
    pub(crate) spread: Option<(f64, f64)>,
    /// The client's seconds inside lanes, waiting included, over samples. Lanes run side by side:
    /// the sum may exceed `per_sample`.
    pub(crate) by_phase: BTreeMap<&'static str, f64>,
}

/// One step of the network: per sample.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct StepFigures {
    pub(crate) name: String,
    pub(crate) client_to_server: f64,
    pub(crate) server_to_client: f64,
    /// Both directions, from the formulas, with the random OTs that the step uses up; they are made
    /// in large rounds, so a step's measured bytes may hold those of its neighbours.
    pub(crate) predicted: f64,
    /// The client's seconds inside lanes, waiting included.
    pub(crate) seconds: f64,
    /// Rounds of one lane.
    pub(crate) rounds: f64,
    pub(crate) bytes_by_phase: BTreeMap<&'static str, f64>,
}

#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct Sides {
    pub(crate) client: Option<f64>,
    pub(crate) server: Option<f64>,
}

#[derive(Debug, Clone, Serialize)]
pub(crate) struct Labels {
    /// Labels equal to the float model's.
    pub(crate) matching: usize,
    pub(crate) total: usize,
    pub(crate) mismatches: Vec<Mismatch>,
}

#[derive(Debug, Clone, Serialize)]
pub(crate) struct Mismatch {
    pub(crate) photo: String,
    pub(crate) float: u32,
    pub(crate) opened: u32,
}

/// How many times less than the paper, at the headline number of queries.
#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct Ratio {
    pub(crate) queries: u32,
    pub(crate) time_vs_paper: f64,
    pub(crate) bytes_vs_paper: f64,
}

/// What the caller knows beside the measurement.
pub(crate) struct Context {
    pub(crate) model: String,
    pub(crate) synthetic_weights: bool,
    pub(crate) photos: String,
    pub(crate) synthetic_photos: bool,
    pub(crate) names: Vec<String>,
    pub(crate) float_labels: Vec<u32>,
    pub(crate) lanes: usize,
    pub(crate) cores_per_party: Option<u32>,
    pub(crate) scaling: Vec<scaling::Row>,
    pub(crate) link: Option<Link>,
    pub(crate) prepare_seconds: Option<f64>,
    pub(crate) queries: u32,
    pub(crate) lambda: f64,
    pub(crate) predicted: Predicted,
    pub(crate) host: Host,
    pub(crate) commit: String,
}

/// The mixes of the verified queries: ground-truth labels at the published accuracy.
///
/// # Errors
/// If the planner has none.
pub(crate) fn plans(queries: u32, lambda: f64) -> Result<Vec<Plan>> {
    let mut all = QUERIES.to_vec();
    if !all.contains(&queries) {
        all.push(queries);
        all.sort_unstable();
    }
    verified::plans(&all, lambda, CLAIMED_ACCURACY)
}

fn by_phase(of: impl Fn(Phase) -> f64) -> BTreeMap<&'static str, f64> {
    Phase::ALL.iter().map(|&p| (p.name(), of(p))).collect()
}

impl Report {
    /// Puts everything together.
    ///
    /// # Errors
    /// If the planner or the peers' file fails.
    pub(crate) fn new(measured: &Measured, context: Context) -> Result<Self> {
        let costs = &measured.costs;
        let samples = costs.samples;
        // Without a sample every sum is zero: so are the averages.
        let over = |sum: f64| sum / samples.max(1) as f64;
        let (up, down) = costs.bytes();
        let total = over((up + down) as f64);
        let per_sample = (samples > 0).then(|| over(costs.wall_seconds));
        let verified = verified(&plans(context.queries, context.lambda)?, per_sample, total);
        let peers = Peers::load()?;
        let ratio = ratio(&verified, context.queries, &peers);
        let labels = Labels::of(measured, &context);
        let program = &measured.card.program;
        let linear_rings = program.steps.iter().filter(|s| matches!(s.op, Op::Linear { .. })).map(|s| program.tensors[s.output.0].ring.0);
        let widest = |of: &dyn Fn(&Op) -> Option<u32>| program.steps.iter().filter_map(|s| of(&s.op)).max().unwrap_or(0);
        // The first entry is the lane's set-up, which has no prediction.
        let predicted = std::iter::once(&0.0).chain(&context.predicted.steps);
        let steps = costs.steps().iter().zip(predicted);
        let steps = steps.map(|((name, ledger), &predicted)| step(name, ledger, predicted, samples, measured.lanes.len())).collect();
        let bytes_per_sample = BytesPerSample {
            client_to_server: over(up as f64),
            server_to_client: over(down as f64),
            total,
            predicted: context.predicted.total,
            lane_setup: over(costs.phases().get(Phase::Setup).traffic.total() as f64),
            on_the_wire: measured.carried.map(|c| over((c.client_to_server + c.server_to_client) as f64)),
        };
        let cpu = Sides { client: measured.cpu_seconds.0.map(over), server: measured.cpu_seconds.1.map(over) };
        let both = cpu.client.zip(cpu.server).map(|(client, server)| client + server);
        let directions = [bytes_per_sample.client_to_server, bytes_per_sample.server_to_client];
        let cores = context.cores_per_party.map_or(context.host.cores, |each| context.host.cores.min(2 * each as usize));
        Ok(Self {
            model: context.model,
            synthetic_weights: context.synthetic_weights,
            photos: context.photos,
            synthetic_photos: context.synthetic_photos,
            samples,
            samples_wanted: measured.labels.len(),
            interrupted: measured.interrupted,
            failures: measured.failures.clone(),
            lanes: context.lanes,
            lane_figures: measured.lanes.clone(),
            cores_per_party: context.cores_per_party,
            scaling: context.scaling,
            link: context.link.map(LinkJson::from),
            plan: PlanFacts {
                h: widest(&|op| if let Op::Requantise { window, .. } = op { Some(window.bits) } else { None }),
                l: linear_rings.max().unwrap_or(0),
                w: fusion_rlwe::precision::MODULUS_BITS,
                weight_bits: widest(&|op| if let Op::Linear { weight_bits, .. } = op { Some(*weight_bits) } else { None }),
            },
            terms: measured.terms.to_string(),
            hint_bytes: measured.hint_bytes,
            hint_cached: measured.hint_cached,
            bytes_per_sample,
            efficiency: Efficiency::of(directions, context.link.map(LinkJson::from), both, cores, per_sample),
            predicted_by_phase: context.predicted.by_phase.clone(),
            bytes_by_phase: by_phase(|p| over(costs.phases().get(p).traffic.total() as f64)),
            seconds: Seconds {
                setup: costs.setup_seconds,
                prepare: context.prepare_seconds,
                per_sample,
                spread: spread(&measured.lanes, context.lanes),
                by_phase: by_phase(|p| over(costs.phases().get(p).time.as_secs_f64())),
            },
            steps,
            peak_rss_mb: Sides { client: measured.peak_rss_mb.0, server: measured.peak_rss_mb.1 },
            cpu_seconds_per_sample: cpu,
            labels,
            verified,
            ratio,
            peers,
            host: context.host,
            isa: fusion_ring::simd::tier().name(),
            profile: if cfg!(debug_assertions) { "dev" } else { "release" },
            commit: context.commit,
        })
    }

    /// What stands before every heading if the weights are not the real ones.
    pub(crate) fn mark(&self) -> &'static str {
        if self.synthetic_weights { "SYNTHETIC WEIGHTS: " } else { "" }
    }

    /// The link in words.
    pub(crate) fn link_text(&self) -> String {
        self.link.map_or_else(|| "loopback".to_owned(), |l| format!("{} Mbit/s each way, {} ms round trip", l.mbit, l.rtt_ms))
    }
}

impl Labels {
    /// Of the samples that were opened, those whose label is not the float model's.
    fn of(measured: &Measured, context: &Context) -> Self {
        let opened: Vec<(usize, u32)> = measured.labels.iter().enumerate().filter_map(|(i, label)| Some((i, (*label)?))).collect();
        let mismatches: Vec<Mismatch> = opened
            .iter()
            .filter(|&&(i, opened)| context.float_labels[i] != opened)
            .map(|&(i, opened)| Mismatch { photo: context.names[i].clone(), float: context.float_labels[i], opened })
            .collect();
        Self { matching: opened.len() - mismatches.len(), total: opened.len(), mismatches }
    }
}

/// What a verified query costs under each plan, from the seconds and bytes of a sample.
fn verified(plans: &[Plan], per_sample: Option<f64>, bytes: f64) -> Vec<Verified> {
    let query = |plan: &Plan| {
        let times = plan.mix.overhead();
        per_sample.map(|seconds| Cost { seconds: seconds * times, bytes: bytes * times })
    };
    plans.iter().map(|plan| Verified::new(plan, query(plan))).collect()
}

/// The batch of `queries` beside the paper's.
fn ratio(verified: &[Verified], queries: u32, peers: &Peers) -> Option<Ratio> {
    let ours = verified.iter().find(|v| v.R == queries)?;
    let bytes = ours.gib? * f64::from(1 << 30);
    Some(Ratio { queries, time_vs_paper: peers.paper.seconds / ours.seconds?, bytes_vs_paper: peers.paper.gigabytes * 1e9 / bytes })
}

fn spread(figures: &[LaneFigures], lanes: usize) -> Option<(f64, f64)> {
    let each = figures.iter().map(|lane| lane.seconds / (lane.samples * lanes) as f64);
    let least = each.clone().min_by(f64::total_cmp)?;
    Some((least, each.max_by(f64::total_cmp)?))
}

fn step(name: &str, ledger: &Ledger, predicted: f64, samples: usize, lanes: usize) -> StepFigures {
    let over = |sum: f64| sum / samples.max(1) as f64;
    let total = ledger.total();
    StepFigures {
        name: name.to_owned(),
        client_to_server: over(total.traffic.sent as f64),
        server_to_client: over(total.traffic.received as f64),
        predicted,
        seconds: over(total.time.as_secs_f64()),
        rounds: total.traffic.turns as f64 / lanes.max(1) as f64,
        bytes_by_phase: by_phase(|p| over(ledger.get(p).traffic.total() as f64)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_headline_mixes_reach_their_soundness_and_cost_less_the_larger_the_batch() {
        let plans = plans(512, 40.0).unwrap();
        assert_eq!(plans.iter().map(|p| p.mix.queries()).collect::<Vec<_>>(), QUERIES);
        assert!(plans.iter().all(Plan::is_sound));
        assert!(plans.windows(2).all(|w| w[0].mix.overhead() > w[1].mix.overhead()));
        let own = super::plans(100, 40.0).unwrap();
        assert!(own.len() == 6 && own[3].mix.queries() == 100);
    }
}
