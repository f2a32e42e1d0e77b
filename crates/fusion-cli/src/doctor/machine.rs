//! This machine: cores, instructions, memory, clock.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use fusion::net::Memory;
use fusion::simd;
use serde_json::json;

use super::finding::Finding;
use crate::query::cores;
use crate::tables::human_bytes;

/// Memory below which a query of a small network may not fit, and below which nothing will.
const LITTLE: (u64, u64) = (1 << 30, 128 << 20);

/// Seconds from 1970 to the first commit of this program, 2026-11-22, and to the year 2100: a clock
/// outside of that is wrong.
const PLAUSIBLE: (u64, u64) = (1_795_305_600, 4_102_444_800);

/// How long both clocks are watched, and by how much they may differ: a busy machine may stop
/// between reading one and the other.
const WATCHED: (Duration, Duration) = (Duration::from_millis(100), Duration::from_millis(250));

/// Cores, their name, and the instructions that the kernels use.
pub(super) fn cpu() -> Finding {
    let text = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let (model, installed) = processor(&text);
    let model = model.unwrap_or("unknown processor");
    let best = simd::available().last().map_or("portable", |tier| tier.name());
    let used = match simd::select() {
        Ok(tier) => tier.name(),
        Err(error) => return Finding::problem("cpu", error.to_string(), "unset FUSION_SIMD"),
    };
    let cores = cores();
    let of = if installed > cores { format!(" of {installed}") } else { String::new() };
    let says = format!("{cores} cores{of}, {model}; instructions: {used}");
    let figures = json!({ "cores": cores, "installed": installed, "model": model, "simd": used, "simd_best": best });
    let finding = if used != best {
        Finding::warning("cpu", format!("{says}, where {best} could be had"), "unset FUSION_SIMD, unless that is a measurement")
    } else if used == simd::Tier::PORTABLE.name() {
        Finding::warning("cpu", says, "use a machine with AVX2 or AVX-512: without them everything is several times slower")
    } else {
        Finding::ok("cpu", says)
    };
    finding.with(figures)
}

/// The name of the processor, and how many the system counts.
fn processor(cpuinfo: &str) -> (Option<&str>, usize) {
    let value = |line: &'_ str| line.split_once(':').map(|(_, value)| value.trim().len()).unwrap_or(0);
    let named = cpuinfo.lines().find(|line| line.starts_with("model name") && value(line) > 0);
    let model = named.and_then(|line| line.split_once(':')).map(|(_, value)| value.trim());
    (model, cpuinfo.lines().filter(|line| line.starts_with("processor")).count())
}

/// Memory of the machine and of the control group.
pub(super) fn memory() -> Finding {
    memory_finding(Memory::of_this_process())
}

fn memory_finding(memory: Memory) -> Finding {
    let Some(installed) = memory.installed else {
        return Finding::warning("memory", "this system does not say how much there is", "give `fusion serve` a --memory of its own");
    };
    let group = memory.group.filter(|&limit| limit < installed);
    let limit = group.map_or_else(String::new, |limit| format!(", {} for this control group", human_bytes(limit)));
    let available = memory.available.unwrap_or(installed);
    let says = format!("{} available of {}{limit}", human_bytes(available), human_bytes(installed));
    let room = available.min(memory.limit());
    let finding = if room < LITTLE.1 {
        Finding::problem("memory", says, "end other programs, or raise the limit of the control group: lanes have no room")
    } else if room < LITTLE.0 {
        Finding::warning("memory", says, "run fewer lanes (--lanes 1, --lane-samples 8), or end other programs")
    } else {
        Finding::ok("memory", says)
    };
    finding.with(json!({ "installed": memory.installed, "available": memory.available, "group": memory.group, "limit": memory.limit() }))
}

/// Whether the date can be right, and whether time goes on as it should.
pub(super) fn clock() -> Finding {
    let (wall, steady) = (SystemTime::now(), Instant::now());
    std::thread::sleep(WATCHED.0);
    clock_finding(wall.duration_since(UNIX_EPOCH).ok(), wall.elapsed().ok(), steady.elapsed())
}

/// `since_1970` by the date, and how long the same moment took by the date and by the steady clock.
fn clock_finding(since_1970: Option<Duration>, by_date: Option<Duration>, steady: Duration) -> Finding {
    let set = "set the date (timedatectl set-ntp true): certificates are judged by it";
    let Some(since_1970) = since_1970 else { return Finding::problem("clock", "the date is before 1970", set) };
    let seconds = since_1970.as_secs();
    let date = humantime::format_rfc3339_seconds(UNIX_EPOCH + Duration::from_secs(seconds));
    let finding = if !(PLAUSIBLE.0..PLAUSIBLE.1).contains(&seconds) {
        Finding::problem("clock", format!("{date} cannot be the date"), set)
    } else if by_date.is_none_or(|by_date| by_date.abs_diff(steady) > WATCHED.1) {
        Finding::warning(
            "clock",
            format!("{date}, and it jumped while it was watched"),
            "see whether the time service is setting it; runs measure time by another clock",
        )
    } else {
        Finding::ok("clock", format!("{date}, plausible and steady; no server tells its time, so it is compared with none"))
    };
    finding.with(json!({ "unix_seconds": seconds }))
}

#[cfg(test)]
mod tests {
    use super::super::finding::State;
    use super::*;

    #[test]
    fn processors_are_counted_and_named() {
        let text = "processor\t: 0\nmodel name\t: Some CPU @ 2 GHz\n\nprocessor\t: 1\nmodel name\t: Some CPU @ 2 GHz\n";
        assert_eq!((processor(text), processor("")), ((Some("Some CPU @ 2 GHz"), 2), (None, 0)));
        let found = cpu();
        assert!(found.state != State::Problem && found.figures["cores"].as_u64().unwrap() > 0, "{found:?}");
    }

    #[test]
    fn little_memory_is_a_warning_and_none_a_problem() {
        let gib = |n: u64| Some(n << 30);
        let state = |memory: Memory| memory_finding(memory).state;
        assert_eq!(state(Memory { installed: gib(8), available: gib(4), group: None }), State::Ok);
        assert_eq!(state(Memory { installed: gib(8), available: Some(600 << 20), group: None }), State::Warning);
        assert_eq!(state(Memory { installed: gib(8), available: gib(4), group: Some(64 << 20) }), State::Problem);
        assert_eq!(state(Memory::default()), State::Warning);
        let text = memory_finding(Memory { installed: gib(8), available: gib(4), group: gib(2) }).says;
        assert!(text.contains("2.15 GB for this control group"), "{text}");
    }

    #[test]
    fn a_date_that_cannot_be_and_one_that_jumps_are_told() {
        let (now, moment) = (Duration::from_secs(PLAUSIBLE.0 + 10), WATCHED.0);
        let state = |since, by_date| clock_finding(since, by_date, moment).state;
        assert_eq!(state(Some(now), Some(moment)), State::Ok);
        assert_eq!(state(Some(now), Some(moment + Duration::from_secs(3))), State::Warning);
        assert_eq!(state(Some(now), None), State::Warning);
        for wrong in [None, Some(Duration::from_secs(3)), Some(Duration::from_secs(PLAUSIBLE.1))] {
            assert_eq!(state(wrong, Some(moment)), State::Problem, "{wrong:?}");
        }
        assert_eq!(clock().state, State::Ok);
    }
}
