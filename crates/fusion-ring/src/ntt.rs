//! Exact products in Z\[X\]/(X^4096 + 1), by number-theoretic transforms modulo two, three or four 30-bit primes.
//!
//! The ciphertext modulus of Fusion is a power of two, so a product modulo q = 2^w is an integer product reduced at the end. One factor is
//! always small (a ternary secret), so an integer product of coefficients of b bits is below 2^(b + 12) in magnitude. How many primes represent it exactly is
//! the caller's to choose, as the parameter of [`Rns`]: two for b <= 46, four for b <= [`MAX_MODULUS_BITS`]. Fewer primes are less work, and where a
//! product is rounded afterwards it need not be exact to the last bit of q.
//!
//! Thirty-bit primes were chosen over 50..62-bit ones because the butterflies are then plain 32-bit vector code that every tier from AVX2 up runs at full width;
//! 64-bit butterflies need IFMA to vectorise. The transforms are written once over vectors of sixteen residues, so all tiers agree by construction, and a
//! test says so.
//!
//! # Ranges
//! [`Rns`] holds residues in `[0, 4p)`. Butterflies are Harvey's lazy ones ("Faster
//! arithmetic for number-theoretic transforms", 2014, section 3) with Shoup's precomputed quotients.

mod kernel;
mod lanes;
mod tables;

use std::ops::Range;

use zeroize::{Zeroize, ZeroizeOnDrop};

pub use tables::PRIMES;

use crate::simd::{Tier, tier};

/// Ring degree N.
pub const DEGREE: usize = 4096;

/// Widest ciphertext modulus, in bits, whose products with ternary polynomials are exact modulo four primes.
pub const MAX_MODULUS_BITS: u32 = 104;

/// A polynomial in the transform domain: a residue vector of [`DEGREE`] values in `[0, 4p)` for each of the first P primes, in the order of the transform.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct Rns<const P: usize = 4>(Vec<u32>);

/// A polynomial in the transform domain, divided by N and fully reduced, with Shoup quotients: the factor that is used many times, for products modulo
/// up to P primes.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct Prepared<const P: usize = 4> {
    values: Vec<u32>,
    quotients: Vec<u32>,
}

/// An integer product modulo P primes; a buffer for many products one after another.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct Product<const P: usize = 4> {
    residues: Vec<u32>,
    low: Vec<u64>,
    high: Vec<u64>,
}

impl<const P: usize> Rns<P> {
    /// The zero polynomial.
    #[must_use]
    pub fn zero() -> Self {
        const { assert!(P >= 2 && P <= PRIMES.len(), "two to four primes") };
        Self(vec![0; P * DEGREE])
    }

    /// Transform of a polynomial with coefficients in `[0, 2^104)`.
    ///
    /// # Panics
    /// If there are not [`DEGREE`] coefficients.
    #[must_use]
    pub fn from_wide(coefficients: &[u128]) -> Self {
        let mut out = Self::zero();
        out.set_wide(coefficients);
        out
    }

    /// As [`Rns::from_wide`], in place.
    ///
    /// # Panics
    /// As [`Rns::from_wide`].
    pub fn set_wide(&mut self, coefficients: &[u128]) {
        self.set_wide_on(tier(), coefficients);
    }

    fn set_wide_on(&mut self, tier: Tier, coefficients: &[u128]) {
        assert_eq!(coefficients.len(), DEGREE, "polynomial length");
        kernel::reduce(tier, coefficients, &mut self.0);
        kernel::forward(tier, &mut self.0);
    }

    /// Transform of a polynomial with coefficients in `[0, 2^60)`, in place.
    ///
    /// # Panics
    /// If there are not [`DEGREE`] coefficients.
    pub fn set_narrow(&mut self, coefficients: &[u64]) {
        self.set_narrow_on(tier(), coefficients);
    }

    fn set_narrow_on(&mut self, tier: Tier, coefficients: &[u64]) {
        assert_eq!(coefficients.len(), DEGREE, "polynomial length");
        kernel::reduce_narrow(tier, coefficients, &mut self.0);
        kernel::forward(tier, &mut self.0);
    }

