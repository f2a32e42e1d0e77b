//! Two channels in one process, connected by two queues.

use std::collections::VecDeque;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use crate::channel::{Channel, ChannelError, MAX_CROSSING_BYTES, Traffic};

/// Bytes of one queued message.
const FRAME: usize = 64 << 10;

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
    let depth = 2 * MAX_CROSSING_BYTES / FRAME;
    let (a_out, b_in) = sync_channel(depth);
    let (b_out, a_in) = sync_channel(depth);
    let end = |outgoing, incoming| MemoryChannel {
        outgoing,
        incoming,
        queued: Vec::with_capacity(FRAME),
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
            let room = FRAME - self.queued.len();
            let (now, later) = rest.split_at(room.min(rest.len()));
            self.queued.extend_from_slice(now);
            rest = later;
            if self.queued.len() == FRAME {
                self.flush()?;
            }
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<(), ChannelError> {
        if self.queued.is_empty() {
            return Ok(());
        }
        let frame = std::mem::replace(&mut self.queued, Vec::with_capacity(FRAME));
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
