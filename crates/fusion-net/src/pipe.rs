//! A bounded queue of bytes between a computing thread (blocking, with deadlines) and a transport
//! task (async).

use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};

use crate::error::NetError;

/// Neighbouring chunks that wait are merged while their total length is below this. So a link that
/// is slower than the computing thread gets large frames, however often that thread flushes, and a
/// faster one gets every chunk at once. Many tiny frames of a peer cost no more than their bytes,
/// and ours do not trigger the peer's guard against tiny HTTP/2 frames.
const MERGE_BELOW: usize = 64 << 10;

/// How the queue ended: in order, or by an error.
pub(crate) type End = Result<(), NetError>;

/// What a blocking call of a [`Pipe`] came to.
#[derive(Debug)]
pub(crate) enum Waited<T> {
    Ready(T),
    Ended(End),
    TimedOut,
}

/// A bounded queue of bytes; see the module.
///
/// A push is accepted whole whenever less than `capacity` bytes wait, so a pipe holds at most
/// `capacity` plus one push.
pub(crate) struct Pipe {
    state: Mutex<State>,
    changed: Condvar,
    capacity: usize,
}

#[derive(Default)]
struct State {
    queue: VecDeque<Bytes>,
    bytes: usize,
    end: Option<End>,
    /// When the last chunk that was queued was taken.
    emptied: Option<Instant>,
    popper: Option<Waker>,
    pusher: Option<Waker>,
}

impl State {
    fn append(&mut self, chunk: Bytes) {
        self.bytes += chunk.len();
        match self.queue.back_mut() {
            Some(last) if last.len() + chunk.len() < MERGE_BELOW => {
                let mut merged = BytesMut::from(std::mem::take(last));
                merged.extend_from_slice(&chunk);
                *last = merged.freeze();
            }
            Some(_) | None => self.queue.push_back(chunk),
        }
    }

    /// What was queued before the end is still delivered.
    fn take(&mut self) -> Option<Result<Bytes, End>> {
        if let Some(chunk) = self.queue.pop_front() {
            self.bytes -= chunk.len();
            self.emptied = self.queue.is_empty().then(Instant::now);
            return Some(Ok(chunk));
        }
        self.end.clone().map(Err)
    }

    fn wake_all(&mut self) {
        for waker in [self.popper.take(), self.pusher.take()].into_iter().flatten() {
            waker.wake();
        }
    }
}

impl Pipe {
    pub(crate) fn new(capacity: usize) -> Arc<Self> {
        Arc::new(Self { state: Mutex::default(), changed: Condvar::new(), capacity })
    }

    // Every update of the state is complete when its guard drops, so the state is sound even if a
    // thread panicked.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends the queue; what is queued stays to be read. The first end counts.
    pub(crate) fn close(&self, end: End) {
        let mut state = self.lock();
        if state.end.is_none() {
            state.end = Some(end);
            state.wake_all();
            self.changed.notify_all();
        }
    }

    /// Ends the queue and throws away what is queued.
    pub(crate) fn abort(&self, error: NetError) {
        let mut state = self.lock();
        state.queue.clear();
        state.bytes = 0;
        if state.end.is_none() {
            state.end = Some(Err(error));
        }
        state.wake_all();
        self.changed.notify_all();
    }

