//! The two parties, and which of them leads where a protocol is not symmetric.
//!
//! The client sends ciphertexts, about as many bits per number as a ReLU's look-ups and widening
//! cost their sender more than their receiver. So the server leads, and both directions of a link
//! carry about the same load.

/// Which party of the inference this is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    /// Holds the images and learns the labels.
    Client,
    /// Holds the weights and learns nothing.
    Server,
}

impl Role {
    /// The peer's role.
    #[must_use]
    pub const fn peer(self) -> Self {
        match self {
            Self::Client => Self::Server,
            Self::Server => Self::Client,
        }
    }
}

/// The OT sender at digit number `j` of a comparison, from the lowest: the parties take turns.
pub(super) fn lookup_sender(j: usize) -> Role {
    if j.is_multiple_of(2) { Role::Server } else { Role::Client }
}

/// The OT sender of a widening.
pub(super) const WIDENING_SENDER: Role = Role::Server;
