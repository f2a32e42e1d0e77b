//! `bench-ot --against PROGRAM`: this build and another one by turns, so that a loud neighbour
//! slows both alike.

use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, ensure};
use serde::Deserialize;

use super::rows::{Report, Row};

/// What is read of another build's report: fields that all versions have had.
#[derive(Deserialize)]
struct Theirs {
    limit_mots_cpu: f64,
    /// Older versions measured the limit on one thread.
    alone_mots_cpu: Option<f64>,
    rows: Vec<TheirRow>,
}

#[derive(Deserialize)]
struct TheirRow {
    kind: String,
    m: u32,
    malicious: bool,
    mots_cpu: f64,
    mots_with_pads_cpu: f64,
    bits_per_output: f64,
}

/// CPU nanoseconds per OT of one row, over all runs: blocks, pads.
type Samples = [Vec<f64>; 2];

/// Runs `measure` and `program bench-ot` `pairs` times by turns and prints what an OT of this build
/// takes in terms of one of theirs, by CPU time of the slower party.
pub(super) fn run(program: &Path, outputs: usize, pairs: u32, mut measure: impl FnMut() -> anyhow::Result<Report>) -> anyhow::Result<()> {
    let file = std::env::temp_dir().join(format!("bench-ot-{}.json", std::process::id()));
    let mut rows: Vec<(Row, f64, [Samples; 2])> = Vec::new();
    let mut limits = [Vec::new(), Vec::new()];
    for pair in 0..pairs {
        println!("\npair {} of {pairs}: this build", pair + 1);
        let ours = measure()?;
        println!("pair {} of {pairs}: {}", pair + 1, program.display());
        let status = Command::new(program)
            .args(["bench-ot", "--outputs", &outputs.to_string(), "--json"])
            .arg(&file)
            .stdout(Stdio::null())
            .status()
            .with_context(|| format!("cannot run {}", program.display()))?;
        ensure!(status.success(), "{} failed: {status}", program.display());
        let text = std::fs::read_to_string(&file).with_context(|| format!("{} wrote no report", program.display()))?;
        let theirs: Theirs = serde_json::from_str(&text).with_context(|| format!("the report of {} cannot be read", program.display()))?;
        let _ = std::fs::remove_file(&file);
        limits[0].push(1e3 / ours.alone_mots_cpu);
        limits[1].push(1e3 / theirs.alone_mots_cpu.unwrap_or(theirs.limit_mots_cpu));
        for row in ours.rows {
            let alike = |other: &&TheirRow| (other.kind.as_str(), other.m, other.malicious) == (row.kind, row.m, row.malicious);
            let Some(other) = theirs.rows.iter().find(alike) else { continue };
            let nanoseconds = [[row.mots_cpu, row.mots_with_pads_cpu], [other.mots_cpu, other.mots_with_pads_cpu]];
            let at = rows.iter().position(|(known, ..)| (known.kind, known.m, known.malicious) == (row.kind, row.m, row.malicious));
            let at = at.unwrap_or_else(|| {
                rows.push((row, other.bits_per_output, Default::default()));
                rows.len() - 1
            });
            for (samples, rates) in rows[at].2.iter_mut().zip(nanoseconds) {
                samples.iter_mut().zip(rates).for_each(|(samples, rate)| samples.push(1e3 / rate));
            }
        }
    }
    println!("\nCPU nanoseconds per OT of the slower party, medians of {pairs} pairs; theirs, ours, ours/theirs");
    println!("{:<12}{:>2} {:>9} {:>25} {:>25} {:>15}", "kind", "m", "malicious", "blocks", "with pads", "bits/output");
    let [ours, theirs] = limits.map(median);
    println!("{:<24} {theirs:>8.1} {ours:>8.1} {:>7.3}", "bare fold", ours / theirs);
    for (row, their_bits, [ours, theirs]) in rows {
        let cell = |i: usize| {
            let [ours, theirs] = [&ours, &theirs].map(|samples| median(samples[i].clone()));
            format!("{theirs:>8.1} {ours:>8.1} {:>7.3}", ours / theirs)
        };
        println!(
            "{:<12}{:>2} {:>9} {} {} {their_bits:>7.3} {:>7.3}",
            row.kind,
            row.m,
            row.malicious,
            cell(0),
            cell(1),
            row.bits_per_output
        );
    }
    Ok(())
}

fn median(mut samples: Vec<f64>) -> f64 {
    samples.sort_by(f64::total_cmp);
    samples.get(samples.len() / 2).copied().unwrap_or(f64::NAN)
}
