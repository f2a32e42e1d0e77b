//! Numbers that make gRPC fast here; both sides use the same.
//!
//! HTTP/2 throughput is window / round-trip time. The defaults of the stack (64 KiB) move less than
//! 1 Gbit/s on loopback and 13 Mbit/s over 40 ms; with these windows one lane fills 3 Gbit/s at 40
//! ms. The connection's window is above twice its streams', since a lane has a connection of its
//! own. The adaptive window stays off: it resets both to 64 KiB.

use std::time::Duration;

/// Payload of a full frame of a lane. A fuller channel buffer is cut here.
pub(crate) const FRAME_BYTES: usize = 256 << 10;

/// Piece of a hint in one message.
pub(crate) const HINT_CHUNK_BYTES: usize = 512 << 10;

/// Bytes that a lane queues in each direction between the transport and the thread that computes.
///
/// Above `MAX_CROSSING_BYTES`, which a channel must buffer in each direction.
pub(crate) const QUEUE_BYTES: usize = 4 << 20;

pub(crate) const STREAM_WINDOW: u32 = 16 << 20;
pub(crate) const CONNECTION_WINDOW: u32 = 64 << 20;
pub(crate) const MAX_HTTP2_FRAME: u32 = 512 << 10;
pub(crate) const MAX_HEADER_LIST: u32 = 16 << 10;

/// Streams that a client may hold open on one connection; it needs one for a lane and few for the
/// rest.
pub(crate) const STREAMS_PER_CONNECTION: u32 = 8;

pub(crate) const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(20);
pub(crate) const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(20);

/// How long a TLS handshake or the first frame of a lane may take.
pub(crate) const OPENING_TIMEOUT: Duration = Duration::from_secs(20);

/// Largest message other than a frame: the description with its card.
pub(crate) const DESCRIPTION_BYTES: usize = 64 << 20;

/// Memory of a lane's queues, its windows and its thread, beside what its handler takes.
pub(crate) const LANE_BUFFERS: u64 = 40 << 20;

/// Metadata with the number that a run gives itself, 16 hexadecimal digits: a server divides the
/// room of one address among its runs by it. It names nobody and is checked by nobody.
pub(crate) const RUN_KEY: &str = "fusion-run";
