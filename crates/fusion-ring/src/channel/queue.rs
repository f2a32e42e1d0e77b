//! Bytes on their way between two threads.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use crate::channel::{ChannelError, MAX_CROSSING_BYTES};

/// Bytes from which on an end that sends has to wait: twice the crossing allowance, and what one
/// end may send is accepted whole as long as fewer wait.
const CAPACITY: usize = 2 * MAX_CROSSING_BYTES;

/// Queued bytes have no frames: whoever takes gets all that wait. So a slow reader or link gets
/// large pieces, however often the other end flushes, and a fast one gets every piece at once.
#[derive(Default)]
struct Queue {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    waiting: Vec<u8>,
    /// One of the two ends is gone.
    closed: bool,
}

impl Queue {
    // Every update of the state is complete when its guard drops, so the state is sound even if a
    // thread panicked.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'a>(&self, guard: MutexGuard<'a, State>, while_true: impl FnMut(&mut State) -> bool) -> MutexGuard<'a, State> {
        self.changed.wait_while(guard, while_true).unwrap_or_else(PoisonError::into_inner)
    }

    fn close(&self) {
        self.lock().closed = true;
        self.changed.notify_all();
    }
}

/// Connected ends of a queue.
pub(super) fn queue() -> (QueueWriter, QueueReader) {
    let queue = Arc::new(Queue::default());
    (QueueWriter(Arc::clone(&queue)), QueueReader(queue))
}

/// The end that sends; dropping it ends the queue.
pub(super) struct QueueWriter(Arc<Queue>);

impl QueueWriter {
    /// Queues `bytes`, waiting while there is no room.
    ///
    /// # Errors
    /// [`ChannelError::Closed`] if the reader is gone.
    pub(super) fn push(&self, bytes: &[u8]) -> Result<(), ChannelError> {
        let Queue { changed, .. } = &*self.0;
        let mut state = self.0.wait(self.0.lock(), |state| state.waiting.len() >= CAPACITY && !state.closed);
        if state.closed {
            return Err(ChannelError::Closed);
        }
        let idle = state.waiting.is_empty();
        state.waiting.extend_from_slice(bytes);
        drop(state);
        if idle {
            changed.notify_all();
        }
        Ok(())
    }
}

impl Drop for QueueWriter {
    fn drop(&mut self) {
        self.0.close();
    }
}

/// The end that receives; dropping it makes the writer fail.
pub(super) struct QueueReader(Arc<Queue>);

impl QueueReader {
    /// Replaces `taken` by all that waits, once there is anything. False if the writer is gone and
    /// nothing is left.
    pub(super) fn take(&self, taken: &mut Vec<u8>) -> bool {
        taken.clear();
        let mut state = self.0.wait(self.0.lock(), |state| state.waiting.is_empty() && !state.closed);
        // The two buffers change places and keep their memory for the next bytes.
        std::mem::swap(&mut state.waiting, taken);
        drop(state);
        self.0.changed.notify_all();
        !taken.is_empty()
    }
}

impl Drop for QueueReader {
    fn drop(&mut self) {
        self.0.close();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reader_gets_all_that_waits_and_then_the_end() {
        let (writer, reader) = queue();
        [&[1][..], &[2, 3], &[4]].into_iter().for_each(|bytes| writer.push(bytes).unwrap());
        let mut taken = vec![9];
        assert!(reader.take(&mut taken));
        assert_eq!(taken, [1, 2, 3, 4]);
        writer.push(&[5]).unwrap();
        drop(writer);
        assert!(reader.take(&mut taken));
        assert_eq!(taken, [5]);
        assert!(!reader.take(&mut taken) && taken.is_empty());
    }

    /// However small the pieces: a limit on their number would let two parties that flush often
    /// wait for each other for ever.
    #[test]
    fn small_pieces_wait_up_to_the_allowance() {
        let (writer, reader) = queue();
        (0..MAX_CROSSING_BYTES / 16).for_each(|_| writer.push(&[7; 16]).unwrap());
        let mut taken = Vec::new();
        assert!(reader.take(&mut taken));
        assert_eq!(taken.len(), MAX_CROSSING_BYTES);
    }

    #[test]
    fn a_full_queue_waits_for_its_reader() {
        let (writer, reader) = queue();
        writer.push(&[0; CAPACITY]).unwrap();
        let (done, is_done) = std::sync::mpsc::channel();
        let thread = std::thread::spawn(move || {
            let pushed = writer.push(&[1]);
            done.send(()).unwrap();
            pushed
        });
        assert!(is_done.recv_timeout(std::time::Duration::from_millis(200)).is_err(), "nobody has read yet");
        let mut taken = Vec::new();
        assert!(reader.take(&mut taken) && taken.len() == CAPACITY);
        assert_eq!(thread.join().unwrap(), Ok(()));
        assert!(reader.take(&mut taken) && taken == [1]);
    }

    #[test]
    fn a_queue_never_holds_much_more_than_its_capacity() {
        let (writer, reader) = queue();
        let thread = std::thread::spawn(move || (0..40).try_for_each(|_| writer.push(&[7; CAPACITY / 10])));
        let (mut taken, mut total, mut most) = (Vec::new(), 0, 0);
        while reader.take(&mut taken) {
            total += taken.len();
            most = most.max(taken.len());
        }
        assert_eq!((total, thread.join().unwrap()), (40 * (CAPACITY / 10), Ok(())));
        assert!(most < CAPACITY + CAPACITY / 10, "{most}");
    }

    #[test]
    fn a_writer_whose_reader_is_gone_fails_even_while_it_waits() {
        let (writer, reader) = queue();
        writer.push(&[0; CAPACITY]).unwrap();
        let thread = std::thread::spawn(move || writer.push(&[1]));
        drop(reader);
        assert_eq!(thread.join().unwrap(), Err(ChannelError::Closed));
    }
}
