//! A channel that records a party's side of a protocol, and that changes bytes on their way if a
//! test wants it to.
//!
//! A tool for tests and benchmarks. With a recording one party can run alone
//! ([`ReplayChannel`](crate::channel::ReplayChannel)): a benchmark measures one side, a test finds
//! the first byte in which a party's messages changed. A recorder that changes bytes plays a
//! cheating peer or a broken network.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::channel::{Channel, ChannelError, Traffic};
use crate::symmetric::digest::Digest;

/// Everything one party sent and received, in order within each direction.
///
/// A transcript of private computation is as secret as the party's randomness: keep recordings in
/// tests and benches.
#[derive(Clone, Default)]
pub struct Recording {
    /// Bytes that the party sent.
    pub sent: Vec<u8>,
    /// Bytes that the party received.
    pub received: Vec<u8>,
    /// How often the party turned from sending to receiving, as in [`Traffic::turns`].
    pub turns: u64,
}

crate::opaque!(Recording);

impl Recording {
    /// The counters of a channel that carried this recording.
    #[must_use]
    pub fn traffic(&self) -> Traffic {
        Traffic { sent: self.sent.len() as u64, received: self.received.len() as u64, turns: self.turns }
    }

    /// First 16 hexadecimal digits of the SHA3-256 digest of the bytes sent: what tests pin.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        Digest::of(&self.sent).to_string()[..16].to_owned()
    }
}

/// Reads the recording of a [`RecordingChannel`] that something else owns, also after the channel
/// is gone.
#[derive(Clone, Default)]
pub struct RecordingHandle(Arc<Mutex<Recording>>);

