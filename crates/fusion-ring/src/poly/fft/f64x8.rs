//! Vectors of eight doubles, and the operations of the transforms on them.
//!
//! The transforms are written once, over [`F64x8`]. Its instances differ in instructions only: in
//! all of them every operation rounds once, as IEEE 754 says, so all give the same bits.

/// Doubles in one vector.
pub(super) const WIDTH: usize = 8;

/// Eight doubles.
pub(super) trait F64x8: Copy {
    fn load(from: &[f64; WIDTH]) -> Self;
    fn store(self, to: &mut [f64; WIDTH]);
    fn splat(value: f64) -> Self;
    fn add(self, other: Self) -> Self;
    fn sub(self, other: Self) -> Self;
    fn mul(self, other: Self) -> Self;
    /// self * factor + addend, rounded once.
    fn times_plus(self, factor: Self, addend: Self) -> Self;
    /// self * factor - subtrahend, rounded once.
    fn times_minus(self, factor: Self, subtrahend: Self) -> Self;
    /// minuend - self * factor, rounded once.
    fn times_from(self, factor: Self, minuend: Self) -> Self;
    /// Rows to columns.
    fn transposed(tile: [Self; WIDTH]) -> [Self; WIDTH];
    /// Small integers.
    fn from_small(from: &[i8; WIDTH]) -> Self;
    /// The integers (low >> down | high << up) & mask, below 2^52; shifts by 64 or more give zero.
    fn from_bits(low: &[u64; WIDTH], high: &[u64; WIDTH], down: u32, up: u32, mask: u64) -> Self;
    /// Writes the integers nearest to self * scale, below 2^51 in magnitude, in two's complement.
    fn store_nearest(self, scale: f64, to: &mut [u64; WIDTH]);
}

/// 2^52. An integer below it may be written into its lower 52 bits, and is then added to it.
const LIFT: u64 = 0x4330_0000_0000_0000;

/// 2^52 + 2^51. Adding it to a number below 2^51 rounds that to an integer, which stands in the
/// lower bits of the sum.
const ROUND: u64 = 0x4338_0000_0000_0000;

/// Plain Rust.
#[derive(Clone, Copy)]
pub(super) struct Portable([f64; WIDTH]);

impl Portable {
    #[inline(always)]
    fn map(self, other: Self, f: impl Fn(f64, f64) -> f64) -> Self {
        Self(std::array::from_fn(|i| f(self.0[i], other.0[i])))
    }
}

impl F64x8 for Portable {
    #[inline(always)]
    fn load(from: &[f64; WIDTH]) -> Self {
        Self(*from)
    }
    #[inline(always)]
    fn store(self, to: &mut [f64; WIDTH]) {
        *to = self.0;
    }
    #[inline(always)]
    fn splat(value: f64) -> Self {
        Self([value; WIDTH])
    }
    #[inline(always)]
    fn add(self, other: Self) -> Self {
        self.map(other, |a, b| a + b)
    }
    #[inline(always)]
    fn sub(self, other: Self) -> Self {
        self.map(other, |a, b| a - b)
    }
    #[inline(always)]
    fn mul(self, other: Self) -> Self {
        self.map(other, |a, b| a * b)
    }
    #[inline(always)]
    fn times_plus(self, factor: Self, addend: Self) -> Self {
        Self(std::array::from_fn(|i| self.0[i].mul_add(factor.0[i], addend.0[i])))
    }
    #[inline(always)]
    fn times_minus(self, factor: Self, subtrahend: Self) -> Self {
        Self(std::array::from_fn(|i| self.0[i].mul_add(factor.0[i], -subtrahend.0[i])))
    }
    #[inline(always)]
    fn times_from(self, factor: Self, minuend: Self) -> Self {
        Self(std::array::from_fn(|i| (-self.0[i]).mul_add(factor.0[i], minuend.0[i])))
    }
    #[inline(always)]
    fn transposed(tile: [Self; WIDTH]) -> [Self; WIDTH] {
        std::array::from_fn(|row| Self(std::array::from_fn(|column| tile[column].0[row])))
    }
    #[inline(always)]
    fn from_small(from: &[i8; WIDTH]) -> Self {
        Self(from.map(f64::from))
    }
    #[inline(always)]
    fn from_bits(low: &[u64; WIDTH], high: &[u64; WIDTH], down: u32, up: u32, mask: u64) -> Self {
        Self(std::array::from_fn(|i| {
            let value = low[i].checked_shr(down).unwrap_or(0) | high[i].checked_shl(up).unwrap_or(0);
            f64::from_bits(value & mask | LIFT) - f64::from_bits(LIFT)
        }))
    }
    #[inline(always)]
    fn store_nearest(self, scale: f64, to: &mut [u64; WIDTH]) {
        *to = self.0.map(|value| value.mul_add(scale, f64::from_bits(ROUND)).to_bits().wrapping_sub(ROUND));
    }
}

