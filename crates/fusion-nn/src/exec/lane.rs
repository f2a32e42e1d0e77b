//! One lane: a party's walk through the steps of a program.

use std::marker::PhantomData;

use fusion_model::program::{Op, Step, TensorId};
use fusion_ot::functionality::{RandomOtReceiver, RandomOtSender};
use fusion_ring::channel::Channel;
use fusion_rlwe::{ClientLane, Input, ServerLane};
use rand_core::CryptoRng;

use super::account::{Progress, StepCost};
use super::error::LaneError;
use super::input::{LaneInput, server_tensor};
use super::linear::{ClientLinear, LinearSteps, ServerLinear};
use super::local;
use super::model::{Hint, Prepared, PublicModel, ServerModel};
use super::opened::{Opened, Reveal, mask_logits, opened_window};
use super::side::{Client, Server, Side};
use crate::layers::{self, Cut, LaneTerms, Ledger, Party, Phase, Role, TensorWords};

/// A way of deviating from the protocol: told the step's name and the number of samples, it may
/// change this party's words of the step's result, `[channel][sample][row][column]`. A number is at
/// the top of its word. For tests and demonstrations of what verification catches.
pub type Deviation<'a> = Box<dyn FnMut(&str, usize, &mut [u32]) + 'a>;

/// One lane of one party, connected and ready to run once. A run consumes its lane, so that a lane
/// that failed cannot go on:
///
/// ```compile_fail,E0382
/// use fusion_nn::exec::{Lane, Server, ServerModel};
/// # fn example(lane: Lane<'_, Server>, model: &ServerModel, rng: &mut rand_chacha::ChaCha20Rng) {
/// let _ = lane.run(model, rng, &mut |_| ());
/// let _ = lane.run(model, rng, &mut |_| ());
/// # }
/// ```
///
/// The party is in the type: a server's lane takes no hint and no images.
///
/// ```compile_fail,E0061
/// use fusion_nn::exec::{Hint, Lane, LaneInput, PublicModel, Server};
/// # use rand_chacha::ChaCha20Rng;
/// # type ClientHas<'a> = (&'a PublicModel, &'a Hint, LaneInput);
/// # fn example(lane: Lane<'_, Server>, rng: &mut ChaCha20Rng, of_client: ClientHas<'_>) {
/// let (model, hint, input) = of_client;
/// let _ = lane.run(model, hint, input, rng, &mut |_| ());
/// # }
/// ```
pub struct Lane<'a, S: Side> {
    party: Party<'a>,
    samples: usize,
    reveal: Reveal,
    costs: Vec<StepCost>,
    /// The account when the last step was booked.
    booked: Ledger,
    deviation: Option<Deviation<'a>>,
    side: PhantomData<S>,
}

/// What a lane that came to its end leaves.
pub struct Finished<'a, S: Side> {
    /// What was opened to this party.
    pub opened: S::Opened,
    /// What each step cost; the first entry is the set-up, the last the opening.
    pub costs: Vec<StepCost>,
    /// What the lane ran on.
    pub connection: Connection<'a, S>,
}

/// The channel and the oblivious transfers of a lane that came to its end.
pub struct Connection<'a, S: Side> {
    party: Party<'a>,
    side: PhantomData<S>,
}

impl<'a, S: Side> Connection<'a, S> {
    fn new(party: Party<'a>) -> Self {
        Self { party, side: PhantomData }
    }

    /// Another lane without another set-up. The peer must do the same.
    #[must_use]
    pub fn lane(mut self, samples: usize, reveal: Reveal) -> Lane<'a, S> {
        let booked = self.party.ledger();
        Lane::new(self.party, booked, samples, reveal)
    }
}

impl<'a, S: Side> Lane<'a, S> {
    /// A lane of `samples` samples, connected as by [`Party::connect`].
    ///
    /// # Errors
    /// [`LaneError::SetUp`].
    pub fn connect(
        lane_request: &[u8],
        samples: usize,
        reveal: Reveal,
        terms: LaneTerms,
        channel: Box<dyn Channel + 'a>,
        rng: &mut impl CryptoRng,
    ) -> Result<Self, LaneError> {
        let party = Party::connect(S::ROLE, lane_request, terms, channel, rng).map_err(LaneError::SetUp)?;
        Ok(Self::new(party, Ledger::default(), samples, reveal))
    }

    /// A lane on oblivious transfers that are set up already: `sender` is connected to the peer's
    /// `receiver` and the other way round.
    #[must_use]
    pub fn on(
        channel: Box<dyn Channel + 'a>,
        sender: Box<dyn RandomOtSender + 'a>,
        receiver: Box<dyn RandomOtReceiver + 'a>,
        samples: usize,
        reveal: Reveal,
    ) -> Self {
        Self::new(Party::new(S::ROLE, channel, sender, receiver), Ledger::default(), samples, reveal)
    }

