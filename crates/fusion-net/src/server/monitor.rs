//! Counting for another thread than that of a server's owner.

use std::sync::Arc;

use super::connections::Connections;
use super::counters::{Counters, Tally};
use super::slots::Slots;

/// The counters of a server, also while it shuts down. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Monitor {
    pub(super) slots: Arc<Slots>,
    pub(super) tally: Arc<Tally>,
    pub(super) connections: Arc<Connections>,
}

impl Monitor {
    /// What the server has done so far.
    #[must_use]
    pub fn counters(&self) -> Counters {
        let mut counters = self.tally.snapshot();
        self.slots.count(&mut counters);
        self.connections.count(&mut counters);
        counters
    }
}
