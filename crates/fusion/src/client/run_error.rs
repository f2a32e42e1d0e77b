//! Why one lane run failed, and what that says of the server.

use std::time::Duration;

use fusion_net::{Fault, LimitName, NetError};
use fusion_nn::exec::LaneError;

/// Why one lane run failed. Its answers are discarded unread.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum RunError {
    /// The lane was not opened: nothing of it was sent.
    #[error(transparent)]
    Opening(NetError),
    /// The server, or the way to it, while the lane ran.
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

/// What a failure says of the server, and what is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FailureKind {
    /// The connection could not be had, or broke. It is tried again for as long as patience lasts.
    Outage,
    /// The server has no room now. It is asked again, by itself with fewer lanes.
    Busy {
        /// When the server says that it will be worth while.
        retry_after: Option<Duration>,
    },
    /// The server broke the protocol, or says that it failed. It is tried again a few times, which
    /// are counted.
    Misbehaviour,
    /// Another try cannot help.
    Final,
}

impl RunError {
    /// What the failure says of the server.
    ///
    /// What a server can pass off as an outage gives it lanes that are not counted: of a lane that
    /// ran that is the connection's end, and nothing that a check of this client has found. And it
    /// is busy before a lane began, or not at all.
    #[must_use]
    pub fn kind(&self) -> FailureKind {
        match self {
            Self::Opening(error) => kind_of_call(error),
            Self::Net(error) if busy(error).is_some() => FailureKind::Misbehaviour,
            Self::Net(error) => kind_of_call(error),
            Self::Lane(_) => FailureKind::Misbehaviour,
            Self::Images(_) | Self::Panicked(_) => FailureKind::Final,
        }
    }
}

/// What the failure of a call says of the server.
pub(super) fn kind_of_call(error: &NetError) -> FailureKind {
    if let Some(busy) = busy(error) {
        return busy;
    }
    // The server has not heard of us for too long, or a download took too long: a link that
    // stalled, or a machine that slept.
    let stalled = matches!(error, NetError::Limit { limit: LimitName::Idle | LimitName::HintRate | LimitName::HintTime, .. });
    if stalled {
        return FailureKind::Outage;
    }
    #[expect(clippy::wildcard_enum_match_arm, reason = "whom else it is up to, another try does not change")]
    match error.fault() {
        Fault::Network => FailureKind::Outage,
        Fault::Peer => FailureKind::Misbehaviour,
        _ => FailureKind::Final,
    }
}

/// Whether a limit was reached that others will leave again: the server says when, or it is of that
/// kind.
fn busy(error: &NetError) -> Option<FailureKind> {
    use LimitName::{
        ConnectionsPerAddress, ConnectionsReserved, ConnectionsTotal, HintsPerClient, HintsTotal, LanesPerClient, LanesTotal, Memory,
    };
    let NetError::Limit { limit, retry_after } = error else { return None };
    let is_shared = matches!(
        limit,
        LanesTotal | LanesPerClient | HintsTotal | HintsPerClient | ConnectionsTotal | ConnectionsPerAddress | ConnectionsReserved | Memory
    );
    (is_shared || retry_after.is_some()).then_some(FailureKind::Busy { retry_after: *retry_after })
}

/// Whether a lane's protocol ended because its channel did. Everything else is what the protocol
/// found, whatever became of the channel meanwhile.
pub(super) fn is_channels(error: &LaneError) -> bool {
    use fusion_nn::layers::ProtocolError;
    use fusion_ot::OtError;
    matches!(
        error,
        LaneError::Channel(_)
            | LaneError::SetUp(OtError::Channel(_))
            | LaneError::Protocol { error: ProtocolError::Channel(_) | ProtocolError::Ot(OtError::Channel(_)), .. }
    )
}

#[cfg(test)]
mod tests {
    use fusion_net::{Misbehaviour, Mismatch};
    use fusion_ot::OtError;
    use fusion_ring::channel::ChannelError;

    use super::*;

    const FULL: NetError = NetError::Limit { limit: LimitName::LanesTotal, retry_after: None };

    #[test]
    fn a_server_cannot_pass_off_what_a_check_found_as_an_outage() {
        let found = LaneError::SetUp(OtError::PeerMisbehaved("check"));
        assert!(!is_channels(&found));
        assert_eq!(RunError::from(found).kind(), FailureKind::Misbehaviour);
        assert!(
            is_channels(&LaneError::SetUp(OtError::Channel(ChannelError::Closed)))
                && is_channels(&LaneError::Channel(ChannelError::Closed))
        );
        for error in [NetError::PeerFailed(String::new()), Misbehaviour::MalformedMessage.into(), Misbehaviour::TrailingBytes(1).into()] {
            assert_eq!(RunError::Net(error).kind(), FailureKind::Misbehaviour);
        }
        // Busy it may be before a lane begins. Of a lane that ran it would be a try for nothing.
        assert_eq!(RunError::Opening(FULL).kind(), FailureKind::Busy { retry_after: None });
        assert_eq!(RunError::Net(FULL).kind(), FailureKind::Misbehaviour);
        let retry_after = Some(Duration::from_secs(2));
        let later = NetError::Limit { limit: LimitName::WrongTokens, retry_after };
        assert_eq!(RunError::Opening(later.clone()).kind(), FailureKind::Busy { retry_after });
        assert_eq!(RunError::Net(later).kind(), FailureKind::Misbehaviour);
    }

    #[test]
    fn connections_that_break_are_outages_and_what_stays_so_is_final() {
        let gone = NetError::Unreachable { address: "h:1".to_owned(), reason: "refused".to_owned() };
        let idle = NetError::Limit { limit: LimitName::Idle, retry_after: None };
        for error in [gone, NetError::Closed, NetError::Timeout { seconds: 1 }, NetError::Transport(String::new()), NetError::ShuttingDown]
        {
            assert_eq!((RunError::Opening(error.clone()).kind(), RunError::Net(error).kind()), (FailureKind::Outage, FailureKind::Outage));
        }
        assert_eq!(RunError::Net(idle).kind(), FailureKind::Outage);
        let large = NetError::Limit { limit: LimitName::SamplesPerLane, retry_after: None };
        for error in [large, NetError::Mismatch(Mismatch::Card), NetError::Unauthenticated, NetError::Rejected(String::new())] {
            assert_eq!((RunError::Opening(error.clone()).kind(), RunError::Net(error).kind()), (FailureKind::Final, FailureKind::Final));
        }
        assert_eq!(RunError::Panicked(String::new()).kind(), FailureKind::Final);
    }
}
