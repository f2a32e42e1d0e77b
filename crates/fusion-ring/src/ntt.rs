//! Exact products in Z\[X\]/(X^4096 + 1), by number-theoretic transforms modulo four 30-bit primes.
//!
//! The ciphertext modulus of Fusion is a power of two, so a product modulo q = 2^w is an integer product reduced at the end. One factor is
//! always small (a ternary secret), so the integer product is below 2^(w + 13) in magnitude and four primes
//! (119.99 bits) represent it exactly for every w <= 104.
//!
//! Thirty-bit primes were chosen over 50..62-bit ones because the butterflies are then plain 32-bit vector code that every tier from AVX2 up runs at full width;
//! 64-bit butterflies need IFMA to vectorise. The kernels are safe Rust compiled once per tier, so all tiers agree by construction, and a
//! test says so.
//!
//! # Ranges
//! [`Rns`] holds residues in `[0, 4p)` after [`forward`](Rns::from_wide), see each function. Butterflies are Harvey's lazy ones ("Faster
//! arithmetic for number-theoretic transforms", 2014, section 3) with Shoup's precomputed quotients.

mod kernel;
mod tables;

use std::ops::Range;

use zeroize::{Zeroize, ZeroizeOnDrop};

pub use tables::PRIMES;
use tables::{P_ALL, P01};

use crate::simd::Tier;

/// Ring degree N.
pub const DEGREE: usize = 4096;

/// Widest ciphertext modulus, in bits, whose products with ternary polynomials are exact.
pub const MAX_MODULUS_BITS: u32 = 104;

/// A polynomial in the transform domain: four residue vectors of [`DEGREE`] values, `[0, 4p)`, in the order of the transform.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct Rns(Vec<u32>);

/// A polynomial in the transform domain, fully reduced, with Shoup quotients: the factor that is used many times.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct Prepared {
    values: Vec<u32>,
    quotients: Vec<u32>,
}

/// An integer product, in mixed-radix digits of the four primes; [`Product::range`] reads coefficients.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct Product(Vec<u32>);

impl Rns {
    /// Transform of a polynomial with coefficients in `[0, 2^104)`.
    ///
    /// # Panics
    /// If there are not [`DEGREE`] coefficients.
    #[must_use]
    pub fn from_wide(coefficients: &[u128]) -> Self {
        Self::from_wide_on(crate::simd::tier(), coefficients)
    }

    fn from_wide_on(tier: Tier, coefficients: &[u128]) -> Self {
        assert_eq!(coefficients.len(), DEGREE, "polynomial length");
        let mut residues = vec![0u32; 4 * DEGREE];
        kernel::reduce(tier, coefficients, &mut residues);
        kernel::forward(tier, &mut residues);
        Self(residues)
    }

    /// Transform of a polynomial with small signed coefficients.
    ///
    /// # Panics
    /// If there are not [`DEGREE`] coefficients.
    #[must_use]
    pub fn from_small(coefficients: &[i8]) -> Self {
        assert_eq!(coefficients.len(), DEGREE, "polynomial length");
        let mut residues = vec![0u32; 4 * DEGREE];
        for (row, &p) in residues.chunks_exact_mut(DEGREE).zip(&PRIMES) {
            for (r, &c) in row.iter_mut().zip(coefficients) {
                // Branch-free: the coefficients are secrets. The sum is in [p - 128, p + 127], which the lazy butterflies accept.
                *r = p.wrapping_add_signed(i32::from(c));
            }
        }
        kernel::forward(crate::simd::tier(), &mut residues);
        Self(residues)
    }

    /// Product with a prepared factor. The integer product must be below 2^118 in magnitude: a factor of coefficients below 2^104 times a
    /// ternary one always is.
    #[must_use]
    pub fn multiply(&self, factor: &Prepared) -> Product {
        self.multiply_on(crate::simd::tier(), factor)
    }

    fn multiply_on(&self, tier: Tier, factor: &Prepared) -> Product {
        let mut out = vec![0u32; 4 * DEGREE];
        kernel::pointwise(tier, &self.0, &factor.values, &factor.quotients, &mut out);
        kernel::inverse(tier, &mut out);
        Product(out)
    }

    /// Reduces and adds Shoup quotients.
    #[must_use]
    pub fn prepare(&self) -> Prepared {
        let mut values = self.0.clone();
        let mut quotients = vec![0u32; values.len()];
        for ((v, q), &p) in values.chunks_exact_mut(DEGREE).zip(quotients.chunks_exact_mut(DEGREE)).zip(&PRIMES) {
            for (v, q) in v.iter_mut().zip(q) {
                *v = tables::reduce_once(tables::reduce_once(*v, 2 * p), p);
                *q = tables::quotient(*v, p);
            }
        }
        Prepared { values, quotients }
    }
}

