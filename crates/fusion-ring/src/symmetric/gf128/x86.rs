//! PCLMULQDQ and VPCLMULQDQ kernels, written once for registers of every width.
//!
//! A product of two blocks takes three carry-less multiplications (Karatsuba): those are what is
//! scarce, and the sums of the halves of one factor, the third operand, can be kept with it.

use std::arch::x86_64::*;

use super::reduction::reduce;
use crate::symmetric::block::Block;

/// Rows whose sums a bilinear form holds at once.
const ROWS: usize = 64;

/// The kernels for registers of one width. The module `narrow` does what does not fill a register.
macro_rules! kernels {
    (
        mod $module:ident, features $features:literal, $register:ty, lanes $lanes:literal,
        $loadu:ident, $storeu:ident, $zero:ident, $xor:ident, $shuffle:ident, $clmul:ident, $left:ident, $right:ident,
        narrow $narrow:ident
    ) => {
        pub(super) mod $module {
            use super::*;

            #[target_feature(enable = $features)]
            #[inline]
            fn load(blocks: &[Block; $lanes]) -> $register {
                // SAFETY: an unaligned load of as many bytes as `lanes` blocks have.
                unsafe { $loadu(blocks.as_ptr().cast()) }
            }

            /// The sum of all lanes.
            #[target_feature(enable = $features)]
            #[inline]
            fn total(register: $register) -> Block {
                let mut blocks = [0; $lanes];
                // SAFETY: an unaligned store of as many bytes as `lanes` blocks have.
                unsafe { $storeu(blocks.as_mut_ptr().cast(), register) };
                blocks.iter().fold(0, |sum, block| sum ^ block)
            }

            /// The sum of a\[i\] b\[i\] as unreduced (high, low) halves; the slices are equally
            /// long. `folded` has the sums of the halves of each b in its lower half if `FOLDED`.
            ///
            /// # Safety
            /// The CPU has the features that the module is compiled for.
            #[target_feature(enable = $features)]
            #[inline]
            pub(in super::super) unsafe fn wide<const FOLDED: bool>(a: &[Block], b: &[Block], folded: &[Block]) -> (Block, Block) {
                let (mut low, mut mid, mut high) = ($zero(), $zero(), $zero());
                let ((a, a_rest), (b, b_rest)) = (a.as_chunks::<$lanes>(), b.as_chunks::<$lanes>());
                let (folded, folded_rest) = folded.as_chunks::<$lanes>();
                let fold = |x| $xor(x, $shuffle::<0b01_00_11_10>(x));
                for (i, (a, b)) in a.iter().zip(b).enumerate() {
                    let (x, y) = (load(a), load(b));
                    let y_folded = if FOLDED { load(&folded[i]) } else { fold(y) };
                    low = $xor(low, $clmul::<0x00>(x, y));
                    high = $xor(high, $clmul::<0x11>(x, y));
                    mid = $xor(mid, $clmul::<0x00>(fold(x), y_folded));
                }
                mid = $xor(mid, $xor(low, high));
                let (low, high) = (total($xor(low, $left::<8>(mid))), total($xor(high, $right::<8>(mid))));
                // SAFETY: the narrower kernel needs no more features (and `nothing` is safe).
                #[allow(unused_unsafe, reason = "the kernel for nothing is safe")]
                let rest = unsafe { $narrow::wide::<FOLDED>(a_rest, b_rest, folded_rest) };
                (high ^ rest.0, low ^ rest.1)
            }

            /// See [`Multiplier::bilinear`](super::super::Multiplier::bilinear).
            ///
            /// # Safety
            /// The CPU has the features that the module is compiled for.
            #[allow(dead_code, reason = "of the narrowest nobody needs all")]
            #[target_feature(enable = $features)]
            pub(in super::super) unsafe fn bilinear(rows: &[Block], columns: &[Block], folded: &[Block], matrix: &[Block]) -> Block {
                let mut all = (0, 0);
                for (rows, matrix) in rows.chunks(ROWS).zip(matrix.chunks(ROWS * columns.len())) {
                    let mut sums = [0; ROWS];
                    for (sum, row) in sums.iter_mut().zip(matrix.chunks_exact(columns.len())) {
                        // SAFETY: it needs the same features.
                        let (high, low) = unsafe { wide::<true>(row, columns, folded) };
                        *sum = reduce(high, low);
                    }
                    // SAFETY: as above.
                    let (high, low) = unsafe { wide::<false>(&sums[..rows.len()], rows, &[]) };
                    all = (all.0 ^ high, all.1 ^ low);
                }
                reduce(all.0, all.1)
            }
        }
    };
}

kernels! {
    mod by_four, features "avx2,avx512f,avx512bw,pclmulqdq,vpclmulqdq", __m512i, lanes 4,
    _mm512_loadu_si512, _mm512_storeu_si512, _mm512_setzero_si512, _mm512_xor_si512, _mm512_shuffle_epi32,
    _mm512_clmulepi64_epi128, _mm512_bslli_epi128, _mm512_bsrli_epi128, narrow by_one
}

kernels! {
    mod by_two, features "avx2,pclmulqdq,vpclmulqdq", __m256i, lanes 2,
    _mm256_loadu_si256, _mm256_storeu_si256, _mm256_setzero_si256, _mm256_xor_si256, _mm256_shuffle_epi32,
    _mm256_clmulepi64_epi128, _mm256_bslli_epi128, _mm256_bsrli_epi128, narrow by_one
}

kernels! {
    mod by_one, features "avx2,pclmulqdq", __m128i, lanes 1,
    _mm_loadu_si128, _mm_storeu_si128, _mm_setzero_si128, _mm_xor_si128, _mm_shuffle_epi32,
    _mm_clmulepi64_si128, _mm_bslli_si128, _mm_bsrli_si128, narrow nothing
}

/// What remains after registers of one block: nothing.
mod nothing {
    use super::Block;

    pub(super) fn wide<const FOLDED: bool>(_: &[Block], _: &[Block], _: &[Block]) -> (Block, Block) {
        (0, 0)
    }
}
