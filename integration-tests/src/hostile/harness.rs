//! All runs of a scope, and what they show together.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use fusion_mix::interval::clopper_pearson;
use fusion_mix::soundness::soundness;

use super::batch::{Judged, mix};
use super::deviations::Predicted;
use super::jobs::{self, Outcome};
use super::lane::End;
use super::plan::{self, Judging, Scope};
use super::problem::Problem;
use super::table::{Report, Row};

/// Of every interval: with some tens of them a sound build has fixed seeds that fit.
const CONFIDENCE: f64 = 0.999;

/// Most memory of the process, MiB: of a few extensions at once, and no more.
const MEMORY_MIB: u64 = 1024;

/// Plays everything of `scope`; `told` hears how many runs of how many are done.
///
/// # Errors
/// If the harness cannot begin. What must not be is in the report.
pub fn run(scope: Scope, told: &(dyn Fn(usize, usize) + Sync)) -> Result<Report, Problem> {
    let start = Instant::now();
    let panics = Arc::new(Mutex::new(Vec::new()));
    let heard = Arc::clone(&panics);
    // Also of threads that catch them, as those of a server's lanes do.
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| heard.lock().unwrap_or_else(PoisonError::into_inner).push(info.to_string())));
    let planned = plan::jobs(scope);
    let (jobs, judging): (Vec<_>, Vec<_>) = match planned {
        Ok(planned) => planned.into_iter().unzip(),
        Err(problem) => {
            std::panic::set_hook(before);
            return Err(problem);
        }
    };
    let done = jobs::run_all(jobs, plan::AT_ONCE, told);
    std::panic::set_hook(before);
    let soundness = soundness(&mix()?).log2.exp2();
    let mut report = Report {
        rows: Vec::new(),
        cheated_batches: (0, 0),
        soundness,
        panics: panics.lock().unwrap_or_else(PoisonError::into_inner).clone(),
        peak_mib: crate::memory::peak_mib(),
        seconds: 0.0,
        faults: Vec::new(),
    };
    for ((job, outcome), judging) in done.into_iter().zip(judging) {
        let known = report.rows.iter().position(|row| (&row.phase, row.cheat, &row.trick) == (&job.phase, job.cheat, &job.trick));
        let at = known.unwrap_or_else(|| {
            report.rows.push(Row::new(&job.phase, job.cheat, &job.trick));
            report.rows.len() - 1
        });
        let counted = enter(&mut report.rows[at], outcome, judging);
        report.cheated_batches.0 += counted.0;
        report.cheated_batches.1 += counted.1;
    }
    conclude(&mut report);
    report.seconds = start.elapsed().as_secs_f64();
    Ok(report)
}

/// Adds an outcome to its row. Returns the batches in which a server cheated with one message, and
/// how often it got through.
fn enter(row: &mut Row, outcome: Result<Outcome, String>, judging: Judging) -> (u64, u64) {
    row.runs += match judging {
        Judging::Series(_, batches) => batches,
        Judging::Single => 1,
    };
    let outcome = match outcome {
        Ok(outcome) => outcome,
        Err(fault) => {
            row.faults.push(fault);
            return (0, 0);
        }
    };
    row.faults.extend(outcome.fault);
    match &outcome.honest {
        Some(End::Named(text)) => *row.errors.entry(text.clone()).or_default() += 1,
        Some(End::Unnamed(text)) => row.faults.push(format!("an error that names nobody: {text}")),
        Some(End::Finished) | None => {}
    }
    if outcome.honest == Some(End::Finished) && outcome.judged.is_empty() {
        row.no_effect += 1;
        row.why = outcome.harmless.unwrap_or_else(|| "it finished".to_owned());
    }
    let count = |judged: Judged| outcome.judged.iter().filter(|judgement| judgement.judged == judged).count() as u64;
    let (right, rejected, fooled) = (count(Judged::Right), count(Judged::Rejected), count(Judged::Fooled));
    (row.no_effect, row.rejected, row.fooled) = (row.no_effect + right, row.rejected + rejected, row.fooled + fooled);
    if right > 0 {
        let changed = outcome.judged.iter().filter(|judgement| judgement.judged == Judged::Right && judgement.wrong_labels > 0).count();
        row.changed += changed as u64;
        row.why = match row.changed {
            0 => "no label changed".to_owned(),
            some => format!("labels changed in {some}, as many as tau and kappa allow"),
        };
    }
    if let Judging::Series(predicted, batches) = judging {
        let missed = |hits: u64, rate: f64| !clopper_pearson(hits, batches, CONFIDENCE).contains(rate);
        let accepted = right + fooled;
        let (text, unlikely) = match predicted {
            Predicted::Exactly { accepted: rate, fooled: wrong } => {
                (format!("of {accepted} accepted; predicted {wrong:.3} and {rate:.3}"), missed(accepted, rate) || missed(fooled, wrong))
            }
            Predicted::AtMost(bound) => {
                let low = clopper_pearson(fooled, batches, CONFIDENCE).low;
                (format!("of {accepted} accepted; predicted at most {bound:.3}"), low > bound)
            }
        };
        if unlikely {
            row.faults.push(format!("{fooled} of {batches} accepted with a wrong answer, {text}"));
        }
        row.predicted = Some(text);
        return (0, 0);
    }
    (right + rejected + fooled, fooled)
}

fn conclude(report: &mut Report) {
    let named = |row: &Row, fault: &String| format!("{}, {} cheats with {}: {fault}", row.phase, row.cheat, row.trick);
    let mut faults: Vec<String> = report.rows.iter().flat_map(|row| row.faults.iter().map(|fault| named(row, fault))).collect();
    faults.extend(report.panics.iter().map(|panic| format!("a panic: {panic}")));
    let (batches, fooled) = report.cheated_batches;
    if batches > 0 && clopper_pearson(fooled, batches, CONFIDENCE).low > report.soundness {
        faults.push(format!("{fooled} of {batches} changed batches were accepted with a wrong answer"));
    }
    if report.peak_mib > MEMORY_MIB {
        faults.push(format!("the process took {} MiB, more than {MEMORY_MIB}", report.peak_mib));
    }
    report.faults = faults;
}
