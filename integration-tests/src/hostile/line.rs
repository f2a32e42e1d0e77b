//! Two connected channels that know when nobody will ever speak again: a lane over them that would
//! wait for its idle limit fails at once, as it would then.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use fusion_ring::channel::{Channel, ChannelError, Traffic};

/// Seconds that the error of a silent peer names: the idle limit of the service.
const IDLE_SECONDS: u64 = 300;

#[derive(Default)]
struct State {
    /// Bytes on the way to either end.
    arriving: [VecDeque<u8>; 2],
    waiting: [bool; 2],
    gone: [bool; 2],
    /// Both ends wait for the other, and nothing is on the way.
    stalled: bool,
}

/// What both ends share.
#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One end.
pub(super) struct Line {
    shared: Arc<Shared>,
    end: usize,
    traffic: Traffic,
    sending: bool,
}

/// Both ends.
pub(super) fn line() -> [Line; 2] {
    let shared = Arc::new(Shared::default());
    [0, 1].map(|end| Line { shared: Arc::clone(&shared), end, traffic: Traffic::default(), sending: false })
}

impl Channel for Line {
    fn send(&mut self, bytes: &[u8]) -> Result<(), ChannelError> {
        let mut state = self.shared.lock();
        if state.gone[1 - self.end] {
            return Err(ChannelError::Closed);
        }
        state.arriving[1 - self.end].extend(bytes);
        drop(state);
        self.shared.changed.notify_all();
        self.traffic.sent += bytes.len() as u64;
        self.sending = true;
        Ok(())
    }

    fn flush(&mut self) -> Result<(), ChannelError> {
        Ok(())
    }

    fn recv(&mut self, buf: &mut [u8]) -> Result<(), ChannelError> {
        self.traffic.turns += u64::from(std::mem::take(&mut self.sending));
        let (me, peer) = (self.end, 1 - self.end);
        let mut filled = 0;
        let mut state = self.shared.lock();
        loop {
            let arrived = state.arriving[me].len().min(buf.len() - filled);
            for (byte, new) in buf[filled..].iter_mut().zip(state.arriving[me].drain(..arrived)) {
                *byte = new;
            }
            filled += arrived;
            if filled == buf.len() {
                break;
            }
            if state.gone[peer] && !state.stalled {
                return Err(ChannelError::Closed);
            }
            if !state.gone[peer] && state.waiting[peer] && state.arriving[peer].is_empty() {
                state.stalled = true;
                self.shared.changed.notify_all();
            }
            if state.stalled {
                return Err(ChannelError::Timeout { seconds: IDLE_SECONDS });
            }
            state.waiting[me] = true;
            state = self.shared.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
            state.waiting[me] = false;
        }
        self.traffic.received += buf.len() as u64;
        Ok(())
    }

    fn traffic(&self) -> Traffic {
        self.traffic
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.shared.lock().gone[self.end] = true;
        self.shared.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silence_is_an_error_of_both_ends_and_bytes_are_not_lost() {
        let [mut a, mut b] = line();
        a.send(b"hello").unwrap();
        let peer = std::thread::spawn(move || (b.recv_vec(3).unwrap(), b.recv_vec(3)));
        let timeout = Err(ChannelError::Timeout { seconds: IDLE_SECONDS });
        assert_eq!(a.recv_vec(1), timeout);
        assert_eq!(peer.join().unwrap(), (b"hel".to_vec(), timeout));
        let [mut a, b] = line();
        drop(b);
        assert_eq!((a.send(b"x"), a.recv_vec(1)), (Err(ChannelError::Closed), Err(ChannelError::Closed)));
    }
}
