//! The server's side: packed weights and the hint; [`ServerLane`] has the homomorphic products.

mod lane;

use fusion_ring::bits::pack::{SLACK, pack64_into};
use fusion_ring::gemm::{LimbRows, PackedWeights, Reduction};
use fusion_ring::poly::fft::{self, DEGREE, Small, Wide};
use fusion_ring::poly::residues::{Residues, ResiduesMut};
use fusion_ring::secret::Wiped;
use fusion_ring::symmetric::prg::AesPrg;
use rand_core::{CryptoRng, Rng};
use rayon::prelude::*;
use zeroize::Zeroizing;

pub use lane::ServerLane;

use crate::layer::Layer;
use crate::public::PublicPolynomial;
use crate::{RlweError, RlweParams, ServerKey, sample};

/// A layer with its weights, packed once and shared read-only between lanes.
pub struct ServerLayer {
    layer: Layer,
    key: ServerKey,
    /// One product per channel group.
    parts: Vec<PackedWeights>,
    /// First row of every phase inside a part.
    phase_rows: Vec<usize>,
}

impl ServerLayer {
    /// Packs `weights` (one array per term, ordered as [`crate::ConvGeometry`] says).
    ///
    /// # Errors
    /// [`RlweError::Weights`] for arrays of the wrong size or a row norm above the plan's.
    pub fn new(layer: Layer, weights: &[&[i16]], key: ServerKey) -> Result<Self, RlweError> {
        let terms = layer.layout().terms();
        if weights.len() != terms.len() || terms.iter().zip(weights).any(|(t, w)| t.weights() != w.len()) {
            return Err(RlweError::Weights("the arrays do not match the layer's terms".to_owned()));
        }
        check_norms(&layer, weights)?;
        let phases = &layer.layout().phases;
        let groups = layer.groups();
        let per_group = |phase: usize| layer.channels(phase) / groups;
        let mut phase_rows = Vec::with_capacity(phases.len());
        let mut taps: Vec<Vec<usize>> = Vec::new();
        let mut owner: Vec<(usize, usize)> = Vec::new();
        for (index, phase) in phases.iter().enumerate() {
            phase_rows.push(taps.len());
            let offsets: Vec<usize> = phase.taps.iter().map(|t| t.1).collect();
            // Rows are multiplied in pairs: an odd phase gets a row of zeros.
            for local in 0..per_group(index).next_multiple_of(2) {
                taps.push(offsets.clone());
                owner.push((index, local));
            }
        }
        let taps: Vec<&[usize]> = taps.iter().map(Vec::as_slice).collect();
        let reduction = Reduction::new(&taps);
        let outputs = layer.outputs() / groups;
        let parts = (0..groups)
            .map(|group| {
                PackedWeights::new(reduction.clone(), outputs, |output, row, tap| {
                    let (index, local) = owner[row];
                    if local >= per_group(index) {
                        return 0;
                    }
                    let phase = &phases[index];
                    let term = terms[phase.term];
                    let kernel = term.kernel.0 * term.kernel.1;
                    let at = ((group * outputs + output) * per_group(index) + local) * kernel + phase.taps[tap].0;
                    weights[phase.term][at]
                })
            })
            .collect::<Result<_, _>>()
            .map_err(|sum| RlweError::Weights(format!("a row of weights sums to {sum}, more than an accumulator holds")))?;
        Ok(Self { layer, key, parts, phase_rows })
    }

    /// The public part.
    #[must_use]
    pub fn layer(&self) -> &Layer {
        &self.layer
    }

    /// Sixteen-bit multiply-adds that the product for `samples` samples performs.
    #[must_use]
    pub fn limb_macs(&self, samples: usize) -> u64 {
        let bits = self.layer.params().modulus_bits();
        let spans = self.layer.layout().cut_outputs(samples).into_iter().map(|b| b.span().1);
        spans.map(|count| self.parts.iter().map(|p| p.limb_macs(count, bits)).sum::<u64>()).sum()
    }

    /// Makes the layer's hint h_j = sum W X^tau a_i + p u_j + e_j, rounded:
    /// `[output][coefficient]` at `hint_bits` bits.
    ///
    /// Uses the rayon pool. `rng` supplies the errors e_j.
    pub fn hint(&self, rng: &mut impl CryptoRng) -> Vec<u8> {
        let params = self.layer.params();
        let mut hint = Vec::with_capacity(self.layer.hint_bytes());
        for group in 0..self.parts.len() {
            let rows: Vec<Wiped<u8>> = self
                .exact_hint(group, rng)
                .into_par_iter()
                .map(|row| {
                    let mut packed = Wiped::with_capacity(self.layer.hint_row_bytes() + SLACK);
                    let rounded: Vec<u64> = row.iter().map(|&c| top_bits(c, params, params.hint_bits())).collect();
                    pack64_into(&mut packed, &rounded, params.hint_bits());
                    packed
                })
                .collect();
            rows.iter().for_each(|row| hint.extend_from_slice(row));
        }
        hint
    }

