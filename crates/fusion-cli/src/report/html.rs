//! The report as one HTML page that needs nothing else.

use std::fmt::Write;

use fusion::mix::{interval::Interval, plan::PlanJson, report::Report, verify::Verdict};

use super::text::{reason, report_text};

const STYLE: &str = "body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#222}\
table{border-collapse:collapse;margin:1rem 0}td,th{padding:.2rem .8rem;border-bottom:1px solid #ddd;text-align:right}\
th:first-child,td:first-child{text-align:left}.accepted{color:#176b2c}.rejected{color:#a11}.incomplete{color:#855}\
.warning{background:#fff4d6;padding:.5rem 1rem;margin:.5rem 0}details{margin:1rem 0}pre{overflow:auto}";

/// The report as one self-contained HTML page: no scripts, nothing fetched.
pub(crate) fn report_html(report: &Report) -> String {
    let mut out = String::new();
    // Writing to a string cannot fail.
    let _ = write(report, &mut out);
    out
}

fn write(report: &Report, out: &mut String) -> std::fmt::Result {
    let class = match report.verdict {
        Verdict::Accepted => "accepted",
        Verdict::RejectedAccuracy | Verdict::RejectedInconsistentCopies => "rejected",
        Verdict::Incomplete => "incomplete",
    };
    write!(
        out,
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>Fusion: {}</title><style>{STYLE}</style>",
        report.verdict
    )?;
    write!(out, "<h1 class=\"{class}\">{}</h1><p>{}.</p>", escape(&report.verdict.to_string()), escape(&reason(report)))?;
    for warning in &report.warnings {
        write!(out, "<p class=\"warning\">{}</p>", escape(warning))?;
    }

    write_plan(&report.plan, out)?;
    write_publics(report, out)?;
    write_answers(report, out)?;
    if let Some(guarantees) = &report.guarantees {
        write!(
            out,
            "<h2>What this guarantees</h2><ol><li>{}<li>{}</ol><h2>What it assumes</h2><ul>",
            escape(&guarantees.position_dependent),
            escape(&guarantees.function_dependent)
        )?;
        for assumption in &guarantees.assumptions {
            write!(out, "<li>{}", escape(assumption))?;
        }
        out.push_str("</ul>");
    }
    write!(out, "<details><summary>All evidence as text</summary><pre>{}</pre></details></html>", escape(&report_text(report)))
}

fn write_plan(plan: &PlanJson, out: &mut String) -> std::fmt::Result {
    out.push_str("<h2>Plan</h2><table>");
    for (name, value) in [
        ("Queries R", plan.queries.to_string()),
        ("Copies of each, B", plan.copies.to_string()),
        ("Public samples T", plan.publics.to_string()),
        ("Wrong public answers allowed, tau", plan.tau.to_string()),
        ("Inconclusive queries allowed, max_inconclusive", plan.max_inconclusive.to_string()),
        ("Samples per query, B + T/R", format!("{:.2}", plan.overhead)),
        ("Soundness", format!("2^{:.3} (asked for 2^-{})", plan.soundness_log2, plan.lambda)),
        ("Adversary's best m", plan.worst_m.to_string()),
        ("An honest server is rejected with probability", format!("{:.2e}", plan.false_reject)),
    ] {
        write!(out, "<tr><td>{name}<td>{value}")?;
    }
    out.push_str("</table>");
    Ok(())
}

fn write_publics(report: &Report, out: &mut String) -> std::fmt::Result {
    if let Some(interval) = &report.public.interval {
        write!(out, "<h2>Public samples</h2><p>{} of {} right in this batch.", report.public.correct, report.public.total)?;
        bar(out, interval, f64::from(report.public.correct) / f64::from(report.public.total))?;
    }
    if let Some(sum) = &report.accumulated {
        write!(
            out,
            "<p>Accumulated under this hint digest: {} of {} distinct samples right over {} batches, {} of them rejected.",
            sum.correct, sum.total, sum.batches, sum.rejected
        )?;
        bar(out, &sum.interval, sum.correct as f64 / sum.total.max(1) as f64)?;
    }
    Ok(())
}

fn write_answers(report: &Report, out: &mut String) -> std::fmt::Result {
    if report.answers_withheld {
        out.push_str("<h2>Answers</h2><p>Withheld: the batch was rejected, so they may be wrong on purpose.");
    }
    if !report.answers.is_empty() {
        out.push_str("<h2>Answers</h2>");
        if report.answers_of_rejected_batch {
            out.push_str(
                "<p class=\"warning\">Answers of a rejected batch, shown because you asked for them: they may be wrong on purpose.",
            );
        }
        out.push_str("<table><tr><th>Query<th>Label<th>Float model<th>Copies that agree");
        let show = |label: Option<u32>| label.map_or_else(|| "&ndash;".to_owned(), |label| label.to_string());
        for a in &report.answers {
            write!(out, "<tr><td>{}<td>{}<td>{}<td>{}", a.index, show(a.label), show(a.float_label), a.copies)?;
        }
        out.push_str("</table>");
    }
    Ok(())
}

/// A rate and its interval on a line from 0 to 1.
fn bar(out: &mut String, interval: &Interval, rate: f64) -> std::fmt::Result {
    let x = |rate: f64| 10.0 + 580.0 * rate;
    write!(
        out,
        "<br>{:.1}% interval {:.4} to {:.4}.</p><svg width=\"600\" height=\"30\" role=\"img\"><path d=\"M10 15H590\" stroke=\"#ccc\"/>\
         <path d=\"M{:.1} 15H{:.1}\" stroke=\"#36c\" stroke-width=\"8\"/><circle cx=\"{:.1}\" cy=\"15\" r=\"5\"/></svg>",
        interval.confidence * 100.0,
        interval.low,
        interval.high,
        x(interval.low),
        x(interval.high),
        x(rate)
    )
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