    /// As [`Rns::from_wide`] for coefficients in `(-2^88, 2^88)`; for two or three primes.
    ///
    /// # Panics
    /// As [`Rns::from_wide`].
    #[must_use]
    pub fn from_signed(coefficients: &[i128]) -> Self {
        const { assert!(P <= 3, "the lift below must not exceed 2^104") };
        // A multiple of every prime, 2^89.99, makes them positive.
        let lift = u128::from(tables::P01) * u128::from(PRIMES[2]);
        Self::from_wide(&coefficients.iter().map(|&c| lift.wrapping_add_signed(c)).collect::<Vec<_>>())
    }

    /// Transform of a polynomial with small signed coefficients.
    ///
    /// # Panics
    /// If there are not [`DEGREE`] coefficients.
    #[must_use]
    pub fn from_small(coefficients: &[i8]) -> Self {
        let mut out = Self::zero();
        out.set_small(coefficients);
        out
    }

    /// As [`Rns::from_small`], in place.
    ///
    /// # Panics
    /// As [`Rns::from_small`].
    pub fn set_small(&mut self, coefficients: &[i8]) {
        assert_eq!(coefficients.len(), DEGREE, "polynomial length");
        for (row, &p) in self.0.chunks_exact_mut(DEGREE).zip(&PRIMES) {
            for (r, &c) in row.iter_mut().zip(coefficients) {
                // Branch-free: the coefficients are secrets. The sum is in [p - 128, p + 127], which the lazy butterflies accept.
                *r = p.wrapping_add_signed(i32::from(c));
            }
        }
        kernel::forward(tier(), &mut self.0);
    }

    /// Product with a prepared factor into `out`. The integer product must be below half the product of the P primes in magnitude: below 2^58.9, 2^88.9 or
    /// 2^118.9.
    pub fn multiply_into<const Q: usize>(&self, factor: &Prepared<Q>, out: &mut Product<P>) {
        self.multiply_on(tier(), factor, out);
    }

    fn multiply_on<const Q: usize>(&self, tier: Tier, factor: &Prepared<Q>, out: &mut Product<P>) {
        const { assert!(P <= Q, "the factor has every prime of the product") };
        kernel::multiply(tier, &self.0, &factor.values[..P * DEGREE], &factor.quotients[..P * DEGREE], &mut out.residues);
    }

    /// Product with a prepared factor, as [`Rns::multiply_into`].
    #[must_use]
    pub fn multiply<const Q: usize>(&self, factor: &Prepared<Q>) -> Product<P> {
        let mut out = Product::default();
        self.multiply_into(factor, &mut out);
        out
    }

    /// Divides by N, reduces and adds Shoup quotients.
    #[must_use]
    pub fn prepare(&self) -> Prepared<P> {
        let mut values = self.0.clone();
        let mut quotients = vec![0u32; values.len()];
        tables::prepare(&mut values, &mut quotients);
        Prepared { values, quotients }
    }
}

impl<const P: usize> Default for Product<P> {
    fn default() -> Self {
        Self { residues: vec![0; P * DEGREE], low: Vec::with_capacity(DEGREE), high: Vec::with_capacity(DEGREE) }
    }
}

impl<const P: usize> Product<P> {
    /// The coefficients at `range` modulo 2^128, two's complement, in halves: mask them to the ciphertext modulus.
    ///
    /// # Panics
    /// If `range` is not inside `0..DEGREE`.
    pub fn halves(&mut self, range: Range<usize>) -> (&[u64], &[u64]) {
        self.halves_on(tier(), range)
    }

    fn halves_on(&mut self, tier: Tier, range: Range<usize>) -> (&[u64], &[u64]) {
        assert!(range.start <= range.end && range.end <= DEGREE, "coefficient index");
        self.low.resize(range.len(), 0);
        self.high.resize(range.len(), 0);
        kernel::compose(tier, &self.residues, range.start, &mut self.low, &mut self.high);
        (&self.low, &self.high)
    }

    /// As [`Product::halves`], as whole values.
    ///
    /// # Panics
    /// As [`Product::halves`].
    pub fn range(&mut self, range: Range<usize>) -> impl Iterator<Item = u128> + '_ {
        let (low, high) = self.halves(range);
        low.iter().zip(high).map(|(&low, &high)| u128::from(low) | u128::from(high) << 64)
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

    fn product<const P: usize>(tier: Tier, a: &[u128], factor: &Prepared) -> Vec<u128> {
        let (mut transform, mut product) = (Rns::<P>::zero(), Product::<P>::default());
        transform.set_wide_on(tier, a);
        transform.multiply_on(tier, factor, &mut product);
        let (low, high) = product.halves_on(tier, 0..DEGREE);
        low.iter().zip(high).map(|(&low, &high)| u128::from(low) | u128::from(high) << 64).collect()
    }

