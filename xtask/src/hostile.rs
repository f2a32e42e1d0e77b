//! `cargo xtask hostile`: what a cheating peer can do, and that it is named, rejected or harmless.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use integration_tests::hostile::{Scope, run as play};

/// Where the table goes, relative to the workspace.
const DOCUMENT: &str = "docs/hostile.md";

/// Flags of `cargo xtask hostile`.
#[derive(Args)]
pub(crate) struct Options {
    /// Also writes the rows to this file
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Only the sample that is played in every test run; writes no document
    #[arg(long)]
    sample: bool,
}

pub(crate) fn run(options: &Options, root: &Path) -> Result<()> {
    let bar = ProgressBar::new(0).with_style(ProgressStyle::with_template("{elapsed} {wide_bar} {pos}/{len}")?);
    let scope = if options.sample { Scope::Sample } else { Scope::Everything };
    let report = play(scope, &|done, all| {
        bar.set_length(all as u64);
        bar.set_position(done as u64);
    })?;
    bar.finish_and_clear();
    if let Some(file) = &options.json {
        fs::write(file, serde_json::to_string_pretty(&report)? + "\n").with_context(|| file.display().to_string())?;
    }
    if options.sample {
        print!("{}", report.table());
    } else {
        fs::write(root.join(DOCUMENT), report.document()).context(DOCUMENT)?;
        println!("{DOCUMENT} is written");
    }
    println!("{}\n{:.0} s, peak {} MiB", report.summary(), report.seconds, report.peak_mib);
    report.faults.iter().for_each(|fault| println!("FAULT {fault}"));
    if report.faults.is_empty() { Ok(()) } else { bail!("{} faults", report.faults.len()) }
}
