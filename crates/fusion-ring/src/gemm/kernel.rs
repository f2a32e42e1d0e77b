//! The register tile: `TILE_OUT` outputs at `TILE_POS` positions for one limb, exact in `i32`.
//!
//! The vector tiers differ in the width of a vector, and in whether multiply and add are one
//! instruction.

use super::reduction::{Reduction, TILE_OUT, TILE_POS};
use crate::secret::wipe;
#[cfg(target_arch = "x86_64")]
use crate::simd::Level;
use crate::simd::{Tier, per_tier};

/// Sums of one tile.
pub(super) type Sums = [[i32; TILE_POS]; TILE_OUT];

/// Sums of one tile over a few neighbouring limbs, exact.
pub(super) type Partial = [[i64; TILE_POS]; TILE_OUT];

/// Sums of one tile over all limbs modulo 2^128, in halves, so that additions with carry are plain
/// vector code.
pub(super) struct Wide {
    low: [[u64; TILE_POS]; TILE_OUT],
    high: [[u64; TILE_POS]; TILE_OUT],
}

impl Wide {
    pub(super) fn zero() -> Self {
        Self { low: [[0; TILE_POS]; TILE_OUT], high: [[0; TILE_POS]; TILE_OUT] }
    }

    pub(super) fn wipe(&mut self) {
        wipe(self.low.as_flattened_mut());
        wipe(self.high.as_flattened_mut());
    }

    /// Writes the first sums of one output.
    pub(super) fn write(&self, output: usize, low: &mut [u64], high: &mut [u64]) {
        low.copy_from_slice(&self.low[output][..low.len()]);
        high.copy_from_slice(&self.high[output][..high.len()]);
    }
}

per_tier! {
    /// `partial += sums << shift`, for shift <= 30; a shift of zero begins a new sum.
    join = join_body(partial: &mut Partial, sums: &Sums, shift: u32)
}
per_tier! {
    /// `wide += sums << shift` modulo 2^128, for shift < 128; a shift of zero begins a new sum.
    accumulate = accumulate_body(wide: &mut Wide, sums: &Partial, shift: u32)
}
per_tier! {
    /// Bits `from..from + bits` (at most 15) of residues become the lower (or `upper`) halves of
    /// `cells`.
    cut = cut_body(low: &[u64], high: &[u64], from: u32, bits: u32, upper: bool, cells: &mut [i32])
}

#[inline(always)]
fn join_body(partial: &mut Partial, sums: &Sums, shift: u32) {
    for (partial, sums) in partial.as_flattened_mut().iter_mut().zip(sums.as_flattened()) {
        *partial = if shift == 0 { i64::from(*sums) } else { *partial + (i64::from(*sums) << shift) };
    }
}

#[inline(always)]
fn accumulate_body(wide: &mut Wide, sums: &Partial, shift: u32) {
    for ((low, high), sums) in wide.low.iter_mut().zip(&mut wide.high).zip(sums) {
        if shift == 0 {
            for ((low, high), &sum) in low.iter_mut().zip(high).zip(sums) {
                (*low, *high) = (sum as u64, (sum >> 63) as u64);
            }
        } else if shift < 64 {
            for ((low, high), &sum) in low.iter_mut().zip(high).zip(sums) {
                let addend = (sum << shift) as u64;
                *low = low.wrapping_add(addend);
                // Two shifts, because a single one by 64 would not shift at all.
                let carry = u64::from(*low < addend);
                *high = high.wrapping_add((sum >> 1 >> (63 - shift)) as u64).wrapping_add(carry);
            }
        } else {
            for (high, &sum) in high.iter_mut().zip(sums) {
                *high = high.wrapping_add((sum << (shift - 64)) as u64);
            }
        }
    }
}

