//! Ordered reliable bytes between two parties.
//!
//! Every protocol of Fusion is written against [`Channel`]; what carries the bytes (a gRPC stream,
//! two queues in one process, a recording) is the caller's choice. Calls block. There is no
//! framing: both sides always know from the protocol how many bytes come next, so a peer can never
//! choose how much memory we allocate.
//!
//! # Deadlock rule
//! A step in which *both* parties send before either receives must keep what each sends at or below
//! [`MAX_CROSSING_BYTES`]; every implementation buffers at least that much in each direction.

mod memory;
mod outbox;
mod queue;
mod record;
mod replay;
mod stream;

pub use memory::{MemoryChannel, memory_pair};
pub use record::{Recording, RecordingChannel, RecordingHandle};
pub use replay::ReplayChannel;
pub use stream::StreamChannel;

/// Most bytes that a party may send while its peer may also be sending (see the module's deadlock
/// rule).
pub const MAX_CROSSING_BYTES: usize = 2 << 20;

/// What went wrong on a channel. After any error the channel, and the lane that owns it, is dead.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ChannelError {
    /// The peer is gone or closed its side before the protocol ended.
    #[error("the peer closed the channel")]
    Closed,
    /// Nothing arrived within the time limit of the transport.
    #[error("the peer sent nothing for {seconds} s")]
    Timeout {
        /// Seconds waited.
        seconds: u64,
    },
    /// A configured limit of the transport was reached.
    #[error("limit reached: {limit}")]
    Limit {
        /// Name of the limit.
        limit: &'static str,
    },
    /// The transport failed; the text says how (never peer-controlled secrets).
    #[error("transport failed: {0}")]
    Transport(String),
    /// A replayed recording does not match what this party sends.
    #[error("replay diverged at byte {offset}")]
    Diverged {
        /// Offset of the first differing byte among all sent bytes.
        offset: u64,
    },
}

/// Byte counters of one side of a channel. Payload bytes only, without the framing of the
/// transport.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Bytes that this side sent.
    pub sent: u64,
    /// Bytes that this side received.
    pub received: u64,
    /// How often this side turned from sending to receiving: the rounds that it waited for.
    pub turns: u64,
}

impl Traffic {
    /// The difference to `earlier`, an earlier reading of the same channel.
    #[must_use]
    pub fn since(self, earlier: Self) -> Self {
        Self {
            sent: self.sent.saturating_sub(earlier.sent),
            received: self.received.saturating_sub(earlier.received),
            turns: self.turns.saturating_sub(earlier.turns),
        }
    }

    /// Bytes in both directions.
    #[must_use]
    pub fn total(self) -> u64 {
        self.sent + self.received
    }
}

impl std::ops::AddAssign for Traffic {
    fn add_assign(&mut self, other: Self) {
        self.sent += other.sent;
        self.received += other.received;
        self.turns += other.turns;
    }
}

/// Ordered reliable bytes to and from one peer.
pub trait Channel: Send {
    /// Queues `bytes` for the peer. They may stay buffered until [`Channel::flush`] or
    /// [`Channel::recv`].
    ///
    /// # Errors
    /// Any [`ChannelError`]; the channel is dead afterwards.
    fn send(&mut self, bytes: &[u8]) -> Result<(), ChannelError>;

    /// Hands everything queued to the transport.
    ///
    /// # Errors
    /// Any [`ChannelError`]; the channel is dead afterwards.
    fn flush(&mut self) -> Result<(), ChannelError>;

    /// Fills `buf` with the next bytes of the peer, after flushing what this side has queued.
    ///
    /// # Errors
    /// Any [`ChannelError`]; the channel is dead afterwards and `buf` holds nothing of use.
    fn recv(&mut self, buf: &mut [u8]) -> Result<(), ChannelError>;

    /// Counters since the channel was made.
    fn traffic(&self) -> Traffic;

    /// Receives exactly `len` bytes into a new buffer. `len` must come from the protocol, never
    /// from the peer.
    ///
    /// # Errors
    /// As [`Channel::recv`].
    fn recv_vec(&mut self, len: usize) -> Result<Vec<u8>, ChannelError> {
        let mut buf = vec![0u8; len];
        self.recv(&mut buf)?;
        Ok(buf)
    }
}

impl<C: Channel + ?Sized> Channel for &mut C {
    fn send(&mut self, bytes: &[u8]) -> Result<(), ChannelError> {
        (**self).send(bytes)
    }
    fn flush(&mut self) -> Result<(), ChannelError> {
        (**self).flush()
    }
    fn recv(&mut self, buf: &mut [u8]) -> Result<(), ChannelError> {
        (**self).recv(buf)
    }
    fn traffic(&self) -> Traffic {
        (**self).traffic()
    }
}

impl<C: Channel + ?Sized> Channel for Box<C> {
    fn send(&mut self, bytes: &[u8]) -> Result<(), ChannelError> {
        (**self).send(bytes)
    }
    fn flush(&mut self) -> Result<(), ChannelError> {
        (**self).flush()
    }
    fn recv(&mut self, buf: &mut [u8]) -> Result<(), ChannelError> {
        (**self).recv(buf)
    }
    fn traffic(&self) -> Traffic {
        (**self).traffic()
    }
}
