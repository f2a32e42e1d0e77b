//! One lane: a party's walk through the steps of a program.

use std::time::Instant;

use fusion_ot::session::Session;
use fusion_ot::{OtError, silent};
use fusion_ring::bits::pack::mask32;
use fusion_ring::channel::{Channel, ChannelError, Traffic};
use fusion_ring::secret::Wiped;
use fusion_rlwe::{ClientLane, RlweError, ServerLane};
use rand_core::CryptoRng;

use super::local;
use super::model::{Hint, Prepared, PublicModel, ServerModel};
use crate::layers::{self, Ledger, Party, Phase, ProtocolError, Role};
use fusion_model::program::{Op, ProgramError, Step, TensorId};

/// Why a lane, or the model under it, did not work. After any error the lane is dead: open another with fresh randomness.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum LaneError {
    /// The transport failed.
    #[error(transparent)]
    Channel(ChannelError),
    /// The oblivious transfers of the lane could not be set up.
    #[error("set-up of oblivious transfer: {0}")]
    SetUp(OtError),
    /// A layer protocol failed.
    #[error("step {step}: {error}")]
    Protocol {
        /// Name of the step.
        step: String,
        /// What went wrong.
        error: ProtocolError,
    },
    /// A linear layer failed.
    #[error("step {step}: {error}")]
    Linear {
        /// Name of the step.
        step: String,
        /// What went wrong.
        error: RlweError,
    },
    /// The program is malformed.
    #[error(transparent)]
    Program(ProgramError),
    /// A step of the program cannot be evaluated as planned.
    #[error("step {step}: {reason}")]
    Step {
        /// Name of the step.
        step: String,
        /// Why.
        reason: String,
    },
    /// The hint has another size than the model's: it belongs to another model.
    #[error("the hint has {got} bytes where the model needs {expected}: it belongs to another model")]
    HintSize {
        /// Bytes that the model's hint has.
        expected: u64,
        /// Bytes given.
        got: u64,
    },
    /// The hint's file could not be opened.
    #[error("cannot open the hint {path}: {reason}")]
    HintFile {
        /// The file.
        path: String,
        /// Why.
        reason: String,
    },
    /// The caller broke the contract of a function.
    #[error("misuse: {0}")]
    Misuse(&'static str),
}

/// What is opened to the client at the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Reveal {
    /// The index of the largest logit.
    #[default]
    Label,
    /// All logits, at the precision of the logits window.
    Logits,
}

/// What the client learned of each sample: private, so wiped on drop and not printed.
pub enum Opened {
    /// One label per sample. A malicious server can make a label any number, even one that is no class.
    Labels(Wiped<u32>),
    /// `[sample][class]`, units of the logits window.
    Logits(Vec<Wiped<i32>>),
}

impl std::fmt::Debug for Opened {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Labels(labels) => write!(f, "Labels(of {} samples)", labels.len()),
            Self::Logits(logits) => write!(f, "Logits(of {} samples)", logits.len()),
        }
    }
}

/// What one step cost this party.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StepCost {
    /// Name of the step.
    pub name: String,
    /// Account of the step by phase.
    pub ledger: Ledger,
}

/// Told after every step.
#[derive(Debug, Clone, Copy)]
pub struct Progress<'a> {
    /// Steps done.
    pub done: usize,
    /// Steps in all, the opening of the answers counted as one.
    pub steps: usize,
    /// Name of the step just done.
    pub name: &'a str,
    /// What this party has sent and received so far.
    pub traffic: Traffic,
}

/// A way of deviating from the protocol: told the step's name and the number of samples, it may change this party's share of the step's result
/// (`[channel][sample][row][column]`). For tests and demonstrations of what verification catches.
pub type Deviation<'a> = Box<dyn FnMut(&str, usize, &mut [u32]) + 'a>;

/// Connects the two parties of a lane on `channel`: base OTs and the silent extension, in both
/// directions, bound to the `terms` of the lane (public, the same on both sides, unlike those of other
/// lanes). Parties with different terms fail here or at the first layer.
///
/// # Errors
/// [`LaneError::SetUp`].
pub fn connect<'a>(role: Role, terms: &[u8], mut channel: Box<dyn Channel + 'a>, rng: &mut impl CryptoRng) -> Result<Party<'a>, LaneError> {
    let ot_role = match role {
        Role::Client => fusion_ot::Role::First,
        Role::Server => fusion_ot::Role::Second,
    };
    let (before, start) = (channel.traffic(), Instant::now());
    let session = Session::new(terms);
    let (sender, receiver) = silent::setup_with(layers::EXTENSION_SIZE, &session, ot_role, &mut channel, rng).map_err(LaneError::SetUp)?;
    Ok(Party::new(role, channel, Box::new(sender), Box::new(receiver)).set_up_since(before, start))
}

/// One lane of one party, connected and ready to run.
pub struct Lane<'a> {
    party: Party<'a>,
    samples: usize,
    reveal: Reveal,
    costs: Vec<StepCost>,
    largest_noise: f64,
    deviation: Option<Deviation<'a>>,
}

