//! The client's side: describe, download the hint, open lanes. Calls block; the transport runs on
//! threads of its own.

mod health;
mod hint;
mod pause;

pub use hint::HintRate;

use std::net::Shutdown;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use hyper_util::rt::TokioIo;
use tokio::runtime::Runtime;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Status};

use crate::PROTOCOL_VERSION;
use crate::error::{Misbehaviour, Mismatch, NetError};
use crate::handler::Description;
use crate::lane::{LaneBounds, LaneChannel, LanePipes, OutgoingFrames, read_frames};
use crate::lane_request::LaneRequest;
use crate::limits::AnnouncedLimits;
use crate::proto::fusion_client::FusionClient;
use crate::proto::{DescribeReply, DescribeRequest, ModelsRequest, ServedModel};
use crate::security::ClientSecurity;
use crate::server::ModelFacts;
use crate::status::from_server;
use crate::transport::{deadline_after, runtime};
use crate::tuning::{
    CONNECTION_WINDOW, DESCRIPTION_BYTES, FRAME_BYTES, KEEPALIVE_INTERVAL, KEEPALIVE_TIMEOUT, MAX_HEADER_LIST, MAX_HTTP2_FRAME, RUN_KEY,
    STREAM_WINDOW,
};
use fusion_ring::symmetric::digest::Digest;

/// Characters of the server's release that are kept.
const RELEASE_CHARS: usize = 64;

/// Characters of a model's name that are kept.
const NAME_CHARS: usize = 200;

/// Whom a client talks to, and what it allows its server.
#[derive(Debug, Clone)]
pub struct ClientSettings {
    /// `host:port` of the server.
    pub address: String,
    /// TLS and tokens.
    pub security: ClientSecurity,
    /// How long setting up a connection may take (10 s).
    pub connect_timeout: Duration,
    /// Time without a byte from the server while we wait for one, after which a call ends (300 s).
    pub idle: Duration,
    /// Time after which a lane ends whatever it does (2 h).
    pub lane: Duration,
    /// Payload bytes of one lane, both directions together (256 GiB).
    pub bytes_per_lane: u64,
    /// Length of the longest hint that is downloaded (64 GiB).
    pub max_hint_bytes: u64,
    /// How long the calls of one download together may fail and wait, as long as the server can be
    /// expected to come back or to have room again (300 s). Time in which bytes arrive does not
    /// count.
    pub patience: Duration,
    /// Tells this run from others behind the same address, where a server divides the room of that
    /// address; random, and nothing is proved by it.
    pub run: u64,
}

impl ClientSettings {
    /// The defaults for a server at `host:port`.
    #[must_use]
    pub fn new(address: impl Into<String>) -> Self {
        Self {
            address: address.into(),
            security: ClientSecurity::default(),
            connect_timeout: Duration::from_secs(10),
            idle: Duration::from_secs(300),
            lane: Duration::from_secs(2 * 3600),
            bytes_per_lane: 256 << 30,
            max_hint_bytes: 64 << 30,
            patience: Duration::from_secs(300),
            run: pause::random(),
        }
    }
}

/// What a server serves, checked for consistency.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Served {
    /// The model's public description.
    pub description: Description,
    /// Digest of the card in the description.
    pub card_digest: Digest,
    /// The server's release, for people; cleaned of control characters.
    pub release: String,
    /// What the server says that it allows.
    pub limits: AnnouncedLimits,
}

/// A connection to one server. Cheap to clone. Its calls block, so they must not be made from async
/// code.
#[derive(Debug, Clone)]
pub struct Client {
    transport: Arc<Transport>,
    endpoint: Endpoint,
    token: Option<MetadataValue<Ascii>>,
    control: FusionClient<Channel>,
    settings: Arc<ClientSettings>,
}

/// The runtime that drives all connections of a client; ends with the last of them.
#[derive(Debug)]
struct Transport(Option<Runtime>);

