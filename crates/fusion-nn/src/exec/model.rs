//! What each party knows of a model before a lane starts. Built once, shared read-only by all
//! lanes.

use std::collections::BTreeSet;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

use fusion_rlwe::{HintSource, Layer, Precision, PublicSeed, RlweError, SelfTest, ServerKey, ServerLayer};
use rand_chacha::ChaCha20Rng;
use rand_core::{CryptoRng, SeedableRng};
use rayon::prelude::*;
use zeroize::Zeroizing;

use super::error::LaneError;
use crate::layers::{Evaluate, Multiply, Requantise};
use fusion_model::program::{Op, Program, Step, TensorId, Weights};

/// The public side of a model: its program with every step prepared.
#[derive(Debug, Clone)]
pub struct PublicModel {
    program: Program,
    seed: PublicSeed,
    prepared: Vec<Prepared>,
    hint_bytes: usize,
}

/// What a step needs beside its description.
#[derive(Debug, Clone)]
pub(super) enum Prepared {
    /// A linear layer.
    Linear(PreparedLinear),
    /// A requantisation.
    Requantise(Requantise),
    /// A function of every number.
    Evaluate(Evaluate),
    /// A product.
    Multiply(Multiply),
    /// Steps without communication.
    Local,
}

/// A linear step, prepared.
#[derive(Debug, Clone)]
pub(super) struct PreparedLinear {
    pub(super) layer: Layer,
    /// Its number among the linear layers.
    pub(super) number: usize,
    /// Where its hint begins.
    pub(super) hint_offset: usize,
}

impl PublicModel {
    /// Prepares every step of a validated `program`. `seed` chooses the public polynomials.
    ///
    /// # Errors
    /// [`LaneError::Step`] naming the step whose parameters, noise budget or layout do not work
    /// out.
    pub fn new(program: Program, seed: PublicSeed) -> Result<Self, LaneError> {
        program.validate().map_err(LaneError::Program)?;
        let mut prepared = Vec::with_capacity(program.steps.len());
        let (mut number, mut hint_bytes) = (0, 0);
        for step in &program.steps {
            let fail = |error: &dyn std::fmt::Display| LaneError::Step { step: step.name.clone(), reason: error.to_string() };
            prepared.push(match &step.op {
                Op::Linear { terms, row_norm, upload_bits, hint_bits, .. } => {
                    let ring = program.tensors[step.output.0].ring.0;
                    let precision = Precision::new(ring, *upload_bits, *hint_bits).map_err(|e| fail(&e))?;
                    let geometries: Vec<_> = terms.iter().map(|t| t.geometry).collect();
                    let layer = Layer::new(seed, number as u32, &geometries, precision, *row_norm).map_err(|e| fail(&e))?;
                    let hint_offset = hint_bytes;
                    hint_bytes += layer.hint_bytes();
                    number += 1;
                    Prepared::Linear(PreparedLinear { layer, number: number - 1, hint_offset })
                }
                Op::Requantise { input, window, pool, activation } => {
                    let spec = program.tensors[input.0];
                    let output = program.tensors[step.output.0].ring;
                    let requantise = Requantise::new(spec.shape, spec.ring, *window, pool.as_ref(), *activation, output);
                    Prepared::Requantise(requantise.map_err(|e| fail(&e))?)
                }
                Op::Piecewise { input, window, function } => {
                    let (spec, output) = (program.tensors[input.0], program.tensors[step.output.0].ring);
                    Prepared::Evaluate(Evaluate::new(spec.shape, spec.ring, *window, function, output).map_err(|e| fail(&e))?)
                }
                Op::Multiply { input, factor, factor_bits } => {
                    let shape = |id: &TensorId| program.tensors[id.0].shape;
                    let output = program.tensors[step.output.0].ring;
                    Prepared::Multiply(Multiply::new(shape(input), shape(factor), *factor_bits, output).map_err(|e| fail(&e))?)
                }
                Op::Add { .. } | Op::Concat { .. } | Op::SumPool { .. } | Op::Select { .. } | Op::Flatten { .. } => Prepared::Local,
            });
        }
        if number == 0 {
            return Err(LaneError::Misuse("a program has at least one linear step"));
        }
        Ok(Self { program, seed, prepared, hint_bytes })
    }

    /// The program.
    #[must_use]
    pub fn program(&self) -> &Program {
        &self.program
    }

    /// Bytes of the whole hint: the hints of all linear layers in step order.
    #[must_use]
    pub fn hint_bytes(&self) -> usize {
        self.hint_bytes
    }

    /// The linear layers in step order.
    pub fn layers(&self) -> impl Iterator<Item = &Layer> {
        self.prepared.iter().filter_map(|p| match p {
            Prepared::Linear(linear) => Some(&linear.layer),
            Prepared::Requantise(_) | Prepared::Evaluate(_) | Prepared::Multiply(_) | Prepared::Local => None,
        })
    }

    pub(super) fn seed(&self) -> PublicSeed {
        self.seed
    }

    pub(super) fn steps(&self) -> impl Iterator<Item = (&Step, &Prepared)> {
        self.program.steps.iter().zip(&self.prepared)
    }
}

/// The hint of a whole model, in memory or in a file, shared by all lanes.
pub struct Hint {
    bytes: HintBytes,
}

enum HintBytes {
    Memory(Vec<u8>),
    File(File),
}

impl Hint {
    /// A hint in memory.
    ///
    /// # Errors
    /// [`LaneError::HintSize`] for the hint of another model.
    pub fn from_bytes(model: &PublicModel, bytes: Vec<u8>) -> Result<Self, LaneError> {
        let got = bytes.len() as u64;
        Self { bytes: HintBytes::Memory(bytes) }.checked(model, got)
    }

