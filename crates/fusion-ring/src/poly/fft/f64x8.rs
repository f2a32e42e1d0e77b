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
    /// Words as signed integers in -2^31..2^31.
    fn from_words(from: &[u32; WIDTH]) -> Self;
    /// The integers nearest to self * scale, below 2^51 in magnitude, modulo 2^32.
    fn nearest(self, scale: f64) -> [u32; WIDTH];
}

/// 2^52 + 2^51. Adding it to a number below 2^51 rounds that to an integer, which stands in the
/// lower bits of the sum; the lowest 32 are those of the integer, as this number has none there.
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
    fn from_words(from: &[u32; WIDTH]) -> Self {
        Self(from.map(|word| f64::from(word as i32)))
    }
    #[inline(always)]
    fn nearest(self, scale: f64) -> [u32; WIDTH] {
        self.0.map(|value| value.mul_add(scale, f64::from_bits(ROUND)).to_bits() as u32)
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

    use super::{F64x8, ROUND, WIDTH};

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
        fn from_words(from: &[u32; WIDTH]) -> Self {
            // SAFETY: eight words are 32 readable bytes; features as the module says.
            Self(unsafe { _mm512_cvtepi32_pd(_mm256_loadu_si256(from.as_ptr().cast())) })
        }
        #[inline(always)]
        fn nearest(self, scale: f64) -> [u32; WIDTH] {
            let mut out = [0; WIDTH];
            // SAFETY: eight words are 32 writable bytes; features as the module says.
            unsafe {
                let round = _mm512_castsi512_pd(_mm512_set1_epi64(ROUND as i64));
                let sum = _mm512_fmadd_pd(self.0, _mm512_set1_pd(scale), round);
                _mm256_storeu_si256(out.as_mut_ptr().cast(), _mm512_cvtepi64_epi32(_mm512_castpd_si512(sum)));
            }
            out
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

        /// Rows to columns. A function: a large closure is not inlined, and then passes vectors
        /// through memory.
        #[inline(always)]
        fn square([a, b, c, d]: [__m256d; 4]) -> [__m256d; 4] {
            // SAFETY: features as the module says.
            unsafe {
                let (even, odd) = (_mm256_unpacklo_pd(a, b), _mm256_unpackhi_pd(a, b));
                let (even_below, odd_below) = (_mm256_unpacklo_pd(c, d), _mm256_unpackhi_pd(c, d));
                [
                    _mm256_permute2f128_pd::<0x20>(even, even_below),
                    _mm256_permute2f128_pd::<0x20>(odd, odd_below),
                    _mm256_permute2f128_pd::<0x31>(even, even_below),
                    _mm256_permute2f128_pd::<0x31>(odd, odd_below),
                ]
            }
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
            let [a, b, c, d, e, f, g, h] = tile;
            // Four squares of four by four are transposed, and two of them are exchanged.
            let [i, j, k, l] = Self::square([a.0[0], b.0[0], c.0[0], d.0[0]]);
            let [m, n, o, p] = Self::square([e.0[0], f.0[0], g.0[0], h.0[0]]);
            let [q, r, s, t] = Self::square([a.0[1], b.0[1], c.0[1], d.0[1]]);
            let [u, v, w, x] = Self::square([e.0[1], f.0[1], g.0[1], h.0[1]]);
            [Self([i, m]), Self([j, n]), Self([k, o]), Self([l, p]), Self([q, u]), Self([r, v]), Self([s, w]), Self([t, x])]
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
        fn from_words(from: &[u32; WIDTH]) -> Self {
            // SAFETY: four words from the first and the fifth on are 16 readable bytes; features as
            // the module says.
            Self([0, 4].map(|first| unsafe { _mm256_cvtepi32_pd(_mm_loadu_si128(from.as_ptr().add(first).cast())) }))
        }
        #[inline(always)]
        fn nearest(self, scale: f64) -> [u32; WIDTH] {
            let mut out = [0; WIDTH];
            // SAFETY: eight words are 32 writable bytes; features as the module says.
            unsafe {
                let round = _mm256_castsi256_pd(_mm256_set1_epi64x(ROUND as i64));
                let sum = self.0.map(|half| _mm256_castpd_ps(_mm256_fmadd_pd(half, _mm256_set1_pd(scale), round)));
                // Lower words of elements 0 1 4 5, 2 3 6 7; then in order.
                let words = _mm256_castps_si256(_mm256_shuffle_ps::<0x88>(sum[0], sum[1]));
                _mm256_storeu_si256(out.as_mut_ptr().cast(), _mm256_permute4x64_epi64::<0xd8>(words));
            }
            out
        }
    }
}
