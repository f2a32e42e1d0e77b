//! Transposes of 128 x 128 bits.
//!
//! One kernel in plain Rust, compiled once per instruction tier so that the compiler vectorises it.

use crate::aes::Block;
use crate::simd::{self, Tier};

/// Transposes in place: bit c of row r becomes bit r of row c (bit 0 lowest).
pub fn transpose128(rows: &mut [Block; 128]) {
    transpose_with(simd::tier(), rows);
}

fn transpose_with(tier: Tier, rows: &mut [Block; 128]) {
    let words: &mut [[u64; 2]; 128] = bytemuck::cast_mut(rows);
    match tier {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: `tier()` and the tests give these tiers only where AVX-512 F was detected.
        Tier::Avx512 | Tier::Avx512Vnni => unsafe { transpose_avx512(words) },
        #[cfg(target_arch = "x86_64")]
        // SAFETY: as above, for AVX2.
        Tier::Avx2 => unsafe { transpose_avx2(words) },
        #[allow(unreachable_patterns, reason = "other architectures have no kernel of their own")]
        Tier::Portable | Tier::Avx2 | Tier::Avx512 | Tier::Avx512Vnni => transpose_words(words),
    }
}

/// # Safety
/// The CPU has AVX2.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
unsafe fn transpose_avx2(words: &mut [[u64; 2]; 128]) {
    transpose_words(words);
}

/// # Safety
/// The CPU has AVX-512 F.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl")]
unsafe fn transpose_avx512(words: &mut [[u64; 2]; 128]) {
    transpose_words(words);
}

/// Swaps the off-diagonal quarters of every 2j x 2j square, for j = 64, 32, ..., 1 (Knuth, TAOCP 7.1.3).
#[inline(always)]
fn transpose_words(words: &mut [[u64; 2]; 128]) {
    let (upper, lower) = words.split_at_mut(64);
    for (a, b) in upper.iter_mut().zip(lower) {
        std::mem::swap(&mut a[1], &mut b[0]);
    }
    swap_quarters::<32>(words, 0x0000_0000_ffff_ffff);
    swap_quarters::<16>(words, 0x0000_ffff_0000_ffff);
    swap_quarters::<8>(words, 0x00ff_00ff_00ff_00ff);
    swap_quarters::<4>(words, 0x0f0f_0f0f_0f0f_0f0f);
    swap_quarters::<2>(words, 0x3333_3333_3333_3333);
    swap_quarters::<1>(words, 0x5555_5555_5555_5555);
}

#[inline(always)]
fn swap_quarters<const J: usize>(words: &mut [[u64; 2]; 128], low: u64) {
    for square in words.chunks_exact_mut(2 * J) {
        let (upper, lower) = square.split_at_mut(J);
        for (a, b) in upper.iter_mut().zip(lower) {
            for (a, b) in a.iter_mut().zip(b) {
                let differ = ((*a >> J) ^ *b) & low;
                *b ^= differ;
                *a ^= differ << J;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand_chacha::ChaCha20Rng;
    use rand_core::{Rng, SeedableRng};

    #[test]
    fn every_tier_is_the_definition() {
        let mut rng = ChaCha20Rng::seed_from_u64(1);
        let rows: [Block; 128] = std::array::from_fn(|_| (Block::from(rng.next_u64()) << 64) | Block::from(rng.next_u64()));
        let mut expect = [0; 128];
        for (r, row) in rows.iter().enumerate() {
            for (c, out) in expect.iter_mut().enumerate() {
                *out |= ((row >> c) & 1) << r;
            }
        }
        println!("transposes under test: {:?}", simd::available());
        for tier in simd::available() {
            let mut got = rows;
            transpose_with(tier, &mut got);
            assert_eq!(got, expect, "{tier:?}");
        }
    }
}
