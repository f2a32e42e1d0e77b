//! Which lanes run, for whom, and how to end them.

use std::collections::HashMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::asker::{Asker, ClientId};
use super::counters::Counters;
use super::waiting::{Durations, Kept, Waiting};
use crate::error::NetError;
use crate::lane::LanePipes;
use crate::limit_name::LimitName;
use crate::limits::Limits;

/// All lanes and hint downloads of a server.
#[derive(Default)]
pub(super) struct Slots {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    closing: bool,
    next: u64,
    lanes: HashMap<u64, Lane>,
    waiting: Waiting,
    lane_durations: Durations,
    hints: HashMap<u64, (ClientId, Instant)>,
    hint_durations: Durations,
}

struct Lane {
    asker: Asker,
    began: Instant,
    /// Memory that it was admitted with; `None` until it has said what it wants.
    bytes: Option<u64>,
    pipes: LanePipes,
}

impl std::fmt::Debug for Slots {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Slots").field("running", &self.running()).finish_non_exhaustive()
    }
}

impl State {
    fn lanes_of(&self, client: &ClientId) -> usize {
        self.lanes.values().filter(|lane| lane.asker.client == *client).count()
    }

    /// What `asker` must leave for others; its lane `except` that is about to begin does not count.
    fn kept_from(&self, asker: &Asker, except: Option<u64>, now: Instant) -> Kept {
        self.waiting.kept_from(asker, now, |client, run| {
            let lanes = self.lanes.iter().filter(|(id, _)| Some(**id) != except).map(|(_, lane)| &lane.asker);
            lanes.filter(|asker| run.map_or(asker.client == *client, |run| *asker == run)).count()
        })
    }

    fn bytes(&self) -> u64 {
        self.lanes.values().filter_map(|lane| lane.bytes).fold(0, u64::saturating_add)
    }

    /// A refusal that says when to come back, and keeps room until then.
    fn wait(&mut self, asker: &Asker, limit: LimitName, bytes: u64, now: Instant) -> NetError {
        let in_the_way = self.lanes.values().filter(|lane| limit != LimitName::LanesPerClient || lane.asker.client == asker.client);
        let wait = self.lane_durations.until_one_ends(in_the_way.map(|lane| now.saturating_duration_since(lane.began)));
        self.waiting.add(asker, bytes, wait, now);
        NetError::Limit { limit, retry_after: Some(wait) }
    }
}

impl Slots {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a slot for a lane, or says which limit forbids it and for how long.
    pub(super) fn open(self: &Arc<Self>, asker: &Asker, limits: &Limits, pipes: &LanePipes) -> Result<LaneSlot, NetError> {
        let now = Instant::now();
        let mut state = self.lock();
        if state.closing {
            return Err(NetError::ShuttingDown);
        }
        let kept = state.kept_from(asker, None, now);
        let of_client = state.lanes_of(&asker.client);
        let siblings = kept.of_client.min(limits.lanes_per_client as usize / 2);
        if state.lanes.len() + kept.lanes >= limits.lanes_total as usize {
            return Err(state.wait(asker, LimitName::LanesTotal, 0, now));
        }
        if of_client + siblings >= limits.lanes_per_client as usize {
            return Err(state.wait(asker, LimitName::LanesPerClient, 0, now));
        }
        let id = state.next;
        state.next += 1;
        let lane = Lane { asker: asker.clone(), began: now, bytes: None, pipes: pipes.clone() };
        state.lanes.insert(id, lane);
        Ok(LaneSlot { slots: Arc::clone(self), id })
    }

    /// Takes a slot for a hint download.
    pub(super) fn open_hint(self: &Arc<Self>, client: &ClientId, limits: &Limits) -> Result<HintSlot, NetError> {
        let now = Instant::now();
        let mut state = self.lock();
        let of_client = state.hints.values().filter(|(other, _)| other == client).count();
        let limit = if state.hints.len() >= limits.hints_total as usize {
            LimitName::HintsTotal
        } else if of_client >= limits.hints_per_client as usize {
            LimitName::HintsPerClient
        } else {
            let id = state.next;
            state.next += 1;
            state.hints.insert(id, (client.clone(), now));
            return Ok(HintSlot { slots: Arc::clone(self), id });
        };
        let ages = state.hints.values().map(|(_, began)| now.saturating_duration_since(*began));
        Err(NetError::Limit { limit, retry_after: Some(state.hint_durations.until_one_ends(ages)) })
    }

    /// What runs now.
    pub(super) fn count(&self, counters: &mut Counters) {
        let state = self.lock();
        counters.lanes_running = state.lanes.len() as u64;
        counters.lane_memory = state.bytes();
        counters.hints_running = state.hints.len() as u64;
    }

    pub(super) fn running(&self) -> usize {
        self.lock().lanes.len()
    }

    /// Lets no new lane in.
    pub(super) fn close(&self) {
        self.lock().closing = true;
    }

