//! The server's products of one lane, block by block.

use fusion_ring::bits::pack::{SLACK, mask32, pack64_into, read_wide};
use fusion_ring::channel::Channel;
use fusion_ring::gemm::LimbRows;
use fusion_ring::poly::fft::{self, DEGREE, Small, Wide};
use fusion_ring::poly::residues::{Residues, ResiduesMut};
use fusion_ring::secret::Wiped;
use fusion_ring::symmetric::prg::AesPrg;
use rand_core::CryptoRng;
use zeroize::{Zeroize, ZeroizeOnDrop};

use super::{ServerLayer, fresh_seed};
use crate::layer::key_bytes;
use crate::layout::Block;
use crate::params::KEY_ROUNDING_BITS;
use crate::{RlweError, RlweParams};

/// The server's state of one lane: the keys of the client's blocks and the lane's randomness.
pub struct ServerLane {
    modulus_bits: u32,
    keys: Vec<BlockKey>,
    prg: AesPrg,
    memory: Memory,
}

/// Buffers that the layers of a lane use one after another.
#[derive(Default)]
struct Memory {
    /// Ciphertexts with this party's shares added: whoever has both knows the shares.
    rows: Vec<Wiped<i32>>,
    products: Residues,
    masks: Vec<Small>,
    answers: Wiped<u8>,
}

impl ServerLane {
    /// A lane of a model whose widest modulus is 2^`modulus_bits`.
    #[must_use]
    pub fn new(modulus_bits: u32, rng: &mut impl CryptoRng) -> Self {
        Self { modulus_bits, keys: Vec::new(), prg: AesPrg::new(*fresh_seed(rng)), memory: Memory::default() }
    }

