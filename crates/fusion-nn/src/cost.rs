//! What a program will cost: bytes, OTs and round trips per step, predicted from public numbers
//! alone.
//!
//! Linear steps and layer protocols state their own cost to the byte ([`fusion_rlwe::Layer`],
//! [`layers::cost`](crate::layers::cost)); this module adds them up over a program. The silent
//! extension makes random OTs in large batches, so their traffic is predicted from its rate per OT:
//! right for many samples, and the only part that is not exact.

use fusion_ot::functionality::ChoiceBits;
use fusion_ot::silent::{ExtensionSize, Parameters};
use fusion_rlwe::{Layer, Precision, PublicSeed, RlweError};
use serde::Serialize;

use crate::layers::cost::{Total, classify};
use crate::layers::{Cut, Evaluate, LaneTerms, Multiply, ProtocolError, Requantise};
use fusion_model::program::{Op, Program, ProgramError, TensorId};

/// Traffic of silent extensions of this size for so many OTs, both directions, in bytes.
#[must_use]
pub fn silent_bytes(binary_ots: u64, m_ary_ots: u64, size: ExtensionSize) -> f64 {
    let bits = |m| Parameters::new(m, size).bits_per_output();
    // The widths above one bit differ by a hundredth of a bit.
    (binary_ots as f64 * bits(ChoiceBits::ONE) + m_ary_ots as f64 * bits(ChoiceBits::FOUR)) / 8.0
}

/// Why there is no prediction.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum CostError {
    /// The program is invalid.
    #[error(transparent)]
    Program(#[from] ProgramError),
    /// A linear step has impossible widths or no layout.
    #[error("layer `{step}`: {error}")]
    Linear {
        /// Its name.
        step: String,
        /// Why.
        error: RlweError,
    },
    /// A requantisation or the argmax is impossible.
    #[error("step `{step}`: {error}")]
    Protocol {
        /// Its name.
        step: String,
        /// Why.
        error: ProtocolError,
    },
}

/// Predicted cost of one step for all samples of a lane.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct StepCost {
    /// The step's name.
    pub step: String,
    /// `linear`, `requantise`, `argmax` or `local`.
    pub kind: &'static str,
    /// Bytes that the client sends, random OTs apart.
    pub client_to_server: u64,
    /// Bytes that the server sends, random OTs apart.
    pub server_to_client: u64,
    /// Random 1-of-2^m OTs with m > 1.
    pub m_ary_ots: u64,
    /// Random 1-of-2 OTs.
    pub binary_ots: u64,
    /// Round trips: how often the client sends and then waits for the server.
    pub rounds: u64,
    /// Multiplications of the float network's linear layer.
    pub multiplications: u64,
    /// Bytes of the layer's hint, once per model.
    pub hint_bytes: u64,
}

/// Predicted cost of one lane, marginal: without base OTs.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Prediction {
    /// Samples of the lane.
    pub samples: usize,
    /// The terms of the lane.
    #[serde(skip)]
    pub terms: LaneTerms,
    /// Per step, in order, the argmax last.
    pub steps: Vec<StepCost>,
}

/// Predicted bytes of one lane by phase, both directions.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct PhaseBytes {
    /// Linear steps: client to server only.
    pub linear: u64,
    /// Activation functions, pooling, products, requantisation.
    pub requantise: u64,
    /// Argmax and opening.
    pub argmax: u64,
    /// Random OTs.
    pub random_ot: u64,
}

impl Prediction {
    /// Bytes by phase.
    #[must_use]
    pub fn by_phase(&self) -> PhaseBytes {
        let sum = |kind: &str, of: fn(&StepCost) -> u64| self.steps.iter().filter(|s| s.kind == kind).map(of).sum::<u64>();
        let both = |s: &StepCost| s.client_to_server + s.server_to_client;
        let ots = |of: fn(&StepCost) -> u64| self.steps.iter().map(of).sum::<u64>();
        PhaseBytes {
            linear: sum("linear", both),
            requantise: sum("requantise", both),
            argmax: sum("argmax", both),
            random_ot: silent_bytes(ots(|s| s.binary_ots), ots(|s| s.m_ary_ots), self.terms.extension) as u64,
        }
    }

