//! Both parties of a lane, one of which cheats.

use std::sync::{Arc, PoisonError};

use fusion_nn::exec::{Client, Deviation, Finished, Lane, LaneError, Opened, Progress, Reveal, Server};
use fusion_nn::layers::ProtocolError;
use fusion_ot::session::Session;
use fusion_ot::silent::{self, ExtensionSize};
use fusion_ot::{OtError, Role};
use fusion_ring::channel::{Channel, ChannelError};
use rand::SeedableRng;
use rand_chacha::ChaCha20Rng;

use super::batch::{Batch, Judgement};
use super::line::line;
use super::network::Model;
use super::ots::{Lie, Lying};
use super::problem::Problem;
use super::tamper::{Mutation, PhaseNow, Sent, Tampered};

pub(super) const SETUP: &str = "set-up of OT";
pub(super) const OPENING: &str = "opening";

/// The two parties, in the order of their places in pairs.
pub(super) const CLIENT: usize = 0;
pub(super) const SERVER: usize = 1;

/// Makes the server's deviation in the words of its shares.
pub(super) type Deviate = dyn Fn(ChaCha20Rng) -> Deviation<'static> + Send + Sync;

/// Who does what in a lane.
#[derive(Clone)]
pub(super) struct Play {
    pub(super) model: Arc<Model>,
    pub(super) seed: u64,
    /// Batches one after the other on the same OTs.
    pub(super) batches: usize,
    /// A message of one of the parties, and what happens to it.
    pub(super) trick: Option<(usize, (usize, Mutation))>,
    /// What the server lies about.
    pub(super) lie: Option<Lie>,
    pub(super) deviate: Option<Arc<Deviate>>,
}

impl Play {
    /// One batch, in which nobody deviates.
    pub(super) fn honest(model: &Arc<Model>, seed: u64) -> Self {
        Self { model: Arc::clone(model), seed, batches: 1, trick: None, lie: None, deviate: None }
    }
}

/// How a party ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum End {
    /// Without an error.
    Finished,
    /// It says that its peer misbehaved, or that the transport failed.
    Named(String),
    /// An error that names neither.
    Unnamed(String),
}

impl End {
    fn of(named: bool, error: &dyn std::fmt::Display) -> Self {
        if named { Self::Named(error.to_string()) } else { Self::Unnamed(error.to_string()) }
    }

    pub(super) fn of_ot(error: &OtError) -> Self {
        if let OtError::Channel(error) = error {
            return Self::of_channel(error);
        }
        Self::of(matches!(error, OtError::PeerMisbehaved(_)), error)
    }

    fn of_channel(error: &ChannelError) -> Self {
        Self::of(matches!(error, ChannelError::Closed | ChannelError::Timeout { .. }), error)
    }

    /// With the step, which is what a user reads.
    pub(super) fn of_lane(error: &LaneError) -> Self {
        let inner = if let LaneError::Channel(cause) | LaneError::Protocol { error: ProtocolError::Channel(cause), .. } = error {
            Self::of_channel(cause)
        } else if let LaneError::SetUp(cause) | LaneError::Protocol { error: ProtocolError::Ot(cause), .. } = error {
            Self::of_ot(cause)
        } else {
            Self::of(false, error)
        };
        Self::of(matches!(inner, Self::Named(_)), error)
    }
}

/// What came of a lane.
#[derive(Debug)]
pub(super) struct Played {
    /// Of client and server.
    pub(super) ends: [End; 2],
    /// What the client concluded of the batches that came to their end.
    pub(super) judged: Vec<Judgement>,
    /// Messages of client and server.
    pub(super) sent: [Vec<(&'static str, usize)>; 2],
}

/// One party's channel and oblivious transfers.
struct Party<'a> {
    channel: Tampered<super::line::Line>,
    phase: PhaseNow,
    play: &'a Play,
    place: usize,
    rng: ChaCha20Rng,
}

impl Party<'_> {
    fn role(&self) -> Role {
        if self.place == CLIENT { Role::First } else { Role::Second }
    }

    /// The set-up of OT; then `run`, given channel, sender and receiver.
    fn connected<T>(
        &mut self,
        run: impl FnOnce(&mut dyn Channel, Lying<silent::Sender>, Lying<silent::Receiver>, &mut ChaCha20Rng, &PhaseNow) -> Result<T, Problem>,
    ) -> Result<T, Problem> {
        let role = self.role();
        let lie = self.play.lie.filter(|_| self.place == SERVER);
        let mut own = || ChaCha20Rng::from_rng(&mut self.rng);
        let (first, second) = (own(), own());
        let session = Session::new(b"hostile");
        let (sender, receiver) = silent::setup_with(ExtensionSize::Small, &session, role, &mut self.channel, &mut self.rng)?;
        let sender = Lying::new(sender, self.phase.clone(), lie, first);
        let receiver = Lying::new(receiver, self.phase.clone(), lie, second);
        let done = run(&mut self.channel, sender, receiver, &mut self.rng, &self.phase)?;
        // What this party said last may be all that its peer waits for.
        self.channel.flush()?;
        Ok(done)
    }