    #[test]
    fn product_equals_schoolbook_on_every_tier() {
        let mut rng = ChaCha20Rng::seed_from_u64(1);
        for bits in [1, 30, 46, 64, 76, 88, MAX_MODULUS_BITS] {
            let (a, s) = (wide(&mut rng, bits), ternary(&mut rng));
            let expect = schoolbook(&a, &s);
            let factor = Rns::from_small(&s).prepare();
            for tier in simd::available() {
                let name = tier.name();
                assert!(product::<4>(tier, &a, &factor) == expect, "tier {name} at {bits} bits, four primes");
                if bits <= 76 {
                    assert!(product::<3>(tier, &a, &factor) == expect, "tier {name} at {bits} bits, three primes");
                }
                if bits <= 46 {
                    assert!(product::<2>(tier, &a, &factor) == expect, "tier {name} at {bits} bits, two primes");
                }
            }
        }
    }

    #[test]
    fn extreme_values_stay_exact() {
        let top = |bits: u32| vec![(1u128 << bits) - 1; DEGREE];
        for sign in [1i8, -1] {
            let s = vec![sign; DEGREE];
            let factor = Rns::from_small(&s).prepare();
            assert!(product::<4>(tier(), &top(MAX_MODULUS_BITS), &factor) == schoolbook(&top(MAX_MODULUS_BITS), &s));
            assert!(product::<3>(tier(), &top(76), &factor) == schoolbook(&top(76), &s));
            assert!(product::<2>(tier(), &top(46), &factor) == schoolbook(&top(46), &s));
        }
    }

    #[test]
    fn narrow_coefficients_are_wide_ones() {
        let mut rng = ChaCha20Rng::seed_from_u64(5);
        let narrow: Vec<u64> = (0..DEGREE).map(|_| rng.next_u64() >> 4).collect();
        let wide: Vec<u128> = narrow.iter().map(|&c| u128::from(c)).collect();
        for tier in simd::available() {
            let (mut a, mut b) = (Rns::<2>::zero(), Rns::<2>::zero());
            a.set_narrow_on(tier, &narrow);
            b.set_wide_on(tier, &wide);
            assert!(a.prepare().values == b.prepare().values, "tier {}", tier.name());
        }
    }

    #[test]
    fn signed_coefficients_keep_their_sign() {
        let mut rng = ChaCha20Rng::seed_from_u64(4);
        let (a, s) = (wide(&mut rng, 76), ternary(&mut rng));
        let centred: Vec<i128> = a.iter().map(|&c| c as i128 - (1 << 75)).collect();
        let expect = schoolbook(&centred.iter().map(|&c| c as u128).collect::<Vec<_>>(), &s);
        let mut product = Rns::<3>::from_signed(&centred).multiply(&Rns::<3>::from_small(&s).prepare());
        assert!(product.range(0..DEGREE).eq(expect));
    }

    #[test]
    fn ranges_are_parts_of_the_whole() {
        let mut rng = ChaCha20Rng::seed_from_u64(3);
        let (a, s) = (wide(&mut rng, 88), ternary(&mut rng));
        let mut product = Rns::<4>::from_wide(&a).multiply(&Rns::<4>::from_small(&s).prepare());
        let whole: Vec<u128> = product.range(0..DEGREE).collect();
        for range in [0..1, 15..17, 16..32, 5..5, 100..1000, 4095..4096, 4080..4096] {
            assert!(product.range(range.clone()).eq(whole[range.clone()].iter().copied()), "{range:?}");
        }
    }

    #[test]
    fn tiers_agree_bit_for_bit_inside_the_transform() {
        let mut rng = ChaCha20Rng::seed_from_u64(2);
        let a = wide(&mut rng, 88);
        let factor = Rns::<4>::from_small(&ternary(&mut rng)).prepare();
        let inside = |tier: Tier| {
            let (mut transform, mut product) = (Rns::<4>::zero(), Product::<4>::default());
            transform.set_wide_on(tier, &a);
            transform.multiply_on(tier, &factor, &mut product);
            (transform.0.clone(), product.residues.clone())
        };
        let portable = inside(Tier::Portable);
        for tier in simd::available() {
            assert!(inside(tier) == portable, "tier {}", tier.name());
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
