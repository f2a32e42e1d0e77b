//! The server's side: packed weights and the hint; [`ServerLane`] has the homomorphic products.

mod lane;
mod self_test;

use fusion_ring::bits::pack::{SLACK, pack_into};
use fusion_ring::gemm::{PackedWeights, Reduction, WordRows};
use fusion_ring::poly::fft::{DEGREE, Product, Small, Wide};
use fusion_ring::poly::words;
use fusion_ring::secret::Wiped;
use fusion_ring::symmetric::prg::AesPrg;
use rand_core::CryptoRng;
use rayon::prelude::*;
use zeroize::Zeroizing;

pub use lane::ServerLane;
pub use self_test::SelfTest;

use crate::layer::Layer;
use crate::precision::MODULUS_BITS;
use crate::public::PublicPolynomial;
use crate::{RlweError, ServerKey, sample};

/// A layer with its weights, packed once and shared read-only between lanes.
pub struct ServerLayer {
    layer: Layer,
    key: ServerKey,
    /// One product per channel group.
    parts: Vec<PackedWeights>,
    /// First row of every phase inside a part.
    phase_rows: Vec<usize>,
    /// Euclidean norm of the weights of every output.
    norms: Vec<f64>,
    /// Biases by output, as words.
    biases: Wiped<u32>,
    /// Mean of the weighted rounding errors of ciphertexts, by output: rounding half up adds half a
    /// word to every coefficient, and the sum of a row's weights can be large.
    corrections: Wiped<u32>,
}

impl ServerLayer {
    /// Packs `weights` (one array per term, ordered as [`crate::ConvGeometry`] says) and a bias for
    /// every output channel, modulo 2^l.
    ///
    /// # Errors
    /// [`RlweError::Weights`] for arrays of the wrong size, or a row norm above the plan's.
    pub fn new(layer: Layer, weights: &[&[i16]], bias: &[i64], key: ServerKey) -> Result<Self, RlweError> {
        let terms = layer.layout().terms();
        if weights.len() != terms.len() || terms.iter().zip(weights).any(|(t, w)| t.weights() != w.len()) {
            return Err(RlweError::Weights("the arrays do not match the layer's terms".to_owned()));
        }
        if bias.len() != layer.outputs() {
            return Err(RlweError::Weights(format!("{} biases for {} output channels", bias.len(), layer.outputs())));
        }
        let norms = norms(&layer, weights)?;
        let up = MODULUS_BITS - layer.precision().ring_bits();
        // Two's complement modulo 2^32.
        let biases = Wiped::filled(bias.len(), bias.iter().map(|&bias| (bias as u32) << up));
        let corrections = corrections(&layer, weights);
        let (phases, groups) = (&layer.layout().phases, layer.groups());
        let per_group: Vec<usize> = phases.iter().map(|phase| layer.layout().rows_per_group(phase, groups)).collect();
        let mut phase_rows = Vec::with_capacity(phases.len());
        let mut taps: Vec<Vec<usize>> = Vec::new();
        let mut owner: Vec<(usize, usize)> = Vec::new();
        for (index, phase) in phases.iter().enumerate() {
            phase_rows.push(taps.len());
            let offsets: Vec<usize> = phase.taps.iter().map(|t| t.1).collect();
            // Rows are multiplied in pairs: an odd phase gets a row of zeros.
            for local in 0..per_group[index].next_multiple_of(2) {
                taps.push(offsets.clone());
                owner.push((index, local));
            }
        }
        let taps: Vec<&[usize]> = taps.iter().map(Vec::as_slice).collect();
        let reduction = Reduction::new(&taps);
        let outputs = layer.outputs() / groups;
        let part = |group: usize| {
            PackedWeights::new(reduction.clone(), outputs, |output, row, tap| {
                let (index, local) = owner[row];
                if local >= per_group[index] {
                    return 0;
                }
                let phase = &phases[index];
                let kernel = terms[phase.term].kernel;
                let at = ((group * outputs + output) * per_group[index] + local) * kernel.0 * kernel.1 + phase.taps[tap].0;
                weights[phase.term][at]
            })
        };
        let parts = (0..groups).map(part).collect();
        Ok(Self { layer, key, parts, phase_rows, norms, biases, corrections })
    }

    /// The public part.
    #[must_use]
    pub fn layer(&self) -> &Layer {
        &self.layer
    }

    /// Sixteen-bit multiply-adds that the product for `samples` samples performs.
    #[must_use]
    pub fn macs(&self, samples: usize) -> u64 {
        let spans = self.layer.layout().cut_outputs(samples).into_iter().map(|b| b.span().1);
        spans.map(|count| self.parts.iter().map(|p| p.macs(count)).sum::<u64>()).sum()
    }