impl Transport {
    /// Blocks this thread on a call.
    fn block_on<T>(&self, call: impl Future<Output = Result<T, NetError>>) -> Result<T, NetError> {
        match &self.0 {
            Some(runtime) => runtime.block_on(call),
            None => Err(NetError::Closed),
        }
    }
}

impl Drop for Transport {
    // Dropping a runtime waits for its tasks, and panics inside another runtime; this does neither.
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

impl Client {
    /// Connects to a server.
    ///
    /// # Errors
    /// [`NetError::Unreachable`] if nobody answers there (or not with the right certificate),
    /// [`NetError::Settings`] for an address or TLS settings that cannot be used.
    pub fn connect(settings: ClientSettings) -> Result<Self, NetError> {
        let endpoint = endpoint(&settings)?;
        let token = settings.security.token.as_ref().map(|token| bearer(&token.header())).transpose()?;
        let transport = Arc::new(Transport(Some(runtime()?)));
        let connection = transport.block_on(dial(&endpoint, &settings))?;
        let control = FusionClient::new(connection.channel.clone()).max_decoding_message_size(DESCRIPTION_BYTES);
        Ok(Self { transport, endpoint, token, control, settings: Arc::new(settings) })
    }

    /// Asks which models are served. Nothing of the answer is proved: it is for people to choose
    /// from.
    ///
    /// # Errors
    /// [`NetError::PeerMisbehaved`] for a digest that is none; errors of the transport, as from a
    /// server of an earlier release, which knows no such question.
    pub fn models(&self) -> Result<Vec<ModelFacts>, NetError> {
        let mut control = self.control.clone();
        let reply = self.transport.block_on(within(self.settings.idle, control.models(self.request(ModelsRequest {}))))?;
        reply.into_inner().models.into_iter().map(facts).collect()
    }

    /// Asks what is served, where it is one model.
    ///
    /// # Errors
    /// As [`describe_model`](Self::describe_model).
    pub fn describe(&self) -> Result<Served, NetError> {
        self.describe_model("")
    }

    /// Asks for the model of this name, or whose card has this digest in hexadecimal; for the only
    /// one, if `model` is empty. Whether the answer is what was asked for is for the caller to
    /// check: this crate reads no cards.
    ///
    /// # Errors
    /// [`NetError::Mismatch`] if the server speaks another version of the wire protocol;
    /// [`NetError::PeerMisbehaved`] for a description that contradicts itself; errors of the
    /// transport.
    pub fn describe_model(&self, model: &str) -> Result<Served, NetError> {
        let mut control = self.control.clone();
        let request = self.request(DescribeRequest { protocol_version: PROTOCOL_VERSION, model: model.to_owned() });
        let reply = self.transport.block_on(within(self.settings.idle, control.describe(request)))?;
        served(reply.into_inner())
    }

    /// Opens a lane on a connection of its own.
    ///
    /// # Errors
    /// The server's refusal ([`NetError::Mismatch`], [`NetError::Limit`],
    /// [`NetError::Unauthenticated`], [`NetError::ShuttingDown`]), or errors of the transport.
    pub fn open_lane(&self, request: LaneRequest) -> Result<LaneChannel, NetError> {
        let pipes = LanePipes::new();
        let frames = OutgoingFrames::of_client(request.to_wire(), pipes.clone());
        let opening = async {
            let connection = dial(&self.endpoint, &self.settings).await?;
            let mut lane = FusionClient::new(connection.channel.clone()).max_decoding_message_size(4 * FRAME_BYTES);
            let replies = within(self.settings.idle, lane.lane(self.request(frames))).await?.into_inner();
            let reader = tokio::spawn(read_frames(replies, Arc::clone(&pipes.incoming), from_server)).abort_handle();
            Ok((connection, reader))
        };
        let (connection, reader) = self.transport.block_on(opening)?;
        let bounds =
            LaneBounds { idle: self.settings.idle, deadline: deadline_after(self.settings.lane), bytes: self.settings.bytes_per_lane };
        Ok(LaneChannel::new(pipes, bounds, reader, Box::new((Hangup(connection), Arc::clone(&self.transport)))))
    }

