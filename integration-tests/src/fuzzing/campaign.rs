//! One target for some processor time.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use fusion_ring::symmetric::digest::Digest;

use super::{Mutator, Target, corpus, corpus_folder};

/// No decoder may work on one input for so much processor time.
const LONGEST: Duration = Duration::from_secs(20);

/// Nor wait for so long, however busy the machine is.
const LONGEST_WAIT: Duration = Duration::from_secs(900);

/// Findings after which a campaign ends: more of them say nothing new.
const FINDINGS: usize = 8;

/// How a campaign went.
#[derive(Debug, Clone, Default)]
pub struct Campaign {
    /// Inputs tried.
    pub inputs: u64,
    /// Processor time of the process meanwhile.
    pub processor: Duration,
    /// Wall-clock time of the slowest input.
    pub slowest: Duration,
    /// Most memory that the process ever had, MiB.
    pub peak_mib: u64,
    /// Files with inputs that made the target panic, in its corpus.
    pub findings: Vec<PathBuf>,
}

/// Feeds `target` with mutations of its corpus until the process has used `budget` of processor
/// time since the call. An input that makes it panic is kept in the corpus. One on which it works
/// for more than 20 s is kept too, and ends the process, as there is no way to end the work. So
/// nothing else should run in the process.
///
/// # Errors
/// If the corpus cannot be read or added to.
pub fn campaign((name, body): Target, budget: Duration, seed: u64) -> io::Result<Campaign> {
    let corpus: Vec<Vec<u8>> = corpus(name)?.into_iter().map(|(_, bytes)| bytes).collect();
    let mut mutator = Mutator::new(&corpus, seed);
    let (mut campaign, start) = (Campaign::default(), processor_time());
    let current = Arc::new(Mutex::new(Current { begun: Instant::now(), used: start, input: Vec::new() }));
    watch(name, &current);
    while campaign.findings.len() < FINDINGS {
        let input = mutator.input();
        let begun = Instant::now();
        let used = start + campaign.processor;
        *current.lock().unwrap_or_else(PoisonError::into_inner) = Current { begun, used, input: input.clone() };
        let survived = catch_unwind(AssertUnwindSafe(|| body(&input))).is_ok();
        campaign.slowest = campaign.slowest.max(begun.elapsed());
        campaign.inputs += 1;
        if !survived {
            campaign.findings.push(keep(name, "panic", &input)?);
        }
        campaign.processor = processor_time().saturating_sub(start);
        if campaign.processor >= budget {
            break;
        }
    }
    campaign.peak_mib = crate::memory::peak_mib();
    Ok(campaign)
}

/// The input that is worked on, since when, and the processor time of the process then.
struct Current {
    begun: Instant,
    used: Duration,
    input: Vec<u8>,
}

/// Ends the process when one input takes too long.
fn watch(name: &'static str, current: &Arc<Mutex<Current>>) {
    let current = Arc::downgrade(current);
    std::thread::spawn(move || {
        while let Some(current) = current.upgrade() {
            let current = current.lock().unwrap_or_else(PoisonError::into_inner);
            if processor_time().saturating_sub(current.used) > LONGEST || current.begun.elapsed() > LONGEST_WAIT {
                let kept = keep(name, "slow", &current.input);
                eprintln!("{name} works on one input for more than {} s: {kept:?}", LONGEST.as_secs());
                std::process::exit(1);
            }
            drop(current);
            std::thread::sleep(Duration::from_millis(200));
        }
    });
}

fn keep(target: &str, what: &str, input: &[u8]) -> io::Result<PathBuf> {
    let path = corpus_folder(target).join(format!("{what}-{}", &Digest::of(input).to_string()[..12]));
    std::fs::write(&path, input)?;
    Ok(path)
}

/// Processor time of this process so far.
fn processor_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), time.tv_nsec.unsigned_abs() as u32)
}
