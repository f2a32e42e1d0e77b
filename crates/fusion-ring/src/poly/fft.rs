//! Exact products in Z\[X\]/(X^2048 + 1) of words by ternary polynomials, by Fourier transforms in
//! double precision.
//!
//! The ciphertext modulus of Fusion is 2^32, so a product modulo q is an integer product of which
//! only the lowest 32 bits are kept. One factor is always ternary (a secret). The other is taken as
//! signed integers in -2^31..2^31; the product is computed in floating point and rounded to
//! integers, which are exact.
//!
//! # Why doubles
//! A polynomial modulo X^2048 + 1 is known by its values at half of the roots, so 2048 reals are
//! 1024 complex points: (c_k + i c_(k+1024)) modulo X^1024 - i. The alternative is a
//! number-theoretic transform modulo two 30-bit primes, as coefficients of a product reach 2^42.
//! There a butterfly of sixteen residues is sixteen instructions; here a butterfly of eight points,
//! which are sixteen reals, is six fused multiply-adds on the same two ports. One transform stands
//! for two, and rounding is one addition where residues need the Chinese remainder theorem.
//!
//! # Exactness
//! (After Klemsa, "Fast and error-free negacyclic integer convolution using extended Fourier
//! transform", 2021.) With u = 2^-53, a level of butterflies adds a relative error of at most 7u in
//! the Euclidean norm (Higham, "Accuracy and stability of numerical algorithms", theorem 24.2); ten
//! levels of three transforms and the pointwise product make less than 2^8 u. By Cauchy-Schwarz the
//! error of any coefficient of a product a s is at most
//!
//! > 2^-45 ||a|| ||s||
//!
//! and rounding gives the exact integer while that is below 1/2. Here |a_k| <= 2^31 and |s_k| <= 1,
//! so ||a|| <= 2^31 2^5.5 and ||s|| <= 2^5.5, and the error is at most 2^-45 2^42 = 2^-3: exact for
//! all inputs. Over uniform factors it is far smaller, because rounding errors add up like a random
//! walk.
//!
//! All tiers execute the same operations, each rounded once, and give the same bits; a test says
//! so.
//!
//! # Secrets
//! The time to add or multiply doubles does not depend on their values, except for subnormal ones,
//! below 2^-1022. Inputs are integers and roots above 2^-11, so a value would have to cancel down
//! to its last bit in nine consecutive levels of butterflies to become subnormal. Neither branches
//! nor addresses depend on values.

mod f64x8;
mod kernel;
mod points;
mod twiddles;

use zeroize::{Zeroize, ZeroizeOnDrop};

use crate::simd::{Tier, tier};
pub use points::DEGREE;
use points::{Point, Points, SLOTS};

/// One transform, or its input.
#[derive(Clone, Zeroize)]
struct Spectrum(Vec<Point>);

impl Default for Spectrum {
    fn default() -> Self {
        Self(vec![Point::default(); SLOTS])
    }
}

impl Spectrum {
    fn points(&self) -> &Points {
        self.0.first_chunk().expect("a spectrum has SLOTS points from its construction on")
    }

    fn points_mut(&mut self) -> &mut Points {
        self.0.first_chunk_mut().expect("a spectrum has SLOTS points from its construction on")
    }
}

/// The transform of a ternary polynomial: a secret. Wiped on drop.
#[derive(Clone, Default, Zeroize, ZeroizeOnDrop)]
pub struct Small(Spectrum);

/// The transform of a polynomial of words. Not wiped on drop: most are of public polynomials.
#[derive(Clone, Default, Zeroize)]
pub struct Wide(Spectrum);

/// The product of a wide and a small polynomial; a buffer for many products one after another.
/// Wiped on drop.
#[derive(Clone, Default, Zeroize, ZeroizeOnDrop)]
pub struct Product(Spectrum);

impl Small {
    /// Transform of a polynomial with coefficients -1, 0 and 1.
    ///
    /// # Panics
    /// If there are not [`DEGREE`] coefficients.
    #[must_use]
    pub fn new(coefficients: &[i8]) -> Self {
        let mut out = Self::default();
        out.set(coefficients);
        out
    }

    /// As [`Small::new`], in place.
    ///
    /// # Panics
    /// As [`Small::new`].
    pub fn set(&mut self, coefficients: &[i8]) {
        self.set_on(tier(), coefficients);
    }

    fn set_on(&mut self, tier: Tier, coefficients: &[i8]) {
        assert_eq!(coefficients.len(), DEGREE, "polynomial length");
        kernel::load_small(tier, coefficients, self.0.points_mut());
        kernel::forward(tier, self.0.points_mut());
    }
}

impl Wide {
    /// Transform of a polynomial with coefficients modulo 2^32.
    ///
    /// # Panics
    /// If there are not [`DEGREE`] coefficients.
    #[must_use]
    pub fn new(coefficients: &[u32]) -> Self {
        let mut out = Self::default();
        out.set(coefficients);
        out
    }

    /// As [`Wide::new`], in place.
    ///
    /// # Panics
    /// As [`Wide::new`].
    pub fn set(&mut self, coefficients: &[u32]) {
        self.set_on(tier(), coefficients);
    }

    fn set_on(&mut self, tier: Tier, coefficients: &[u32]) {
        assert_eq!(coefficients.len(), DEGREE, "polynomial length");
        kernel::load_words(tier, coefficients, self.0.points_mut());
        kernel::forward(tier, self.0.points_mut());
    }
}

impl Product {
    /// Becomes the product of `wide` and `small`.
    pub fn set(&mut self, wide: &Wide, small: &Small) {
        self.set_on(tier(), wide, small);
    }

    fn set_on(&mut self, tier: Tier, wide: &Wide, small: &Small) {
        kernel::multiply(tier, wide.0.points(), small.0.points(), self.0.points_mut());
    }

    /// Writes the coefficients from `start` on, modulo 2^32.
    ///
    /// # Panics
    /// If there are fewer than `out` has room for.
    pub fn words(&self, start: usize, out: &mut [u32]) {
        self.words_on(tier(), start, out);
    }

    fn words_on(&self, tier: Tier, start: usize, out: &mut [u32]) {
        assert!(start + out.len() <= DEGREE, "coefficient index");
        kernel::round(tier, self.0.points(), start, out);
    }

    /// Adds the coefficients from `start` on, modulo 2^32.
    ///
    /// # Panics
    /// As [`Product::words`].
    pub fn add_to(&self, start: usize, out: &mut [u32]) {
        self.add_to_on(tier(), start, out);
    }

    fn add_to_on(&self, tier: Tier, start: usize, out: &mut [u32]) {
        assert!(start + out.len() <= DEGREE, "coefficient index");
        kernel::add_rounded(tier, self.0.points(), start, out);
    }
}

#[cfg(test)]
mod tests;