    fn request<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        if let Some(token) = &self.token {
            request.metadata_mut().insert("authorization", token.clone());
        }
        if let Ok(run) = format!("{:016x}", self.settings.run).parse() {
            request.metadata_mut().insert(RUN_KEY, run);
        }
        request
    }
}

/// A call that ends when the server says nothing for `idle`.
async fn within<T>(idle: Duration, call: impl Future<Output = Result<T, Status>>) -> Result<T, NetError> {
    match tokio::time::timeout(idle, call).await {
        Ok(done) => done.map_err(|status| from_server(&status)),
        Err(_) => Err(NetError::Timeout { seconds: idle.as_secs() }),
    }
}

/// A connection and a second handle on its socket.
#[derive(Debug)]
struct Connection {
    channel: Channel,
    socket: Arc<Mutex<Option<std::net::TcpStream>>>,
}

/// Cuts a lane's connection when the lane is over.
///
/// Dropping the gRPC call is not enough. What a lane has queued would go on waiting for HTTP/2
/// window space, and a server that itself waits for this client never grants any.
struct Hangup(Connection);

impl Drop for Hangup {
    fn drop(&mut self) {
        if let Some(socket) = self.0.socket.lock().unwrap_or_else(PoisonError::into_inner).take() {
            // A socket that is already down needs no more.
            let _ = socket.shutdown(Shutdown::Both);
        }
    }
}

async fn dial(endpoint: &Endpoint, settings: &ClientSettings) -> Result<Connection, NetError> {
    let socket = Arc::new(Mutex::new(None));
    let kept = Arc::clone(&socket);
    let address = settings.address.clone();
    let connector = tower::service_fn(move |_uri| {
        let (address, kept) = (address.clone(), Arc::clone(&kept));
        async move {
            let stream = tokio::net::TcpStream::connect(address).await?;
            stream.set_nodelay(true)?;
            let stream = stream.into_std()?;
            *kept.lock().unwrap_or_else(PoisonError::into_inner) = Some(stream.try_clone()?);
            Ok::<_, std::io::Error>(TokioIo::new(tokio::net::TcpStream::from_std(stream)?))
        }
    });
    let channel = endpoint
        .connect_with_connector(connector)
        .await
        .map_err(|error| NetError::Unreachable { address: settings.address.clone(), reason: innermost(&error) })?;
    Ok(Connection { channel, socket })
}

/// The cause of an error: the transport wraps it in several layers that say nothing.
fn innermost(error: &dyn std::error::Error) -> String {
    error.source().map_or_else(|| error.to_string(), innermost)
}

fn endpoint(settings: &ClientSettings) -> Result<Endpoint, NetError> {
    let invalid = |reason: &dyn std::fmt::Display| NetError::Settings(format!("cannot use the address {}: {reason}", settings.address));
    let authority: tonic::codegen::http::uri::Authority = settings.address.parse().map_err(|error| invalid(&error))?;
    if authority.port_u16().is_none() || authority.as_str().contains('@') {
        return Err(invalid(&"expected host:port"));
    }
    let tls = settings.security.tls(authority.host())?;
    let scheme = if tls.is_some() { "https" } else { "http" };
    let mut endpoint = Endpoint::from_shared(format!("{scheme}://{authority}"))
        .map_err(|error| invalid(&error))?
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_frame_size(MAX_HTTP2_FRAME)
        .http2_max_header_list_size(MAX_HEADER_LIST)
        .http2_keep_alive_interval(KEEPALIVE_INTERVAL)
        .keep_alive_timeout(KEEPALIVE_TIMEOUT)
        .connect_timeout(settings.connect_timeout);
    if let Some(tls) = tls {
        endpoint = endpoint.tls_config(tls).map_err(|error| NetError::Settings(format!("TLS: {}", innermost(&error))))?;
    }
    Ok(endpoint)
}

