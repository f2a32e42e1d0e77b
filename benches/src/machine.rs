//! Where and on what a measurement was made.

use std::ops::Range;
use std::path::Path;
use std::process::Command;

#[cfg(target_os = "linux")]
use anyhow::Context as _;
use anyhow::Result;
use serde::Serialize;

/// The machine of a run.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Host {
    /// The processor's name.
    pub(crate) cpu: String,
    /// Cores that this process may use.
    pub(crate) cores: usize,
    /// 10^9 bytes of memory.
    pub(crate) memory_gb: f64,
}

impl Host {
    /// This machine.
    pub(crate) fn this() -> Self {
        let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let cpu = info.lines().find_map(|line| line.strip_prefix("model name")?.split(':').nth(1)).unwrap_or("unknown CPU");
        let memory_kb = field("/proc/meminfo", "MemTotal:").unwrap_or(f64::NAN);
        Self {
            cpu: cpu.trim().to_owned(),
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            memory_gb: memory_kb * 1024e-9,
        }
    }
}

/// First number behind `name` in a file of the kernel's.
fn field(path: &str, name: &str) -> Option<f64> {
    let text = std::fs::read_to_string(path).ok()?;
    text.lines().find_map(|line| line.strip_prefix(name))?.split_whitespace().next()?.parse().ok()
}

/// Largest resident memory of a process so far, in 10^6 bytes; `None` if it is gone or the system
/// does not tell.
pub(crate) fn peak_rss_mb(process: u32) -> Option<f64> {
    field(&format!("/proc/{process}/status"), "VmHWM:").map(|kb| kb * 1024e-6)
}

/// Processor seconds of a process and its threads so far, or `None` if it is gone.
pub(crate) fn cpu_seconds(process: u32) -> Option<f64> {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    // Behind the name in parentheses, user and system time are fields 12 and 13, in ticks; Linux
    // shows 100 of them a second.
    let fields: Vec<&str> = stat.rsplit(')').next()?.split_whitespace().collect();
    let ticks = |index: usize| fields.get(index)?.parse::<f64>().ok();
    Some((ticks(11)? + ticks(12)?) / 100.0)
}

/// Makes [`peak_rss_mb`] of this process begin anew. Where that is not allowed the figure includes
/// what went before.
pub(crate) fn forget_peak() {
    let _ = std::fs::write("/proc/self/clear_refs", "5");
}

/// Lets the calling thread, and threads and processes that it starts from now on, run on these
/// cores only.
///
/// # Errors
/// If the system does not have them or cannot do that.
#[cfg(target_os = "linux")]
pub(crate) fn pin(cores: Range<usize>) -> Result<()> {
    let mut set = rustix::thread::CpuSet::new();
    cores.clone().for_each(|core| set.set(core));
    rustix::thread::sched_setaffinity(None, &set).with_context(|| format!("cannot run on cores {cores:?} only"))
}

/// Lets the calling thread run on these cores only, where the system can do that.
///
/// # Errors
/// Always: this system cannot.
#[cfg(not(target_os = "linux"))]
pub(crate) fn pin(_: Range<usize>) -> Result<()> {
    anyhow::bail!("--cores-per-party works on Linux only")
}

/// Runnable processes over the last minute, or `None` where the system does not tell.
pub(crate) fn load_average() -> Option<f64> {
    std::fs::read_to_string("/proc/loadavg").ok()?.split_whitespace().next()?.parse().ok()
}

/// What git says, or `None` without git or a checkout.
pub(crate) fn git(root: &Path, args: &[&str]) -> Option<String> {
    let output = Command::new("git").arg("-C").arg(root).args(args).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// The commit of the checkout, with a mark if it has changes.
pub(crate) fn commit(root: &Path) -> String {
    let Some(commit) = git(root, &["rev-parse", "HEAD"]) else { return "unknown".to_owned() };
    match git(root, &["status", "--porcelain", "--untracked-files=no"]) {
        Some(changes) if changes.is_empty() => commit,
        _ => format!("{commit}-dirty"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(target_os = "linux")]
    fn memory_is_read_and_a_process_that_is_gone_has_none() {
        let peak = peak_rss_mb(std::process::id()).unwrap();
        assert!(peak > 1.0, "{peak} MB");
        assert_eq!((peak_rss_mb(u32::MAX), cpu_seconds(u32::MAX)), (None, None));
        let (start, before) = (std::time::Instant::now(), cpu_seconds(std::process::id()).unwrap());
        while start.elapsed().as_millis() < 300 {
            std::hint::black_box(peak);
        }
        let spent = cpu_seconds(std::process::id()).unwrap() - before;
        assert!(spent > 0.0 && spent < 60.0, "{spent} s");
        let host = Host::this();
        assert!(host.cores >= 1 && host.memory_gb > 0.1, "{host:?}");
    }
}
