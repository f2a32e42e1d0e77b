//! The parameter set, what a layer rounds, and the noise that its words then carry.
//!
//! A word of the product is Delta * y + v, where Delta = 2^(32 - l) and v is noise. Nobody removes
//! v: the reader of a linear output keeps the top bits of the word, and v must be small beside the
//! last of them. [`Precision::noise`] lists what v is made of.

use crate::RlweError;

/// Ring degree N.
pub const DEGREE: usize = fusion_ring::poly::fft::DEGREE;

/// The ciphertext modulus is 2 to this power: a coefficient is a machine word.
pub const MODULUS_BITS: u32 = 32;

/// An error coefficient is the difference of two binomials of so many fair bits: its variance is
/// half of this, its deviation 3.24.
pub const ERROR_BITS: u32 = 21;

/// Standard deviations of sub-Gaussian noise that must fit below the unit of a window: a
/// coefficient exceeds them with probability below 2^-60.
pub const TAIL: f64 = 9.3;

/// Largest part of a window's unit that the deviation of the noise of masks and hint may take.
pub const HINT_SHARE: f64 = 0.048;

/// Checks that a model was made for the one parameter set whose security is stated on the first
/// page.
///
/// # Errors
/// [`RlweError::Parameters`] for every other set.
pub fn check_parameters(degree: usize, modulus_bits: u32, error_bits: u32) -> Result<(), RlweError> {
    if (degree, modulus_bits, error_bits) == (DEGREE, MODULUS_BITS, ERROR_BITS) {
        return Ok(());
    }
    Err(RlweError::Parameters(format!(
        "N = {degree}, q = 2^{modulus_bits}, errors of {error_bits} + {error_bits} bits; the only set with stated security is N = {DEGREE}, q = 2^{MODULUS_BITS}, {ERROR_BITS} + {ERROR_BITS} bits"
    )))
}

/// Bits of a coefficient of the client's key beyond those of the hint: rounding it then adds a
/// sixteenth of the variance that rounding the hint adds.
const KEY_BITS_MORE: u32 = 2;

/// Widths of one linear layer, in bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Precision {
    ring: u32,
    upload: u32,
    hint: u32,
}

impl Precision {
    /// Numbers modulo 2^`ring`, ciphertexts of `upload` bits a coefficient, a hint of `hint` bits a
    /// coefficient.
    ///
    /// # Errors
    /// [`RlweError::Parameters`] unless all are in 2..=32.
    pub fn new(ring: u32, upload: u32, hint: u32) -> Result<Self, RlweError> {
        for (what, bits) in [("ring", ring), ("ciphertexts", upload), ("hint", hint)] {
            if !(2..=MODULUS_BITS).contains(&bits) {
                return Err(RlweError::Parameters(format!("{what} of {bits} bits; from 2 to {MODULUS_BITS} are possible")));
            }
        }
        Ok(Self { ring, upload, hint })
    }

    /// l: numbers are modulo 2^l.
    #[must_use]
    pub const fn ring_bits(self) -> u32 {
        self.ring
    }

    /// Bits of a ciphertext coefficient on the wire: the top ones, rounded to nearest.
    #[must_use]
    pub const fn upload_bits(self) -> u32 {
        self.upload
    }

    /// Bits of a published hint coefficient: the top ones, rounded to nearest.
    #[must_use]
    pub const fn hint_bits(self) -> u32 {
        self.hint
    }

    /// Bits of a coefficient of the client's key on the wire: the top ones, rounded to nearest.
    #[must_use]
    pub const fn key_bits(self) -> u32 {
        let bits = self.hint + KEY_BITS_MORE;
        if bits < MODULUS_BITS { bits } else { MODULUS_BITS }
    }

    /// The noise of an output whose row of weights has the Euclidean norm `row_norm`.
    #[must_use]
    pub fn noise(self, row_norm: f64) -> Noise {
        let error = f64::from(ERROR_BITS) / 2.0;
        let ternary = 2.0 * DEGREE as f64 / 3.0;
        Noise {
            errors: row_norm.powi(2) * error,
            upload: row_norm.powi(2) * rounding_variance(self.upload),
            masks: ternary * 2.0 * error,
            hint: ternary * rounding_variance(self.hint),
            key: ternary * rounding_variance(self.key_bits()),
        }
    }
}

/// Variance of what rounding a word to its top `bits` bits adds.
fn rounding_variance(bits: u32) -> f64 {
    if bits >= MODULUS_BITS { 0.0 } else { 4f64.powi((MODULUS_BITS - bits) as i32) / 12.0 }
}

/// Variances of the noise v of one word, term by term, in squared units of the word.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Noise {
    /// sum W e: the weights times the client's errors.
    pub errors: f64,
    /// The weights times the rounding of ciphertexts.
    pub upload: f64,
    /// e' u_j - e_j s: the errors of the key and of the hint times ternary secrets.
    pub masks: f64,
    /// The rounding of the hint times the client's secret.
    pub hint: f64,
    /// The rounding of the client's key times the server's secret.
    pub key: f64,
}

impl Noise {
    /// The variance of v.
    #[must_use]
    pub fn variance(&self) -> f64 {
        self.errors + self.upload + self.masks + self.hint + self.key
    }

    /// The standard deviation of the terms that no ciphertext has a part in, which the hint's width
    /// decides.
    #[must_use]
    pub fn hint_deviation(&self) -> f64 {
        (self.masks + self.hint + self.key).sqrt()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_parameter_set_exists() {
        assert!(check_parameters(2048, 32, 21).is_ok());
        for other in [(1024, 32, 21), (4096, 32, 21), (4096, 88, 21), (2048, 31, 21), (2048, 33, 21), (2048, 32, 20), (2048, 32, 2)] {
            assert!(matches!(check_parameters(other.0, other.1, other.2), Err(RlweError::Parameters(_))), "{other:?}");
        }
    }

    #[test]
    fn widths_are_those_of_a_word() {
        assert!(Precision::new(32, 32, 32).is_ok() && Precision::new(2, 2, 2).is_ok());
        for bad in [(1, 20, 20), (33, 20, 20), (25, 33, 20), (25, 20, 33), (25, 0, 20), (25, 20, 1)] {
            assert!(Precision::new(bad.0, bad.1, bad.2).is_err(), "{bad:?}");
        }
    }

    /// The figures of a layer of ResNet50, by hand.
    #[test]
    fn noise_of_a_layer() {
        let noise = Precision::new(26, 25, 19).unwrap().noise(2f64.powf(11.7));
        let close = |a: f64, b: f64| (a / b - 1.0).abs() < 1e-3;
        assert!(close(noise.upload, 2f64.powf(23.4) * 4f64.powi(7) / 12.0) && close(noise.hint, 4096.0 / 3.0 * 4f64.powi(13) / 12.0));
        assert!(close(noise.errors, 2f64.powf(23.4) * 10.5) && close(noise.masks, 4096.0 / 3.0 * 21.0));
        assert!(close(noise.key, 4096.0 / 3.0 * 4f64.powi(11) / 12.0));
        let exact = Precision::new(26, 32, 32).unwrap().noise(1.0);
        assert_eq!((exact.upload, exact.hint, exact.key), (0.0, 0.0, 0.0));
    }
}
