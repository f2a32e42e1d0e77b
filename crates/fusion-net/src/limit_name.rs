//! The names of limits. Errors carry a name, not the limits themselves.

use std::fmt;

/// Name of a limit, as it stands in errors and statuses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
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
}

impl LimitName {
    const ALL: [Self; 10] = [
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
