//! What a process holds, and whether that grows.

use std::fmt;
use std::fs;
use std::time::Duration;

use anyhow::{Context as _, Result};
use serde::Serialize;

/// What a process holds at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(super) struct Held {
    /// Seconds since the soak began.
    pub(super) at: f64,
    /// Resident memory, KiB.
    pub(super) memory_kib: u64,
    /// Open file descriptors.
    pub(super) descriptors: u64,
    /// Threads.
    pub(super) threads: u64,
    /// Threads that run a lane.
    pub(super) lanes: u64,
}

/// Reads what process `id` holds. Needs Linux, and the right to look into the process: a server is
/// not dumpable, so that only root may.
pub(super) fn held(id: u32, at: Duration) -> Result<Held> {
    let folder = format!("/proc/{id}");
    let status = fs::read_to_string(format!("{folder}/status")).with_context(|| format!("the server is gone ({folder})"))?;
    let field = |name: &str| -> Result<u64> {
        let line = status.lines().find_map(|line| line.strip_prefix(name)).with_context(|| format!("no {name} in {folder}/status"))?;
        line.split_whitespace().next().and_then(|word| word.parse().ok()).with_context(|| format!("{name} of {folder}/status"))
    };
    let count =
        |name: &str| fs::read_dir(format!("{folder}/{name}")).with_context(|| format!("cannot look into {folder}/{name}: run as root"));
    let mut lanes = 0;
    for task in count("task")? {
        // A thread that has ended since has no name any more.
        let name = fs::read_to_string(task?.path().join("comm")).unwrap_or_default();
        lanes += u64::from(name.starts_with("lane-"));
    }
    Ok(Held {
        at: at.as_secs_f64(),
        memory_kib: field("VmRSS:")?,
        descriptors: count("fd")?.count() as u64,
        threads: field("Threads:")?,
        lanes,
    })
}

impl Held {
    /// The larger of each.
    pub(super) fn larger(self, other: Self) -> Self {
        Self {
            at: self.at.max(other.at),
            memory_kib: self.memory_kib.max(other.memory_kib),
            descriptors: self.descriptors.max(other.descriptors),
            threads: self.threads.max(other.threads),
            lanes: self.lanes.max(other.lanes),
        }
    }
}

impl fmt::Display for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { memory_kib, descriptors, threads, lanes, .. } = self;
        write!(f, "{:.1} MiB, {descriptors} descriptors, {threads} threads, {lanes} lanes", *memory_kib as f64 / 1024.0)
    }
}

/// How one of them changes.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Slope {
    /// Of what.
    pub(super) what: &'static str,
    /// Mean over the rests.
    pub(super) mean: f64,
    /// Growth from the first to the last rest along the line of least squares, as a part of the
    /// mean.
    pub(super) growth: f64,
}

/// The slopes of everything that is held, over rests in the order of time.
pub(super) fn slopes(rests: &[Held]) -> Vec<Slope> {
    let of = |what, value: fn(&Held) -> u64| slope(what, rests.iter().map(|held| (held.at, value(held) as f64)).collect());
    vec![
        of("memory", |held| held.memory_kib),
        of("descriptors", |held| held.descriptors),
        of("threads", |held| held.threads),
        of("lanes", |held| held.lanes),
    ]
}

fn slope(what: &'static str, points: Vec<(f64, f64)>) -> Slope {
    let n = points.len().max(1) as f64;
    let mean = |of: fn(&(f64, f64)) -> f64| points.iter().map(of).sum::<f64>() / n;
    let (at, value) = (mean(|p| p.0), mean(|p| p.1));
    let covariance: f64 = points.iter().map(|p| (p.0 - at) * (p.1 - value)).sum();
    let variance: f64 = points.iter().map(|p| (p.0 - at).powi(2)).sum();
    let time = points.last().map_or(0.0, |last| last.0 - points[0].0);
    let growth = if variance > 0.0 && value > 0.0 { covariance / variance * time / value } else { 0.0 };
    Slope { what, mean: value, growth }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rest(at: f64, memory_kib: u64) -> Held {
        Held { at, memory_kib, descriptors: 12, threads: 5, lanes: 0 }
    }

    #[test]
    fn growth_is_that_of_the_line_through_all_rests() {
        let leaking: Vec<_> = (0..11).map(|i| rest(f64::from(i), 1000 + 10 * i as u64)).collect();
        let slopes = slopes(&leaking);
        assert!((slopes[0].growth - 100.0 / 1050.0).abs() < 1e-9, "{slopes:?}");
        assert_eq!((slopes[1].growth, slopes[2].growth, slopes[3].growth), (0.0, 0.0, 0.0));
        // Up and down again is no growth.
        let noisy: Vec<_> = (0..11).map(|i| rest(f64::from(i), 1000 + 50 * (i % 2) as u64)).collect();
        assert!(super::slopes(&noisy)[0].growth.abs() < 0.01);
        assert_eq!(super::slopes(&leaking[..1])[0].growth, 0.0);
    }

    #[test]
    fn this_process_holds_something_and_one_that_is_gone_is_an_error() {
        let held = held(std::process::id(), Duration::from_secs(1)).unwrap();
        assert!(held.memory_kib > 1000 && held.descriptors >= 3 && held.threads >= 1, "{held}");
        assert!(super::held(u32::MAX, Duration::ZERO).is_err());
    }
}
