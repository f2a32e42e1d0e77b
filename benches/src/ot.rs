//! `cargo xtask bench-ot`: random OTs per second, one thread per party over an in-memory channel.
//!
//! Every row runs both parties for at least the wanted number of outputs (whole rounds, set-up and
//! first round excluded), once for the correlated blocks and once with pads. The limit beside them
//! is the bare LPN fold over tables of the same size, measured in the same run on two threads at
//! once, as the parties run: they share a cache, and on rented machines often a core. Rates are by
//! the clock on the wall; on a machine that is busy with other things the figures by CPU time of
//! the slower party say more, so both are printed. Where the two are equal both parties are busy
//! all the time: wall/cpu says how far they are from that.
//!
//! `--against PROGRAM` compares with another build's `xtask` in the same run (`against`):
//!
//! ```text
//! git worktree add /tmp/before COMMIT
//! cargo build --release -p xtask --manifest-path /tmp/before/Cargo.toml
//! cargo xtask bench-ot --against /tmp/before/target/release/xtask
//! ```

mod against;
mod rows;

use std::hint::black_box;
use std::path::PathBuf;
use std::sync::Barrier;
use std::time::Instant;

use anyhow::{Context, anyhow};
use fusion_ot::functionality::{ChoiceBits, RandomOtReceiver, RandomOtSender};
use fusion_ot::session::{Direction, Session};
use fusion_ot::silent::{ExtensionSize, Malicious, Parameters, Receiver, Security, SemiHonest, Sender};
use fusion_ot::softspoken::TreeDepth;
use fusion_ot::{OtError, Role, softspoken};
use fusion_ring::channel::{Channel, MemoryChannel, memory_pair};
use fusion_ring::ot::lpn::LocalCode;
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;

use rows::{Report, Row};

/// Pads made by one call, as a layer would.
const PADS_AT_ONCE: usize = 1 << 16;

/// What to measure.
#[derive(clap::Args)]
pub struct Options {
    /// Fewest outputs per row
    #[arg(long, default_value_t = 10_000_000)]
    outputs: usize,
    /// Writes the rows as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Another build's xtask to compare with, by turns in this run
    #[arg(long, value_name = "PROGRAM", conflicts_with = "json")]
    against: Option<PathBuf>,
    /// How many turns each build has
    #[arg(long, value_name = "N", default_value_t = 5, requires = "against")]
    pairs: u32,
}

/// Wall and CPU seconds of the calling thread.
#[derive(Clone, Copy)]
struct Clock {
    wall: Instant,
    cpu: f64,
}

impl Clock {
    fn now() -> Self {
        // First field: nanoseconds on a CPU.
        let stat = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
        let cpu = stat.split(' ').next().and_then(|ns| ns.parse::<f64>().ok()).map_or(f64::NAN, |ns| ns * 1e-9);
        Self { wall: Instant::now(), cpu }
    }

    fn since(self, earlier: Self) -> (f64, f64) {
        (self.wall.duration_since(earlier.wall).as_secs_f64(), self.cpu - earlier.cpu)
    }
}

/// One party's readings: seconds for blocks, seconds for pads, bytes sent for the blocks.
type Readings = ((f64, f64), (f64, f64), u64);

/// Times `blocks` and then `pads`, both parties starting together.
fn timed<I>(
    instance: &mut I,
    channel: &mut MemoryChannel,
    start: &Barrier,
    blocks: impl FnOnce(&mut I, &mut MemoryChannel) -> Result<(), OtError>,
    pads: impl FnOnce(&mut I, &mut MemoryChannel) -> Result<(), OtError>,
) -> Result<Readings, OtError> {
    start.wait();
    let (before, traffic) = (Clock::now(), channel.traffic());
    blocks(instance, channel)?;
    let (between, sent) = (Clock::now(), channel.traffic().since(traffic).sent);
    start.wait();
    let again = Clock::now();
    pads(instance, channel)?;
    Ok((between.since(before), Clock::now().since(again), sent))
}

