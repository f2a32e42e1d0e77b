//! The client's lanes: slices of a batch, run side by side against one server.

use std::any::Any;
use std::collections::VecDeque;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::Scope;
use std::time::Duration;

use fusion_net::{Client, LaneRequest, NetError, Waits};
use fusion_nn::exec::{Client as ClientSide, EncodedImage, Hint, Lane, LaneError, LaneInput, Opened, Progress, PublicModel, StepCost};
use fusion_ring::channel::Traffic;
use rand_chacha::ChaCha20Rng;
use rand_core::{CryptoRng, SeedableRng};

use crate::client::pace::{Begun, Pace, Then};
use crate::client::run_error::{FailureKind, RunError, is_channels};
use crate::clock::Clock;
use crate::event::LaneProgress;
use crate::lane_terms::{opened_by, terms_of};

/// How often progress is told.
const TICK: Duration = Duration::from_millis(250);

/// What a finished lane leaves.
#[derive(Debug)]
pub struct LaneResult {
    /// The positions that it ran.
    pub slice: Range<u32>,
    /// What was opened.
    pub opened: Opened,
    /// Costs by step.
    pub costs: Vec<StepCost>,
    /// Wall-clock seconds.
    pub seconds: f64,
    /// How long of them the client waited.
    pub waits: Waits,
}

/// Gives the image of a position.
pub type ImageOf<'a> = dyn Fn(u32) -> Result<Arc<EncodedImage>, String> + Sync + 'a;

/// Everything that lanes share.
pub struct Lanes<'a> {
    client: &'a Client,
    model: &'a PublicModel,
    hint: &'a Hint,
    /// Of every lane but for its number and the number of its samples.
    request: LaneRequest,
    image: &'a ImageOf<'a>,
    clock: &'a dyn Clock,
    /// How long lanes wait for a server that is away.
    patience: Duration,
    /// Every lane has a generator of its own, seeded from the caller's: from the operating system,
    /// lane by lane, if that is what the caller hands in.
    seeds: Mutex<&'a mut (dyn CryptoRng + Send)>,
}

/// Counters of lanes under way.
#[derive(Debug, Default)]
struct Live {
    sent: AtomicU64,
    received: AtomicU64,
    /// Steps of samples done, out of samples times steps.
    sample_steps: AtomicU64,
    running: AtomicUsize,
    /// Lanes begun so far: the number of the next one.
    begun: AtomicU32,
}

/// Something that [`Lanes::run_all`] tells.
#[derive(Debug)]
pub enum Told {
    /// How far the lanes are; the answer matters only if it is [`Next::Stop`].
    Progress(LaneProgress),
    /// A lane came to its end.
    Done(LaneResult),
    /// A lane failed. No other lane begins before the answer.
    Failed(Failed),
    /// Lanes wait, because the server is away or has no room.
    Waiting {
        /// What the last lane met.
        why: NetError,
        /// How long they wait, if that does not change.
        at_most: Duration,
    },
    /// The server was away, or had no room, for longer than patience lasts: no lane begins any
    /// more.
    GivenUp(NetError),
}

impl<'a> Lanes<'a> {
    /// Lanes of `model` with its `hint`; `rng` seeds their generators.
    pub(super) fn new(
        client: &'a Client,
        (model, hint): (&'a PublicModel, &'a Hint),
        request: LaneRequest,
        image: &'a ImageOf<'a>,
        (clock, patience): (&'a dyn Clock, Duration),
        rng: &'a mut (dyn CryptoRng + Send),
    ) -> Self {
        Self { client, model, hint, request, image, clock, patience, seeds: Mutex::new(rng) }
    }

    /// Runs one slice on a lane of its own; says when it is `opened`.
    fn run(&self, slice: Range<u32>, live: &Live, opened: &dyn Fn()) -> Result<LaneResult, RunError> {
        let start = self.clock.now();
        let samples = slice.len();
        let input = self.input(slice.clone())?;
        let mut rng = ChaCha20Rng::from_rng(&mut **self.seeds.lock().unwrap_or_else(PoisonError::into_inner));
        // A lane that is run again has another number, too: nothing of it may fit into the new one.
        let lane = live.begun.fetch_add(1, Ordering::Relaxed);
        let request = LaneRequest { n_samples: samples as u32, lane, ..self.request };
        let mut channel = self.client.open_lane(request).map_err(RunError::Opening)?;
        opened();
        let opening = self.clock.now().saturating_sub(start);
        let mut seen = Traffic::default();
        let mut progress = |p: Progress<'_>| {
            let new = p.traffic.since(std::mem::replace(&mut seen, p.traffic));
            live.sent.fetch_add(new.sent, Ordering::Relaxed);
            live.received.fetch_add(new.received, Ordering::Relaxed);
            live.sample_steps.fetch_add(samples as u64, Ordering::Relaxed);
        };
        let reveal = opened_by(request.reveal, 0).ok_or(LaneError::Misuse("a batch asks for labels"))?;
        let run = Lane::<ClientSide>::connect(&request.binding(), samples, reveal, terms_of(&request), Box::new(&mut channel), &mut rng)
            .and_then(|lane| lane.run(self.model, self.hint, input, &mut rng, &mut progress))
            .map(|finished| (finished.opened, finished.costs));
        // The transport knows better than the protocol why it failed. But what a check of the
        // protocol has found stays so, though the server cut the connection after it.
        let (opened, costs) = match (run, channel.failure()) {
            (Ok(done), _) => done,
            (Err(error), Some(failure)) if is_channels(&error) => return Err(failure.clone().into()),
            (Err(error), _) => return Err(error.into()),
        };
        let Waits { peer, link } = channel.waits();
        let waits = Waits { peer: peer + opening, link };
        let seconds = self.clock.now().saturating_sub(start).as_secs_f64();
        channel.finish()?;
        Ok(LaneResult { slice, opened, costs, seconds, waits })
    }

