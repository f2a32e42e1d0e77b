//! Two channels in one process, connected by two queues.

use std::collections::VecDeque;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use super::outbox::{FRAME, Outbox};
use crate::channel::{Channel, ChannelError, MAX_CROSSING_BYTES, Traffic};

/// One end of an in-memory channel, made by [`memory_pair`].
pub struct MemoryChannel {
    outgoing: SyncSender<Vec<u8>>,
    incoming: Receiver<Vec<u8>>,
    outbox: Outbox,
    arrived: VecDeque<u8>,
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
    let depth = 2 * MAX_CROSSING_BYTES / FRAME;
    let (a_out, b_in) = sync_channel(depth);
    let (b_out, a_in) = sync_channel(depth);
    let end = |outgoing, incoming| MemoryChannel { outgoing, incoming, outbox: Outbox::new(), arrived: VecDeque::new() };
    (end(a_out, a_in), end(b_out, b_in))
}

impl Channel for MemoryChannel {
    fn send(&mut self, bytes: &[u8]) -> Result<(), ChannelError> {
        self.outbox.append(bytes, |frame| self.outgoing.send(frame).map_err(|_| ChannelError::Closed))
    }

    fn flush(&mut self) -> Result<(), ChannelError> {
        let frame = self.outbox.begun();
        frame.map_or(Ok(()), |frame| self.outgoing.send(frame).map_err(|_| ChannelError::Closed))
    }

    fn recv(&mut self, buf: &mut [u8]) -> Result<(), ChannelError> {
        self.flush()?;
        self.outbox.turn();
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
