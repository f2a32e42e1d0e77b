//! When lanes may begin: what a server that is away, or has no room, means for those that wait.
//!
//! # Outages
//! A connection that cannot be had, or breaks, begins an outage. While it lasts no lane begins but
//! one at a time, to see whether the server is back; lanes that run go on. Lanes that had begun
//! before and break, too, belong to the same outage. The outage is over when a lane is opened.
//!
//! All outages of a run share one patience, and it is the time in which no lane could begin that
//! counts. Before each try it waits, [`FIRST`] doubled with every try up to [`LONGEST`], at least
//! half of that and at random: clients that lost the same server do not come back together. Neither
//! the patience nor the waits begin anew when a lane succeeds. So a server that drops lanes on
//! purpose can do so 45 times in five minutes of patience, each time to the lanes that ran side by
//! side.
//!
//! # A busy server
//! A server that says that it has no room is not away, and nothing is held against it: a lane that
//! was not opened has sent nothing. Half as many lanes run side by side, and with every lane that
//! ends well one more; the last ones need not wait for that. It is asked again when it says, or
//! else as after an outage. That ends when for as long as the patience no lane of ours was served.

use std::time::Duration;

/// The first wait.
const FIRST: Duration = Duration::from_millis(250);
/// No wait is longer.
const LONGEST: Duration = Duration::from_secs(15);
/// No longer does a server keep us away by saying when to come back.
const LONGEST_HINT: Duration = Duration::from_secs(60);

/// The longest moment after misbehaviour.
const LONGEST_MOMENT: Duration = Duration::from_secs(3);

/// When lanes may begin. Times are those of one clock that never goes back.
#[derive(Debug)]
pub(super) struct Pace {
    patience: Duration,
    /// Lanes side by side that are wanted, and that the server seems to have room for.
    most: usize,
    allowed: usize,
    /// Patience that outages which are over have taken.
    spent: Duration,
    /// Waits of all outages.
    waits: u32,
    /// Lanes that failed by the server's fault.
    misbehaved: u32,
    pause: Option<Pause>,
    /// Pauses so far. What was begun before one says nothing about it.
    pauses: u64,
    /// Lanes that are open.
    open: usize,
    /// Since when none of them is, and none could be opened.
    unserved: Option<Duration>,
}

#[derive(Debug)]
struct Pause {
    why: Why,
    since: Duration,
    /// When a lane may try.
    until: Duration,
    /// Whether one does.
    tries: bool,
    /// Refusals in a row.
    refusals: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Why {
    Away,
    Busy,
    Misbehaved,
}

/// A lane that was begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Begun {
    pauses: u64,
}

/// What becomes of a lane that could not run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Then {
    /// It runs again, when it may begin.
    Again,
    /// As before, and from now on lanes wait: for so long at most.
    Wait {
        /// After that there will be no patience left.
        at_most: Duration,
    },
    /// Patience is over.
    GiveUp,
}

impl Pace {
    pub(super) fn new(most: usize, patience: Duration) -> Self {
        let most = most.max(1);
        Self {
            patience,
            most,
            allowed: most,
            spent: Duration::ZERO,
            waits: 0,
            misbehaved: 0,
            pause: None,
            pauses: 0,
            open: 0,
            unserved: None,
        }
    }

    /// Whether one of `pending` lanes may begin beside `running` ones. When fewer are left than
    /// run, they need not wait until some of those end: the sooner we are done, the better for
    /// others.
    pub(super) fn may_begin(&self, now: Duration, running: usize, pending: usize) -> bool {
        let most = if pending <= running { self.most } else { self.allowed };
        running < most && self.pause.as_ref().is_none_or(|pause| !pause.tries && now >= pause.until)
    }

    /// How long it takes until a lane may try, if lanes wait for that.
    pub(super) fn wait(&self, now: Duration) -> Option<Duration> {
        self.pause.as_ref().filter(|pause| !pause.tries).map(|pause| pause.until.saturating_sub(now))
    }

    /// How long no lane could begin, in all outages so far.
    pub(super) fn spent(&self, now: Duration) -> Duration {
        let current = self.pause.as_ref().filter(|pause| pause.why == Why::Away);
        self.spent + current.map_or(Duration::ZERO, |pause| now.saturating_sub(pause.since))
    }

