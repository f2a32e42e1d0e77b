//! The report as one self-contained page: inline SVG, no scripts, nothing fetched.

use std::fmt::Write as _;

use fusion_cli::tables::human_bytes;

use super::report::{Report, StepFigures};

/// Width of a chart in pixels.
const WIDTH: f64 = 900.0;
/// Where bars begin.
const LEFT: f64 = 230.0;
/// Height of a row of a bar chart.
const ROW: f64 = 18.0;

/// One bar: its label, its parts, and the text behind it.
struct Bar {
    label: String,
    /// Lengths and colours.
    parts: Vec<(f64, &'static str)>,
    text: String,
}

impl Bar {
    fn plain(label: impl Into<String>, value: f64, colour: &'static str, text: String) -> Self {
        Self { label: label.into(), parts: vec![(value, colour)], text }
    }
}

const OURS: &str = "#1b7f5c";
const OTHERS: &str = "#9aa5b1";
/// Colours of phases, by name.
const PHASES: [(&str, &str); 6] = [
    ("setup", "#6b7280"),
    ("linear", "#2f6fb7"),
    ("random_ot", "#c2641d"),
    ("activation", "#1b7f5c"),
    ("pooling", "#8a4fb0"),
    ("argmax", "#b0303a"),
];

/// Writes the page.
pub(crate) fn html(report: &Report) -> String {
    let mark = report.mark();
    let mut page = String::new();
    let mut section = |heading: &str, note: &str, body: &str| {
        // Writing to a string cannot fail.
        let _ = writeln!(page, "<h2>{}{}</h2>\n<p>{}</p>\n{body}", escape(mark), escape(heading), escape(note));
    };
    section("The run", &report.model, &facts(report));
    section("Where the bytes go", "By phase, both directions, per sample.", &bars(&phase_bars(report, true), false));
    section(
        "Where the bytes go, step by step",
        "Per sample, coloured by phase; steps without traffic are left out.",
        &bars(&step_bars(report, |s| s.client_to_server + s.server_to_client, |bytes| human_bytes(bytes as u64)), false),
    );
    section(
        "Where the time goes",
        "The client's seconds inside lanes by phase, waiting for the server and the link included, per sample.",
        &bars(&phase_bars(report, false), false),
    );
    section(
        "Where the time goes, step by step",
        "The client's seconds inside lanes, per sample.",
        &bars(&step_bars(report, |s| s.seconds, |seconds| format!("{seconds:.3} s")), false),
    );
    section(
        "What a verified query costs against R",
        "Per query: one sample times the overhead of the cheapest mix (B copies, T public samples over R queries). Logarithmic scale of R.",
        &cost_curve(report),
    );
    section(
        "This against others: seconds per inference",
        "Logarithmic scale. Only the last two can be checked by the client.",
        &bars(&peer_bars(report, true), true),
    );
    section("This against others: bytes per inference", "Logarithmic scale.", &bars(&peer_bars(report, false), true));
    section("Sources", "From benches/peers.json.", &sources(report));
    let title = format!("{mark}ResNet50 between two processes");
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>{title}</title>\n<style>body{{font:15px/1.45 system-ui,sans-serif;\
         max-width:{WIDTH}px;margin:2em auto;padding:0 1em;color:#1d2430}}h1{{font-size:1.6em}}h2{{font-size:1.15em;margin-top:2em}}\
         table{{border-collapse:collapse}}td,th{{padding:.15em .8em .15em 0;text-align:left;vertical-align:top}}svg text{{font-size:12px}}\
         .bad{{color:#b0303a}}</style></head>\n<body><h1>{title}</h1>\n{page}</body></html>\n",
        title = escape(&title)
    )
}

fn facts(report: &Report) -> String {
    let number = |value: Option<f64>, unit: &str| value.map_or_else(|| "not measured".to_owned(), |v| format!("{v:.2} {unit}"));
    let b = &report.bytes_per_sample;
    let predicted = format!("; predicted {}", human_bytes(b.predicted as u64));
    let mut rows = vec![
        ("samples", format!("{} of {} on {} lanes", report.samples, report.samples_wanted, report.lanes)),
        ("link", report.link_text()),
        ("plan", format!("h = {}, l = {}, w = {}, weights {} bits", report.plan.h, report.plan.l, report.plan.w, report.plan.weight_bits)),
        ("per sample", number(report.seconds.per_sample, "s")),
        (
            "processor time per sample",
            format!(
                "{} client, {} server",
                number(report.cpu_seconds_per_sample.client, "s"),
                number(report.cpu_seconds_per_sample.server, "s")
            ),
        ),
        (
            "bytes per sample",
            format!(
                "{} ({} to the server, {} to the client){predicted}",
                human_bytes(b.total as u64),
                human_bytes(b.client_to_server as u64),
                human_bytes(b.server_to_client as u64)
            ),
        ),
        ("set-up, once", format!("{:.1} s, hint of {}", report.seconds.setup, human_bytes(report.hint_bytes))),
        ("peak memory", format!("{} client, {} server", number(report.peak_rss_mb.client, "MB"), number(report.peak_rss_mb.server, "MB"))),
        ("labels", format!("{} of {} equal the float model's", report.labels.matching, report.labels.total)),
        ("photos", report.photos.clone()),
        ("host", format!("{} x {}, {}, {} build", report.host.cores, report.host.cpu, report.isa, report.profile)),
        ("commit", report.commit.clone()),
    ];
    if let Some(ratio) = report.ratio {
        let text = format!("{:.1}x faster, {:.1}x less traffic at R = {}", ratio.time_vs_paper, ratio.bytes_vs_paper, ratio.queries);
        rows.push(("against the paper", text));
    }
    if report.interrupted {
        rows.push(("interrupted", "figures of the lanes that were finished".to_owned()));
    }
    let rows: String = rows.iter().map(|(name, text)| format!("<tr><th>{name}</th><td>{}</td></tr>\n", escape(text))).collect();
    let misses = report.labels.mismatches.iter().map(|m| {
        let text = format!("{}: float {}, opened {}", m.photo, m.float, m.opened);
        format!("<tr><th class=\"bad\">mismatch</th><td>{}</td></tr>\n", escape(&text))
    });
    format!("<table>{rows}{}</table>", misses.collect::<String>())
}

fn phase_bars(report: &Report, bytes: bool) -> Vec<Bar> {
    let values = if bytes { &report.bytes_by_phase } else { &report.seconds.by_phase };
    let text = |v: f64| if bytes { human_bytes(v as u64) } else { format!("{v:.3} s") };
    PHASES.iter().filter_map(|&(name, colour)| values.get(name).map(|&v| Bar::plain(name, v, colour, text(v)))).collect()
}

/// Bars of steps whose parts show the phases' shares of their bytes.
fn step_bars(report: &Report, value: impl Fn(&StepFigures) -> f64, text: impl Fn(f64) -> String) -> Vec<Bar> {
    let busy = report.steps.iter().filter(|s| s.client_to_server + s.server_to_client > 0.0);
    busy.map(|step| {
        let (total, bytes) = (value(step), step.bytes_by_phase.values().sum::<f64>());
        let parts = PHASES.iter().filter_map(|&(name, colour)| Some((total * step.bytes_by_phase.get(name)? / bytes, colour)));
        Bar { label: step.name.clone(), parts: parts.filter(|p| p.0 > 0.0).collect(), text: text(total) }
    })
    .collect()
}

fn peer_bars(report: &Report, seconds: bool) -> Vec<Bar> {
    let text = |v: f64| if seconds { format!("{v:.1} s") } else { human_bytes((v * 1e6) as u64) };
    let bar = |label: &str, value: Option<f64>, colour| value.map(|v| Bar::plain(label, v, colour, text(v)));
    let ours = report.seconds.per_sample;
    let own = if seconds { ours } else { ours.map(|_| report.bytes_per_sample.total * 1e-6) };
    let mut all: Vec<Bar> = bar("this run, one inference", own, OURS).into_iter().collect();
    all.extend(report.peers.peers.iter().filter_map(|p| bar(&p.name, Some(if seconds { p.seconds } else { p.megabytes }), OTHERS)));
    if let Some(v) = report.ratio.and_then(|ratio| report.verified.iter().find(|v| v.R == ratio.queries)) {
        let value = if seconds { v.seconds } else { v.gib.map(|g| g * 1_073.741_824) };
        all.extend(bar(&format!("this run, verified, R = {}", v.R), value, OURS));
    }
    let paper = &report.peers.paper;
    all.extend(bar("the paper, verified", Some(if seconds { paper.seconds } else { paper.gigabytes * 1e3 }), OTHERS));
    all
}

/// A horizontal bar chart; with `log`, lengths grow with the logarithm from 1 on.
fn bars(bars: &[Bar], log: bool) -> String {
    let scale = |v: f64| if log { (1.0 + v.max(0.0)).log10() } else { v.max(0.0) };
    let total = |bar: &Bar| bar.parts.iter().map(|p| p.0).sum::<f64>();
    let most = bars.iter().map(|bar| scale(total(bar))).fold(f64::MIN_POSITIVE, f64::max);
    let room = WIDTH - LEFT - 110.0;
    let mut svg = format!("<svg width=\"{WIDTH}\" height=\"{}\" role=\"img\">\n", bars.len() as f64 * ROW + 6.0);
    for (row, bar) in bars.iter().enumerate() {
        let y = row as f64 * ROW;
        let _ = writeln!(svg, "<text x=\"{}\" y=\"{}\" text-anchor=\"end\">{}</text>", LEFT - 8.0, y + 13.0, escape(&bar.label));
        let (length, sum) = (scale(total(bar)) / most * room, total(bar));
        let mut x = LEFT;
        for &(part, colour) in &bar.parts {
            let width = if sum > 0.0 { length * part / sum } else { 0.0 };
            let _ =
                writeln!(svg, "<rect x=\"{x:.1}\" y=\"{:.1}\" width=\"{width:.1}\" height=\"{}\" fill=\"{colour}\"/>", y + 2.0, ROW - 4.0);
            x += width;
        }
        let _ = writeln!(svg, "<text x=\"{:.1}\" y=\"{}\">{}</text>", x + 6.0, y + 13.0, escape(&bar.text));
    }
    svg + "</svg>"
}

/// Seconds and GiB of a verified query against R: two lines over a logarithmic axis, figures at
/// every point.
fn cost_curve(report: &Report) -> String {
    let points: Vec<_> = report.verified.iter().filter_map(|v| Some((v, v.seconds?, v.gib?))).collect();
    let (Some(first), Some(last)) = (points.first(), points.last()) else { return "<p>Not measured.</p>".to_owned() };
    let (height, low) = (240.0, 30.0);
    let span = (f64::from(last.0.R) / f64::from(first.0.R)).log2().max(1.0);
    let x = |r: u32| 60.0 + (f64::from(r) / f64::from(first.0.R)).log2() / span * (WIDTH - 160.0);
    let mut svg = format!("<svg width=\"{WIDTH}\" height=\"{}\" role=\"img\">\n", height + 2.0 * low);
    for (name, colour, value) in [("seconds", OURS, 0), ("GiB", "#c2641d", 1)] {
        let of = |p: &(_, f64, f64)| if value == 0 { p.1 } else { p.2 };
        let most = points.iter().map(of).fold(f64::MIN_POSITIVE, f64::max);
        // The seconds' line is drawn a little lower, so that the two do not hide each other.
        let y = |p: &(_, f64, f64)| low + height * (1.0 - 0.9 * of(p) / most) - if value == 0 { 0.0 } else { 14.0 };
        let line: Vec<String> = points.iter().map(|p| format!("{:.1},{:.1}", x(p.0.R), y(p))).collect();
        let _ = writeln!(svg, "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"/>", line.join(" "));
        for p in &points {
            let text = format!("{:.2} {name}", of(p));
            let offset = if value == 0 { 16.0 } else { -8.0 };
            let _ = writeln!(svg, "<circle cx=\"{:.1}\" cy=\"{:.1}\" r=\"3\" fill=\"{colour}\"/>", x(p.0.R), y(p));
            let _ = writeln!(svg, "<text x=\"{:.1}\" y=\"{:.1}\" fill=\"{colour}\">{text}</text>", x(p.0.R) + 5.0, y(p) + offset);
        }
    }
    for (v, _, _) in &points {
        let text = format!("R = {} (B {}, T {})", v.R, v.B, v.T);
        let _ =
            writeln!(svg, "<text x=\"{:.1}\" y=\"{}\" text-anchor=\"middle\">{text}</text>", x(v.R).max(70.0), height + 2.0 * low - 4.0);
    }
    svg + "</svg>"
}

fn sources(report: &Report) -> String {
    let paper = &report.peers.paper;
    let rows = report.peers.peers.iter().map(|p| (&p.name, &p.source)).chain([(&paper.name, &paper.source)]);
    let rows: String = rows.map(|(name, source)| format!("<tr><th>{}</th><td>{}</td></tr>\n", escape(name), escape(source))).collect();
    format!("<table>{rows}</table>")
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_are_as_long_as_their_values_and_text_is_escaped() {
        let chart = bars(&[Bar::plain("<a>", 2.0, OURS, "2".to_owned()), Bar::plain("b", 1.0, OTHERS, "1".to_owned())], false);
        let room = WIDTH - LEFT - 110.0;
        assert!(chart.contains("&lt;a&gt;") && !chart.contains("<a>"));
        assert!(chart.contains(&format!("width=\"{room:.1}\"")) && chart.contains(&format!("width=\"{:.1}\"", room / 2.0)), "{chart}");
    }
}
