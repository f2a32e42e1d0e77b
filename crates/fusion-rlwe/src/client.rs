//! The client's side: encryption of shares, decryption with the hint.

use fusion_ring::bits::pack::{mask32, unpack64, write_wide};
use fusion_ring::channel::Channel;
use fusion_ring::poly::fft::{DEGREE, PROVEN_BITS, Product, Small, Wide};
use fusion_ring::poly::residues::Residues;
use fusion_ring::poly::rounding::Rounding;
use fusion_ring::secret::Wiped;
use fusion_ring::symmetric::prg::AesPrg;
use rand_core::CryptoRng;
use zeroize::Zeroizing;

use crate::hint::HintSource;
use crate::layer::Layer;
use crate::public::{PublicPolynomial, PublicSeed};
use crate::{RlweError, RlweParams, sample};

/// The client's state of one lane: one ternary secret per block index, used in all layers but never
/// twice with the same public polynomial.
///
/// The same block of the same layer must not be encrypted twice under one secret;
/// [`ClientLane::encrypt`] therefore takes every layer at most once per lane.
pub struct ClientLane {
    mask: Wide<4>,
    mask_params: RlweParams,
    secrets: Vec<Small>,
    /// Memory for transforms of public polynomials, reused from layer to layer.
    transforms: Vec<Wide<3>>,
    used: std::collections::BTreeSet<u32>,
    prg: AesPrg,
    largest_noise: f64,
}

impl ClientLane {
    /// A lane of the model with the public `seed` whose widest modulus is that of `widest`.
    #[must_use]
    pub fn new(seed: PublicSeed, widest: RlweParams, rng: &mut impl CryptoRng) -> Self {
        let mut key = Zeroizing::new([0u8; 16]);
        rng.fill_bytes(&mut *key);
        Self {
            mask: Wide::new(&seed.polynomial(PublicPolynomial::Mask)),
            mask_params: widest,
            secrets: Vec::new(),
            transforms: Vec::new(),
            used: std::collections::BTreeSet::new(),
            prg: AesPrg::new(*key),
            largest_noise: 0.0,
        }
    }

    /// Largest |error| / scale that a decryption of this lane has met. Decryption is exact below
    /// 0.5; the plan's bound is [`crate::params::Noise::used`]. For measurements only: it proves
    /// nothing about the server.
    #[must_use]
    pub fn largest_noise(&self) -> f64 {
        self.largest_noise
    }

    /// Encrypts this party's shares of a layer's inputs (one tensor per term,
    /// `[channel][sample][row][column]`, values modulo 2^l) and sends them.
    ///
    /// # Errors
    /// [`RlweError::Misuse`] for tensors of the wrong size or a layer that this lane has already
    /// encrypted; [`RlweError::Channel`].
    pub fn encrypt(&mut self, layer: &Layer, inputs: &[&[u32]], samples: usize, channel: &mut dyn Channel) -> Result<(), RlweError> {
        layer.check_inputs(inputs, samples)?;
        if !self.used.insert(layer.index()) {
            return Err(RlweError::Misuse("a lane encrypts every layer once: its secrets must not meet a polynomial twice"));
        }
        if layer.params().modulus_bits() <= 3 * PROVEN_BITS {
            let mut transforms = std::mem::take(&mut self.transforms);
            let done = self.encrypt_by(layer, inputs, samples, &mut transforms, channel);
            self.transforms = transforms;
            done
        } else {
            self.encrypt_by::<4>(layer, inputs, samples, &mut Vec::new(), channel)
        }
    }

    /// [`ClientLane::encrypt`] with public polynomials of P pieces, whose transforms are kept in
    /// `transforms` where several blocks use them.
    fn encrypt_by<const P: usize>(
        &mut self,
        layer: &Layer,
        inputs: &[&[u32]],
        samples: usize,
        transforms: &mut Vec<Wide<P>>,
        channel: &mut dyn Channel,
    ) -> Result<(), RlweError> {
        let params = layer.params();
        let (width, mask) = (params.coefficient_bytes(), mask32(params.plain_bits()));
        let blocks = layer.layout().cut(samples);
        let (mut public, mut product, mut values) = (Residues::default(), Product::<P>::default(), Residues::default());
        let (mut errors, mut own) = (Wiped::<i8>::new(DEGREE), Wiped::default());
        // What is sent needs no wiping.
        let mut bytes = Vec::new();
        for (index, block) in blocks.iter().enumerate() {
            if index == self.secrets.len() {
                self.send_key(channel)?;
            }
            let mut row = 0;
            for (phase, cells) in block.cells.iter().enumerate() {
                let term = layer.layout().phases[phase].term;
                let size = layer.layout().terms()[term].input.area() * samples;
                let errors = &mut errors[..cells.len()];
                bytes.resize(cells.len() * width, 0);
                for number in 0..layer.channels(phase) {
                    // A single block uses every transform once: one buffer is enough.
                    let slot = if blocks.len() > 1 { row } else { 0 };
                    if slot == transforms.len() {
                        transforms.push(Wide::default());
                    }
                    if index == 0 {
                        layer.row_polynomial(phase, number, &mut public);
                        transforms[slot].set(&public);
                    }
                    product.set(&transforms[slot], &self.secrets[index]);
                    row += 1;
                    values.resize(cells.span().len());
                    product.copy_to(cells.span(), &mut values.as_mut());
                    if cells.runs.len() > 1 {
                        cells.compact(&mut values.low);
                        cells.compact(&mut values.high);
                    }
                    sample::errors(&mut self.prg, errors);
                    values.as_mut().add_small(errors);
                    cells.gather(&inputs[term][number * size..(number + 1) * size], mask, &mut own);
                    values.as_mut().add_shifted(&own, params.scale_bits());
                    write_wide(&values.low, &values.high, width, &mut bytes);
                    channel.send(&bytes)?;
                }
            }
        }
        channel.flush()?;
        Ok(())
    }

