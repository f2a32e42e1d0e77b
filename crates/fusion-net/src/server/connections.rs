//! The open connections of a server: which may come in, which must go, and when.
//!
//! A connection is *silent* until its first request is answered, and *idle* while no request is in
//! progress; both are closed in time. It *works* while a lane or a download runs on it, which have
//! limits of their own. Whatever does not work makes room when there is none: else requests that
//! are begun and never ended would keep others out.
//!
//! Who makes room is chosen so that nobody can keep others out by holding many: it is a connection
//! of the origin that has most, silent ones before answered ones, the oldest first. An origin whose
//! own connections all work takes room only from origins that have more than it. And some room is
//! kept for origins from which a client has been let in before ([`Known`]).

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;
use std::time::{Duration, Instant};

use super::counters::{Counters, Tally};
use super::known::Known;
use super::origin::Origin;
use super::throttle::Throttle;
use crate::limit_name::LimitName;
use crate::limits::Limits;

/// Bytes per second at which a client that reads the rest of an answer counts as busy.
const READING_RATE: u64 = 64 << 10;

/// All connections.
pub(super) struct Connections {
    limits: Limits,
    tally: Arc<Tally>,
    log: Throttle,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    next: u64,
    open: BTreeMap<u64, Handle>,
    known: Known,
}

impl std::fmt::Debug for Connections {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connections").finish_non_exhaustive()
    }
}

impl Connections {
    pub(super) fn new(limits: Limits, tally: Arc<Tally>) -> Self {
        Self { limits, tally, log: Throttle::default(), state: Mutex::default() }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a new connection in, at the cost of another one if need be; `None` if it must go.
    pub(super) fn admit(&self, peer: SocketAddr) -> Option<Handle> {
        let now = Instant::now();
        let origin = Origin::of(peer.ip());
        self.tally.add(|counters| counters.connections_accepted += 1);
        let mut state = self.lock();
        while let Some(limit) = self.in_the_way(&state, origin, now) {
            let Some(victim) = victim(&state, origin, limit, now) else {
                drop(state);
                self.tally.add(|counters| counters.connections_refused += 1);
                self.tally.reached(limit);
                self.tell(peer, limit, "a connection was refused");
                return None;
            };
            if let Some(handle) = state.open.remove(&victim) {
                handle.cut();
                self.cut(&handle, limit);
            }
        }
        let id = state.next;
        state.next += 1;
        let handle = Handle(Arc::new(Shared { id, peer, origin, written: AtomicU64::new(0), life: Mutex::new(Life::new(now)) }));
        state.open.insert(id, handle.clone());
        Some(handle)
    }

    /// Which limit leaves no room for one more connection from `origin`.
    fn in_the_way(&self, state: &State, origin: Origin, now: Instant) -> Option<LimitName> {
        if state.of(origin) >= self.limits.connections_per_address as usize {
            return Some(LimitName::ConnectionsPerAddress);
        }
        if state.open.len() >= self.limits.connections_total as usize {
            return Some(LimitName::ConnectionsTotal);
        }
        if state.known.contains(origin, now) {
            return None;
        }
        let strangers = state.open.values().filter(|handle| !state.known.contains(handle.origin(), now)).count();
        let room = self.limits.connections_total - self.limits.connections_reserved;
        (strangers >= room as usize).then_some(LimitName::ConnectionsReserved)
    }

    /// The connection is gone.
    pub(super) fn closed(&self, handle: &Handle) {
        self.lock().open.remove(&handle.0.id);
    }

    /// Notes that a connection was or is about to be closed from this side.
    pub(super) fn cut(&self, handle: &Handle, limit: LimitName) {
        self.tally.add(|counters| counters.connections_cut += 1);
        self.tally.reached(limit);
        self.tell(handle.peer(), limit, "a connection that did nothing was closed");
    }

    fn tell(&self, peer: SocketAddr, limit: LimitName, what: &str) {
        if let Some(more) = self.log.pass() {
            tracing::warn!(%peer, %limit, more, "{what}");
        }
    }

    /// A client from there was let in.
    pub(super) fn remember(&self, origin: Origin) {
        self.lock().known.remember(origin, Instant::now());
    }

    /// Whether a client from there was let in before.
    pub(super) fn knows(&self, origin: Origin) -> bool {
        self.lock().known.contains(origin, Instant::now())
    }

    /// What is open now.
    pub(super) fn count(&self, counters: &mut Counters) {
        counters.connections_open = self.lock().open.len() as u64;
    }

    /// When the connection must be closed if nothing changes, and why.
    pub(super) fn due(&self, handle: &Handle, now: Instant) -> (Instant, LimitName) {
        let Limits { first_request, connection_idle, .. } = self.limits;
        let life = handle.lock();
        match life.phase {
            Phase::Silent { since } => (since + first_request, LimitName::FirstRequest),
            Phase::Answered if life.busy > 0 => (now + connection_idle, LimitName::ConnectionIdle),
            Phase::Answered => {
                // What a slow reader has taken of the last answer counts as time not idle.
                let bytes = handle.0.written.load(Ordering::Relaxed).saturating_sub(life.written_then);
                let credit = Duration::from_secs_f64(bytes as f64 / READING_RATE as f64);
                ((life.idle_since + credit).min(now) + connection_idle, LimitName::ConnectionIdle)
            }
        }
    }
}

impl State {
    fn of(&self, origin: Origin) -> usize {
        self.open.values().filter(|handle| handle.origin() == origin).count()
    }
}

/// Whose connection makes room for one more from `origin`.
fn victim(state: &State, origin: Origin, limit: LimitName, now: Instant) -> Option<u64> {
    let mut holds: BTreeMap<Origin, usize> = BTreeMap::new();
    state.open.values().for_each(|handle| *holds.entry(handle.origin()).or_default() += 1);
    let own = holds.get(&origin).copied().unwrap_or_default();
    let stranger = !state.known.contains(origin, now);
    let may = |other: Origin| {
        other == origin
            || limit != LimitName::ConnectionsPerAddress && holds[&other] > own && !(stranger && state.known.contains(other, now))
    };
    let candidates = state.open.iter().filter(|(_, handle)| may(handle.origin()));
    let ranked = candidates.filter_map(|(&id, handle)| {
        let (answered, since) = handle.resting()?;
        Some(((std::cmp::Reverse(holds[&handle.origin()]), answered, since), id))
    });
    ranked.min().map(|(_, id)| id)
}

/// One connection, for whoever serves it. Cheap to clone.
#[derive(Clone)]
pub(super) struct Handle(Arc<Shared>);

struct Shared {
    id: u64,
    peer: SocketAddr,
    origin: Origin,
    /// Bytes that the socket has taken.
    written: AtomicU64,
    life: Mutex<Life>,
}

struct Life {
    phase: Phase,
    /// Requests in progress.
    busy: u32,
    /// Lanes and downloads among them.
    working: u32,
    idle_since: Instant,
    /// `written` when the last request ended.
    written_then: u64,
    /// Whether a client has shown the right token here.
    authorized: bool,
    cut: bool,
    waker: Option<Waker>,
}

enum Phase {
    Silent { since: Instant },
    Answered,
}

impl Life {
    fn new(now: Instant) -> Self {
        let phase = Phase::Silent { since: now };
        Self { phase, busy: 0, working: 0, idle_since: now, written_then: 0, authorized: false, cut: false, waker: None }
    }
}

impl Handle {
    fn lock(&self) -> MutexGuard<'_, Life> {
        self.0.life.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn peer(&self) -> SocketAddr {
        self.0.peer
    }