#[inline(always)]
fn cut_body(low: &[u64], high: &[u64], from: u32, bits: u32, upper: bool, cells: &mut [i32]) {
    let mask = (1u64 << bits) - 1;
    // Limbs are non-negative and below 2^15, so neither half of a pair changes the other.
    let (up, keep) = if upper { (16, 0x0000_ffff_u32) } else { (0, 0xffff_0000) };
    let put = |cell: &mut i32, value: u64| *cell = (*cell as u32 & keep | ((value & mask) as u32) << up) as i32;
    if from + bits <= 64 {
        cells.iter_mut().zip(low).for_each(|(cell, &low)| put(cell, low >> from));
    } else if from < 64 {
        for ((cell, &low), &high) in cells.iter_mut().zip(low).zip(high) {
            put(cell, low >> from | high << (64 - from));
        }
    } else {
        cells.iter_mut().zip(high).for_each(|(cell, &high)| put(cell, high >> (from - 64)));
    }
}

/// `sums[j][p] = sum over steps (pair, offset) of weights[step][j] . rows[pair][position + offset +
/// p]`, where `.` multiplies both 16-bit halves and adds. The kernel will soon read `ahead` values
/// further on, and prefetches one cache line there per step.
#[expect(clippy::too_many_arguments, reason = "what a tile is: factors, place and sums")]
pub(super) fn tile(
    tier: Tier,
    weights: &[i32],
    reduction: &Reduction,
    rows: &[i32],
    stride: usize,
    position: usize,
    ahead: isize,
    sums: &mut Sums,
) {
    let steps = &reduction.steps[..];
    assert_eq!(weights.len(), steps.len() * TILE_OUT, "weights of one tile");
    // Every step has pair < pairs and offset <= max_offset: the last possible load bounds all.
    let end = reduction.pairs().saturating_sub(1) * stride + position + reduction.max_offset + TILE_POS;
    assert!(end <= rows.len(), "rows have slack for a tile");
    #[cfg(target_arch = "x86_64")]
    {
        if tier.has(Level::Avx512Vnni) {
            // SAFETY: the token proves that the CPU has the features, and the assertion above
            // proved every load in bounds.
            return unsafe { x86::tile_vnni(weights, steps, rows, stride, position, ahead, sums) };
        }
        if tier.has(Level::Avx512) {
            // SAFETY: as above.
            return unsafe { x86::tile_avx512(weights, steps, rows, stride, position, ahead, sums) };
        }
        if tier.has(Level::Avx2) {
            // SAFETY: as above.
            return unsafe { x86::tile_avx2(weights, steps, rows, stride, position, sums) };
        }
    }
    let _ = (tier, ahead);
    portable(weights, steps, rows, stride, position, sums);
}

