//! What the library's events look like on a terminal: lines that stay, and bars that go.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use fusion::client::Trust;
use fusion::mix::plan::Plan;
use fusion::model::card::ModelCard;
use fusion::net::{HintWait, NetError};
use fusion::{Event, LaneProgress};
use indicatif::{ProgressBar, ProgressStyle};

use crate::diagnostics::{note, warning};
use crate::report::plain;
use crate::tables::human_bytes;

/// A progress bar.
fn bar(shown: bool, length: u64, template: &str) -> ProgressBar {
    let bar = if shown { ProgressBar::new(length) } else { ProgressBar::hidden() };
    // The templates are literals of this file; a wrong one falls back to the default look.
    bar.set_style(ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}

/// Shows events on standard error.
pub(crate) struct Watcher {
    /// Whether bars are shown; lines always are.
    bars: bool,
    bar: Option<(What, ProgressBar)>,
    /// Where the run is kept.
    journal: Option<PathBuf>,
    /// Bytes sent and received at a time: for rates.
    before: (u64, u64, Instant),
    /// What the download of the hint was last said to wait for.
    hint_wait: Option<std::mem::Discriminant<HintWait>>,
}

/// What a bar stands for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum What {
    Hint,
    Images,
    Lanes,
    Answers,
    Package,
}

impl Watcher {
    /// Shows lines, and `bars` if they are wanted.
    #[must_use]
    pub(crate) fn new(bars: bool) -> Self {
        Self { bars, bar: None, journal: None, before: (0, 0, Instant::now()), hint_wait: None }
    }

    /// Says where the run is kept when it begins.
    pub(crate) fn keeping(&mut self, journal: &Path) {
        self.journal = Some(journal.to_owned());
    }

    /// Shows an event.
    pub(crate) fn show(&mut self, event: Event<'_>) {
        #[expect(clippy::wildcard_enum_match_arm, reason = "the log tells of lanes that failed; later events need no line")]
        match event {
            Event::Connected { card, trust } => connected(card, trust),
            Event::Hint { done, total } => {
                self.advance(What::Hint, done, total, "hint      {bar:30} {binary_bytes} of {binary_total_bytes}, {binary_bytes_per_sec}");
            }
            Event::HintWaits(wait) => self.hint_waits(wait),
            Event::Images { done, total } => {
                self.advance(What::Images, done as u64, total as u64, "images    {bar:30} {pos} of {len}");
            }
            Event::Mixed { plan, .. } => {
                self.clear();
                print_plan(plan);
                if let Some(path) = &self.journal {
                    note(format_args!("Run:      {} (if interrupted: fusion query --resume {0})", path.display()));
                }
            }
            Event::Lanes(progress) => self.lanes(progress),
            Event::Waiting { why, at_most } => self.say(&waiting(why, at_most, self.journal.as_deref())),
            Event::Answers { done, total } => {
                self.advance(What::Answers, done as u64, total as u64, "twice {bar:30} {pos} of {len} images (ETA {eta})");
            }
            Event::Package { done, total } => {
                self.advance(What::Package, done, total, "hint {bar:30} {binary_bytes} of {binary_total_bytes} (ETA {eta})");
            }
            _ => {}
        }
    }

    fn advance(&mut self, what: What, done: u64, total: u64, template: &str) -> &ProgressBar {
        if self.bar.as_ref().is_none_or(|(now, _)| *now != what) {
            self.clear();
        }
        let shown = self.bars;
        let (_, bar) = self.bar.get_or_insert_with(|| (what, bar(shown, total, template)));
        bar.set_position(done.min(total));
        bar
    }