    /// Sets how layers are cut. The peer must cut alike.
    #[must_use]
    pub fn with_cut(mut self, cut: Cut) -> Self {
        self.party = self.party.with_cut(cut);
        self
    }

    /// `party` is of the role of this side.
    fn new(party: Party<'a>, booked: Ledger, samples: usize, reveal: Reveal) -> Self {
        Self { party, samples, reveal, costs: Vec::new(), booked, deviation: None, side: PhantomData }
    }
}

impl<'a> Lane<'a, Client> {
    /// Runs the client's side on the images of `input`.
    ///
    /// # Errors
    /// [`LaneError`]; the lane is gone.
    pub fn run(
        mut self,
        model: &PublicModel,
        hint: &Hint,
        input: LaneInput,
        rng: &mut impl CryptoRng,
        progress: &mut dyn FnMut(Progress<'_>),
    ) -> Result<Finished<'a, Client>, LaneError> {
        let input = input.into_tensor(model.program(), self.samples)?;
        let mut linear = ClientLinear { lane: ClientLane::new(model.seed(), rng), hint };
        let logits = self.walk(model, &mut linear, input, progress)?;
        let opened = self.open(model, &logits, rng, progress)?.ok_or(LaneError::Misuse("nothing was opened to the client"))?;
        Ok(Finished { opened, costs: self.costs, connection: Connection::new(self.party) })
    }
}

impl<'a> Lane<'a, Server> {
    /// Makes the server deviate from the protocol.
    #[must_use]
    pub fn deviating(mut self, deviation: Deviation<'a>) -> Self {
        self.deviation = Some(deviation);
        self
    }

    /// Runs the server's side.
    ///
    /// # Errors
    /// [`LaneError`]; the lane is gone.
    pub fn run(
        mut self,
        model: &ServerModel,
        rng: &mut impl CryptoRng,
        progress: &mut dyn FnMut(Progress<'_>),
    ) -> Result<Finished<'a, Server>, LaneError> {
        let public = model.public();
        let input = server_tensor(public.program(), self.samples)?;
        let mut linear = ServerLinear { lane: ServerLane::new(), model };
        let logits = self.walk(public, &mut linear, input, progress)?;
        self.open(public, &logits, rng, progress)?;
        Ok(Finished { opened: (), costs: self.costs, connection: Connection::new(self.party) })
    }
}

impl<'a, S: Side> Lane<'a, S> {
    /// Shows every step's words to `watch`, on either side.
    #[cfg(test)]
    pub(super) fn watched(mut self, watch: Deviation<'a>) -> Self {
        self.deviation = Some(watch);
        self
    }

