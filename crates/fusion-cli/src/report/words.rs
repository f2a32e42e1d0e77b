//! The words that text and HTML share.

use fusion::mix::{
    audit::LabelSource,
    chance_in_words,
    interval::Interval,
    plan::PlanJson,
    pool::KnownFrom,
    report::{AnswerLine, PublicPart, Report},
    verify::Verdict,
};

/// What stands above the table of [`chance`]s by the fraction of images.
pub(super) const CURVE: &str = "A server whose deviation changes the answer on some of the images only can do better than one whose deviation does so on all. Its best chance to get a wrong \
                                answer into an accepted batch, by the fraction of images on which that happens:";

/// What stands below the guarantee against deviations that always show, and above [`CURVE`].
pub(super) const BUT: &str = "That is for deviations that change the answer whatever the image is; what those can do that change it on some images only is said below.";
/// What stands above [`CURVE`].
pub(super) const PARTLY: &str = "If a deviation shows on some of the images only";

/// What stands in place of the answers of a rejected batch.
pub(super) const WITHHELD: &str = "The answers are withheld: the batch was rejected, so they may be wrong on purpose.";

/// What stands above the answers of a rejected batch if they are shown.
pub(super) const OF_REJECTED: &str = "ANSWERS OF A REJECTED BATCH, shown because you asked for them: they may be wrong on purpose.";

/// `text` without what could steer a terminal or reorder a line: files are named by strangers, and
/// classes by the server.
pub(crate) fn plain(text: &str) -> String {
    let steers = |c: char| {
        let reorders = matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
        c.is_control() || reorders || matches!(c, '\u{2028}' | '\u{2029}')
    };
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if steers(c) { out.extend(c.escape_default()) } else { out.push(c) }
    }
    out
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

/// What a query is called: its file, or its index.
pub(super) fn query(line: &AnswerLine) -> String {
    line.file.as_deref().map_or_else(|| line.index.to_string(), plain)
}

/// The answer to one of the queries that have `copies` each.
pub(super) fn answer(line: &AnswerLine, copies: u32) -> String {
    match (line.label, line.class.as_deref().filter(|class| !class.is_empty())) {
        (Some(label), Some(class)) => format!("{} ({label})", plain(class)),
        (Some(label), None) => label.to_string(),
        (None, _) if line.copies == copies => "no class of the model".to_owned(),
        (None, _) => "copies disagree".to_owned(),
    }
}

/// The float model's label, or a dash.
pub(super) fn float_label(line: &AnswerLine) -> String {
    line.float_label.map_or_else(|| "-".to_owned(), |label| label.to_string())
}

/// Whether the float model's label is known for any answer.
pub(super) fn has_float_labels(report: &Report) -> bool {
    report.answers.iter().any(|line| line.float_label.is_some())
}

/// A rate of right answers, and what it was measured on.
pub(super) struct Measurement {
    /// A word or two for it.
    pub(super) name: &'static str,
    /// What was counted.
    pub(super) count: String,
    /// The rate.
    pub(super) rate: f64,
    /// Its exact interval.
    pub(super) interval: Interval,
    /// What else the reader must know to read it.
    pub(super) note: Option<String>,
}

