//! Which lanes run, for whom, and how to end them.

use std::collections::HashMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::counters::Counters;
use crate::error::NetError;
use crate::lane::LanePipes;
use crate::limit_name::LimitName;
use crate::limits::Limits;

/// Who a client is for [`Limits::lanes_per_client`].
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum ClientId {
    Certificate(crate::Digest),
    Address(std::net::IpAddr),
    Unknown,
}

/// All lanes of a server.
#[derive(Default)]
pub(crate) struct Slots {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    closing: bool,
    next: u64,
    lanes: HashMap<u64, Lane>,
    hints: u32,
}

struct Lane {
    client: ClientId,
    pipes: LanePipes,
}

impl std::fmt::Debug for Slots {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Slots").field("running", &self.running()).finish_non_exhaustive()
    }
}

impl Slots {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a slot for a lane, or says which limit forbids it.
    pub(crate) fn open(self: &Arc<Self>, client: ClientId, limits: &Limits, pipes: &LanePipes) -> Result<LaneSlot, NetError> {
        let mut state = self.lock();
        if state.closing {
            return Err(NetError::ShuttingDown);
        }
        let reached = |limit| Err(NetError::Limit { limit, retry_after: None });
        if state.lanes.len() >= limits.lanes_total as usize {
            return reached(LimitName::LanesTotal);
        }
        if state.lanes.values().filter(|lane| lane.client == client).count() >= limits.lanes_per_client as usize {
            return reached(LimitName::LanesPerClient);
        }
        let id = state.next;
        state.next += 1;
        state.lanes.insert(id, Lane { client, pipes: pipes.clone() });
        Ok(LaneSlot { slots: Arc::clone(self), id })
    }

    /// Takes a slot for a hint download.
    pub(crate) fn open_hint(self: &Arc<Self>, limits: &Limits) -> Result<HintSlot, NetError> {
        let mut state = self.lock();
        if state.hints >= limits.hints_total {
            return Err(NetError::limit(LimitName::HintsTotal));
        }
        state.hints += 1;
        Ok(HintSlot(Arc::clone(self)))
    }

    /// What runs now.
    pub(super) fn count(&self, counters: &mut Counters) {
        let state = self.lock();
        counters.lanes_running = state.lanes.len() as u64;
        counters.hints_running = u64::from(state.hints);
    }

    pub(crate) fn running(&self) -> usize {
        self.lock().lanes.len()
    }

    /// Lets no new lane in.
    pub(crate) fn close(&self) {
        self.lock().closing = true;
    }

    /// Waits until no lane runs; returns how many still do after `time`.
    pub(crate) fn wait_empty(&self, time: Duration) -> usize {
        let deadline = Instant::now() + time;
        let mut state = self.lock();
        while !state.lanes.is_empty() {
            let Some(left) = deadline.checked_duration_since(Instant::now()).filter(|left| !left.is_zero()) else { break };
            state = self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        state.lanes.len()
    }

    /// Ends every running lane.
    pub(crate) fn cancel_all(&self) {
        for lane in self.lock().lanes.values() {
            lane.pipes.abort(&NetError::ShuttingDown);
        }
    }
}

/// The right to run one lane.
pub(crate) struct LaneSlot {
    slots: Arc<Slots>,
    pub(crate) id: u64,
}

impl Drop for LaneSlot {
    fn drop(&mut self) {
        self.slots.lock().lanes.remove(&self.id);
        self.slots.changed.notify_all();
    }
}

/// The right to send one hint.
pub(crate) struct HintSlot(Arc<Slots>);

impl Drop for HintSlot {
    fn drop(&mut self) {
        self.0.lock().hints -= 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_are_counted_in_total_and_per_client_and_come_back() {
        let slots = Arc::new(Slots::default());
        let limits = Limits { lanes_total: 3, lanes_per_client: 2, ..Limits::default() };
        let client = |n| ClientId::Address(std::net::Ipv4Addr::new(10, 0, 0, n).into());
        let pipes = LanePipes::new();
        let open = |n| slots.open(client(n), &limits, &pipes);
        let first = open(1).unwrap();
        let _second = open(1).unwrap();
        assert_eq!(open(1).err(), Some(NetError::limit(LimitName::LanesPerClient)));
        let _third = open(2).unwrap();
        assert_eq!(open(2).err(), Some(NetError::limit(LimitName::LanesTotal)));
        assert_eq!(slots.wait_empty(Duration::from_millis(1)), 3);
        drop(first);
        let _fourth = open(1).unwrap();
        slots.close();
        assert_eq!(open(3).err(), Some(NetError::ShuttingDown));
    }
}
