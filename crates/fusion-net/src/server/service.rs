//! The gRPC side of the server: checks every request, then hands lanes to their threads.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use tokio_stream::Stream;
use tonic::transport::server::TlsConnectInfo;
use tonic::{Request, Response, Status, Streaming};

use super::asker::{Asker, ClientId};
use super::catalogue::{Catalogue, ModelFacts};
use super::connections::Handle;
use super::counters::Tally;
use super::hint::HintReader;
use super::slots::{LaneSlot, Slots};
use crate::error::{Misbehaviour, Mismatch, NetError};
use crate::handler::LaneHandler;
use crate::lane::{LaneBounds, LaneChannel, LanePipes, OutgoingFrames, ReplyFrames, read_frames};
use crate::lane_request::LaneRequest;
use crate::limits::Limits;
use crate::proto::fusion_server::Fusion;
use crate::proto::{DescribeReply, DescribeRequest, Frame, HintChunk, HintRequest, ModelsReply, ModelsRequest, ServedModel, frame::Kind};
use crate::status::{from_client, to_status};
use crate::transport::deadline_after;
use crate::tuning::{OPENING_TIMEOUT, RUN_KEY};
use fusion_ring::symmetric::digest::Digest;

type Replies<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

pub(super) struct Service<H> {
    pub(super) models: Catalogue<H>,
    pub(super) limits: Limits,
    pub(super) slots: Arc<Slots>,
    pub(super) tally: Arc<Tally>,
}

impl<H: LaneHandler> Service<H> {
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
        let model = self.models.of_card(asked.card_digest)?;
        model.check(&asked)?;
        slot.take_memory(&asker, model.lane_bytes(&asked), &self.limits)?;

        let bounds = LaneBounds { idle: self.limits.idle, deadline: deadline_after(self.limits.lane), bytes: self.limits.bytes_per_lane };
        let reader = tokio::spawn(read_frames(frames, Arc::clone(&pipes.incoming), from_client)).abort_handle();
        let replies = ReplyFrames::new(OutgoingFrames::of_server(pipes.clone()));
        let channel = LaneChannel::new(pipes, bounds, reader, Box::new(()));
        let working = connection.work();
        let (handler, tally) = (Arc::clone(&model.handler), Arc::clone(&self.tally));
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
        let (source, length) = self.models.file(digest).ok_or(NetError::Mismatch(Mismatch::Hint))?;
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
    async fn models(&self, request: Request<ModelsRequest>) -> Result<Response<ModelsReply>, Status> {
        let _ = request;
        let in_short = |facts: ModelFacts| ServedModel {
            name: facts.name,
            card_digest: Bytes::copy_from_slice(facts.card_digest.as_bytes()),
            hint_bytes: facts.hint_bytes,
            samples_per_lane: facts.samples_per_lane,
        };
        Ok(Response::new(ModelsReply { models: self.models.facts().into_iter().map(in_short).collect() }))
    }

    // A client that speaks another version of the protocol is told ours and decides; only its lanes
    // are refused.
    async fn describe(&self, request: Request<DescribeRequest>) -> Result<Response<DescribeReply>, Status> {
        match self.models.named(&request.get_ref().model) {
            Ok(model) => Ok(Response::new(model.describe())),
            Err(error) => {
                self.tally.refused(&error);
                Err(to_status(&error))
            }
        }
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