    /// The hint rows of one channel group before rounding, secret.
    fn exact_hint(&self, group: usize, rng: &mut impl CryptoRng) -> Vec<Wiped<u128>> {
        let params = self.layer.params();
        let mask = Wide::<4>::new(&self.layer.seed().polynomial(PublicPolynomial::Mask));
        let outputs = self.layer.outputs() / self.parts.len();
        let weights = &self.parts[group];
        let mut products = Residues::default();
        weights.multiply_parallel(&self.public_rows(group, weights), 0, DEGREE, &mut products);
        let seeds: Vec<Zeroizing<[u8; 16]>> = (0..outputs).map(|_| fresh_seed(rng)).collect();
        let rows = products.low.par_chunks_exact_mut(DEGREE).zip(products.high.par_chunks_exact_mut(DEGREE)).zip(seeds).enumerate();
        rows.map(|(output, ((low, high), seed))| {
            let mut masked = fft::Product::default();
            masked.set(&mask, &Small::new(&self.key.mask(self.layer.index(), group * outputs + output)));
            masked.add_to(0..DEGREE, 0, &mut ResiduesMut { low, high });
            let mut noise = Wiped::<i8>::new(DEGREE);
            sample::errors(&mut AesPrg::new(*seed), &mut noise);
            let sums = low.iter().zip(high).map(|(&low, &mut high)| u128::from(low) | u128::from(high) << 64).zip(noise.iter());
            Wiped::filled(DEGREE, sums.map(|(x, &e)| x.wrapping_add_signed(i128::from(e)) & params.modulus_mask()))
        })
        .collect()
    }

    /// The public polynomials of one group as rows that the product's shifts turn into X^tau a_i.
    fn public_rows(&self, group: usize, weights: &PackedWeights) -> LimbRows {
        let params = self.layer.params();
        let reach = self.layer.layout().reach();
        let mut rows = LimbRows::zeros(weights, params.modulus_bits(), DEGREE + reach);
        let mut a = Residues::default();
        for (phase, &first) in self.phase_rows.iter().enumerate() {
            let per_group = self.layer.channels(phase) / self.parts.len();
            for local in 0..per_group {
                self.layer.row_polynomial(phase, group * per_group + local, &mut a);
                // What wraps around X^N = -1 comes in from the left with the opposite sign.
                let wrapped = (DEGREE - reach..DEGREE).map(|at| a.get(at).wrapping_neg());
                let (low, high): (Vec<u64>, Vec<u64>) = wrapped.map(|c| (c as u64, (c >> 64) as u64)).unzip();
                rows.write(first + local, 0, &low, &high);
                rows.write(first + local, reach, &a.low, &a.high);
            }
        }
        rows
    }
}

/// The plan's norm bound must hold, or the noise budget would not.
fn check_norms(layer: &Layer, weights: &[&[i16]]) -> Result<(), RlweError> {
    let bound = 1u64 << (2 * layer.params().row_norm_bits());
    let outputs = layer.outputs();
    for output in 0..outputs {
        let rows = weights.iter().map(|w| &w[output * (w.len() / outputs)..(output + 1) * (w.len() / outputs)]);
        let norm: u64 = rows.flatten().map(|&w| u64::from(w.unsigned_abs()).pow(2)).sum();
        if norm > bound {
            return Err(RlweError::Weights(format!(
                "weight row {output} has norm {:.1}, above the planned 2^{}",
                (norm as f64).sqrt(),
                layer.params().row_norm_bits()
            )));
        }
    }
    Ok(())
}

fn fresh_seed(rng: &mut impl Rng) -> Zeroizing<[u8; 16]> {
    let mut seed = Zeroizing::new([0u8; 16]);
    rng.fill_bytes(&mut *seed);
    seed
}

/// The top `bits` bits of a coefficient, rounded to nearest.
fn top_bits(value: u128, params: RlweParams, bits: u32) -> u64 {
    let down = params.modulus_bits() - bits;
    let rounded = value.wrapping_add(1 << (down - 1)) & params.modulus_mask();
    (rounded >> down) as u64
}