/// The role-dependent half of the linear layers.
enum Linear<'m> {
    Client { lane: Box<ClientLane>, hint: &'m Hint },
    Server { lane: Box<ServerLane>, model: &'m ServerModel },
}

impl<'a> Lane<'a> {
    /// A lane of `samples` samples on a connected party.
    #[must_use]
    pub fn new(party: Party<'a>, samples: usize, reveal: Reveal) -> Self {
        Self { party, samples, reveal, costs: Vec::new(), largest_noise: 0.0, deviation: None }
    }

    /// Makes this party deviate from the protocol.
    #[must_use]
    pub fn deviating(mut self, deviation: Deviation<'a>) -> Self {
        self.deviation = Some(deviation);
        self
    }

    /// What each step cost so far; the first entry is the set-up.
    #[must_use]
    pub fn costs(&self) -> &[StepCost] {
        &self.costs
    }

    /// Largest decryption noise that the client met, as a share of Delta (0 on the server).
    #[must_use]
    pub fn largest_noise(&self) -> f64 {
        self.largest_noise
    }

    /// Runs the client's side on `images`, `[channel][sample][row][column]` modulo the ring of the input tensor.
    ///
    /// # Errors
    /// [`LaneError`].
    pub fn run_client(
        &mut self,
        model: &PublicModel,
        hint: &Hint,
        images: Wiped<u32>,
        rng: &mut impl CryptoRng,
        progress: &mut dyn FnMut(Progress<'_>),
    ) -> Result<Opened, LaneError> {
        if self.party.role() != Role::Client {
            return Err(LaneError::Misuse("run_client on a server's lane"));
        }
        if images.len() != model.program().tensors[model.program().input.0].shape.len() * self.samples {
            return Err(LaneError::Misuse("the images do not fill the lane's samples"));
        }
        let lane = Box::new(ClientLane::new(model.seed(), model.widest(), rng));
        let logits = self.walk(model, Linear::Client { lane, hint }, images, progress)?;
        self.open(model, logits, progress)?.ok_or(LaneError::Misuse("nothing was opened to the client"))
    }

    /// Runs the server's side.
    ///
    /// # Errors
    /// [`LaneError`].
    pub fn run_server(
        &mut self,
        model: &ServerModel,
        rng: &mut impl CryptoRng,
        progress: &mut dyn FnMut(Progress<'_>),
    ) -> Result<(), LaneError> {
        if self.party.role() != Role::Server {
            return Err(LaneError::Misuse("run_server on a client's lane"));
        }
        let public = model.public();
        let zeros = Wiped::new(public.program().tensors[public.program().input.0].shape.len() * self.samples);
        let lane = Box::new(ServerLane::new(public.widest().modulus_bits(), rng));
        let logits = self.walk(public, Linear::Server { lane, model }, zeros, progress)?;
        self.open(public, logits, progress).map(|_| ())
    }

    /// All steps; returns this party's share of the logits.
    fn walk(
        &mut self,
        model: &PublicModel,
        mut linear: Linear<'_>,
        input: Wiped<u32>,
        progress: &mut dyn FnMut(Progress<'_>),
    ) -> Result<Wiped<u32>, LaneError> {
        let program = model.program();
        let last_use = last_uses(&program.steps, program.logits, program.tensors.len());
        let mut tensors: Vec<Wiped<u32>> = program.tensors.iter().map(|_| Wiped::default()).collect();
        tensors[program.input.0] = input;
        self.book("set-up");
        for (index, (step, prepared)) in model.steps().enumerate() {
            let mut share = self.step(model, step, prepared, &tensors, &mut linear)?;
            if let Some(deviation) = &mut self.deviation {
                deviation(&step.name, self.samples, &mut share);
            }
            tensors[step.output.0] = share;
            for (tensor, &last) in tensors.iter_mut().zip(&last_use) {
                if last == index {
                    *tensor = Wiped::default();
                }
            }
            self.book(&step.name);
            self.report(index + 1, program.steps.len() + 1, &step.name, progress);
        }
        if let Linear::Client { lane, .. } = &linear {
            self.largest_noise = lane.largest_noise();
        }
        Ok(std::mem::take(&mut tensors[program.logits.0]))
    }

    fn step(
        &mut self,
        model: &PublicModel,
        step: &Step,
        prepared: &Prepared,
        tensors: &[Wiped<u32>],
        linear: &mut Linear<'_>,
    ) -> Result<Wiped<u32>, LaneError> {
        let spec = |id: TensorId| model.program().tensors[id.0];
        let shifted =
            |inputs: &'_ [(TensorId, u32)]| -> Vec<(&[u32], u32)> { inputs.iter().map(|&(id, shift)| (&*tensors[id.0], shift)).collect() };
        let output = spec(step.output);
        let mut out = match (&step.op, prepared) {
            (Op::Linear { terms, .. }, Prepared::Linear { layer, number, hint_offset }) => {
                let inputs: Vec<&[u32]> = terms.iter().map(|t| &*tensors[t.input.0]).collect();
                let before = self.party.enter(Phase::Linear);
                let fail = |error| linear_error(step, error);
                let channel = self.party.channel();
                let out = match linear {
                    Linear::Client { lane, hint } => {
                        lane.encrypt(layer, &inputs, self.samples, channel).map_err(fail)?;
                        lane.decrypt(layer, &hint.layer(layer, *hint_offset), self.samples, channel).map_err(fail)?
                    }
                    Linear::Server { lane, model } => {
                        let mut out = lane.multiply(&model.layers()[*number], &inputs, self.samples, channel).map_err(fail)?;
                        let area = self.samples * output.shape.area();
                        for (channel, &bias) in out.chunks_exact_mut(area).zip(model.bias(*number)) {
                            channel.iter_mut().for_each(|v| *v = v.wrapping_add(bias));
                        }
                        out
                    }
                };
                self.party.enter(before);
                out
            }
            (Op::Requantise { input, .. }, Prepared::Requantise(requantise)) => {
                requantise.run(&mut self.party, &tensors[input.0]).map_err(|e| protocol_error(&step.name, e))?
            }
            (Op::Add { inputs }, _) => local::add(&shifted(inputs), output.shape.len() * self.samples),
            (Op::Concat { inputs }, _) => local::concat(&shifted(inputs)),
            (Op::SumPool { input, pool }, _) => local::sum_pool(&tensors[input.0], spec(*input).shape, output.shape, pool),
            (Op::Flatten { input }, _) => local::flatten(&tensors[input.0], spec(*input).shape, self.samples),
            (Op::Linear { .. } | Op::Requantise { .. }, _) => return Err(LaneError::Misuse("a step was not prepared")),
        };
        let mask = mask32(output.ring.0);
        out.iter_mut().for_each(|v| *v &= mask);
        Ok(out)
    }

    /// The end: labels or logits to the client.
    fn open(
        &mut self,
        model: &PublicModel,
        logits: Wiped<u32>,
        progress: &mut dyn FnMut(Progress<'_>),
    ) -> Result<Option<Opened>, LaneError> {
        let program = model.program();
        let spec = program.tensors[program.logits.0];
        let window = program.logits_window;
        let shares = local::by_sample(&logits, self.samples);
        let classes = spec.shape.channels;
        let fail = |e| protocol_error("opening", e);
        let opened = match self.reveal {
            Reveal::Label => layers::classify(&mut self.party, &shares, classes, spec.ring, window).map_err(fail)?.map(Opened::Labels),
            Reveal::Logits => {
                let shares = layers::to_window(self.party.role(), &shares, window);
                let values = layers::open_to_client(&mut self.party, &shares, window.bits).map_err(fail)?;
                let signed = |v: u32| ((v << (32 - window.bits)) as i32) >> (32 - window.bits);
                values.map(|v| {
                    Opened::Logits(v.chunks_exact(classes).map(|s| Wiped::filled(classes, s.iter().map(|&v| signed(v)))).collect())
                })
            }
        };
        self.book("opening");
        self.report(program.steps.len() + 1, program.steps.len() + 1, "opening", progress);
        Ok(opened)
    }

    /// Books everything since the last call under `name`.
    fn book(&mut self, name: &str) {
        let ledger = self.party.ledger();
        let spent = self.costs.iter().fold(ledger, |rest, cost| rest.since(&cost.ledger));
        self.costs.push(StepCost { name: name.to_owned(), ledger: spent });
    }

    fn report(&mut self, done: usize, steps: usize, name: &str, progress: &mut dyn FnMut(Progress<'_>)) {
        let traffic = self.party.channel().traffic();
        progress(Progress { done, steps, name, traffic });
    }
}

fn linear_error(step: &Step, error: RlweError) -> LaneError {
    if let RlweError::Channel(error) = error {
        return LaneError::Channel(error);
    }
    LaneError::Linear { step: step.name.clone(), error }
}

fn protocol_error(step: &str, error: ProtocolError) -> LaneError {
    LaneError::Protocol { step: step.to_owned(), error }
}

/// Index of the last step that reads each tensor; tensors that are never dropped early get `usize::MAX`.
fn last_uses(steps: &[Step], logits: TensorId, tensors: usize) -> Vec<usize> {
    let mut last = vec![usize::MAX; tensors];
    for (index, step) in steps.iter().enumerate() {
        let mut read = |id: TensorId| last[id.0] = index;
        match &step.op {
            Op::Linear { terms, .. } => terms.iter().for_each(|t| read(t.input)),
            Op::Requantise { input, .. } | Op::SumPool { input, .. } | Op::Flatten { input } => read(*input),
            Op::Add { inputs } | Op::Concat { inputs } => inputs.iter().for_each(|&(id, _)| read(id)),
        }
    }
    last[logits.0] = usize::MAX;
    last
}
