//! Parameters of the RLWE scheme and its noise budget.
//!
//! What a decryption finds is scale * message + noise, and rounding removes noise below scale / 2.
//! [`Noise`] lists what adds to it. [`RlweParams::new`] refuses parameters whose worst case does
//! not fit; the crate's first page has the argument for circuit privacy that fixes the flooding.

use fusion_ring::poly::fft::DEGREE;

use crate::RlweError;

/// Largest log2 q that the table of HomomorphicEncryption.org (2018) allows at N = 4096 with
/// ternary secrets for 128 bits.
///
/// This is a published limit, not an estimate of ours: today's estimates for the supported moduli
/// are in the README. They do not depend on the arithmetic of q, and neither do reductions from
/// lattice problems, which need wider errors than ours (Langlois, Stehlé, 2015).
const STANDARD_MODULUS_BITS: u32 = 109;

/// Widest supported ciphertext modulus, in bits.
const MAX_MODULUS_BITS: u32 = 104;

/// Each error coefficient is a centred binomial with 21 + 21 bits.
pub(crate) const ERROR_BITS: u32 = 21;

/// Flooding is this many bits wider than the noise that depends on the weights.
pub const FLOOD_BITS: u32 = 40;

/// The server rounds keys modulo 2^88 to a multiple of two to this power before it multiplies them
/// by its masks.
pub(crate) const KEY_ROUNDING_BITS: u32 = 7;

/// Widest uniform whose sum of four fits 64 bits.
const MAX_FLOOD_UNIFORM_BITS: u32 = 62;

/// Standard deviations of sub-Gaussian noise that must fit: a coefficient exceeds them with
/// probability below 2^-60.
const TAIL: f64 = 9.3;

/// Modulus and plaintext widths of one layer. Constructing insecure or inexact parameters is an
/// error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RlweParams {
    modulus_bits: u32,
    plain_bits: u32,
    row_norm_bits: u32,
}

impl RlweParams {
    /// The narrowest supported ciphertext modulus is 2 to this power.
    pub const NARROWEST_MODULUS_BITS: u32 = 88;

    /// Ciphertext modulus 2^`modulus_bits` (88, 96 or 104), plaintext modulus 2^`plain_bits`,
    /// weight rows of Euclidean norm at most 2^`row_norm_bits`.
    ///
    /// # Errors
    /// [`RlweError::Parameters`] if they are not supported, [`RlweError::NoiseBudget`] if
    /// decryption could fail.
    pub fn new(modulus_bits: u32, plain_bits: u32, row_norm_bits: u32) -> Result<Self, RlweError> {
        if modulus_bits > STANDARD_MODULUS_BITS {
            return Err(RlweError::Parameters(format!(
                "modulus 2^{modulus_bits} at ring degree {DEGREE} is above 2^{STANDARD_MODULUS_BITS}, the most that the standard's table allows"
            )));
        }
        if ![Self::NARROWEST_MODULUS_BITS, 96, MAX_MODULUS_BITS].contains(&modulus_bits) {
            return Err(RlweError::Parameters(format!("modulus 2^{modulus_bits} is not one of 2^88, 2^96, 2^104")));
        }
        if !(2..=32).contains(&plain_bits) || row_norm_bits > 32 {
            return Err(RlweError::Parameters(format!("ring width {plain_bits} or row norm 2^{row_norm_bits} is out of range")));
        }
        let params = Self { modulus_bits, plain_bits, row_norm_bits };
        if params.flood_uniform_bits() > MAX_FLOOD_UNIFORM_BITS {
            return Err(RlweError::Parameters(format!("a row norm of 2^{row_norm_bits} is more than flooding supports")));
        }
        let used = params.noise().used();
        if used >= 0.5 {
            return Err(RlweError::NoiseBudget { plain_bits, modulus_bits, row_norm_bits, used });
        }
        Ok(params)
    }

    /// The narrowest supported modulus under which the layer decrypts.
    ///
    /// # Errors
    /// As [`RlweParams::new`] at the widest modulus.
    pub fn narrowest(plain_bits: u32, row_norm_bits: u32) -> Result<Self, RlweError> {
        Self::new(Self::NARROWEST_MODULUS_BITS, plain_bits, row_norm_bits)
            .or_else(|_| Self::new(96, plain_bits, row_norm_bits))
            .or_else(|_| Self::new(MAX_MODULUS_BITS, plain_bits, row_norm_bits))
    }

    /// w: the ciphertext modulus is 2^w.
    #[must_use]
    pub const fn modulus_bits(self) -> u32 {
        self.modulus_bits
    }

    /// l: the plaintext modulus is 2^l.
    #[must_use]
    pub const fn plain_bits(self) -> u32 {
        self.plain_bits
    }

