//! One linear layer: the public description that both parties hold.

use fusion_ring::bits::pack::packed_len;
use fusion_ring::poly::fft::DEGREE;
use fusion_ring::poly::residues::Residues;

use crate::layout::{Block, Layout};
use crate::public::{PublicPolynomial, PublicSeed};
use crate::{ConvGeometry, RlweError, RlweParams};

/// A linear layer as the model card describes it: layout, parameters and public polynomials.
#[derive(Debug, Clone)]
pub struct Layer {
    index: u32,
    seed: PublicSeed,
    params: RlweParams,
    layout: Layout,
}

impl Layer {
    /// Layer number `index` of the model with the public `seed`: the sum of `terms`. Numbers must
    /// differ between layers of one model, because they choose the public polynomials.
    ///
    /// # Errors
    /// [`RlweError::Layout`] if the convolutions do not fit together.
    pub fn new(seed: PublicSeed, index: u32, terms: &[ConvGeometry], params: RlweParams) -> Result<Self, RlweError> {
        let layout = Layout::new(terms)?;
        if terms.iter().any(|t| t.groups != terms[0].groups) {
            return Err(RlweError::Layout("the terms of a linear layer have different numbers of groups".to_owned()));
        }
        Ok(Self { index, seed, params, layout })
    }

    /// Parameters.
    #[must_use]
    pub fn params(&self) -> RlweParams {
        self.params
    }

    /// Layout in streams.
    #[must_use]
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// Number of the layer.
    #[must_use]
    pub fn index(&self) -> u32 {
        self.index
    }

    pub(crate) fn seed(&self) -> PublicSeed {
        self.seed
    }

    pub(crate) fn outputs(&self) -> usize {
        self.layout.output().channels
    }

    pub(crate) fn groups(&self) -> usize {
        self.layout.terms()[0].groups
    }

    /// Input channels of a phase's term.
    pub(crate) fn channels(&self, phase: usize) -> usize {
        self.layout.terms()[self.layout.phases[phase].term].input.channels
    }

    /// The public polynomial of channel `channel` of phase `phase`, see
    /// [`PublicSeed::polynomial_to`].
    pub(crate) fn row_polynomial(&self, phase: usize, channel: usize, out: &mut Residues) {
        let row = (self.layout.phases[phase].first_row + channel) as u32;
        self.seed.polynomial_to(PublicPolynomial::Row { layer: self.index, row }, out);
    }

    /// Bytes of one row of the hint.
    pub(crate) fn hint_row_bytes(&self) -> usize {
        packed_len(DEGREE, self.params.hint_bits())
    }

    /// Bytes of the layer's hint: one row per output channel.
    #[must_use]
    pub fn hint_bytes(&self) -> usize {
        self.hint_row_bytes() * self.outputs()
    }

    /// Bytes that the client sends for `samples` samples, without the keys of new blocks.
    #[must_use]
    pub fn bytes_up(&self, samples: usize) -> u64 {
        let rows = |block: &Block| -> usize { block.cells.iter().enumerate().map(|(i, c)| c.len() * self.channels(i)).sum() };
        self.layout.cut(samples).iter().map(|b| (rows(b) * self.params.coefficient_bytes()) as u64).sum()
    }

    /// Bytes that the server sends for `samples` samples.
    #[must_use]
    pub fn bytes_down(&self, samples: usize) -> u64 {
        self.layout.cut_outputs(samples).iter().map(|b| self.answer_bytes(b) as u64).sum()
    }

    /// Bytes of the answer to one block.
    pub(crate) fn answer_bytes(&self, block: &Block) -> usize {
        packed_len(block.outputs.len() * self.outputs(), self.params.answer_bits())
    }

    /// Checks that `inputs` hold `samples` samples of every term.
    pub(crate) fn check_inputs(&self, inputs: &[&[u32]], samples: usize) -> Result<(), RlweError> {
        let terms = self.layout.terms();
        let fits = inputs.len() == terms.len() && terms.iter().zip(inputs).all(|(t, x)| x.len() == t.input.len() * samples);
        if fits { Ok(()) } else { Err(RlweError::Misuse("input tensors do not match the layer's terms and samples")) }
    }
}

/// Bytes of the key that the client sends once per block of a lane.
#[must_use]
pub const fn key_bytes(modulus_bits: u32) -> usize {
    DEGREE * modulus_bits as usize / 8
}
