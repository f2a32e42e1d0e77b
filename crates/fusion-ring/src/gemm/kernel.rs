//! The register tile: `TILE_OUT` outputs at the positions of a strip, modulo 2^32.
//!
//! The vector tiers differ in the width of a vector, and in whether multiply and add are one
//! instruction.

use super::reduction::{TILE_OUT, WIDEST_STRIP};
#[cfg(target_arch = "x86_64")]
use crate::simd::Level;
use crate::simd::{Tier, per_tier};

/// Positions that a tile computes: as many as its sums fit the vector registers.
pub(super) fn strip(tier: Tier) -> usize {
    #[cfg(target_arch = "x86_64")]
    if tier.has(Level::Avx512) {
        return WIDEST_STRIP;
    }
    let _ = tier;
    16
}

per_tier! {
    /// Words become the lower (or `upper`) halves of the cells of both limbs.
    cut = cut_body(words: &[u32], upper: bool, low: &mut [i32], high: &mut [i32])
}

#[inline(always)]
fn cut_body(words: &[u32], upper: bool, low: &mut [i32], high: &mut [i32]) {
    for ((&word, low), high) in words.iter().zip(low).zip(high) {
        // The upper limb is (word - lower) >> 16. The lower one is signed: it takes one from the
        // upper limb exactly if its highest bit is set, and adding that bit carries as often.
        let above = word.wrapping_add(0x8000);
        (*low, *high) = if upper {
            (*low & 0xffff | (word << 16) as i32, *high & 0xffff | (above & 0xffff_0000) as i32)
        } else {
            (*low & !0xffff | (word & 0xffff) as i32, *high & !0xffff | (above >> 16) as i32)
        };
    }
}

per_tier! {
    /// Copies what some steps read of a limb, `strip` cells each, to a panel.
    gather = gather_body(limb: &[i32], starts: &[usize], position: usize, strip: usize, panel: &mut [i32])
}

#[inline(always)]
fn gather_body(limb: &[i32], starts: &[usize], position: usize, strip: usize, panel: &mut [i32]) {
    match strip {
        16 => gather_strips::<16>(limb, starts, position, panel),
        _ => gather_strips::<WIDEST_STRIP>(limb, starts, position, panel),
    }
}

#[inline(always)]
fn gather_strips<const STRIP: usize>(limb: &[i32], starts: &[usize], position: usize, panel: &mut [i32]) {
    for (to, &start) in panel.as_chunks_mut::<STRIP>().0.iter_mut().zip(starts) {
        to.copy_from_slice(&limb[position + start..position + start + STRIP]);
    }
}

/// `sums[j][p] (+)= sum over limbs and steps of weights[step][j] . panel[limb][step][p]`, times
/// 2^16 in the upper limb, where `.` multiplies both 16-bit halves and adds. Panels are as wide as
/// a strip of the tier. The sums begin anew if `fresh`.
pub(super) fn tile(tier: Tier, weights: &[i32], low: &[i32], high: &[i32], fresh: bool, sums: &mut [u32]) {
    let strip = strip(tier);
    let steps = weights.len() / TILE_OUT;
    assert!(low.len() == steps * strip && high.len() == low.len(), "panels of as many steps as there are weights");
    assert_eq!(sums.len(), TILE_OUT * strip, "sums of a tile");
    #[cfg(target_arch = "x86_64")]
    {
        if tier.has(Level::Avx512Vnni) {
            // SAFETY: the token proves that the CPU has the features, and the assertions above
            // prove all accesses in bounds.
            return unsafe { x86::tile_vnni(weights, low, high, fresh, sums) };
        }
        if tier.has(Level::Avx512) {
            // SAFETY: as above.
            return unsafe { x86::tile_avx512(weights, low, high, fresh, sums) };
        }
        if tier.has(Level::AvxVnni) {
            // SAFETY: as above.
            return unsafe { x86::tile_avx_vnni(weights, low, high, fresh, sums) };
        }
        if tier.has(Level::Avx2) {
            // SAFETY: as above.
            return unsafe { x86::tile_avx2(weights, low, high, fresh, sums) };
        }
    }
    portable(weights, low, high, fresh, sums);
}

