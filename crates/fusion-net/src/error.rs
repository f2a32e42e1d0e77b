//! What can go wrong between two processes, and whose fault it is.

use std::path::PathBuf;
use std::time::Duration;

use fusion_ring::channel::ChannelError;

use crate::limit_name::LimitName;
use fusion_ring::symmetric::digest::Digest;

/// Who has to act on an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// The other side broke the protocol.
    Peer,
    /// The network, or a peer that is gone; trying again is sensible.
    Network,
    /// Settings, files or calls of this side.
    Local,
    /// Neither side is wrong, but they do not fit together: another version, another model, a
    /// limit.
    Incompatible,
}

/// An error of this crate.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NetError {
    /// Nobody answers at the address.
    #[error("no Fusion server answers at {address}: {reason}")]
    Unreachable {
        /// Where we tried.
        address: String,
        /// What the transport said.
        reason: String,
    },
    /// The peer is gone.
    #[error("the peer closed the connection")]
    Closed,
    /// The peer was silent for too long.
    #[error("the peer sent nothing for {seconds} s")]
    Timeout {
        /// Seconds waited.
        seconds: u64,
    },
    /// The transport failed.
    #[error("transport failed: {0}")]
    Transport(String),
    /// A limit of one of the two sides was reached.
    #[error("limit reached: {limit}")]
    Limit {
        /// Which limit.
        limit: LimitName,
        /// When the server expects room again, if it is only full now; at most 60 s. `None`: the
        /// same call meets the same limit again, or nobody can say when it would not.
        retry_after: Option<Duration>,
    },
    /// A lane that has no room even on an idle server.
    #[error("limit reached: {limit}; a lane of at most {samples} samples has room")]
    LaneTooLarge {
        /// Which limit.
        limit: LimitName,
        /// Samples of the largest lane that has room, 0 if none has.
        samples: u32,
    },
    /// The two sides do not fit together.
    #[error("the client and the server differ in their {0}")]
    Mismatch(Mismatch),
    /// The server wants a credential that this client did not present.
    #[error("the server refused the credentials")]
    Unauthenticated,
    /// The server is stopping and takes no more lanes.
    #[error("the server is shutting down")]
    ShuttingDown,
    /// The peer broke the protocol.
    #[error("the peer misbehaved: {0}")]
    PeerMisbehaved(Misbehaviour),
    /// The peer says that we broke the protocol.
    #[error("the peer rejected what this side sent: {0}")]
    Rejected(String),
    /// The peer reports a failure of its own.
    #[error("the peer failed: {0}")]
    PeerFailed(String),
    /// A server no longer serves although nobody told it to stop.
    #[error("the server stopped serving: {0}")]
    Stopped(String),
    /// The settings of this side cannot be used.
    #[error("{0}")]
    Settings(String),
    /// A file of this side cannot be used.
    #[error("{path}: {reason}", path = path.display())]
    Disk {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        reason: String,
    },
}

/// In what a client and a server differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Mismatch {
    /// The version of the wire protocol.
    #[error("protocol_version")]
    ProtocolVersion,
    /// The version of cryptographic parameters and layer protocols.
    #[error("params_version")]
    ParamsVersion,
    /// The model card.
    #[error("card_digest")]
    Card,
    /// The hint.
    #[error("hint_digest")]
    Hint,
    /// The model that the client asked for: none that is served has this name or digest.
    #[error("model")]
    Model,
    /// Several models are served, and the client named none.
    #[error("choice of a model: several are served, and none was named")]
    Unnamed,
}

impl Mismatch {
    pub(crate) const ALL: [Self; 6] = [Self::ProtocolVersion, Self::ParamsVersion, Self::Card, Self::Hint, Self::Model, Self::Unnamed];
}

