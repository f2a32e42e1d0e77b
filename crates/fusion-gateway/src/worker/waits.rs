//! When workers wait, and for how long.

use std::time::Duration;

use crate::shared::{ServerState, Shared};

/// How often workers look for work that nobody has told them of.
pub(super) const LOOK: Duration = Duration::from_secs(5);

/// Whether the server is to be asked nothing, since a rejected batch was not acknowledged yet. What
/// the database cannot say counts as yes.
pub(super) fn is_held(shared: &Shared) -> bool {
    match shared.store.held_by() {
        Ok(held) => held.is_some(),
        Err(error) => {
            trouble(shared, &error);
            true
        }
    }
}

/// Says that the database fails, and waits a little.
pub(super) fn trouble(shared: &Shared, error: &rusqlite::Error) {
    tracing::error!(%error, "the gateway's database fails");
    shared.server_is(ServerState::Refused, Some(format!("the gateway's database fails: {error}")));
    shared.pause(LOOK);
}

/// Waits that grow: from one second, doubled up to a bound.
pub(super) struct Backoff {
    next: Duration,
    most: Duration,
}

impl Backoff {
    pub(super) fn new(most: Duration) -> Self {
        Self { next: Duration::from_secs(1), most }
    }

    pub(super) fn pause(&mut self, shared: &Shared) {
        shared.pause(self.next);
        self.next = (2 * self.next).min(self.most);
    }
}

/// An error and what lies behind it, in one line.
pub(super) fn in_words(error: &dyn std::error::Error) -> String {
    std::iter::successors(Some(error), |error| error.source()).map(ToString::to_string).collect::<Vec<_>>().join(": ")
}
