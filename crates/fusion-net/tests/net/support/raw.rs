//! A client without manners: it sends any bytes as the messages of a lane.

use std::net::SocketAddr;
use std::thread::JoinHandle;

use bytes::{Buf as _, BufMut as _, Bytes};
use fusion_net::proto::{self, Frame, HintChunk, HintRequest, frame::Kind};
use fusion_net::{Digest, PROTOCOL_VERSION};
use prost::Message as _;
use tokio_stream::{Stream, StreamExt as _};
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::transport::Channel;
use tonic::{Status, Streaming};

use super::{CARD, PARAMS};

pub struct RawClient {
    runtime: std::sync::Arc<tokio::runtime::Runtime>,
    channel: Channel,
}

impl RawClient {
    pub fn connect(address: SocketAddr) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let channel = runtime.block_on(Channel::from_shared(format!("http://{address}")).unwrap().connect()).unwrap();
        Self { runtime: runtime.into(), channel }
    }

    pub fn frame(&self, kind: Kind) -> Bytes {
        Frame { kind: Some(kind) }.encode_to_vec().into()
    }

    pub fn open_with(&self, change: impl FnOnce(&mut proto::LaneOpen)) -> Bytes {
        let mut open = proto::LaneOpen {
            protocol_version: PROTOCOL_VERSION,
            params_version: PARAMS,
            card_digest: Bytes::copy_from_slice(Digest::of(CARD).as_bytes()),
            n_samples: super::ECHO,
            reveal: proto::Reveal::Label.into(),
            lane: 0,
            split: proto::Split::OneMore.into(),
            extension: proto::ExtensionSize::Small.into(),
        };
        change(&mut open);
        self.frame(Kind::Open(open))
    }

    pub fn open(&self, kind: u32) -> Bytes {
        self.open_with(|open| open.n_samples = kind)
    }

    /// Sends messages and the end of the stream; returns how the server ends the call.
    pub fn lane(&self, messages: Vec<Bytes>) -> Status {
        self.runtime.block_on(run(self.channel.clone(), tokio_stream::iter(messages)))
    }

    /// Sends messages and then nothing.
    pub fn lane_open_ended(&self, messages: Vec<Bytes>) -> JoinHandle<Status> {
        let (runtime, channel) = (self.runtime.clone(), self.channel.clone());
        std::thread::spawn(move || runtime.block_on(run(channel, tokio_stream::iter(messages).chain(tokio_stream::pending()))))
    }

    /// Describes once in order, then begins to ask and never ends; returns how the server ends
    /// that.
    pub fn describe_without_end(&self) -> Status {
        self.runtime.block_on(async {
            let request = proto::DescribeRequest { protocol_version: PROTOCOL_VERSION, model: String::new() };
            proto::fusion_client::FusionClient::new(self.channel.clone()).describe(request).await.unwrap();
            call("/fusion.v1.Fusion/Describe", self.channel.clone(), tokio_stream::pending()).await
        })
    }

    /// Bytes of a hint until its end, and how it ends.
    pub fn read_to_end(&self, hint: &mut Streaming<HintChunk>) -> (usize, Result<(), Status>) {
        let mut bytes = 0;
        self.runtime.block_on(async {
            loop {
                match hint.message().await {
                    Ok(Some(chunk)) => bytes += chunk.data.len(),
                    Ok(None) => return (bytes, Ok(())),
                    Err(status) => return (bytes, Err(status)),
                }
            }
        })
    }

    pub fn hint(&self, request: HintRequest) -> Result<Streaming<HintChunk>, Status> {
        let mut client = proto::fusion_client::FusionClient::new(self.channel.clone());
        self.runtime.block_on(client.hint(request)).map(tonic::Response::into_inner)
    }
}

async fn run(channel: Channel, messages: impl Stream<Item = Bytes> + Send + 'static) -> Status {
    call("/fusion.v1.Fusion/Lane", channel, messages).await
}

async fn call(path: &'static str, channel: Channel, messages: impl Stream<Item = Bytes> + Send + 'static) -> Status {
    let mut client = tonic::client::Grpc::new(channel);
    client.ready().await.unwrap();
    let path = tonic::codegen::http::uri::PathAndQuery::from_static(path);
    let mut replies = match client.streaming(tonic::Request::new(messages), path, RawCodec).await {
        Ok(replies) => replies.into_inner(),
        Err(status) => return status,
    };
    loop {
        match replies.message().await {
            Ok(Some(_)) => {}
            Ok(None) => return Status::ok(""),
            Err(status) => return status,
        }
    }
}

struct RawCodec;

impl Codec for RawCodec {
    type Encode = Bytes;
    type Decode = Bytes;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }
    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for RawCodec {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, item: Bytes, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        buffer.put(item);
        Ok(())
    }
}

impl Decoder for RawCodec {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        Ok(Some(buffer.copy_to_bytes(buffer.remaining())))
    }
}