/// Prefetches the cache line of value `at`, if there is one.
pub(super) fn prefetch(values: &[u64], at: usize) {
    #[cfg(target_arch = "x86_64")]
    if let Some(value) = values.get(at) {
        // SAFETY: a prefetch reads nothing, and the address is that of a value.
        unsafe { std::arch::x86_64::_mm_prefetch::<{ std::arch::x86_64::_MM_HINT_T0 }>(std::ptr::from_ref(value).cast()) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = (values, at);
}

fn portable(weights: &[i32], steps: &[(usize, usize)], rows: &[i32], stride: usize, position: usize, sums: &mut Sums) {
    *sums = [[0; TILE_POS]; TILE_OUT];
    for (w, &(pair, offset)) in weights.chunks_exact(TILE_OUT).zip(steps) {
        let x = &rows[pair * stride + position + offset..][..TILE_POS];
        for (sums, &w) in sums.iter_mut().zip(w) {
            let (low, high) = (i32::from(w as i16), w >> 16);
            for (sum, &x) in sums.iter_mut().zip(x) {
                // Sums over unset rows may overflow; nobody reads them.
                *sum = sum.wrapping_add(low * i32::from(x as i16)).wrapping_add(high * (x >> 16));
            }
        }
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::{
        __m256i, __m512i, _MM_HINT_T0, _mm_prefetch, _mm256_add_epi32, _mm256_loadu_si256, _mm256_madd_epi16, _mm256_set1_epi32,
        _mm256_setzero_si256, _mm256_storeu_si256, _mm512_add_epi32, _mm512_dpwssd_epi32, _mm512_loadu_si512, _mm512_madd_epi16,
        _mm512_set1_epi32, _mm512_setzero_si512, _mm512_storeu_si512,
    };

    use super::{Sums, TILE_OUT, TILE_POS};

    /// A 512-bit tile: 6 outputs x 4 vectors of 16 positions fill 24 registers with sums.
    macro_rules! tile_512 {
        ($name:ident, $features:literal, $accumulate:expr) => {
            /// # Safety
            /// Every `rows[pair * stride + position + offset..][..TILE_POS]` must be in bounds, and
            /// `weights` hold TILE_OUT values a step.
            #[target_feature(enable = $features)]
            pub(super) unsafe fn $name(
                weights: &[i32],
                steps: &[(usize, usize)],
                rows: &[i32],
                stride: usize,
                position: usize,
                ahead: isize,
                sums: &mut Sums,
            ) {
                const VECTORS: usize = TILE_POS / 16;
                let mut acc = [[_mm512_setzero_si512(); VECTORS]; TILE_OUT];
                for (w, &(pair, offset)) in weights.chunks_exact(TILE_OUT).zip(steps) {
                    // SAFETY: in bounds by the contract of this function; a prefetch may have any
                    // address.
                    let x: [__m512i; VECTORS] = unsafe {
                        let base = rows.as_ptr().add(pair * stride + position + offset);
                        _mm_prefetch::<_MM_HINT_T0>(base.wrapping_offset(ahead).cast());
                        std::array::from_fn(|v| _mm512_loadu_si512(base.add(16 * v).cast()))
                    };
                    for j in 0..TILE_OUT {
                        let w = _mm512_set1_epi32(w[j]);
                        for v in 0..VECTORS {
                            acc[j][v] = $accumulate(acc[j][v], x[v], w);
                        }
                    }
                }
                for j in 0..TILE_OUT {
                    for v in 0..VECTORS {
                        // SAFETY: a row of sums holds VECTORS vectors of 16 values.
                        unsafe { _mm512_storeu_si512(sums[j].as_mut_ptr().add(16 * v).cast(), acc[j][v]) };
                    }
                }
            }
        };
    }

    tile_512!(tile_avx512, "avx512f,avx512bw", |acc, x, w| _mm512_add_epi32(acc, _mm512_madd_epi16(x, w)));
    tile_512!(tile_vnni, "avx512f,avx512bw,avx512vnni", |acc, x, w| _mm512_dpwssd_epi32(acc, x, w));

    /// # Safety
    /// As the 512-bit tiles.
    #[target_feature(enable = "avx2")]
    pub(super) unsafe fn tile_avx2(
        weights: &[i32],
        steps: &[(usize, usize)],
        rows: &[i32],
        stride: usize,
        position: usize,
        sums: &mut Sums,
    ) {
        // Sixteen registers: 6 outputs x 2 vectors of 8 positions at a time.
        const STRIP: usize = 16;
        for strip in (0..TILE_POS).step_by(STRIP) {
            let mut acc = [[_mm256_setzero_si256(); 2]; TILE_OUT];
            for (w, &(pair, offset)) in weights.chunks_exact(TILE_OUT).zip(steps) {
                // SAFETY: in bounds by the contract of this function.
                let x: [__m256i; 2] = unsafe {
                    let base = rows.as_ptr().add(pair * stride + position + offset + strip);
                    [_mm256_loadu_si256(base.cast()), _mm256_loadu_si256(base.add(8).cast())]
                };
                for j in 0..TILE_OUT {
                    let w = _mm256_set1_epi32(w[j]);
                    for v in 0..2 {
                        acc[j][v] = _mm256_add_epi32(acc[j][v], _mm256_madd_epi16(x[v], w));
                    }
                }
            }
            for j in 0..TILE_OUT {
                let row = &mut sums[j][strip..strip + STRIP];
                // SAFETY: the row is STRIP = 16 values, two vectors of 8.
                unsafe {
                    _mm256_storeu_si256(row.as_mut_ptr().cast(), acc[j][0]);
                    _mm256_storeu_si256(row.as_mut_ptr().add(8).cast(), acc[j][1]);
                }
            }
        }
    }
}
