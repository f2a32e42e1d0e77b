//! How long to wait before a call is tried again.

use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::time::Duration;

/// The first pause, and the longest.
const PAUSES: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(10));

/// A number that no other process has, where nothing depends on nobody guessing it.
pub(super) fn random() -> u64 {
    // The keys of a new state are random.
    RandomState::new().build_hasher().finish()
}

/// Pauses that grow while nothing works.
#[derive(Debug)]
pub(super) struct Pauses {
    next: Duration,
}

impl Default for Pauses {
    fn default() -> Self {
        Self { next: PAUSES.0 }
    }
}

impl Pauses {
    /// The next pause, at least what the server asked for. Longer by a random part of up to a half,
    /// so that clients who were refused together do not come back together.
    pub(super) fn next(&mut self, asked: Option<Duration>) -> Duration {
        let pause = asked.unwrap_or_default().max(self.next);
        self.next = (2 * self.next).min(PAUSES.1);
        pause + pause.mul_f64((random() >> 11) as f64 / (1u64 << 54) as f64)
    }

    /// Something worked.
    pub(super) fn reset(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_a_bound_differ_and_keep_to_what_was_asked() {
        let mut pauses = Pauses::default();
        let seen: Vec<Duration> = (0..20).map(|_| pauses.next(None)).collect();
        assert!(seen[0] >= PAUSES.0 && seen[0] <= PAUSES.0 * 3 / 2, "{seen:?}");
        assert!(seen.iter().all(|pause| *pause <= PAUSES.1 * 3 / 2) && seen[19] >= PAUSES.1, "{seen:?}");
        assert_ne!(seen[18], seen[19]);
        pauses.reset();
        assert!(pauses.next(Some(Duration::from_secs(4))) >= Duration::from_secs(4));
        assert!(pauses.next(None) < Duration::from_secs(1));
    }
}