    /// All steps; returns this party's words of the logits.
    fn walk(
        &mut self,
        model: &PublicModel,
        linear: &mut dyn LinearSteps,
        input: TensorWords,
        progress: &mut dyn FnMut(Progress<'_>),
    ) -> Result<TensorWords, LaneError> {
        let program = model.program();
        let last_use = last_uses(&program.steps, program.logits, program.tensors.len());
        let mut tensors: Vec<TensorWords> = program.tensors.iter().map(|_| TensorWords::nothing()).collect();
        tensors[program.input.0] = input;
        self.book("set-up");
        for (index, (step, prepared)) in model.steps().enumerate() {
            let mut tensor = self.step(model, step, prepared, &tensors, linear)?;
            if let Some(deviation) = &mut self.deviation {
                deviation(&step.name, self.samples, tensor.words_mut());
            }
            tensors[step.output.0] = tensor;
            for (tensor, &last) in tensors.iter_mut().zip(&last_use) {
                if last == index {
                    *tensor = TensorWords::nothing();
                }
            }
            self.book(&step.name);
            self.report(index + 1, program.steps.len() + 1, &step.name, progress);
        }
        Ok(std::mem::replace(&mut tensors[program.logits.0], TensorWords::nothing()))
    }

    fn step(
        &mut self,
        model: &PublicModel,
        step: &Step,
        prepared: &Prepared,
        tensors: &[TensorWords],
        linear: &mut dyn LinearSteps,
    ) -> Result<TensorWords, LaneError> {
        let spec = |id: TensorId| model.program().tensors[id.0];
        let shifted = |inputs: &'_ [(TensorId, u32)]| -> Vec<(&TensorWords, u32)> {
            inputs.iter().map(|&(id, shift)| (&tensors[id.0], shift)).collect()
        };
        let output = spec(step.output);
        match (&step.op, prepared) {
            (Op::Linear { terms, .. }, Prepared::Linear(prepared)) => {
                let words = |id: TensorId| Input { words: tensors[id.0].words(), ring: tensors[id.0].ring().0 };
                let inputs: Vec<Input<'_>> = terms.iter().map(|t| words(t.input)).collect();
                let before = self.party.enter(Phase::Linear);
                let out = linear.run(prepared, &inputs, self.samples, self.party.channel());
                self.party.enter(before);
                Ok(TensorWords::of_linear(out.map_err(|e| LaneError::linear(&step.name, e))?, output.ring))
            }
            (Op::Requantise { input, .. }, Prepared::Requantise(requantise)) => {
                let shares = requantise.run(&mut self.party, &tensors[input.0]);
                shares.map(TensorWords::from_shares).map_err(|e| LaneError::protocol(&step.name, e))
            }
            (Op::Piecewise { input, .. }, Prepared::Evaluate(evaluate)) => {
                evaluate.run(&mut self.party, &tensors[input.0]).map_err(|e| LaneError::protocol(&step.name, e))
            }
            (Op::Multiply { input, factor, .. }, Prepared::Multiply(multiply)) => {
                multiply.run(&mut self.party, &tensors[input.0], &tensors[factor.0]).map_err(|e| LaneError::protocol(&step.name, e))
            }
            (Op::Select { input, channels }, _) => {
                let each = spec(*input).shape.area() * self.samples;
                Ok(local::select(&tensors[input.0], each, channels, output.ring))
            }
            (Op::Add { inputs }, _) => Ok(local::add(&shifted(inputs), output.shape.len() * self.samples, output.ring)),
            (Op::Concat { inputs }, _) => Ok(local::concat(&shifted(inputs), output.ring)),
            (Op::SumPool { input, pool }, _) => Ok(local::sum_pool(&tensors[input.0], spec(*input).shape, &output, pool)),
            (Op::Flatten { input }, _) => Ok(local::flatten(&tensors[input.0], spec(*input).shape, self.samples, output.ring)),
            (Op::Linear { .. } | Op::Requantise { .. } | Op::Piecewise { .. } | Op::Multiply { .. }, _) => {
                Err(LaneError::Misuse("a step was not prepared"))
            }
        }
    }

    /// The end: labels or logits to the client.
    fn open(
        &mut self,
        model: &PublicModel,
        logits: &TensorWords,
        rng: &mut impl CryptoRng,
        progress: &mut dyn FnMut(Progress<'_>),
    ) -> Result<Option<Opened>, LaneError> {
        let program = model.program();
        let window = program.logits_window;
        let mut logits = local::by_sample(logits, self.samples);
        let classes = program.tensors[program.logits.0].shape.channels;
        let party = &mut self.party;
        let opened = match self.reveal {
            Reveal::Label => layers::classify(party, &logits, classes, window).map(|labels| labels.map(Opened::Labels)),
            Reveal::Logits { bits } => {
                let window = opened_window(window, bits)?;
                if party.role() == Role::Server {
                    mask_logits(&mut logits, window, rng);
                }
                let shares = layers::to_window(party.role(), &logits, window);
                let opened = shares.and_then(|shares| layers::open_to_client(party, &shares));
                opened.map(|logits| logits.map(|logits| Opened::logits(&logits, classes)))
            }
        };
        let opened = opened.map_err(|e| LaneError::protocol("opening", e))?;
        self.book("opening");
        self.report(program.steps.len() + 1, program.steps.len() + 1, "opening", progress);
        Ok(opened)
    }

    /// Books everything since the last call under `name`.
    fn book(&mut self, name: &str) {
        let ledger = self.party.ledger();
        self.costs.push(StepCost { name: name.to_owned(), ledger: ledger.since(&self.booked) });
        self.booked = ledger;
    }

    fn report(&mut self, done: usize, steps: usize, name: &str, progress: &mut dyn FnMut(Progress<'_>)) {
        progress(Progress { done, steps, name, traffic: self.party.traffic() });
    }
}

/// Index of the last step that reads each tensor; tensors that are never dropped early get
/// `usize::MAX`.
pub(super) fn last_uses(steps: &[Step], logits: TensorId, tensors: usize) -> Vec<usize> {
    let mut last = vec![usize::MAX; tensors];
    for (index, step) in steps.iter().enumerate() {
        step.op.inputs().into_iter().for_each(|id| last[id.0] = index);
    }
    last[logits.0] = usize::MAX;
    last
}
