//! The client's side: encryption of shares, decryption with the hint.

use fusion_ring::channel::Channel;
use fusion_ring::ntt::{Prepared, Rns};
use fusion_ring::pack::{mask32, unpack64};
use fusion_ring::prg::AesPrg;
use rand_core::CryptoRng;

use crate::hint::HintSource;
use crate::layer::{Layer, write_coefficients};
use crate::public::{PublicPolynomial, PublicSeed};
use crate::{RlweError, RlweParams, sample};

/// The client's state of one lane: one ternary secret per block index, used for all layers and never for the same polynomial twice.
///
/// The same block of the same layer must not be encrypted twice under one secret; [`ClientLane::encrypt`] therefore takes every layer at most
/// once per lane.
pub struct ClientLane {
    mask: Rns,
    mask_params: RlweParams,
    secrets: Vec<Prepared>,
    used: std::collections::BTreeSet<u32>,
    prg: AesPrg,
    largest_noise: f64,
}

impl ClientLane {
    /// A lane of the model with the public `seed` whose widest modulus is that of `widest`.
    #[must_use]
    pub fn new(seed: PublicSeed, widest: RlweParams, rng: &mut impl CryptoRng) -> Self {
        let mut key = [0u8; 16];
        rng.fill_bytes(&mut key);
        Self {
            mask: Rns::from_wide(&seed.polynomial(PublicPolynomial::Mask, widest)),
            mask_params: widest,
            secrets: Vec::new(),
            used: std::collections::BTreeSet::new(),
            prg: AesPrg::new(key),
            largest_noise: 0.0,
        }
    }

    /// Largest |error| / Delta that a decryption of this lane has met. Decryption is exact below 0.5; the plan's bound is
    /// [`crate::params::Noise::used`]. For measurements: a server cannot be convicted by it.
    #[must_use]
    pub fn largest_noise(&self) -> f64 {
        self.largest_noise
    }

    /// Encrypts this party's shares of a layer's inputs (one tensor per term, `[channel][sample][row][column]`, values modulo 2^l) and sends them.
    ///
    /// # Errors
    /// [`RlweError::Misuse`] for tensors of the wrong size or a layer that this lane has already encrypted; [`RlweError::Channel`].
    pub fn encrypt(&mut self, layer: &Layer, inputs: &[&[u32]], samples: usize, channel: &mut dyn Channel) -> Result<(), RlweError> {
        layer.check_inputs(inputs, samples)?;
        if !self.used.insert(layer.index()) {
            return Err(RlweError::Misuse("a lane encrypts every layer once: its secrets must not meet a polynomial twice"));
        }
        let params = layer.params();
        let mask = mask32(params.plain_bits());
        let blocks = layer.layout().cut(samples);
        let mut transforms: Vec<Rns> = Vec::new();
        let mut bytes = Vec::new();
        for (index, block) in blocks.iter().enumerate() {
            if index == self.secrets.len() {
                self.send_key(channel)?;
            }
            let mut row = 0;
            for (phase, cells) in block.cells.iter().enumerate() {
                let term = layer.layout().phases[phase].term;
                let size = layer.layout().terms()[term].input.area() * samples;
                let mut errors = vec![0u128; cells.len()];
                for number in 0..layer.channels(phase) {
                    let product = if row < transforms.len() {
                        transforms[row].multiply(&self.secrets[index])
                    } else {
                        let transform = Rns::from_wide(&layer.row_polynomial(phase, number));
                        let product = transform.multiply(&self.secrets[index]);
                        if blocks.len() > 1 {
                            transforms.push(transform);
                        }
                        product
                    };
                    row += 1;
                    sample::errors(&mut self.prg, &mut errors);
                    let own = cells.gather(&inputs[term][number * size..(number + 1) * size], mask);
                    let masks = cells.runs.iter().flat_map(|run| product.range(run.clone()));
                    let encrypted = masks
                        .zip(own)
                        .zip(&errors)
                        .map(|((m, x), &e)| m.wrapping_add(e).wrapping_add(u128::from(x) << params.delta_bits()));
                    bytes.clear();
                    write_coefficients(&mut bytes, encrypted, params.coefficient_bytes());
                    channel.send(&bytes)?;
                }
            }
        }
        channel.flush()?;
        Ok(())
    }

