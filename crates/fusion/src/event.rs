//! What a long call tells while it works.

use std::ops::Range;
use std::time::Duration;

use fusion_mix::plan::Plan;
use fusion_model::card::ModelCard;
use fusion_net::{HintWait, NetError};

use crate::client::run_error::RunError;
use crate::client::trust::Trust;

/// Something that happened. Events come on the thread that made the call, in order.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub enum Event<'a> {
    /// The server's model is known and trusted; its hint comes next.
    Connected {
        /// The model's card.
        card: &'a ModelCard,
        /// Why it is trusted.
        trust: Trust,
    },
    /// So many bytes of the hint are here.
    Hint {
        /// Bytes done.
        done: u64,
        /// Bytes in all.
        total: u64,
    },
    /// The download of the hint waits, for another process of this machine that downloads the same
    /// or for the server; it goes on where it stopped. Told at every try.
    HintWaits(HintWait),
    /// So many images are read and encoded.
    Images {
        /// Images done.
        done: usize,
        /// Images in all.
        total: usize,
    },
    /// The batch is mixed and its journal begun: lanes come next.
    Mixed {
        /// The plan that it follows.
        plan: &'a Plan,
        /// Lanes that run side by side, at most.
        lanes: usize,
    },
    /// How far the lanes are: told several times a second.
    Lanes(LaneProgress),
    /// A lane came to its end and its answers are in the journal.
    LaneDone {
        /// The positions that it ran.
        slice: &'a Range<u32>,
        /// Its seconds.
        seconds: f64,
    },
    /// The server is away, or has no room: the call waits for it. Told once, when that begins.
    Waiting {
        /// What the last try met.
        why: &'a NetError,
        /// How long it waits, if that does not change.
        at_most: Duration,
    },
    /// A lane failed, or was lost with its connection; its answers are discarded unread.
    LaneFailed {
        /// The positions that it ran.
        slice: &'a Range<u32>,
        /// Why.
        error: &'a RunError,
    },
    /// So many images are run, to see what a model answers to them and how often copies disagree.
    Answers {
        /// Images done.
        done: usize,
        /// Images in all.
        total: usize,
    },
    /// So many bytes of a package's hint are made.
    Package {
        /// Bytes done.
        done: u64,
        /// Bytes in all.
        total: u64,
    },
}

/// How far the lanes of a run are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LaneProgress {
    /// Samples of the batch that this run goes through.
    pub samples: u64,
    /// Steps that each of them takes.
    pub steps: u64,
    /// Steps of samples done, of `samples * steps`.
    pub done: u64,
    /// Lanes that run now.
    pub running: usize,
    /// Bytes sent so far.
    pub sent: u64,
    /// Bytes received so far.
    pub received: u64,
}

/// Who is told.
pub type Events<'a> = dyn FnMut(Event<'_>) + 'a;

/// Tells nobody.
pub fn silent(_: Event<'_>) {}
