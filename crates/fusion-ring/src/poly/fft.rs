//! Exact products in Z\[X\]/(X^4096 + 1) of wide by small polynomials, by Fourier transforms in
//! double precision.
//!
//! The ciphertext modulus of Fusion is a power of two, so a product modulo q = 2^w is an integer
//! product reduced at the end. One factor is always small (a ternary secret). The other is cut into
//! P *pieces* of B bits; each piece is multiplied in floating point and rounded to integers, which
//! are exact, and the pieces are added up.
//!
//! # Why doubles
//! A polynomial modulo X^4096 + 1 is known by its values at half of the roots, so 4096 reals are
//! 2048 complex points: (c_k + i c_(k+2048)) modulo X^2048 - i. The alternative is a
//! number-theoretic transform modulo 30-bit primes. There a butterfly of sixteen residues is
//! sixteen instructions; here a butterfly of eight points, which are sixteen reals, is six fused
//! multiply-adds on the same two ports. 88 bits take four primes, but three pieces; the small
//! factor needs one transform instead of one per prime; and rounding is one addition where residues
//! need Garner's algorithm.
//!
//! # Exactness
//! (After Klemsa, "Fast and error-free negacyclic integer convolution using extended Fourier
//! transform", 2021.) With u = 2^-53, a level of butterflies adds a relative error of at most 7u in
//! the Euclidean norm (Higham, "Accuracy and stability of numerical algorithms", theorem 24.2);
//! eleven levels of three transforms and the pointwise product make less than 2^8 u. By
//! Cauchy-Schwarz the error of any coefficient of a product a s is at most
//!
//! > 2^-45 ||a|| ||s||
//!
//! and rounding gives the exact integer while that is below 1/2. Pieces of [`PROVEN_BITS`] bits by
//! any ternary polynomial stay at 2^-45 (2^36 * 2^6) = 2^-3: exact for all inputs. Wider pieces are
//! exact with overwhelming probability over uniform factors, because rounding errors add up like a
//! random walk: at 41 bits their deviation is 2^-5, and 1/2 is 16 deviations away.
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

use std::ops::Range;

use zeroize::{Zeroize, ZeroizeOnDrop};

use crate::poly::residues::{Residues, ResiduesMut};
use crate::simd::{Tier, tier};
pub use points::DEGREE;
use points::{Point, Points, SLOTS};

/// Widest pieces whose products with any ternary polynomial are proven exact.
pub const PROVEN_BITS: u32 = 30;

/// Coefficients that are rounded at a time.
const CHUNK: usize = 512;

/// Widest pieces: coefficients of a product must stay below 2^51 with overwhelming probability.
const MAX_PIECE_BITS: u32 = 42;

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

/// The transform of a polynomial with small signed coefficients: a ternary secret. Wiped on drop.
#[derive(Clone, Default, Zeroize, ZeroizeOnDrop)]
pub struct Small(Spectrum);

/// The transforms of the P pieces of B bits of a polynomial, least significant first. Not wiped on
/// drop: most are of public polynomials.
#[derive(Clone, Zeroize)]
pub struct Wide<const P: usize, const B: u32 = PROVEN_BITS>([Spectrum; P]);

/// The product of a wide and a small polynomial; a buffer for many products one after another.
/// Wiped on drop.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct Product<const P: usize, const B: u32 = PROVEN_BITS> {
    pieces: [Spectrum; P],
    /// Rounded coefficients of a piece, before they are added.
    words: Vec<u64>,
}

impl Small {
    /// Transform of a polynomial.
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

impl<const P: usize, const B: u32> Default for Wide<P, B> {
    fn default() -> Self {
        const { assert!(P >= 1 && B <= MAX_PIECE_BITS && P as u32 * B < 128, "pieces of a double each, of 128 bits together") };
        Self(std::array::from_fn(|_| Spectrum::default()))
    }
}

impl<const P: usize, const B: u32> Wide<P, B> {
    /// Low B bits of a coefficient.
    const MASK: u64 = (1 << B) - 1;

    /// Transform of a polynomial with coefficients modulo 2^(P B); higher bits are ignored.
    ///
    /// # Panics
    /// If there are not [`DEGREE`] coefficients.
    #[must_use]
    pub fn new(coefficients: &Residues) -> Self {
        let mut out = Self::default();
        out.set(coefficients);
        out
    }

