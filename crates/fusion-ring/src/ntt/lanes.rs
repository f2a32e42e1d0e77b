//! Sixteen residues side by side, and what the transforms do with them.
//!
//! The transforms are written once over [`Lanes`]; the instances differ in instructions only, never in a bit of the result.

/// Residues in one vector.
pub(super) const WIDTH: usize = 16;

/// Sixteen 32-bit values. All arithmetic wraps.
pub(super) trait Lanes: Copy {
    fn load(from: &[u32; WIDTH]) -> Self;
    fn store(self, to: &mut [u32; WIDTH]);
    fn splat(value: u32) -> Self;
    fn add(self, other: Self) -> Self;
    fn sub(self, other: Self) -> Self;
    fn min(self, other: Self) -> Self;
    fn and(self, other: Self) -> Self;
    fn or(self, other: Self) -> Self;
    fn left<const BITS: u32>(self) -> Self;
    fn right<const BITS: u32>(self) -> Self;
    /// self * w modulo p in `[0, 2p)` for any self and reduced w, with q = floor(w * 2^32 / p) (Shoup).
    fn shoup(self, w: Self, q: Self, p: Self) -> Self;
    /// The four 32-bit words of sixteen wide values, lowest first.
    fn words(from: &[u128; WIDTH]) -> [Self; 4];
    /// The lower and upper 32-bit words of sixteen 64-bit values.
    fn halves(from: &[u64; WIDTH]) -> [Self; 2];
    /// Rows to columns.
    fn transposed(tile: [Self; WIDTH]) -> [Self; WIDTH];

    /// The value in `[0, bound)` for one in `[0, 2 bound)`. Branch-free.
    #[inline(always)]
    fn reduce_once(self, bound: Self) -> Self {
        self.min(self.sub(bound))
    }
}

/// Plain Rust.
#[derive(Clone, Copy)]
pub(super) struct Portable([u32; WIDTH]);

impl Portable {
    #[inline(always)]
    fn map(self, other: Self, f: impl Fn(u32, u32) -> u32) -> Self {
        Self(std::array::from_fn(|i| f(self.0[i], other.0[i])))
    }
}

impl Lanes for Portable {
    #[inline(always)]
    fn load(from: &[u32; WIDTH]) -> Self {
        Self(*from)
    }
    #[inline(always)]
    fn store(self, to: &mut [u32; WIDTH]) {
        *to = self.0;
    }
    #[inline(always)]
    fn splat(value: u32) -> Self {
        Self([value; WIDTH])
    }
    #[inline(always)]
    fn add(self, other: Self) -> Self {
        self.map(other, u32::wrapping_add)
    }
    #[inline(always)]
    fn sub(self, other: Self) -> Self {
        self.map(other, u32::wrapping_sub)
    }
    #[inline(always)]
    fn min(self, other: Self) -> Self {
        self.map(other, u32::min)
    }
    #[inline(always)]
    fn and(self, other: Self) -> Self {
        self.map(other, |a, b| a & b)
    }
    #[inline(always)]
    fn or(self, other: Self) -> Self {
        self.map(other, |a, b| a | b)
    }
    #[inline(always)]
    fn left<const BITS: u32>(self) -> Self {
        Self(self.0.map(|a| a << BITS))
    }
    #[inline(always)]
    fn right<const BITS: u32>(self) -> Self {
        Self(self.0.map(|a| a >> BITS))
    }
    #[inline(always)]
    fn shoup(self, w: Self, q: Self, p: Self) -> Self {
        Self(std::array::from_fn(|i| {
            let high = ((u64::from(self.0[i]) * u64::from(q.0[i])) >> 32) as u32;
            self.0[i].wrapping_mul(w.0[i]).wrapping_sub(high.wrapping_mul(p.0[i]))
        }))
    }
    #[inline(always)]
    fn words(from: &[u128; WIDTH]) -> [Self; 4] {
        std::array::from_fn(|word| Self(from.map(|value| (value >> (32 * word)) as u32)))
    }
    #[inline(always)]
    fn halves(from: &[u64; WIDTH]) -> [Self; 2] {
        std::array::from_fn(|half| Self(from.map(|value| (value >> (32 * half)) as u32)))
    }
    #[inline(always)]
    fn transposed(tile: [Self; WIDTH]) -> [Self; WIDTH] {
        std::array::from_fn(|row| Self(std::array::from_fn(|column| tile[column].0[row])))
    }
}

