//! Why the harness itself cannot go on.

use fusion_mix::MixError;
use fusion_nn::exec::LaneError;
use fusion_ot::OtError;
use fusion_ring::channel::ChannelError;

/// Why the harness itself cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum Problem {
    /// Of a lane.
    #[error(transparent)]
    Lane(#[from] LaneError),
    /// Of the set-up of OT.
    #[error(transparent)]
    Ot(#[from] OtError),
    /// Of a channel.
    #[error(transparent)]
    Channel(#[from] ChannelError),
    /// Of a batch.
    #[error(transparent)]
    Mix(#[from] MixError),
    /// Anything else.
    #[error("{0}")]
    Other(String),
}

impl Problem {
    pub(super) fn new(what: &str) -> Self {
        Self::Other(what.to_owned())
    }
}
