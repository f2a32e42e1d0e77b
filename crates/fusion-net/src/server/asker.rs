//! Who asks for room.

use super::origin::Origin;

/// Who a client is for limits of one client.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum ClientId {
    /// Mutual TLS: the certificate's digest.
    Certificate(crate::Digest),
    Address(Origin),
}

/// Who asks for a lane: a client, and which of its runs.
///
/// Many users may stand behind one address. The number that a run gives itself tells them apart
/// where the room of their address is divided, and nowhere else: whoever invents many numbers takes
/// from nobody but their own neighbours there, and from these no more than half.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Asker {
    pub(super) client: ClientId,
    pub(super) run: Option<u64>,
}
