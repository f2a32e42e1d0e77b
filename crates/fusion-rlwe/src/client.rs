//! The client's side: encryption of shares, decryption with the hint.

use fusion_ring::channel::Channel;
use fusion_ring::ntt::{DEGREE, Prepared, Product, Rns};
use fusion_ring::pack::{mask32, unpack64};
use fusion_ring::prg::AesPrg;
use rand_core::CryptoRng;
use zeroize::Zeroizing;

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
        let (mut transform, mut product) = (Rns::zero(), Product::default());
        let mut bytes = Vec::new();
        for (index, block) in blocks.iter().enumerate() {
            if index == self.secrets.len() {
                self.send_key(channel)?;
            }
            let mut row = 0;
            for (phase, cells) in block.cells.iter().enumerate() {
                let term = layer.layout().phases[phase].term;
                let size = layer.layout().terms()[term].input.area() * samples;
                let mut errors = Zeroizing::new(vec![0i8; cells.len()]);
                let span = cells.span();
                for number in 0..layer.channels(phase) {
                    if let Some(transform) = transforms.get(row) {
                        transform.multiply_into(&self.secrets[index], &mut product);
                    } else {
                        transform.set_wide(&layer.row_polynomial(phase, number));
                        transform.multiply_into(&self.secrets[index], &mut product);
                        if blocks.len() > 1 {
                            transforms.push(transform.clone());
                        }
                    }
                    row += 1;
                    sample::errors(&mut self.prg, &mut errors);
                    let own = cells.gather(&inputs[term][number * size..(number + 1) * size], mask);
                    let (low, high) = product.halves(span.clone());
                    let masks = cells.runs.iter().cloned().flatten().map(|at| wide(low[at - span.start], high[at - span.start]));
                    let encrypted = masks
                        .zip(own)
                        .zip(errors.iter())
                        .map(|((m, x), &e)| m.wrapping_add_signed(i128::from(e)).wrapping_add(u128::from(x) << params.delta_bits()));
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
        let mut product = self.mask.multiply(&secret);
        let mut errors = Zeroizing::new(vec![0i8; DEGREE]);
        sample::errors(&mut self.prg, &mut errors);
        let mut bytes = Vec::new();
        let key = product.range(0..DEGREE).zip(errors.iter()).map(|(c, &e)| c.wrapping_add_signed(i128::from(e)));
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
        let area = samples * layer.layout().output().area();
        let mut out = vec![0u32; layer.outputs() * area];
        // The hint keeps the top hint_bits of a coefficient, and so everything is counted in units of their lowest, modulo 2^hint_bits. Two primes hold a product of a hint with a secret.
        let raise = params.hint_bits() - params.answer_bits();
        let down = params.hint_bits() - params.plain_bits();
        let half = 1u64 << (down - 1);
        let modulus_mask = (1u64 << params.hint_bits()) - 1;
        let mut row = vec![0u8; layer.hint_row_bytes()];
        let mut coefficients = vec![0u64; DEGREE];
        let (mut transform, mut product) = (Rns::<2>::zero(), Product::<2>::default());
        let mut answer = Vec::with_capacity(DEGREE);
        let mut largest = 0u64;
        for j in 0..layer.outputs() {
            hint.read(j * layer.hint_row_bytes(), &mut row)?;
            unpack64(&row, params.hint_bits(), 0, &mut coefficients);
            transform.set_narrow(&coefficients);
            for ((block, bytes), secret) in blocks.iter().zip(&answers).zip(&self.secrets) {
                transform.multiply_into(secret, &mut product);
                let (first, count) = block.span();
                let (masks, _) = product.halves(first..first + count);
                answer.resize(block.outputs.len(), 0);
                unpack64(bytes, params.answer_bits(), j * answer.len(), &mut answer);
                let shares = &mut out[j * area + block.first_output..][..block.outputs.len()];
                for ((share, answer), &p) in shares.iter_mut().zip(&answer).zip(&block.outputs) {
                    let value = (answer << raise).wrapping_sub(masks[usize::from(p) - first]).wrapping_add(half) & modulus_mask;
                    *share = (value >> down) as u32;
                    largest = largest.max((value & (2 * half - 1)).abs_diff(half));
                }
            }
        }
        self.largest_noise = self.largest_noise.max(largest as f64 / (2 * half) as f64);
        Ok(out)
    }
}

fn wide(low: u64, high: u64) -> u128 {
    u128::from(low) | u128::from(high) << 64
}