    /// The images of a slice.
    fn input(&self, slice: Range<u32>) -> Result<LaneInput, RunError> {
        let images = slice.map(|p| (self.image)(p)).collect::<Result<Vec<_>, _>>().map_err(RunError::Images)?;
        Ok(LaneInput::new(self.model.program(), &images)?)
    }

    /// Runs `slices`, `lanes` of them side by side. `judge` is told of progress and of the outcome
    /// of every run, and says whether a failed slice is to be run again; when that is depends on
    /// why it failed. No lane begins before the failures that are known are judged. The call
    /// returns when every slice is done or given up, or `judge` has said [`Next::Stop`] or patience
    /// was over, and the lanes that were running have ended; their outcomes are told as well. It
    /// returns how long no lane could begin because the server was away.
    pub fn run_all(&self, slices: Vec<Range<u32>>, lanes: usize, judge: &mut dyn FnMut(Told) -> Next) -> Duration {
        let live = Live::default();
        let whole = LaneProgress {
            samples: slices.iter().map(|s| s.len() as u64).sum(),
            steps: self.model.program().steps.len() as u64 + 1,
            ..LaneProgress::default()
        };
        let mut run = Running { pace: Pace::new(lanes, self.patience), pending: slices.into(), running: 0, stopped: false, judge };
        // The receiver lives until the end of this function: sending cannot fail.
        let (sender, heard) = mpsc::channel();
        std::thread::scope(|scope| {
            // If `judge` panics, the scope waits for the lanes that run, and none begins.
            while run.goes_on() {
                // Whatever is known is judged before another lane begins.
                while let Ok(heard) = heard.try_recv() {
                    run.hear(heard, self.clock);
                }
                run.begin(self, &live, scope, &sender);
                let pause = run.pace.wait(self.clock.now()).unwrap_or(TICK).min(TICK);
                if run.running == 0 {
                    if run.goes_on() {
                        self.clock.sleep(pause);
                        run.tell(Told::Progress(live.read(whole)));
                    }
                    continue;
                }
                match heard.recv_timeout(pause) {
                    Ok(heard) => run.hear(heard, self.clock),
                    // The sender is here, too: it is the time that is over.
                    Err(_) => run.tell(Told::Progress(live.read(whole))),
                }
            }
        });
        run.pace.spent(self.clock.now())
    }

    /// One lane on a thread of its own.
    fn work(&self, slice: Range<u32>, begun: Begun, live: &Live, sender: &mpsc::Sender<Heard>) {
        let opened = std::cell::Cell::new(false);
        let say = |what| drop(sender.send(Heard { begun, what }));
        let tell = || {
            opened.set(true);
            say(What::Opened);
        };
        // A panic that left this thread would leave its slice outstanding.
        let run = catch_unwind(AssertUnwindSafe(|| self.run(slice.clone(), live, &tell)));
        let outcome = run.unwrap_or_else(|panic| Err(RunError::Panicked(text_of(&*panic))));
        let outcome = outcome.map_err(|error| Failed { slice, error }).map(Box::new);
        say(What::Ended { outcome, opened: opened.get() });
    }
}

/// What lanes say while they run.
struct Heard {
    begun: Begun,
    what: What,
}

enum What {
    Opened,
    Ended { outcome: Result<Box<LaneResult>, Failed>, opened: bool },
}

/// What [`Lanes::run_all`] knows of its lanes.
struct Running<'a> {
    pace: Pace,
    /// Slices that no lane runs.
    pending: VecDeque<Range<u32>>,
    running: usize,
    /// No lane begins any more.
    stopped: bool,
    judge: &'a mut dyn FnMut(Told) -> Next,
}

