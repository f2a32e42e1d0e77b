//! Time, handed in: what measures a run and waits between tries.

use std::hash::{BuildHasher, RandomState};
use std::time::{Duration, Instant};

/// Reads time and waits.
pub trait Clock: Send + Sync {
    /// Time since some fixed moment, which never goes back.
    fn now(&self) -> Duration;

    /// Waits.
    fn sleep(&self, pause: Duration);

    /// A part of one, another with every call, by which clients that lost the same server do not
    /// come back together. No secret depends on it.
    fn jitter(&self) -> f64 {
        RandomState::new().hash_one(0) as f64 / u64::MAX as f64
    }
}

/// The machine's own clock.
#[derive(Debug, Clone, Copy)]
pub struct SystemClock {
    start: Instant,
}

impl SystemClock {
    /// A clock that begins at zero.
    #[must_use]
    pub fn new() -> Self {
        Self { start: Instant::now() }
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Duration {
        self.start.elapsed()
    }

    fn sleep(&self, pause: Duration) {
        std::thread::sleep(pause);
    }
}
