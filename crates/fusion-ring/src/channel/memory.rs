//! Two channels in one process, connected by two queues.

use super::outbox::Outbox;
use super::queue::{QueueReader, QueueWriter, queue};
use crate::channel::{Channel, ChannelError, Traffic};

/// One end of an in-memory channel, made by [`memory_pair`].
pub struct MemoryChannel {
    outgoing: QueueWriter,
    incoming: QueueReader,
    outbox: Outbox,
    arrived: Vec<u8>,
    /// How many of the bytes that arrived have been read.
    read: usize,
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
    let (a_out, b_in) = queue();
    let (b_out, a_in) = queue();
    let end = |outgoing, incoming| MemoryChannel { outgoing, incoming, outbox: Outbox::new(), arrived: Vec::new(), read: 0 };
    (end(a_out, a_in), end(b_out, b_in))
}

impl Channel for MemoryChannel {
    fn send(&mut self, bytes: &[u8]) -> Result<(), ChannelError> {
        self.outbox.append(bytes, |frame| self.outgoing.push(frame))
    }

    fn flush(&mut self) -> Result<(), ChannelError> {
        self.outbox.flush(|frame| self.outgoing.push(frame))
    }

    fn recv(&mut self, buf: &mut [u8]) -> Result<(), ChannelError> {
        self.flush()?;
        self.outbox.turn();
        let mut filled = 0;
        while filled < buf.len() {
            if self.read == self.arrived.len() {
                self.read = 0;
                if !self.incoming.take(&mut self.arrived) {
                    return Err(ChannelError::Closed);
                }
            }
            let rest = &self.arrived[self.read..];
            let n = rest.len().min(buf.len() - filled);
            buf[filled..filled + n].copy_from_slice(&rest[..n]);
            self.read += n;
            filled += n;
        }
        self.outbox.received(buf.len());
        Ok(())
    }

    fn traffic(&self) -> Traffic {
        self.outbox.traffic()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::channel::MAX_CROSSING_BYTES;

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
            // However often they flush.
            for part in vec![1u8; MAX_CROSSING_BYTES].chunks(1 << 10) {
                ch.send(part).unwrap();
                ch.flush().unwrap();
            }
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
