//! Sends the hint or another public file, at least at a given rate.

use std::io::{Read as _, Seek as _, SeekFrom};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::sync::mpsc::error::SendTimeoutError;
use tokio::sync::mpsc::{Receiver, Sender};
use tokio_stream::Stream;
use tonic::Status;

use super::connections::Busy;
use super::counters::Tally;
use super::slots::HintSlot;
use crate::error::NetError;
use crate::handler::HintSource;
use crate::limit_name::LimitName;
use crate::limits::Limits;
use crate::proto::HintChunk;
use crate::status::to_status;
use crate::transport::deadline_after;
use crate::tuning::HINT_CHUNK_BYTES;

/// How far a client may fall behind the least rate, in time: full at first, filled by every byte
/// that the client takes and emptied by the clock.
struct Pace {
    left: Duration,
    most: Duration,
    rate: u64,
}

impl Pace {
    fn new(rate: u64, most: Duration) -> Self {
        Self { left: most, most, rate }
    }

    /// So many bytes were taken within that time.
    fn took(&mut self, bytes: usize, time: Duration) {
        let earned = Duration::from_secs_f64(bytes as f64 / self.rate as f64);
        self.left = (self.left.saturating_sub(time) + earned).min(self.most);
    }
}

/// The rest of a file, from one offset on.
pub(super) struct HintReader {
    source: HintSource,
    next: u64,
    length: u64,
    pace: Pace,
    deadline: Instant,
    tally: Arc<Tally>,
    // Released when this is dropped.
    _held: (HintSlot, Busy),
}

impl HintReader {
    pub(super) fn new(source: HintSource, (next, length): (u64, u64), limits: &Limits, tally: Arc<Tally>, held: (HintSlot, Busy)) -> Self {
        let (pace, deadline) = (Pace::new(limits.hint_rate, limits.hint_grace), deadline_after(limits.hint));
        Self { source, next, length, pace, deadline, tally, _held: held }
    }

    /// Sends it all on a thread of its own, one message ahead of the transport.
    pub(super) fn start(self) -> HintStream {
        let (send, receive) = tokio::sync::mpsc::channel(1);
        let verdict = Arc::new(Mutex::new(None));
        let runtime = tokio::runtime::Handle::current();
        let told = Arc::clone(&verdict);
        tokio::task::spawn_blocking(move || self.run(&runtime, send, &told));
        HintStream { receive, verdict }
    }

    fn run(mut self, runtime: &tokio::runtime::Handle, send: Sender<HintChunk>, verdict: &Mutex<Option<Status>>) {
        let Err(error) = self.send_rest(runtime, &send) else { return };
        if let NetError::Limit { limit, .. } = &error {
            self.tally.reached(*limit);
            tracing::info!(%limit, sent = self.next, of = self.length, "a hint download was cut");
        } else if error != NetError::Closed {
            tracing::error!(%error, "cannot send the hint");
        }
        // Before the sender is dropped, so that the end of the stream always finds it.
        *verdict.lock().unwrap_or_else(PoisonError::into_inner) = Some(to_status(&error));
        drop(send);
    }

    fn send_rest(&mut self, runtime: &tokio::runtime::Handle, send: &Sender<HintChunk>) -> Result<(), NetError> {
        let mut file = match &self.source {
            HintSource::Memory(_) => None,
            HintSource::File(path) => {
                let mut file = std::fs::File::open(path).map_err(|error| NetError::disk(path, &error))?;
                file.seek(SeekFrom::Start(self.next)).map_err(|error| NetError::disk(path, &error))?;
                Some(file)
            }
        };
        while self.next < self.length {
            let len = (self.length - self.next).min(HINT_CHUNK_BYTES as u64) as usize;
            let data = match (&self.source, &mut file) {
                (HintSource::File(path), Some(file)) => {
                    let mut piece = vec![0; len];
                    file.read_exact(&mut piece).map_err(|error| NetError::disk(path, &error))?;
                    Bytes::from(piece)
                }
                (HintSource::Memory(bytes), _) if bytes.len() as u64 >= self.next + len as u64 => {
                    bytes.slice(self.next as usize..self.next as usize + len)
                }
                _ => return Err(NetError::PeerFailed("the hint is shorter than described".into())),
            };
            self.send(runtime, send, HintChunk { offset: self.next, data })?;
            self.next += len as u64;
            self.tally.add(|counters| counters.hint_bytes += len as u64);
        }
        Ok(())
    }

    /// Waits until the client has taken what came before.
    fn send(&mut self, runtime: &tokio::runtime::Handle, send: &Sender<HintChunk>, chunk: HintChunk) -> Result<(), NetError> {
        let (began, len) = (Instant::now(), chunk.data.len());
        let rest = self.deadline.saturating_duration_since(began);
        match runtime.block_on(send.send_timeout(chunk, self.pace.left.min(rest))) {
            Ok(()) => {
                self.pace.took(len, began.elapsed());
                Ok(())
            }
            Err(SendTimeoutError::Closed(_)) => Err(NetError::Closed),
            Err(SendTimeoutError::Timeout(_)) if rest < self.pace.left => Err(NetError::limit(LimitName::HintTime)),
            Err(SendTimeoutError::Timeout(_)) => Err(NetError::limit(LimitName::HintRate)),
        }
    }
}

/// The pieces of a hint for the transport, and how it ended.
pub(super) struct HintStream {
    receive: Receiver<HintChunk>,
    verdict: Arc<Mutex<Option<Status>>>,
}

impl Stream for HintStream {
    type Item = Result<HintChunk, Status>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        Poll::Ready(match ready!(self.receive.poll_recv(context)) {
            Some(chunk) => Some(Ok(chunk)),
            None => self.verdict.lock().unwrap_or_else(PoisonError::into_inner).take().map(Err),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_steady_reader_at_the_least_rate_goes_on_for_ever_and_a_slower_one_does_not() {
        let chunk = HINT_CHUNK_BYTES;
        let after = |seconds: u64, chunks: u32| {
            let mut pace = Pace::new(64 << 10, Duration::from_secs(30));
            (0..chunks).for_each(|_| pace.took(chunk, Duration::from_secs(seconds)));
            pace.left
        };
        // A chunk is 8 s at this rate.
        assert!(after(8, 1000) > Duration::from_secs(20));
        assert_eq!(after(10, 30), Duration::from_secs(8));
        assert_eq!(after(1, 1000), Duration::from_secs(30), "no credit beyond the average");
    }
}
