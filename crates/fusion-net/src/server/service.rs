//! The gRPC side of the server: checks every request, then hands lanes to their threads.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use tokio_stream::Stream;
use tonic::transport::server::TlsConnectInfo;
use tonic::{Request, Response, Status, Streaming};

use super::asker::{Asker, ClientId};
use super::connections::Handle;
use super::counters::Tally;
use super::hint::HintReader;
use super::slots::{LaneSlot, Slots};
use crate::error::{Misbehaviour, Mismatch, NetError};
use crate::handler::{Description, LaneHandler};
use crate::lane::{LaneBounds, LaneChannel, LanePipes, OutgoingFrames, ReplyFrames, read_frames};
use crate::lane_request::{Extension, LaneRequest, Reveal, Split};
use crate::limit_name::LimitName;
use crate::limits::Limits;
use crate::proto;
use crate::proto::fusion_server::Fusion;
use crate::proto::{DescribeReply, DescribeRequest, Frame, HintChunk, HintRequest, frame::Kind};
use crate::status::{from_client, to_status};
use crate::transport::deadline_after;
use crate::tuning::{LANE_BUFFERS, OPENING_TIMEOUT, RUN_KEY};
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
    /// What clients are told.
    pub(super) announced: proto::Limits,
}

impl<H: LaneHandler> Service<H> {
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
        if !self.fits(request) {
            let samples = self.samples_that_fit(*request);
            return Err(NetError::LaneTooLarge { limit: LimitName::Memory, samples });
        }
        Ok(())
    }

    fn fits(&self, request: &LaneRequest) -> bool {
        self.handler.lane_bytes(request).saturating_add(LANE_BUFFERS) <= self.limits.memory
    }

    /// Samples of the largest lane on the terms of `request` that has room on an idle server.
    fn samples_that_fit(&self, request: LaneRequest) -> u32 {
        let fits = |n_samples| self.fits(&LaneRequest { n_samples, ..request });
        // The largest number that fits is below `above`.
        let (mut fit, mut above) = (0, self.limits.samples_per_lane.saturating_add(1));
        while above - fit > 1 {
            let middle = fit + (above - fit) / 2;
            if fits(middle) { fit = middle } else { above = middle }
        }
        fit
    }

    /// Announces no longer lanes than have room, on the terms that clients ask for.
    ///
    /// # Errors
    /// [`NetError::Settings`] if not even a lane of one sample has room.
    pub(super) fn announce(&mut self) -> Result<(), NetError> {
        let request = LaneRequest {
            card_digest: self.card_digest,
            params_version: self.description.params_version,
            n_samples: 1,
            reveal: Reveal::Label,
            lane: 0,
            split: Split::OneMore,
            extension: Extension::Medium,
        };
        let samples = self.samples_that_fit(request);
        if samples == 0 {
            let (needed, memory) = (self.handler.lane_bytes(&request).saturating_add(LANE_BUFFERS), self.limits.memory);
            return Err(NetError::Settings(format!(
                "a lane of one sample takes {needed} bytes, but the limit memory is {memory}: raise it"
            )));
        }
        self.announced = proto::Limits { samples_per_lane: samples, ..self.limits.to_wire() };
        Ok(())
    }

    async fn open_lane(&self, request: Request<Streaming<Frame>>) -> Result<Replies<Frame>, NetError> {
        let connection = connection_of(&request)?;
        let asker = asker(&request, &connection);
        let pipes = LanePipes::new();
        // The slot comes first, so that clients who open streams and say nothing are counted.
        let slot = self.slots.open(&asker, &self.limits, &pipes)?;
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
        slot.take_memory(&asker, self.handler.lane_bytes(&asked).saturating_add(LANE_BUFFERS), &self.limits)?;

        let bounds = LaneBounds { idle: self.limits.idle, deadline: deadline_after(self.limits.lane), bytes: self.limits.bytes_per_lane };
        let reader = tokio::spawn(read_frames(frames, Arc::clone(&pipes.incoming), from_client)).abort_handle();
        let replies = ReplyFrames::new(OutgoingFrames::of_server(pipes.clone()));
        let channel = LaneChannel::new(pipes, bounds, reader, Box::new(()));
        let working = connection.work();
        let (handler, tally) = (Arc::clone(&self.handler), Arc::clone(&self.tally));
        std::thread::Builder::new()
            .name(format!("lane-{}", slot.id))
            .spawn(move || {
                let _working = working;
                run_lane(&*handler, asked, channel, slot, &tally);
            })
            .map_err(|error| NetError::PeerFailed(format!("no thread for a lane: {error}")))?;
        Ok(Box::pin(replies))
    }

    fn open_hint(&self, request: &Request<HintRequest>) -> Result<HintReader, NetError> {
        let connection = connection_of(request)?;
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
        let slot = self.slots.open_hint(&client_of(request, &connection), &self.limits)?;
        let held = (slot, connection.work());
        Ok(HintReader::new(source, (wanted.offset, length), &self.limits, Arc::clone(&self.tally), held))
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
        let _ = request;
        Ok(Response::new(DescribeReply {
            protocol_version: PROTOCOL_VERSION,
            params_version: self.description.params_version,
            server_release: RELEASE.into(),
            card: self.description.card.clone(),
            card_digest: Bytes::copy_from_slice(self.card_digest.as_bytes()),
            hint_digest: Bytes::copy_from_slice(self.description.hint_digest.as_bytes()),
            hint_bytes: self.description.hint_bytes,
            limits: Some(self.announced),
        }))
    }

    type HintStream = Replies<HintChunk>;

    async fn hint(&self, request: Request<HintRequest>) -> Result<Response<Self::HintStream>, Status> {
        let reader = self.open_hint(&request).map_err(|error| {
            self.tally.refused(&error);
            to_status(&error)
        })?;
        Ok(Response::new(Box::pin(reader.start())))
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

/// A certificate names a client better than its address.
fn client_of<T>(request: &Request<T>, connection: &Handle) -> ClientId {
    let tls = request.extensions().get::<TlsConnectInfo<Handle>>();
    match tls.and_then(TlsConnectInfo::peer_certs).as_ref().and_then(|chain| chain.first()) {
        Some(certificate) => ClientId::Certificate(Digest::of(certificate)),
        None => ClientId::Address(connection.origin()),
    }
}

/// Who asks, if what it says of itself can be read.
fn asker<T>(request: &Request<T>, connection: &Handle) -> Asker {
    let run = request.metadata().get(RUN_KEY).and_then(|run| u64::from_str_radix(run.to_str().ok()?, 16).ok());
    Asker { client: client_of(request, connection), run }
}

/// The connection that a request came by.
fn connection_of<T>(request: &Request<T>) -> Result<Handle, NetError> {
    request.extensions().get::<Handle>().cloned().ok_or_else(|| NetError::PeerFailed("a call without a connection".into()))
}
