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
    /// Connections at the same time, over all clients (512). When it is reached, a connection that
    /// does nothing makes room, of the address that holds most; if there is none, the new one is
    /// closed before it can be told why.
    pub connections_total: u32,
    /// Connections from one address at the same time (256); addresses of IPv6 count by their first
    /// 64 bits, which are one customer's. When it is reached, the oldest of them that does nothing
    /// makes room.
    pub connections_per_address: u32,
    /// Connections of the total that only addresses may take from which a client has already been
    /// let in (128): under a token or mutual TLS one that had the credentials, else one whose lane
    /// was admitted. Nobody else can take these, so those who work go on working.
    pub connections_reserved: u32,
    /// Time from accepting a connection to the end of its first request, the TLS handshake
    /// included, after which the connection is closed (15 s). Any later request may take as long
    /// from its header on until it begins to be answered.
    pub first_request: Duration,
    /// Time without a request in progress after which a connection is closed (60 s).
    pub connection_idle: Duration,
    /// Hint downloads of one client at the same time (4).
    pub hints_per_client: u32,
    /// Bytes of a hint that its client must take per second, on average (64 KiB).
    pub hint_rate: u64,
    /// How far a client may fall behind that rate, and how long it may take nothing (30 s).
    pub hint_grace: Duration,
    /// Time after which a hint download ends whatever it does (1 h). The client goes on where it
    /// stopped.
    pub hint: Duration,
    /// Bytes that running lanes may take together, as the served model says beforehand
    /// ([`LaneHandler::lane_bytes`](crate::LaneHandler::lane_bytes)); half of the memory of this
    /// machine or of its control group, whichever is smaller.
    pub memory: u64,
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
            connections_total: 512,
            connections_per_address: 256,
            connections_reserved: 128,
            first_request: Duration::from_secs(15),
            connection_idle: Duration::from_secs(60),
            hints_per_client: 4,
            hint_rate: 64 << 10,
            hint_grace: Duration::from_secs(30),
            hint: Duration::from_secs(3600),
            memory: crate::memory::Memory::of_this_process().limit() / 2,
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
            (LimitName::ConnectionsPerAddress, u64::from(self.connections_per_address)),
            (LimitName::HintsPerClient, u64::from(self.hints_per_client)),
            (LimitName::HintRate, self.hint_rate),
            (LimitName::Memory, self.memory),
        ];
        if let Some((name, _)) = positive.iter().find(|(_, value)| *value == 0) {
            return Err(NetError::Settings(format!("the limit {name} must be at least 1")));
        }
        if self.message_bytes < least {
            return Err(NetError::Settings(format!("the limit {} must be at least {least}", LimitName::MessageBytes)));
        }
        if self.connections_reserved >= self.connections_total {
            let (reserved, total) = (LimitName::ConnectionsReserved, LimitName::ConnectionsTotal);
            return Err(NetError::Settings(format!("the limit {reserved} must be below {total}, {}", self.connections_total)));
        }
        for (name, value) in [
            (LimitName::Idle, self.idle),
            (LimitName::LaneTime, self.lane),
            (LimitName::FirstRequest, self.first_request),
            (LimitName::ConnectionIdle, self.connection_idle),
            (LimitName::HintTime, self.hint),
            (LimitName::HintRate, self.hint_grace),
        ] {
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
            (Limits { connections_per_address: 0, ..Limits::default() }, "connections_per_address"),
            (Limits { connections_total: 8, connections_reserved: 8, ..Limits::default() }, "connections_reserved"),
            (Limits { first_request: Duration::ZERO, ..Limits::default() }, "first_request_seconds"),
            (Limits { connection_idle: Duration::ZERO, ..Limits::default() }, "connection_idle_seconds"),
            (Limits { hints_per_client: 0, ..Limits::default() }, "hints_per_client"),
            (Limits { hint_rate: 0, ..Limits::default() }, "hint_rate"),
            (Limits { hint: Duration::ZERO, ..Limits::default() }, "hint_seconds"),
            (Limits { memory: 0, ..Limits::default() }, "memory"),
            (Limits { message_bytes: FRAME_BYTES, ..Limits::default() }, "message_bytes"),
            (Limits { idle: Duration::ZERO, ..Limits::default() }, "idle_seconds"),
            (Limits { lane: Duration::MAX, ..Limits::default() }, "lane_seconds"),
        ] {
            let message = limits.check().unwrap_err().to_string();
            assert!(message.contains(name), "{message}");
        }
    }
}
