//! Bit slices by vector instructions that test each element and return one bit per element: such
//! masks are the words of a bitslice.
//!
//! Each kernel handles whole words of a bitslice and returns how many it wrote; the portable code
//! does the rest.

use std::arch::x86_64::*;

/// Writes bit `bit` of each of 64 values per word.
///
/// # Safety
/// The CPU has AVX-512 F.
#[target_feature(enable = "avx512f")]
pub(super) unsafe fn words_avx512(values: &[u32], bit: u32, out: &mut [u64]) -> usize {
    let wanted = _mm512_set1_epi32(1i32 << bit);
    let (blocks, _) = values.as_chunks::<64>();
    for (block, word) in blocks.iter().zip(out.iter_mut()) {
        *word = 0;
        for quarter in 0..4 {
            // SAFETY: reads 16 of the 64 values of the block.
            let v = unsafe { _mm512_loadu_si512(block.as_ptr().add(16 * quarter).cast()) };
            *word |= u64::from(_mm512_test_epi32_mask(v, wanted)) << (16 * quarter);
        }
    }
    blocks.len().min(out.len())
}

/// Writes bit `bit` of each of 64 bytes per word.
///
/// # Safety
/// The CPU has AVX-512 F and BW.
#[target_feature(enable = "avx512f,avx512bw")]
pub(super) unsafe fn bytes_avx512(values: &[u8], bit: u32, out: &mut [u64]) -> usize {
    let wanted = _mm512_set1_epi8((1u8 << bit) as i8);
    let (blocks, _) = values.as_chunks::<64>();
    for (block, word) in blocks.iter().zip(out.iter_mut()) {
        // SAFETY: reads the 64 bytes of the block.
        let v = unsafe { _mm512_loadu_si512(block.as_ptr().cast()) };
        *word = _mm512_test_epi8_mask(v, wanted);
    }
    blocks.len().min(out.len())
}

/// As [`words_avx512`].
///
/// # Safety
/// The CPU has AVX2.
#[target_feature(enable = "avx2")]
pub(super) unsafe fn words_avx2(values: &[u32], bit: u32, out: &mut [u64]) -> usize {
    let up = _mm_cvtsi32_si128(31 - bit as i32);
    let (blocks, _) = values.as_chunks::<64>();
    for (block, word) in blocks.iter().zip(out.iter_mut()) {
        *word = 0;
        for eighth in 0..8 {
            // SAFETY: reads 8 of the 64 values of the block.
            let v = unsafe { _mm256_loadu_si256(block.as_ptr().add(8 * eighth).cast()) };
            let top = _mm256_castsi256_ps(_mm256_sll_epi32(v, up));
            *word |= u64::from(_mm256_movemask_ps(top) as u32) << (8 * eighth);
        }
    }
    blocks.len().min(out.len())
}

/// As [`bytes_avx512`].
///
/// # Safety
/// The CPU has AVX2.
#[target_feature(enable = "avx2")]
pub(super) unsafe fn bytes_avx2(values: &[u8], bit: u32, out: &mut [u64]) -> usize {
    let up = _mm_cvtsi32_si128(7 - bit as i32);
    let (blocks, _) = values.as_chunks::<64>();
    for (block, word) in blocks.iter().zip(out.iter_mut()) {
        *word = 0;
        for half in 0..2 {
            // SAFETY: reads 32 of the 64 bytes of the block.
            let v = unsafe { _mm256_loadu_si256(block.as_ptr().add(32 * half).cast()) };
            *word |= u64::from(_mm256_movemask_epi8(_mm256_sll_epi16(v, up)) as u32) << (32 * half);
        }
    }
    blocks.len().min(out.len())
}