    /// Says once what a download waits for.
    fn hint_waits(&mut self, wait: HintWait) {
        let what = std::mem::discriminant(&wait);
        if self.hint_wait.replace(what) == Some(what) {
            return;
        }
        match wait {
            HintWait::OtherProcess => self.say("Waiting:  another process of this machine downloads the same hint"),
            HintWait::Server(pause) => {
                let pause = humantime::format_duration(Duration::from_secs(pause.as_secs().max(1)));
                self.say(&format!("Waiting:  the server has no room for the download of the hint, or is away; trying again in {pause}"));
            }
            _ => {}
        }
    }

    fn lanes(&mut self, p: LaneProgress) {
        let seconds = self.before.2.elapsed().as_secs_f64().max(1e-3);
        let rate = |now: u64, before: u64| human_bytes((now.saturating_sub(before) as f64 / seconds) as u64);
        let (up, down) = (rate(p.sent, self.before.0), rate(p.received, self.before.1));
        self.before = (p.sent, p.received, Instant::now());
        let message = format!(
            "{} of {} samples, {} lanes, {} (up {up}/s, down {down}/s)",
            p.done / p.steps.max(1),
            p.samples,
            p.running,
            human_bytes(p.sent + p.received)
        );
        let template = "lanes     {bar:30} {percent}% {elapsed_precise} (ETA {eta}) {msg}";
        self.advance(What::Lanes, p.done, p.samples * p.steps, template).set_message(message);
    }

    /// Says a line beside the bar.
    fn say(&self, line: &str) {
        match &self.bar {
            Some((_, bar)) => bar.suspend(|| note(line)),
            None => note(line),
        }
    }

    /// Removes the bar.
    fn clear(&mut self) {
        if let Some((_, bar)) = self.bar.take() {
            bar.finish_and_clear();
        }
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        self.clear();
    }
}

/// What a user is told of a server that is away or full.
fn waiting(why: &NetError, at_most: Duration, run: Option<&Path>) -> String {
    // Parts of seconds are of no interest.
    let time = humantime::format_duration(Duration::from_secs(at_most.as_secs().max(1)));
    let stop = run.map_or_else(String::new, |run| format!(" (if you stop it: fusion query --resume {})", run.display()));
    format!("Waiting:  {}; trying again for up to {time}{stop}", plain(&why.to_string()))
}

fn connected(card: &ModelCard, trust: Trust) {
    let claim = card.claim.as_ref();
    let claim =
        claim.map_or_else(|| "no claimed accuracy".to_owned(), |c| format!("claims {:.1}% on {}", 100.0 * c.top1, plain(&c.dataset)));
    note(format_args!("Model:    {} ({} classes), {claim}", plain(&card.name), card.classes()));
    let trusted = match trust {
        Trust::Pinned => "pinned",
        Trust::PinnedHint => "only its hint is pinned",
        Trust::FirstUse => "first use, remembered from now on",
        Trust::Known => "as before",
    };
    // Whoever connected has decoded the card, and what is decoded has a digest.
    if let Ok(digest) = card.digest() {
        note(format_args!("Digest:   {digest} ({trusted})"));
        if trust == Trust::PinnedHint {
            warning(format_args!(
                "Warning:  a hint's digest leaves open what the card claims. Ask the operator for the model's (`fusion inspect` shows it), and pin that: {digest}, if they agree"
            ));
        }
    }
}

/// Prints what will be mixed, before anything runs.
fn print_plan(plan: &Plan) {
    let mix = &plan.mix;
    note(format_args!(
        "Plan:     R = {} queries x B = {} copies + T = {} public samples = {} samples in secret order (x{:.2} per query)",
        mix.queries(),
        mix.copies(),
        mix.publics(),
        mix.samples(),
        mix.overhead()
    ));
    note(format_args!(
        "          accepts up to tau = {} wrong public answers and {} inconclusive queries; soundness 2^{:.2} (asked: 2^-{})",
        mix.tau(),
        mix.max_inconclusive(),
        plan.soundness.log2,
        plan.lambda
    ));
    if !plan.is_sound() {
        warning("          WARNING: this plan does not reach the soundness that was asked for");
    }
}