#[cfg(target_arch = "x86_64")]
pub(super) use x86::{Avx2, Avx512};

/// The instances in vector instructions. Values of these types exist only inside kernels that are compiled for the features and run
/// where the CPU was seen to have them: that is what every `unsafe` below rests on.
#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::*;

    use super::{Lanes, WIDTH};

    /// One 512-bit vector; AVX-512 F.
    #[derive(Clone, Copy)]
    pub(in super::super) struct Avx512(__m512i);

    impl Lanes for Avx512 {
        #[inline(always)]
        fn load(from: &[u32; WIDTH]) -> Self {
            // SAFETY: sixteen 32-bit values are 64 readable bytes; features as the module says.
            Self(unsafe { _mm512_loadu_si512(from.as_ptr().cast()) })
        }
        #[inline(always)]
        fn store(self, to: &mut [u32; WIDTH]) {
            // SAFETY: sixteen 32-bit values are 64 writable bytes; features as the module says.
            unsafe { _mm512_storeu_si512(to.as_mut_ptr().cast(), self.0) }
        }
        #[inline(always)]
        fn splat(value: u32) -> Self {
            // SAFETY: features as the module says.
            Self(unsafe { _mm512_set1_epi32(value as i32) })
        }
        #[inline(always)]
        fn add(self, other: Self) -> Self {
            // SAFETY: features as the module says.
            Self(unsafe { _mm512_add_epi32(self.0, other.0) })
        }
        #[inline(always)]
        fn sub(self, other: Self) -> Self {
            // SAFETY: features as the module says.
            Self(unsafe { _mm512_sub_epi32(self.0, other.0) })
        }
        #[inline(always)]
        fn min(self, other: Self) -> Self {
            // SAFETY: features as the module says.
            Self(unsafe { _mm512_min_epu32(self.0, other.0) })
        }
        #[inline(always)]
        fn and(self, other: Self) -> Self {
            // SAFETY: features as the module says.
            Self(unsafe { _mm512_and_si512(self.0, other.0) })
        }
        #[inline(always)]
        fn or(self, other: Self) -> Self {
            // SAFETY: features as the module says.
            Self(unsafe { _mm512_or_si512(self.0, other.0) })
        }
        #[inline(always)]
        fn left<const BITS: u32>(self) -> Self {
            // SAFETY: features as the module says.
            Self(unsafe { _mm512_slli_epi32::<BITS>(self.0) })
        }
        #[inline(always)]
        fn right<const BITS: u32>(self) -> Self {
            // SAFETY: features as the module says.
            Self(unsafe { _mm512_srli_epi32::<BITS>(self.0) })
        }
        #[inline(always)]
        fn shoup(self, w: Self, q: Self, p: Self) -> Self {
            // SAFETY: features as the module says.
            unsafe {
                // The multiplier takes even lanes: once as they are, once shifted down.
                let even = _mm512_mul_epu32(self.0, q.0);
                let odd = _mm512_mul_epu32(_mm512_srli_epi64::<32>(self.0), _mm512_srli_epi64::<32>(q.0));
                let high = _mm512_mask_blend_epi32(0xaaaa, _mm512_srli_epi64::<32>(even), odd);
                Self(_mm512_sub_epi32(_mm512_mullo_epi32(self.0, w.0), _mm512_mullo_epi32(high, p.0)))
            }
        }
        #[inline(always)]
        fn words(from: &[u128; WIDTH]) -> [Self; 4] {
            // SAFETY: sixteen 128-bit values are four times 64 readable bytes; features as the module says.
            unsafe {
                let at = |i: usize| _mm512_loadu_si512(from.as_ptr().cast::<u8>().add(64 * i).cast());
                let quarters = [at(0), at(1), at(2), at(3)];
                std::array::from_fn(|word| {
                    let w = word as i32;
                    // Word w of four values a vector: two vectors fill a lower or upper half.
                    let low = _mm512_setr_epi32(w, w + 4, w + 8, w + 12, w + 16, w + 20, w + 24, w + 28, 0, 0, 0, 0, 0, 0, 0, 0);
                    let first = _mm512_permutex2var_epi32(quarters[0], low, quarters[1]);
                    let second = _mm512_permutex2var_epi32(quarters[2], low, quarters[3]);
                    Self(_mm512_inserti64x4::<1>(first, _mm512_castsi512_si256(second)))
                })
            }
        }
        #[inline(always)]
        fn halves(from: &[u64; WIDTH]) -> [Self; 2] {
            // SAFETY: sixteen 64-bit values are two times 64 readable bytes; features as the module says.
            unsafe {
                let (a, b) = (_mm512_loadu_si512(from.as_ptr().cast()), _mm512_loadu_si512(from.as_ptr().add(8).cast()));
                let even = _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
                let odd = _mm512_add_epi32(even, _mm512_set1_epi32(1));
                [Self(_mm512_permutex2var_epi32(a, even, b)), Self(_mm512_permutex2var_epi32(a, odd, b))]
            }
        }
        #[inline(always)]
        fn transposed(tile: [Self; WIDTH]) -> [Self; WIDTH] {
            // SAFETY: features as the module says.
            unsafe {
                // Pairs of rows, then pairs of pairs: row r of `fours` holds, in every quarter, column 4 * quarter + r % 4 of four rows.
                let mut fours = tile;
                for r in (0..WIDTH).step_by(4) {
                    let [a, b, c, d] = [tile[r].0, tile[r + 1].0, tile[r + 2].0, tile[r + 3].0];
                    let (ab, cd) = (_mm512_unpacklo_epi32(a, b), _mm512_unpacklo_epi32(c, d));
                    let (ef, gh) = (_mm512_unpackhi_epi32(a, b), _mm512_unpackhi_epi32(c, d));
                    fours[r] = Self(_mm512_unpacklo_epi64(ab, cd));
                    fours[r + 1] = Self(_mm512_unpackhi_epi64(ab, cd));
                    fours[r + 2] = Self(_mm512_unpacklo_epi64(ef, gh));
                    fours[r + 3] = Self(_mm512_unpackhi_epi64(ef, gh));
                }
                let mut out = tile;
                for r in 0..4 {
                    let [a, b, c, d] = [fours[r].0, fours[r + 4].0, fours[r + 8].0, fours[r + 12].0];
                    // Quarters 0 and 2, then 1 and 3, of two rows each; then of all four.
                    let (ab, cd) = (_mm512_shuffle_i32x4::<0x88>(a, b), _mm512_shuffle_i32x4::<0x88>(c, d));
                    let (ef, gh) = (_mm512_shuffle_i32x4::<0xdd>(a, b), _mm512_shuffle_i32x4::<0xdd>(c, d));
                    out[r] = Self(_mm512_shuffle_i32x4::<0x88>(ab, cd));
                    out[r + 4] = Self(_mm512_shuffle_i32x4::<0x88>(ef, gh));
                    out[r + 8] = Self(_mm512_shuffle_i32x4::<0xdd>(ab, cd));
                    out[r + 12] = Self(_mm512_shuffle_i32x4::<0xdd>(ef, gh));
                }
                out
            }
        }
    }

    /// Two 256-bit vectors; AVX2.
    #[derive(Clone, Copy)]
    pub(in super::super) struct Avx2([__m256i; 2]);

    impl Avx2 {
        #[inline(always)]
        fn map(self, other: Self, f: impl Fn(__m256i, __m256i) -> __m256i) -> Self {
            Self([f(self.0[0], other.0[0]), f(self.0[1], other.0[1])])
        }
    }

    impl Lanes for Avx2 {
        #[inline(always)]
        fn load(from: &[u32; WIDTH]) -> Self {
            // SAFETY: sixteen 32-bit values are two times 32 readable bytes; features as the module says.
            Self(unsafe { [_mm256_loadu_si256(from.as_ptr().cast()), _mm256_loadu_si256(from.as_ptr().add(8).cast())] })
        }
        #[inline(always)]
        fn store(self, to: &mut [u32; WIDTH]) {
            // SAFETY: sixteen 32-bit values are two times 32 writable bytes; features as the module says.
            unsafe {
                _mm256_storeu_si256(to.as_mut_ptr().cast(), self.0[0]);
                _mm256_storeu_si256(to.as_mut_ptr().add(8).cast(), self.0[1]);
            }
        }
        #[inline(always)]
        fn splat(value: u32) -> Self {
            // SAFETY: features as the module says.
            Self(unsafe { [_mm256_set1_epi32(value as i32); 2] })
        }
        #[inline(always)]
        fn add(self, other: Self) -> Self {
            // SAFETY: features as the module says.
            self.map(other, |a, b| unsafe { _mm256_add_epi32(a, b) })
        }
        #[inline(always)]
        fn sub(self, other: Self) -> Self {
            // SAFETY: features as the module says.
            self.map(other, |a, b| unsafe { _mm256_sub_epi32(a, b) })
        }
        #[inline(always)]
        fn min(self, other: Self) -> Self {
            // SAFETY: features as the module says.
            self.map(other, |a, b| unsafe { _mm256_min_epu32(a, b) })
        }
        #[inline(always)]
        fn and(self, other: Self) -> Self {
            // SAFETY: features as the module says.
            self.map(other, |a, b| unsafe { _mm256_and_si256(a, b) })
        }
        #[inline(always)]
        fn or(self, other: Self) -> Self {
            // SAFETY: features as the module says.
            self.map(other, |a, b| unsafe { _mm256_or_si256(a, b) })
        }
        #[inline(always)]
        fn left<const BITS: u32>(self) -> Self {
            // SAFETY: features as the module says.
            Self(self.0.map(|a| unsafe { _mm256_sll_epi32(a, _mm_cvtsi32_si128(BITS as i32)) }))
        }
        #[inline(always)]
        fn right<const BITS: u32>(self) -> Self {
            // SAFETY: features as the module says.
            Self(self.0.map(|a| unsafe { _mm256_srl_epi32(a, _mm_cvtsi32_si128(BITS as i32)) }))
        }
        #[inline(always)]
        fn shoup(self, w: Self, q: Self, p: Self) -> Self {
            // SAFETY: features as the module says.
            Self(std::array::from_fn(|i| unsafe {
                let (a, q) = (self.0[i], q.0[i]);
                let even = _mm256_mul_epu32(a, q);
                let odd = _mm256_mul_epu32(_mm256_srli_epi64::<32>(a), _mm256_srli_epi64::<32>(q));
                let high = _mm256_blend_epi32::<0xaa>(_mm256_srli_epi64::<32>(even), odd);
                _mm256_sub_epi32(_mm256_mullo_epi32(a, w.0[i]), _mm256_mullo_epi32(high, p.0[i]))
            }))
        }
        #[inline(always)]
        fn words(from: &[u128; WIDTH]) -> [Self; 4] {
            super::Portable::words(from).map(|word| Self::load(&word.0))
        }
        #[inline(always)]
        fn halves(from: &[u64; WIDTH]) -> [Self; 2] {
            super::Portable::halves(from).map(|half| Self::load(&half.0))
        }
        #[inline(always)]
        fn transposed(tile: [Self; WIDTH]) -> [Self; WIDTH] {
            let mut rows = [[0; WIDTH]; WIDTH];
            for (row, vector) in rows.iter_mut().zip(tile) {
                vector.store(row);
            }
            std::array::from_fn(|row| Self::load(&std::array::from_fn(|column| rows[column][row])))
        }
    }
}
