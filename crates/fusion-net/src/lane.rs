//! A gRPC stream as the blocking [`Channel`] of the lower crates.
//!
//! ```text
//!   computing thread        this module                          transport task
//!   send  -> frame buffer -> outgoing pipe (4 MiB, bounded) -> OutgoingFrames -> HTTP/2
//!   recv  <- front chunk  <- incoming pipe (4 MiB, bounded) <- read_frames    <- HTTP/2
//! ```
//! While a party computes, it does not read its pipe. Then the pipe fills, the reading task stops,
//! the HTTP/2 window closes, and the peer's `send` waits. So memory stays bounded on both sides.
//! Each direction buffers more than [`fusion_ring::channel::MAX_CROSSING_BYTES`].

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::{Buf, Bytes, BytesMut};
use fusion_ring::channel::{Channel, ChannelError, Traffic};
use tokio::task::AbortHandle;
use tokio_stream::Stream;
use tonic::{Status, Streaming};

use crate::error::{Misbehaviour, NetError};
use crate::limit_name::LimitName;
use crate::pipe::{Pipe, Waited};
use crate::proto::{Frame, frame::Kind};
use crate::tuning::{FRAME_BYTES, QUEUE_BYTES};
use crate::waits::Waits;

/// How long a failed send waits for the reading task to learn why the peer ended the lane.
const VERDICT_WAIT: Duration = Duration::from_secs(2);

/// What ends a lane from this side.
#[derive(Debug, Clone)]
pub(crate) struct LaneBounds {
    pub(crate) idle: Duration,
    pub(crate) deadline: Instant,
    pub(crate) bytes: u64,
}

/// Both queues of a lane.
#[derive(Clone)]
pub(crate) struct LanePipes {
    pub(crate) incoming: Arc<Pipe>,
    pub(crate) outgoing: Arc<Pipe>,
}

impl LanePipes {
    pub(crate) fn new() -> Self {
        Self { incoming: Pipe::new(QUEUE_BYTES), outgoing: Pipe::new(QUEUE_BYTES) }
    }

    pub(crate) fn abort(&self, error: &NetError) {
        self.outgoing.abort(error.clone());
        self.incoming.abort(error.clone());
    }
}

/// One end of a lane: ordered, reliable bytes to and from the peer. After an error every further
/// call returns that error again.
///
/// Dropping it before the end of the protocol ends the lane at once for both sides.
pub struct LaneChannel {
    pipes: LanePipes,
    front: Bytes,
    queued: BytesMut,
    traffic: Traffic,
    waits: Waits,
    sending: bool,
    bounds: LaneBounds,
    failure: Option<NetError>,
    reader: AbortHandle,
    /// Whatever must live as long as the lane: the connection and the runtime that drives it.
    _keep: Box<dyn Send>,
}

impl std::fmt::Debug for LaneChannel {
    // The buffers hold protocol messages and stay out of logs.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LaneChannel").field("traffic", &self.traffic).field("failure", &self.failure).finish_non_exhaustive()
    }
}

impl LaneChannel {
    pub(crate) fn new(pipes: LanePipes, bounds: LaneBounds, reader: AbortHandle, keep: Box<dyn Send>) -> Self {
        Self {
            pipes,
            front: Bytes::new(),
            queued: BytesMut::with_capacity(FRAME_BYTES),
            traffic: Traffic::default(),
            waits: Waits::default(),
            sending: false,
            bounds,
            failure: None,
            reader,
            _keep: keep,
        }
    }

    /// Why the lane is dead, in more detail than a [`ChannelError`] can tell.
    #[must_use]
    pub fn failure(&self) -> Option<&NetError> {
        self.failure.as_ref()
    }

    /// How long this end has waited so far.
    #[must_use]
    pub fn waits(&self) -> Waits {
        self.waits
    }

    /// Ends the lane without an error: sends what is queued, then waits until the peer has ended it
    /// without an error as well.
    ///
    /// # Errors
    /// The error with which the peer ended the lane; [`Misbehaviour::TrailingBytes`] if the peer
    /// sent more than was read.
    pub fn finish(mut self) -> Result<Traffic, NetError> {
        self.flush_frames()?;
        self.pipes.outgoing.close(Ok(()));
        let rest = self.front.len();
        match self.pipes.incoming.pop_blocking(self.wait_until()) {
            Waited::Ended(Ok(())) if rest == 0 => Ok(self.traffic),
            Waited::Ended(Ok(())) => Err(Misbehaviour::TrailingBytes(rest).into()),
            Waited::Ready(chunk) => Err(Misbehaviour::TrailingBytes(rest + chunk.len()).into()),
            Waited::Ended(Err(error)) => Err(error),
            Waited::TimedOut => Err(self.timed_out()),
        }
    }

