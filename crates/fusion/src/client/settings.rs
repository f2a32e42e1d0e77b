//! What a client needs to know from its user.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use fusion_mix::verify::RevealRejected;
use fusion_nn::layers::LaneTerms;

use crate::clock::{Clock, SystemClock};

/// From this round trip on a lane waits for the network for a good part of its time.
const LONG_ROUND_TRIP: Duration = Duration::from_millis(10);

/// How many lanes `cores` cores are kept busy by, over a link of this round trip: two per core,
/// four where a round trip takes 10 ms or more.
#[must_use]
pub fn lanes_for(cores: usize, round_trip: Duration) -> usize {
    let per_core = if round_trip >= LONG_ROUND_TRIP { 4 } else { 2 };
    per_core * cores.max(1)
}

/// The terms of lanes over a link of this round trip: few bits on a long one.
#[must_use]
pub fn terms_for(round_trip: Duration) -> LaneTerms {
    if round_trip >= LONG_ROUND_TRIP { LaneTerms::LONG_LINK } else { LaneTerms::SHORT_LINK }
}

/// Everything that a client needs to know from its user.
#[derive(Clone)]
pub struct ClientSettings {
    /// The server: address, TLS, token, time limits.
    pub connection: fusion_net::ClientSettings,
    /// Directory of what is remembered between runs: hints, known models, the audit tally.
    pub home: PathBuf,
    /// Pinned hint digest, hexadecimal: anything else is refused.
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
    /// Lane runs that may fail before the server counts as unavailable.
    pub max_failures: u32,
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
            pin: None,
            lanes: None,
            terms: None,
            lane_samples: None,
            cores: 2,
            max_failures: 8,
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
            .field("pin", &self.pin)
            .field("lanes", &self.lanes)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_links_take_more_lanes() {
        assert_eq!(lanes_for(2, Duration::ZERO), 4);
        assert_eq!(lanes_for(2, Duration::from_millis(40)), 8);
        assert_eq!(lanes_for(0, Duration::ZERO), 2);
    }

    #[test]
    fn long_links_carry_fewer_bits() {
        assert_eq!(terms_for(Duration::from_millis(1)), LaneTerms::SHORT_LINK);
        assert_eq!(terms_for(Duration::from_millis(40)), LaneTerms::LONG_LINK);
    }
}
