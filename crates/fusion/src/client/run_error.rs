//! Why one lane run failed.

use fusion_net::{Fault, LimitName, NetError};
use fusion_nn::exec::LaneError;

/// Why one lane run failed. Its answers are discarded unread.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum RunError {
    /// The server, or the way to it.
    #[error(transparent)]
    Net(#[from] NetError),
    /// The protocol.
    #[error(transparent)]
    Lane(#[from] LaneError),
    /// The caller has no image for a position of the slice.
    #[error("{0}")]
    Images(String),
    /// The lane's thread panicked: a fault of this program, or of the caller's images.
    #[error("a lane panicked: {0}")]
    Panicked(String),
}

impl RunError {
    /// Whether another try can help: the network, or a server that went away or is busy, not a
    /// mismatch or a broken protocol.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Net(NetError::Limit { limit: LimitName::LanesTotal | LimitName::LanesPerClient, .. }) => true,
            Self::Net(NetError::Limit { retry_after: Some(_), .. }) => true,
            Self::Net(error) => matches!(error.fault(), Fault::Network | Fault::Peer),
            Self::Lane(_) => true,
            Self::Images(_) | Self::Panicked(_) => false,
        }
    }
}
