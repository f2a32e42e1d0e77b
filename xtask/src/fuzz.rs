//! `cargo xtask fuzz`: the targets of `fuzz/` by a seeded mutator, for machines without a fuzzer.

use std::time::Duration;

use anyhow::bail;
use clap::Args;
use integration_tests::fuzzing::{TARGETS, campaign};

/// Flags of `cargo xtask fuzz`.
#[derive(Args)]
pub(crate) struct Options {
    /// Processor minutes of each target
    #[arg(long, default_value_t = 10.0)]
    minutes: f64,
    /// Only these targets
    #[arg(long, value_name = "NAME")]
    target: Vec<String>,
    /// Another seed gives other inputs
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    if let Some(unknown) = options.target.iter().find(|name| !TARGETS.iter().any(|(known, _)| known == name)) {
        bail!("no target {unknown}: there are {}", TARGETS.map(|(name, _)| name).join(", "));
    }
    let budget = Duration::try_from_secs_f64(60.0 * options.minutes)?;
    let mut findings = 0;
    for target in TARGETS.into_iter().filter(|(name, _)| options.target.is_empty() || options.target.iter().any(|wanted| wanted == name)) {
        let done = campaign(target, budget, options.seed)?;
        println!(
            "{:13} {:>10} inputs, {:.0} s of processor time, slowest {:.3} s, peak {} MiB, {} findings",
            target.0,
            done.inputs,
            done.processor.as_secs_f64(),
            done.slowest.as_secs_f64(),
            done.peak_mib,
            done.findings.len()
        );
        done.findings.iter().for_each(|file| println!("  {}", file.display()));
        findings += done.findings.len();
    }
    if findings == 0 { Ok(()) } else { bail!("{findings} inputs made a target panic; they are in its corpus now") }
}
