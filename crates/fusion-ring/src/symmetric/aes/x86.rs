//! AES-NI and VAES kernels.
//!
//! All come from one macro over the width of a register, so that tests on a CPU without AVX-512
//! cover the structure of its kernels too.

mod kernels;
mod vole;

use std::arch::x86_64::*;

use kernels::kernels;
use vole::vole_kernels;

use crate::symmetric::block::{Block, HalfTreeLevel};

/// The eleven round keys.
pub(super) type RoundKeys = [Block; 11];

/// What the lanes of registers add to a counter.
const STEPS: [Block; 28] = {
    let mut steps = [0; 28];
    let mut i = 0;
    while i < steps.len() {
        steps[i] = i as Block;
        i += 1;
    }
    steps
};

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

/// Returns its argument, but hides that from the compiler. It would otherwise keep the round keys
/// in registers across groups, run out of registers for the blocks in flight and encrypt them one
/// after the other.
#[inline(always)]
#[expect(clippy::pointers_in_nomem_asm_block, reason = "nothing is read through it there")]
fn from_memory(keys: &RoundKeys) -> &RoundKeys {
    let mut keys = std::ptr::from_ref(keys);
    // SAFETY: there is no instruction in it, so the pointer is what it was: that of a live
    // reference.
    unsafe {
        std::arch::asm!("/* {0} */", inout(reg) keys, options(nomem, nostack, preserves_flags));
        &*keys
    }
}

kernels! {
    mod vaes512, features "aes,avx2,avx512f,vaes", __m512i, lanes 4, flight 4,
    _mm512_loadu_si512, _mm512_storeu_si512, _mm512_xor_si512, _mm512_and_si512, _mm512_add_epi64, _mm512_shuffle_epi32,
    _mm512_aesenc_epi128, _mm512_aesenclast_epi128, broadcast |one| _mm512_broadcast_i32x4(one), narrow by_four
}

kernels! {
    mod vaes256, features "aes,avx2,vaes", __m256i, lanes 2, flight 4,
    _mm256_loadu_si256, _mm256_storeu_si256, _mm256_xor_si256, _mm256_and_si256, _mm256_add_epi64, _mm256_shuffle_epi32,
    _mm256_aesenc_epi128, _mm256_aesenclast_epi128, broadcast |one| _mm256_broadcastsi128_si256(one), narrow by_four
}

kernels! {
    mod by_four, features "aes,avx2", __m128i, lanes 1, flight 4,
    _mm_loadu_si128, _mm_storeu_si128, _mm_xor_si128, _mm_and_si128, _mm_add_epi64, _mm_shuffle_epi32,
    _mm_aesenc_si128, _mm_aesenclast_si128, broadcast |one| one, narrow by_one
}

kernels! {
    mod by_one, features "aes,avx2", __m128i, lanes 1, flight 1,
    _mm_loadu_si128, _mm_storeu_si128, _mm_xor_si128, _mm_and_si128, _mm_add_epi64, _mm_shuffle_epi32,
    _mm_aesenc_si128, _mm_aesenclast_si128, broadcast |one| one, narrow nothing
}

vole_kernels! {
    mod vole512, features "aes,avx2,avx512f,vaes", __m512i, lanes 4,
    _mm512_loadu_si512, _mm512_storeu_si512, _mm512_xor_si512, _mm512_aesenc_epi128, _mm512_aesenclast_epi128, cipher vaes512
}

vole_kernels! {
    mod vole256, features "aes,avx2,vaes", __m256i, lanes 2,
    _mm256_loadu_si256, _mm256_storeu_si256, _mm256_xor_si256, _mm256_aesenc_epi128, _mm256_aesenclast_epi128, cipher vaes256
}

vole_kernels! {
    mod vole_by_one, features "aes,avx2", __m128i, lanes 1,
    _mm_loadu_si128, _mm_storeu_si128, _mm_xor_si128, _mm_aesenc_si128, _mm_aesenclast_si128, cipher by_one
}

/// What remains after groups of one: nothing.
mod nothing {
    use super::{Block, HalfTreeLevel, RoundKeys};

    pub(super) fn encrypt(_: &RoundKeys, _: &mut [Block]) {}
    pub(super) fn counter_mode(_: &RoundKeys, _: Block, _: &mut [Block]) {}
    pub(super) fn mmo(_: &RoundKeys, _: &mut [Block]) {}
    pub(super) fn mmo_multiples<const K: usize, T>(
        _: &RoundKeys,
        _: &[Block],
        _: &[Block; K],
        _: impl Fn(Block) -> T,
        _: &mut [T],
        _: &mut impl FnMut(),
    ) {
    }
    pub(super) fn tmmo(_: &RoundKeys, _: &mut [Block], _: &[Block]) {}
    pub(super) fn half_tree<const CUT: bool>(_: &RoundKeys, _: &mut [Block], _: &mut [Block], _: &HalfTreeLevel) -> Block {
        0
    }
    pub(super) fn half_tree_last(_: &RoundKeys, _: &mut [Block], _: &mut [Block], _: &HalfTreeLevel) -> [Block; 2] {
        [0; 2]
    }
}
