//! The report for a terminal.

use std::fmt::{Result, Write};

use fusion::mix::{Guarantees, plan::PlanJson, report::Report, verify::Verdict};

use super::{
    figures::{axis, curve, lines, table},
    words,
};

/// Evidence lines beyond this are only counted.
pub(super) const MOST_LINES: usize = 20;

/// The report for a terminal.
#[must_use]
pub fn report_text(report: &Report) -> String {
    let mut out = String::new();
    // Writing to a string cannot fail.
    let _ = write(report, &mut out);
    out
}

fn write(report: &Report, out: &mut String) -> Result {
    writeln!(out, "verdict      {}", report.verdict)?;
    writeln!(out, "because      {}", words::reason(report))?;
    for warning in &report.warnings {
        writeln!(out, "warning      {}", words::plain(warning))?;
    }
    write_answers(report, out)?;
    if let Some(guarantees) = &report.guarantees {
        write_guarantee(report, guarantees, out)?;
    }
    write_accuracy(report, out)?;
    if let Some(guarantees) = &report.guarantees {
        writeln!(out, "\n{}\n  {}", words::PARTLY, words::CURVE)?;
        out.push_str(&curve(&report.by_firing, "    "));
        writeln!(out, "\nThe function that the server computed\n  {}", guarantees.function_dependent)?;
        write_assumptions(guarantees, out)?;
    }
    write_evidence(report, out)?;
    write_plan(&report.plan, out)
}

fn write_answers(report: &Report, out: &mut String) -> Result {
    writeln!(out, "\nAnswers")?;
    if report.answers_withheld {
        writeln!(out, "  {}", words::WITHHELD)?;
    }
    if report.answers_of_rejected_batch {
        writeln!(out, "  {}", words::OF_REJECTED)?;
    }
    if report.verdict == Verdict::Incomplete {
        writeln!(out, "  None: the batch is incomplete.")?;
    }
    if !report.answers.is_empty() {
        let with_float = words::has_float_labels(report);
        let headings = ["query", "answer", "copies that agree", "float model"];
        let mut table = table(&headings[..3 + usize::from(with_float)], &[]);
        for line in &report.answers {
            let copies = format!("{} of {} copies", line.copies, report.plan.copies);
            let float = with_float.then(|| words::float_label(line));
            table.add_row([words::query(line), words::answer(line, report.plan.copies), copies].into_iter().chain(float));
        }
        out.push_str(&lines(&table, "  "));
    }
    if !report.skipped.is_empty() {
        writeln!(out, "\nLeft out")?;
        for skipped in &report.skipped {
            writeln!(out, "  {}: {}", words::plain(&skipped.file), words::plain(&skipped.reason))?;
        }
    }
    Ok(())
}

fn write_guarantee(report: &Report, guarantees: &Guarantees, out: &mut String) -> Result {
    writeln!(
        out,
        "\nWhat this guarantees\n  {} (2^{:.2})\n  {}\n  {}",
        guarantees.in_words,
        report.plan.soundness_log2,
        guarantees.position_dependent,
        words::BUT
    )?;
    guarantees.over_batches.as_ref().map_or(Ok(()), |sentence| writeln!(out, "  {sentence}"))
}

fn write_accuracy(report: &Report, out: &mut String) -> Result {
    let measurements = words::measurements(report);
    if !measurements.is_empty() {
        writeln!(out, "\nHow often the answers are right")?;
    }
    for found in measurements {
        writeln!(out, "  {:<14}{}: {}, {}", found.name, found.count, words::percent(found.rate), words::interval(&found.interval))?;
        writeln!(out, "  {:<14}{}", "", axis(&found.interval, found.rate))?;
        if let Some(note) = &found.note {
            writeln!(out, "  {:<14}{note}", "")?;
        }
    }
    Ok(())
}

/// What the guarantees rest on.
pub(super) fn write_assumptions(guarantees: &Guarantees, out: &mut String) -> Result {
    writeln!(out, "\nWhat that assumes")?;
    for assumption in &guarantees.assumptions {
        writeln!(out, "  - {assumption}")?;
    }
    Ok(())
}

fn write_evidence(report: &Report, out: &mut String) -> Result {
    let wrong = &report.evidence.wrong_publics;
    if !wrong.is_empty() {
        writeln!(out, "\nEvidence: public samples answered wrongly (pool id: expected, answered)")?;
        for w in wrong.iter().take(MOST_LINES) {
            writeln!(out, "  {:>8}: {}, {}", w.id, w.expected, w.answered)?;
        }
        more(out, wrong.len())?;
    }
    let disagreements = &report.evidence.disagreements;
    if !disagreements.is_empty() {
        writeln!(out, "\nEvidence: queries whose copies disagree (how many copies gave the same label)")?;
        for d in disagreements.iter().take(MOST_LINES) {
            writeln!(out, "  query {:>6}: {:?}", d.query, d.split)?;
        }
        more(out, disagreements.len())?;
    }
    Ok(())
}

/// The numbers of a plan.
pub(super) fn write_plan(plan: &PlanJson, out: &mut String) -> Result {
    writeln!(out, "\nPlan")?;
    for (name, value) in words::plan_rows(plan) {
        writeln!(out, "  {name:<14}{value}")?;
    }
    Ok(())
}

fn more(out: &mut String, total: usize) -> Result {
    if total > MOST_LINES { writeln!(out, "  ... and {} more", total - MOST_LINES) } else { Ok(()) }
}