    fn client(mut self) -> Result<Vec<Judgement>, (Problem, Vec<Judgement>)> {
        let (play, mut judged) = (self.play, Vec::new());
        let program = play.model.program().clone();
        let mut batches = ChaCha20Rng::seed_from_u64(play.seed ^ 1 << 40);
        let ran = self.connected(|channel, sender, receiver, rng, phase| {
            let samples = super::batch::mix()?.samples() as usize;
            let mut lane = Lane::<Client>::on(Box::new(channel), Box::new(sender), Box::new(receiver), samples, Reveal::Label);
            for _ in 0..play.batches {
                let batch = Batch::draw(&program, &mut batches)?;
                let input = batch.input(&program)?;
                let mut tell = follow(&play.model, phase);
                let Finished { opened, connection, .. } = lane.run(&play.model.public, &play.model.hint, input, rng, &mut tell)?;
                let Opened::Labels(labels) = opened else { return Err(Problem::new("labels were asked for")) };
                judged.push(batch.judge(&labels)?);
                lane = connection.lane(samples, Reveal::Label);
            }
            Ok(())
        });
        match ran {
            Ok(()) => Ok(judged),
            Err(error) => Err((error, judged)),
        }
    }

    fn server(mut self) -> Result<(), Problem> {
        let play = self.play;
        let deviations = ChaCha20Rng::seed_from_u64(play.seed ^ 1 << 41);
        self.connected(|channel, sender, receiver, rng, phase| {
            let samples = super::batch::mix()?.samples() as usize;
            let mut lane = Lane::<Server>::on(Box::new(channel), Box::new(sender), Box::new(receiver), samples, Reveal::Label);
            let mut own = deviations;
            for _ in 0..play.batches {
                if let Some(deviate) = &play.deviate {
                    lane = lane.deviating(deviate(ChaCha20Rng::from_rng(&mut own)));
                }
                let mut tell = follow(&play.model, phase);
                lane = lane.run(&play.model.served, rng, &mut tell)?.connection.lane(samples, Reveal::Label);
            }
            Ok(())
        })
    }
}

/// Tells the phase, step by step.
fn follow<'a>(model: &Model, phase: &'a PhaseNow) -> impl FnMut(Progress<'_>) + 'a {
    let phases: Vec<&'static str> = model.program().steps.iter().map(|step| phase_of(&step.op)).chain([OPENING]).collect();
    phase.enter(phases[0]);
    move |progress| {
        phase.enter(phases.get(progress.done).copied().unwrap_or(OPENING));
    }
}

fn phase_of(op: &fusion_model::program::Op) -> &'static str {
    use fusion_model::program::Op;
    match op {
        Op::Linear { .. } => "linear layer",
        Op::Requantise { .. } => "ReLU and pooling",
        Op::Piecewise { .. } => "function",
        Op::Multiply { .. } => "product",
        Op::Add { .. } | Op::SumPool { .. } | Op::Concat { .. } | Op::Select { .. } | Op::Flatten { .. } => "local step",
    }
}

/// Runs both parties.
///
/// # Errors
/// What is no outcome: a mistake of the harness.
pub(super) fn play(play: &Play) -> Result<Played, Problem> {
    let [near, far] = line();
    let mut sent: Vec<Sent> = Vec::new();
    let mut party = |place: usize, inner| {
        let phase = PhaseNow::default();
        phase.enter(SETUP);
        let trick = play.trick.filter(|(who, _)| *who == place).map(|(_, trick)| trick);
        let channel = Tampered::new(inner, phase.clone(), trick, play.seed + 2);
        sent.push(channel.sent());
        Party { channel, phase, play, place, rng: ChaCha20Rng::seed_from_u64(2 * play.seed + place as u64) }
    };
    let (client, server) = (party(CLIENT, near), party(SERVER, far));
    let (client, server) = std::thread::scope(|scope| {
        let server = scope.spawn(|| server.server());
        let client = client.client();
        (client, server.join())
    });
    let server = server.map_err(|_| Problem::new("the server panicked"))?;
    let (judged, client) = match client {
        Ok(judged) => (judged, Ok(())),
        Err((error, judged)) => (judged, Err(error)),
    };
    let end = |ended: Result<(), Problem>| match ended {
        Ok(()) => Ok(End::Finished),
        Err(Problem::Lane(error)) => Ok(End::of_lane(&error)),
        Err(Problem::Ot(error)) => Ok(End::of_lane(&LaneError::SetUp(error))),
        Err(Problem::Channel(error)) => Ok(End::of_channel(&error)),
        Err(other) => Err(other),
    };
    let mut messages = sent.iter().map(|sent| sent.lock().unwrap_or_else(PoisonError::into_inner).clone());
    let sent = [messages.next().unwrap_or_default(), messages.next().unwrap_or_default()];
    Ok(Played { ends: [end(client)?, end(server)?], judged, sent })
}