    /// Waits until no lane runs; returns how many still do after `time`.
    pub(super) fn wait_empty(&self, time: Duration) -> usize {
        let deadline = Instant::now() + time;
        let mut state = self.lock();
        while !state.lanes.is_empty() {
            let Some(left) = deadline.checked_duration_since(Instant::now()).filter(|left| !left.is_zero()) else { break };
            state = self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        state.lanes.len()
    }

    /// Ends every running lane.
    pub(super) fn cancel_all(&self) {
        for lane in self.lock().lanes.values() {
            lane.pipes.abort(&NetError::ShuttingDown);
        }
    }
}

/// The right to run one lane.
pub(super) struct LaneSlot {
    slots: Arc<Slots>,
    pub(super) id: u64,
}

impl LaneSlot {
    /// Takes the lane's memory as well, now that it is known what the lane wants: from here on the
    /// lane counts as begun.
    pub(super) fn take_memory(&self, asker: &Asker, bytes: u64, limits: &Limits) -> Result<(), NetError> {
        let now = Instant::now();
        let mut state = self.slots.lock();
        let kept = state.kept_from(asker, Some(self.id), now).bytes;
        if state.bytes().saturating_add(bytes).saturating_add(kept) > limits.memory {
            return Err(state.wait(asker, LimitName::Memory, bytes, now));
        }
        state.waiting.remove(asker);
        if let Some(lane) = state.lanes.get_mut(&self.id) {
            lane.bytes = Some(bytes);
        }
        Ok(())
    }
}

impl Drop for LaneSlot {
    fn drop(&mut self) {
        let mut state = self.slots.lock();
        if let Some(lane) = state.lanes.remove(&self.id)
            && lane.bytes.is_some()
        {
            state.lane_durations.note(lane.began.elapsed());
        }
        drop(state);
        self.slots.changed.notify_all();
    }
}

/// The right to send one hint.
pub(super) struct HintSlot {
    slots: Arc<Slots>,
    id: u64,
}

impl Drop for HintSlot {
    fn drop(&mut self) {
        let mut state = self.slots.lock();
        if let Some((_, began)) = state.hints.remove(&self.id) {
            state.hint_durations.note(began.elapsed());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::origin::Origin;

    fn asker(n: u8, run: u64) -> Asker {
        Asker { client: ClientId::Address(Origin::of([10, 0, 0, n].into())), run: Some(run) }
    }

    fn limit_of<T>(result: Result<T, NetError>) -> LimitName {
        match result.err() {
            Some(NetError::Limit { limit, retry_after: Some(wait) }) if wait >= Duration::from_millis(100) => limit,
            other => panic!("no limit that is worth waiting for: {other:?}"),
        }
    }

    #[test]
    fn slots_are_counted_in_total_and_per_client_and_come_back() {
        let slots = Arc::new(Slots::default());
        let limits = Limits { lanes_total: 3, lanes_per_client: 2, ..Limits::default() };
        let pipes = LanePipes::new();
        let open = |n| slots.open(&asker(n, 0), &limits, &pipes);
        let first = open(1).unwrap();
        let _second = open(1).unwrap();
        assert_eq!(limit_of(open(1)), LimitName::LanesPerClient);
        let _third = open(2).unwrap();
        assert_eq!(limit_of(open(2)), LimitName::LanesTotal);
        assert_eq!(slots.wait_empty(Duration::from_millis(1)), 3);
        drop(first);
        let _fourth = open(1).unwrap();
        slots.close();
        assert_eq!(open(3).err(), Some(NetError::ShuttingDown));
    }

    #[test]
    fn what_becomes_free_goes_to_who_has_least_however_often_others_ask() {
        let slots = Arc::new(Slots::default());
        let limits = Limits { lanes_total: 8, lanes_per_client: 8, ..Limits::default() };
        let pipes = LanePipes::new();
        let open = |n, run| {
            let slot = slots.open(&asker(n, run), &limits, &pipes)?;
            slot.take_memory(&asker(n, run), 0, &limits).map(|()| slot)
        };
        // One run takes everything; another run of the same address and another address wait.
        let mut greedy: Vec<_> = (0..8).map(|_| open(1, 1).unwrap()).collect();
        assert_eq!(limit_of(open(1, 2)), LimitName::LanesTotal);
        assert_eq!(limit_of(open(2, 1)), LimitName::LanesTotal);
        greedy.truncate(6);
        assert_eq!(limit_of(open(1, 1)), LimitName::LanesTotal, "both free lanes are others'");
        let _sibling = open(1, 2).unwrap();
        assert_eq!(limit_of(open(1, 1)), LimitName::LanesTotal);
        let _other = open(2, 1).unwrap();
        // Nobody waits any more who has less.
        greedy.pop();
        greedy.push(open(1, 1).unwrap());
    }

    #[test]
    fn memory_is_taken_given_back_and_waited_for() {
        let slots = Arc::new(Slots::default());
        let limits = Limits { memory: 100, ..Limits::default() };
        let pipes = LanePipes::new();
        let take = |n, bytes| {
            let slot = slots.open(&asker(n, 0), &limits, &pipes)?;
            slot.take_memory(&asker(n, 0), bytes, &limits).map(|()| slot)
        };
        let first = take(1, 60).unwrap();
        assert_eq!(limit_of(take(2, 50)), LimitName::Memory);
        // A small lane of who has one already does not slip past the large one that waits.
        assert_eq!(limit_of(take(1, 30)), LimitName::Memory);
        drop(first);
        let _second = take(2, 50).unwrap();
        let _third = take(1, 30).unwrap();
        let mut counters = Counters::default();
        slots.count(&mut counters);
        assert_eq!((counters.lanes_running, counters.lane_memory), (2, 80));
        assert_eq!(limit_of(take(3, u64::MAX)), LimitName::Memory);
    }

    #[test]
    fn one_client_does_not_take_all_downloads() {
        let slots = Arc::new(Slots::default());
        let limits = Limits { hints_total: 3, hints_per_client: 2, ..Limits::default() };
        let open = |n| slots.open_hint(&asker(n, 0).client, &limits);
        let first = open(1).unwrap();
        let _second = open(1).unwrap();
        assert_eq!(limit_of(open(1)), LimitName::HintsPerClient);
        let _third = open(2).unwrap();
        assert_eq!(limit_of(open(3)), LimitName::HintsTotal);
        drop(first);
        open(3).unwrap();
    }
}
