//! Why a layer protocol stopped.

use fusion_ot::OtError;
use fusion_ring::channel::ChannelError;

/// Why a layer protocol stopped. The lane is dead afterwards, since its channel may be in the
/// middle of a message: every later call on its party is [`ProtocolError::Dead`].
///
/// Layer protocols have no message that could be malformed: every byte string of the expected
/// length is a valid one, so a misbehaving peer causes a wrong answer (which mixing catches), or an
/// error of the OT instances beneath.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProtocolError {
    /// The transport failed.
    #[error(transparent)]
    Channel(#[from] ChannelError),
    /// An OT instance failed, perhaps because the peer cheated.
    #[error(transparent)]
    Ot(OtError),
    /// An earlier call failed; open another lane with fresh randomness.
    #[error("the lane failed before")]
    Dead,
    /// The caller broke the contract of a function.
    #[error("misuse: {0}")]
    Misuse(&'static str),
}

impl From<OtError> for ProtocolError {
    fn from(error: OtError) -> Self {
        // One spelling for a failed transport, wherever it failed.
        if let OtError::Channel(error) = error { Self::Channel(error) } else { Self::Ot(error) }
    }
}
