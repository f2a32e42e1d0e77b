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

/// Loads blocks into registers.
#[target_feature(enable = "aes,avx2")]
#[inline]
fn load<const N: usize>(blocks: &[Block; N]) -> [__m128i; N] {
    // SAFETY: unaligned loads of 16 bytes from `u128` values.
    std::array::from_fn(|i| unsafe { _mm_loadu_si128(std::ptr::from_ref(&blocks[i]).cast()) })
}

/// Stores registers into blocks.
#[target_feature(enable = "aes,avx2")]
#[inline]
fn store<const N: usize>(blocks: &mut [Block; N], state: [__m128i; N]) {
    for (block, s) in blocks.iter_mut().zip(state) {
        // SAFETY: an unaligned store of 16 bytes to a `u128`.
        unsafe { _mm_storeu_si128(std::ptr::from_mut(block).cast(), s) };
    }
}

/// Encrypts N registers, all in flight at once.
#[target_feature(enable = "aes,avx2")]
#[inline]
fn rounds<const N: usize>(keys: &RoundKeys, mut state: [__m128i; N]) -> [__m128i; N] {
    // SAFETY: unaligned loads of 16 bytes from `u128` values.
    let key = |r: usize| unsafe { _mm_loadu_si128(std::ptr::from_ref(&keys[r]).cast()) };
    let k = key(0);
    for s in &mut state {
        *s = _mm_xor_si128(*s, k);
    }
    for r in 1..10 {
        let k = key(r);
        for s in &mut state {
            *s = _mm_aesenc_si128(*s, k);
        }
    }
    let k = key(10);
    state.map(|s| _mm_aesenclast_si128(s, k))
}

/// a ^ b, register by register.
#[target_feature(enable = "aes,avx2")]
#[inline]
fn xor<const N: usize>(a: [__m128i; N], b: [__m128i; N]) -> [__m128i; N] {
    std::array::from_fn(|i| _mm_xor_si128(a[i], b[i]))
}

/// The orthomorphism (L, R) -> (L ^ R, L) of [`crate::hash`], L the upper half.
#[target_feature(enable = "aes,avx2")]
#[inline]
fn sigma(x: __m128i) -> __m128i {
    let swapped = _mm_shuffle_epi32::<0b01_00_11_10>(x);
    _mm_xor_si128(swapped, _mm_and_si128(x, _mm_set_epi64x(-1, 0)))
}

/// Encrypts `blocks` in place, eight at a time.
///
/// # Safety
/// The CPU has AES-NI and AVX2.
#[target_feature(enable = "aes,avx2")]
pub(super) unsafe fn encrypt_ni(keys: &RoundKeys, blocks: &mut [Block]) {
    let (groups, rest) = blocks.as_chunks_mut::<8>();
    for group in groups {
        store(group, rounds(keys, load(group)));
    }
    for block in rest {
        let block = std::array::from_mut(block);
        store(block, rounds(keys, load(block)));
    }
}

/// Replaces each block by pi(pi(x) ^ tweak) ^ pi(x), for as many as both slices have.
///
/// # Safety
/// The CPU has AES-NI and AVX2.
#[target_feature(enable = "aes,avx2")]
pub(super) unsafe fn tmmo_ni(keys: &RoundKeys, blocks: &mut [Block], tweaks: &[Block]) {
    let (groups, rest) = blocks.as_chunks_mut::<8>();
    let (tweak_groups, tweak_rest) = tweaks.as_chunks::<8>();
    for (group, tweaks) in groups.iter_mut().zip(tweak_groups) {
        let inner = rounds(keys, load(group));
        store(group, xor(rounds(keys, xor(inner, load(tweaks))), inner));
    }
    for (block, tweak) in rest.iter_mut().zip(tweak_rest) {
        let block = std::array::from_mut(block);
        let inner = rounds(keys, load(block));
        store(block, xor(rounds(keys, xor(inner, load(std::array::from_ref(tweak)))), inner));
    }
}

/// One half-tree level, see [`super::Aes128::half_tree_level`].
///
/// # Safety
/// The CPU has AES-NI and AVX2.
#[target_feature(enable = "aes,avx2")]
pub(super) unsafe fn half_tree_ni(keys: &RoundKeys, lower: &mut [Block], upper: &mut [Block], swap: Block, offset: Block) {
    let (lower_groups, lower_rest) = lower.as_chunks_mut::<8>();
    let (upper_groups, upper_rest) = upper.as_chunks_mut::<8>();
    for (lower, upper) in lower_groups.iter_mut().zip(upper_groups) {
        half_tree_group(keys, lower, upper, swap, offset);
    }
    for (lower, upper) in lower_rest.iter_mut().zip(upper_rest) {
        half_tree_group(keys, std::array::from_mut(lower), std::array::from_mut(upper), swap, offset);
    }
}

#[target_feature(enable = "aes,avx2")]
#[inline]
fn half_tree_group<const N: usize>(keys: &RoundKeys, lower: &mut [Block; N], upper: &mut [Block; N], swap: Block, offset: Block) {
    let [swap, offset] = load(&[swap, offset]);
    let parents = load(lower);
    let plain = parents.map(|p| sigma(_mm_xor_si128(p, offset)));
    let left = xor(rounds(keys, plain), plain);
    store(lower, std::array::from_fn(|i| _mm_xor_si128(left[i], _mm_and_si128(parents[i], swap))));
    store(upper, std::array::from_fn(|i| _mm_xor_si128(left[i], _mm_andnot_si128(swap, parents[i]))));
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
