//! AES-128 in bulk: the engine under the generators, hashes and trees of this workspace.
//!
//! Blocks are `u128`, byte 0 lowest. Only the forward direction exists. Four kernels compute the
//! same function: the `aes` crate (portable, constant time), AES-NI with four blocks in flight, and
//! VAES with eight in 256-bit registers or sixteen in 512-bit ones; [`AesTier::best`] picks one per
//! process.

pub(crate) mod many;
pub(crate) mod sums;
#[cfg(target_arch = "x86_64")]
mod x86;

use ::aes::cipher::{Array, BlockCipherEncrypt, KeyInit};
use zeroize::Zeroize;

#[cfg(target_arch = "x86_64")]
use crate::simd::AesLevel;
use crate::simd::AesTier;
pub use crate::symmetric::block::Block;
use crate::symmetric::block::HalfTreeLevel;
use crate::symmetric::orthomorphism::sigma;

/// Blocks that the portable forms of the hashes hold at once.
const FUSED: usize = 64;

/// Expanded key, in the form that its kernel reads.
#[derive(Clone)]
enum Schedule {
    Portable(Box<::aes::Aes128>),
    /// Made only where a token proves that the CPU has AES-NI and AVX2.
    #[cfg(target_arch = "x86_64")]
    Ni(x86::RoundKeys),
    /// Made only where a token proves that the CPU also has VAES.
    #[cfg(target_arch = "x86_64")]
    Vaes256(x86::RoundKeys),
    /// Made only where a token proves that the CPU also has VAES and AVX-512 F.
    #[cfg(target_arch = "x86_64")]
    Vaes512(x86::RoundKeys),
}

/// Returns what the kernel for the schedule computes, if it is not the portable one.
macro_rules! by_schedule {
    ($aes:ident, $kernel:ident $(::<$cut:literal>)? ($($arg:expr),*)) => {
        #[cfg(target_arch = "x86_64")]
        match &$aes.schedule {
            // SAFETY: there is such a schedule only where the CPU has the features.
            Schedule::Ni(keys) => return unsafe { x86::by_four::$kernel$(::<$cut>)?(keys, $($arg),*) },
            // SAFETY: as above.
            Schedule::Vaes256(keys) => return unsafe { x86::vaes256::$kernel$(::<$cut>)?(keys, $($arg),*) },
            // SAFETY: as above.
            Schedule::Vaes512(keys) => return unsafe { x86::vaes512::$kernel$(::<$cut>)?(keys, $($arg),*) },
            Schedule::Portable(_) => {}
        }
    };
}

/// AES-128 under one key. The expanded key is wiped on drop.
#[derive(Clone)]
pub struct Aes128 {
    schedule: Schedule,
}

impl Aes128 {
    /// Expands `key`.
    #[must_use]
    pub fn new(key: &[u8; 16]) -> Self {
        Self::with_tier(key, AesTier::best())
    }

    /// Expands `key` for one kernel.
    #[must_use]
    pub fn with_tier(key: &[u8; 16], tier: AesTier) -> Self {
        #[cfg(target_arch = "x86_64")]
        match tier.level() {
            // SAFETY: the token proves that the CPU has AES-NI and AVX2.
            AesLevel::Ni => return Self { schedule: Schedule::Ni(unsafe { x86::expand(key) }) },
            // SAFETY: as above.
            AesLevel::Vaes256 => return Self { schedule: Schedule::Vaes256(unsafe { x86::expand(key) }) },
            // SAFETY: as above.
            AesLevel::Vaes512 => return Self { schedule: Schedule::Vaes512(unsafe { x86::expand(key) }) },
            AesLevel::Portable => {}
        }
        let _ = tier;
        Self { schedule: Schedule::Portable(Box::new(::aes::Aes128::new(Array::cast_from_core(key)))) }
    }

    /// Encrypts every block in place, each on its own.
    pub fn encrypt(&self, blocks: &mut [Block]) {
        by_schedule!(self, encrypt(blocks));
        match &self.schedule {
            Schedule::Portable(cipher) => {
                let blocks: &mut [[u8; 16]] = bytemuck::cast_slice_mut(blocks);
                cipher.encrypt_blocks(Array::cast_slice_from_core_mut(blocks));
            }
            #[cfg(target_arch = "x86_64")]
            Schedule::Ni(_) | Schedule::Vaes256(_) | Schedule::Vaes512(_) => {}
        }
    }

    /// Overwrites `out` with E(counter), E(counter + 1), ...; counters have 128 bits and wrap
    /// around.
    pub fn counter_mode(&self, counter: Block, out: &mut [Block]) {
        by_schedule!(self, counter_mode(counter, out));
        for (i, block) in (0..).zip(out.iter_mut()) {
            *block = counter.wrapping_add(i);
        }
        self.encrypt(out);
    }

    /// As [`counter_mode`](Self::counter_mode), and meanwhile calls `beside` with 0, 1, ..., 15.
    /// The cipher does not use the memory, so `beside` should be work that waits for it.
    pub(crate) fn counters_beside(&self, counter: Block, out: &mut [Block; 24], mut beside: impl FnMut(usize)) {
        by_schedule!(self, counters_beside(counter, out, &mut beside));
        self.counter_mode(counter, out);
        (0..16).for_each(beside);
    }

    /// Replaces each block x by E(x) ^ x (Matyas-Meyer-Oseas).
    pub fn mmo(&self, blocks: &mut [Block]) {
        by_schedule!(self, mmo(blocks));
        let mut plain = [0; FUSED];
        for part in blocks.chunks_mut(FUSED) {
            let plain = &mut plain[..part.len()];
            plain.copy_from_slice(part);
            self.encrypt(part);
            for (block, plain) in part.iter_mut().zip(plain.iter()) {
                *block ^= plain;
            }
        }
        plain.zeroize();
    }

