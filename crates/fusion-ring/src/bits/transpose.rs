//! Transposes of 128 x 128 bits.
//!
//! On x86-64, SSE2 shuffles collect bytes and `movemask` collects bits (every such CPU has SSE2);
//! elsewhere quarters are swapped recursively.

use crate::symmetric::block::Block;

/// Transposes in place: bit c of row r becomes bit r of row c (bit 0 lowest).
pub fn transpose128(rows: &mut [Block; 128]) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: SSE2 is part of x86-64.
    unsafe {
        transpose_sse2(rows);
    }
    #[cfg(not(target_arch = "x86_64"))]
    transpose_portable(rows);
}

/// Sixteen rows at a time: a transpose of 16 x 16 bytes puts the rows' bytes side by side, then
/// each of eight shifts yields one bit of all sixteen.
///
/// # Safety
/// The CPU has SSE2.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "sse2")]
unsafe fn transpose_sse2(rows: &mut [Block; 128]) {
    use std::arch::x86_64::{_mm_movemask_epi8, _mm_set_epi64x, _mm_slli_epi64, _mm_unpackhi_epi8, _mm_unpacklo_epi8};
    let mut out = [[0u16; 8]; 128];
    for (g, group) in rows.as_chunks::<16>().0.iter().enumerate() {
        let mut bytes = group.map(|row| _mm_set_epi64x((row >> 64) as i64, row as i64));
        // Interleaving rows i and i + 8 four times is a transpose.
        for _ in 0..4 {
            bytes = std::array::from_fn(|i| {
                let (a, b) = (bytes[i / 2], bytes[i / 2 + 8]);
                if i % 2 == 0 { _mm_unpacklo_epi8(a, b) } else { _mm_unpackhi_epi8(a, b) }
            });
        }
        for (column, mut byte) in bytes.into_iter().enumerate() {
            for bit in (0..8).rev() {
                out[8 * column + bit][g] = _mm_movemask_epi8(byte) as u16;
                byte = _mm_slli_epi64::<1>(byte);
            }
        }
    }
    *rows = bytemuck::cast(out);
}

/// Swaps the off-diagonal quarters of every 2j x 2j square, for j = 64, 32, ..., 1 (Knuth, TAOCP
/// 7.1.3).
#[cfg(any(test, not(target_arch = "x86_64")))]
fn transpose_portable(rows: &mut [Block; 128]) {
    for log in (0..7).rev() {
        let j = 1 << log;
        // Low j bits of every 2j.
        let low = (0..128 / (2 * j)).fold(0, |mask, i| mask | (((1 << j) - 1) << (2 * j * i)));
        for square in rows.chunks_exact_mut(2 * j) {
            let (upper, lower) = square.split_at_mut(j);
            for (a, b) in upper.iter_mut().zip(lower) {
                let differ = ((*a >> j) ^ *b) & low;
                *b ^= differ;
                *a ^= differ << j;
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
    fn kernels_are_the_definition() {
        let mut rng = ChaCha20Rng::seed_from_u64(1);
        let rows: [Block; 128] = std::array::from_fn(|_| (Block::from(rng.next_u64()) << 64) | Block::from(rng.next_u64()));
        let mut expect = [0; 128];
        for (r, row) in rows.iter().enumerate() {
            for (c, out) in expect.iter_mut().enumerate() {
                *out |= ((row >> c) & 1) << r;
            }
        }
        for kernel in [transpose128, transpose_portable] {
            let mut got = rows;
            kernel(&mut got);
            assert_eq!(got, expect);
        }
    }
}
