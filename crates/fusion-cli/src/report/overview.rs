//! What `fusion plan` and `fusion audit` show on a terminal.

use std::fmt::Write;

use fusion::mix::{
    audit::LabelSource,
    overview::{AuditOverview, PlanOverview, TableRow},
};

/// A plan, what it costs and guarantees, and the table of other numbers of queries.
pub(crate) fn plan_text(overview: &PlanOverview) -> String {
    let mut out = String::new();
    // Writing to a string cannot fail.
    let _ = write_plan(overview, &mut out).and_then(|()| write_table(&overview.table, &mut out));
    out
}

fn write_plan(overview: &PlanOverview, out: &mut String) -> std::fmt::Result {
    let plan = &overview.plan;
    writeln!(
        out,
        "R = {} queries, B = {} copies, T = {} public samples, tau = {}, max_inconclusive = {}",
        plan.queries, plan.copies, plan.publics, plan.tau, plan.max_inconclusive
    )?;
    writeln!(out, "soundness     2^{:.6} (asked for 2^-{}); the adversary's best m = {}", plan.soundness_log2, plan.lambda, plan.worst_m)?;
    writeln!(out, "overhead      {:.3} samples per query", plan.overhead)?;
    writeln!(out, "false reject  {:.3e} (an honest server)", plan.false_reject)?;
    match plan.false_accept {
        Some(chance) => writeln!(out, "false accept  {chance:.3e} (a function at detect-below, by this batch's public samples)")?,
        None => writeln!(out, "false accept  not designed for (name an accuracy with detect-below)")?,
    }
    if let Some(cost) = &overview.predicted {
        writeln!(
            out,
            "predicted     {} in {}, of which per query {} in {}",
            bytes(cost.bytes),
            seconds(cost.seconds),
            bytes(cost.bytes_per_query),
            seconds(cost.seconds_per_query)
        )?;
    }
    if let Some(basis) = &overview.basis {
        writeln!(out, "basis         {basis}")?;
    }
    if let Some(audited) = &overview.audited {
        writeln!(
            out,
            "audited       {} of {} right before, {:.2}% interval {:.4} .. {:.4}",
            audited.correct,
            audited.total,
            audited.interval.confidence * 100.0,
            audited.interval.low,
            audited.interval.high
        )?;
    }
    for warning in &overview.warnings {
        writeln!(out, "warning       {warning}")?;
    }
    writeln!(
        out,
        "\nWhat an accepted batch guarantees\n  1. {}\n  2. {}\nWhat that assumes",
        overview.guarantees.position_dependent, overview.guarantees.function_dependent
    )?;
    for assumption in &overview.guarantees.assumptions {
        writeln!(out, "  - {assumption}")?;
    }
    Ok(())
}

fn write_table(rows: &[TableRow], out: &mut String) -> std::fmt::Result {
    writeln!(
        out,
        "\n{:>8} {:>4} {:>7} {:>5} {:>16} {:>9} {:>10} {:>9}  per query",
        "R", "B", "T", "tau", "max_inconclusive", "overhead", "soundness", "worst m"
    )?;
    for row in rows {
        let p = &row.plan;
        write!(
            out,
            "{:>8} {:>4} {:>7} {:>5} {:>16} {:>9.3} {:>10} {:>9}",
            p.queries,
            p.copies,
            p.publics,
            p.tau,
            p.max_inconclusive,
            p.overhead,
            format!("2^{:.2}", p.soundness_log2),
            p.worst_m
        )?;
        match &row.predicted {
            Some(cost) => writeln!(out, "  {} in {}", bytes(cost.bytes_per_query), seconds(cost.seconds_per_query))?,
            None => writeln!(out, "  -")?,
        }
    }
    Ok(())
}

/// Bytes in binary units.
fn bytes(count: f64) -> String {
    let units = ["B", "KiB", "MiB", "GiB", "TiB"];
    let (mut count, mut unit) = (count, 0);
    while count >= 1024.0 && unit + 1 < units.len() {
        count /= 1024.0;
        unit += 1;
    }
    format!("{count:.1} {}", units[unit])
}

fn seconds(count: f64) -> String {
    match count {
        s if s < 120.0 => format!("{s:.2} s"),
        s if s < 7200.0 => format!("{:.1} min", s / 60.0),
        s => format!("{:.1} h", s / 3600.0),
    }
}

/// What public samples have shown about the models of an audit log.
pub(crate) fn audit_text(overview: &AuditOverview) -> String {
    if overview.models.is_empty() {
        return "No public samples are on record for this model.\n".to_owned();
    }
    let mut out = String::new();
    for row in &overview.models {
        let a = &row.accuracy;
        let labels = match row.labels {
            LabelSource::GroundTruth => "the truth",
            LabelSource::Certified => "certified labels",
        };
        // Writing to a string cannot fail.
        let _ = writeln!(
            out,
            "hint {}\n  {} of {} distinct public samples agree with {labels}, over {} batches ({} rejected)\n  {:.2}% interval {:.5} .. {:.5}",
            row.digest,
            a.correct,
            a.total,
            a.batches,
            a.rejected,
            a.interval.confidence * 100.0,
            a.interval.low,
            a.interval.high
        );
    }
    out.push_str("The interval is about the function computed under that hint, on samples drawn like these; every complete batch counts, rejected ones too.\n");
    out
}