    /// For every w, and for every d of `multiples`, writes `cut` of E(w ^ d) ^ w ^ d to `out`.
    /// Meanwhile calls `beside`, once per w or per four calls of the cipher, whichever is less
    /// often: memory accesses cost little time beside the rounds.
    ///
    /// # Panics
    /// If `out` does not have K entries per w, or K is not 1, 2, 4, 8 or 16.
    pub fn mmo_multiples<const K: usize, T>(
        &self,
        w: &[Block],
        multiples: &[Block; K],
        cut: impl Fn(Block) -> T + Copy,
        out: &mut [T],
        beside: &mut impl FnMut(),
    ) {
        assert!(K.is_power_of_two() && K <= 16, "number of multiples");
        assert_eq!(out.len(), K * w.len(), "K places per block");
        by_schedule!(self, mmo_multiples(w, multiples, cut, out, beside));
        (0..out.len() / K.max(4)).for_each(|_| beside());
        let mut batch = [0; FUSED];
        for (w, out) in w.chunks(FUSED / K).zip(out.chunks_mut(FUSED / K * K)) {
            let batch = &mut batch[..out.len()];
            for (own, w) in batch.chunks_exact_mut(K).zip(w) {
                for (block, multiple) in own.iter_mut().zip(multiples) {
                    *block = w ^ multiple;
                }
            }
            self.mmo(batch);
            for (slot, &pad) in out.iter_mut().zip(batch.iter()) {
                *slot = cut(pad);
            }
        }
        batch.zeroize();
    }

    /// Replaces each block x with tweak i by E(E(x) ^ i) ^ E(x).
    pub(crate) fn tmmo(&self, blocks: &mut [Block], tweaks: &[Block]) {
        debug_assert_eq!(blocks.len(), tweaks.len());
        by_schedule!(self, tmmo(blocks, tweaks));
        self.encrypt(blocks);
        let mut outer = [0; FUSED];
        for (part, tweaks) in blocks.chunks_mut(FUSED).zip(tweaks.chunks(FUSED)) {
            let outer = &mut outer[..part.len()];
            for ((o, inner), tweak) in outer.iter_mut().zip(part.iter()).zip(tweaks) {
                *o = inner ^ tweak;
            }
            self.encrypt(outer);
            for (block, o) in part.iter_mut().zip(outer.iter()) {
                *block ^= o;
            }
        }
        outer.zeroize();
    }

    /// Replaces each p in `lower` by h(p) and the block of that index in `upper` by h(p) ^ p, with
    /// h(p) = E(s(p ^ offset)) ^ s(p ^ offset). Children are masked by `keep`. Returns the sum of
    /// the lower children before they are masked; the sum of the upper ones is that plus the sum of
    /// the parents.
    pub(crate) fn half_tree_level(&self, lower: &mut [Block], upper: &mut [Block], level: &HalfTreeLevel) -> Block {
        if level.keep == Block::MAX {
            by_schedule!(self, half_tree::<false>(lower, upper, level));
        } else {
            by_schedule!(self, half_tree::<true>(lower, upper, level));
        }
        let mut hashed = [0; FUSED];
        let mut sum = 0;
        for (lower, upper) in lower.chunks_mut(FUSED).zip(upper.chunks_mut(FUSED)) {
            let hashed = &mut hashed[..lower.len()];
            for (hashed, parent) in hashed.iter_mut().zip(lower.iter()) {
                *hashed = sigma(*parent ^ level.offset);
            }
            self.mmo(hashed);
            for ((low, high), left) in lower.iter_mut().zip(upper.iter_mut()).zip(hashed.iter()) {
                sum ^= left;
                (*low, *high) = (left & level.keep, (left ^ *low) & level.keep);
            }
        }
        hashed.zeroize();
        sum
    }

    /// Replaces each p in `lower` by h(p, offset) and the block of that index in `upper` by h(p,
    /// offset ^ 1), with h(p, S) = E(s(p ^ S)) ^ s(p ^ S). Children are masked by `keep`. Returns
    /// the sums of the lower and the upper children before they are masked.
    pub(crate) fn half_tree_last(&self, lower: &mut [Block], upper: &mut [Block], level: &HalfTreeLevel) -> [Block; 2] {
        by_schedule!(self, half_tree_last(lower, upper, level));
        for (low, high) in lower.iter_mut().zip(upper.iter_mut()) {
            *high = sigma(*low ^ level.offset ^ 1);
            *low = sigma(*low ^ level.offset);
        }
        [lower, upper].map(|half| {
            self.mmo(half);
            half.iter_mut().fold(0, |sum, child| {
                let whole = *child;
                *child &= level.keep;
                sum ^ whole
            })
        })
    }

    /// Encrypts one block.
    #[must_use]
    pub fn encrypt_one(&self, block: Block) -> Block {
        let mut one = [block];
        self.encrypt(&mut one);
        one[0]
    }
}

impl Drop for Aes128 {
    fn drop(&mut self) {
        match &mut self.schedule {
            // Wiped by the `aes` crate itself (its `zeroize` feature).
            Schedule::Portable(_) => {}
            #[cfg(target_arch = "x86_64")]
            Schedule::Ni(keys) | Schedule::Vaes256(keys) | Schedule::Vaes512(keys) => keys.zeroize(),
        }
    }
}

#[cfg(test)]
mod tests;
