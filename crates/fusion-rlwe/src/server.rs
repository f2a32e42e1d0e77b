//! The server's side: packed weights, hint generation, homomorphic products.

use fusion_ring::channel::Channel;
use fusion_ring::fft::{self, DEGREE, Small, Wide};
use fusion_ring::gemm::{LimbRows, PackedWeights, Reduction};
use fusion_ring::halves::{Halves, HalvesMut};
use fusion_ring::pack::{mask32, pack64_into, read_wide};
use fusion_ring::prg::AesPrg;
use rand_core::{CryptoRng, Rng};
use rayon::prelude::*;

use zeroize::Zeroizing;

use crate::layer::{Layer, key_bytes};
use crate::layout::Block;
use crate::params::KEY_ROUNDING_BITS;
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

    /// Makes the layer's hint, `[output][coefficient]` at `hint_bits` bits: h_j = sum W X^tau a_i + p u_j + e_j, rounded.
    ///
    /// Uses the rayon pool. `rng` supplies the errors e_j.
    pub fn hint(&self, rng: &mut impl CryptoRng) -> Vec<u8> {
        let params = self.layer.params();
        let mut hint = Vec::with_capacity(self.layer.hint_bytes());
        for group in 0..self.parts.len() {
            let rows: Vec<Vec<u8>> = self
                .exact_hint(group, rng)
                .into_par_iter()
                .map(|row| {
                    let mut packed = Vec::with_capacity(self.layer.hint_row_bytes());
                    let rounded: Vec<u64> = row.iter().map(|&c| top_bits(c, params, params.hint_bits())).collect();
                    pack64_into(&mut packed, &rounded, params.hint_bits());
                    packed
                })
                .collect();
            rows.iter().for_each(|row| hint.extend_from_slice(row));
        }
        hint
    }

    /// The hint rows of one channel group before rounding.
    fn exact_hint(&self, group: usize, rng: &mut impl CryptoRng) -> Vec<Vec<u128>> {
        let params = self.layer.params();
        let mask = Wide::<4>::new(&self.layer.seed().polynomial(PublicPolynomial::Mask));
        let outputs = self.layer.outputs() / self.parts.len();
        let weights = &self.parts[group];
        let mut products = Halves::default();
        weights.multiply_parallel(&self.public_rows(group, weights), 0, DEGREE, &mut products);
        let seeds: Vec<[u8; 16]> = (0..outputs).map(|_| fresh_seed(rng)).collect();
        let rows = products.low.par_chunks_exact_mut(DEGREE).zip(products.high.par_chunks_exact_mut(DEGREE)).zip(seeds).enumerate();
        rows.map(|(output, ((low, high), seed))| {
            let mut masked = fft::Product::default();
            masked.set(&mask, &Small::new(&self.key.mask(self.layer.index(), group * outputs + output)));
            masked.add_to(0..DEGREE, 0, &mut HalvesMut { low, high });
            let mut noise = Zeroizing::new(vec![0i8; DEGREE]);
            sample::errors(&mut AesPrg::new(seed), &mut noise);
            let sums = low.iter().zip(high).map(|(&low, &mut high)| u128::from(low) | u128::from(high) << 64).zip(noise.iter());
            sums.map(|(x, &e)| x.wrapping_add_signed(i128::from(e)) & params.modulus_mask()).collect()
        })
        .collect()
    }

    /// The public polynomials of one group as rows that the product's shifts turn into X^tau a_i.
    fn public_rows(&self, group: usize, weights: &PackedWeights) -> LimbRows {
        let params = self.layer.params();
        let reach = self.layer.layout().reach();
        let mut rows = LimbRows::zeros(weights, params.modulus_bits(), DEGREE + reach);
        for (phase, &first) in self.phase_rows.iter().enumerate() {
            let per_group = self.layer.channels(phase) / self.parts.len();
            for local in 0..per_group {
                let a = self.layer.row_polynomial(phase, group * per_group + local);
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

fn fresh_seed(rng: &mut impl Rng) -> [u8; 16] {
    let mut seed = [0u8; 16];
    rng.fill_bytes(&mut seed);
    seed
}

/// The top `bits` bits of a coefficient, rounded to nearest.
fn top_bits(value: u128, params: RlweParams, bits: u32) -> u64 {
    let down = params.modulus_bits() - bits;
    let rounded = value.wrapping_add(1 << (down - 1)) & params.modulus_mask();
    (rounded >> down) as u64
}

/// The server's state of one lane: the keys of the client's blocks and the lane's randomness.
pub struct ServerLane {
    modulus_bits: u32,
    keys: Vec<BlockKey>,
    prg: AesPrg,
    memory: Memory,
}

/// What the layers of a lane use one after another.
#[derive(Default)]
struct Memory {
    rows: Vec<Vec<i32>>,
    products: Zeroizing<Halves>,
    masks: Vec<Small>,
    answers: Vec<u8>,
}

impl ServerLane {
    /// A lane of a model whose widest modulus is 2^`modulus_bits`.
    #[must_use]
    pub fn new(modulus_bits: u32, rng: &mut impl CryptoRng) -> Self {
        Self { modulus_bits, keys: Vec::new(), prg: AesPrg::new(fresh_seed(rng)), memory: Memory::default() }
    }

    /// Receives the client's encrypted shares, adds this party's `shares` (one tensor per term, `[channel][sample][row][column]`, values modulo
    /// 2^l), multiplies by the weights and sends the client's share of the product. Returns this party's share (without any bias),
    /// `[out channel][sample][row][column]` modulo 2^l.
    ///
    /// # Errors
    /// [`RlweError::Misuse`] for tensors of the wrong size, [`RlweError::Channel`] if the client goes away.
    pub fn multiply(
        &mut self,
        layer: &ServerLayer,
        shares: &[&[u32]],
        samples: usize,
        channel: &mut dyn Channel,
    ) -> Result<Vec<u32>, RlweError> {
        if layer.layer.params().modulus_bits() == RlweParams::NARROWEST_MODULUS_BITS {
            self.multiply_by(layer, shares, samples, channel, |key| &key.narrow)
        } else {
            self.multiply_by(layer, shares, samples, channel, |key| &key.wide)
        }
    }

    /// [`ServerLane::multiply`] with a key of P pieces of B bits.
    fn multiply_by<const P: usize, const B: u32>(
        &mut self,
        layer: &ServerLayer,
        shares: &[&[u32]],
        samples: usize,
        channel: &mut dyn Channel,
        pieces: impl Fn(&BlockKey) -> &Wide<P, B>,
    ) -> Result<Vec<u32>, RlweError> {
        layer.layer.check_inputs(shares, samples)?;
        let blocks = layer.layer.layout().cut(samples);
        let area = samples * layer.layer.layout().output().area();
        let mut product = Product::new(layer, &blocks, std::mem::take(&mut self.memory));
        let mut out = vec![0u32; layer.layer.outputs() * area];
        // Answers wait until every request is in: the client may still be sending, and nobody may block on both directions.
        product.answers.clear();
        let mut ends = vec![0];
        for (index, block) in blocks.iter().enumerate() {
            if index == self.keys.len() {
                let bytes = channel.recv_vec(key_bytes(self.modulus_bits))?;
                let mut key = Halves::default();
                key.resize(DEGREE);
                read_wide(&bytes, self.modulus_bits as usize / 8, &mut key.low, &mut key.high);
                self.keys.push(BlockKey::new(&key));
            }
            product.receive(shares, samples, block, channel)?;
            product.answer(pieces(&self.keys[index]), block, &mut self.prg, area, &mut out);
            ends.push(product.answers.len());
        }
        self.memory = product.into_memory();
        for answer in ends.windows(2) {
            channel.send(&self.memory.answers[answer[0]..answer[1]])?;
        }
        channel.flush()?;
        Ok(out)
    }
}

/// The key k of one block, ready for products with the masks u_j.
struct BlockKey {
    /// k modulo 2^88 without its lowest [`KEY_ROUNDING_BITS`] bits. Two pieces of 41 bits hold the product exactly because k is
    /// uniform ([`fusion_ring::fft`] has the deviation of their rounding errors); a miss would be an error of 2^7 or 2^48, which flooding covers.
    narrow: Wide<2, 41>,
    /// k in full, for layers of a wider modulus.
    wide: Wide<4>,
}

impl BlockKey {
    fn new(key: &Halves) -> Self {
        let rounded = (0..DEGREE).map(|at| key.get(at).wrapping_add(1 << (KEY_ROUNDING_BITS - 1)) >> KEY_ROUNDING_BITS & NARROW_KEY);
        let (low, high) = rounded.map(|k| (k as u64, (k >> 64) as u64)).unzip();
        Self { narrow: Wide::new(&Halves { low, high }), wide: Wide::new(key) }
    }
}

/// Bits of a rounded key.
const NARROW_KEY: u128 = (1 << (RlweParams::NARROWEST_MODULUS_BITS - KEY_ROUNDING_BITS)) - 1;

/// Buffers of one layer's product, with a key of P pieces of B bits.
struct Product<'a, const P: usize, const B: u32> {
    layer: &'a ServerLayer,
    rows: Vec<LimbRows>,
    products: Zeroizing<Halves>,
    /// Transforms of the masks u_j, kept only where several blocks use them.
    masks: Vec<Small>,
    keep_masks: bool,
    /// Masks that are of this layer.
    masks_made: usize,
    masked: fft::Product<P, B>,
    /// Packed answers to the blocks so far.
    answers: Vec<u8>,
}

impl<'a, const P: usize, const B: u32> Product<'a, P, B> {
    fn new(layer: &'a ServerLayer, blocks: &[Block], memory: Memory) -> Self {
        let bits = layer.layer.params().modulus_bits();
        // No output reads beyond its own coefficient, and few samples of a small image fill little of a block.
        let length = blocks.iter().map(|b| b.span().0 + b.span().1).max().unwrap_or(0);
        let mut spare = memory.rows.into_iter();
        let rows = layer.parts.iter().map(|weights| LimbRows::unset_in(spare.next().unwrap_or_default(), weights, bits, length)).collect();
        Self {
            layer,
            rows,
            products: memory.products,
            masks: memory.masks,
            keep_masks: blocks.len() > 1,
            masks_made: 0,
            masked: fft::Product::default(),
            answers: memory.answers,
        }
    }

    fn into_memory(self) -> Memory {
        Memory {
            rows: self.rows.into_iter().map(LimbRows::into_memory).collect(),
            products: self.products,
            masks: self.masks,
            answers: self.answers,
        }
    }

    fn receive(&mut self, shares: &[&[u32]], samples: usize, block: &Block, channel: &mut dyn Channel) -> Result<(), RlweError> {
        let layer = &self.layer.layer;
        let params = layer.params();
        let (width, mask) = (params.coefficient_bytes(), mask32(params.plain_bits()));
        let (mut bytes, mut own, mut sums) = (Vec::new(), Zeroizing::new(Vec::new()), Zeroizing::new(Halves::default()));
        let sums = &mut *sums;
        for (phase, cells) in block.cells.iter().enumerate() {
            let term = layer.layout().phases[phase].term;
            let size = layer.layout().terms()[term].input.area() * samples;
            let per_group = layer.channels(phase) / self.rows.len();
            bytes.resize(cells.len() * width, 0);
            sums.resize(cells.len());
            for index in 0..layer.channels(phase) {
                channel.recv(&mut bytes)?;
                read_wide(&bytes, width, &mut sums.low, &mut sums.high);
                cells.gather(&shares[term][index * size..(index + 1) * size], mask, &mut own);
                sums.as_mut().add_shifted(&own, params.delta_bits());
                let rows = &mut self.rows[index / per_group];
                let row = self.layer.phase_rows[phase] + index % per_group;
                let mut from = 0;
                for run in &cells.runs {
                    let part = from..from + run.len();
                    rows.write(row, run.start, &sums.low[part.clone()], &sums.high[part]);
                    from += run.len();
                }
            }
        }
        Ok(())
    }

    /// Multiplies one block, masks it and splits off this party's share. Appends the packed answer.
    fn answer(&mut self, key: &Wide<P, B>, block: &Block, prg: &mut AesPrg, area: usize, out: &mut [u32]) {
        // Eight rows of any length and width are whole bytes.
        const ROWS: usize = 8;
        let params = self.layer.layer.params();
        let (each, outputs) = (block.outputs.len(), self.layer.layer.outputs());
        let mut top = vec![0u64; ROWS * each];
        let down = params.modulus_bits() - params.answer_bits();
        let mask = mask32(params.plain_bits());
        let mut packed = std::mem::take(&mut self.answers);
        self.masked(key, block, params.flood_uniform_bits(), prg, |j, at, mut values, prg| {
            let len = values.low.len();
            let shares = &mut out[j * area + block.first_output + at..][..len];
            prg.fill_words(mask, shares);
            values.subtract_shifted(shares, params.delta_bits());
            let row = j % ROWS;
            values.rounded_bits(down, params.answer_bits(), &mut top[row * each + at..][..len]);
            if at + len == each && (row + 1 == ROWS || j + 1 == outputs) {
                pack64_into(&mut packed, &top[..(row + 1) * each], params.answer_bits());
            }
        });
        self.answers = packed;
    }

    /// The re-randomised and flooded product of one block: `each` gets every output channel's number and its coefficients at the output positions, some at a time, with the
    /// place of the first.
    fn masked(
        &mut self,
        key: &Wide<P, B>,
        block: &Block,
        flood_bits: u32,
        prg: &mut AesPrg,
        mut each: impl FnMut(usize, usize, HalvesMut<'_>, &mut AesPrg),
    ) {
        let layer = &self.layer.layer;
        let (first, count) = block.span();
        let start = first.saturating_sub(layer.layout().reach());
        let per_part = layer.outputs() / self.rows.len();
        let contiguous = block.outputs.len() == count;
        // Rows a power of two apart would meet in the same sets of every cache.
        let pitch = count.next_multiple_of(16) + 8;
        let mut values = Zeroizing::new(Halves::default());
        let values = &mut *values;
        values.resize(block.outputs.len());
        let mut mask = Small::default();
        // Only the key of the narrowest modulus was rounded.
        let rounding = if layer.params().modulus_bits() == RlweParams::NARROWEST_MODULUS_BITS { KEY_ROUNDING_BITS } else { 0 };
        for (part, weights) in self.layer.parts.iter().enumerate() {
            let together = weights.outputs_together(&self.rows[part]);
            for output in 0..per_part {
                if output % together == 0 {
                    let some = output..per_part.min(output + together);
                    weights.multiply_outputs(&self.rows[part], some, start, count, pitch, &mut self.products);
                }
                let j = part * per_part + output;
                if self.keep_masks {
                    if self.masks.len() == j {
                        self.masks.push(Small::default());
                    }
                    if self.masks_made == j {
                        self.masks[j].set(&self.layer.key.mask(layer.index(), j));
                        self.masks_made += 1;
                    }
                    self.masked.set(key, &self.masks[j]);
                } else {
                    mask.set(&self.layer.key.mask(layer.index(), j));
                    self.masked.set(key, &mask);
                }
                let range = output % together * pitch..output % together * pitch + count;
                let Halves { low, high } = &mut *self.products;
                let mut row = HalvesMut { low: &mut low[range.clone()], high: &mut high[range] };
                if !contiguous {
                    self.masked.add_to(first..first + count, rounding, &mut row);
                    for ((low, high), &p) in values.low.iter_mut().zip(&mut values.high).zip(&block.outputs) {
                        (*low, *high) = (row.low[usize::from(p) - first], row.high[usize::from(p) - first]);
                    }
                    row = values.as_mut();
                }
                let parts = row.low.chunks_mut(IN_CACHE).zip(row.high.chunks_mut(IN_CACHE));
                for ((low, high), at) in parts.zip((0..).step_by(IN_CACHE)) {
                    let mut part = HalvesMut { low, high };
                    if contiguous {
                        self.masked.add_to(first + at..first + at + part.low.len(), rounding, &mut part);
                    }
                    part.add_four_uniforms(prg, flood_bits);
                    each(j, at, part, prg);
                }
            }
        }
    }
}

/// Coefficients that stay in the first-level cache from one step to the next.
const IN_CACHE: usize = 1024;

#[cfg(test)]
mod circuit_privacy;