impl Running<'_> {
    fn goes_on(&self) -> bool {
        self.running > 0 || !(self.stopped || self.pending.is_empty())
    }

    /// Begins the lanes that may begin.
    fn begin<'s, 'e>(&mut self, lanes: &'s Lanes<'_>, live: &'s Live, scope: &'s Scope<'s, 'e>, sender: &mpsc::Sender<Heard>) {
        while !self.stopped && self.pace.may_begin(lanes.clock.now(), self.running) {
            let Some(slice) = self.pending.pop_front() else { return };
            let (begun, sender) = (self.pace.begin(), sender.clone());
            self.running += 1;
            live.running.store(self.running, Ordering::Relaxed);
            scope.spawn(move || lanes.work(slice, begun, live, &sender));
        }
    }

    fn tell(&mut self, told: Told) {
        if (self.judge)(told) == Next::Stop {
            self.stopped = true;
        }
    }

    fn hear(&mut self, Heard { begun, what }: Heard, clock: &dyn Clock) {
        let (outcome, opened) = match what {
            What::Opened => return self.pace.opened(clock.now(), begun),
            What::Ended { outcome, opened } => (outcome, opened),
        };
        self.running -= 1;
        if opened {
            self.pace.ended();
        }
        let failed = match outcome {
            Ok(lane) => {
                self.pace.succeeded();
                return self.tell(Told::Done(*lane));
            }
            Err(failed) => failed,
        };
        if let RunError::Opening(NetError::LaneTooLarge { samples, .. }) = &failed.error
            && (1..failed.slice.len()).contains(&(*samples as usize))
        {
            // Nothing was sent. Smaller lanes have room, if it is true; if not, the next is refused
            // for good, for no piece is cut again that is as small as was asked for.
            self.pace.failed(clock.now(), begun);
            cut(failed.slice, *samples).for_each(|piece| self.pending.push_back(piece));
            return;
        }
        let (kind, slice, error) = (failed.error.kind(), failed.slice.clone(), failed.error.clone());
        match (self.judge)(Told::Failed(failed)) {
            Next::Stop => self.stopped = true,
            Next::Go => {}
            Next::Again => self.pending.push_back(slice),
        }
        let then = match kind {
            FailureKind::Outage => self.pace.lost(clock.now(), begun, clock.jitter()),
            FailureKind::Busy { retry_after } => self.pace.refused(clock.now(), begun, retry_after, clock.jitter()),
            FailureKind::Misbehaviour => {
                self.pace.misbehaved(clock.now(), begun, clock.jitter());
                Then::Again
            }
            FailureKind::Final => {
                self.pace.failed(clock.now(), begun);
                Then::Again
            }
        };
        match (then, error) {
            (_, _) if self.stopped => {}
            (Then::Wait { at_most }, RunError::Opening(why) | RunError::Net(why)) => self.tell(Told::Waiting { why, at_most }),
            (Then::GiveUp, RunError::Opening(why) | RunError::Net(why)) => {
                self.stopped = true;
                self.tell(Told::GivenUp(why));
            }
            (Then::Again | Then::Wait { .. } | Then::GiveUp, _) => {}
        }
    }
}

/// A slice in pieces of so many positions, at most.
fn cut(slice: Range<u32>, positions: u32) -> impl Iterator<Item = Range<u32>> {
    let Range { start, end } = slice;
    (start..end).step_by(positions.max(1) as usize).map(move |first| first..end.min(first.saturating_add(positions)))
}

impl Live {
    fn read(&self, whole: LaneProgress) -> LaneProgress {
        LaneProgress {
            done: self.sample_steps.load(Ordering::Relaxed),
            running: self.running.load(Ordering::Relaxed),
            sent: self.sent.load(Ordering::Relaxed),
            received: self.received.load(Ordering::Relaxed),
            ..whole
        }
    }
}

/// What a panic said, if it said it in words.
pub(crate) fn text_of(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "no reason given".to_owned())
}

/// A lane run that failed.
#[derive(Debug, Clone)]
pub struct Failed {
    /// Its positions.
    pub slice: Range<u32>,
    /// Why.
    pub error: RunError,
}

/// What to do after a lane run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// Go on; a failed slice is given up.
    Go,
    /// Run the failed slice again.
    Again,
    /// Begin no more lanes.
    Stop,
}

impl Next {
    /// The graver of the two.
    pub(super) fn or(self, other: Self) -> Self {
        if other == Self::Stop { other } else { self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slice_that_is_too_large_is_cut_into_pieces_that_are_not() {
        assert_eq!(cut(5..12, 3).collect::<Vec<_>>(), [5..8, 8..11, 11..12]);
        assert_eq!(cut(5..12, 7).collect::<Vec<_>>(), [5..12]);
        assert_eq!(cut(0..u32::MAX, u32::MAX).count(), 1);
    }
}
