//! What a client needs to know from its user.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use fusion_mix::verify::RevealRejected;
use fusion_model::program::Program;
use fusion_nn::cost::predict;
use fusion_nn::layers::LaneTerms;
use fusion_ot::silent::ExtensionSize;

use crate::clock::{Clock, SystemClock};

/// From this round trip on a lane waits for the network for a good part of its time.
pub(super) const LONG_ROUND_TRIP: Duration = Duration::from_millis(10);

/// From so many OTs a sample on, a lane makes up for the start of larger extensions.
const MANY_OTS: u64 = 4_000_000;
/// From so many cores on, a link is waited for more than they are: on two, larger extensions saved
/// ResNet50 5 % of its bytes, for 31 % more processor time and 9 % more seconds at 400 Mbit/s.
const MANY_CORES: usize = 4;

/// How many lanes `cores` cores are kept busy by, over a link of this round trip: two per core,
/// four where a round trip takes 10 ms or more.
#[must_use]
pub fn lanes_for(cores: usize, round_trip: Duration) -> usize {
    let per_core = if round_trip >= LONG_ROUND_TRIP { 4 } else { 2 };
    per_core * cores.max(1)
}

/// The terms of lanes that run `program` on `cores` cores over a link of this round trip: few bits
/// on a long one. Extensions stay small where there are few cores, which larger ones would keep
/// busy for longer than the link, and where a sample takes few OTs.
#[must_use]
pub fn terms_for(cores: usize, round_trip: Duration, program: &Program) -> LaneTerms {
    let by_link = if round_trip >= LONG_ROUND_TRIP { LaneTerms::LONG_LINK } else { LaneTerms::SHORT_LINK };
    // A program without a cost does not run.
    let steps = predict(program, 1, by_link).map_or_else(|_| Vec::new(), |cost| cost.steps);
    let ots = steps.iter().map(|step| step.m_ary_ots + step.binary_ots).sum::<u64>();
    if ots < MANY_OTS || cores < MANY_CORES { LaneTerms { extension: ExtensionSize::Small, ..by_link } } else { by_link }
}

/// Everything that a client needs to know from its user.
#[derive(Clone)]
pub struct ClientSettings {
    /// The server: address, TLS, token, time limits.
    pub connection: fusion_net::ClientSettings,
    /// Directory of what is remembered between runs: hints, and `memory.sqlite3` with the known
    /// models and the audit tally.
    pub home: PathBuf,
    /// Which of the server's models: its name, or the digest of its card, hexadecimal, which is
    /// then pinned. None where the server has only one.
    pub model: Option<String>,
    /// Pinned digest of the model's card, hexadecimal: anything else is refused.
    pub pin: Option<String>,
    /// Lanes side by side [default: [`lanes_for`] the cores and the link, within the server's
    /// limits].
    pub lanes: Option<usize>,
    /// The terms of lanes [default: [`terms_for`] the link].
    pub terms: Option<LaneTerms>,
    /// Samples in one lane [default: what fits a moderate memory].
    pub lane_samples: Option<u32>,
    /// Cores that lanes may keep busy.
    pub cores: usize,
    /// Lane runs that may fail before the server counts as unavailable. Of those that break with
    /// their connection the patience decides.
    pub max_failures: u32,
    /// How long a run waits for a server that is away, in all; and how long for one that has no
    /// room, at a time (5 min).
    pub patience: Duration,
    /// How long connecting waits for a server that is away (3 s): nothing is known of it yet, and
    /// its address may be wrong.
    pub connect_patience: Duration,
    /// Run plans that are weaker than what was asked of them: for experiments.
    pub allow_unsound: bool,
    /// Consent to see answers of a rejected batch.
    pub reveal_rejected: Option<RevealRejected>,
    /// Measures runs and waits between tries.
    pub clock: Arc<dyn Clock>,
}

impl ClientSettings {
    /// The defaults for a server at `host:port`, with `home` for what is remembered, on two cores.
    #[must_use]
    pub fn new(address: impl Into<String>, home: impl Into<PathBuf>) -> Self {
        Self {
            connection: fusion_net::ClientSettings::new(address),
            home: home.into(),
            model: None,
            pin: None,
            lanes: None,
            terms: None,
            lane_samples: None,
            cores: 2,
            max_failures: 8,
            patience: Duration::from_secs(300),
            connect_patience: Duration::from_secs(3),
            allow_unsound: false,
            reveal_rejected: None,
            clock: Arc::new(SystemClock::new()),
        }
    }
}

impl std::fmt::Debug for ClientSettings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ClientSettings")
            .field("address", &self.connection.address)
            .field("home", &self.home)
            .field("model", &self.model)
            .field("pin", &self.pin)
            .field("lanes", &self.lanes)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use fusion_model::program::{Activation, LinearTerm, Op, RingBits, Step, TensorId, TensorSpec, Window};
    use fusion_rlwe::{ConvGeometry, Shape};

    use super::*;

    #[test]
    fn long_links_take_more_lanes() {
        assert_eq!(lanes_for(2, Duration::ZERO), 4);
        assert_eq!(lanes_for(2, Duration::from_millis(40)), 8);
        assert_eq!(lanes_for(0, Duration::ZERO), 2);
    }

    /// `layers` times 2^14 ReLUs.
    fn relus(layers: usize) -> Program {
        const WIDE: usize = 1 << 14;
        let spec = |length| TensorSpec { shape: Shape::flat(length), ring: RingBits(14), frac: 0 };
        let dense = |input, from, to| {
            let terms = vec![LinearTerm { input: TensorId(input), geometry: ConvGeometry::dense(from, to) }];
            Op::Linear { terms, weight_bits: 8, row_norm: 2, upload_bits: 26, hint_bits: 22 }
        };
        let window = Window { shift: 0, bits: 11 };
        let relu = |input| Op::Requantise { input: TensorId(input), window, pool: None, activation: Activation::Relu };
        let (mut tensors, mut steps) = (vec![spec(2)], Vec::new());
        let mut add = |op, length| {
            tensors.push(spec(length));
            steps.push(Step { name: format!("step {}", steps.len()), op, output: TensorId(tensors.len() - 1) });
        };
        for at in (0..4 * layers).step_by(4) {
            add(dense(at, 2, WIDE), WIDE);
            add(relu(at + 1), WIDE);
            add(dense(at + 2, WIDE, 2), 2);
            add(relu(at + 3), 2);
        }
        add(dense(4 * layers, 2, 2), 2);
        let logits = TensorId(4 * layers + 1);
        Program { tensors, input: TensorId(0), steps, logits, logits_window: window }
    }

    #[test]
    fn long_links_carry_fewer_bits_and_small_networks_start_small() {
        let (small, large) = (relus(1), relus(64));
        large.validate().unwrap();
        assert_eq!(terms_for(8, Duration::from_millis(1), &large), LaneTerms::SHORT_LINK);
        assert_eq!(terms_for(8, Duration::from_millis(40), &large), LaneTerms::LONG_LINK);
        let long = LaneTerms { extension: ExtensionSize::Small, ..LaneTerms::LONG_LINK };
        assert_eq!(terms_for(8, Duration::from_millis(40), &small), long);
        assert_eq!(terms_for(2, Duration::from_millis(40), &large), long);
    }
}
