//! The listening socket and its connections, which end when their time is over.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Sleep;
use tokio_stream::Stream;
use tonic::transport::server::Connected;

use super::connections::{Connections, Handle};
use super::counters::Tally;
use super::throttle::Throttle;

/// Pauses after an error of the listening socket: the first, and the longest.
const PAUSES: (Duration, Duration) = (Duration::from_millis(10), Duration::from_secs(1));

/// Where connections come from.
pub(super) trait Listen: Unpin {
    /// The next connection.
    fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<io::Result<(TcpStream, SocketAddr)>>;
}

impl Listen for TcpListener {
    fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<io::Result<(TcpStream, SocketAddr)>> {
        self.poll_accept(context)
    }
}

/// The connections of a listener that there is room for. Never ends and never fails: an error of
/// the listener, such as too many open files, is a pause.
pub(super) struct Accept<L> {
    listener: L,
    connections: Arc<Connections>,
    tally: Arc<Tally>,
    pause: Option<Pin<Box<Sleep>>>,
    next_pause: Duration,
    log: Throttle,
}

impl<L: Listen> Accept<L> {
    pub(super) fn new(listener: L, connections: Arc<Connections>, tally: Arc<Tally>) -> Self {
        Self { listener, connections, tally, pause: None, next_pause: PAUSES.0, log: Throttle::default() }
    }

    fn failed(&mut self, error: &io::Error) {
        use io::ErrorKind::{ConnectionAborted, ConnectionReset, Interrupted};
        // Of the connection, not of the listener: the next one may be right.
        if matches!(error.kind(), ConnectionAborted | ConnectionReset | Interrupted) {
            return;
        }
        self.tally.add(|counters| counters.accept_errors += 1);
        if let Some(more) = self.log.pass() {
            tracing::error!(%error, more, "cannot accept connections; trying on");
        }
        self.pause = Some(Box::pin(tokio::time::sleep(self.next_pause)));
        self.next_pause = (2 * self.next_pause).min(PAUSES.1);
    }
}

impl<L: Listen> Stream for Accept<L> {
    type Item = io::Result<Connection>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            if let Some(pause) = &mut self.pause {
                ready!(pause.as_mut().poll(context));
                self.pause = None;
            }
            match ready!(self.listener.poll_next(context)) {
                Ok((stream, peer)) => {
                    self.next_pause = PAUSES.0;
                    // A socket whose options cannot be set is broken, and will say so.
                    let _ = stream.set_nodelay(true);
                    if let Some(handle) = self.connections.admit(peer) {
                        return Poll::Ready(Some(Ok(Connection::new(stream, handle, Arc::clone(&self.connections)))));
                    }
                }
                Err(error) => self.failed(&error),
            }
        }
    }
}

/// A connection that ends with an error when it is due.
///
/// Below TLS and HTTP/2, so that nothing which is half said up there escapes it. Whatever drives
/// the connection polls it to read or to write; where it would wait, it waits for its end as well.
pub(super) struct Connection {
    stream: TcpStream,
    handle: Handle,
    connections: Arc<Connections>,
    timer: Pin<Box<Sleep>>,
}

impl Connection {
    fn new(stream: TcpStream, handle: Handle, connections: Arc<Connections>) -> Self {
        let (due, _) = connections.due(&handle, Instant::now());
        Self { stream, handle, connections, timer: Box::pin(tokio::time::sleep_until(due.into())) }
    }

    /// `polled`, unless it waits and the connection is to end.
    fn unless_due<T>(&mut self, polled: Poll<io::Result<T>>, context: &mut Context<'_>) -> Poll<io::Result<T>> {
        if polled.is_ready() {
            return polled;
        }
        if self.handle.is_cut(context.waker()) {
            return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
        }
        while self.timer.as_mut().poll(context).is_ready() {
            let now = Instant::now();
            let (due, limit) = self.connections.due(&self.handle, now);
            if due <= now {
                self.connections.cut(&self.handle, limit);
                return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
            }
            self.timer.as_mut().reset(due.into());
        }
        Poll::Pending
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.connections.closed(&self.handle);
    }
}

impl Connected for Connection {
    type ConnectInfo = Handle;

    fn connect_info(&self) -> Handle {
        self.handle.clone()
    }
}

impl AsyncRead for Connection {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.stream).poll_read(context, buffer);
        self.unless_due(polled, context)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write(context, bytes);
        if let Poll::Ready(Ok(bytes)) = polled {
            self.handle.wrote(bytes);
        }
        self.unless_due(polled, context)
    }

    fn poll_write_vectored(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[io::IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write_vectored(context, bytes);
        if let Poll::Ready(Ok(bytes)) = polled {
            self.handle.wrote(bytes);
        }
        self.unless_due(polled, context)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.stream).poll_flush(context);
        self.unless_due(polled, context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.stream).poll_shutdown(context);
        self.unless_due(polled, context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::Limits;
    use tokio_stream::StreamExt as _;

    /// A listener whose process has no file descriptors left, for a while.
    struct Exhausted {
        errors: u32,
        inner: TcpListener,
    }

    impl Listen for Exhausted {
        fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<io::Result<(TcpStream, SocketAddr)>> {
            if self.errors > 0 {
                self.errors -= 1;
                // EMFILE.
                return Poll::Ready(Err(io::Error::from_raw_os_error(24)));
            }
            self.inner.poll_accept(context)
        }
    }

    #[test]
    fn a_listener_without_file_descriptors_pauses_and_goes_on() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let inner = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = inner.local_addr().unwrap();
            let tally = Arc::new(Tally::default());
            let connections = Arc::new(Connections::new(Limits::default(), Arc::clone(&tally)));
            let mut accept = Accept::new(Exhausted { errors: 4, inner }, connections, Arc::clone(&tally));
            let client = tokio::spawn(TcpStream::connect(address));
            let began = Instant::now();
            let accepted = accept.next().await.unwrap();
            assert!(accepted.is_ok());
            // 10, 20, 40 and 80 ms: it did not spin.
            assert!(began.elapsed() >= Duration::from_millis(150), "{:?}", began.elapsed());
            assert_eq!(tally.snapshot().accept_errors, 4);
            client.await.unwrap().unwrap();
        });
    }
}
