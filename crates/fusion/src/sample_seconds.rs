//! How long a sample takes, from what it costs: an estimate by rates that were measured once.

use fusion_nn::cost::{Prediction, StepCost};

/// Seconds per random OT on one core, with the layer protocol that uses it:
/// `cargo xtask bench-resnet50 --wan` spent 5.3 s of processor time a party on a sample's 58 M OTs
/// and linear layers, on a two-core Skylake virtual machine with AVX-512.
pub(crate) const SECONDS_PER_OT: f64 = 0.076e-6;

/// Seconds per byte of the linear layers on one core: ResNet50's 28.6 MB took the server, the
/// slower party, 0.32 s on a Zen 3 virtual machine with AVX2 (`cargo xtask bench-linear`).
const SECONDS_PER_LINEAR_BYTE: f64 = 11e-9;

/// Seconds of a sample with one core per party.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SampleSeconds {
    /// Until the link has carried the bytes of its busier direction.
    pub network: f64,
    /// Until a party has computed its part.
    pub computing: f64,
}

impl SampleSeconds {
    /// What [`SampleSeconds::of`] computes with, in words.
    #[must_use]
    pub fn basis() -> String {
        format!(
            "rates of two-core machines of a cloud ({:.3} us per OT, {:.0} ns per byte of linear layers)",
            SECONDS_PER_OT * 1e6,
            SECONDS_PER_LINEAR_BYTE * 1e9
        )
    }

    /// For a lane that costs this, over a link of `mbit` Mbit/s each way.
    #[must_use]
    pub fn of(lane: &Prediction, mbit: f64) -> Self {
        let phases = lane.by_phase();
        let samples = lane.samples.max(1) as f64;
        let sum = |of: fn(&StepCost) -> u64| lane.steps.iter().map(of).sum::<u64>();
        let busier = sum(|s| s.client_to_server).max(sum(|s| s.server_to_client)) + phases.random_ot / 2;
        let ots = sum(|s| s.m_ary_ots + s.binary_ots) as f64;
        Self {
            network: busier as f64 * 8.0 / (mbit * 1e6) / samples,
            computing: (ots * SECONDS_PER_OT + phases.linear as f64 * SECONDS_PER_LINEAR_BYTE) / samples,
        }
    }

    /// The longer of the two: computing and sending go on at the same time.
    #[must_use]
    pub fn longer(self) -> f64 {
        self.network.max(self.computing)
    }
}
