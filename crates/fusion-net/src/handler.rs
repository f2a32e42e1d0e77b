//! What a server serves, as this crate sees it: opaque bytes and a function over a channel.

use std::path::PathBuf;

use bytes::Bytes;
use fusion_ring::channel::{Channel, ChannelError};

use crate::error::{Misbehaviour, NetError};
use crate::lane_request::LaneRequest;
use fusion_ring::symmetric::digest::Digest;

/// The public description of a served model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Description {
    /// The encoded model card.
    pub card: Bytes,
    /// Digest of the whole hint.
    pub hint_digest: Digest,
    /// Length of the hint in bytes.
    pub hint_bytes: u64,
    /// Version of the cryptographic parameters and layer protocols that lanes run.
    pub params_version: u32,
}

/// Where the bytes of the hint are.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum HintSource {
    /// In memory; a memory-mapped file fits through `Bytes::from_owner`, without a copy.
    Memory(Bytes),
    /// In a file of [`Description::hint_bytes`] bytes.
    File(PathBuf),
}

/// Why a lane failed, from the code that ran it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LaneFailure {
    /// The channel failed; its error stands for itself.
    #[error(transparent)]
    Channel(#[from] ChannelError),
    /// The client broke the lane's protocol. The text is sent to the client: it must hold nothing
    /// private.
    #[error("the client misbehaved: {0}")]
    PeerMisbehaved(String),
    /// This server failed. The text goes to its log, never to the client.
    #[error("{0}")]
    Internal(String),
}

impl LaneFailure {
    /// What the client is told, given what the channel itself ran into.
    pub(crate) fn into_error(self, of_channel: Option<&NetError>) -> NetError {
        match (self, of_channel) {
            // The channel has not failed, so the handler made this error itself.
            (Self::Channel(error), None) => NetError::Transport(error.to_string()),
            (Self::Channel(_), Some(error)) => error.clone(),
            (Self::PeerMisbehaved(what), _) => Misbehaviour::Protocol(what).into(),
            (Self::Internal(what), _) => NetError::PeerFailed(what),
        }
    }
}

/// A served model. One value serves all lanes at once.
pub trait LaneHandler: Send + Sync + 'static {
    /// What clients ask for it by, where several models are served. One without a name, which is
    /// the default, can be asked for by the digest of its card.
    fn name(&self) -> String {
        String::new()
    }

    /// What is served; must not change while the server runs.
    fn describe(&self) -> Description;

    /// The bytes whose digest and length [`LaneHandler::describe`] announces.
    fn hint(&self) -> HintSource;

    /// Another public file with this digest and its length, which clients download as they do the
    /// hint; `None` if there is none, which is the default.
    fn published(&self, digest: Digest) -> Option<(HintSource, u64)> {
        let _ = digest;
        None
    }

    /// Bytes of memory that this lane takes at its most, beside the buffers of its channel; known
    /// before it runs, and never less for more samples. 0, the default, if the model cannot say:
    /// then [`Limits::memory`](crate::Limits::memory) limits nothing.
    fn lane_bytes(&self, request: &LaneRequest) -> u64 {
        let _ = request;
        0
    }

    /// Runs one lane to its end on a thread of its own.
    ///
    /// The request's card digest and versions are those of [`LaneHandler::describe`]; its number of
    /// samples is within the server's limits.
    ///
    /// # Errors
    /// A [`LaneFailure`], which ends this lane and no other. A panic does the same, as an internal
    /// failure.
    fn run_lane(&self, request: LaneRequest, channel: &mut dyn Channel) -> Result<(), LaneFailure>;
}
