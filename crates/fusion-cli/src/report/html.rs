//! The report as one HTML page that needs nothing else.

use std::fmt::{Result, Write};

use fusion::mix::{Guarantees, plan::PlanJson, report::Report, verify::Verdict};

use super::{svg, text::MOST_LINES, words};

/// Narrow enough for a telephone, and complete on paper: bars are drawn, not backgrounds, and
/// nothing is folded away.
const STYLE: &str = "body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#222;background:#fff;overflow-wrap:break-word}\
table{border-collapse:collapse;margin:1rem 0}td,th{padding:.2rem .8rem .2rem 0;border-bottom:1px solid #ddd;text-align:left;vertical-align:middle}\
.accepted{color:#176b2c}.rejected{color:#a11}.incomplete{color:#855}.warning{background:#fff4d6;padding:.5rem 1rem;margin:.5rem 0}\
.number{text-align:right}.name{overflow-wrap:anywhere;min-width:5rem}.lead{font-size:1.15em}td img{display:block;max-width:4rem;max-height:4rem}\
svg{display:block;max-width:100%}svg text{font-size:13px;fill:#222}.axis{width:440px}.bits{width:120px;margin:.2rem 0}.wide{overflow-x:auto}\
@media(max-width:32rem){table{font-size:.85em}td,th{padding-right:.4rem}.name{min-width:4rem}.bits{width:90px}}\
@media print{body{margin:0;max-width:none}h2,h3{break-after:avoid}tr,section,.warning{break-inside:avoid}.warning{border:1px solid #a80}}";

/// The report as one self-contained HTML page: no scripts, nothing fetched. `thumbnails` holds a
/// complete `data:image/png;base64,...` URI for each query; whatever else it holds is left out, and
/// a query without one has no picture.
pub(crate) fn report_html(report: &Report, thumbnails: &[Option<String>]) -> String {
    let mut out = String::new();
    // Writing to a string cannot fail.
    let _ = write(report, thumbnails, &mut out);
    out
}

fn write(report: &Report, thumbnails: &[Option<String>], out: &mut String) -> Result {
    let class = match report.verdict {
        Verdict::Accepted => "accepted",
        Verdict::RejectedAccuracy | Verdict::RejectedInconsistentCopies => "rejected",
        Verdict::Incomplete => "incomplete",
    };
    write!(
        out,
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\
         <title>Fusion: {verdict}</title><style>{STYLE}</style></head>\n<body><h1 class=\"{class}\">Verdict: {verdict}</h1>\n<p>{}.</p>\n",
        escape(&words::reason(report)),
        verdict = escape(&report.verdict.to_string()),
    )?;
    for warning in &report.warnings {
        writeln!(out, "<p class=\"warning\">{}</p>", escape(&words::plain(warning)))?;
    }
    write_answers(report, thumbnails, out)?;
    if let Some(guarantees) = &report.guarantees {
        write_guarantee(report, guarantees, out)?;
    }
    write_accuracy(report, out)?;
    if let Some(guarantees) = &report.guarantees {
        write_curve(report, out)?;
        writeln!(out, "<h2>The function that the server computed</h2><p>{}</p>", escape(&guarantees.function_dependent))?;
        out.push_str("<h2>What that assumes</h2><ul>");
        for assumption in &guarantees.assumptions {
            write!(out, "<li>{}</li>", escape(assumption))?;
        }
        out.push_str("</ul>\n");
    }
    write_evidence(report, out)?;
    write_plan(&report.plan, out)?;
    out.push_str("</body></html>\n");
    Ok(())
}

fn write_answers(report: &Report, thumbnails: &[Option<String>], out: &mut String) -> Result {
    out.push_str("<h2>Answers</h2>\n");
    if report.answers_withheld {
        writeln!(out, "<p>{}</p>", escape(words::WITHHELD))?;
    }
    if report.answers_of_rejected_batch {
        writeln!(out, "<p class=\"warning\">{}</p>", escape(words::OF_REJECTED))?;
    }
    if report.verdict == Verdict::Incomplete {
        out.push_str("<p>None: the batch is incomplete.</p>\n");
    }
    if !report.answers.is_empty() {
        write_answer_table(report, thumbnails, out)?;
    }
    if !report.skipped.is_empty() {
        out.push_str("<h2>Left out</h2><ul>");
        for skipped in &report.skipped {
            write!(out, "<li>{}: {}</li>", escape(&words::plain(&skipped.file)), escape(&words::plain(&skipped.reason)))?;
        }
        out.push_str("</ul>\n");
    }
    Ok(())
}

fn write_answer_table(report: &Report, thumbnails: &[Option<String>], out: &mut String) -> Result {
    let picture = |query: u32| thumbnails.get(query as usize).and_then(Option::as_deref).filter(|uri| is_picture(uri));
    let with_pictures = report.answers.iter().any(|line| picture(line.index).is_some());
    let with_float = words::has_float_labels(report);
    let headings = [("", with_pictures), ("Query", true), ("Answer", true), ("Copies that agree", true), ("Float model", with_float)];
    out.push_str("<div class=\"wide\"><table><thead><tr>");
    for (heading, _) in headings.iter().filter(|(_, shown)| *shown) {
        write!(out, "<th>{heading}</th>")?;
    }
    out.push_str("</tr></thead><tbody>\n");
    for line in &report.answers {
        out.push_str("<tr>");
        match picture(line.index) {
            Some(uri) => write!(out, "<td><img alt=\"\" src=\"{uri}\"></td>")?,
            None if with_pictures => out.push_str("<td></td>"),
            None => {}
        }
        let answer = words::answer(line, report.plan.copies);
        let copies = format!("{} of {} copies", line.copies, report.plan.copies);
        write!(out, "<td class=\"name\">{}</td><td class=\"name\">{}</td><td>{copies}</td>", escape(&words::query(line)), escape(&answer))?;
        if with_float {
            write!(out, "<td>{}</td>", words::float_label(line))?;
        }
        out.push_str("</tr>\n");
    }
    out.push_str("</tbody></table></div>\n");
    Ok(())
}

