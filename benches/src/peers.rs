//! What others need for one inference, from `benches/peers.json`, where the sources stand.

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

/// The figures that a run is compared with.
#[derive(Debug, Clone, Deserialize, Serialize)]
pub(crate) struct Peers {
    /// The paper's verified query.
    pub(crate) paper: Paper,
    /// Other systems, per inference that nobody verifies.
    pub(crate) peers: Vec<Peer>,
    /// Figures on the smaller networks of `bench-networks`; the report of ResNet50 leaves them out.
    #[serde(skip_serializing)]
    pub(crate) networks: Vec<NetworkPeer>,
}

/// The paper's figures per verified query.
#[derive(Debug, Clone, Deserialize, Serialize)]
pub(crate) struct Paper {
    pub(crate) name: String,
    pub(crate) seconds: f64,
    /// 10^9 bytes.
    pub(crate) gigabytes: f64,
    pub(crate) source: String,
}

/// Another system's figures per inference.
#[derive(Debug, Clone, Deserialize, Serialize)]
pub(crate) struct Peer {
    pub(crate) name: String,
    /// Whether the client can check the answer.
    pub(crate) verified: bool,
    pub(crate) seconds: f64,
    /// 10^6 bytes, both directions.
    pub(crate) megabytes: f64,
    pub(crate) source: String,
}

/// Another system's figures on networks of `bench-networks`. What is null is not known.
#[derive(Debug, Clone, Deserialize, Serialize)]
pub(crate) struct NetworkPeer {
    /// Names of the networks.
    pub(crate) networks: Vec<String>,
    pub(crate) name: String,
    /// Against whom it is secure, and what of it the client can check.
    pub(crate) security: String,
    /// `LAN`, `WAN` or another in words.
    pub(crate) link: Option<String>,
    /// Per inference or per query.
    pub(crate) seconds: Option<f64>,
    /// 10^6 bytes, both directions.
    pub(crate) megabytes: Option<f64>,
    /// How many times faster than another system it is, where only that is published, and how many
    /// times less it sends.
    pub(crate) ratio: Option<PublishedRatio>,
    /// Where it was measured.
    pub(crate) machine: String,
    pub(crate) source: String,
}

/// A figure that is published as a ratio only.
#[derive(Debug, Clone, Deserialize, Serialize)]
pub(crate) struct PublishedRatio {
    pub(crate) against: String,
    pub(crate) seconds: f64,
    pub(crate) bytes: f64,
}

impl Peers {
    /// Reads the data file that this binary was built with.
    ///
    /// # Errors
    /// If it does not parse.
    pub(crate) fn load() -> Result<Self> {
        serde_json::from_str(include_str!("../peers.json")).context("benches/peers.json is malformed")
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn every_figure_has_a_source_and_a_unit_that_fits() {
        let peers = super::Peers::load().unwrap();
        assert!((peers.paper.seconds - 8.678 * 60.0).abs() < 0.05, "minutes and seconds agree");
        assert!((peers.paper.gigabytes * 1e9 / f64::from(1 << 30) - 10.117).abs() < 0.001, "GB and GiB agree");
        assert!(peers.peers.len() >= 4);
        for peer in &peers.peers {
            assert!(!peer.source.is_empty() && peer.seconds > 1.0 && (100.0..1e5).contains(&peer.megabytes), "{peer:?}");
        }
        assert!(peers.networks.len() >= 5);
        for peer in &peers.networks {
            assert!(!peer.networks.is_empty() && !peer.source.is_empty() && !peer.machine.is_empty(), "{peer:?}");
            assert!(peer.machine.contains("another machine"), "a row that this machine did not give says so: {peer:?}");
            assert_eq!(peer.ratio.is_some(), peer.seconds.is_none(), "{peer:?}");
            assert!(peer.seconds.is_none_or(|s| s > 0.1) && peer.megabytes.is_none_or(|m| (10.0..1e5).contains(&m)), "{peer:?}");
        }
    }
}