    /// A lane begins.
    pub(super) fn begin(&mut self) -> Begun {
        if let Some(pause) = &mut self.pause {
            pause.tries = true;
        }
        Begun { pauses: self.pauses }
    }

    /// It was opened. Only the one that tried ends a pause: were it ended by one that began before,
    /// nothing would have been waited.
    pub(super) fn opened(&mut self, now: Duration, lane: Begun) {
        self.open += 1;
        self.unserved = None;
        if lane.pauses == self.pauses {
            self.end_pause(now);
        }
    }

    /// A lane that was opened has ended, one way or the other.
    pub(super) fn ended(&mut self) {
        self.open = self.open.saturating_sub(1);
    }

    /// A lane came to its end and was answered.
    pub(super) fn succeeded(&mut self) {
        self.allowed = (self.allowed + 1).min(self.most);
    }

    /// A lane failed for another reason than the way to the server or its room: if it was the one
    /// that tried, the server is there.
    pub(super) fn failed(&mut self, now: Duration, lane: Begun) {
        if lane.pauses == self.pauses {
            self.end_pause(now);
        }
    }

    /// As [`failed`](Self::failed), by the server's fault: it gets a moment, for it may be about to
    /// mend.
    pub(super) fn misbehaved(&mut self, now: Duration, lane: Begun, jitter: f64) {
        self.failed(now, lane);
        if self.pause.is_none() {
            let until = now + wait_before(self.misbehaved, jitter).min(LONGEST_MOMENT);
            self.pause = Some(Pause { why: Why::Misbehaved, since: now, until, tries: false, refusals: 0 });
        }
        self.misbehaved = self.misbehaved.saturating_add(1);
    }

    /// The connection of a lane could not be had, or broke. `jitter` is a random part of one.
    pub(super) fn lost(&mut self, now: Duration, lane: Begun, jitter: f64) -> Then {
        if lane.pauses < self.pauses {
            return Then::Again;
        }
        let goes_on = self.pause.as_ref().filter(|pause| pause.why == Why::Away).map(|pause| pause.since);
        let since = goes_on.unwrap_or(now);
        let end = since.saturating_add(self.patience.saturating_sub(self.spent));
        if now >= end {
            return Then::GiveUp;
        }
        let until = (now + wait_before(self.waits, jitter)).min(end);
        self.waits += 1;
        self.pauses += u64::from(goes_on.is_none());
        self.pause = Some(Pause { why: Why::Away, since, until, tries: false, refusals: 0 });
        if goes_on.is_some() { Then::Again } else { Then::Wait { at_most: end - now } }
    }

    /// The server had no room for a lane, and says when it might.
    pub(super) fn refused(&mut self, now: Duration, lane: Begun, retry_after: Option<Duration>, jitter: f64) -> Then {
        if lane.pauses < self.pauses {
            return Then::Again;
        }
        let refusals = self.pause.as_ref().filter(|pause| pause.why == Why::Busy).map(|pause| pause.refusals);
        self.end_pause(now);
        let end = (self.open == 0).then(|| self.unserved.get_or_insert(now).saturating_add(self.patience));
        if end.is_some_and(|end| now >= end) {
            return Then::GiveUp;
        }
        self.allowed = (self.allowed / 2).max(1);
        let wait = match retry_after {
            Some(hint) => hint.clamp(FIRST, LONGEST_HINT).mul_f64(1.0 + jitter / 2.0),
            None => wait_before(refusals.unwrap_or(0), jitter),
        };
        let until = end.map_or(now + wait, |end| end.min(now + wait));
        self.pauses += u64::from(refusals.is_none());
        self.pause = Some(Pause { why: Why::Busy, since: now, until, tries: false, refusals: refusals.map_or(1, |before| before + 1) });
        if refusals.is_some() { Then::Again } else { Then::Wait { at_most: end.map_or(self.patience, |end| end - now) } }
    }

    fn end_pause(&mut self, now: Duration) {
        if let Some(Pause { why: Why::Away, since, .. }) = self.pause.take() {
            self.spent += now.saturating_sub(since);
        }
    }
}

/// The wait after `before` others: half of it at least.
fn wait_before(before: u32, jitter: f64) -> Duration {
    let whole = FIRST.saturating_mul(1 << before.min(16)).min(LONGEST);
    whole.mul_f64(0.5 + jitter.clamp(0.0, 1.0) / 2.0)
}

#[cfg(test)]
mod tests;
