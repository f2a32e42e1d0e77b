//! What a server allows its clients, and what a client allows its server.

use std::time::Duration;

use crate::error::NetError;
use crate::limit_name::LimitName;
use crate::proto;
use crate::tuning::FRAME_BYTES;

/// Limits of a server. Each has a default, and the operator may set it. A call that reaches one
/// ends with `RESOURCE_EXHAUSTED` and the limit's name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Lanes at the same time, over all clients (64).
    pub lanes_total: u32,
    /// Lanes of one client at the same time (32). A client is known by its certificate under mutual
    /// TLS, else by its address; behind a proxy that terminates the connection all clients are one.
    pub lanes_per_client: u32,
    /// Samples in one lane (4096).
    pub samples_per_lane: u32,
    /// Payload bytes of one lane, both directions together (256 GiB).
    pub bytes_per_lane: u64,
    /// Bytes of one encoded message (4 MiB; at least two full frames of a lane, 512 KiB).
    pub message_bytes: usize,
    /// Time without a frame while this side waits, after which a lane ends (300 s).
    pub idle: Duration,
    /// Time after which a lane ends whatever it does (2 h).
    pub lane: Duration,
    /// Hint downloads at the same time, over all clients (16).
    pub hints_total: u32,
    /// Connections at the same time, over all clients (256). A connection above it is closed before
    /// it can be told why.
    pub connections_total: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            lanes_total: 64,
            lanes_per_client: 32,
            samples_per_lane: 4096,
            bytes_per_lane: 256 << 30,
            message_bytes: 4 << 20,
            idle: Duration::from_secs(300),
            lane: Duration::from_secs(2 * 3600),
            hints_total: 16,
            connections_total: 256,
        }
    }
}

impl Limits {
    /// Refuses limits under which no lane could ever run.
    ///
    /// # Errors
    /// [`NetError::Settings`] with the name of the limit.
    pub fn check(&self) -> Result<(), NetError> {
        let least = 2 * FRAME_BYTES;
        let positive = [
            (LimitName::LanesTotal, u64::from(self.lanes_total)),
            (LimitName::LanesPerClient, u64::from(self.lanes_per_client)),
            (LimitName::SamplesPerLane, u64::from(self.samples_per_lane)),
            (LimitName::BytesPerLane, self.bytes_per_lane),
            (LimitName::HintsTotal, u64::from(self.hints_total)),
            (LimitName::ConnectionsTotal, u64::from(self.connections_total)),
        ];
        if let Some((name, _)) = positive.iter().find(|(_, value)| *value == 0) {
            return Err(NetError::Settings(format!("the limit {name} must be at least 1")));
        }
        if self.message_bytes < least {
            return Err(NetError::Settings(format!("the limit {} must be at least {least}", LimitName::MessageBytes)));
        }
        for (name, value) in [(LimitName::Idle, self.idle), (LimitName::LaneTime, self.lane)] {
            if value.is_zero() || value > Duration::from_secs(u64::from(u32::MAX)) {
                return Err(NetError::Settings(format!("the limit {name} must be above 0 and below 2^32 s")));
            }
        }
        Ok(())
    }

    pub(crate) fn to_wire(&self) -> proto::Limits {
        let seconds = |time: Duration| u32::try_from(time.as_secs().max(1)).unwrap_or(u32::MAX);
        proto::Limits {
            lanes_total: self.lanes_total,
            lanes_per_client: self.lanes_per_client,
            samples_per_lane: self.samples_per_lane,
            bytes_per_lane: self.bytes_per_lane,
            message_bytes: self.message_bytes as u64,
            idle_seconds: seconds(self.idle),
            lane_seconds: seconds(self.lane),
        }
    }
}

/// What a server says that it allows. Advice for planning lanes; nothing of it is trusted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct AnnouncedLimits {
    /// Lanes at the same time, over all clients.
    pub lanes_total: u32,
    /// Lanes of one client at the same time.
    pub lanes_per_client: u32,
    /// Samples in one lane.
    pub samples_per_lane: u32,
    /// Payload bytes of one lane, both directions together.
    pub bytes_per_lane: u64,
}

impl From<proto::Limits> for AnnouncedLimits {
    fn from(wire: proto::Limits) -> Self {
        Self {
            lanes_total: wire.lanes_total,
            lanes_per_client: wire.lanes_per_client,
            samples_per_lane: wire.samples_per_lane,
            bytes_per_lane: wire.bytes_per_lane,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_that_forbid_everything_are_refused_by_name() {
        Limits::default().check().unwrap();
        for (limits, name) in [
            (Limits { lanes_total: 0, ..Limits::default() }, "lanes_total"),
            (Limits { lanes_per_client: 0, ..Limits::default() }, "lanes_per_client"),
            (Limits { samples_per_lane: 0, ..Limits::default() }, "samples_per_lane"),
            (Limits { bytes_per_lane: 0, ..Limits::default() }, "bytes_per_lane"),
            (Limits { hints_total: 0, ..Limits::default() }, "hints_total"),
            (Limits { connections_total: 0, ..Limits::default() }, "connections_total"),
            (Limits { message_bytes: FRAME_BYTES, ..Limits::default() }, "message_bytes"),
            (Limits { idle: Duration::ZERO, ..Limits::default() }, "idle_seconds"),
            (Limits { lane: Duration::MAX, ..Limits::default() }, "lane_seconds"),
        ] {
            let message = limits.check().unwrap_err().to_string();
            assert!(message.contains(name), "{message}");
        }
    }
}
