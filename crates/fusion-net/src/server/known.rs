//! Origins from which a client was let in.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use super::origin::Origin;

/// How long an origin stays known after a client from it was last let in.
const MEMORY: Duration = Duration::from_secs(24 * 3600);

/// Origins that are remembered; beyond it the one that was seen longest ago is forgotten.
const ORIGINS: usize = 4096;

/// Origins and when a client from each was last let in.
#[derive(Debug, Default)]
pub(super) struct Known(HashMap<Origin, Instant>);

impl Known {
    pub(super) fn remember(&mut self, origin: Origin, now: Instant) {
        if !self.0.contains_key(&origin)
            && self.0.len() >= ORIGINS
            && let Some(oldest) = self.0.iter().min_by_key(|(_, seen)| **seen).map(|(&origin, _)| origin)
        {
            self.0.remove(&oldest);
        }
        self.0.insert(origin, now);
    }

    pub(super) fn contains(&self, origin: Origin, now: Instant) -> bool {
        self.0.get(&origin).is_some_and(|seen| now.saturating_duration_since(*seen) < MEMORY)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_are_forgotten_first_and_all_after_a_day() {
        let origin = |n: u32| Origin::of(std::net::Ipv4Addr::from(n).into());
        let (mut known, start) = (Known::default(), Instant::now());
        for n in 0..ORIGINS as u32 + 5 {
            known.remember(origin(n), start + Duration::from_millis(u64::from(n)));
        }
        assert_eq!(known.0.len(), ORIGINS);
        assert!(!known.contains(origin(4), start) && known.contains(origin(5), start));
        assert!(!known.contains(origin(5), start + MEMORY + Duration::from_secs(1)));
    }
}