/// Prefetches the cache line of value `at`, if there is one.
pub(super) fn prefetch(values: &[u32], at: usize) {
    #[cfg(target_arch = "x86_64")]
    if let Some(value) = values.get(at) {
        // SAFETY: a prefetch reads nothing, and the address is that of a value.
        unsafe { std::arch::x86_64::_mm_prefetch::<{ std::arch::x86_64::_MM_HINT_T0 }>(std::ptr::from_ref(value).cast()) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = (values, at);
}

fn portable(weights: &[i32], low: &[i32], high: &[i32], fresh: bool, sums: &mut [u32]) {
    if fresh {
        sums.fill(0);
    }
    let strip = sums.len() / TILE_OUT;
    for (limb, shift) in [(high, 16), (low, 0)] {
        for (w, x) in weights.chunks_exact(TILE_OUT).zip(limb.chunks_exact(strip)) {
            for (sums, &w) in sums.chunks_exact_mut(strip).zip(w) {
                let (low, high) = (i32::from(w as i16), w >> 16);
                for (sum, &x) in sums.iter_mut().zip(x) {
                    let products = (low * i32::from(x as i16)).wrapping_add(high * (x >> 16));
                    *sum = sum.wrapping_add((products as u32) << shift);
                }
            }
        }
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::*;

    use super::TILE_OUT;

    /// A tile of `TILE_OUT` outputs by `$vectors` vectors of `$lanes` positions. All accumulation
    /// wraps, as `vpmaddwd` does in its one overflow, 2 * (-2^15)^2.
    macro_rules! tile {
        (
            $name:ident, $features:literal, $vector:ty, $vectors:literal x $lanes:literal,
            $zero:ident, $load:ident, $store:ident, $splat:ident, $shift:ident, $add:ident, $accumulate:expr
        ) => {
            /// # Safety
            /// `weights` must hold TILE_OUT values a step, `low` and `high` one strip a step, and
            /// `sums` TILE_OUT strips.
            #[target_feature(enable = $features)]
            pub(super) unsafe fn $name(weights: &[i32], low: &[i32], high: &[i32], fresh: bool, sums: &mut [u32]) {
                let mut acc = [[$zero(); $vectors]; TILE_OUT];
                for limb in [high, low] {
                    // The upper limb comes first and is shifted in place.
                    for j in 0..TILE_OUT {
                        for v in 0..$vectors {
                            acc[j][v] = $shift::<16>(acc[j][v]);
                        }
                    }
                    let mut strip = limb.as_ptr();
                    for w in weights.as_chunks::<TILE_OUT>().0 {
                        // SAFETY: there is one strip a step, by the contract of this function, and
                        // the pointer passes the end after the last one only.
                        let x: [$vector; $vectors] = unsafe { std::array::from_fn(|v| $load(strip.add($lanes * v).cast())) };
                        strip = strip.wrapping_add($lanes * $vectors);
                        for j in 0..TILE_OUT {
                            let w = $splat(w[j]);
                            for v in 0..$vectors {
                                acc[j][v] = $accumulate(acc[j][v], x[v], w);
                            }
                        }
                    }
                }
                for j in 0..TILE_OUT {
                    for v in 0..$vectors {
                        // SAFETY: the sums are TILE_OUT strips by the contract of this function.
                        unsafe {
                            let sums = sums.as_mut_ptr().add($lanes * ($vectors * j + v));
                            let all = if fresh { acc[j][v] } else { $add(acc[j][v], $load(sums.cast())) };
                            $store(sums.cast(), all);
                        }
                    }
                }
            }
        };
        ($name:ident, $features:literal, 256, $accumulate:expr) => {
            tile!(
                $name, $features, __m256i, 2 x 8, _mm256_setzero_si256, _mm256_loadu_si256, _mm256_storeu_si256,
                _mm256_set1_epi32, _mm256_slli_epi32, _mm256_add_epi32, $accumulate
            );
        };
        ($name:ident, $features:literal, 512, $accumulate:expr) => {
            tile!(
                $name, $features, __m512i, 4 x 16, _mm512_setzero_si512, _mm512_loadu_si512, _mm512_storeu_si512,
                _mm512_set1_epi32, _mm512_slli_epi32, _mm512_add_epi32, $accumulate
            );
        };
    }

    tile!(tile_avx2, "avx2", 256, |acc, x, w| _mm256_add_epi32(acc, _mm256_madd_epi16(x, w)));
    tile!(tile_avx_vnni, "avx2,avxvnni", 256, |acc, x, w| _mm256_dpwssd_avx_epi32(acc, x, w));
    tile!(tile_avx512, "avx512f,avx512bw", 512, |acc, x, w| _mm512_add_epi32(acc, _mm512_madd_epi16(x, w)));
    tile!(tile_vnni, "avx512f,avx512bw,avx512vnni", 512, |acc, x, w| _mm512_dpwssd_epi32(acc, x, w));
}