/// Runs both parties and turns their readings into a row.
fn row(
    (kind, m, malicious, n): (&'static str, ChoiceBits, bool, usize),
    limit: Option<(f64, f64)>,
    sender: impl FnOnce(&mut MemoryChannel, &Barrier) -> Result<Readings, OtError> + Send,
    receiver: impl FnOnce(&mut MemoryChannel, &Barrier) -> Result<Readings, OtError>,
) -> anyhow::Result<Row> {
    let before = memory_kb("VmRSS:");
    // Writing 5 resets the peak; where that is not allowed the figure is the process's peak so far.
    let _ = std::fs::write("/proc/self/clear_refs", "5");
    let (mut a, mut b) = memory_pair();
    let start = Barrier::new(2);
    let (s, r) = std::thread::scope(|scope| {
        let other = scope.spawn(|| sender(&mut a, &start));
        let r = receiver(&mut b, &start);
        (other.join(), r)
    });
    let s = s.map_err(|_| anyhow!("the sender's thread panicked"))??;
    let r = r?;
    let peak_mb = (memory_kb("VmHWM:") - before) / 1024.0;
    let rate = |seconds: f64| n as f64 / seconds * 1e-6;
    let (mots, mots_cpu) = (rate(s.0.0.max(r.0.0)), rate(s.0.1.max(r.0.1)));
    let (mots_with_pads, mots_with_pads_cpu) = (rate(s.1.0.max(r.1.0)), rate(s.1.1.max(r.1.1)));
    Ok(Row {
        kind,
        m: m.bits(),
        malicious,
        mots,
        mots_with_pads,
        bits_per_output: (s.2 + r.2) as f64 * 8.0 / n as f64,
        fraction_of_limit: limit.map(|l| mots / l.0),
        peak_mb,
        mots_cpu,
        mots_with_pads_cpu,
        fraction_of_limit_cpu: limit.map(|l| mots_cpu / l.1),
        fraction_of_limit_with_pads_cpu: limit.map(|l| mots_with_pads_cpu / l.1),
        wall_over_cpu: mots_cpu / mots,
        wall_over_cpu_with_pads: mots_with_pads_cpu / mots_with_pads,
    })
}

fn session() -> Session {
    Session::new(b"bench-ot")
}

fn direction() -> Direction {
    session().direction(Role::First)
}

/// Calls of at most [`PADS_AT_ONCE`] that sum to `n`.
fn portions(n: usize) -> impl Iterator<Item = usize> {
    (0..n).step_by(PADS_AT_ONCE).map(move |at| PADS_AT_ONCE.min(n - at))
}

fn silent<S: Security>(m: ChoiceBits, outputs: usize, limit: (f64, f64)) -> anyhow::Result<Row> {
    let set = Parameters::new(m, ExtensionSize::default());
    let per_round = set.outputs() - set.reserve();
    let n = outputs.div_ceil(per_round) * per_round;
    row(
        ("silent", m, S::CHECKED, n),
        Some(limit),
        |channel, start| {
            let mut s = Sender::<S>::setup(ExtensionSize::default(), &direction(), channel, &mut ChaCha20Rng::seed_from_u64(1))?;
            s.correlated(channel, m, per_round, &mut |_| ())?;
            timed(
                &mut s,
                channel,
                start,
                |s, channel| {
                    s.correlated(channel, m, n, &mut |blocks| {
                        black_box(blocks);
                    })
                },
                |s, channel| portions(n).try_for_each(|n| s.pads(channel, m, n).map(drop)),
            )
        },
        |channel, start| {
            let mut r = Receiver::<S>::setup(ExtensionSize::default(), &direction(), channel, &mut ChaCha20Rng::seed_from_u64(2))?;
            r.correlated(channel, m, per_round, &mut |_| ())?;
            timed(
                &mut r,
                channel,
                start,
                |r, channel| {
                    r.correlated(channel, m, n, &mut |blocks| {
                        black_box(blocks);
                    })
                },
                |r, channel| portions(n).try_for_each(|n| r.pads(channel, m, n).map(drop)),
            )
        },
    )
}

/// SoftSpoken, which silent OT is set up with at depth 8; it has no form without pads here, so both
/// columns are with pads.
fn softspoken_row(kind: &'static str, depth: TreeDepth, outputs: usize) -> anyhow::Result<Row> {
    let (m, n) = (ChoiceBits::ONE, outputs.next_multiple_of(PADS_AT_ONCE));
    row(
        (kind, m, true, n),
        None,
        |channel, start| {
            let (mut s, _) = softspoken::setup_with(depth, &session(), Role::First, channel, &mut ChaCha20Rng::seed_from_u64(1))?;
            let run = |s: &mut softspoken::Sender, channel: &mut MemoryChannel| {
                portions(n).try_for_each(|n| s.random_ot(channel, m, n).map(drop))
            };
            timed(&mut s, channel, start, run, run)
        },
        |channel, start| {
            let (_, mut r) = softspoken::setup_with(depth, &session(), Role::Second, channel, &mut ChaCha20Rng::seed_from_u64(2))?;
            let run = |r: &mut softspoken::Receiver, channel: &mut MemoryChannel| {
                portions(n).try_for_each(|n| r.random_ot(channel, m, n).map(drop))
            };
            timed(&mut r, channel, start, run, run)
        },
    )
}

/// Million outputs per second of the bare fold over the default table, by the wall and by CPU time:
/// of one thread alone, and of the slower of two at once.
fn limits(outputs: usize) -> [(f64, f64); 2] {
    let set = Parameters::new(ChoiceBits::ONE, ExtensionSize::default());
    let fold = || {
        let table: Vec<u128> = (0..1u128 << set.log_secrets()).map(|i| i.wrapping_mul(0x9e37_79b9_7f4a_7c15)).collect();
        let code = LocalCode::new([1; 16], set.log_secrets());
        let mut out = vec![0u128; 1 << set.depth()];
        let trees = outputs.div_ceil(out.len());
        let before = Clock::now();
        for tree in 0..trees {
            code.encode((tree * out.len()) as u64, &table, black_box(&mut out));
        }
        let (wall, cpu) = Clock::now().since(before);
        let n = (trees * out.len()) as f64 * 1e-6;
        (n / wall, n / cpu)
    };
    let alone = fold();
    let (one, other) = std::thread::scope(|scope| {
        let other = scope.spawn(fold);
        (fold(), other.join().unwrap_or((f64::NAN, f64::NAN)))
    });
    [alone, (one.0.min(other.0), one.1.min(other.1))]
}

fn memory_kb(field: &str) -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with(field));
    line.and_then(|line| line.split_whitespace().nth(1)?.parse().ok()).unwrap_or(f64::NAN)
}