fn bearer(header: &str) -> Result<MetadataValue<Ascii>, NetError> {
    let mut value: MetadataValue<Ascii> = header.parse().map_err(|_| NetError::Settings("the token cannot be sent in a header".into()))?;
    value.set_sensitive(true);
    Ok(value)
}

/// Checks what the server says about itself.
pub(crate) fn served(reply: DescribeReply) -> Result<Served, NetError> {
    if reply.protocol_version != PROTOCOL_VERSION {
        return Err(NetError::Mismatch(Mismatch::ProtocolVersion));
    }
    let digest = |bytes: &Bytes| Digest::from_slice(bytes).ok_or(Misbehaviour::DigestLength(bytes.len()));
    let (announced, hint_digest) = (digest(&reply.card_digest)?, digest(&reply.hint_digest)?);
    let found = Digest::of(&reply.card);
    if found != announced {
        return Err(Misbehaviour::CardDigest { announced, found }.into());
    }
    let release = printable(&reply.server_release, RELEASE_CHARS);
    let description = Description { card: reply.card, hint_digest, hint_bytes: reply.hint_bytes, params_version: reply.params_version };
    Ok(Served { description, card_digest: found, release, limits: reply.limits.unwrap_or_default().into() })
}

/// A line of a server's list.
fn facts(model: ServedModel) -> Result<ModelFacts, NetError> {
    let digest = Digest::from_slice(&model.card_digest).ok_or(Misbehaviour::DigestLength(model.card_digest.len()))?;
    let name = printable(&model.name, NAME_CHARS);
    Ok(ModelFacts { name, card_digest: digest, hint_bytes: model.hint_bytes, samples_per_lane: model.samples_per_lane })
}

/// What a server says for people, without what would act on their terminals.
fn printable(text: &str, most: usize) -> String {
    text.chars().filter(|c| !c.is_control()).take(most).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_host_and_port_and_nothing_else() {
        for bad in ["", "127.0.0.1", "http://127.0.0.1:1", "127.0.0.1:99999", "user@127.0.0.1:80", "127.0.0.1:80/path"] {
            assert!(matches!(endpoint(&ClientSettings::new(bad)), Err(NetError::Settings(_))), "{bad}");
        }
        for good in ["127.0.0.1:80", "[::1]:80", "localhost:80"] {
            endpoint(&ClientSettings::new(good)).unwrap();
        }
    }

    #[test]
    fn a_description_that_contradicts_itself_is_refused() {
        let card = Bytes::from_static(b"card");
        let good = DescribeReply {
            protocol_version: PROTOCOL_VERSION,
            card_digest: Bytes::copy_from_slice(Digest::of(&card).as_bytes()),
            hint_digest: Bytes::copy_from_slice(Digest::of(b"hint").as_bytes()),
            card,
            server_release: "1.0\u{1b}[2J".into(),
            ..DescribeReply::default()
        };
        assert_eq!(served(good.clone()).unwrap().release, "1.0[2J");
        let lying = DescribeReply { card: Bytes::from_static(b"other"), ..good.clone() };
        let expected = Misbehaviour::CardDigest { announced: Digest::of(b"card"), found: Digest::of(b"other") };
        assert_eq!(served(lying), Err(expected.into()));
        let short = DescribeReply { hint_digest: Bytes::from_static(b"x"), ..good.clone() };
        assert_eq!(served(short), Err(Misbehaviour::DigestLength(1).into()));
        let newer = DescribeReply { protocol_version: PROTOCOL_VERSION + 1, ..good };
        assert_eq!(served(newer), Err(NetError::Mismatch(Mismatch::ProtocolVersion)));
    }
}
