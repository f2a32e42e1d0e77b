//! The server's products of one lane, block by block.

use fusion_ring::bits::pack::{packed_len, unpack_into};
use fusion_ring::channel::Channel;
use fusion_ring::gemm::WordRows;
use fusion_ring::poly::fft::{DEGREE, Product, Small, Wide};
use fusion_ring::poly::words;
use fusion_ring::secret::Wiped;
use zeroize::Zeroize;

use super::ServerLayer;
use crate::RlweError;
use crate::layer::{Input, Layer};
use crate::layout::{Block, Cells};

/// The server's buffers of one lane. It has no randomness, because it answers nothing.
#[derive(Default)]
pub struct ServerLane {
    memory: Memory,
}

/// Buffers that the layers of a lane use one after another.
#[derive(Default)]
pub(crate) struct Memory {
    /// Ciphertexts with this party's words added: whoever has both knows the words.
    rows: Vec<Wiped<i32>>,
    products: Wiped<u32>,
    masks: Vec<Small>,
}

impl ServerLane {
    /// A lane.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Receives the client's encrypted words, adds this party's own (`inputs`, one tensor per
    /// term) and multiplies by the weights. Returns this party's words of the product,
    /// `[out channel][sample][row][column]`: with the client's they add up to 2^(32 - l) times the
    /// product and the bias, plus noise. Sends nothing.
    ///
    /// # Errors
    /// [`RlweError::Misuse`] for tensors of the wrong size or ring, [`RlweError::Channel`] if the
    /// client goes away.
    pub fn multiply(
        &mut self,
        layer: &ServerLayer,
        inputs: &[Input<'_>],
        samples: usize,
        channel: &mut dyn Channel,
    ) -> Result<Wiped<u32>, RlweError> {
        self.multiply_some(layer, inputs, |_| true, samples, channel)
    }

    /// As [`ServerLane::multiply`]; the words of outputs that are not `wanted` are zero.
    pub(crate) fn multiply_some(
        &mut self,
        layer: &ServerLayer,
        inputs: &[Input<'_>],
        wanted: impl Fn(usize) -> bool + Copy,
        samples: usize,
        channel: &mut dyn Channel,
    ) -> Result<Wiped<u32>, RlweError> {
        layer.layer.check_inputs(inputs, samples)?;
        let blocks = layer.layer.layout().cut(samples);
        let area = samples * layer.layer.layout().output().area();
        let mut product = BlockProduct::new(layer, &blocks, std::mem::take(&mut self.memory));
        let mut out = Wiped::new(layer.layer.outputs() * area);
        for block in &blocks {
            let key = BlockKey::receive(&layer.layer, channel)?;
            product.receive(inputs, samples, block, channel)?;
            product.write(Some(&key), block, wanted, area, &mut out);
        }
        self.memory = product.into_memory();
        Ok(out)
    }
}

/// The key k of one block, ready for products with the masks u_j. Wiped on drop.
pub(crate) struct BlockKey(Wide);

impl BlockKey {
    fn receive(layer: &Layer, channel: &mut dyn Channel) -> Result<Self, RlweError> {
        let mut bytes = Wiped::<u8>::new(layer.key_bytes());
        channel.recv(&mut bytes)?;
        let mut words = Wiped::<u32>::new(DEGREE);
        let bits = layer.precision().key_bits();
        unpack_into(&bytes, bits, &mut words);
        words::from_top(&mut words, bits);
        Ok(Self(Wide::new(&words)))
    }
}

impl Drop for BlockKey {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

/// Buffers of one layer's product.
pub(crate) struct BlockProduct<'a> {
    layer: &'a ServerLayer,
    rows: Vec<WordRows>,
    products: Wiped<u32>,
    /// Transforms of the masks u_j, kept only where several blocks use them.
    masks: Vec<Small>,
    keep_masks: bool,
    /// How many of `masks` belong to this layer.
    masks_made: usize,
    /// Where they are not kept: one after another.
    mask: Small,
    masked: Product,
}

impl<'a> BlockProduct<'a> {
    pub(crate) fn new(layer: &'a ServerLayer, blocks: &[Block], memory: Memory) -> Self {
        // No output reads beyond its own coefficient, so the rows may end at the last output: few
        // samples of a small image fill little of a block.
        let length = blocks.iter().map(|b| b.span().0 + b.span().1).max().unwrap_or(0);
        let mut spare = memory.rows.into_iter();
        let rows = layer.parts.iter().map(|weights| WordRows::unset_in(spare.next().unwrap_or_default(), weights, length)).collect();
        let (products, masks, keep_masks) = (memory.products, memory.masks, blocks.len() > 1);
        Self { layer, rows, products, masks, keep_masks, masks_made: 0, mask: Small::default(), masked: Product::default() }
    }

    fn into_memory(self) -> Memory {
        Memory { rows: self.rows.into_iter().map(WordRows::into_memory).collect(), products: self.products, masks: self.masks }
    }

    /// Receives the ciphertexts of one block and adds this party's words.
    fn receive(&mut self, inputs: &[Input<'_>], samples: usize, block: &Block, channel: &mut dyn Channel) -> Result<(), RlweError> {
        let layer = &self.layer.layer;
        let bits = layer.precision().upload_bits();
        let (mut bytes, mut own, mut sums) = (Vec::new(), Wiped::<u32>::default(), Wiped::<u32>::default());
        for (phase, cells) in block.cells.iter().enumerate() {
            let term = layer.layout().phases[phase].term;
            let size = layer.layout().terms()[term].input.area() * samples;
            bytes.resize(packed_len(cells.len(), bits), 0);
            sums.resize(cells.len());
            for row in 0..layer.channels(phase) {
                channel.recv(&mut bytes)?;
                unpack_into(&bytes, bits, &mut sums);
                words::from_top(&mut sums, bits);
                let input = &inputs[term];
                cells.gather(&input.words[row * size..(row + 1) * size], layer.shift(input), &mut own);
                words::add_shifted(&mut sums, &own, 0);
                self.place(phase, row, cells, &sums);
            }
        }
        Ok(())
    }

    /// Writes the words of the needed coefficients of a row into the products that read it.
    pub(crate) fn place(&mut self, phase: usize, row: usize, cells: &Cells, words: &[u32]) {
        let group = self.layer.group_of_row(phase, row);
        let at = self.layer.phase_rows[phase] + row - self.layer.rows_of_group(phase, group).start;
        let mut from = 0;
        for run in &cells.runs {
            self.rows[group].write(at, run.start, &words[from..from + run.len()]);
            from += run.len();
        }
    }

    /// For every output that is `wanted`, its words of one block: the product with the weights,
    /// plus k u_j if there is a key k.
    pub(crate) fn write(&mut self, key: Option<&BlockKey>, block: &Block, wanted: impl Fn(usize) -> bool, area: usize, out: &mut [u32]) {
        let layer = &self.layer.layer;
        let (first, count) = block.span();
        let start = first.saturating_sub(layer.layout().reach());
        let per_part = layer.outputs() / self.rows.len();
        // Rows a power of two apart would compete for the same sets of every cache.
        let pitch = count.next_multiple_of(16) + 16;
        for (part, weights) in self.layer.parts.iter().enumerate() {
            let together = weights.outputs_together(&self.rows[part]);
            for from in (0..per_part).step_by(together) {
                let some = from..per_part.min(from + together);
                if !some.clone().any(|output| wanted(part * per_part + output)) {
                    continue;
                }
                weights.multiply_outputs(&self.rows[part], some.clone(), start, count, pitch, &mut self.products);
                for output in some {
                    let j = part * per_part + output;
                    if !wanted(j) {
                        continue;
                    }
                    let row = (output - from) * pitch..(output - from) * pitch + count;
                    if let Some(key) = key {
                        self.add_mask(key, j, first, row.clone());
                    }
                    let (row, shares) = (&self.products[row], &mut out[j * area + block.first_output..][..block.outputs.len()]);
                    if shares.len() == count {
                        shares.copy_from_slice(row);
                    } else {
                        shares.iter_mut().zip(&block.outputs).for_each(|(share, &p)| *share = row[usize::from(p) - first]);
                    }
                }
            }
        }
    }

    /// Adds k u_j, from coefficient `first` on, and the bias to a row of products, and takes away
    /// what rounding of ciphertexts adds to it on average.
    fn add_mask(&mut self, key: &BlockKey, j: usize, first: usize, row: std::ops::Range<usize>) {
        let mask = |mask: &mut Small| mask.set(&self.layer.key.mask(self.layer.layer.index(), j));
        if !self.keep_masks {
            mask(&mut self.mask);
            self.masked.set(&key.0, &self.mask);
        } else {
            if self.masks.len() <= j {
                self.masks.resize_with(j + 1, Small::default);
            }
            // Outputs come in the same ascending order in every block.
            if self.masks_made <= j {
                mask(&mut self.masks[j]);
                self.masks_made = j + 1;
            }
            self.masked.set(&key.0, &self.masks[j]);
        }
        let row = &mut self.products[row];
        self.masked.add_to(first, row);
        let offset = self.layer.biases[j].wrapping_sub(self.layer.corrections[j]);
        row.iter_mut().for_each(|word| *word = word.wrapping_add(offset));
    }
}
