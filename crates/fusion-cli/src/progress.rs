//! Progress on a terminal.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

use crate::lanes::Live;
use crate::outcome::human_bytes;

/// A progress bar, or a silent one.
pub(crate) fn bar(shown: bool, length: u64, template: &str) -> ProgressBar {
    let bar = if shown { ProgressBar::new(length) } else { ProgressBar::hidden() };
    // The templates are literals of this file; a wrong one falls back to the default look.
    bar.set_style(ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}

/// The thread that redraws the progress line.
#[derive(Default)]
pub(crate) struct Running {
    over: AtomicBool,
}

impl Running {
    /// Redraws `bar` until the end.
    pub(crate) fn show(&self, bar: &ProgressBar, live: &Live, steps: u64, samples: usize) {
        let mut before = ((0, 0), Instant::now());
        while !self.over.load(Ordering::Relaxed) {
            std::thread::sleep(Duration::from_millis(250));
            let (bytes, done) = (live.bytes(), live.sample_steps.load(Ordering::Relaxed));
            let seconds = before.1.elapsed().as_secs_f64();
            let rate = |now: u64, before: u64| human_bytes((now.saturating_sub(before) as f64 / seconds) as u64);
            let (up, down) = (rate(bytes.0, before.0.0), rate(bytes.1, before.0.1));
            before = (bytes, Instant::now());
            bar.set_position(done.min(bar.length().unwrap_or(u64::MAX)));
            bar.set_message(format!(
                "{} of {samples} samples, {} lanes, {} (up {up}/s, down {down}/s)",
                done / steps,
                live.running.load(Ordering::Relaxed),
                human_bytes(bytes.0 + bytes.1)
            ));
        }
    }

    /// Ends [`show`](Self::show).
    pub(crate) fn end(&self) {
        self.over.store(true, Ordering::Relaxed);
    }
}
