//! The field of 2^128 elements: `F_2[X] / (X^128 + X^7 + X^2 + X + 1)`, bit i of a [`Block`] the
//! coefficient of X^i.
//!
//! Addition is XOR. Products take the same time for all operands.

use crate::simd::Clmul;
use crate::symmetric::block::Block;

/// a b.
///
/// ```
/// use fusion_ring::symmetric::gf128::mul;
/// assert_eq!(mul(1 << 127, 2), 0x87);
/// ```
#[must_use]
pub fn mul(a: Block, b: Block) -> Block {
    dot(&[a], &[b])
}

/// a X.
#[must_use]
pub const fn mul_x(a: Block) -> Block {
    (a << 1) ^ (0x87 & (a >> 127).wrapping_neg())
}

/// The sum of a\[i\] b\[i\]; reduces once, so it is faster than single products.
///
/// # Panics
/// If the lengths differ.
#[must_use]
pub fn dot(a: &[Block], b: &[Block]) -> Block {
    assert_eq!(a.len(), b.len(), "inner product of unequal lengths");
    dot_with(Clmul::get(), a, b)
}

fn dot_with(clmul: Option<Clmul>, a: &[Block], b: &[Block]) -> Block {
    #[cfg(target_arch = "x86_64")]
    if clmul.is_some() {
        // SAFETY: the token proves that the CPU has PCLMULQDQ and AVX2.
        let (high, low) = unsafe { dot_clmul(a, b) };
        return reduce(high, low);
    }
    let _ = clmul;
    let (high, low) = a.iter().zip(b).fold((0, 0), |(high, low), (&a, &b)| {
        let (h, l) = wide_portable(a, b);
        (high ^ h, low ^ l)
    });
    reduce(high, low)
}

/// high X^128 + low, reduced.
fn reduce(high: Block, low: Block) -> Block {
    // X^128 = X^7 + X^2 + X + 1. At most 7 bits go beyond bit 127 again, and are reduced once more.
    let over = (high >> 127) ^ (high >> 126) ^ (high >> 121);
    let high = high ^ over;
    low ^ high ^ (high << 1) ^ (high << 2) ^ (high << 7)
}

/// Sum of the unreduced products as (high, low) halves.
///
/// # Safety
/// The CPU has PCLMULQDQ and AVX2.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "pclmulqdq,avx2")]
unsafe fn dot_clmul(a: &[Block], b: &[Block]) -> (Block, Block) {
    use std::arch::x86_64::*;
    let mut low = _mm_setzero_si128();
    let mut mid = _mm_setzero_si128();
    let mut high = _mm_setzero_si128();
    for (a, b) in a.iter().zip(b) {
        // SAFETY: unaligned loads of 16 bytes from `u128` values.
        let (a, b) = unsafe { (_mm_loadu_si128(std::ptr::from_ref(a).cast()), _mm_loadu_si128(std::ptr::from_ref(b).cast())) };
        low = _mm_xor_si128(low, _mm_clmulepi64_si128::<0x00>(a, b));
        high = _mm_xor_si128(high, _mm_clmulepi64_si128::<0x11>(a, b));
        mid = _mm_xor_si128(mid, _mm_xor_si128(_mm_clmulepi64_si128::<0x01>(a, b), _mm_clmulepi64_si128::<0x10>(a, b)));
    }
    low = _mm_xor_si128(low, _mm_slli_si128::<8>(mid));
    high = _mm_xor_si128(high, _mm_srli_si128::<8>(mid));
    let mut out: (Block, Block) = (0, 0);
    // SAFETY: unaligned stores of 16 bytes to `u128` values.
    unsafe {
        _mm_storeu_si128(std::ptr::from_mut(&mut out.0).cast(), high);
        _mm_storeu_si128(std::ptr::from_mut(&mut out.1).cast(), low);
    }
    out
}

/// Low 64 bits of the carry-less product, from integer products of operands with three zeros
/// between payload bits: carries fall into the zeros (Pornin, BearSSL, "Constant-time
/// multiplication").
fn low_product(x: u64, y: u64) -> u64 {
    const CLASS: u64 = 0x1111_1111_1111_1111;
    let x: [u64; 4] = std::array::from_fn(|i| x & (CLASS << i));
    let y: [u64; 4] = std::array::from_fn(|i| y & (CLASS << i));
    (0..4).fold(0, |out, class| {
        let sum = (0..4).fold(0, |sum, i| sum ^ x[i].wrapping_mul(y[(class + 4 - i) % 4]));
        out | (sum & (CLASS << class))
    })
}

/// The 127-bit carry-less product of two words.
fn word_product(x: u64, y: u64) -> Block {
    let high = low_product(x.reverse_bits(), y.reverse_bits()).reverse_bits() >> 1;
    (Block::from(high) << 64) | Block::from(low_product(x, y))
}

fn wide_portable(a: Block, b: Block) -> (Block, Block) {
    let (a1, a0, b1, b0) = ((a >> 64) as u64, a as u64, (b >> 64) as u64, b as u64);
    let (low, high) = (word_product(a0, b0), word_product(a1, b1));
    let mid = word_product(a0 ^ a1, b0 ^ b1) ^ low ^ high;
    (high ^ (mid >> 64), low ^ (mid << 64))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Shift and add.
    fn textbook(a: Block, b: Block) -> Block {
        (0..128).rev().fold(0, |acc, i| mul_x(acc) ^ (a & ((b >> i) & 1).wrapping_neg()))
    }

    proptest! {
        #[test]
        fn kernels_are_the_textbook_product(a in prop::collection::vec(any::<(u128, u128)>(), 0..20)) {
            let (a, b): (Vec<_>, Vec<_>) = a.into_iter().unzip();
            let expect = a.iter().zip(&b).fold(0, |acc, (&a, &b)| acc ^ textbook(a, b));
            prop_assert_eq!(dot_with(None, &a, &b), expect);
            prop_assert_eq!(dot_with(Clmul::available(), &a, &b), expect);
        }
    }

    #[test]
    fn extreme_operands() {
        for a in [0, 1, 2, u128::MAX, 1 << 127, 0x87] {
            for b in [0, 1, 2, u128::MAX, 1 << 127, 3 << 126] {
                assert_eq!(dot_with(None, &[a], &[b]), textbook(a, b));
                assert_eq!(mul(a, b), textbook(a, b));
            }
        }
    }

    #[test]
    fn every_nonzero_element_has_the_group_order() {
        // a^(2^128) = a: 128 squarings return to the start.
        let a = 0x0123_4567_89ab_cdef_0011_2233_4455_6677;
        assert_eq!((0..128).fold(a, |x, _| mul(x, x)), a);
    }
}
