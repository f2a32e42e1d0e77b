//! Channels that record a party's side of a protocol, and that play a recorded peer.
//!
//! A recording makes a one-party run possible: a benchmark measures one side alone, a test replays a transcript and notices the first byte in which this
//! party's messages changed.

use crate::channel::{Channel, ChannelError, Traffic};

/// Everything one party sent and received, in order within each direction.
///
/// A transcript of private computation is as secret as the party's randomness: keep recordings in tests and benches.
#[derive(Clone, Default)]
pub struct Recording {
    /// Bytes that the party sent.
    pub sent: Vec<u8>,
    /// Bytes that the party received.
    pub received: Vec<u8>,
}

crate::opaque!(Recording);

/// Passes everything through to another channel and keeps a copy.
pub struct RecordingChannel<C> {
    inner: C,
    recording: Recording,
}

impl<C: Channel> RecordingChannel<C> {
    /// Records what goes over `inner`.
    pub fn new(inner: C) -> Self {
        Self { inner, recording: Recording::default() }
    }

    /// The recording so far.
    pub fn into_recording(self) -> Recording {
        self.recording
    }
}

impl<C: Channel> Channel for RecordingChannel<C> {
    fn send(&mut self, bytes: &[u8]) -> Result<(), ChannelError> {
        self.recording.sent.extend_from_slice(bytes);
        self.inner.send(bytes)
    }

    fn flush(&mut self) -> Result<(), ChannelError> {
        self.inner.flush()
    }

    fn recv(&mut self, buf: &mut [u8]) -> Result<(), ChannelError> {
        self.inner.recv(buf)?;
        self.recording.received.extend_from_slice(buf);
        Ok(())
    }

    fn traffic(&self) -> Traffic {
        self.inner.traffic()
    }
}

/// The peer of a recorded run: gives what the party received then, and checks that it sends what it sent then.
///
/// ```
/// use fusion_ring::channel::{Channel, ChannelError};
/// use fusion_ring::channel::{Recording, ReplayChannel};
/// let mut channel = ReplayChannel::new(Recording { sent: b"ping".to_vec(), received: b"pong".to_vec() });
/// channel.send(b"ping")?;
/// assert_eq!(channel.recv_vec(4)?, b"pong");
/// assert_eq!(channel.send(b"?"), Err(ChannelError::Diverged { offset: 4 }));
/// # Ok::<(), ChannelError>(())
/// ```
pub struct ReplayChannel {
    recording: Recording,
    traffic: Traffic,
    sending: bool,
}

impl ReplayChannel {
    /// Plays `recording`.
    #[must_use]
    pub fn new(recording: Recording) -> Self {
        Self { recording, traffic: Traffic::default(), sending: false }
    }

    /// Whether everything was sent and received.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.traffic.sent == self.recording.sent.len() as u64 && self.traffic.received == self.recording.received.len() as u64
    }
}

impl Channel for ReplayChannel {
    fn send(&mut self, bytes: &[u8]) -> Result<(), ChannelError> {
        let start = self.traffic.sent as usize;
        let expected = self.recording.sent.get(start..).unwrap_or(&[]);
        let same = bytes.iter().zip(expected).take_while(|(a, b)| a == b).count();
        if same < bytes.len() {
            return Err(ChannelError::Diverged { offset: (start + same) as u64 });
        }
        self.traffic.sent += bytes.len() as u64;
        self.sending = true;
        Ok(())
    }

    fn flush(&mut self) -> Result<(), ChannelError> {
        Ok(())
    }

    fn recv(&mut self, buf: &mut [u8]) -> Result<(), ChannelError> {
        let start = self.traffic.received as usize;
        let bytes = self.recording.received.get(start..start + buf.len()).ok_or(ChannelError::Closed)?;
        buf.copy_from_slice(bytes);
        self.traffic.received += buf.len() as u64;
        self.traffic.turns += u64::from(std::mem::take(&mut self.sending));
        Ok(())
    }

    fn traffic(&self) -> Traffic {
        self.traffic
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::channel::memory_pair;

    /// Sends two numbers and receives their sum.
    fn client(channel: &mut dyn Channel, a: u8, b: u8) -> Result<u8, ChannelError> {
        channel.send(&[a])?;
        channel.send(&[b])?;
        Ok(channel.recv_vec(1)?[0])
    }

    #[test]
    fn a_recorded_run_plays_again_without_its_peer() {
        let (near, mut far) = memory_pair();
        let peer = std::thread::spawn(move || {
            let numbers = far.recv_vec(2).unwrap();
            far.send(&[numbers[0] + numbers[1]]).unwrap();
            far.flush().unwrap();
        });
        let mut recorder = RecordingChannel::new(near);
        assert_eq!(client(&mut recorder, 3, 4), Ok(7));
        peer.join().unwrap();
        let traffic = recorder.traffic();
        let recording = recorder.into_recording();
        let mut replay = ReplayChannel::new(recording.clone());
        assert_eq!(client(&mut replay, 3, 4), Ok(7));
        assert_eq!((replay.traffic(), replay.is_finished()), (traffic, true));
        assert_eq!(client(&mut ReplayChannel::new(recording.clone()), 3, 5), Err(ChannelError::Diverged { offset: 1 }));
        let mut replay = ReplayChannel::new(recording);
        assert_eq!(replay.recv_vec(2), Err(ChannelError::Closed), "more than was recorded");
    }
}
