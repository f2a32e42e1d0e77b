//! A channel over a pair of byte streams: a TCP connection, the pipes of a child process.

use std::io::{self, BufReader, Read, Write};
use std::net::TcpStream;
use std::thread::JoinHandle;

use super::outbox::{FRAME, Outbox};
use super::queue::{QueueReader, QueueWriter, queue};
use crate::channel::{Channel, ChannelError, Traffic};

/// One end of a connection.
///
/// A thread of its own writes, so that a party can send what the deadlock rule allows while its
/// peer does the same: the kernel's buffers alone may hold less. Dropping the channel waits until
/// everything sent is written, or the connection fails. There are no time limits here; set those of
/// the stream.
///
/// ```
/// use fusion_ring::channel::{Channel, StreamChannel};
/// let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
/// let mut near = StreamChannel::tcp(std::net::TcpStream::connect(listener.local_addr()?)?)?;
/// let mut far = StreamChannel::tcp(listener.accept()?.0)?;
/// near.send(b"hello")?;
/// near.flush()?;
/// assert_eq!(far.recv_vec(5)?, b"hello");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct StreamChannel<R> {
    reader: BufReader<R>,
    writer: Option<Writer>,
    outbox: Outbox,
}

/// The thread that writes, and the queue to it.
struct Writer {
    queue: QueueWriter,
    thread: JoinHandle<io::Result<()>>,
}

impl Writer {
    /// Waits until everything is written.
    fn finish(self) -> Result<(), ChannelError> {
        drop(self.queue);
        match self.thread.join() {
            Ok(result) => result.map_err(|error| channel_error(&error)),
            Err(_) => Err(ChannelError::Transport("the writing thread panicked".into())),
        }
    }
}

/// Writes what is queued until there is no more: all that waits at once, so that a slow link gets
/// few large pieces.
fn write_all(queue: &QueueReader, mut to: impl Write) -> io::Result<()> {
    let mut piece = Vec::new();
    while queue.take(&mut piece) {
        to.write_all(&piece)?;
        to.flush()?;
    }
    Ok(())
}

fn channel_error(error: &io::Error) -> ChannelError {
    let gone = [io::ErrorKind::UnexpectedEof, io::ErrorKind::BrokenPipe, io::ErrorKind::ConnectionReset, io::ErrorKind::ConnectionAborted];
    if gone.contains(&error.kind()) { ChannelError::Closed } else { ChannelError::Transport(error.to_string()) }
}

impl StreamChannel<TcpStream> {
    /// Over a connected socket.
    ///
    /// # Errors
    /// If the socket has no second handle or refuses its options.
    pub fn tcp(stream: TcpStream) -> io::Result<Self> {
        // What is flushed is a whole message: waiting for more would cost a round trip each.
        stream.set_nodelay(true)?;
        let writer = stream.try_clone()?;
        Ok(Self::new(stream, writer))
    }
}

/// Hands a frame to the thread that writes; one that ended early says why.
fn emit(writer: &mut Option<Writer>, frame: &[u8]) -> Result<(), ChannelError> {
    let alive = writer.take().ok_or(ChannelError::Closed)?;
    if let Err(closed) = alive.queue.push(frame) {
        alive.finish()?;
        return Err(closed);
    }
    *writer = Some(alive);
    Ok(())
}

impl<R: Read + Send> StreamChannel<R> {
    /// Receives from `reader` and sends to `writer`.
    #[must_use]
    pub fn new(reader: R, writer: impl Write + Send + 'static) -> Self {
        let (queue, queued) = queue();
        let thread = std::thread::spawn(move || write_all(&queued, writer));
        Self { reader: BufReader::with_capacity(FRAME, reader), writer: Some(Writer { queue, thread }), outbox: Outbox::new() }
    }
}

impl<R: Read + Send> Channel for StreamChannel<R> {
    fn send(&mut self, bytes: &[u8]) -> Result<(), ChannelError> {
        let writer = &mut self.writer;
        self.outbox.append(bytes, |frame| emit(writer, frame))
    }

    fn flush(&mut self) -> Result<(), ChannelError> {
        let writer = &mut self.writer;
        self.outbox.flush(|frame| emit(writer, frame))
    }

    fn recv(&mut self, buf: &mut [u8]) -> Result<(), ChannelError> {
        self.flush()?;
        self.outbox.turn();
        self.reader.read_exact(buf).map_err(|error| channel_error(&error))?;
        self.outbox.received(buf.len());
        Ok(())
    }

    fn traffic(&self) -> Traffic {
        self.outbox.traffic()
    }
}

impl<R> Drop for StreamChannel<R> {
    fn drop(&mut self) {
        if let Some(writer) = self.writer.take() {
            // Nobody is left to hear of an error.
            let _ = self.outbox.flush(|frame| writer.queue.push(frame));
            let _ = writer.finish();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;
    use crate::channel::MAX_CROSSING_BYTES;

    fn pair() -> [StreamChannel<TcpStream>; 2] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let near = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        [near, listener.accept().unwrap().0].map(|stream| StreamChannel::tcp(stream).unwrap())
    }

    /// More than the kernel's buffers hold, from both sides at once.
    #[test]
    fn both_sides_may_send_the_crossing_allowance_first() {
        let [mut a, mut b] = pair();
        let run = |ch: &mut StreamChannel<TcpStream>, byte: u8| {
            ch.send(&vec![byte; MAX_CROSSING_BYTES]).unwrap();
            ch.flush().unwrap();
            // Neither receives before both have sent.
            std::thread::sleep(std::time::Duration::from_millis(200));
            let got = ch.recv_vec(MAX_CROSSING_BYTES).unwrap();
            assert!(got.iter().all(|&b| b == 3 - byte));
            ch.traffic()
        };
        let peer = std::thread::spawn(move || run(&mut b, 2));
        let all = MAX_CROSSING_BYTES as u64;
        assert_eq!(run(&mut a, 1), Traffic { sent: all, received: all, turns: 1 });
        peer.join().unwrap();
    }

    /// What was sent arrives although the sender is gone, and what was not is an error.
    #[test]
    fn a_gone_peer_is_an_error_after_its_last_byte() {
        let [mut a, mut b] = pair();
        let data: Vec<u8> = (0..300_000u32).map(|i| (i * 7) as u8).collect();
        data.chunks(999).for_each(|part| b.send(part).unwrap());
        let gone = std::thread::spawn(move || drop(b));
        assert_eq!(a.recv_vec(data.len()).unwrap(), data);
        gone.join().unwrap();
        assert_eq!(a.recv_vec(1), Err(ChannelError::Closed));
        // The kernel notices at a second write.
        let failed = (0..1000).find_map(|_| a.send(&[0; FRAME]).err());
        assert_eq!(failed, Some(ChannelError::Closed));
        assert_eq!(a.send(&[0; FRAME]), Err(ChannelError::Closed), "and stays dead");
    }
}
