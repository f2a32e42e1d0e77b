//! What both sides need to run the transport: its threads, and deadlines that do not overflow.

use std::time::{Duration, Instant};

use tokio::runtime::Runtime;

use crate::error::NetError;

/// Threads that move bytes; lanes have their own.
const TRANSPORT_THREADS: usize = 2;

/// A runtime for moving bytes; nothing computes on it.
pub(crate) fn runtime() -> Result<Runtime, NetError> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(TRANSPORT_THREADS)
        .thread_name("fusion-net")
        .enable_all()
        .build()
        .map_err(|error| NetError::Settings(format!("cannot start the transport: {error}")))
}

/// `time` from now, at most a century: an instant that far away can still be computed.
pub(crate) fn deadline_after(time: Duration) -> Instant {
    const CENTURY: Duration = Duration::from_secs(100 * 365 * 86_400);
    Instant::now() + time.min(CENTURY)
}
