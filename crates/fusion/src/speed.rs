//! How fast this machine computes: layers of private ReLUs, both parties in this process.

use std::time::{Duration, Instant};

use fusion_nn::exec::LaneError;
use fusion_nn::layers::cost::relu as cost_of_relu;
use fusion_nn::layers::{AdditiveShares, ClearNumbers, LaneTerms, Party, RingBits, Role, TILE, relu};
use fusion_ring::channel::{Channel, memory_pair};
use rand_chacha::ChaCha20Rng;
use rand_core::{CryptoRng, SeedableRng as _};

use crate::error::Error;
use crate::sample_seconds::SECONDS_PER_OT;

/// Numbers that go through a layer at once.
const NUMBERS: usize = 1 << 18;

/// Layers that are measured, after one that is not: it pays for the first extension of every kind.
/// Random OTs are made 1.7 million at a time, so a few layers hold two extensions, or three.
const LAYERS: u32 = 6;

/// Widths of an ordinary window, and of what it becomes.
const WIDTHS: (u32, u32) = (12, 20);

const TERMS: LaneTerms = LaneTerms::SHORT_LINK;

/// What this machine computed, and in what time: a few seconds of work on one core per party.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Speed {
    /// Private ReLUs.
    pub relus: u64,
    /// Random OTs that they took, in both directions.
    pub ots: u64,
    /// For both parties, side by side.
    pub time: Duration,
}

impl Speed {
    /// Measures it. Nothing that is shared here is secret.
    ///
    /// # Errors
    /// [`Error::Lane`] if the parties disagree, which is a fault of this program;
    /// [`Error::Panicked`].
    pub fn measure(rng: &mut impl CryptoRng) -> Result<Self, Error> {
        let numbers = ClearNumbers::from_signed(&vec![-3; NUMBERS], RingBits(WIDTHS.0));
        let [mine, theirs] = AdditiveShares::share(&numbers, rng);
        let (client_end, server_end) = memory_pair();
        let mut server_rng = ChaCha20Rng::from_rng(rng);
        let server = std::thread::spawn(move || one_party(Role::Server, Box::new(server_end), &theirs, &mut server_rng));
        let time = one_party(Role::Client, Box::new(client_end), &mine, rng);
        server.join().map_err(|_| Error::Panicked("a party of the measurement".to_owned()))??;
        let total = cost_of_relu(WIDTHS.0, WIDTHS.1, TERMS.split).of(NUMBERS, TILE);
        let layers = u64::from(LAYERS);
        Ok(Self { relus: layers * NUMBERS as u64, ots: layers * (total.m_ary_ots + total.binary_ots), time: time? })
    }

    /// Seconds per random OT, with what is done with it.
    #[must_use]
    pub fn seconds_per_ot(&self) -> f64 {
        self.time.as_secs_f64() / self.ots as f64
    }

    /// How much slower this machine is than [`SampleSeconds`](crate::SampleSeconds) assumes.
    #[must_use]
    pub fn slower(&self) -> f64 {
        self.seconds_per_ot() / SECONDS_PER_OT
    }
}

fn one_party(role: Role, end: Box<dyn Channel + '_>, shares: &AdditiveShares, rng: &mut impl CryptoRng) -> Result<Duration, LaneError> {
    let failed = |error| LaneError::Protocol { step: "measurement".to_owned(), error };
    let mut party = Party::connect(role, b"speed", TERMS, end, rng).map_err(LaneError::SetUp)?;
    relu(&mut party, shares, RingBits(WIDTHS.1)).map_err(failed)?;
    let began = Instant::now();
    for _ in 0..LAYERS {
        relu(&mut party, shares, RingBits(WIDTHS.1)).map_err(failed)?;
    }
    Ok(began.elapsed())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_is_measured() {
        let speed = Speed::measure(&mut ChaCha20Rng::seed_from_u64(1)).unwrap();
        assert!(speed.ots >= speed.relus && speed.relus == 6 << 18 && speed.seconds_per_ot() > 0.0, "{speed:?}");
        let as_assumed = Speed { relus: 1, ots: 1_000_000, time: Duration::from_secs_f64(1e6 * SECONDS_PER_OT) };
        assert!((as_assumed.slower() - 1.0).abs() < 1e-6);
    }
}