impl Product {
    /// The coefficients at `range` modulo 2^128, two's complement: mask them to the ciphertext modulus.
    ///
    /// # Panics
    /// If `range` is not inside `0..DEGREE`.
    pub fn range(&self, range: Range<usize>) -> impl Iterator<Item = u128> + '_ {
        assert!(range.end <= DEGREE, "coefficient index");
        let digits = |i: usize| self.0[i * DEGREE + range.start..i * DEGREE + range.end].iter().map(|&d| u64::from(d));
        digits(0).zip(digits(1)).zip(digits(2)).zip(digits(3)).map(|(((d0, d1), d2), d3)| {
            let low = d0 + d1 * u64::from(PRIMES[0]);
            let high = d2 + d3 * u64::from(PRIMES[2]);
            let value = u128::from(low) + u128::from(high) * u128::from(P01);
            // The upper half of the range stands for negative values; the magnitude bound keeps values far from the border.
            let negative = (u64::from(PRIMES[3] / 2).wrapping_sub(d3) >> 63) as u128;
            value.wrapping_sub(P_ALL & negative.wrapping_neg())
        })
    }

    /// All coefficients modulo 2^128.
    pub fn coefficients(&self) -> impl Iterator<Item = u128> + '_ {
        self.range(0..DEGREE)
    }
}

#[cfg(test)]
mod tests {
    use rand_chacha::ChaCha20Rng;
    use rand_core::{Rng, SeedableRng};

    use super::tables::{GARNER, tables};
    use super::*;
    use crate::simd;

    fn wide(rng: &mut ChaCha20Rng, bits: u32) -> Vec<u128> {
        let mask = (1u128 << bits) - 1;
        (0..DEGREE).map(|_| (u128::from(rng.next_u64()) << 64 | u128::from(rng.next_u64())) & mask).collect()
    }

    fn ternary(rng: &mut ChaCha20Rng) -> Vec<i8> {
        (0..DEGREE).map(|_| (rng.next_u32() % 3) as i8 - 1).collect()
    }

    fn schoolbook(a: &[u128], s: &[i8]) -> Vec<u128> {
        let mut out = vec![0u128; DEGREE];
        for (i, &s) in s.iter().enumerate().filter(|&(_, &s)| s != 0) {
            let (head, tail) = a.split_at(DEGREE - i);
            for (o, &c) in out[i..].iter_mut().zip(head) {
                *o = if s > 0 { o.wrapping_add(c) } else { o.wrapping_sub(c) };
            }
            for (o, &c) in out.iter_mut().zip(tail) {
                *o = if s > 0 { o.wrapping_sub(c) } else { o.wrapping_add(c) };
            }
        }
        out
    }

    #[test]
    fn product_equals_schoolbook_on_every_tier() {
        let mut rng = ChaCha20Rng::seed_from_u64(1);
        for bits in [1, 30, 64, 88, MAX_MODULUS_BITS] {
            let (a, s) = (wide(&mut rng, bits), ternary(&mut rng));
            let expect = schoolbook(&a, &s);
            let factor = Rns::from_small(&s).prepare();
            for tier in simd::available() {
                let product = Rns::from_wide_on(tier, &a).multiply_on(tier, &factor);
                assert!(product.coefficients().eq(expect.iter().copied()), "tier {} at {bits} bits", tier.name());
            }
        }
    }

    #[test]
    fn extreme_values_stay_exact() {
        let top = vec![(1u128 << MAX_MODULUS_BITS) - 1; DEGREE];
        for sign in [1i8, -1] {
            let s = vec![sign; DEGREE];
            let product = Rns::from_wide(&top).multiply(&Rns::from_small(&s).prepare());
            assert!(product.coefficients().eq(schoolbook(&top, &s)));
        }
    }

    #[test]
    fn tiers_agree_bit_for_bit_inside_the_transform() {
        let mut rng = ChaCha20Rng::seed_from_u64(2);
        let a = wide(&mut rng, 88);
        let portable = Rns::from_wide_on(Tier::Portable, &a);
        for tier in simd::available() {
            assert_eq!(Rns::from_wide_on(tier, &a).0, portable.0, "tier {}", tier.name());
        }
    }

    #[test]
    fn garner_constants_are_inverses() {
        for (i, row) in GARNER.iter().enumerate() {
            for (j, &inverse) in row.iter().enumerate().take(i) {
                assert_eq!(u64::from(inverse) * u64::from(PRIMES[j]) % u64::from(PRIMES[i]), 1);
            }
        }
    }

    #[test]
    fn tables_build_for_every_prime() {
        assert_eq!(tables().len(), 4);
        assert!(PRIMES.iter().all(|p| p % (2 * DEGREE as u32) == 1 && *p < 1 << 30));
    }
}
