//! The client's lanes: slices of the mixed batch, run side by side against one server.

use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc;
use std::sync::{Mutex, PoisonError};

use fusion_net::{Client, LaneRequest, LimitName, NetError};
use fusion_nn::exec::{Hint, Lane, LaneError, Opened, Progress, PublicModel, Reveal, StepCost, connect};
use fusion_nn::layers::Role;
use fusion_ring::channel::Traffic;
use fusion_ring::secret::Wiped;
use rand::SeedableRng;
use rand::rngs::SysRng;
use rand_chacha::ChaCha20Rng;

/// Why one lane run failed. Its answers are discarded unread.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum RunError {
    /// The server, or the way to it.
    #[error(transparent)]
    Net(#[from] NetError),
    /// The protocol.
    #[error(transparent)]
    Lane(#[from] LaneError),
    /// The operating system gave no randomness.
    #[error("no randomness from the operating system: {0}")]
    Randomness(String),
    /// The images of the slice could not be read.
    #[error("{0}")]
    Images(String),
}

impl RunError {
    /// Whether another try can help: the network, or a server that went away or is busy, not a mismatch or a broken protocol.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Net(NetError::Limit { limit: LimitName::LanesTotal | LimitName::LanesPerClient }) => true,
            Self::Net(error) => matches!(error.fault(), fusion_net::Fault::Network | fusion_net::Fault::Peer),
            Self::Lane(_) => true,
            Self::Randomness(_) | Self::Images(_) => false,
        }
    }
}

/// A generator for one lane, seeded by the operating system.
///
/// # Errors
/// The system's reason why it has no randomness.
pub fn fresh_rng() -> Result<ChaCha20Rng, RunError> {
    ChaCha20Rng::try_from_rng(&mut SysRng).map_err(|e| RunError::Randomness(e.to_string()))
}

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
    /// Largest decryption noise, as a share of Delta.
    pub noise: f64,
}

/// Everything that lanes share.
pub struct LaneSetting<'a> {
    /// Connection to the server.
    pub client: &'a Client,
    /// The model's public side.
    pub model: &'a PublicModel,
    /// Its hint.
    pub hint: &'a Hint,
    /// The terms of every lane; the number of samples is the slice's.
    pub request: LaneRequest,
    /// Gives the input tensor of a position, `[channel][row][column]` modulo the input ring.
    pub image: &'a (dyn Fn(u32) -> Result<Wiped<u32>, String> + Sync),
}

/// Counters that a progress line reads while lanes run.
#[derive(Debug, Default)]
pub struct Live {
    /// Bytes that running and finished lanes have sent.
    pub sent: AtomicU64,
    /// Bytes that they have received.
    pub received: AtomicU64,
    /// Steps of samples done, out of samples times steps.
    pub sample_steps: AtomicU64,
    /// Lanes that run now.
    pub running: AtomicUsize,
    /// Lanes begun so far: the number of the next one.
    pub begun: AtomicU32,
    /// Set to stop: no lane is begun any more; running ones go on to their end.
    pub stop: AtomicBool,
}

impl Live {
    /// Bytes sent and received so far.
    #[must_use]
    pub fn bytes(&self) -> (u64, u64) {
        (self.sent.load(Ordering::Relaxed), self.received.load(Ordering::Relaxed))
    }
}

