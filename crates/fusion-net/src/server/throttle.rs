//! Log lines that a stranger can cause, few of them.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How often one kind of line is written at most.
const PAUSE: Duration = Duration::from_secs(10);

/// Lets one line through in a while, and counts the others.
#[derive(Debug, Default)]
pub(super) struct Throttle(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    last: Option<Instant>,
    held: u64,
}

impl Throttle {
    /// How many lines were held back since the last one, if one may be written now.
    pub(super) fn pass(&self) -> Option<u64> {
        let now = Instant::now();
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if state.last.is_some_and(|last| now.saturating_duration_since(last) < PAUSE) {
            state.held += 1;
            return None;
        }
        state.last = Some(now);
        Some(std::mem::take(&mut state.held))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_one_line() {
        let throttle = Throttle::default();
        assert_eq!(throttle.pass(), Some(0));
        assert!((0..1000).all(|_| throttle.pass().is_none()));
        throttle.0.lock().unwrap().last = None;
        assert_eq!(throttle.pass(), Some(1000));
    }
}