    /// The secret of a block, for tests that play the client's part.
    #[cfg(test)]
    pub(crate) fn secret(&self, block: usize) -> &Small {
        &self.secrets[block]
    }

    /// Draws the secret of the next block and sends its key k = p s + e'.
    fn send_key(&mut self, channel: &mut dyn Channel) -> Result<(), RlweError> {
        let secret = Small::new(&sample::ternary(&mut self.prg));
        let mut product = Product::default();
        product.set(&self.mask, &secret);
        let mut errors = Wiped::<i8>::new(DEGREE);
        sample::errors(&mut self.prg, &mut errors);
        let mut values = Residues::default();
        values.resize(DEGREE);
        product.copy_to(0..DEGREE, &mut values.as_mut());
        values.as_mut().add_small(&errors);
        let width = self.mask_params.coefficient_bytes();
        let mut bytes = Wiped::new(DEGREE * width);
        write_wide(&values.low, &values.high, width, &mut bytes);
        channel.send(&bytes)?;
        self.secrets.push(secret);
        Ok(())
    }

    /// Receives the server's answer to [`ClientLane::encrypt`] and returns this party's share of
    /// the product, `[out channel][sample][row][column]` modulo 2^l. Any bytes of the right length
    /// decrypt to something.
    ///
    /// # Errors
    /// [`RlweError::HintSize`] for the hint of another layer, [`RlweError::HintRead`] if it cannot
    /// be read, [`RlweError::Misuse`] before [`ClientLane::encrypt`], [`RlweError::Channel`].
    pub fn decrypt(
        &mut self,
        layer: &Layer,
        hint: &dyn HintSource,
        samples: usize,
        channel: &mut dyn Channel,
    ) -> Result<Wiped<u32>, RlweError> {
        let params = layer.params();
        if hint.len() != layer.hint_bytes() {
            return Err(RlweError::HintSize { expected: layer.hint_bytes(), got: hint.len() });
        }
        let blocks = layer.layout().cut_outputs(samples);
        if !self.used.contains(&layer.index()) || blocks.len() > self.secrets.len() {
            return Err(RlweError::Misuse("decryption follows encryption"));
        }
        let receive = |block| {
            let mut bytes = Wiped::<u8>::new(layer.answer_bytes(block));
            channel.recv(&mut bytes).map(|()| bytes)
        };
        let answers = blocks.iter().map(receive).collect::<Result<Vec<_>, _>>()?;
        let area = samples * layer.layout().output().area();
        let mut out = Wiped::new(layer.outputs() * area);
        // The hint keeps the top hint_bits of a coefficient. So the unit of everything here is the
        // lowest of those bits, modulo 2^hint_bits. One piece holds a hint of any width.
        let raise = params.hint_bits() - params.answer_bits();
        let down = params.hint_bits() - params.plain_bits();
        let rounding = Rounding { bits: params.hint_bits(), down };
        let mut row = vec![0u8; layer.hint_row_bytes()];
        let mut coefficients = vec![0u64; DEGREE];
        let (mut transform, mut product) = (Wide::<1, 41>::default(), Product::default());
        let (mut masks, mut answer) = (Wiped::<u64>::new(DEGREE), Wiped::<u64>::with_capacity(DEGREE));
        let mut largest = 0u64;
        for j in 0..layer.outputs() {
            hint.read(j * layer.hint_row_bytes(), &mut row)?;
            unpack64(&row, params.hint_bits(), 0, &mut coefficients);
            transform.set_narrow(&coefficients);
            for ((block, bytes), secret) in blocks.iter().zip(&answers).zip(&self.secrets) {
                product.set(&transform, secret);
                let (first, count) = block.span();
                product.words(first, &mut masks[..count]);
                answer.resize(block.outputs.len());
                unpack64(bytes, params.answer_bits(), j * block.outputs.len(), &mut answer);
                let shares = &mut out[j * area + block.first_output..][..block.outputs.len()];
                if block.outputs.len() < count {
                    for (to, &p) in block.outputs.iter().enumerate() {
                        masks[to] = masks[usize::from(p) - first];
                    }
                }
                largest = largest.max(rounding.difference(&answer, raise, &masks[..shares.len()], shares));
            }
        }
        self.largest_noise = self.largest_noise.max(largest as f64 / f64::from(down).exp2());
        Ok(out)
    }
}