/// Whether `uri` is a picture that stands in the page itself, and nothing that ends its attribute.
fn is_picture(uri: &str) -> bool {
    uri.strip_prefix("data:image/png;base64,").is_some_and(|data| {
        let body = data.trim_end_matches('=');
        !body.is_empty() && data.len() - body.len() <= 2 && body.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'+' || b == b'/')
    })
}

fn write_guarantee(report: &Report, guarantees: &Guarantees, out: &mut String) -> Result {
    writeln!(
        out,
        "<h2>What this guarantees</h2><p class=\"lead\">{} (2<sup>{:.2}</sup>)</p>\n<p>{}</p>\n<p>{}</p>",
        escape(&guarantees.in_words),
        report.plan.soundness_log2,
        escape(&guarantees.position_dependent),
        escape(words::BUT)
    )?;
    guarantees.over_batches.as_ref().map_or(Ok(()), |sentence| writeln!(out, "<p>{}</p>", escape(sentence)))
}

/// The chance of deviations that show on some images only, by their fraction.
fn write_curve(report: &Report, out: &mut String) -> Result {
    if !report.by_firing.is_empty() {
        write!(
            out,
            "<h2>{}</h2><p>{}</p><div class=\"wide\"><table><thead><tr><th>Fires on</th><th>Best chance, and its bits</th><th class=\"number\">Positions</th>\
             <th class=\"number\">Wrong answers then</th></tr></thead><tbody>",
            escape(words::PARTLY),
            escape(words::CURVE)
        )?;
        let most = report.by_firing.iter().map(|row| -row.log2).fold(0.0, f64::max);
        for row in &report.by_firing {
            write!(out, "<tr><td>{}</td><td>{}", words::percent(row.phi), words::chance(row.log2))?;
            svg::bits(out, row.log2, most)?;
            write!(out, "</td><td class=\"number\">{}</td><td class=\"number\">{:.1}</td></tr>", row.worst_m, row.expected_wrong)?;
        }
        out.push_str("</tbody></table></div>\n");
    }
    Ok(())
}

fn write_accuracy(report: &Report, out: &mut String) -> Result {
    let measurements = words::measurements(report);
    if !measurements.is_empty() {
        out.push_str("<h2>How often the answers are right</h2>\n");
    }
    for found in measurements {
        write!(
            out,
            "<section><h3>{}</h3><p>{}: {}, {}.</p>",
            escape(&capitalised(found.name)),
            escape(&capitalised(&found.count)),
            words::percent(found.rate),
            words::interval(&found.interval)
        )?;
        svg::axis(out, &found.interval, found.rate)?;
        if let Some(note) = &found.note {
            write!(out, "<p>{}</p>", escape(note))?;
        }
        out.push_str("</section>\n");
    }
    Ok(())
}

fn write_evidence(report: &Report, out: &mut String) -> Result {
    let evidence = &report.evidence;
    if !evidence.wrong_publics.is_empty() {
        out.push_str("<h2>Evidence: public samples answered wrongly</h2><div class=\"wide\"><table><thead><tr>");
        out.push_str("<th>Pool id</th><th>Expected</th><th>Answered</th></tr></thead><tbody>");
        for w in evidence.wrong_publics.iter().take(MOST_LINES) {
            write!(out, "<tr><td>{}</td><td>{}</td><td>{}</td></tr>", w.id, w.expected, w.answered)?;
        }
        out.push_str("</tbody></table></div>\n");
        more(out, evidence.wrong_publics.len())?;
    }
    if !evidence.disagreements.is_empty() {
        out.push_str("<h2>Evidence: queries whose copies disagree</h2><div class=\"wide\"><table><thead><tr>");
        out.push_str("<th>Query</th><th>How many copies gave the same label</th></tr></thead><tbody>");
        for d in evidence.disagreements.iter().take(MOST_LINES) {
            write!(out, "<tr><td>{}</td><td>{:?}</td></tr>", d.query, d.split)?;
        }
        out.push_str("</tbody></table></div>\n");
        more(out, evidence.disagreements.len())?;
    }
    Ok(())
}

fn write_plan(plan: &PlanJson, out: &mut String) -> Result {
    out.push_str("<h2>Plan</h2><div class=\"wide\"><table><tbody>");
    for (name, value) in words::plan_rows(plan) {
        write!(out, "<tr><td>{}</td><td>{}</td></tr>", escape(&capitalised(name)), escape(&value))?;
    }
    out.push_str("</tbody></table></div>\n");
    Ok(())
}

fn more(out: &mut String, total: usize) -> Result {
    if total > MOST_LINES { writeln!(out, "<p>... and {} more</p>", total - MOST_LINES) } else { Ok(()) }
}

fn capitalised(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;").replace('\'', "&#39;")
}
