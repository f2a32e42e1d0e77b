//! The field of 2^128 elements: `F_2[X] / (X^128 + X^7 + X^2 + X + 1)`, bit i of a [`Block`] the
//! coefficient of X^i.
//!
//! Addition is XOR. Products take the same time for all operands.

mod reduction;
#[cfg(target_arch = "x86_64")]
mod x86;

use reduction::reduce;

use crate::simd::Clmul;
#[cfg(target_arch = "x86_64")]
use crate::simd::ClmulLevel;
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

fn dot_with(clmul: Clmul, a: &[Block], b: &[Block]) -> Block {
    let (high, low) = wide::<false>(clmul, a, b, &[]);
    reduce(high, low)
}

/// A vector that many inner products share. Public: it is not wiped.
#[derive(Clone)]
pub struct Multiplier {
    factors: Vec<Block>,
    /// For each factor the sum of its halves, in the lower half.
    folded: Vec<Block>,
}

impl Multiplier {
    /// Takes the vector.
    #[must_use]
    pub fn new(factors: Vec<Block>) -> Self {
        let folded = factors.iter().map(|x| (x >> 64) ^ x & Block::from(u64::MAX)).collect();
        Self { factors, folded }
    }

    /// The vector.
    #[must_use]
    pub fn factors(&self) -> &[Block] {
        &self.factors
    }

    /// The inner product of entries `first`, `first + 1`, ... and as many others.
    ///
    /// # Panics
    /// If there are too many others.
    #[must_use]
    pub fn dot(&self, first: usize, others: &[Block]) -> Block {
        let range = first..first + others.len();
        let (high, low) = wide::<true>(Clmul::get(), others, &self.factors[range.clone()], &self.folded[range]);
        reduce(high, low)
    }

    /// The sum of rows\[r\] columns\[c\] matrix\[r\]\[c\], where the columns are this vector and
    /// the matrix is given row by row.
    ///
    /// # Panics
    /// If the matrix has another shape.
    #[must_use]
    pub fn bilinear(&self, rows: &[Block], matrix: &[Block]) -> Block {
        self.bilinear_with(Clmul::get(), rows, matrix)
    }

    fn bilinear_with(&self, clmul: Clmul, rows: &[Block], matrix: &[Block]) -> Block {
        let columns = &self.factors[..];
        assert_eq!(rows.len() * columns.len(), matrix.len(), "shape of a bilinear form");
        #[cfg(target_arch = "x86_64")]
        match clmul.level() {
            // SAFETY: the token proves that the CPU has VPCLMULQDQ, AVX-512 and AVX2.
            ClmulLevel::Four => return unsafe { x86::by_four::bilinear(rows, columns, &self.folded, matrix) },
            // SAFETY: the token proves that the CPU has VPCLMULQDQ and AVX2.
            ClmulLevel::Two => return unsafe { x86::by_two::bilinear(rows, columns, &self.folded, matrix) },
            // SAFETY: the token proves that the CPU has PCLMULQDQ and AVX2.
            ClmulLevel::One => return unsafe { x86::by_one::bilinear(rows, columns, &self.folded, matrix) },
            ClmulLevel::Portable => {}
        }
        let sums: Vec<Block> = matrix.chunks(columns.len()).map(|row| dot_with(clmul, row, columns)).collect();
        dot_with(clmul, &sums, rows)
    }
}

/// The sum of a\[i\] b\[i\] as unreduced (high, low) halves, with the folded halves of b if
/// `FOLDED`.
fn wide<const FOLDED: bool>(clmul: Clmul, a: &[Block], b: &[Block], folded: &[Block]) -> (Block, Block) {
    #[cfg(target_arch = "x86_64")]
    match clmul.level() {
        // SAFETY: the token proves that the CPU has VPCLMULQDQ, AVX-512 and AVX2.
        ClmulLevel::Four => return unsafe { x86::by_four::wide::<FOLDED>(a, b, folded) },
        // SAFETY: the token proves that the CPU has VPCLMULQDQ and AVX2.
        ClmulLevel::Two => return unsafe { x86::by_two::wide::<FOLDED>(a, b, folded) },
        // SAFETY: the token proves that the CPU has PCLMULQDQ and AVX2.
        ClmulLevel::One => return unsafe { x86::by_one::wide::<FOLDED>(a, b, folded) },
        ClmulLevel::Portable => {}
    }
    let _ = (clmul, folded);
    a.iter().zip(b).fold((0, 0), |(high, low), (&a, &b)| {
        let (h, l) = wide_portable(a, b);
        (high ^ h, low ^ l)
    })
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
        fn kernels_are_the_textbook_product(a in prop::collection::vec(any::<(u128, u128)>(), 0..20), first in 0usize..5) {
            let (a, b): (Vec<_>, Vec<_>) = a.into_iter().unzip();
            let expect = a.iter().zip(&b).fold(0, |acc, (&a, &b)| acc ^ textbook(a, b));
            for clmul in Clmul::available() {
                prop_assert_eq!(dot_with(clmul, &a, &b), expect, "{:?}", clmul);
            }
            let shared = Multiplier::new([&vec![7; first][..], &a].concat());
            prop_assert_eq!(shared.dot(first, &b), expect);
        }

        #[test]
        fn bilinear_forms_are_their_sums(rows in prop::collection::vec(any::<u128>(), 0..150), columns in prop::collection::vec(any::<u128>(), 1..9), seed: [u8; 16]) {
            let mut matrix = vec![0; rows.len() * columns.len()];
            crate::symmetric::prg::AesPrg::new(seed).fill_blocks(&mut matrix);
            let row = |row: &[Block]| row.iter().zip(&columns).fold(0, |sum, (&x, &c)| sum ^ mul(x, c));
            let expect = matrix.chunks(columns.len()).zip(&rows).fold(0, |sum, (x, &r)| sum ^ mul(row(x), r));
            let shared = Multiplier::new(columns.clone());
            for clmul in Clmul::available() {
                prop_assert_eq!(shared.bilinear_with(clmul, &rows, &matrix), expect, "{:?}", clmul);
            }
        }
    }

    #[test]
    fn extreme_operands() {
        for a in [0, 1, 2, u128::MAX, 1 << 127, 0x87] {
            for b in [0, 1, 2, u128::MAX, 1 << 127, 3 << 126] {
                for clmul in Clmul::available() {
                    assert_eq!(dot_with(clmul, &[a], &[b]), textbook(a, b), "{clmul:?}");
                }
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
