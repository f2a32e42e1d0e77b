//! What `fusion plan` and `fusion audit` show on a terminal.

use std::fmt::{Result, Write};

use fusion::mix::{
    audit::LabelSource,
    overview::{AssuranceRow, AuditOverview, PlanOverview, TableRow},
    plan::Assurance,
};

use super::{
    figures::{curve, lines, table},
    text,
    words::{CURVE, plain, trimmed},
};

/// Three degrees of certainty and their prices, a plan, what it costs and guarantees, and the table
/// of other numbers of queries.
pub(crate) fn plan_text(overview: &PlanOverview) -> String {
    let mut out = String::new();
    // Writing to a string cannot fail.
    let _ = write_assurances(overview, &mut out)
        .and_then(|()| write_plan(overview, &mut out))
        .and_then(|()| write_table(&overview.table, &mut out));
    out
}

fn write_assurances(overview: &PlanOverview, out: &mut String) -> Result {
    if overview.assurances.is_empty() {
        return Ok(());
    }
    writeln!(out, "What certainty costs")?;
    let mut table = table(&["assurance", "that is", "B", "T", "per query", "predicted"], &[2, 3]);
    for AssuranceRow { assurance, row } in &overview.assurances {
        let plan = &row.plan;
        let lambda = trimmed(plan.lambda);
        let (name, meaning) = match assurance {
            Some(Assurance::Covert) => ("covert".to_owned(), "one that always shows is caught with 99%".to_owned()),
            Some(Assurance::Standard) => ("standard".to_owned(), format!("it passes with chance at most 2^-{lambda}")),
            None => (format!("lambda {lambda}"), format!("it passes with chance at most 2^-{lambda}")),
        };
        let per_query = format!("{:.2} samples", plan.overhead);
        let predicted = row.predicted.map(|cost| format!("{} in {}", bytes(cost.bytes), seconds(cost.seconds)));
        table.add_row([
            name,
            meaning,
            plan.copies.to_string(),
            plan.publics.to_string(),
            per_query,
            predicted.unwrap_or_else(|| "-".to_owned()),
        ]);
    }
    out.push_str(&lines(&table, "  "));
    Ok(())
}

fn write_plan(overview: &PlanOverview, out: &mut String) -> Result {
    text::write_plan(&overview.plan, out)?;
    if let Some(cost) = &overview.predicted {
        writeln!(
            out,
            "  predicted     {} in {}, of which per query {} in {}",
            bytes(cost.bytes),
            seconds(cost.seconds),
            bytes(cost.bytes_per_query),
            seconds(cost.seconds_per_query)
        )?;
    }
    if let Some(basis) = &overview.basis {
        writeln!(out, "  basis         {}", plain(basis))?;
    }
    for warning in &overview.warnings {
        writeln!(out, "  warning       {}", plain(warning))?;
    }
    if !overview.by_firing.is_empty() {
        writeln!(out, "\nHow cheating fares under it\n  {CURVE}")?;
        out.push_str(&curve(&overview.by_firing, "    "));
    }
    let guarantees = &overview.guarantees;
    writeln!(
        out,
        "\nWhat an accepted batch guarantees\n  {} (2^{:.2})\n  1. {}\n  2. {}\n  3. {}",
        guarantees.in_words,
        overview.plan.soundness_log2,
        guarantees.position_dependent,
        guarantees.partly_firing,
        guarantees.function_dependent
    )?;
    if let Some(sentence) = &guarantees.over_batches {
        writeln!(out, "  {sentence}")?;
    }
    text::write_assumptions(guarantees, out)
}

fn write_table(rows: &[TableRow], out: &mut String) -> Result {
    writeln!(out, "\nOther numbers of queries")?;
    let headings = ["R", "B", "T", "tau", "max_inconclusive", "overhead", "soundness", "worst m", "per query"];
    let mut table = table(&headings, &[0, 1, 2, 3, 4, 5, 6, 7]);
    for row in rows {
        let p = &row.plan;
        let cost = row.predicted.map(|cost| format!("{} in {}", bytes(cost.bytes_per_query), seconds(cost.seconds_per_query)));
        table.add_row([
            p.queries.to_string(),
            p.copies.to_string(),
            p.publics.to_string(),
            p.tau.to_string(),
            p.max_inconclusive.to_string(),
            format!("{:.3}", p.overhead),
            format!("2^{:.2}", p.soundness_log2),
            p.worst_m.to_string(),
            cost.unwrap_or_else(|| "-".to_owned()),
        ]);
    }
    out.push_str(&lines(&table, "  "));
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
