//! The names of limits. Errors carry a name, not the limits themselves.

use std::fmt;

/// Name of a limit, as it stands in errors and statuses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum LimitName {
    /// [`Limits::lanes_total`](crate::Limits::lanes_total).
    LanesTotal,
    /// [`Limits::lanes_per_client`](crate::Limits::lanes_per_client).
    LanesPerClient,
    /// [`Limits::samples_per_lane`](crate::Limits::samples_per_lane).
    SamplesPerLane,
    /// [`Limits::bytes_per_lane`](crate::Limits::bytes_per_lane).
    BytesPerLane,
    /// [`Limits::message_bytes`](crate::Limits::message_bytes).
    MessageBytes,
    /// [`Limits::idle`](crate::Limits::idle).
    Idle,
    /// [`Limits::lane`](crate::Limits::lane).
    LaneTime,
    /// [`Limits::hints_total`](crate::Limits::hints_total).
    HintsTotal,
    /// [`Limits::connections_total`](crate::Limits::connections_total).
    ConnectionsTotal,
    /// [`ClientSettings::max_hint_bytes`](crate::ClientSettings::max_hint_bytes).
    HintBytes,
    /// [`Limits::memory`](crate::Limits::memory).
    Memory,
    /// Wrong bearer tokens from one address in a minute.
    WrongTokens,
    /// [`Limits::connections_per_address`](crate::Limits::connections_per_address).
    ConnectionsPerAddress,
    /// [`Limits::connections_reserved`](crate::Limits::connections_reserved).
    ConnectionsReserved,
    /// [`Limits::first_request`](crate::Limits::first_request).
    FirstRequest,
    /// [`Limits::connection_idle`](crate::Limits::connection_idle).
    ConnectionIdle,
    /// [`Limits::hints_per_client`](crate::Limits::hints_per_client).
    HintsPerClient,
    /// [`Limits::hint_rate`](crate::Limits::hint_rate).
    HintRate,
    /// [`Limits::hint`](crate::Limits::hint).
    HintTime,
}

impl LimitName {
    const ALL: [Self; 19] = [
        Self::LanesTotal,
        Self::LanesPerClient,
        Self::SamplesPerLane,
        Self::BytesPerLane,
        Self::MessageBytes,
        Self::Idle,
        Self::LaneTime,
        Self::HintsTotal,
        Self::ConnectionsTotal,
        Self::HintBytes,
        Self::Memory,
        Self::WrongTokens,
        Self::ConnectionsPerAddress,
        Self::ConnectionsReserved,
        Self::FirstRequest,
        Self::ConnectionIdle,
        Self::HintsPerClient,
        Self::HintRate,
        Self::HintTime,
    ];

    /// The name on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::LanesTotal => "lanes_total",
            Self::LanesPerClient => "lanes_per_client",
            Self::SamplesPerLane => "samples_per_lane",
            Self::BytesPerLane => "bytes_per_lane",
            Self::MessageBytes => "message_bytes",
            Self::Idle => "idle_seconds",
            Self::LaneTime => "lane_seconds",
            Self::HintsTotal => "hints_total",
            Self::ConnectionsTotal => "connections_total",
            Self::HintBytes => "hint_bytes",
            Self::Memory => "memory",
            Self::WrongTokens => "wrong_tokens",
            Self::ConnectionsPerAddress => "connections_per_address",
            Self::ConnectionsReserved => "connections_reserved",
            Self::FirstRequest => "first_request_seconds",
            Self::ConnectionIdle => "connection_idle_seconds",
            Self::HintsPerClient => "hints_per_client",
            Self::HintRate => "hint_rate",
            Self::HintTime => "hint_seconds",
        }
    }

    pub(crate) fn from_wire(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|limit| limit.as_str() == name)
    }
}

impl fmt::Display for LimitName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_survives_the_wire() {
        for limit in LimitName::ALL {
            assert_eq!(LimitName::from_wire(limit.as_str()), Some(limit));
        }
        assert_eq!(LimitName::from_wire("no_such_limit"), None);
    }
}