#[cfg(target_arch = "x86_64")]
pub(super) use x86::{Avx2, Avx512};

/// The instances in vector instructions. Every `unsafe` below rests on this: values of these types
/// exist only inside kernels that are compiled for the features, and that are called only with a
/// token for them.
#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::*;

    use super::{F64x8, LIFT, ROUND, WIDTH};

    /// One 512-bit vector; AVX-512 F.
    #[derive(Clone, Copy)]
    pub(in super::super) struct Avx512(__m512d);

    impl Avx512 {
        /// Quarter k of four pairs of rows, one after another, for k = 0, 1, 2, 3.
        #[inline(always)]
        fn columns(pairs: [__m512d; 4]) -> [Self; 4] {
            let [a, b, c, d] = pairs;
            // SAFETY: features as the module says.
            unsafe {
                // Quarters 0 and 2, then 1 and 3, of two pairs each; then of all four.
                let (lower, upper) = (_mm512_shuffle_f64x2::<0x88>(a, b), _mm512_shuffle_f64x2::<0x88>(c, d));
                let (lower_odd, upper_odd) = (_mm512_shuffle_f64x2::<0xdd>(a, b), _mm512_shuffle_f64x2::<0xdd>(c, d));
                [
                    Self(_mm512_shuffle_f64x2::<0x88>(lower, upper)),
                    Self(_mm512_shuffle_f64x2::<0x88>(lower_odd, upper_odd)),
                    Self(_mm512_shuffle_f64x2::<0xdd>(lower, upper)),
                    Self(_mm512_shuffle_f64x2::<0xdd>(lower_odd, upper_odd)),
                ]
            }
        }
    }

    impl F64x8 for Avx512 {
        #[inline(always)]
        fn load(from: &[f64; WIDTH]) -> Self {
            // SAFETY: eight doubles are 64 readable bytes; features as the module says.
            Self(unsafe { _mm512_loadu_pd(from.as_ptr()) })
        }
        #[inline(always)]
        fn store(self, to: &mut [f64; WIDTH]) {
            // SAFETY: eight doubles are 64 writable bytes; features as the module says.
            unsafe { _mm512_storeu_pd(to.as_mut_ptr(), self.0) }
        }
        #[inline(always)]
        fn splat(value: f64) -> Self {
            // SAFETY: features as the module says.
            Self(unsafe { _mm512_set1_pd(value) })
        }
        #[inline(always)]
        fn add(self, other: Self) -> Self {
            // SAFETY: features as the module says.
            Self(unsafe { _mm512_add_pd(self.0, other.0) })
        }
        #[inline(always)]
        fn sub(self, other: Self) -> Self {
            // SAFETY: features as the module says.
            Self(unsafe { _mm512_sub_pd(self.0, other.0) })
        }
        #[inline(always)]
        fn mul(self, other: Self) -> Self {
            // SAFETY: features as the module says.
            Self(unsafe { _mm512_mul_pd(self.0, other.0) })
        }
        #[inline(always)]
        fn times_plus(self, factor: Self, addend: Self) -> Self {
            // SAFETY: features as the module says.
            Self(unsafe { _mm512_fmadd_pd(self.0, factor.0, addend.0) })
        }
        #[inline(always)]
        fn times_minus(self, factor: Self, subtrahend: Self) -> Self {
            // SAFETY: features as the module says.
            Self(unsafe { _mm512_fmsub_pd(self.0, factor.0, subtrahend.0) })
        }
        #[inline(always)]
        fn times_from(self, factor: Self, minuend: Self) -> Self {
            // SAFETY: features as the module says.
            Self(unsafe { _mm512_fnmadd_pd(self.0, factor.0, minuend.0) })
        }
        #[inline(always)]
        fn transposed(tile: [Self; WIDTH]) -> [Self; WIDTH] {
            // SAFETY: features as the module says.
            unsafe {
                let [a, b, c, d, e, f, g, h] = tile;
                let (a, b, c, d, e, f, g, h) = (a.0, b.0, c.0, d.0, e.0, f.0, g.0, h.0);
                // Pairs of rows: in every quarter k, columns 2k (even) or 2k + 1 (odd) of both.
                let even = [_mm512_unpacklo_pd(a, b), _mm512_unpacklo_pd(c, d), _mm512_unpacklo_pd(e, f), _mm512_unpacklo_pd(g, h)];
                let odd = [_mm512_unpackhi_pd(a, b), _mm512_unpackhi_pd(c, d), _mm512_unpackhi_pd(e, f), _mm512_unpackhi_pd(g, h)];
                let (even, odd) = (Self::columns(even), Self::columns(odd));
                [even[0], odd[0], even[1], odd[1], even[2], odd[2], even[3], odd[3]]
            }
        }
        #[inline(always)]
        fn from_small(from: &[i8; WIDTH]) -> Self {
            // SAFETY: eight bytes are readable; features as the module says.
            Self(unsafe { _mm512_cvtepi32_pd(_mm256_cvtepi8_epi32(_mm_loadl_epi64(from.as_ptr().cast()))) })
        }
        #[inline(always)]
        fn from_bits(low: &[u64; WIDTH], high: &[u64; WIDTH], down: u32, up: u32, mask: u64) -> Self {
            // SAFETY: eight words are 64 readable bytes; features as the module says.
            unsafe {
                let low = _mm512_srl_epi64(_mm512_loadu_si512(low.as_ptr().cast()), _mm_cvtsi32_si128(down as i32));
                let high = _mm512_sll_epi64(_mm512_loadu_si512(high.as_ptr().cast()), _mm_cvtsi32_si128(up as i32));
                let value = _mm512_and_si512(_mm512_or_si512(low, high), _mm512_set1_epi64(mask as i64));
                let lift = _mm512_set1_epi64(LIFT as i64);
                Self(_mm512_sub_pd(_mm512_castsi512_pd(_mm512_or_si512(value, lift)), _mm512_castsi512_pd(lift)))
            }
        }
        #[inline(always)]
        fn store_nearest(self, scale: f64, to: &mut [u64; WIDTH]) {
            // SAFETY: eight words are 64 writable bytes; features as the module says.
            unsafe {
                let round = _mm512_set1_epi64(ROUND as i64);
                let sum = _mm512_fmadd_pd(self.0, _mm512_set1_pd(scale), _mm512_castsi512_pd(round));
                _mm512_storeu_si512(to.as_mut_ptr().cast(), _mm512_sub_epi64(_mm512_castpd_si512(sum), round));
            }
        }
    }

    /// Two 256-bit vectors; AVX2 and FMA.
    #[derive(Clone, Copy)]
    pub(in super::super) struct Avx2([__m256d; 2]);

    impl Avx2 {
        #[inline(always)]
        fn map(self, other: Self, f: impl Fn(__m256d, __m256d) -> __m256d) -> Self {
            Self([f(self.0[0], other.0[0]), f(self.0[1], other.0[1])])
        }
    }

    impl F64x8 for Avx2 {
        #[inline(always)]
        fn load(from: &[f64; WIDTH]) -> Self {
            // SAFETY: eight doubles are two times 32 readable bytes; features as the module says.
            Self(unsafe { [_mm256_loadu_pd(from.as_ptr()), _mm256_loadu_pd(from.as_ptr().add(4))] })
        }
        #[inline(always)]
        fn store(self, to: &mut [f64; WIDTH]) {
            // SAFETY: eight doubles are two times 32 writable bytes; features as the module says.
            unsafe {
                _mm256_storeu_pd(to.as_mut_ptr(), self.0[0]);
                _mm256_storeu_pd(to.as_mut_ptr().add(4), self.0[1]);
            }
        }
        #[inline(always)]
        fn splat(value: f64) -> Self {
            // SAFETY: features as the module says.
            Self(unsafe { [_mm256_set1_pd(value); 2] })
        }
        #[inline(always)]
        fn add(self, other: Self) -> Self {
            // SAFETY: features as the module says.
            self.map(other, |a, b| unsafe { _mm256_add_pd(a, b) })
        }
        #[inline(always)]
        fn sub(self, other: Self) -> Self {
            // SAFETY: features as the module says.
            self.map(other, |a, b| unsafe { _mm256_sub_pd(a, b) })
        }
        #[inline(always)]
        fn mul(self, other: Self) -> Self {
            // SAFETY: features as the module says.
            self.map(other, |a, b| unsafe { _mm256_mul_pd(a, b) })
        }
        #[inline(always)]
        fn times_plus(self, factor: Self, addend: Self) -> Self {
            // SAFETY: features as the module says.
            Self(std::array::from_fn(|i| unsafe { _mm256_fmadd_pd(self.0[i], factor.0[i], addend.0[i]) }))
        }
        #[inline(always)]
        fn times_minus(self, factor: Self, subtrahend: Self) -> Self {
            // SAFETY: features as the module says.
            Self(std::array::from_fn(|i| unsafe { _mm256_fmsub_pd(self.0[i], factor.0[i], subtrahend.0[i]) }))
        }
        #[inline(always)]
        fn times_from(self, factor: Self, minuend: Self) -> Self {
            // SAFETY: features as the module says.
            Self(std::array::from_fn(|i| unsafe { _mm256_fnmadd_pd(self.0[i], factor.0[i], minuend.0[i]) }))
        }
        #[inline(always)]
        fn transposed(tile: [Self; WIDTH]) -> [Self; WIDTH] {
            // SAFETY: features as the module says.
            let square = |rows: [__m256d; 4]| unsafe {
                let [a, b, c, d] = rows;
                let (even, odd) = (_mm256_unpacklo_pd(a, b), _mm256_unpackhi_pd(a, b));
                let (even_below, odd_below) = (_mm256_unpacklo_pd(c, d), _mm256_unpackhi_pd(c, d));
                [
                    _mm256_permute2f128_pd::<0x20>(even, even_below),
                    _mm256_permute2f128_pd::<0x20>(odd, odd_below),
                    _mm256_permute2f128_pd::<0x31>(even, even_below),
                    _mm256_permute2f128_pd::<0x31>(odd, odd_below),
                ]
            };
            // Four squares of four by four are transposed, and two of them are exchanged.
            let quarter = |first: usize, half: usize| square(std::array::from_fn(|r| tile[first + r].0[half]));
            let (top, bottom) = ([quarter(0, 0), quarter(4, 0)], [quarter(0, 1), quarter(4, 1)]);
            std::array::from_fn(|r| if r < 4 { Self([top[0][r], top[1][r]]) } else { Self([bottom[0][r - 4], bottom[1][r - 4]]) })
        }
        #[inline(always)]
        fn from_small(from: &[i8; WIDTH]) -> Self {
            // SAFETY: eight bytes are readable; features as the module says.
            unsafe {
                let all = _mm_loadl_epi64(from.as_ptr().cast());
                Self([all, _mm_srli_si128::<4>(all)].map(|four| _mm256_cvtepi32_pd(_mm_cvtepi8_epi32(four))))
            }
        }
        #[inline(always)]
        fn from_bits(low: &[u64; WIDTH], high: &[u64; WIDTH], down: u32, up: u32, mask: u64) -> Self {
            // SAFETY: four words from the first and the fifth on are 32 readable bytes; features as
            // the module says.
            Self([0, 4].map(|first| unsafe {
                let low = _mm256_srl_epi64(_mm256_loadu_si256(low.as_ptr().add(first).cast()), _mm_cvtsi32_si128(down as i32));
                let high = _mm256_sll_epi64(_mm256_loadu_si256(high.as_ptr().add(first).cast()), _mm_cvtsi32_si128(up as i32));
                let value = _mm256_and_si256(_mm256_or_si256(low, high), _mm256_set1_epi64x(mask as i64));
                let lift = _mm256_set1_epi64x(LIFT as i64);
                _mm256_sub_pd(_mm256_castsi256_pd(_mm256_or_si256(value, lift)), _mm256_castsi256_pd(lift))
            }))
        }
        #[inline(always)]
        fn store_nearest(self, scale: f64, to: &mut [u64; WIDTH]) {
            for (half, to) in self.0.into_iter().zip(to.chunks_exact_mut(4)) {
                // SAFETY: four words are 32 writable bytes; features as the module says.
                unsafe {
                    let round = _mm256_set1_epi64x(ROUND as i64);
                    let sum = _mm256_fmadd_pd(half, _mm256_set1_pd(scale), _mm256_castsi256_pd(round));
                    _mm256_storeu_si256(to.as_mut_ptr().cast(), _mm256_sub_epi64(_mm256_castpd_si256(sum), round));
                }
            }
        }
    }
}