    /// Bytes of the lane, both directions.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        let p = self.by_phase();
        p.linear + p.requantise + p.argmax + p.random_ot
    }

    /// Bytes per sample, both directions.
    #[must_use]
    pub fn bytes_per_sample(&self) -> u64 {
        self.bytes() / self.samples.max(1) as u64
    }

    /// Bytes of the hint, once per model.
    #[must_use]
    pub fn hint_bytes(&self) -> u64 {
        self.steps.iter().map(|s| s.hint_bytes).sum()
    }
}

/// Predicts one lane of `samples` samples that reveals labels.
///
/// # Errors
/// The program is invalid or a step of it cannot be run; the error names the step.
pub fn predict(program: &Program, samples: usize, terms: LaneTerms) -> Result<Prediction, CostError> {
    program.validate()?;
    let cut = Cut::from(terms.split);
    let mut steps = Vec::with_capacity(program.steps.len() + 1);
    for step in &program.steps {
        let output = program.tensors[step.output.0];
        let mut cost = StepCost::local(&step.name);
        let protocol = |error| CostError::Protocol { step: step.name.clone(), error };
        match &step.op {
            Op::Linear { terms, row_norm, upload_bits, hint_bits, .. } => {
                let fail = |error| CostError::Linear { step: step.name.clone(), error };
                let precision = Precision::new(output.ring.0, *upload_bits, *hint_bits).map_err(fail)?;
                let geometries: Vec<_> = terms.iter().map(|t| t.geometry).collect();
                // The layout does not depend on the seed or the layer's number.
                let layer = Layer::new(PublicSeed([0; 32]), 0, &geometries, precision, *row_norm).map_err(fail)?;
                let taps = terms.iter().map(|t| t.geometry.weights() / t.geometry.out_channels).sum::<usize>();
                cost.kind = "linear";
                cost.client_to_server = layer.bytes_up(samples);
                cost.multiplications = (taps * output.shape.len() * samples) as u64;
                cost.hint_bytes = layer.hint_bytes() as u64;
            }
            Op::Requantise { input, window, pool, activation } => {
                let spec = program.tensors[input.0];
                let requantise =
                    Requantise::new(spec.shape, spec.ring, *window, pool.as_ref(), *activation, output.ring).map_err(protocol)?;
                cost.kind = "requantise";
                cost.add(requantise.cost(samples, cut));
            }
            Op::Piecewise { input, window, function } => {
                let spec = program.tensors[input.0];
                let evaluate = Evaluate::new(spec.shape, spec.ring, *window, function, output.ring).map_err(protocol)?;
                cost.kind = "requantise";
                cost.add(evaluate.cost(samples, cut));
            }
            Op::Multiply { input, factor, factor_bits } => {
                let shape = |id: &TensorId| program.tensors[id.0].shape;
                let multiply = Multiply::new(shape(input), shape(factor), *factor_bits, output.ring).map_err(protocol)?;
                cost.kind = "requantise";
                cost.add(multiply.cost(samples, cut));
            }
            Op::Add { .. } | Op::SumPool { .. } | Op::Concat { .. } | Op::Select { .. } | Op::Flatten { .. } => {}
        }
        steps.push(cost);
    }
    let spec = program.tensors[program.logits.0];
    let total = classify(samples, spec.shape.channels, spec.ring, program.logits_window, cut)
        .map_err(|error| CostError::Protocol { step: "argmax".to_owned(), error })?;
    let mut argmax = StepCost { kind: "argmax", ..StepCost::local("argmax") };
    argmax.add(total);
    steps.push(argmax);
    Ok(Prediction { samples, terms, steps })
}

impl StepCost {
    fn local(name: &str) -> Self {
        Self {
            step: name.to_owned(),
            kind: "local",
            client_to_server: 0,
            server_to_client: 0,
            m_ary_ots: 0,
            binary_ots: 0,
            rounds: 0,
            multiplications: 0,
            hint_bytes: 0,
        }
    }

    fn add(&mut self, total: Total) {
        self.client_to_server += total.client_to_server;
        self.server_to_client += total.server_to_client;
        self.m_ary_ots += total.m_ary_ots;
        self.binary_ots += total.binary_ots;
        self.rounds += total.rounds;
    }
}
