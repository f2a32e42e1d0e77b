//! AES-NI and VAES kernels.
//!
//! Both come from one macro over the width of a register, so that tests on a CPU without VAES cover
//! the structure of the VAES kernels too.

use std::arch::x86_64::*;

use crate::symmetric::block::{Block, HalfTreeLevel};

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

/// Encrypts `counter`, `counter + 1`, ... into `out` and calls `beside` with 0..16 between the
/// rounds: the cipher runs while `beside` waits for memory.
///
/// # Safety
/// The CPU has AES-NI and AVX2.
#[target_feature(enable = "aes,avx2")]
pub(super) unsafe fn counters_beside(keys: &RoundKeys, counter: Block, out: &mut [Block; 24], beside: &mut impl FnMut(usize)) {
    let load = |block: &Block| {
        // SAFETY: an unaligned load of 16 bytes from a `u128`.
        unsafe { _mm_loadu_si128(std::ptr::from_ref(block).cast()) }
    };
    let (groups, _) = out.as_chunks_mut::<8>();
    for (g, group) in groups.iter_mut().enumerate() {
        let first = counter.wrapping_add(8 * g as Block);
        let mut state: [__m128i; 8] = std::array::from_fn(|i| _mm_xor_si128(load(&first.wrapping_add(i as Block)), load(&keys[0])));
        for step in 0..5 {
            beside(5 * g + step);
            for s in &mut state {
                *s = _mm_aesenc_si128(*s, load(&keys[2 * step + 1]));
            }
            // The last step has one round less: nine in all, before the last one.
            if step < 4 {
                for s in &mut state {
                    *s = _mm_aesenc_si128(*s, load(&keys[2 * step + 2]));
                }
            }
        }
        let last = load(&keys[10]);
        for (slot, s) in group.iter_mut().zip(state) {
            // SAFETY: an unaligned store of 16 bytes to a `u128`.
            unsafe { _mm_storeu_si128(std::ptr::from_mut(slot).cast(), _mm_aesenclast_si128(s, last)) };
        }
    }
    beside(15);
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

/// The kernels for registers of one width.
///
/// A register has `lanes` blocks, and `flight` registers are in flight; the names after them are
/// the instructions. The module `narrow` does what does not fill a group.
macro_rules! kernels {
    (
        mod $module:ident, features $features:literal, $register:ty, lanes $lanes:literal, flight $flight:literal,
        $loadu:ident, $storeu:ident, $xor:ident, $and:ident, $shuffle:ident, $enc:ident, $enclast:ident,
        broadcast |$one:ident| $broadcast:expr, narrow $narrow:ident
    ) => {
        pub(super) mod $module {
            use super::*;

            /// Blocks of a group.
            const GROUP: usize = $lanes * $flight;
            type State = [$register; $flight];

            #[target_feature(enable = $features)]
            #[inline]
            fn load(blocks: &[Block; GROUP]) -> State {
                let (registers, _) = blocks.as_chunks::<$lanes>();
                // SAFETY: an unaligned load of as many bytes as `lanes` blocks have.
                std::array::from_fn(|i| unsafe { $loadu(registers[i].as_ptr().cast()) })
            }

            #[target_feature(enable = $features)]
            #[inline]
            fn store(blocks: &mut [Block; GROUP], state: State) {
                let (registers, _) = blocks.as_chunks_mut::<$lanes>();
                for (blocks, register) in registers.iter_mut().zip(state) {
                    // SAFETY: an unaligned store of as many bytes as `lanes` blocks have.
                    unsafe { $storeu(blocks.as_mut_ptr().cast(), register) };
                }
            }

            /// `block` in every lane.
            #[target_feature(enable = $features)]
            #[inline]
            fn broadcast(block: &Block) -> $register {
                // SAFETY: an unaligned load of 16 bytes from a `u128`.
                let $one = unsafe { _mm_loadu_si128(std::ptr::from_ref(block).cast()) };
                $broadcast
            }

            #[target_feature(enable = $features)]
            #[inline]
            fn xor(a: State, b: State) -> State {
                std::array::from_fn(|i| $xor(a[i], b[i]))
            }

            /// The orthomorphism (L, R) -> (L ^ R, L) of [`crate::symmetric::hash`], L the upper
            /// half.
            #[target_feature(enable = $features)]
            #[inline]
            fn sigma(state: State) -> State {
                let upper = broadcast(&(u128::MAX << 64));
                state.map(|x| $xor($shuffle::<0b01_00_11_10>(x), $and(x, upper)))
            }

            #[target_feature(enable = $features)]
            #[inline]
            fn rounds(keys: &RoundKeys, state: State) -> State {
                let (first, last) = (broadcast(&keys[0]), broadcast(&keys[10]));
                let state = inner_rounds(keys, state.map(|s| $xor(s, first)));
                state.map(|s| $enclast(s, last))
            }

            /// All rounds but the first key and the last round.
            #[target_feature(enable = $features)]
            #[inline]
            fn inner_rounds(keys: &RoundKeys, mut state: State) -> State {
                let keys = from_memory(keys);
                for key in &keys[1..10] {
                    let k = broadcast(key);
                    for s in &mut state {
                        *s = $enc(*s, k);
                    }
                }
                state
            }

            /// pi(s ^ t) ^ s ^ t, with `first` and `last` the first and the last round key plus t.
            #[target_feature(enable = $features)]
            #[inline]
            fn fed(keys: &RoundKeys, s: State, first: $register, last: $register) -> State {
                let state = inner_rounds(keys, s.map(|s| $xor(s, first)));
                std::array::from_fn(|i| $enclast(state[i], $xor(s[i], last)))
            }

            /// The first and the last round key plus sigma(`offset`), for [`fed`].
            #[target_feature(enable = $features)]
            #[inline]
            fn shifted(keys: &RoundKeys, offset: Block) -> [$register; 2] {
                let t = crate::symmetric::orthomorphism::sigma(offset);
                [broadcast(&(keys[0] ^ t)), broadcast(&(keys[10] ^ t))]
            }

            /// Encrypts `blocks` in place.
            ///
            /// # Safety
            /// The CPU has the features that the module is compiled for.
            #[target_feature(enable = $features)]
            pub(in super::super) unsafe fn encrypt(keys: &RoundKeys, blocks: &mut [Block]) {
                let (groups, rest) = blocks.as_chunks_mut::<GROUP>();
                for group in groups {
                    store(group, rounds(keys, load(group)));
                }
                // SAFETY: the narrower kernel needs no more features (and `nothing` is safe).
                #[allow(unused_unsafe, reason = "the kernel for nothing is safe")]
                unsafe {
                    $narrow::encrypt(keys, rest);
                }
            }

            /// Replaces each block by pi(pi(x) ^ tweak) ^ pi(x); the slices are equally long.
            ///
            /// # Safety
            /// The CPU has the features that the module is compiled for.
            #[target_feature(enable = $features)]
            pub(in super::super) unsafe fn tmmo(keys: &RoundKeys, blocks: &mut [Block], tweaks: &[Block]) {
                let (groups, rest) = blocks.as_chunks_mut::<GROUP>();
                let (tweak_groups, tweak_rest) = tweaks.as_chunks::<GROUP>();
                for (group, tweaks) in groups.iter_mut().zip(tweak_groups) {
                    let inner = rounds(keys, load(group));
                    store(group, xor(rounds(keys, xor(inner, load(tweaks))), inner));
                }
                // SAFETY: the narrower kernel needs no more features (and `nothing` is safe).
                #[allow(unused_unsafe, reason = "the kernel for nothing is safe")]
                unsafe {
                    $narrow::tmmo(keys, rest, tweak_rest);
                }
            }

            /// Replaces each block x by pi(x) ^ x.
            ///
            /// # Safety
            /// The CPU has the features that the module is compiled for.
            #[target_feature(enable = $features)]
            pub(in super::super) unsafe fn mmo(keys: &RoundKeys, blocks: &mut [Block]) {
                let (groups, rest) = blocks.as_chunks_mut::<GROUP>();
                for group in groups {
                    let plain = load(group);
                    store(group, xor(rounds(keys, plain), plain));
                }
                // SAFETY: the narrower kernel needs no more features (and `nothing` is safe).
                #[allow(unused_unsafe, reason = "the kernel for nothing is safe")]
                unsafe {
                    $narrow::mmo(keys, rest);
                }
            }

            /// For every w, and for every d of `multiples`, writes `cut` of pi(w ^ d) ^ w ^ d to
            /// `out`, which has as many entries. Calls `beside` once per w or per four inputs,
            /// whichever is less often.
            ///
            /// # Safety
            /// The CPU has the features that the module is compiled for.
            #[target_feature(enable = $features)]
            pub(in super::super) unsafe fn mmo_multiples<const K: usize, T>(
                keys: &RoundKeys,
                w: &[Block],
                multiples: &[Block; K],
                cut: impl Fn(Block) -> T + Copy,
                out: &mut [T],
                beside: &mut impl FnMut(),
            ) {
                // Whole groups of whole w.
                let unit = const { if GROUP > K { GROUP } else { K } };
                let (units, rest) = out.split_at_mut(if K < $lanes { 0 } else { out.len() / unit * unit });
                let done = units.len() / K;
                for (w, out) in w.chunks_exact(unit / K).zip(units.chunks_exact_mut(unit)) {
                    for _ in 0..unit / (if K > 4 { K } else { 4 }) {
                        beside();
                    }
                    for (g, out) in out.as_chunks_mut::<GROUP>().0.iter_mut().enumerate() {
                        let inputs: State = std::array::from_fn(|i| {
                            let at = GROUP * g + $lanes * i;
                            // SAFETY: an unaligned load of as many bytes as the slice has.
                            let multiples = unsafe { $loadu(multiples[at % K..][..$lanes].as_ptr().cast()) };
                            $xor(broadcast(&w[at / K]), multiples)
                        });
                        let mut pads = [0; GROUP];
                        store(&mut pads, xor(rounds(keys, inputs), inputs));
                        for (slot, pad) in out.iter_mut().zip(pads) {
                            *slot = cut(pad);
                        }
                    }
                }
                // SAFETY: the narrower kernel needs no more features (and `nothing` is safe).
                #[allow(unused_unsafe, reason = "the kernel for nothing is safe")]
                unsafe {
                    $narrow::mmo_multiples(keys, &w[done..], multiples, cut, rest, beside);
                }
            }

            /// Adds all registers of `state` to `sum`.
            #[target_feature(enable = $features)]
            #[inline]
            fn add(sum: $register, state: State) -> $register {
                state.into_iter().fold(sum, |sum, s| $xor(sum, s))
            }

            /// The sum of all lanes.
            #[target_feature(enable = $features)]
            #[inline]
            fn total(register: $register) -> Block {
                let mut blocks = [0; $lanes];
                // SAFETY: an unaligned store of as many bytes as `lanes` blocks have.
                unsafe { $storeu(blocks.as_mut_ptr().cast(), register) };
                blocks.iter().fold(0, |sum, block| sum ^ block)
            }

            /// One half-tree level, see
            /// [`Aes128::half_tree_level`](super::super::Aes128::half_tree_level); the slices are
            /// equally long.
            ///
            /// # Safety
            /// The CPU has the features that the module is compiled for.
            #[target_feature(enable = $features)]
            pub(in super::super) unsafe fn half_tree<const CUT: bool>(
                keys: &RoundKeys,
                lower: &mut [Block],
                upper: &mut [Block],
                level: &HalfTreeLevel,
            ) -> Block {
                let (lower_groups, lower_rest) = lower.as_chunks_mut::<GROUP>();
                let (upper_groups, upper_rest) = upper.as_chunks_mut::<GROUP>();
                let (swap, keep) = (broadcast(&level.swap), broadcast(&level.keep));
                let [first_key, last_key] = shifted(keys, level.offset);
                let cut = |state: State| if CUT { state.map(|c| $and(c, keep)) } else { state };
                let mut sum = broadcast(&0);
                for (lower, upper) in lower_groups.iter_mut().zip(upper_groups) {
                    let left = fed(keys, sigma(load(lower)), first_key, last_key);
                    let parents = load(lower);
                    let first = xor(left, parents.map(|p| $and(p, swap)));
                    sum = add(sum, first);
                    store(lower, cut(first));
                    store(upper, cut(xor(first, parents)));
                }
                // SAFETY: the narrower kernel needs no more features (and `nothing` is safe).
                #[allow(unused_unsafe, reason = "the kernel for nothing is safe")]
                let rest = unsafe { $narrow::half_tree::<CUT>(keys, lower_rest, upper_rest, level) };
                rest ^ total(sum)
            }

            /// A last level, see [`Aes128::half_tree_last`](super::super::Aes128::half_tree_last);
            /// the slices are equally long.
            ///
            /// # Safety
            /// The CPU has the features that the module is compiled for.
            #[target_feature(enable = $features)]
            pub(in super::super) unsafe fn half_tree_last(
                keys: &RoundKeys,
                lower: &mut [Block],
                upper: &mut [Block],
                level: &HalfTreeLevel,
            ) -> [Block; 2] {
                let (lower_groups, lower_rest) = lower.as_chunks_mut::<GROUP>();
                let (upper_groups, upper_rest) = upper.as_chunks_mut::<GROUP>();
                let shifts = [level.swap & 1, !level.swap & 1].map(|bit| shifted(keys, level.offset ^ bit));
                let keep = broadcast(&level.keep);
                let mut sums = [broadcast(&0); 2];
                for (lower, upper) in lower_groups.iter_mut().zip(upper_groups) {
                    let turned = sigma(load(lower));
                    let child = fed(keys, turned, shifts[1][0], shifts[1][1]);
                    sums[1] = add(sums[1], child);
                    store(upper, child.map(|c| $and(c, keep)));
                    let child = fed(keys, turned, shifts[0][0], shifts[0][1]);
                    sums[0] = add(sums[0], child);
                    store(lower, child.map(|c| $and(c, keep)));
                }
                // SAFETY: the narrower kernel needs no more features (and `nothing` is safe).
                #[allow(unused_unsafe, reason = "the kernel for nothing is safe")]
                let rest = unsafe { $narrow::half_tree_last(keys, lower_rest, upper_rest, level) };
                [rest[0] ^ total(sums[0]), rest[1] ^ total(sums[1])]
            }
        }
    };
}

kernels! {
    mod vaes512, features "aes,avx2,avx512f,vaes", __m512i, lanes 4, flight 4,
    _mm512_loadu_si512, _mm512_storeu_si512, _mm512_xor_si512, _mm512_and_si512, _mm512_shuffle_epi32,
    _mm512_aesenc_epi128, _mm512_aesenclast_epi128, broadcast |one| _mm512_broadcast_i32x4(one), narrow by_four
}

kernels! {
    mod by_four, features "aes,avx2", __m128i, lanes 1, flight 4,
    _mm_loadu_si128, _mm_storeu_si128, _mm_xor_si128, _mm_and_si128, _mm_shuffle_epi32,
    _mm_aesenc_si128, _mm_aesenclast_si128, broadcast |one| one, narrow by_one
}

kernels! {
    mod by_one, features "aes,avx2", __m128i, lanes 1, flight 1,
    _mm_loadu_si128, _mm_storeu_si128, _mm_xor_si128, _mm_and_si128, _mm_shuffle_epi32,
    _mm_aesenc_si128, _mm_aesenclast_si128, broadcast |one| one, narrow nothing
}

/// What remains after groups of one: nothing.
mod nothing {
    use super::{Block, HalfTreeLevel, RoundKeys};

    pub(super) fn encrypt(_: &RoundKeys, _: &mut [Block]) {}
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
