//! Ordered reliable bytes between two parties.
//!
//! Every protocol of Fusion is written against [`Channel`]; what carries the bytes (a gRPC stream, two queues in one
//! process, a recording) is decided by the caller. Calls block. There is no framing: both sides always know from the
//! protocol how many bytes come next, so a peer can never choose how much memory we allocate.
//!
//! # Deadlock rule
//! A step in which *both* parties send before either receives must keep what each sends at or below
//! [`MAX_CROSSING_BYTES`]; every implementation buffers at least that much in each direction.

use std::collections::VecDeque;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

/// Most bytes that a party may send while its peer may also be sending (see the module's deadlock rule).
pub const MAX_CROSSING_BYTES: usize = 2 << 20;

/// Bytes of one queued message of the in-memory pair.
const MEMORY_FRAME: usize = 64 << 10;

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

/// Byte counters of one side of a channel. Payload bytes only, without the framing of the transport.
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
    /// What was added since `earlier`, which must be a former reading of the same channel.
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
    /// Queues `bytes` for the peer. They may stay buffered until [`Channel::flush`] or [`Channel::recv`].
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

    /// Receives exactly `len` bytes into a new buffer. `len` must come from the protocol, never from the peer.
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

/// One end of an in-memory channel, made by [`memory_pair`].
pub struct MemoryChannel {
    outgoing: SyncSender<Vec<u8>>,
    incoming: Receiver<Vec<u8>>,
    queued: Vec<u8>,
    arrived: VecDeque<u8>,
    traffic: Traffic,
    sending: bool,
}

/// Two connected channels for two threads of one process.
///
/// ```
/// use fusion_ring::channel::{Channel, memory_pair};
/// let (mut client, mut server) = memory_pair();
/// let peer = std::thread::spawn(move || server.recv_vec(5));
/// client.send(b"hello")?;
/// client.flush()?;
/// assert_eq!(peer.join().unwrap()?, b"hello");
/// # Ok::<(), fusion_ring::channel::ChannelError>(())
/// ```
#[must_use]
pub fn memory_pair() -> (MemoryChannel, MemoryChannel) {
    // Twice the crossing allowance: partial frames at both ends must fit as well.
    let depth = 2 * MAX_CROSSING_BYTES / MEMORY_FRAME;
    let (a_out, b_in) = sync_channel(depth);
    let (b_out, a_in) = sync_channel(depth);
    let end = |outgoing, incoming| MemoryChannel {
        outgoing,
        incoming,
        queued: Vec::with_capacity(MEMORY_FRAME),
        arrived: VecDeque::new(),
        traffic: Traffic::default(),
        sending: false,
    };
    (end(a_out, a_in), end(b_out, b_in))
}

impl Channel for MemoryChannel {
    fn send(&mut self, bytes: &[u8]) -> Result<(), ChannelError> {
        self.traffic.sent += bytes.len() as u64;
        self.sending = true;
        let mut rest = bytes;
        while !rest.is_empty() {
            let room = MEMORY_FRAME - self.queued.len();
            let (now, later) = rest.split_at(room.min(rest.len()));
            self.queued.extend_from_slice(now);
            rest = later;
            if self.queued.len() == MEMORY_FRAME {
                self.flush()?;
            }
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<(), ChannelError> {
        if self.queued.is_empty() {
            return Ok(());
        }
        let frame = std::mem::replace(&mut self.queued, Vec::with_capacity(MEMORY_FRAME));
        self.outgoing.send(frame).map_err(|_| ChannelError::Closed)
    }

    fn recv(&mut self, buf: &mut [u8]) -> Result<(), ChannelError> {
        self.flush()?;
        if std::mem::take(&mut self.sending) {
            self.traffic.turns += 1;
        }
        let mut filled = 0;
        while filled < buf.len() {
            if self.arrived.is_empty() {
                self.arrived = self.incoming.recv().map_err(|_| ChannelError::Closed)?.into();
            }
            let (front, _) = self.arrived.as_slices();
            let n = front.len().min(buf.len() - filled);
            buf[filled..filled + n].copy_from_slice(&front[..n]);
            self.arrived.drain(..n);
            filled += n;
        }
        self.traffic.received += buf.len() as u64;
        Ok(())
    }

    fn traffic(&self) -> Traffic {
        self.traffic
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_arrive_in_order_whatever_the_cut() {
        let (mut a, mut b) = memory_pair();
        let data: Vec<u8> = (0..300_000u32).map(|i| (i * 7) as u8).collect();
        let sent = data.clone();
        let peer = std::thread::spawn(move || {
            for part in sent.chunks(999) {
                b.send(part).unwrap();
            }
            b.flush().unwrap();
            b.traffic()
        });
        let mut got = Vec::new();
        for len in [1usize, 63, 64, 65_536, 100_000, 134_336] {
            got.extend(a.recv_vec(len).unwrap());
        }
        assert_eq!(got, data);
        assert_eq!(peer.join().unwrap().sent, 300_000);
        assert_eq!(a.traffic(), Traffic { sent: 0, received: 300_000, turns: 0 });
    }

    #[test]
    fn both_sides_may_send_the_crossing_allowance_first() {
        let (mut a, mut b) = memory_pair();
        let run = |ch: &mut MemoryChannel| {
            ch.send(&vec![1u8; MAX_CROSSING_BYTES]).unwrap();
            ch.recv_vec(MAX_CROSSING_BYTES).unwrap().len()
        };
        let peer = std::thread::spawn(move || run(&mut b));
        assert_eq!(run(&mut a), MAX_CROSSING_BYTES);
        assert_eq!(peer.join().unwrap(), MAX_CROSSING_BYTES);
    }

    #[test]
    fn a_gone_peer_is_an_error() {
        let (mut a, b) = memory_pair();
        drop(b);
        assert_eq!(a.recv_vec(1), Err(ChannelError::Closed));
        a.send(&[1]).unwrap();
        assert_eq!(a.flush(), Err(ChannelError::Closed));
    }
}
