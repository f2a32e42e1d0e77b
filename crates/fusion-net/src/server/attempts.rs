//! Wrong bearer tokens, by where they come from.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::origin::Origin;

/// Wrong tokens that an origin may present in one window.
pub(super) const ALLOWED: u32 = 10;

/// How long wrong tokens are remembered.
const WINDOW: Duration = Duration::from_secs(60);

/// Origins that are remembered; beyond it the one that began longest ago is forgotten.
const ORIGINS: usize = 4096;

/// Who presented wrong tokens in the last minute.
#[derive(Debug, Default)]
pub(super) struct Attempts(Mutex<HashMap<Origin, Window>>);

#[derive(Debug, Clone, Copy)]
struct Window {
    began: Instant,
    wrong: u32,
}

impl Window {
    fn left(&self, now: Instant) -> Duration {
        WINDOW.saturating_sub(now.saturating_duration_since(self.began))
    }
}

impl Attempts {
    /// How long nothing that `origin` presents is looked at, if it has guessed too often.
    pub(super) fn blocked(&self, origin: Origin, now: Instant) -> Option<Duration> {
        let windows = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let window = windows.get(&origin)?;
        (window.wrong >= ALLOWED).then(|| window.left(now)).filter(|left| !left.is_zero())
    }

    /// Notes a wrong token; returns how many there were in this window.
    pub(super) fn wrong(&self, origin: Origin, now: Instant) -> u32 {
        let mut windows = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !windows.contains_key(&origin) && windows.len() >= ORIGINS {
            windows.retain(|_, window| !window.left(now).is_zero());
            if windows.len() >= ORIGINS
                && let Some(oldest) = windows.iter().min_by_key(|(_, window)| window.began).map(|(&origin, _)| origin)
            {
                windows.remove(&oldest);
            }
        }
        let window = windows.entry(origin).or_insert(Window { began: now, wrong: 0 });
        if window.left(now).is_zero() {
            *window = Window { began: now, wrong: 0 };
        }
        window.wrong = window.wrong.saturating_add(1);
        window.wrong
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origin(n: u32) -> Origin {
        Origin::of(std::net::Ipv4Addr::from(n).into())
    }

    #[test]
    fn ten_guesses_a_minute_and_no_more() {
        let (attempts, start) = (Attempts::default(), Instant::now());
        for n in 1..=ALLOWED {
            assert_eq!(attempts.blocked(origin(1), start), None);
            assert_eq!(attempts.wrong(origin(1), start), n);
        }
        assert_eq!(attempts.blocked(origin(1), start + Duration::from_secs(20)), Some(Duration::from_secs(40)));
        assert_eq!(attempts.blocked(origin(2), start), None);
        let later = start + WINDOW;
        assert_eq!((attempts.blocked(origin(1), later), attempts.wrong(origin(1), later)), (None, 1));
    }

    #[test]
    fn guesses_from_everywhere_take_no_more_memory() {
        let (attempts, start) = (Attempts::default(), Instant::now());
        for n in 0..2 * ORIGINS as u32 {
            attempts.wrong(origin(n), start + Duration::from_micros(u64::from(n)));
        }
        assert_eq!(attempts.0.lock().unwrap().len(), ORIGINS);
        assert!(attempts.0.lock().unwrap().contains_key(&origin(2 * ORIGINS as u32 - 1)));
    }
}
