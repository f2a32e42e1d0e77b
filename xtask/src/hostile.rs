//! `cargo xtask hostile`: what a cheating peer can do, and that it is named, rejected or harmless.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use integration_tests::hostile::{Report, Scope, run as play};

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
        fs::write(root.join(DOCUMENT), document(&report)).context(DOCUMENT)?;
        println!("{DOCUMENT} is written");
    }
    println!("{}\n{:.0} s, peak {} MiB", report.summary(), report.seconds, report.peak_mib);
    report.faults.iter().for_each(|fault| println!("FAULT {fault}"));
    if report.faults.is_empty() { Ok(()) } else { bail!("{} faults", report.faults.len()) }
}

fn document(report: &Report) -> String {
    format!(
        "# A peer that cheats\n\n\
         Made by `cargo xtask hostile`; do not edit. Every message of every phase of a lane, in both directions, is changed in nine ways, one message a run; then servers deviate in ways that take \
         knowledge of the protocol, in series of whole batches. A lane carries a mixed batch of a small network at full cryptographic parameters (three queries in two copies among four public samples, \
         tau = 1, kappa = 1), and its client verifies the answers. Seeds are fixed.\n\n\
         The command fails on a panic anywhere, a run that does not end, an error that names neither the peer nor the transport, more memory than a bound, and more wrong answers accepted than \
         `fusion-mix` predicts (outside an interval of 99.9 %).\n\n\
         * **precise error of the other**: how often the honest party ended so. That a peer \"sent nothing\" is told at once here, when both parties wait; the service waits for its idle limit. \
         Of the service, where a client cheats: what the server told it.\n\
         * **rejected**: the client's verification rejected the batch.\n\
         * **no effect**: the answers were accepted and right. A changed bit mostly meets an entry of a table that the receiver did not choose, or what does not decide a label; what follows the last \
         message of a party is not read in a lane, and an error of the service. The coin toss of the set-up decides the code of the silent extension, which a small lane does not use.\n\
         * **accepted wrong**: the batch was accepted with a wrong answer; in brackets, of series, what was accepted in all and the predicted rates of both. A server that cheats in one message is held \
         to the bound of soundness, {:.3} a batch at these parameters, which are so weak that accepting a wrong answer can be seen.\n\n\
         {}.\n\n{}",
        report.soundness,
        report.summary(),
        report.table()
    )
}