impl RecordingHandle {
    /// A copy of what has been recorded so far.
    #[must_use]
    pub fn recording(&self) -> Recording {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, Recording> {
        // A thread that panicked leaves a shorter recording, but not a broken one.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

crate::opaque!(RecordingHandle);

/// Gets a piece of the bytes of one direction and its offset among them, and may change it.
type Hook = Box<dyn FnMut(u64, &mut [u8]) + Send>;

/// Passes everything through to another channel and keeps a copy; changes bytes on their way if
/// told to.
///
/// What is recorded is what the peer gets and what this party gets, after all changes.
///
/// ```
/// use fusion_ring::channel::{Channel, ChannelError, RecordingChannel, memory_pair};
/// let (near, mut far) = memory_pair();
/// let mut channel = RecordingChannel::new(near);
/// // A cheating party: XORs 0x20 into the second byte that it sends from here on.
/// channel.corrupt_from_now(1, 0x20);
/// let handle = channel.handle();
/// channel.send(b"ping")?;
/// channel.flush()?;
/// assert_eq!(far.recv_vec(4)?, b"pIng");
/// drop(channel);
/// assert_eq!(handle.recording().sent, b"pIng");
/// # Ok::<(), ChannelError>(())
/// ```
pub struct RecordingChannel<C> {
    inner: C,
    recording: RecordingHandle,
    sending: bool,
    on_send: Option<Hook>,
    on_receive: Option<Hook>,
    close_after: Option<u64>,
}

impl<C: Channel> RecordingChannel<C> {
    /// Records what goes over `inner`.
    pub fn new(inner: C) -> Self {
        Self { inner, recording: RecordingHandle::default(), sending: false, on_send: None, on_receive: None, close_after: None }
    }

    /// Reads the recording while something else owns the channel.
    #[must_use]
    pub fn handle(&self) -> RecordingHandle {
        self.recording.clone()
    }

    /// The recording so far.
    #[must_use]
    pub fn into_recording(self) -> Recording {
        std::mem::take(&mut self.recording.lock())
    }

    /// Changes what is sent: `hook` gets the offset of each piece among all bytes sent, and the
    /// piece. Replaces the former hook.
    pub fn change_sent(&mut self, hook: impl FnMut(u64, &mut [u8]) + Send + 'static) {
        self.on_send = Some(Box::new(hook));
    }

    /// Changes what is received: `hook` gets the offset of each piece among all bytes received, and
    /// the piece. Replaces the former hook.
    pub fn change_received(&mut self, hook: impl FnMut(u64, &mut [u8]) + Send + 'static) {
        self.on_receive = Some(Box::new(hook));
    }

    /// XORs `flip` into the byte at `offset` of everything that this party sends from here on.
    pub fn corrupt_from_now(&mut self, offset: usize, flip: u8) {
        let at = (self.recording.lock().sent.len() + offset) as u64;
        self.change_sent(xor_at(at, flip));
    }

    /// XORs `flip` into the byte at `offset` of everything that this party receives from here on.
    pub fn corrupt_received_from_now(&mut self, offset: usize, flip: u8) {
        let at = (self.recording.lock().received.len() + offset) as u64;
        self.change_received(xor_at(at, flip));
    }

    /// From now on a call that would receive more than `bytes` in all, counted from the start,
    /// finds the channel closed.
    pub fn close_after(&mut self, bytes: u64) {
        self.close_after = Some(bytes);
    }
}

/// A hook that XORs `flip` into the byte at offset `at`.
fn xor_at(at: u64, flip: u8) -> impl FnMut(u64, &mut [u8]) + Send + 'static {
    move |offset, bytes| {
        if let Some(byte) = at.checked_sub(offset).and_then(|i| bytes.get_mut(usize::try_from(i).ok()?)) {
            *byte ^= flip;
        }
    }
}

impl<C: Channel> Channel for RecordingChannel<C> {
    fn send(&mut self, bytes: &[u8]) -> Result<(), ChannelError> {
        self.sending = true;
        let mut recording = self.recording.lock();
        let start = recording.sent.len();
        recording.sent.extend_from_slice(bytes);
        let bytes = &mut recording.sent[start..];
        if let Some(hook) = &mut self.on_send {
            hook(start as u64, bytes);
        }
        self.inner.send(bytes)
    }

    fn flush(&mut self) -> Result<(), ChannelError> {
        self.inner.flush()
    }

    fn recv(&mut self, buf: &mut [u8]) -> Result<(), ChannelError> {
        let start = self.recording.lock().received.len() as u64;
        if self.close_after.is_some_and(|most| start + buf.len() as u64 > most) {
            return Err(ChannelError::Closed);
        }
        self.inner.recv(buf)?;
        if let Some(hook) = &mut self.on_receive {
            hook(start, buf);
        }
        let mut recording = self.recording.lock();
        recording.received.extend_from_slice(buf);
        recording.turns += u64::from(std::mem::take(&mut self.sending));
        Ok(())
    }

    fn traffic(&self) -> Traffic {
        self.inner.traffic()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::channel::{ReplayChannel, memory_pair};

    /// Sends two numbers and receives their sum.
    fn client(channel: &mut dyn Channel, a: u8, b: u8) -> Result<u8, ChannelError> {
        channel.send(&[a])?;
        channel.send(&[b])?;
        Ok(channel.recv_vec(1)?[0])
    }

    /// Lets `client` add 3 and 4 over a channel prepared by `prepare`.
    fn recorded(prepare: impl FnOnce(&mut RecordingChannel<crate::channel::MemoryChannel>)) -> (Result<u8, ChannelError>, Recording) {
        let (near, mut far) = memory_pair();
        let peer = std::thread::spawn(move || {
            let numbers = far.recv_vec(2).unwrap();
            far.send(&[numbers[0] + numbers[1]]).unwrap();
            far.flush()
        });
        let mut recorder = RecordingChannel::new(near);
        prepare(&mut recorder);
        let sum = client(&mut recorder, 3, 4);
        recorder.flush().unwrap();
        peer.join().unwrap().unwrap();
        let traffic = recorder.traffic();
        let recording = recorder.into_recording();
        if sum.is_ok() {
            assert_eq!(recording.traffic(), traffic);
        }
        (sum, recording)
    }

    #[test]
    fn a_recorded_run_plays_again_without_its_peer() {
        let (sum, recording) = recorded(|_| {});
        assert_eq!(sum, Ok(7));
        let mut replay = ReplayChannel::new(recording.clone());
        assert_eq!(client(&mut replay, 3, 4), Ok(7));
        assert_eq!((replay.traffic(), replay.is_finished()), (recording.traffic(), true));
        assert_eq!(client(&mut ReplayChannel::new(recording.clone()), 3, 5), Err(ChannelError::Diverged { offset: 1 }));
        assert_eq!(client(&mut ReplayChannel::unchecked(recording.received.clone()), 3, 5), Ok(7));
        let mut replay = ReplayChannel::new(recording);
        assert_eq!(replay.recv_vec(2), Err(ChannelError::Closed), "more than was recorded");
    }

    #[test]
    fn bytes_are_changed_where_it_was_asked() {
        let (sum, recording) = recorded(|channel| channel.corrupt_from_now(1, 1));
        assert_eq!((sum, &recording.sent[..]), (Ok(8), &[3, 5][..]));
        let (sum, recording) = recorded(|channel| channel.corrupt_from_now(2, 1));
        assert_eq!((sum, &recording.sent[..]), (Ok(7), &[3, 4][..]));
        let (sum, recording) = recorded(|channel| channel.corrupt_received_from_now(0, 0x10));
        assert_eq!((sum, &recording.received[..]), (Ok(0x17), &[0x17][..]));
        assert_eq!(recorded(|channel| channel.change_received(|_, bytes| bytes.fill(9))).0, Ok(9));
        assert_eq!(recorded(|channel| channel.close_after(1)).0, Ok(7));
        assert_eq!(recorded(|channel| channel.close_after(0)).0, Err(ChannelError::Closed));
    }

    #[test]
    fn a_fingerprint_is_of_what_was_sent() {
        let recording = Recording { received: vec![1], ..Recording::default() };
        // FIPS 202, SHA3-256 of the empty message.
        assert_eq!(recording.fingerprint(), "a7ffc6f8bf1ed766");
    }
}
