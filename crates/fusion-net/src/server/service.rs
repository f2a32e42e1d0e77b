//! The gRPC side of the server: checks every request, then hands lanes to their threads.

use std::io::{Read as _, Seek as _, SeekFrom};
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio_stream::Stream;
use tonic::transport::server::{TcpConnectInfo, TlsConnectInfo};
use tonic::{Request, Response, Status, Streaming};

use super::counters::Tally;
use super::slots::{ClientId, HintSlot, LaneSlot, Slots};
use crate::error::{Misbehaviour, Mismatch, NetError};
use crate::handler::{Description, HintSource, LaneHandler};
use crate::lane::{LaneBounds, LaneChannel, LanePipes, OutgoingFrames, ReplyFrames, read_frames};
use crate::lane_request::LaneRequest;
use crate::limit_name::LimitName;
use crate::limits::Limits;
use crate::proto::fusion_server::Fusion;
use crate::proto::{DescribeReply, DescribeRequest, Frame, HintChunk, HintRequest, frame::Kind};
use crate::security::Token;
use crate::status::{from_client, to_status};
use crate::transport::deadline_after;
use crate::tuning::{HINT_CHUNK_BYTES, OPENING_TIMEOUT};
use crate::{PROTOCOL_VERSION, RELEASE};
use fusion_ring::symmetric::digest::Digest;

type Replies<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

pub(super) struct Service<H> {
    pub(super) handler: Arc<H>,
    pub(super) description: Description,
    pub(super) card_digest: Digest,
    pub(super) limits: Limits,
    pub(super) slots: Arc<Slots>,
    pub(super) tally: Arc<Tally>,
    pub(super) token: Option<Token>,
}

impl<H: LaneHandler> Service<H> {
    fn authorize<T>(&self, request: &Request<T>) -> Result<(), NetError> {
        let Some(expected) = &self.token else { return Ok(()) };
        let presented = request.metadata().get("authorization").map(|value| value.as_bytes());
        if presented.is_some_and(|header| expected.is_header(header)) { Ok(()) } else { Err(NetError::Unauthenticated) }
    }

    fn check_request(&self, request: &LaneRequest) -> Result<(), NetError> {
        if request.params_version != self.description.params_version {
            return Err(NetError::Mismatch(Mismatch::ParamsVersion));
        }
        if request.card_digest != self.card_digest {
            return Err(NetError::Mismatch(Mismatch::Card));
        }
        if request.n_samples > self.limits.samples_per_lane {
            return Err(NetError::limit(LimitName::SamplesPerLane));
        }
        Ok(())
    }

    async fn open_lane(&self, request: Request<Streaming<Frame>>) -> Result<Replies<Frame>, NetError> {
        self.authorize(&request)?;
        let pipes = LanePipes::new();
        // The slot comes first, so that clients who open streams and say nothing are counted.
        let slot = self.slots.open(client_id(&request), &self.limits, &pipes)?;
        let mut frames = request.into_inner();
        let wait = self.limits.idle.min(OPENING_TIMEOUT);
        let first = tokio::time::timeout(wait, frames.message())
            .await
            .map_err(|_| NetError::Timeout { seconds: wait.as_secs() })?
            .map_err(|status| from_client(&status))?;
        let Some(Frame { kind: Some(Kind::Open(open)) }) = first else {
            return Err(Misbehaviour::NotOpened.into());
        };
        let asked = LaneRequest::from_wire(&open)?;
        self.check_request(&asked)?;

        let bounds = LaneBounds { idle: self.limits.idle, deadline: deadline_after(self.limits.lane), bytes: self.limits.bytes_per_lane };
        let reader = tokio::spawn(read_frames(frames, Arc::clone(&pipes.incoming), from_client)).abort_handle();
        let replies = ReplyFrames::new(OutgoingFrames::of_server(pipes.clone()));
        let channel = LaneChannel::new(pipes, bounds, reader, Box::new(()));
        let (handler, tally) = (Arc::clone(&self.handler), Arc::clone(&self.tally));
        std::thread::Builder::new()
            .name(format!("lane-{}", slot.id))
            .spawn(move || run_lane(&*handler, asked, channel, slot, &tally))
            .map_err(|error| NetError::PeerFailed(format!("no thread for a lane: {error}")))?;
        Ok(Box::pin(replies))
    }

    fn open_hint(&self, request: &Request<HintRequest>) -> Result<HintReader, NetError> {
        self.authorize(request)?;
        let wanted = request.get_ref();
        let digest = Digest::from_slice(&wanted.digest).ok_or(Misbehaviour::DigestLength(wanted.digest.len()))?;
        let found = if digest == self.description.hint_digest {
            Some((self.handler.hint(), self.description.hint_bytes))
        } else {
            self.handler.published(digest)
        };
        let (source, length) = found.ok_or(NetError::Mismatch(Mismatch::Hint))?;
        if wanted.offset > length {
            return Err(Misbehaviour::HintOffset { offset: wanted.offset, length }.into());
        }
        let slot = self.slots.open_hint(&self.limits)?;
        Ok(HintReader { source, next: wanted.offset, length, idle: self.limits.idle, tally: Arc::clone(&self.tally), _slot: slot })
    }
}