    /// Ends this side only: sends what is queued and then the end of the stream, and waits for
    /// nothing.
    pub(crate) fn end_sending(mut self) -> Result<(), NetError> {
        self.flush_frames()?;
        self.pipes.outgoing.close(Ok(()));
        Ok(())
    }

    /// Ends the lane with an error that the transport reports to the peer.
    pub(crate) fn fail(self, error: &NetError) {
        self.pipes.abort(error);
    }

    fn wait_until(&self) -> Instant {
        self.bounds.deadline.min(Instant::now() + self.bounds.idle)
    }

    fn timed_out(&self) -> NetError {
        if Instant::now() >= self.bounds.deadline {
            NetError::limit(LimitName::LaneTime)
        } else {
            NetError::Timeout { seconds: self.bounds.idle.as_secs() }
        }
    }

    /// Refuses more bytes than the lane may carry, and anything after its time.
    fn charge(&self, more: usize) -> Result<(), NetError> {
        if self.traffic.total().saturating_add(more as u64) > self.bounds.bytes {
            return Err(NetError::limit(LimitName::BytesPerLane));
        }
        if Instant::now() >= self.bounds.deadline {
            return Err(NetError::limit(LimitName::LaneTime));
        }
        Ok(())
    }

    fn push(&mut self, chunk: Bytes) -> Result<(), NetError> {
        let start = Instant::now();
        let pushed = self.pipes.outgoing.push_blocking(chunk, self.wait_until());
        self.waits.link += start.elapsed();
        match pushed {
            Waited::Ready(()) => Ok(()),
            Waited::TimedOut => Err(self.timed_out()),
            Waited::Ended(Err(error)) if error != NetError::Closed => Err(error),
            // The transport dropped the stream; why, the reading task knows or is about to learn.
            Waited::Ended(_) => match self.pipes.incoming.end_blocking(Instant::now() + VERDICT_WAIT) {
                Some(Err(error)) => Err(error),
                Some(Ok(())) | None => Err(NetError::Closed),
            },
        }
    }

    fn flush_frames(&mut self) -> Result<(), NetError> {
        if self.queued.is_empty() {
            return Ok(());
        }
        let frame = self.queued.split().freeze();
        self.push(frame)
    }

    fn send_bytes(&mut self, bytes: &[u8]) -> Result<(), NetError> {
        self.charge(bytes.len())?;
        self.traffic.sent += bytes.len() as u64;
        self.sending = true;
        let mut rest = bytes;
        while !rest.is_empty() {
            let room = FRAME_BYTES - self.queued.len();
            let (now, later) = rest.split_at(room.min(rest.len()));
            self.queued.extend_from_slice(now);
            rest = later;
            if self.queued.len() == FRAME_BYTES {
                self.flush_frames()?;
            }
        }
        Ok(())
    }

    fn recv_bytes(&mut self, buf: &mut [u8]) -> Result<(), NetError> {
        self.flush_frames()?;
        self.charge(buf.len())?;
        if std::mem::take(&mut self.sending) {
            self.traffic.turns += 1;
        }
        let mut filled = 0;
        while filled < buf.len() {
            if self.front.is_empty() {
                let start = Instant::now();
                let popped = self.pipes.incoming.pop_blocking(self.wait_until());
                let waited = start.elapsed();
                // While the link still carries what this end said, the peer cannot know it.
                let link = if filled == 0 { self.pipes.outgoing.busy_since(start).min(waited) } else { waited };
                self.waits.link += link;
                self.waits.peer += waited - link;
                self.front = match popped {
                    Waited::Ready(chunk) => chunk,
                    Waited::Ended(end) => return Err(end.err().unwrap_or(NetError::Closed)),
                    Waited::TimedOut => return Err(self.timed_out()),
                };
            }
            let n = self.front.len().min(buf.len() - filled);
            buf[filled..filled + n].copy_from_slice(&self.front[..n]);
            self.front.advance(n);
            filled += n;
        }
        self.traffic.received += buf.len() as u64;
        Ok(())
    }