/// What is known about accuracy: by this batch, by the owner's published answers, by earlier
/// batches.
pub(super) fn measurements(report: &Report) -> Vec<Measurement> {
    let mut found = Vec::new();
    let public = &report.public;
    if let Some(interval) = public.interval {
        let right = match public.labels {
            LabelSource::GroundTruth => "\"Right\" means: as the truth is known.",
            LabelSource::Certified => "\"Right\" means: as the answers that were known beforehand, which need not be true.",
        };
        let parts: Vec<String> = public.parts.iter().map(part).collect();
        let parts = if parts.is_empty() { String::new() } else { format!(" Known labels: {}.", parts.join(", ")) };
        found.push(Measurement {
            name: "this batch",
            count: format!("{} of {} public samples right", public.correct, public.total),
            rate: f64::from(public.correct) / f64::from(public.total.max(1)),
            interval,
            note: Some(format!("{right}{parts}")),
        });
    }
    if let Some(sheet) = &report.sheet {
        found.push(Measurement {
            name: "answer sheet",
            count: format!("the published answers are right on {} of your {} labelled images", sheet.correct, sheet.total),
            rate: f64::from(sheet.correct) / f64::from(sheet.total.max(1)),
            interval: sheet.interval,
            note: Some(format!("{} undecided and {} missing are counted as wrong.", sheet.undecided, sheet.missing)),
        });
    }
    // Of one batch alone there is no history.
    if let Some(sum) = report.accumulated.as_ref().filter(|sum| sum.batches > 1) {
        found.push(Measurement {
            name: "history",
            count: format!(
                "{} of {} distinct public samples right over {} batches ({} rejected) under this hint digest",
                sum.correct, sum.total, sum.batches, sum.rejected
            ),
            rate: sum.correct as f64 / sum.total.max(1) as f64,
            interval: sum.interval,
            note: Some("This is history: it replaced none of this batch's public samples.".to_owned()),
        });
    }
    found
}

/// How many samples have their known labels from one place.
fn part(part: &PublicPart) -> String {
    let from = match part.known_from {
        KnownFrom::GroundTruth => "from ground truth",
        KnownFrom::AnswerSheet => "from the answer sheet",
        KnownFrom::Certified => "from certified outputs",
        KnownFrom::EarlierRuns => "from earlier runs",
        // Added to fusion-mix after this was written.
        _ => "from elsewhere",
    };
    match part.wrong {
        0 => format!("{} {from} (none wrong)", part.drawn),
        wrong => format!("{} {from} ({wrong} wrong)", part.drawn),
    }
}

/// An interval with its ends rounded outwards.
pub(super) fn interval(interval: &Interval) -> String {
    format!("{} interval {}", percent(interval.confidence), ends(interval))
}

/// The ends of an interval, rounded outwards.
pub(super) fn ends(interval: &Interval) -> String {
    let outwards = |rate: f64, round: fn(f64) -> f64| percent(round(rate * 1e4) / 1e4);
    format!("{} to {}", outwards(interval.low, f64::floor), outwards(interval.high, f64::ceil))
}

/// A rate in hundredths, with at most two decimals.
pub(super) fn percent(rate: f64) -> String {
    format!("{}%", trimmed(rate * 100.0))
}

/// A number with at most two decimals.
pub(super) fn trimmed(number: f64) -> String {
    let text = format!("{number:.2}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// A chance of `2^log2` in words and as a power.
pub(super) fn chance(log2: f64) -> String {
    format!("{} (2^{log2:.2})", chance_in_words(log2))
}

/// What the numbers of a plan are: a name and a value each.
pub(super) fn plan_rows(plan: &PlanJson) -> Vec<(&'static str, String)> {
    let mut rows = vec![
        (
            "batch",
            format!(
                "R = {} queries, B = {} copies, T = {} public samples, tau = {}, max_inconclusive = {}",
                plan.queries, plan.copies, plan.publics, plan.tau, plan.max_inconclusive
            ),
        ),
        ("overhead", format!("{:.3} samples per query (B + T/R)", plan.overhead)),
        (
            "soundness",
            format!("2^{:.6} (asked for 2^-{}); the adversary's best m = {}", plan.soundness_log2, trimmed(plan.lambda), plan.worst_m),
        ),
        ("false reject", format!("{:.3e} (an honest server)", plan.false_reject)),
        (
            "false accept",
            plan.false_accept.map_or_else(
                || "not designed for (name an accuracy with detect-below)".to_owned(),
                |chance| format!("{chance:.3e} (a function at detect-below, by this batch's public samples)"),
            ),
        ),
    ];
    if plan.fires < 1.0 {
        rows.push(("fires", format!("asked to withstand deviations that change the answer on {} of the images, too", percent(plan.fires))));
    }
    rows
}
