//! Errors of oblivious transfer, by whose fault they are.

use fusion_ring::channel::ChannelError;

/// Why an OT instance died. The lane that owns it ends; nothing of it may be used again.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OtError {
    /// The transport failed.
    #[error(transparent)]
    Channel(#[from] ChannelError),
    /// The peer sent something that no honest party sends. The text names the check, never a
    /// secret.
    #[error("the peer misbehaved: {0}")]
    PeerMisbehaved(&'static str),
    /// The caller broke the contract of a function.
    #[error("misuse: {0}")]
    Misuse(&'static str),
}
