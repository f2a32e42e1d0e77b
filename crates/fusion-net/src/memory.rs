//! How much memory there is.

use std::fs;
use std::path::Path;

/// What is assumed where the system does not say.
const UNKNOWN: u64 = 8 << 30;

/// From here on a number is none that any machine reaches.
const UNLIMITED: u64 = 1 << 60;

/// The memory of this machine, as far as the system says: `None` where it does not.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Memory {
    /// Bytes that the machine has.
    pub installed: Option<u64>,
    /// Bytes of them that programs could have now.
    pub available: Option<u64>,
    /// Bytes that the control groups of this process allow it and those beside it.
    pub group: Option<u64>,
}

impl Memory {
    /// What this process runs with.
    #[must_use]
    pub fn of_this_process() -> Self {
        let meminfo = fs::read_to_string("/proc/meminfo").unwrap_or_default();
        let groups = fs::read_to_string("/proc/self/cgroup").map(|text| group_limits(&text, Path::new("/sys/fs/cgroup")));
        Self {
            installed: line(&meminfo, "MemTotal:"),
            available: line(&meminfo, "MemAvailable:"),
            // A group without a limit has the largest number there in the older interface.
            group: groups.unwrap_or_default().into_iter().filter(|&limit| limit < UNLIMITED).min(),
        }
    }

    /// Bytes that this process may take: the machine's, or its control group's where that is less.
    #[must_use]
    pub fn limit(&self) -> u64 {
        self.installed.into_iter().chain(self.group).min().unwrap_or(UNKNOWN)
    }
}

fn line(meminfo: &str, name: &str) -> Option<u64> {
    let kib = meminfo.lines().find_map(|line| line.strip_prefix(name))?;
    kib.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}

/// The limits of a process's control group and of all groups around it, in both versions of the
/// interface.
fn group_limits(groups: &str, root: &Path) -> Vec<u64> {
    let mut limits = Vec::new();
    for line in groups.lines() {
        let mut parts = line.splitn(3, ':');
        let (Some(number), Some(controllers), Some(path)) = (parts.next(), parts.next(), parts.next()) else { continue };
        let (base, file) = match (number, controllers) {
            ("0", "") => (root.to_path_buf(), "memory.max"),
            (_, "memory") => (root.join("memory"), "memory.limit_in_bytes"),
            _ => continue,
        };
        // In a container the path may be that of the host, where only the root is visible.
        let inner = base.join(path.trim_start_matches('/'));
        for group in inner.ancestors().take_while(|group| group.starts_with(&base)) {
            // "max" is no number, and no limit.
            limits.extend(fs::read_to_string(group.join(file)).ok().and_then(|text| text.trim().parse::<u64>().ok()));
        }
    }
    limits
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_smallest_limit_around_a_process_counts() {
        assert_eq!(line("MemFree: 5 kB\nMemTotal:       24000 MB\nx", "MemTotal:"), None);
        assert_eq!(line("MemTotal:       24000 kB\nMemFree: 5 kB", "MemTotal:"), Some(24_000 << 10));
        let root = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        write("a/memory.max", "4096\n");
        write("a/b/memory.max", "max\n");
        write("memory/c/memory.limit_in_bytes", "777\n");
        let limits = |text: &str| group_limits(text, root.path()).into_iter().min();
        assert_eq!(limits("0::/a/b\n"), Some(4096));
        assert_eq!(limits("0::/\n1:name=systemd:/x\n"), None);
        assert_eq!(limits("0::/not/visible\n9:memory:/c\n"), Some(777));
        let memory = Memory::of_this_process();
        assert!(memory.limit() > 64 << 20, "{memory:?}");
        let small = Memory { installed: Some(8), available: None, group: Some(5) };
        assert_eq!((small.limit(), Memory { group: None, ..small }.limit(), Memory::default().limit()), (5, 8, UNKNOWN));
    }
}