    pub(super) fn origin(&self) -> Origin {
        self.0.origin
    }

    /// A request is in progress until the guard is dropped.
    pub(super) fn begin(&self) -> Busy {
        self.lock().busy += 1;
        Busy { handle: self.clone(), works: false }
    }

    /// A lane or a download is in progress until the guard is dropped.
    pub(super) fn work(&self) -> Busy {
        let mut life = self.lock();
        life.busy += 1;
        life.working += 1;
        Busy { handle: self.clone(), works: true }
    }

    /// A request was answered: the connection is silent no longer.
    pub(super) fn answered(&self) {
        self.lock().phase = Phase::Answered;
    }

    pub(super) fn authorize(&self) {
        self.lock().authorized = true;
    }

    pub(super) fn is_authorized(&self) -> bool {
        self.lock().authorized
    }

    pub(super) fn wrote(&self, bytes: usize) {
        self.0.written.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// Whether the connection was told to go; else `waker` is woken when it is.
    pub(super) fn is_cut(&self, waker: &Waker) -> bool {
        let mut life = self.lock();
        if !life.cut && !life.waker.as_ref().is_some_and(|known| known.will_wake(waker)) {
            life.waker = Some(waker.clone());
        }
        life.cut
    }

    fn cut(&self) {
        let mut life = self.lock();
        life.cut = true;
        if let Some(waker) = life.waker.take() {
            waker.wake();
        }
    }

    /// Whether a first request was answered, and since when nothing has come to an end; `None`
    /// while the connection works.
    fn resting(&self) -> Option<(bool, Instant)> {
        let life = self.lock();
        let (answered, since) = match life.phase {
            Phase::Silent { since } => (false, since),
            Phase::Answered => (true, life.idle_since),
        };
        (life.working == 0).then_some((answered, since))
    }
}

/// A request in progress.
pub(super) struct Busy {
    handle: Handle,
    works: bool,
}

impl Drop for Busy {
    fn drop(&mut self) {
        let mut life = self.handle.lock();
        life.busy -= 1;
        life.working -= u32::from(self.works);
        life.idle_since = Instant::now();
        life.written_then = self.handle.0.written.load(Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(total: u32, per_address: u32, reserved: u32) -> Connections {
        let limits =
            Limits { connections_total: total, connections_per_address: per_address, connections_reserved: reserved, ..Limits::default() };
        Connections::new(limits, Arc::default())
    }

    fn from(n: u8) -> SocketAddr {
        ([10, 0, 0, n], 1).into()
    }

    fn is_cut(handle: &Handle) -> bool {
        handle.is_cut(Waker::noop())
    }

    fn working(handle: &Handle) -> Busy {
        handle.answered();
        handle.work()
    }

    #[test]
    fn an_address_that_holds_all_it_may_loses_its_oldest_silent_connection() {
        let table = table(100, 3, 0);
        let all: Vec<_> = (0..3).map(|_| table.admit(from(1)).unwrap()).collect();
        let _working = working(&all[0]);
        all[1].answered();
        // Begun and never ended: no reason to stay.
        let _requests = [all[1].begin(), all[2].begin()];
        let fourth = table.admit(from(1)).unwrap();
        assert_eq!(all.iter().map(is_cut).collect::<Vec<_>>(), [false, false, true], "silent before answered, and never one that works");
        let _more = [working(&all[1]), working(&fourth)];
        assert!(table.admit(from(1)).is_none());
        assert!(table.admit(from(2)).is_some());
        let mut counters = table.tally.snapshot();
        table.count(&mut counters);
        assert_eq!((counters.connections_open, counters.connections_cut, counters.connections_refused), (4, 1, 1));
    }

    #[test]
    fn a_newcomer_takes_the_room_of_whoever_holds_most() {
        let table = table(6, 5, 0);
        let greedy: Vec<_> = (0..5).map(|_| table.admit(from(1)).unwrap()).collect();
        let modest = table.admit(from(2)).unwrap();
        assert!(table.admit(from(3)).is_some());
        assert!(is_cut(&greedy[0]) && !is_cut(&modest));
        // Nobody takes from one who holds no more, and the greedy one replaces its own.
        assert!(table.admit(from(1)).is_some());
        assert!(is_cut(&greedy[1]) && !is_cut(&modest));
        let _all: Vec<_> = table.lock().open.values().filter(|h| h.origin() == greedy[0].origin()).map(working).collect();
        assert!(table.admit(from(1)).is_none());
        // One who holds nothing takes even from one who holds one: else many addresses with one
        // silent connection each would keep everybody out.
        assert!(table.admit(from(4)).is_some());
        assert!(is_cut(&modest));
    }

    #[test]
    fn strangers_leave_room_for_those_who_were_let_in() {
        let table = table(8, 8, 3);
        let known = table.admit(from(1)).unwrap();
        table.remember(known.origin());
        let strangers: Vec<_> = (10..15).map(|n| table.admit(from(n)).unwrap()).collect();
        let _working: Vec<_> = strangers.iter().map(working).collect();
        assert!(table.admit(from(20)).is_none());
        let more = [table.admit(from(1)).unwrap(), table.admit(from(1)).unwrap()];
        // The total is reached. A stranger takes none of these, idle as they are.
        assert!(table.admit(from(21)).is_none());
        assert!(!is_cut(&known) && !more.iter().any(is_cut));
        assert!(table.admit(from(1)).is_some());
        assert!(is_cut(&known));
    }

    #[test]
    fn a_connection_is_due_by_what_it_does() {
        let table = table(8, 8, 0);
        let handle = table.admit(from(1)).unwrap();
        let now = Instant::now();
        let due = |later: Duration| {
            let (at, why) = table.due(&handle, now + later);
            (at.saturating_duration_since(now).as_secs_f64().round() as u64, why)
        };
        // A request in progress does not lengthen the time for the first answer.
        let first = handle.begin();
        assert_eq!(due(Duration::from_secs(9)), (15, LimitName::FirstRequest));
        handle.answered();
        assert_eq!(due(Duration::from_secs(900)), (960, LimitName::ConnectionIdle));
        drop(first);
        assert_eq!(due(Duration::from_secs(9)), (60, LimitName::ConnectionIdle));
        handle.wrote(64 << 14);
        assert_eq!(due(Duration::from_secs(9)), (69, LimitName::ConnectionIdle));
        assert_eq!(due(Duration::from_secs(40)), (76, LimitName::ConnectionIdle));
    }
}
