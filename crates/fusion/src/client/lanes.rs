//! The client's lanes: slices of a batch, run side by side against one server.

use std::any::Any;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use fusion_net::{Client, LaneRequest, Waits};
use fusion_nn::exec::{Client as ClientSide, EncodedImage, Hint, Lane, LaneError, LaneInput, Opened, Progress, PublicModel, StepCost};
use fusion_ring::channel::Traffic;
use rand_chacha::ChaCha20Rng;
use rand_core::{CryptoRng, SeedableRng};

use crate::client::run_error::RunError;
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
    /// Set to stop: no lane is begun any more; running ones go on to their end.
    stop: AtomicBool,
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
}

impl<'a> Lanes<'a> {
    /// Lanes of `model` with its `hint`; `rng` seeds their generators.
    pub(super) fn new(
        client: &'a Client,
        (model, hint): (&'a PublicModel, &'a Hint),
        request: LaneRequest,
        image: &'a ImageOf<'a>,
        clock: &'a dyn Clock,
        rng: &'a mut (dyn CryptoRng + Send),
    ) -> Self {
        Self { client, model, hint, request, image, clock, seeds: Mutex::new(rng) }
    }

    /// Runs one slice on a lane of its own.
    fn run(&self, slice: Range<u32>, live: &Live) -> Result<LaneResult, RunError> {
        let start = self.clock.now();
        let samples = slice.len();
        let input = self.input(slice.clone())?;
        let mut rng = ChaCha20Rng::from_rng(&mut **self.seeds.lock().unwrap_or_else(PoisonError::into_inner));
        // A lane that is run again has another number, too: nothing of it may fit into the new one.
        let lane = live.begun.fetch_add(1, Ordering::Relaxed);
        let request = LaneRequest { n_samples: samples as u32, lane, ..self.request };
        let mut channel = self.client.open_lane(request)?;
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
        // The transport knows better than the protocol why a lane died.
        let (opened, costs) = match (run, channel.failure()) {
            (Ok(done), _) => done,
            (Err(_), Some(failure)) => return Err(failure.clone().into()),
            (Err(error), None) => return Err(error.into()),
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

    /// Runs `slices` on `lanes` threads. `judge` is told of progress and of the outcome of every
    /// run, and says whether a failed slice is to be run again; no lane begins between a failure
    /// and the return of `judge`. The call returns when every slice is done or given up, or `judge`
    /// has said [`Next::Stop`] and the lanes that were running have ended; their outcomes are told
    /// as well.
    pub fn run_all(&self, slices: Vec<Range<u32>>, lanes: usize, judge: &mut dyn FnMut(Told) -> Next) {
        let (jobs, queue) = mpsc::channel::<Range<u32>>();
        let (done, outcomes) = mpsc::channel();
        let live = Live::default();
        let shared = Shared { queue: Mutex::new(queue), gate: Mutex::new(()), live: &live };
        let mut outstanding = slices.len();
        let whole = LaneProgress {
            samples: slices.iter().map(|s| s.len() as u64).sum(),
            steps: self.model.program().steps.len() as u64 + 1,
            ..LaneProgress::default()
        };
        // The receiver lives until the end of this function: sending cannot fail.
        slices.into_iter().for_each(|slice| drop(jobs.send(slice)));
        std::thread::scope(|scope| {
            // Both end with this block, also if `judge` panics: else the threads would wait for
            // ever. Nor may they begin another lane then.
            let _stop = StopOnDrop(&live.stop);
            let (outcomes, mut jobs) = (outcomes, (outstanding > 0).then_some(jobs));
            for _ in 0..lanes.max(1).min(outstanding.max(1)) {
                let (shared, done) = (&shared, done.clone());
                scope.spawn(move || self.work(shared, &done));
            }
            drop(done);
            loop {
                let (outcome, judged) = match outcomes.recv_timeout(TICK) {
                    Ok(told) => told,
                    Err(RecvTimeoutError::Timeout) => {
                        if judge(Told::Progress(live.read(whole))) == Next::Stop {
                            live.stop.store(true, Ordering::Relaxed);
                            jobs = None;
                        }
                        continue;
                    }
                    // The last thread has ended.
                    Err(RecvTimeoutError::Disconnected) => break,
                };
                let again = outcome.as_ref().err().map(|failed| failed.slice.clone());
                let next = judge(outcome.map_or_else(Told::Failed, Told::Done));
                match (next, again, &jobs) {
                    (Next::Again, Some(slice), Some(jobs)) => drop(jobs.send(slice)),
                    (Next::Stop, ..) => live.stop.store(true, Ordering::Relaxed),
                    (Next::Again | Next::Go, ..) => outstanding -= 1,
                }
                if outstanding == 0 || live.stop.load(Ordering::Relaxed) {
                    jobs = None;
                }
                drop(judged);
            }
        });
    }

    /// One thread: runs slices of the queue until there are none.
    fn work(&self, shared: &Shared<'_>, done: &mpsc::Sender<Outcome>) {
        loop {
            drop(shared.gate.lock());
            let job = shared.queue.lock().unwrap_or_else(PoisonError::into_inner).recv();
            let Ok(slice) = job else { return };
            if shared.live.stop.load(Ordering::Relaxed) {
                return;
            }
            shared.live.running.fetch_add(1, Ordering::Relaxed);
            // A panic that left this thread would leave its slice outstanding, and every other
            // thread waiting for a queue that never closes.
            let run = catch_unwind(AssertUnwindSafe(|| self.run(slice.clone(), shared.live)));
            let outcome = run.unwrap_or_else(|panic| Err(RunError::Panicked(text_of(&*panic))));
            let outcome = outcome.map_err(|error| Failed { slice, error });
            shared.live.running.fetch_sub(1, Ordering::Relaxed);
            let closed = outcome.is_err().then(|| shared.gate.lock());
            let (judged, judgement) = mpsc::channel::<()>();
            if done.send((outcome, judged)).is_err() {
                return;
            }
            if closed.is_some() {
                // Ends when the other side drops its half.
                let _ = judgement.recv();
            }
        }
    }
}

/// Stops lanes from beginning when the one who judges them is gone.
struct StopOnDrop<'a>(&'a AtomicBool);

impl Drop for StopOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// The outcome of a run, and what keeps its thread waiting until it is judged.
type Outcome = (Result<LaneResult, Failed>, mpsc::Sender<()>);

/// What the threads of [`Lanes::run_all`] share.
struct Shared<'a> {
    queue: Mutex<mpsc::Receiver<Range<u32>>>,
    /// Held from a failure until it is judged, which may take a pause: a server that went away must
    /// not fail every slice meanwhile, and no lane may begin before the failure is on record.
    gate: Mutex<()>,
    live: &'a Live,
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
