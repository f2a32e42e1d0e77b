//! One linear layer: the public description that both parties hold.

use fusion_ring::bits::pack::packed_len;
use fusion_ring::poly::fft::DEGREE;

use crate::layout::Layout;
use crate::public::{PublicPolynomial, PublicSeed};
use crate::{ConvGeometry, Precision, RlweError};

/// A linear layer as the model card describes it: layout, widths and public polynomials.
#[derive(Debug, Clone)]
pub struct Layer {
    index: u32,
    seed: PublicSeed,
    precision: Precision,
    row_norm: u32,
    layout: Layout,
}

/// One party's words of a tensor that a layer reads, `[channel][sample][row][column]`.
#[derive(Clone, Copy)]
pub struct Input<'a> {
    /// The words.
    pub words: &'a [u32],
    /// Width l' of their ring in bits: a number x is x * 2^(32 - l'). At least the layer's.
    pub ring: u32,
}

impl Layer {
    /// Layer number `index` of the model with the public `seed`: the sum of `terms` and a bias.
    /// Numbers must differ between layers of one model, because they choose the public polynomials.
    /// No row of weights has a larger Euclidean norm than `row_norm`.
    ///
    /// # Errors
    /// [`RlweError::Layout`] if the convolutions do not fit together.
    pub fn new(seed: PublicSeed, index: u32, terms: &[ConvGeometry], precision: Precision, row_norm: u32) -> Result<Self, RlweError> {
        let layout = Layout::new(terms)?;
        if terms.iter().any(|t| t.groups != terms[0].groups) {
            return Err(RlweError::Layout("the terms of a linear layer have different numbers of groups".to_owned()));
        }
        Ok(Self { index, seed, precision, row_norm, layout })
    }

    /// The widths.
    #[must_use]
    pub fn precision(&self) -> Precision {
        self.precision
    }

    /// The bound on the norm of a row of weights.
    #[must_use]
    pub fn row_norm(&self) -> u32 {
        self.row_norm
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

    /// Output channels: rows of the hint.
    #[must_use]
    pub fn outputs(&self) -> usize {
        self.layout.output().channels
    }

    pub(crate) fn groups(&self) -> usize {
        self.layout.terms()[0].groups
    }

    /// Rows of a phase.
    pub(crate) fn channels(&self, phase: usize) -> usize {
        self.layout.terms()[self.layout.phases[phase].term].input.channels
    }

    /// The public polynomial of row `channel` of phase `phase`, into a reused buffer.
    pub(crate) fn row_polynomial(&self, phase: usize, channel: usize, out: &mut Vec<u32>) {
        let row = (self.layout.phases[phase].first_row + channel) as u32;
        self.seed.polynomial_to(PublicPolynomial::Row { layer: self.index, row }, out);
    }

    /// Bytes of one row of the hint.
    #[must_use]
    pub fn hint_row_bytes(&self) -> usize {
        packed_len(DEGREE, self.precision.hint_bits())
    }

    /// Bytes of the layer's hint: one row per output channel.
    #[must_use]
    pub fn hint_bytes(&self) -> usize {
        self.hint_row_bytes() * self.outputs()
    }

    /// Bytes of the key that the client sends with every block.
    #[must_use]
    pub fn key_bytes(&self) -> usize {
        packed_len(DEGREE, self.precision.key_bits())
    }

    /// Bytes that the client sends for `samples` samples: a key and the ciphertexts of every block.
    /// The server sends nothing.
    #[must_use]
    pub fn bytes_up(&self, samples: usize) -> u64 {
        let row = |cells: usize| packed_len(cells, self.precision.upload_bits()) as u64;
        let blocks = self.layout.cut(samples);
        let rows = blocks.iter().flat_map(|b| b.cells.iter().enumerate()).map(|(i, c)| row(c.len()) * self.channels(i) as u64);
        rows.sum::<u64>() + (blocks.len() * self.key_bytes()) as u64
    }

    /// Checks that `inputs` hold `samples` samples of every term in rings that are wide enough.
    pub(crate) fn check_inputs(&self, inputs: &[Input<'_>], samples: usize) -> Result<(), RlweError> {
        let terms = self.layout.terms();
        let fits = inputs.len() == terms.len() && terms.iter().zip(inputs).all(|(t, x)| x.words.len() == t.input.len() * samples);
        if !fits {
            return Err(RlweError::Misuse("input tensors do not match the layer's terms and samples"));
        }
        if inputs.iter().any(|input| !(self.precision.ring_bits()..=32).contains(&input.ring)) {
            return Err(RlweError::Misuse("an input tensor has a narrower ring than the layer"));
        }
        Ok(())
    }

    /// The shift that brings the words of `input` to the layer's ring.
    pub(crate) fn shift(&self, input: &Input<'_>) -> u32 {
        input.ring - self.precision.ring_bits()
    }
}

fusion_ring::opaque!(Input<'_>);