    /// The secret of a block, for tests that play the client's part.
    #[cfg(test)]
    pub(crate) fn secret(&self, block: usize) -> &Prepared {
        &self.secrets[block]
    }

    /// Draws the secret of the next block and sends its key k = p s + e'.
    fn send_key(&mut self, channel: &mut dyn Channel) -> Result<(), RlweError> {
        let secret = Rns::from_small(&sample::ternary(&mut self.prg)).prepare();
        let product = self.mask.multiply(&secret);
        let mut errors = vec![0u128; fusion_ring::ntt::DEGREE];
        sample::errors(&mut self.prg, &mut errors);
        let mut bytes = Vec::new();
        let key = product.coefficients().zip(&errors).map(|(c, &e)| c.wrapping_add(e));
        write_coefficients(&mut bytes, key, self.mask_params.coefficient_bytes());
        channel.send(&bytes)?;
        self.secrets.push(secret);
        Ok(())
    }

    /// Receives the server's answer to [`ClientLane::encrypt`] and returns this party's share of the product,
    /// `[out channel][sample][row][column]` modulo 2^l. Any bytes of the right number decrypt to something.
    ///
    /// # Errors
    /// [`RlweError::HintSize`] for the hint of another layer, [`RlweError::HintRead`] if it cannot be read, [`RlweError::Misuse`] before
    /// [`ClientLane::encrypt`], [`RlweError::Channel`].
    pub fn decrypt(
        &mut self,
        layer: &Layer,
        hint: &dyn HintSource,
        samples: usize,
        channel: &mut dyn Channel,
    ) -> Result<Vec<u32>, RlweError> {
        let params = layer.params();
        if hint.len() != layer.hint_bytes() {
            return Err(RlweError::HintSize { expected: layer.hint_bytes(), got: hint.len() });
        }
        let blocks = layer.layout().cut(samples);
        if !self.used.contains(&layer.index()) || blocks.len() > self.secrets.len() {
            return Err(RlweError::Misuse("decryption follows encryption"));
        }
        let answers = blocks.iter().map(|b| channel.recv_vec(layer.answer_bytes(b))).collect::<Result<Vec<_>, _>>()?;
        let mut readers: Vec<_> = answers.iter().map(|bytes| unpack64(bytes, params.answer_bits())).collect();
        let area = samples * layer.layout().output().area();
        let mut out = vec![0u32; layer.outputs() * area];
        let raise = params.modulus_bits() - params.answer_bits();
        let half = 1u128 << (params.delta_bits() - 1);
        let lift = params.modulus_bits() - params.hint_bits();
        let mut row = vec![0u8; layer.hint_row_bytes()];
        let mut largest = 0u128;
        let mut masks = Vec::new();
        for j in 0..layer.outputs() {
            hint.read(j * layer.hint_row_bytes(), &mut row)?;
            let hint: Vec<u128> = unpack64(&row, params.hint_bits()).map(|c| u128::from(c) << lift).collect();
            let hint = Rns::from_wide(&hint);
            for ((block, reader), secret) in blocks.iter().zip(&mut readers).zip(&self.secrets) {
                let product = hint.multiply(secret);
                let (first, count) = block.span();
                masks.clear();
                masks.extend(product.range(first..first + count));
                let shares = &mut out[j * area + block.first_output..][..block.outputs.len()];
                for ((share, answer), &p) in shares.iter_mut().zip(reader).zip(&block.outputs) {
                    let value = (u128::from(answer) << raise).wrapping_sub(masks[usize::from(p) - first]).wrapping_add(half);
                    let value = value & params.modulus_mask();
                    *share = (value >> params.delta_bits()) as u32;
                    largest = largest.max((value & (2 * half - 1)).abs_diff(half));
                }
            }
        }
        self.largest_noise = self.largest_noise.max(largest as f64 / (2 * half) as f64);
        Ok(out)
    }
}