    /// Runs one operation on a live channel; its error is kept and repeated from then on.
    fn live<T>(&mut self, operation: impl FnOnce(&mut Self) -> Result<T, NetError>) -> Result<T, ChannelError> {
        if let Some(error) = &self.failure {
            return Err(error.clone().into());
        }
        operation(self).map_err(|error| {
            self.failure = Some(error.clone());
            error.into()
        })
    }
}

impl Channel for LaneChannel {
    fn send(&mut self, bytes: &[u8]) -> Result<(), ChannelError> {
        self.live(|lane| lane.send_bytes(bytes))
    }

    fn flush(&mut self) -> Result<(), ChannelError> {
        self.live(Self::flush_frames)
    }

    fn recv(&mut self, buf: &mut [u8]) -> Result<(), ChannelError> {
        self.live(|lane| lane.recv_bytes(buf))
    }

    fn traffic(&self) -> Traffic {
        self.traffic
    }
}

impl Drop for LaneChannel {
    fn drop(&mut self) {
        self.reader.abort();
        self.pipes.incoming.abort(NetError::Closed);
        // After an orderly end this changes nothing: the first end counts, but what is queued must
        // still go out.
        self.pipes.outgoing.close(Err(NetError::Closed));
    }
}

/// Reads the peer's frames into the incoming pipe until the stream ends or somebody ends the pipe.
pub(crate) async fn read_frames(mut frames: Streaming<Frame>, pipe: Arc<Pipe>, interpret: fn(&Status) -> NetError) {
    let end = loop {
        match frames.message().await {
            Ok(Some(Frame { kind: Some(Kind::Payload(bytes)) })) if !bytes.is_empty() => {
                if !pipe.push(bytes).await {
                    return;
                }
            }
            Ok(Some(Frame { kind: Some(Kind::Open(_)) })) => break Err(Misbehaviour::OpenedTwice.into()),
            Ok(Some(Frame { kind: Some(Kind::Payload(_)) | None })) => break Err(Misbehaviour::EmptyFrame.into()),
            Ok(None) => break Ok(()),
            Err(status) => break Err(interpret(&status)),
        }
    };
    pipe.close(end);
}

/// The outgoing pipe as a stream of frames for the transport. Once the transport drops it, the lane
/// can send no more.
pub(crate) struct OutgoingFrames {
    first: Option<Frame>,
    pipes: LanePipes,
    /// Whether dropping this ends the incoming pipe too. On a server it does; a client still waits
    /// for the call's status.
    ends_reading: bool,
}

impl OutgoingFrames {
    pub(crate) fn of_client(open: Frame, pipes: LanePipes) -> Self {
        Self { first: Some(open), pipes, ends_reading: false }
    }

    pub(crate) fn of_server(pipes: LanePipes) -> Self {
        Self { first: None, pipes, ends_reading: true }
    }

    fn poll_frame(&mut self, context: &mut Context<'_>) -> Poll<Result<Frame, crate::pipe::End>> {
        if let Some(open) = self.first.take() {
            return Poll::Ready(Ok(open));
        }
        self.pipes.outgoing.poll_pop(context).map_ok(|payload| Frame { kind: Some(Kind::Payload(payload)) })
    }
}

impl Drop for OutgoingFrames {
    fn drop(&mut self) {
        self.pipes.outgoing.abort(NetError::Closed);
        if self.ends_reading {
            self.pipes.incoming.close(Err(NetError::Closed));
        }
    }
}

/// The client's side: gRPC has no way to end a request stream with an error, so a failed lane just
/// ends it. The server always knows how many bytes must come, and the connection is cut as well.
impl Stream for OutgoingFrames {
    type Item = Frame;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Frame>> {
        match self.get_mut().poll_frame(context) {
            Poll::Ready(Ok(frame)) => Poll::Ready(Some(frame)),
            Poll::Ready(Err(_)) => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        }
    }
}

/// The server's side: the lane's error is the status of the call.
pub(crate) struct ReplyFrames {
    frames: OutgoingFrames,
    ended: bool,
}

impl ReplyFrames {
    pub(crate) fn new(frames: OutgoingFrames) -> Self {
        Self { frames, ended: false }
    }
}

impl Stream for ReplyFrames {
    type Item = Result<Frame, Status>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        if this.ended {
            return Poll::Ready(None);
        }
        this.frames.poll_frame(context).map(|polled| match polled {
            Ok(frame) => Some(Ok(frame)),
            Err(end) => {
                this.ended = true;
                end.err().map(|error| Err(crate::status::to_status(&error)))
            }
        })
    }
}
