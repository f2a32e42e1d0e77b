//! The report for a terminal.

use std::fmt::Write;

use fusion::mix::{report::Report, verify::Verdict};

/// Evidence lines beyond this are only counted.
const MOST_LINES: usize = 20;

/// The report for a terminal.
pub(crate) fn report_text(report: &Report) -> String {
    let mut out = String::new();
    // Writing to a string cannot fail.
    let _ = write(report, &mut out);
    out
}

fn write(report: &Report, out: &mut String) -> std::fmt::Result {
    writeln!(out, "verdict      {}", report.verdict)?;
    writeln!(out, "because      {}", reason(report))?;
    write_figures(report, out)?;
    for warning in &report.warnings {
        writeln!(out, "warning      {warning}")?;
    }
    write_evidence(report, out)?;
    write_answers(report, out)?;
    if let Some(guarantees) = &report.guarantees {
        writeln!(
            out,
            "\nWhat this guarantees\n  1. {}\n  2. {}\nWhat it assumes",
            guarantees.position_dependent, guarantees.function_dependent
        )?;
        for assumption in &guarantees.assumptions {
            writeln!(out, "  - {assumption}")?;
        }
    }
    Ok(())
}

/// One sentence on why the verdict is what it is.
pub(super) fn reason(report: &Report) -> String {
    let wrong = report.evidence.wrong_publics.len();
    let disagreements = report.evidence.disagreements.len();
    match report.verdict {
        Verdict::Incomplete => format!("{} positions have no answer; nothing was compared", report.evidence.missing),
        Verdict::Accepted | Verdict::RejectedAccuracy | Verdict::RejectedInconsistentCopies => format!(
            "{wrong} of {} public answers are wrong (at most {} allowed); {disagreements} of {} queries have copies that disagree (at most {} allowed)",
            report.evidence.publics, report.plan.tau, report.plan.queries, report.plan.max_inconclusive
        ),
    }
}

/// The plan, and how the public samples were answered.
fn write_figures(report: &Report, out: &mut String) -> std::fmt::Result {
    let plan = &report.plan;
    writeln!(
        out,
        "plan         R={} queries x B={} copies + T={} public samples, tau={}, max_inconclusive={}: {:.2} samples per query",
        plan.queries, plan.copies, plan.publics, plan.tau, plan.max_inconclusive, plan.overhead
    )?;
    writeln!(out, "soundness    2^{:.3} (asked for 2^-{}), the adversary's best m = {}", plan.soundness_log2, plan.lambda, plan.worst_m)?;
    if let Some(interval) = &report.public.interval {
        writeln!(
            out,
            "public       {} of {} right in this batch, {:.0}% interval {:.4} .. {:.4}",
            report.public.correct,
            report.public.total,
            interval.confidence * 100.0,
            interval.low,
            interval.high
        )?;
    }
    if let Some(sum) = &report.accumulated {
        writeln!(
            out,
            "accumulated  {} of {} distinct public samples right over {} batches ({} rejected) under this hint digest, {:.1}% interval {:.4} .. {:.4}",
            sum.correct,
            sum.total,
            sum.batches,
            sum.rejected,
            sum.interval.confidence * 100.0,
            sum.interval.low,
            sum.interval.high
        )?;
    }
    Ok(())
}

fn write_evidence(report: &Report, out: &mut String) -> std::fmt::Result {
    let wrong = &report.evidence.wrong_publics;
    if !wrong.is_empty() {
        writeln!(out, "\npublic samples answered wrongly (pool id: expected, answered)")?;
        for w in wrong.iter().take(MOST_LINES) {
            writeln!(out, "  {:>8}: {} , {}", w.id, w.expected, w.answered)?;
        }
        more(out, wrong.len())?;
    }
    let disagreements = &report.evidence.disagreements;
    if !disagreements.is_empty() {
        writeln!(out, "\nqueries whose copies disagree (how many copies gave the same label)")?;
        for d in disagreements.iter().take(MOST_LINES) {
            writeln!(out, "  query {:>6}: {:?}", d.query, d.split)?;
        }
        more(out, disagreements.len())?;
    }
    Ok(())
}

fn write_answers(report: &Report, out: &mut String) -> std::fmt::Result {
    if report.answers_withheld {
        writeln!(out, "\nThe answers are withheld: the batch was rejected, so they may be wrong on purpose.")?;
    }
    if report.answers_of_rejected_batch {
        writeln!(out, "\nANSWERS OF A REJECTED BATCH, shown because you asked for them: they may be wrong on purpose.")?;
    }
    if !report.answers.is_empty() {
        writeln!(out, "\n{:>8} {:>8} {:>8} {:>8}", "query", "label", "float", "copies")?;
        let show = |label: Option<u32>| label.map_or_else(|| "-".to_owned(), |label| label.to_string());
        for a in &report.answers {
            writeln!(out, "{:>8} {:>8} {:>8} {:>8}", a.index, show(a.label), show(a.float_label), a.copies)?;
        }
    }
    Ok(())
}

fn more(out: &mut String, total: usize) -> std::fmt::Result {
    if total > MOST_LINES { writeln!(out, "  ... and {} more", total - MOST_LINES) } else { Ok(()) }
}
