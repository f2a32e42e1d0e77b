//! What a link does to bytes: a rate per direction and a one-way delay.

use std::fmt;
use std::str::FromStr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::error::NetError;

/// A link between two parties, the same in both directions.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Link {
    mbit_per_second: f64,
    round_trip: Duration,
}

impl Link {
    /// 400 Mbit/s each way and 40 ms round trip: the setting of the published scripts.
    pub const WAN: Self = Self { mbit_per_second: 400.0, round_trip: Duration::from_millis(40) };

    /// 3 Gbit/s each way and 0.3 ms round trip.
    pub const LAN: Self = Self { mbit_per_second: 3000.0, round_trip: Duration::from_micros(300) };

    /// A link of another rate (megabits, 10^6 bits, per second each way) and round-trip time.
    ///
    /// # Errors
    /// [`NetError::Settings`] for a rate outside 0.001..=1,000,000 or a round trip above 60 s.
    pub fn new(mbit_per_second: f64, round_trip: Duration) -> Result<Self, NetError> {
        // A rate that is not a number fails the comparison as well.
        if !(0.001..=1e6).contains(&mbit_per_second) || round_trip > Duration::from_secs(60) {
            return Err(NetError::Settings(format!("no such link: {mbit_per_second} Mbit/s, {round_trip:?} round trip")));
        }
        Ok(Self { mbit_per_second, round_trip })
    }

    /// Reads `wan`, `lan` or `MBPS,RTT_MS`, for example `100,10.5`.
    ///
    /// # Errors
    /// [`NetError::Settings`] for anything else.
    pub fn parse(text: &str) -> Result<Self, NetError> {
        let wrong = || NetError::Settings(format!("no such link: {text:?}; expected wan, lan or MBPS,RTT_MS"));
        match text {
            "wan" => Ok(Self::WAN),
            "lan" => Ok(Self::LAN),
            _ => {
                let (rate, rtt) = text.split_once(',').ok_or_else(wrong)?;
                let (rate, rtt) = (rate.trim().parse::<f64>(), rtt.trim().parse::<f64>());
                let (rate, rtt) = (rate.map_err(|_| wrong())?, rtt.map_err(|_| wrong())?);
                Self::new(rate, Duration::try_from_secs_f64(rtt / 1000.0).map_err(|_| wrong())?)
            }
        }
    }

    /// Megabits (10^6 bits) per second in each direction.
    #[must_use]
    pub fn mbit_per_second(&self) -> f64 {
        self.mbit_per_second
    }

    /// Round-trip time of an empty link.
    #[must_use]
    pub fn round_trip(&self) -> Duration {
        self.round_trip
    }

    pub(super) fn bytes_per_second(&self) -> f64 {
        self.mbit_per_second * 1e6 / 8.0
    }

    pub(super) fn one_way(&self) -> Duration {
        self.round_trip / 2
    }
}

impl FromStr for Link {
    type Err = NetError;

    fn from_str(text: &str) -> Result<Self, NetError> {
        Self::parse(text)
    }
}

impl fmt::Display for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{},{}", self.mbit_per_second, self.round_trip.as_secs_f64() * 1000.0)
    }
}

/// One direction of a link. All connections share it, first come, first served.
#[derive(Debug)]
pub(super) struct Wire {
    bytes_per_second: f64,
    free_at: Mutex<Instant>,
}

impl Wire {
    pub(super) fn new(link: &Link) -> Self {
        Self { bytes_per_second: link.bytes_per_second(), free_at: Mutex::new(Instant::now()) }
    }

    /// Queues bytes that arrive now behind those that the wire still has to carry. Returns the time
    /// at which the last of them has left.
    pub(super) fn carry(&self, bytes: usize) -> Instant {
        let mut free_at = self.free_at.lock().unwrap_or_else(PoisonError::into_inner);
        let begin = (*free_at).max(Instant::now());
        *free_at = begin + Duration::from_secs_f64(bytes as f64 / self.bytes_per_second);
        *free_at
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_read_and_written() {
        assert_eq!(Link::parse("wan").unwrap(), Link::WAN);
        assert_eq!(Link::parse("lan").unwrap(), Link::LAN);
        let link = Link::parse("100, 10.5").unwrap();
        assert_eq!((link.mbit_per_second(), link.round_trip()), (100.0, Duration::from_micros(10_500)));
        assert_eq!(Link::parse(&link.to_string()).unwrap(), link);
        for bad in ["", "WAN", "100", "0,1", "-1,1", "nan,1", "inf,1", "100,-1", "100,nan", "100,1e9", "1,2,3"] {
            assert!(matches!(Link::parse(bad), Err(NetError::Settings(_))), "{bad}");
        }
    }

    #[test]
    fn a_wire_carries_one_thing_after_another() {
        let wire = Wire::new(&Link::new(8.0, Duration::ZERO).unwrap());
        let start = Instant::now();
        let first = wire.carry(1000);
        let second = wire.carry(500);
        assert!(first >= start + Duration::from_millis(1));
        assert_eq!(second - first, Duration::from_micros(500));
    }
}
