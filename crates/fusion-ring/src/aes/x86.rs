//! AES-NI and VAES kernels.

use std::arch::x86_64::*;

use super::Block;

/// The eleven round keys.
pub(super) type RoundKeys = [Block; 11];

/// Expands `key`.
///
/// # Safety
/// The CPU has AES-NI and AVX2.
#[target_feature(enable = "aes,avx2")]
pub(super) unsafe fn expand(key: &[u8; 16]) -> RoundKeys {
    macro_rules! next {
        ($prev:expr, $rcon:literal) => {{
            let word = _mm_shuffle_epi32::<0xff>(_mm_aeskeygenassist_si128::<$rcon>($prev));
            let mut k = $prev;
            k = _mm_xor_si128(k, _mm_slli_si128::<4>(k));
            k = _mm_xor_si128(k, _mm_slli_si128::<8>(k));
            _mm_xor_si128(k, word)
        }};
    }
    // SAFETY: an unaligned load of 16 bytes from a 16-byte array.
    let k0 = unsafe { _mm_loadu_si128(key.as_ptr().cast()) };
    let k1 = next!(k0, 0x01);
    let k2 = next!(k1, 0x02);
    let k3 = next!(k2, 0x04);
    let k4 = next!(k3, 0x08);
    let k5 = next!(k4, 0x10);
    let k6 = next!(k5, 0x20);
    let k7 = next!(k6, 0x40);
    let k8 = next!(k7, 0x80);
    let k9 = next!(k8, 0x1b);
    let k10 = next!(k9, 0x36);
    let mut out = [0; 11];
    for (slot, k) in out.iter_mut().zip([k0, k1, k2, k3, k4, k5, k6, k7, k8, k9, k10]) {
        // SAFETY: an unaligned store of 16 bytes to a `u128`.
        unsafe { _mm_storeu_si128(std::ptr::from_mut(slot).cast(), k) };
    }
    out
}

/// Encrypts N blocks with N rounds in flight.
///
/// # Safety
/// The CPU has AES-NI and AVX2.
#[target_feature(enable = "aes,avx2")]
#[inline]
unsafe fn encrypt_group<const N: usize>(keys: &RoundKeys, blocks: &mut [Block; N]) {
    // SAFETY: unaligned loads of 16 bytes from `u128` values.
    let key = |r: usize| unsafe { _mm_loadu_si128(std::ptr::from_ref(&keys[r]).cast()) };
    let k0 = key(0);
    // SAFETY: as above.
    let mut state: [__m128i; N] =
        std::array::from_fn(|i| _mm_xor_si128(unsafe { _mm_loadu_si128(std::ptr::from_ref(&blocks[i]).cast()) }, k0));
    for r in 1..10 {
        let k = key(r);
        for s in &mut state {
            *s = _mm_aesenc_si128(*s, k);
        }
    }
    let k = key(10);
    for (block, s) in blocks.iter_mut().zip(state) {
        // SAFETY: an unaligned store of 16 bytes to a `u128`.
        unsafe { _mm_storeu_si128(std::ptr::from_mut(block).cast(), _mm_aesenclast_si128(s, k)) };
    }
}

/// Encrypts `blocks` in place, eight at a time.
///
/// # Safety
/// The CPU has AES-NI and AVX2.
#[target_feature(enable = "aes,avx2")]
pub(super) unsafe fn encrypt_ni(keys: &RoundKeys, blocks: &mut [Block]) {
    let (groups, rest) = blocks.as_chunks_mut::<8>();
    for group in groups {
        // SAFETY: the caller's promise is the callee's.
        unsafe { encrypt_group::<8>(keys, group) };
    }
    for block in rest {
        // SAFETY: the caller's promise is the callee's.
        unsafe { encrypt_group::<1>(keys, std::array::from_mut(block)) };
    }
}

/// Encrypts `blocks` in place, four registers of four blocks at a time.
///
/// # Safety
/// The CPU has VAES, AVX-512 F, AES-NI and AVX2.
#[target_feature(enable = "aes,avx2,avx512f,vaes")]
pub(super) unsafe fn encrypt_vaes512(keys: &RoundKeys, blocks: &mut [Block]) {
    // SAFETY: unaligned loads of 16 bytes from `u128` values.
    let key = |r: usize| unsafe { _mm512_broadcast_i32x4(_mm_loadu_si128(std::ptr::from_ref(&keys[r]).cast())) };
    let (groups, rest) = blocks.as_chunks_mut::<16>();
    for group in groups {
        let at = group.as_mut_ptr().cast::<__m512i>();
        let k0 = key(0);
        // SAFETY: a group is 256 bytes: four unaligned 64-byte loads at 0..4.
        let mut state: [__m512i; 4] = std::array::from_fn(|i| _mm512_xor_si512(unsafe { _mm512_loadu_si512(at.add(i)) }, k0));
        for r in 1..10 {
            let k = key(r);
            for s in &mut state {
                *s = _mm512_aesenc_epi128(*s, k);
            }
        }
        let k = key(10);
        for (i, s) in state.into_iter().enumerate() {
            // SAFETY: as for the loads.
            unsafe { _mm512_storeu_si512(at.add(i), _mm512_aesenclast_epi128(s, k)) };
        }
    }
    // SAFETY: the caller promised AES-NI and AVX2 as well.
    unsafe { encrypt_ni(keys, rest) };
}
