//! What a server has done so far, counted.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::error::NetError;
use crate::limit_name::LimitName;
use fusion_ring::channel::Traffic;

/// Why a lane failed, as far as it matters to an operator.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum LaneFault {
    /// The client broke the protocol.
    Client,
    /// The client went away or fell silent.
    Lost,
    /// The lane reached a limit while it ran.
    Limit,
    /// The server was told to stop.
    Stopped,
    /// This server failed; its log says why.
    Server,
}

impl LaneFault {
    /// A name for monitoring.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Lost => "lost",
            Self::Limit => "limit",
            Self::Stopped => "stopped",
            Self::Server => "server",
        }
    }

    fn of(error: &NetError) -> Self {
        match error {
            NetError::PeerMisbehaved(_) | NetError::Rejected(_) => Self::Client,
            NetError::Closed | NetError::Timeout { .. } | NetError::Unreachable { .. } | NetError::Transport(_) => Self::Lost,
            NetError::Limit { .. } | NetError::LaneTooLarge { .. } => Self::Limit,
            NetError::ShuttingDown => Self::Stopped,
            NetError::Mismatch(_)
            | NetError::Unauthenticated
            | NetError::PeerFailed(_)
            | NetError::Stopped(_)
            | NetError::Settings(_)
            | NetError::Disk { .. } => Self::Server,
        }
    }
}

/// What a server has done since it started. Everything only grows, but for what is running or open
/// now.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counters {
    /// Lanes that run now.
    pub lanes_running: u64,
    /// Bytes of [`Limits::memory`](crate::Limits::memory) that they were admitted with.
    pub lane_memory: u64,
    /// Lanes that were admitted and given to the handler.
    pub lanes_begun: u64,
    /// Lanes that ended without an error.
    pub lanes_done: u64,
    /// Lanes that ended with one, by why.
    pub lanes_failed: BTreeMap<LaneFault, u64>,
    /// Samples of the lanes that ended without an error.
    pub samples_done: u64,
    /// Payload bytes from clients, of lanes that have ended.
    pub received_bytes: u64,
    /// Payload bytes to clients, of lanes that have ended.
    pub sent_bytes: u64,
    /// Hint downloads that run now.
    pub hints_running: u64,
    /// Bytes of hints and other public files that were handed to the transport.
    pub hint_bytes: u64,
    /// Calls, connections and lanes in progress that a limit refused or ended, by its name.
    pub refusals: BTreeMap<LimitName, u64>,
    /// Calls with a wrong bearer token.
    pub wrong_tokens: u64,
    /// Connections that are open now.
    pub connections_open: u64,
    /// Connections that were accepted, those closed at once included.
    pub connections_accepted: u64,
    /// Connections that were closed at once for lack of room.
    pub connections_refused: u64,
    /// Connections that were closed for being silent or slow, or to make room for others.
    pub connections_cut: u64,
    /// Errors of the listening socket, such as too many open files.
    pub accept_errors: u64,
}

/// The counters of a running server.
#[derive(Debug, Default)]
pub(super) struct Tally(Mutex<Counters>);

impl Tally {
    /// Changes the counters; they are read and written together, so that a snapshot is consistent.
    pub(super) fn add(&self, change: impl FnOnce(&mut Counters)) {
        change(&mut self.lock());
    }

    pub(super) fn snapshot(&self) -> Counters {
        self.lock().clone()
    }

    /// A call that was refused.
    pub(super) fn refused(&self, error: &NetError) {
        if let NetError::Limit { limit, .. } | NetError::LaneTooLarge { limit, .. } = error {
            self.reached(*limit);
        }
    }

    /// A limit that was reached.
    pub(super) fn reached(&self, limit: LimitName) {
        self.add(|counters| *counters.refusals.entry(limit).or_default() += 1);
    }

    /// A lane that ended.
    pub(super) fn lane_ended(&self, samples: u32, traffic: Traffic, outcome: &Result<(), NetError>) {
        self.add(|counters| {
            counters.received_bytes += traffic.received;
            counters.sent_bytes += traffic.sent;
            match outcome {
                Ok(()) => {
                    counters.lanes_done += 1;
                    counters.samples_done += u64::from(samples);
                }
                Err(error) => *counters.lanes_failed.entry(LaneFault::of(error)).or_default() += 1,
            }
        });
        if let Err(error) = outcome {
            self.refused(error);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Counters> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