    /// A hint in a file, read row by row when it is needed. The file must not change while lanes
    /// run: a changed hint makes wrong answers.
    ///
    /// # Errors
    /// [`LaneError::HintSize`] for the hint of another model, [`LaneError::HintFile`] if the file
    /// cannot be opened.
    pub fn open(model: &PublicModel, path: &Path) -> Result<Self, LaneError> {
        let fail = |e: std::io::Error| LaneError::HintFile { path: path.display().to_string(), reason: e.to_string() };
        let file = File::open(path).map_err(fail)?;
        let got = file.metadata().map_err(fail)?.len();
        Self { bytes: HintBytes::File(file) }.checked(model, got)
    }

    fn checked(self, model: &PublicModel, got: u64) -> Result<Self, LaneError> {
        let expected = model.hint_bytes as u64;
        if got == expected { Ok(self) } else { Err(LaneError::HintSize { expected, got }) }
    }

    pub(super) fn layer(&self, step: &PreparedLinear) -> LayerHint<'_> {
        LayerHint { bytes: &self.bytes, offset: step.hint_offset, len: step.layer.hint_bytes() }
    }
}

/// The part of a hint that belongs to one layer.
pub(super) struct LayerHint<'a> {
    bytes: &'a HintBytes,
    offset: usize,
    len: usize,
}

impl HintSource for LayerHint<'_> {
    fn len(&self) -> usize {
        self.len
    }

    fn read(&self, offset: usize, row: &mut [u8]) -> Result<(), RlweError> {
        match self.bytes {
            HintBytes::Memory(bytes) => bytes.read(self.offset + offset, row),
            HintBytes::File(file) => file.read_exact_at(row, (self.offset + offset) as u64).map_err(|e| RlweError::HintRead(e.to_string())),
        }
    }
}

/// The server's side of a model: weights packed for the kernels. Secret.
pub struct ServerModel {
    public: PublicModel,
    layers: Vec<ServerLayer>,
}

impl ServerModel {
    /// Packs `weights` under `key`.
    ///
    /// # Errors
    /// [`LaneError::Step`] naming the linear step whose weights do not match the program.
    pub fn new(public: PublicModel, weights: &Weights, key: &ServerKey) -> Result<Self, LaneError> {
        if weights.linear.len() != public.layers().count() {
            return Err(LaneError::Misuse("one set of weights per linear step"));
        }
        let mut layers = Vec::with_capacity(weights.linear.len());
        for (step, prepared) in public.steps() {
            let Prepared::Linear(PreparedLinear { layer, number, .. }) = prepared else { continue };
            let own = &weights.linear[*number];
            let fail = |reason: String| LaneError::Step { step: step.name.clone(), reason };
            let terms: Vec<&[i16]> = own.terms.iter().map(Vec::as_slice).collect();
            let served = ServerLayer::new(layer.clone(), &terms, &own.bias, key.clone());
            layers.push(served.map_err(|e: RlweError| fail(e.to_string()))?);
        }
        Ok(Self { public, layers })
    }

    /// The public side.
    #[must_use]
    pub fn public(&self) -> &PublicModel {
        &self.public
    }

    /// The layers with their weights.
    #[must_use]
    pub fn layers(&self) -> &[ServerLayer] {
        &self.layers
    }

    /// Plays both parties of every linear layer and compares the noise with the plan: of all
    /// outputs, or of `outputs` random ones a layer. Uses the rayon pool.
    ///
    /// # Errors
    /// [`LaneError::Linear`] naming the first layer whose hint, weights and noise do not belong
    /// together.
    pub fn self_test(&self, hint: &Hint, outputs: Option<usize>, rng: &mut impl CryptoRng) -> Result<Vec<SelfTest>, LaneError> {
        let steps = self.public.steps().filter_map(|(step, prepared)| match prepared {
            Prepared::Linear(linear) => Some((step, linear)),
            Prepared::Requantise(_) | Prepared::Evaluate(_) | Prepared::Multiply(_) | Prepared::Local => None,
        });
        let jobs: Vec<_> = steps
            .map(|(step, linear)| {
                let all = linear.layer.outputs();
                let mut rows = BTreeSet::new();
                while rows.len() < outputs.unwrap_or(all).min(all) {
                    // All of them need no drawing.
                    rows.insert(if outputs.is_some() { (rng.next_u64() % all as u64) as usize } else { rows.len() });
                }
                let rows: Vec<usize> = rows.into_iter().collect();
                let mut seed = Zeroizing::new([0; 32]);
                rng.fill_bytes(&mut *seed);
                (step, linear, rows, seed)
            })
            .collect();
        let tests = jobs.par_iter().map(|(step, linear, rows, seed)| {
            let test = self.layers[linear.number].self_test(&hint.layer(linear), rows, &mut ChaCha20Rng::from_seed(**seed));
            test.map_err(|error| LaneError::linear(&step.name, error))
        });
        tests.collect()
    }

    /// Makes the whole hint, layer by layer; `done` is told the bytes made after each layer. Uses
    /// the rayon pool.
    pub fn hint(&self, rng: &mut impl CryptoRng, mut done: impl FnMut(usize)) -> Vec<u8> {
        let mut hint = Vec::with_capacity(self.public.hint_bytes);
        for layer in &self.layers {
            hint.extend_from_slice(&layer.hint(rng));
            done(hint.len());
        }
        hint
    }
}