    /// log2 of the bound on the Euclidean norm of a weight row.
    #[must_use]
    pub const fn row_norm_bits(self) -> u32 {
        self.row_norm_bits
    }

    /// Width of a published hint coefficient, w_h = l + 9.
    #[must_use]
    pub const fn hint_bits(self) -> u32 {
        self.plain_bits + 9
    }

    /// Width of an answer coefficient, w_b = l + 2.
    #[must_use]
    pub const fn answer_bits(self) -> u32 {
        self.plain_bits + 2
    }

    /// Bytes of a full-width coefficient.
    #[must_use]
    pub const fn coefficient_bytes(self) -> usize {
        self.modulus_bits as usize / 8
    }

    /// log2 of the scale, the factor from plaintext to ciphertext: w - l.
    #[must_use]
    pub const fn scale_bits(self) -> u32 {
        self.modulus_bits - self.plain_bits
    }

    pub(crate) const fn modulus_mask(self) -> u128 {
        (1 << self.modulus_bits) - 1
    }

    /// Flooding noise is a sum of four uniform integers of this many bits.
    #[must_use]
    pub fn flood_uniform_bits(self) -> u32 {
        // The sum of four uniforms on [0, 2^B) has standard deviation 2^B / sqrt(3).
        (self.noise().flood * 3f64.sqrt()).log2().ceil() as u32
    }

    /// The noise of one decrypted coefficient, term by term.
    #[must_use]
    pub fn noise(self) -> Noise {
        let error = (f64::from(ERROR_BITS) / 2.0).sqrt();
        let ternary_norm = (2.0 * DEGREE as f64 / 3.0).sqrt();
        let weights = error * f64::from(self.row_norm_bits).exp2();
        let masks = error * ternary_norm * 2f64.sqrt();
        let key = f64::from(KEY_ROUNDING_BITS).exp2() / 12f64.sqrt() * ternary_norm;
        let hint_step = f64::from(self.modulus_bits - self.hint_bits()).exp2();
        Noise {
            scale: f64::from(self.scale_bits()).exp2(),
            weights,
            masks,
            key,
            hint: hint_step / 12f64.sqrt() * ternary_norm,
            flood: f64::from(FLOOD_BITS).exp2() * weights.hypot(masks).hypot(key),
            answer: f64::from(self.modulus_bits - self.answer_bits() - 1).exp2(),
        }
    }
}

/// Noise terms of one decrypted coefficient in units of the ciphertext modulus. Standard
/// deviations, except `answer`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Noise {
    /// The scale: one unit of plaintext.
    pub scale: f64,
    /// Sum of weights times the client's errors.
    pub weights: f64,
    /// The mask terms e' u_j and e_j s.
    pub masks: f64,
    /// Rounding of the key k, times u_j.
    pub key: f64,
    /// Rounding of the published hint, times s.
    pub hint: f64,
    /// Flooding, as required; the sampler's is at most twice as wide.
    pub flood: f64,
    /// Rounding of the answer, largest value.
    pub answer: f64,
}

impl Noise {
    /// Planned worst |error| / scale: 9.3 standard deviations of the sub-Gaussian terms plus the
    /// largest flooding and the largest rounding of the answer.
    #[must_use]
    pub fn used(&self) -> f64 {
        let spread = (self.weights.powi(2) + self.masks.powi(2) + self.key.powi(2) + self.hint.powi(2)).sqrt();
        // Rounding the width of the uniforms up to a whole bit at most doubles them; the sum of
        // four reaches 2 * sqrt(3) deviations.
        let flood = 2.0 * 12f64.sqrt() * self.flood;
        (TAIL * spread + flood + self.answer) / self.scale
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resnet50_fits_88_bits() {
        let params = RlweParams::new(88, 25, 12).unwrap();
        assert_eq!((params.hint_bits(), params.answer_bits(), params.scale_bits()), (34, 27, 63));
        assert!(params.noise().used() < 0.45, "{}", params.noise().used());
        assert_eq!(RlweParams::narrowest(25, 12).unwrap(), params);
    }

    #[test]
    fn a_layer_that_does_not_fit_is_refused_or_gets_a_wider_modulus() {
        let refused = RlweParams::new(88, 30, 14).unwrap_err();
        assert!(matches!(refused, RlweError::NoiseBudget { plain_bits: 30, modulus_bits: 88, row_norm_bits: 14, used } if used > 0.5));
        assert_eq!(RlweParams::narrowest(30, 14).unwrap().modulus_bits(), 96);
    }

    #[test]
    fn insecure_parameters_do_not_exist() {
        assert!(matches!(RlweParams::new(112, 25, 12), Err(RlweError::Parameters(_))));
        assert!(matches!(RlweParams::new(64, 25, 12), Err(RlweError::Parameters(_))));
        assert!(matches!(RlweParams::new(88, 0, 12), Err(RlweError::Parameters(_))));
    }
}
