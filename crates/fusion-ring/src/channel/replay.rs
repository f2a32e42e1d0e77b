//! A recorded peer.

use crate::channel::record::Recording;
use crate::channel::{Channel, ChannelError, Traffic};

/// The peer of a recorded run: gives what the party received then, and checks that it sends what it
/// sent then.
///
/// ```
/// use fusion_ring::channel::{Channel, ChannelError, Recording, ReplayChannel};
/// let recording = Recording { sent: b"ping".to_vec(), received: b"pong".to_vec(), turns: 1 };
/// let mut channel = ReplayChannel::new(recording);
/// channel.send(b"ping")?;
/// assert_eq!(channel.recv_vec(4)?, b"pong");
/// assert_eq!(channel.send(b"?"), Err(ChannelError::Diverged { offset: 4 }));
/// # Ok::<(), ChannelError>(())
/// ```
pub struct ReplayChannel {
    /// What the party must send; `None` if it may send anything.
    expected: Option<Vec<u8>>,
    received: Vec<u8>,
    traffic: Traffic,
    sending: bool,
}

impl ReplayChannel {
    /// Plays `recording`.
    #[must_use]
    pub fn new(recording: Recording) -> Self {
        Self { expected: Some(recording.sent), ..Self::unchecked(recording.received) }
    }

    /// Plays a peer that sends `received`, whatever it is told.
    #[must_use]
    pub fn unchecked(received: Vec<u8>) -> Self {
        Self { expected: None, received, traffic: Traffic::default(), sending: false }
    }

    /// Whether everything was sent and received.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        let sent = self.expected.as_ref().is_none_or(|expected| self.traffic.sent == expected.len() as u64);
        sent && self.traffic.received == self.received.len() as u64
    }
}

impl Channel for ReplayChannel {
    fn send(&mut self, bytes: &[u8]) -> Result<(), ChannelError> {
        if let Some(expected) = &self.expected {
            let start = self.traffic.sent as usize;
            let expected = expected.get(start..).unwrap_or(&[]);
            let same = bytes.iter().zip(expected).take_while(|(a, b)| a == b).count();
            if same < bytes.len() {
                return Err(ChannelError::Diverged { offset: (start + same) as u64 });
            }
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
        let bytes = self.received.get(start..start + buf.len()).ok_or(ChannelError::Closed)?;
        buf.copy_from_slice(bytes);
        self.traffic.received += buf.len() as u64;
        self.traffic.turns += u64::from(std::mem::take(&mut self.sending));
        Ok(())
    }

    fn traffic(&self) -> Traffic {
        self.traffic
    }
}