/// How a peer broke the protocol.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Misbehaviour {
    /// A message that does not decode.
    #[error("malformed message")]
    MalformedMessage,
    /// A frame without content.
    #[error("empty frame")]
    EmptyFrame,
    /// A lane that does not begin with the frame `open`.
    #[error("the first frame is not `open`")]
    NotOpened,
    /// The frame `open` in the middle of a lane.
    #[error("a second `open` frame")]
    OpenedTwice,
    /// A digest that is not 32 bytes.
    #[error("a digest of {0} bytes, expected 32")]
    DigestLength(usize),
    /// A lane for no samples.
    #[error("a lane with 0 samples")]
    NoSamples,
    /// A value of `reveal` that is not defined.
    #[error("unknown value {0} of `reveal`")]
    UnknownReveal(i32),
    /// A value of `split` that is not defined.
    #[error("unknown value {0} of `split`")]
    UnknownSplit(i32),
    /// A value of `extension` that is not defined.
    #[error("unknown value {0} of `extension`")]
    UnknownExtension(i32),
    /// Bytes after the end of the protocol.
    #[error("{0} or more bytes after the end of the lane")]
    TrailingBytes(usize),
    /// The card does not have the digest that came with it.
    #[error("the card's digest is {found}, announced was {announced}")]
    CardDigest {
        /// What the server announced.
        announced: Digest,
        /// What the card hashes to.
        found: Digest,
    },
    /// A download of the hint that ended as if it were complete.
    #[error("the download ended in order after {done} of {total} bytes")]
    HintEnded {
        /// Bytes that came, of this download and earlier ones.
        done: u64,
        /// Bytes that the server announced.
        total: u64,
    },
    /// The hint does not have the announced digest.
    #[error("the hint's digest is {found}, announced was {announced}; the bad file was deleted")]
    HintDigest {
        /// What the server announced.
        announced: Digest,
        /// What the received bytes hash to.
        found: Digest,
    },
    /// A piece of the hint out of place.
    #[error("hint bytes from {found} on, expected {expected}")]
    HintOrder {
        /// Offset of the next byte.
        expected: u64,
        /// Offset that the piece carries.
        found: u64,
    },
    /// More hint than announced.
    #[error("a hint longer than the announced {announced} bytes")]
    HintTooLong {
        /// Announced length in bytes.
        announced: u64,
    },
    /// An offset behind the end of the hint.
    #[error("offset {offset} in a hint of {length} bytes")]
    HintOffset {
        /// What the client asked for.
        offset: u64,
        /// Length of the hint in bytes.
        length: u64,
    },
    /// A check of the lane's protocol failed; the lane's handler says which.
    #[error("{0}")]
    Protocol(String),
}

impl NetError {
    /// A limit that waiting does not lift.
    pub(crate) fn limit(limit: LimitName) -> Self {
        Self::Limit { limit, retry_after: None }
    }

    /// Who has to act.
    #[must_use]
    pub fn fault(&self) -> Fault {
        match self {
            Self::PeerMisbehaved(_) | Self::PeerFailed(_) => Fault::Peer,
            Self::Unreachable { .. } | Self::Closed | Self::Timeout { .. } | Self::Transport(_) | Self::ShuttingDown => Fault::Network,
            Self::Limit { .. } | Self::LaneTooLarge { .. } | Self::Mismatch(_) => Fault::Incompatible,
            Self::Unauthenticated | Self::Rejected(_) | Self::Stopped(_) | Self::Settings(_) | Self::Disk { .. } => Fault::Local,
        }
    }

    pub(crate) fn disk(path: &std::path::Path, error: &std::io::Error) -> Self {
        Self::Disk { path: path.to_path_buf(), reason: error.to_string() }
    }
}

impl From<Misbehaviour> for NetError {
    fn from(what: Misbehaviour) -> Self {
        Self::PeerMisbehaved(what)
    }
}

impl From<NetError> for ChannelError {
    fn from(error: NetError) -> Self {
        match error {
            NetError::Closed => Self::Closed,
            NetError::Timeout { seconds } => Self::Timeout { seconds },
            NetError::Limit { limit, .. } | NetError::LaneTooLarge { limit, .. } => Self::Limit { limit: limit.as_str() },
            NetError::Unreachable { .. }
            | NetError::Transport(_)
            | NetError::Mismatch(_)
            | NetError::Unauthenticated
            | NetError::ShuttingDown
            | NetError::PeerMisbehaved(_)
            | NetError::Rejected(_)
            | NetError::PeerFailed(_)
            | NetError::Stopped(_)
            | NetError::Settings(_)
            | NetError::Disk { .. } => Self::Transport(error.to_string()),
        }
    }
}