    /// Makes the layer's hint h_j = sum W X^tau a_i + p u_j + e_j, rounded:
    /// `[output][coefficient]` at `hint_bits` bits.
    ///
    /// Uses the rayon pool. `rng` supplies the errors e_j.
    pub fn hint(&self, rng: &mut impl CryptoRng) -> Vec<u8> {
        let bits = self.layer.precision().hint_bits();
        let mut hint = Vec::with_capacity(self.layer.hint_bytes());
        for group in 0..self.parts.len() {
            let mut exact = self.exact_hint(group, rng);
            let rows = exact.par_chunks_exact_mut(DEGREE).map(|row| {
                words::round_to_top(row, bits);
                let mut packed = Wiped::with_capacity(self.layer.hint_row_bytes() + SLACK);
                pack_into(&mut packed, row, bits);
                packed
            });
            rows.collect::<Vec<_>>().iter().for_each(|row| hint.extend_from_slice(row));
        }
        hint
    }

    /// The hint rows of one channel group before rounding, secret.
    fn exact_hint(&self, group: usize, rng: &mut impl CryptoRng) -> Wiped<u32> {
        let mask = Wide::new(&self.layer.seed().polynomial(PublicPolynomial::Mask));
        let outputs = self.layer.outputs() / self.parts.len();
        let weights = &self.parts[group];
        let mut products = Wiped::default();
        weights.multiply_parallel(&self.public_rows(group, weights), 0, DEGREE, &mut products);
        let seeds: Vec<Zeroizing<[u8; 16]>> = (0..outputs).map(|_| fresh_seed(rng)).collect();
        products.par_chunks_exact_mut(DEGREE).zip(seeds).enumerate().for_each(|(output, (row, seed))| {
            let mut masked = Product::default();
            masked.set(&mask, &Small::new(&self.key.mask(self.layer.index(), group * outputs + output)));
            masked.add_to(0, row);
            let mut errors = Wiped::<i8>::new(DEGREE);
            sample::errors(&mut AesPrg::new(*seed), &mut errors);
            words::add_small(row, &errors);
        });
        products
    }

    /// The public polynomials of one group as rows that the product's shifts turn into X^tau a_i.
    fn public_rows(&self, group: usize, weights: &PackedWeights) -> WordRows {
        let reach = self.layer.layout().reach();
        let mut rows = WordRows::zeros(weights, DEGREE + reach);
        let mut a = Vec::new();
        for (phase, &first) in self.phase_rows.iter().enumerate() {
            for (local, channel) in self.rows_of_group(phase, group).enumerate() {
                self.layer.row_polynomial(phase, channel, &mut a);
                // What wraps around X^N = -1 comes in from the left with the opposite sign.
                let wrapped: Vec<u32> = a[DEGREE - reach..].iter().map(|c| c.wrapping_neg()).collect();
                rows.write(first + local, 0, &wrapped);
                rows.write(first + local, reach, &a);
            }
        }
        rows
    }

    /// The group of channels that reads a row of a phase.
    fn group_of_row(&self, phase: usize, row: usize) -> usize {
        let layout = self.layer.layout();
        row / layout.rows_per_group(&layout.phases[phase], self.parts.len())
    }

    /// The rows of a phase that a group of channels reads.
    fn rows_of_group(&self, phase: usize, group: usize) -> std::ops::Range<usize> {
        let layout = self.layer.layout();
        let per_group = layout.rows_per_group(&layout.phases[phase], self.parts.len());
        group * per_group..(group + 1) * per_group
    }
}

/// The weights of one output, in all terms.
fn row(weights: &[&[i16]], outputs: usize, output: usize) -> impl Iterator<Item = i16> {
    weights.iter().flat_map(move |w| &w[output * (w.len() / outputs)..(output + 1) * (w.len() / outputs)]).copied()
}

/// The norms of the rows, which must not be above the plan's, or the noise would be.
fn norms(layer: &Layer, weights: &[&[i16]]) -> Result<Vec<f64>, RlweError> {
    let outputs = layer.outputs();
    let square = |output: usize| row(weights, outputs, output).map(|w| u64::from(w.unsigned_abs()).pow(2)).sum::<u64>();
    let bound = u64::from(layer.row_norm()).pow(2);
    (0..outputs)
        .map(|output| match square(output) {
            square if square > bound => Err(RlweError::Weights(format!(
                "weight row {output} has norm {:.1}, above the planned {}",
                (square as f64).sqrt(),
                layer.row_norm()
            ))),
            square => Ok((square as f64).sqrt()),
        })
        .collect()
}

/// See [`ServerLayer::corrections`].
fn corrections(layer: &Layer, weights: &[&[i16]]) -> Wiped<u32> {
    let outputs = layer.outputs();
    let sum = |output: usize| row(weights, outputs, output).map(i64::from).sum::<i64>();
    let rounded = layer.precision().upload_bits() < MODULUS_BITS;
    // Two's complement modulo 2^32.
    Wiped::filled(outputs, (0..outputs).map(|output| if rounded { (sum(output) >> 1) as u32 } else { 0 }))
}

fn fresh_seed(rng: &mut impl CryptoRng) -> Zeroizing<[u8; 16]> {
    let mut seed = Zeroizing::new([0u8; 16]);
    rng.fill_bytes(&mut *seed);
    seed
}
