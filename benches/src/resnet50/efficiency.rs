//! How near a run is to what its link and its cores allow.

use serde::Serialize;

use crate::measure::LinkJson;

/// Seconds beside the least that they could be: both parties' cores always busy, or the busier
/// direction of the link always full, whichever takes longer.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(crate) struct Efficiency {
    /// Part of all bytes that the busier direction carries.
    pub(crate) busier_direction: f64,
    /// Seconds per sample that the busier direction takes; null for loopback.
    pub(crate) link_seconds: Option<f64>,
    /// Processor seconds per sample of both parties over the cores.
    pub(crate) core_seconds: Option<f64>,
    /// Seconds per sample over the larger of these; null if none came to its end.
    pub(crate) times_bound: Option<f64>,
}

impl Efficiency {
    /// Of a run on `cores` cores, those of both parties together, which took `cpu_seconds`; all
    /// figures are per sample, `bytes` by direction.
    pub(crate) fn of(bytes: [f64; 2], link: Option<LinkJson>, cpu_seconds: Option<f64>, cores: usize, per_sample: Option<f64>) -> Self {
        let busier = bytes[0].max(bytes[1]);
        let link_seconds = link.map(|link| busier * 8.0 / (link.mbit * 1e6));
        let core_seconds = cpu_seconds.map(|seconds| seconds / cores.max(1) as f64);
        // Without processor seconds nothing is known of the cores' part.
        let bound = core_seconds.map(|cores| cores.max(link_seconds.unwrap_or(0.0)));
        let times_bound = per_sample.zip(bound).filter(|&(_, bound)| bound > 0.0).map(|(seconds, bound)| seconds / bound);
        Self { busier_direction: busier / (bytes[0] + bytes[1]).max(1.0), link_seconds, core_seconds, times_bound }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BYTES: [f64; 2] = [60e6, 40e6];

    #[test]
    fn the_bound_is_the_slower_of_link_and_cores() {
        let link = |mbit| Some(LinkJson { mbit, rtt_ms: 40.0 });
        let slow = Efficiency::of(BYTES, link(100.0), Some(3.0), 2, Some(6.0));
        assert_eq!((slow.busier_direction, slow.link_seconds, slow.core_seconds), (0.6, Some(4.8), Some(1.5)));
        assert_eq!(slow.times_bound, Some(1.25));
        assert_eq!(Efficiency::of(BYTES, link(3000.0), Some(3.0), 2, Some(3.0)).times_bound, Some(2.0));
        assert_eq!(Efficiency::of(BYTES, None, Some(3.0), 2, Some(3.0)).times_bound, Some(2.0));
        assert_eq!(Efficiency::of(BYTES, link(100.0), None, 2, Some(6.0)).times_bound, None);
    }
}
