//! Calls that wait for a server.

use std::time::Duration;

use fusion_net::NetError;

use crate::client::pace::{Pace, Then};
use crate::client::run_error::{FailureKind, kind_of_call};
use crate::clock::Clock;
use crate::event::{Event, Events};

/// Makes `call` again, as long as it fails because the server is away or has no room, and no longer
/// than `patience`.
///
/// # Errors
/// That of the last call.
pub(super) fn patiently<T>(
    clock: &dyn Clock,
    patience: Duration,
    events: &mut Events<'_>,
    mut call: impl FnMut(&mut Events<'_>) -> Result<T, NetError>,
) -> Result<T, NetError> {
    let mut pace = Pace::new(1, patience);
    loop {
        let begun = pace.begin();
        let error = match call(events) {
            Ok(done) => return Ok(done),
            Err(error) => error,
        };
        let then = match kind_of_call(&error) {
            FailureKind::Outage => pace.lost(clock.now(), begun, clock.jitter()),
            FailureKind::Busy { retry_after } => pace.refused(clock.now(), begun, retry_after, clock.jitter()),
            FailureKind::Misbehaviour | FailureKind::Final => return Err(error),
        };
        match then {
            Then::GiveUp => return Err(error),
            Then::Wait { at_most } => events(Event::Waiting { why: &error, at_most }),
            Then::Again => {}
        }
        clock.sleep(pace.wait(clock.now()).unwrap_or_default());
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;
    use crate::event::silent;

    /// Milliseconds that pass only by sleeping.
    #[derive(Default)]
    struct MadeUp(AtomicU64);

    impl Clock for MadeUp {
        fn now(&self) -> Duration {
            Duration::from_millis(self.0.load(Ordering::Relaxed))
        }
        fn sleep(&self, pause: Duration) {
            self.0.fetch_add((pause.as_millis() as u64).max(1), Ordering::Relaxed);
        }
        fn jitter(&self) -> f64 {
            1.0
        }
    }

    fn gone() -> NetError {
        NetError::Unreachable { address: "h:1".to_owned(), reason: "refused".to_owned() }
    }

    #[test]
    fn a_server_that_comes_back_in_time_is_waited_for_and_the_user_told_once() {
        let clock = MadeUp::default();
        let (tries, told) = (Cell::new(0), Cell::new(0));
        let mut events = |event: Event<'_>| {
            assert!(matches!(event, Event::Waiting { why: NetError::Unreachable { .. }, at_most } if at_most == Duration::from_secs(3)));
            told.set(told.get() + 1);
        };
        let back = patiently(&clock, Duration::from_secs(3), &mut events, |_| {
            tries.set(tries.get() + 1);
            if clock.now() < Duration::from_secs(1) { Err(gone()) } else { Ok(7) }
        });
        // After 0, 250, 750 and 1750 milliseconds.
        assert_eq!((back, tries.get(), told.get()), (Ok(7), 4, 1));
    }

    #[test]
    fn a_server_that_stays_away_is_not_and_what_cannot_change_ends_at_once() {
        let clock = MadeUp::default();
        assert_eq!(patiently(&clock, Duration::from_secs(3), &mut silent, |_| Err::<(), _>(gone())), Err(gone()));
        assert_eq!(clock.now(), Duration::from_secs(3));
        assert_eq!(patiently(&clock, Duration::ZERO, &mut silent, |_| Err::<(), _>(gone())), Err(gone()));
        assert_eq!(
            patiently(&clock, Duration::MAX, &mut silent, |_| Err::<(), _>(NetError::Unauthenticated)),
            Err(NetError::Unauthenticated)
        );
        assert_eq!(clock.now(), Duration::from_secs(3));
    }
}