impl LaneSetting<'_> {
    /// Runs one slice on a lane of its own.
    ///
    /// # Errors
    /// [`RunError`]; nothing of the lane may be used then.
    pub fn run(&self, slice: Range<u32>, live: &Live) -> Result<LaneResult, RunError> {
        let start = std::time::Instant::now();
        let samples = slice.len();
        let images = self.interleave(slice.clone())?;
        let mut rng = fresh_rng()?;
        // A lane that is run again has another number, too: nothing of it may fit into the new one.
        let lane = live.begun.fetch_add(1, Ordering::Relaxed);
        let request = LaneRequest { n_samples: samples as u32, lane, ..self.request };
        let mut channel = self.client.open_lane(request)?;
        let reveal = match self.request.reveal {
            fusion_net::Reveal::Label => Reveal::Label,
            fusion_net::Reveal::Logits => Reveal::Logits,
        };
        let mut seen = Traffic::default();
        let mut progress = |p: Progress<'_>| {
            let new = p.traffic.since(std::mem::replace(&mut seen, p.traffic));
            live.sent.fetch_add(new.sent, Ordering::Relaxed);
            live.received.fetch_add(new.received, Ordering::Relaxed);
            live.sample_steps.fetch_add(samples as u64, Ordering::Relaxed);
        };
        let run = connect(Role::Client, &request.binding(), Box::new(&mut channel), &mut rng).and_then(|party| {
            let mut lane = Lane::new(party, samples, reveal);
            let opened = lane.run_client(self.model, self.hint, images, &mut rng, &mut progress)?;
            Ok((opened, lane.costs().to_vec(), lane.largest_noise()))
        });
        // The transport knows better than the protocol why a lane died.
        let (opened, costs, noise) = match (run, channel.failure()) {
            (Ok(done), _) => done,
            (Err(_), Some(failure)) => return Err(failure.clone().into()),
            (Err(error), None) => return Err(error.into()),
        };
        channel.finish()?;
        Ok(LaneResult { slice, opened, costs, seconds: start.elapsed().as_secs_f64(), noise })
    }

    /// The images of a slice as `[channel][sample][row][column]`.
    fn interleave(&self, slice: Range<u32>) -> Result<Wiped<u32>, RunError> {
        let images = slice.map(|p| (self.image)(p)).collect::<Result<Vec<_>, _>>().map_err(RunError::Images)?;
        let shape = self.model.program().tensors[self.model.program().input.0].shape;
        let planes = (0..shape.channels).flat_map(|c| images.iter().map(move |image| &image[c * shape.area()..(c + 1) * shape.area()]));
        Ok(Wiped::filled(shape.len() * images.len(), planes.flatten().copied()))
    }

    /// Runs `slices` on `lanes` threads. `event` is told the outcome of every run and says whether
    /// a failed slice is to be run again; no lane begins between a failure and the return of
    /// `event`. The call returns when every slice is done or given up, or `live.stop` is set and
    /// the lanes that were running have ended; their outcomes are told as well.
    pub fn run_all(&self, slices: Vec<Range<u32>>, lanes: usize, live: &Live, event: &mut dyn FnMut(Result<LaneResult, Failed>) -> Next) {
        let (jobs, queue) = mpsc::channel::<Range<u32>>();
        let queue = Mutex::new(queue);
        let (done, outcomes) = mpsc::channel();
        // Held from a failure until it is judged, which may take a pause: a server that went away
        // must not fail every slice meanwhile, and no lane may begin before the failure is on
        // record.
        let gate = Mutex::new(());
        let mut outstanding = slices.len();
        // The receiver lives until the end of this function: sending cannot fail.
        slices.into_iter().for_each(|slice| drop(jobs.send(slice)));
        let mut jobs = (outstanding > 0).then_some(jobs);
        std::thread::scope(|scope| {
            for _ in 0..lanes.max(1).min(outstanding.max(1)) {
                let (queue, gate, done) = (&queue, &gate, done.clone());
                scope.spawn(move || {
                    loop {
                        drop(gate.lock());
                        let job = queue.lock().unwrap_or_else(PoisonError::into_inner).recv();
                        let Ok(slice) = job else { return };
                        if live.stop.load(Ordering::Relaxed) {
                            return;
                        }
                        live.running.fetch_add(1, Ordering::Relaxed);
                        let outcome = self.run(slice.clone(), live).map_err(|error| Failed { slice, error });
                        live.running.fetch_sub(1, Ordering::Relaxed);
                        let closed = outcome.is_err().then(|| gate.lock());
                        let (judged, judgement) = mpsc::channel::<()>();
                        if done.send((outcome, judged)).is_err() {
                            return;
                        }
                        if closed.is_some() {
                            // Ends when the other side drops its half.
                            let _ = judgement.recv();
                        }
                    }
                });
            }
            drop(done);
            // Ends with the last thread.
            while let Ok((outcome, judged)) = outcomes.recv() {
                let again = outcome.as_ref().err().map(|failed| failed.slice.clone());
                match (event(outcome), again, &jobs) {
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