fn host() -> String {
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = info.lines().find_map(|line| line.strip_prefix("model name")?.split(':').nth(1)).unwrap_or("unknown CPU");
    model.trim().to_owned()
}

/// Runs the benchmark.
pub fn run(options: &Options) -> anyhow::Result<()> {
    if let Some(program) = &options.against {
        return against::run(program, options.outputs, options.pairs, || measure(options.outputs));
    }
    let report = measure(options.outputs)?;
    if let Some(path) = &options.json {
        let text = serde_json::to_string_pretty(&report)?;
        std::fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}

/// All rows, printed as they come.
fn measure(n: usize) -> anyhow::Result<Report> {
    let [alone, limit] = limits(n);
    let (tier, aes) = (fusion_ring::simd::tier().name(), fusion_ring::simd::AesTier::best().name().to_owned());
    println!("{}, {tier}, AES {aes}; one thread per party, >= {n} outputs per row", host());
    println!("bare LPN fold: {:.1} M/s ({:.1} by CPU time) on one thread, ", alone.0, alone.1);
    println!("{:.1} ({:.1}) on each of two at once, which is the limit below\n", limit.0, limit.1);
    println!(
        "{:<12}{:>2} {:>9} {:>16} {:>16} {:>12} {:>15} {:>15} {:>15} {:>8}",
        "kind",
        "m",
        "malicious",
        "M/s (cpu)",
        "pads M/s (cpu)",
        "bits/output",
        "of limit, cpu",
        "with pads, cpu",
        "wall/cpu, pads",
        "peak MB"
    );
    let mut rows = Vec::new();
    let mut add = |row: anyhow::Result<Row>| -> anyhow::Result<()> {
        let row = row?;
        let of = |f: Option<f64>| f.map_or_else(|| "-".to_owned(), |f| format!("{:.0}%", 100.0 * f));
        println!(
            "{:<12}{:>2} {:>9} {:>8.1} ({:>5.1}) {:>8.1} ({:>5.1}) {:>12.3} {:>15} {:>15} {:>8.2} {:>6.2} {:>8.1}",
            row.kind,
            row.m,
            row.malicious,
            row.mots,
            row.mots_cpu,
            row.mots_with_pads,
            row.mots_with_pads_cpu,
            row.bits_per_output,
            of(row.fraction_of_limit_cpu),
            of(row.fraction_of_limit_with_pads_cpu),
            row.wall_over_cpu,
            row.wall_over_cpu_with_pads,
            row.peak_mb
        );
        rows.push(row);
        Ok(())
    };
    add(softspoken_row("softspoken", TreeDepth::default(), n))?;
    add(softspoken_row("softspoken-8", TreeDepth::Eight, n))?;
    for m in [ChoiceBits::ONE, ChoiceBits::THREE, ChoiceBits::FOUR] {
        add(silent::<Malicious>(m, n, limit))?;
        add(silent::<SemiHonest>(m, n, limit))?;
    }
    Ok(Report { host: host(), tier, aes, limit_mots: limit.0, limit_mots_cpu: limit.1, alone_mots_cpu: alone.1, rows })
}