    /// As [`Wide::new`], in place.
    ///
    /// # Panics
    /// As [`Wide::new`].
    pub fn set(&mut self, coefficients: &Residues) {
        self.set_on(tier(), coefficients);
    }

    fn set_on(&mut self, tier: Tier, coefficients: &Residues) {
        assert!(coefficients.low.len() == DEGREE && coefficients.high.len() == DEGREE, "polynomial length");
        for (piece, from) in self.0.iter_mut().zip((0..).step_by(B as usize)) {
            kernel::load_wide(tier, &coefficients.low, &coefficients.high, from, Self::MASK, piece.points_mut());
            kernel::forward(tier, piece.points_mut());
        }
    }
}

impl<const B: u32> Wide<1, B> {
    /// As [`Wide::set`], of 64-bit coefficients.
    ///
    /// # Panics
    /// If there are not [`DEGREE`] coefficients.
    pub fn set_narrow(&mut self, coefficients: &[u64]) {
        self.set_narrow_on(tier(), coefficients);
    }

    fn set_narrow_on(&mut self, tier: Tier, coefficients: &[u64]) {
        assert_eq!(coefficients.len(), DEGREE, "polynomial length");
        kernel::load_wide(tier, coefficients, coefficients, 0, Self::MASK, self.0[0].points_mut());
        kernel::forward(tier, self.0[0].points_mut());
    }
}

impl<const P: usize, const B: u32> Default for Product<P, B> {
    fn default() -> Self {
        Self { pieces: Wide::<P, B>::default().0, words: vec![0; CHUNK] }
    }
}

impl<const P: usize, const B: u32> Product<P, B> {
    /// Becomes the product of `wide` and `small`.
    pub fn set(&mut self, wide: &Wide<P, B>, small: &Small) {
        self.set_on(tier(), wide, small);
    }

    fn set_on(&mut self, tier: Tier, wide: &Wide<P, B>, small: &Small) {
        for (out, wide) in self.pieces.iter_mut().zip(&wide.0) {
            kernel::multiply(tier, wide.points(), small.0.points(), out.points_mut());
        }
    }

    /// The coefficients at `range` modulo 2^128, two's complement.
    ///
    /// # Panics
    /// If `range` is not inside `0..DEGREE` and as long as `out`.
    pub fn copy_to(&mut self, range: Range<usize>, out: &mut ResiduesMut<'_>) {
        self.place_on(tier(), range, 0, true, out);
    }

    /// Adds the coefficients at `range`, times 2^`shift`, modulo 2^128.
    ///
    /// # Panics
    /// If `range` is not inside `0..DEGREE` and as long as `out`, or the shifted pieces go beyond
    /// 2^128.
    pub fn add_to(&mut self, range: Range<usize>, shift: u32, out: &mut ResiduesMut<'_>) {
        self.place_on(tier(), range, shift, false, out);
    }

    /// [`Product::copy_to`] if `fresh`, else [`Product::add_to`].
    fn place_on(&mut self, tier: Tier, range: Range<usize>, shift: u32, fresh: bool, out: &mut ResiduesMut<'_>) {
        assert!(range.end <= DEGREE && range.len() == out.low.len() && out.low.len() == out.high.len(), "coefficient index");
        assert!(shift + (P as u32 - 1) * B < 128, "shift");
        let starts = range.step_by(CHUNK);
        for ((start, low), high) in starts.zip(out.low.chunks_mut(CHUNK)).zip(out.high.chunks_mut(CHUNK)) {
            let words = &mut self.words[..low.len()];
            let mut pieces = self.pieces.iter().zip((shift..).step_by(B as usize));
            if fresh && let Some((piece, _)) = pieces.next() {
                kernel::round(tier, piece.points(), start, low);
                kernel::extend_sign(tier, low, high);
            }
            for (piece, place) in pieces {
                kernel::round(tier, piece.points(), start, words);
                kernel::add_signed(tier, low, high, words, place);
            }
        }
    }
}

impl<const B: u32> Product<1, B> {
    /// The coefficients from `start` on, in two's complement.
    ///
    /// # Panics
    /// If there are fewer than `out` has room for.
    pub fn words(&self, start: usize, out: &mut [u64]) {
        assert!(start + out.len() <= DEGREE, "coefficient index");
        kernel::round(tier(), self.pieces[0].points(), start, out);
    }
}

#[cfg(test)]
mod tests;