    /// Receives the client's encrypted shares, adds this party's `shares` (one tensor per term,
    /// `[channel][sample][row][column]`, values modulo 2^l), multiplies by the weights and sends
    /// the client's share of the product. Returns this party's share (without any bias),
    /// `[out channel][sample][row][column]` modulo 2^l.
    ///
    /// # Errors
    /// [`RlweError::Misuse`] for tensors of the wrong size, [`RlweError::Channel`] if the client
    /// goes away.
    pub fn multiply(
        &mut self,
        layer: &ServerLayer,
        shares: &[&[u32]],
        samples: usize,
        channel: &mut dyn Channel,
    ) -> Result<Wiped<u32>, RlweError> {
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
    ) -> Result<Wiped<u32>, RlweError> {
        layer.layer.check_inputs(shares, samples)?;
        let blocks = layer.layer.layout().cut(samples);
        let area = samples * layer.layer.layout().output().area();
        let mut product = Product::new(layer, &blocks, std::mem::take(&mut self.memory));
        let mut out = Wiped::new(layer.layer.outputs() * area);
        // Answers wait until every request is in: the client may still be sending, and two parties
        // that both block on a send would wait forever.
        product.answers.resize(0);
        product.answers.reserve(blocks.iter().map(|block| layer.layer.answer_bytes(block)).sum::<usize>() + SLACK);
        let mut ends = vec![0];
        for (index, block) in blocks.iter().enumerate() {
            if index == self.keys.len() {
                let mut bytes = Wiped::<u8>::new(key_bytes(self.modulus_bits));
                channel.recv(&mut bytes)?;
                let mut key = Residues::default();
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

/// The key k of one block, ready for products with the masks u_j. Wiped on drop.
#[derive(Zeroize, ZeroizeOnDrop)]
struct BlockKey {
    /// k modulo 2^88 without its lowest [`KEY_ROUNDING_BITS`] bits. Two pieces of 41 bits hold the
    /// product exactly because k is uniform ([`fusion_ring::poly::fft`] has the deviation of their
    /// rounding errors); a miss would be an error of 2^7 or 2^48, which flooding covers.
    narrow: Wide<2, 41>,
    /// k in full, for layers of a wider modulus.
    wide: Wide<4>,
}

impl BlockKey {
    fn new(key: &Residues) -> Self {
        let rounded = (0..DEGREE).map(|at| key.get(at).wrapping_add(1 << (KEY_ROUNDING_BITS - 1)) >> KEY_ROUNDING_BITS & NARROW_KEY);
        let mut narrow = Residues::default();
        narrow.resize(DEGREE);
        for ((low, high), k) in narrow.low.iter_mut().zip(narrow.high.iter_mut()).zip(rounded) {
            (*low, *high) = (k as u64, (k >> 64) as u64);
        }
        Self { narrow: Wide::new(&narrow), wide: Wide::new(key) }
    }
}

/// Bits of a rounded key.
const NARROW_KEY: u128 = (1 << (RlweParams::NARROWEST_MODULUS_BITS - KEY_ROUNDING_BITS)) - 1;

/// Buffers of one layer's product, with a key of P pieces of B bits.
struct Product<'a, const P: usize, const B: u32> {
    layer: &'a ServerLayer,
    rows: Vec<LimbRows>,
    products: Residues,
    /// Transforms of the masks u_j, kept only where several blocks use them.
    masks: Vec<Small>,
    keep_masks: bool,
    /// How many of `masks` belong to this layer.
    masks_made: usize,
    masked: fft::Product<P, B>,
    /// Packed answers to the blocks so far.
    answers: Wiped<u8>,
}

impl<'a, const P: usize, const B: u32> Product<'a, P, B> {
    fn new(layer: &'a ServerLayer, blocks: &[Block], memory: Memory) -> Self {
        let bits = layer.layer.params().modulus_bits();
        // No output reads beyond its own coefficient, so the rows may end at the last output: few
        // samples of a small image fill little of a block.
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
        let (mut bytes, mut own, mut sums) = (Vec::new(), Wiped::default(), Residues::default());
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
                sums.as_mut().add_shifted(&own, params.scale_bits());
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
        let mut top = Wiped::<u64>::new(ROWS * each);
        let down = params.modulus_bits() - params.answer_bits();
        let mask = mask32(params.plain_bits());
        let mut packed = std::mem::take(&mut self.answers);
        self.masked(key, block, params.flood_uniform_bits(), prg, |j, at, mut values, prg| {
            let len = values.low.len();
            let shares = &mut out[j * area + block.first_output + at..][..len];
            prg.fill_words(mask, shares);
            values.subtract_shifted(shares, params.scale_bits());
            let row = j % ROWS;
            values.rounded_bits(down, params.answer_bits(), &mut top[row * each + at..][..len]);
            if at + len == each && (row + 1 == ROWS || j + 1 == outputs) {
                pack64_into(&mut packed, &top[..(row + 1) * each], params.answer_bits());
            }
        });
        self.answers = packed;
    }

    /// The re-randomised and flooded product of one block. `each` gets the number of an output
    /// channel, the index of its first output in this call, and the coefficients from there on.
    fn masked(
        &mut self,
        key: &Wide<P, B>,
        block: &Block,
        flood_bits: u32,
        prg: &mut AesPrg,
        mut each: impl FnMut(usize, usize, ResiduesMut<'_>, &mut AesPrg),
    ) {
        let layer = &self.layer.layer;
        let (first, count) = block.span();
        let start = first.saturating_sub(layer.layout().reach());
        let per_part = layer.outputs() / self.rows.len();
        let contiguous = block.outputs.len() == count;
        // Rows a power of two apart would compete for the same sets of every cache.
        let pitch = count.next_multiple_of(16) + 8;
        let mut values = Residues::default();
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
                let Residues { low, high } = &mut self.products;
                let mut row = ResiduesMut { low: &mut low[range.clone()], high: &mut high[range] };
                if !contiguous {
                    self.masked.add_to(first..first + count, rounding, &mut row);
                    for ((low, high), &p) in values.low.iter_mut().zip(values.high.iter_mut()).zip(&block.outputs) {
                        (*low, *high) = (row.low[usize::from(p) - first], row.high[usize::from(p) - first]);
                    }
                    row = values.as_mut();
                }
                let parts = row.low.chunks_mut(IN_CACHE).zip(row.high.chunks_mut(IN_CACHE));
                for ((low, high), at) in parts.zip((0..).step_by(IN_CACHE)) {
                    let mut part = ResiduesMut { low, high };
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
