//! What every channel that sends frames keeps: the frame begun, and the account.

use crate::channel::{ChannelError, Traffic};

/// Bytes of a frame.
pub(super) const FRAME: usize = 64 << 10;

/// Bytes on their way out, gathered into frames, with the counters of one end.
pub(super) struct Outbox {
    queued: Vec<u8>,
    traffic: Traffic,
    /// Whether the last call that moved bytes sent them.
    sending: bool,
}

impl Outbox {
    pub(super) fn new() -> Self {
        Self { queued: Vec::with_capacity(FRAME), traffic: Traffic::default(), sending: false }
    }

    /// Queues `bytes`; whole frames go to `emit`.
    pub(super) fn append(&mut self, bytes: &[u8], mut emit: impl FnMut(&[u8]) -> Result<(), ChannelError>) -> Result<(), ChannelError> {
        self.traffic.sent += bytes.len() as u64;
        self.sending = true;
        let mut rest = bytes;
        while !rest.is_empty() {
            let room = FRAME - self.queued.len();
            let (now, later) = rest.split_at(room.min(rest.len()));
            self.queued.extend_from_slice(now);
            rest = later;
            if self.queued.len() == FRAME {
                self.flush(&mut emit)?;
            }
        }
        Ok(())
    }

    /// Hands the frame begun to `emit`, if it has any bytes.
    pub(super) fn flush(&mut self, mut emit: impl FnMut(&[u8]) -> Result<(), ChannelError>) -> Result<(), ChannelError> {
        if self.queued.is_empty() {
            return Ok(());
        }
        let sent = emit(&self.queued);
        self.queued.clear();
        sent
    }

    /// This end turns to receiving.
    pub(super) fn turn(&mut self) {
        self.traffic.turns += u64::from(std::mem::take(&mut self.sending));
    }

    /// Counts bytes that came in.
    pub(super) fn received(&mut self, bytes: usize) {
        self.traffic.received += bytes as u64;
    }

    pub(super) fn traffic(&self) -> Traffic {
        self.traffic
    }
}