    /// Queues a chunk, waiting for room until `deadline`.
    pub(crate) fn push_blocking(&self, chunk: Bytes, deadline: Instant) -> Waited<()> {
        let mut state = self.lock();
        loop {
            if let Some(end) = &state.end {
                return Waited::Ended(end.clone());
            }
            if state.bytes < self.capacity {
                state.append(chunk);
                if let Some(waker) = state.popper.take() {
                    waker.wake();
                }
                return Waited::Ready(());
            }
            let Some(left) = deadline.checked_duration_since(Instant::now()).filter(|left| !left.is_zero()) else {
                return Waited::TimedOut;
            };
            state = self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// The next chunk, waiting for it until `deadline`.
    pub(crate) fn pop_blocking(&self, deadline: Instant) -> Waited<Bytes> {
        let mut state = self.lock();
        loop {
            match state.take() {
                Some(Ok(chunk)) => {
                    if let Some(waker) = state.pusher.take() {
                        waker.wake();
                    }
                    return Waited::Ready(chunk);
                }
                Some(Err(end)) => return Waited::Ended(end),
                None => {}
            }
            let Some(left) = deadline.checked_duration_since(Instant::now()).filter(|left| !left.is_zero()) else {
                return Waited::TimedOut;
            };
            state = self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// How long after `start` there was something to take.
    pub(crate) fn busy_since(&self, start: Instant) -> Duration {
        let state = self.lock();
        match state.emptied {
            _ if !state.queue.is_empty() => start.elapsed(),
            Some(emptied) => emptied.saturating_duration_since(start),
            None => Duration::ZERO,
        }
    }

    /// How the queue ended, waiting for it until `deadline`; queued chunks are not looked at.
    pub(crate) fn end_blocking(&self, deadline: Instant) -> Option<End> {
        let mut state = self.lock();
        loop {
            if let Some(end) = &state.end {
                return Some(end.clone());
            }
            let left = deadline.checked_duration_since(Instant::now()).filter(|left| !left.is_zero())?;
            state = self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Queues a chunk and then waits for room. `false`: the queue has ended, stop.
    pub(crate) async fn push(&self, chunk: Bytes) -> bool {
        {
            let mut state = self.lock();
            if state.end.is_some() {
                return false;
            }
            state.append(chunk);
            self.changed.notify_all();
        }
        poll_fn(|context| {
            let mut state = self.lock();
            if state.end.is_some() {
                return Poll::Ready(false);
            }
            if state.bytes < self.capacity {
                return Poll::Ready(true);
            }
            state.pusher = Some(context.waker().clone());
            Poll::Pending
        })
        .await
    }

    /// The next chunk for the transport, or how the queue ended.
    pub(crate) fn poll_pop(&self, context: &mut Context<'_>) -> Poll<Result<Bytes, End>> {
        let mut state = self.lock();
        match state.take() {
            Some(taken) => {
                self.changed.notify_all();
                Poll::Ready(taken)
            }
            None => {
                state.popper = Some(context.waker().clone());
                Poll::Pending
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn soon() -> Instant {
        Instant::now() + Duration::from_millis(20)
    }

    #[test]
    fn a_full_pipe_makes_the_thread_wait_and_lets_it_go_on() {
        let pipe = Pipe::new(100_000);
        assert!(matches!(pipe.push_blocking(Bytes::from(vec![0; 99_999]), soon()), Waited::Ready(())));
        assert!(matches!(pipe.push_blocking(Bytes::from(vec![1; 50_000]), soon()), Waited::Ready(())));
        assert!(matches!(pipe.push_blocking(Bytes::from(vec![2; 1]), soon()), Waited::TimedOut));
        assert!(matches!(pipe.pop_blocking(soon()), Waited::Ready(chunk) if chunk.len() == 99_999));
        assert!(matches!(pipe.push_blocking(Bytes::from(vec![2; 1]), soon()), Waited::Ready(())));
    }

    #[test]
    fn tiny_chunks_are_merged_in_order() {
        let pipe = Pipe::new(1 << 20);
        for i in 0..10_000u32 {
            let pushed = pipe.push_blocking(Bytes::copy_from_slice(&i.to_le_bytes()), soon());
            assert!(matches!(pushed, Waited::Ready(())));
        }
        pipe.close(Ok(()));
        let mut all = Vec::new();
        let mut chunks = 0;
        while let Waited::Ready(chunk) = pipe.pop_blocking(soon()) {
            all.extend_from_slice(&chunk);
            chunks += 1;
        }
        assert_eq!(all, (0..10_000u32).flat_map(u32::to_le_bytes).collect::<Vec<_>>());
        assert!(chunks <= 12, "{chunks} chunks");
    }

    #[test]
    fn closing_keeps_what_is_queued_and_aborting_does_not() {
        for (abort, expected) in [(false, 3), (true, 0)] {
            let pipe = Pipe::new(100);
            assert!(matches!(pipe.push_blocking(Bytes::from_static(b"abc"), soon()), Waited::Ready(())));
            if abort {
                pipe.abort(NetError::Closed);
            } else {
                pipe.close(Err(NetError::Closed));
            }
            pipe.close(Ok(()));
            let mut read = 0;
            let end = loop {
                match pipe.pop_blocking(soon()) {
                    Waited::Ready(chunk) => read += chunk.len(),
                    Waited::Ended(end) => break end,
                    Waited::TimedOut => panic!("the pipe has ended"),
                }
            };
            assert_eq!((read, end), (expected, Err(NetError::Closed)));
            assert!(matches!(pipe.push_blocking(Bytes::from_static(b"d"), soon()), Waited::Ended(Err(NetError::Closed))));
        }
    }

    #[test]
    fn a_task_waits_for_room_and_a_thread_frees_it() {
        let pipe = Pipe::new(4);
        let reader = Arc::clone(&pipe);
        let thread = std::thread::spawn(move || {
            let mut total = 0;
            while let Waited::Ready(chunk) = reader.pop_blocking(Instant::now() + Duration::from_secs(20)) {
                total += chunk.len();
            }
            total
        });
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            for _ in 0..1000 {
                assert!(pipe.push(Bytes::from_static(&[7; 8])).await);
            }
            pipe.close(Ok(()));
            assert!(!pipe.push(Bytes::from_static(&[7; 8])).await);
        });
        assert_eq!(thread.join().unwrap(), 8000);
    }
}