/// Runs one lane on this thread. The slot is released when this returns, however the lane ends.
fn run_lane<H: LaneHandler>(handler: &H, request: LaneRequest, mut channel: LaneChannel, slot: LaneSlot, tally: &Tally) {
    tally.add(|counters| counters.lanes_begun += 1);
    let started = Instant::now();
    // The handler is ours: if it panics, that is a failure of this server, and the lane's state
    // dies with the lane.
    let ran = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| handler.run_lane(request, &mut channel)));
    let traffic = fusion_ring::channel::Channel::traffic(&channel);
    let outcome = match ran {
        Ok(Ok(())) => channel.end_sending(),
        Ok(Err(failure)) => {
            let error = failure.into_error(channel.failure());
            channel.fail(&error);
            Err(error)
        }
        Err(_) => {
            let error = NetError::PeerFailed("the lane's handler panicked".into());
            channel.fail(&error);
            Err(error)
        }
    };
    tally.lane_ended(request.n_samples, traffic, &outcome);
    let (lane, seconds) = (slot.id, started.elapsed().as_secs_f64());
    let (sent, received, turns) = (traffic.sent, traffic.received, traffic.turns);
    match outcome {
        Ok(()) => tracing::info!(lane, samples = request.n_samples, sent, received, turns, seconds, "lane done"),
        Err(error) => tracing::warn!(lane, samples = request.n_samples, sent, received, turns, seconds, %error, "lane failed"),
    }
}

#[tonic::async_trait]
impl<H: LaneHandler> Fusion for Service<H> {
    // A client that speaks another version of the protocol is told ours and decides; only its lanes
    // are refused.
    async fn describe(&self, request: Request<DescribeRequest>) -> Result<Response<DescribeReply>, Status> {
        self.authorize(&request).map_err(|error| to_status(&error))?;
        Ok(Response::new(DescribeReply {
            protocol_version: PROTOCOL_VERSION,
            params_version: self.description.params_version,
            server_release: RELEASE.into(),
            card: self.description.card.clone(),
            card_digest: Bytes::copy_from_slice(self.card_digest.as_bytes()),
            hint_digest: Bytes::copy_from_slice(self.description.hint_digest.as_bytes()),
            hint_bytes: self.description.hint_bytes,
            limits: Some(self.limits.to_wire()),
        }))
    }

    type HintStream = Replies<HintChunk>;

    async fn hint(&self, request: Request<HintRequest>) -> Result<Response<Self::HintStream>, Status> {
        let reader = self.open_hint(&request).map_err(|error| {
            self.tally.refused(&error);
            to_status(&error)
        })?;
        // One message ahead of the transport; the task ends when the receiver is gone.
        let (send, receive) = tokio::sync::mpsc::channel(1);
        let runtime = tokio::runtime::Handle::current();
        tokio::task::spawn_blocking(move || reader.run(&runtime, &send));
        Ok(Response::new(Box::pin(tokio_stream::wrappers::ReceiverStream::new(receive))))
    }

    type LaneStream = Replies<Frame>;

    async fn lane(&self, request: Request<Streaming<Frame>>) -> Result<Response<Self::LaneStream>, Status> {
        match self.open_lane(request).await {
            Ok(replies) => Ok(Response::new(replies)),
            Err(error) => {
                self.tally.refused(&error);
                tracing::info!(%error, "lane refused");
                Err(to_status(&error))
            }
        }
    }
}

/// The rest of a hint or of another public file, from one offset on.
struct HintReader {
    source: HintSource,
    next: u64,
    length: u64,
    idle: Duration,
    tally: Arc<Tally>,
    _slot: HintSlot,
}

type HintSender = tokio::sync::mpsc::Sender<Result<HintChunk, Status>>;

impl HintReader {
    fn run(self, runtime: &tokio::runtime::Handle, send: &HintSender) {
        if let Err(error) = self.send_rest(runtime, send) {
            if error != NetError::Closed {
                tracing::error!(%error, "cannot send the hint");
            }
            // Fails if the receiver is gone or does not read; neither can be told anything.
            let _ = send.try_send(Err(to_status(&error)));
        }
    }

    fn send_rest(&self, runtime: &tokio::runtime::Handle, send: &HintSender) -> Result<(), NetError> {
        let mut file = match &self.source {
            HintSource::Memory(_) => None,
            HintSource::File(path) => {
                let mut file = std::fs::File::open(path).map_err(|error| NetError::disk(path, &error))?;
                file.seek(SeekFrom::Start(self.next)).map_err(|error| NetError::disk(path, &error))?;
                Some(file)
            }
        };
        let mut next = self.next;
        while next < self.length {
            let len = (self.length - next).min(HINT_CHUNK_BYTES as u64) as usize;
            let data = match (&self.source, &mut file) {
                (HintSource::File(path), Some(file)) => {
                    let mut piece = vec![0; len];
                    file.read_exact(&mut piece).map_err(|error| NetError::disk(path, &error))?;
                    Bytes::from(piece)
                }
                (HintSource::Memory(bytes), _) if bytes.len() as u64 >= next + len as u64 => {
                    bytes.slice(next as usize..next as usize + len)
                }
                _ => return Err(NetError::PeerFailed("the hint is shorter than described".into())),
            };
            runtime.block_on(send.send_timeout(Ok(HintChunk { offset: next, data }), self.idle)).map_err(|_| NetError::Closed)?;
            self.tally.add(|counters| counters.hint_bytes += len as u64);
            next += len as u64;
        }
        Ok(())
    }
}

/// A certificate names a client better than its address.
fn client_id<T>(request: &Request<T>) -> ClientId {
    let tls = request.extensions().get::<TlsConnectInfo<TcpConnectInfo>>();
    if let Some(certificate) = tls.and_then(TlsConnectInfo::peer_certs).as_ref().and_then(|chain| chain.first()) {
        return ClientId::Certificate(Digest::of(certificate));
    }
    request.remote_addr().map_or(ClientId::Unknown, |address| ClientId::Address(address.ip()))
}
