//! AES-128 in bulk: the engine under the generators, hashes and trees of this workspace.
//!
//! Blocks are `u128`, byte 0 lowest. Only the forward direction exists. Three kernels compute the same function: the `aes` crate (portable, constant
//! time), AES-NI with four blocks in flight, and 512-bit VAES with sixteen; [`AesTier::best`] picks one per process.

#[cfg(target_arch = "x86_64")]
mod x86;

use ::aes::cipher::{Array, BlockCipherEncrypt, KeyInit};
use zeroize::Zeroize;

use crate::simd;
use crate::symmetric::orthomorphism::sigma;

/// How a level of a half-tree is expanded, see [`crate::ot::half_tree`].
#[derive(Clone, Copy, Debug)]
pub struct HalfTreeLevel {
    /// All ones if the lower half gets the right children, else zero.
    pub swap: Block,
    /// Public offset of the hash.
    pub offset: Block,
    /// Bits of the children that are kept.
    pub keep: Block,
}

/// Blocks that the composed forms of the hashes hold at once.
const FUSED: usize = 64;

/// A block of 128 bits; byte 0 of the wire form is the least significant byte.
pub type Block = u128;

const _: () = assert!(cfg!(target_endian = "little"), "blocks are cast to bytes in place");

/// Which AES kernel runs. All give the same bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum AesTier {
    /// The `aes` crate.
    Portable,
    /// AES-NI, four blocks at a time.
    Ni,
    /// VAES on 512-bit registers, sixteen blocks at a time.
    Vaes512,
}

impl AesTier {
    /// All kernels, slowest first.
    pub const ALL: [Self; 3] = [Self::Portable, Self::Ni, Self::Vaes512];

    /// The fastest kernel that [`simd`] allows on this CPU.
    #[must_use]
    pub fn best() -> Self {
        if simd::has_aes() && simd::has_vaes() {
            Self::Vaes512
        } else if simd::has_aes() {
            Self::Ni
        } else {
            Self::Portable
        }
    }

    /// Whether this kernel can run here.
    #[must_use]
    pub fn runs_here(self) -> bool {
        self <= Self::best()
    }
}

/// Expanded key, in the form that its kernel wants.
#[derive(Clone)]
enum Schedule {
    Portable(Box<::aes::Aes128>),
    #[cfg(target_arch = "x86_64")]
    Rounds(x86::RoundKeys),
}

/// AES-128 under one key. The expanded key is wiped on drop.
#[derive(Clone)]
pub struct Aes128 {
    schedule: Schedule,
    tier: AesTier,
}

impl Aes128 {
    /// Expands `key`.
    #[must_use]
    pub fn new(key: &[u8; 16]) -> Self {
        Self::with_tier(key, AesTier::best())
    }

    /// Expands `key` for one kernel, or for the best that runs here if `tier` does not.
    #[must_use]
    pub fn with_tier(key: &[u8; 16], tier: AesTier) -> Self {
        let tier = tier.min(AesTier::best());
        let schedule = match tier {
            AesTier::Portable => Schedule::Portable(Box::new(::aes::Aes128::new(Array::cast_from_core(key)))),
            #[cfg(target_arch = "x86_64")]
            // SAFETY: the tier is at most `best()`, which is above portable only where AES-NI was detected.
            AesTier::Ni | AesTier::Vaes512 => Schedule::Rounds(unsafe { x86::expand(key) }),
            #[cfg(not(target_arch = "x86_64"))]
            AesTier::Ni | AesTier::Vaes512 => unreachable!("best() is portable here"),
        };
        Self { schedule, tier }
    }

    /// Encrypts every block in place, each on its own.
    pub fn encrypt(&self, blocks: &mut [Block]) {
        match &self.schedule {
            Schedule::Portable(cipher) => {
                let blocks: &mut [[u8; 16]] = bytemuck::cast_slice_mut(blocks);
                cipher.encrypt_blocks(Array::cast_slice_from_core_mut(blocks));
            }
            #[cfg(target_arch = "x86_64")]
            // SAFETY: `Vaes512` is chosen only where `best()` detected VAES and AVX-512 F.
            Schedule::Rounds(keys) if self.tier == AesTier::Vaes512 => unsafe { x86::vaes512::encrypt(keys, blocks) },
            #[cfg(target_arch = "x86_64")]
            // SAFETY: round keys exist only where `best()` detected AES-NI and AVX2.
            Schedule::Rounds(keys) => unsafe { x86::by_four::encrypt(keys, blocks) },
        }
    }

    /// Encrypts `counter`, `counter + 1`, ... into `out`, and calls `beside` with 0, 1, ..., 15 on the way: where the rounds leave the memory idle, `beside` should keep it busy.
    pub(crate) fn counters_beside(&self, counter: Block, out: &mut [Block; 24], mut beside: impl FnMut(usize)) {
        #[cfg(target_arch = "x86_64")]
        if let (Schedule::Rounds(keys), AesTier::Ni) = (&self.schedule, self.tier) {
            // SAFETY: round keys exist only where `best()` detected AES-NI and AVX2.
            return unsafe { x86::counters_beside(keys, counter, out, &mut beside) };
        }
        // Wider kernels are done before interleaving would pay.
        for (i, block) in out.iter_mut().enumerate() {
            *block = counter.wrapping_add(i as Block);
        }
        self.encrypt(out);
        (0..16).for_each(beside);
    }

    /// Replaces each block x by E(x) ^ x (Matyas-Meyer-Oseas).
    pub fn mmo(&self, blocks: &mut [Block]) {
        #[cfg(target_arch = "x86_64")]
        if let Schedule::Rounds(keys) = &self.schedule {
            // SAFETY: round keys exist only where `best()` detected AES-NI and AVX2, the tier is above that only with VAES and AVX-512 F.
            return unsafe {
                match self.tier {
                    AesTier::Vaes512 => x86::vaes512::mmo(keys, blocks),
                    AesTier::Ni | AesTier::Portable => x86::by_four::mmo(keys, blocks),
                }
            };
        }
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

    /// Fills `out` with K entries for every w, one for each of the `multiples` d: what `cut` leaves of E(w ^ d) ^ w ^ d.
    /// Calls `beside` on the way, once for every w or every four calls of the cipher, whichever is less often: what it has the memory do takes little time beside the rounds.
    ///
    /// # Panics
    /// If `out` does not have K places per w, or K is not 1, 2, 4, 8 or 16.
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
        #[cfg(target_arch = "x86_64")]
        if let Schedule::Rounds(keys) = &self.schedule {
            // SAFETY: round keys exist only where `best()` detected AES-NI and AVX2, the tier is above that only with VAES and AVX-512 F.
            return unsafe {
                match self.tier {
                    AesTier::Vaes512 => x86::vaes512::mmo_multiples(keys, w, multiples, cut, out, beside),
                    AesTier::Ni | AesTier::Portable => x86::by_four::mmo_multiples(keys, w, multiples, cut, out, beside),
                }
            };
        }
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
        #[cfg(target_arch = "x86_64")]
        if let Schedule::Rounds(keys) = &self.schedule {
            // SAFETY: round keys exist only where `best()` detected AES-NI and AVX2, the tier is above that only with VAES and AVX-512 F.
            return unsafe {
                match self.tier {
                    AesTier::Vaes512 => x86::vaes512::tmmo(keys, blocks, tweaks),
                    AesTier::Ni | AesTier::Portable => x86::by_four::tmmo(keys, blocks, tweaks),
                }
            };
        }
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

    /// With h(p) = E(s(p ^ offset)) ^ s(p ^ offset), replaces each p in `lower` and its fellow in `upper` by h(p) ^ (p & swap) and h(p) ^ (p & !swap), both within `keep`. Returns the sum
    /// of the lower children, outside of `keep` too; that of the upper ones differs from it by the sum of the parents.
    pub(crate) fn half_tree_level(&self, lower: &mut [Block], upper: &mut [Block], level: &HalfTreeLevel) -> Block {
        #[cfg(target_arch = "x86_64")]
        if let Schedule::Rounds(keys) = &self.schedule {
            // SAFETY: round keys exist only where `best()` detected AES-NI and AVX2, the tier is above that only with VAES and AVX-512 F.
            return unsafe {
                match (self.tier, level.keep == Block::MAX) {
                    (AesTier::Vaes512, true) => x86::vaes512::half_tree::<false>(keys, lower, upper, level),
                    (AesTier::Vaes512, false) => x86::vaes512::half_tree::<true>(keys, lower, upper, level),
                    (AesTier::Ni | AesTier::Portable, true) => x86::by_four::half_tree::<false>(keys, lower, upper, level),
                    (AesTier::Ni | AesTier::Portable, false) => x86::by_four::half_tree::<true>(keys, lower, upper, level),
                }
            };
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
                let children = [left ^ (*low & level.swap), left ^ (*low & !level.swap)];
                sum ^= children[0];
                (*low, *high) = (children[0] & level.keep, children[1] & level.keep);
            }
        }
        hashed.zeroize();
        sum
    }

    /// With h(p, S) = E(s(p ^ S)) ^ s(p ^ S), replaces each p in `lower` and its fellow in `upper` by h(p, offset) and h(p, offset ^ 1), or the other way round where `swap` is all
    /// ones, both within `keep`. Returns the sums of the lower and the upper children, outside of `keep` too.
    pub(crate) fn half_tree_last(&self, lower: &mut [Block], upper: &mut [Block], level: &HalfTreeLevel) -> [Block; 2] {
        #[cfg(target_arch = "x86_64")]
        if let Schedule::Rounds(keys) = &self.schedule {
            // SAFETY: round keys exist only where `best()` detected AES-NI and AVX2, the tier is above that only with VAES and AVX-512 F.
            return unsafe {
                match self.tier {
                    AesTier::Vaes512 => x86::vaes512::half_tree_last(keys, lower, upper, level),
                    AesTier::Ni | AesTier::Portable => x86::by_four::half_tree_last(keys, lower, upper, level),
                }
            };
        }
        for (low, high) in lower.iter_mut().zip(upper.iter_mut()) {
            *high = sigma(*low ^ level.offset ^ (!level.swap & 1));
            *low = sigma(*low ^ level.offset ^ (level.swap & 1));
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
            Schedule::Rounds(keys) => keys.zeroize(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn tiers() -> Vec<AesTier> {
        let tiers: Vec<_> = AesTier::ALL.into_iter().filter(|t| t.runs_here()).collect();
        println!("AES kernels under test: {tiers:?}");
        tiers
    }

    #[test]
    fn fips_197_example() {
        let key: [u8; 16] = std::array::from_fn(|i| i as u8);
        let plain = u128::from_be_bytes(std::array::from_fn(|i| (i * 0x11) as u8)).swap_bytes();
        let expect = 0x69c4_e0d8_6a7b_0430_d8cd_b780_70b4_c55au128.swap_bytes();
        for tier in tiers() {
            assert_eq!(Aes128::with_tier(&key, tier).encrypt_one(plain), expect, "{tier:?}");
        }
    }

    proptest! {
        #[test]
        fn fused_kernels_agree(key: [u8; 16], pairs in prop::collection::vec(any::<(u128, u128)>(), 0..150), swap: bool, offset: u128, keep: u128, whole: bool) {
            let (blocks, tweaks): (Vec<_>, Vec<_>) = pairs.into_iter().unzip();
            let level = HalfTreeLevel { swap: if swap { u128::MAX } else { 0 }, offset, keep: if whole { u128::MAX } else { keep } };
            let run = |tier| {
                let aes = Aes128::with_tier(&key, tier);
                let mut hashed = blocks.clone();
                aes.tmmo(&mut hashed, &tweaks);
                let mut fed = blocks.clone();
                aes.mmo(&mut fed);
                let (mut lower, mut upper) = (blocks.clone(), tweaks.clone());
                let sums = aes.half_tree_level(&mut lower, &mut upper, &level);
                let (mut left, mut right) = (blocks.clone(), tweaks.clone());
                let last_sums = aes.half_tree_last(&mut left, &mut right, &level);
                (hashed, fed, lower, upper, left, right, sums, last_sums)
            };
            let expect = run(AesTier::Portable);
            for tier in tiers() {
                prop_assert_eq!(&run(tier), &expect, "{:?}", tier);
            }
            let aes = Aes128::new(&key);
            prop_assert!(expect.1.iter().zip(&blocks).all(|(fed, &x)| *fed == aes.encrypt_one(x) ^ x));
        }

        #[test]
        fn multiples_agree(key: [u8; 16], w in prop::collection::vec(any::<u128>(), 0..40), multiples: [u128; 16]) {
            fn check<const K: usize>(key: &[u8; 16], w: &[u128], multiples: &[u128; 16]) {
                let multiples: [u128; K] = std::array::from_fn(|i| multiples[i]);
                let mut expect: Vec<u128> = w.iter().flat_map(|w| multiples.map(|d| w ^ d)).collect();
                Aes128::with_tier(key, AesTier::Portable).mmo(&mut expect);
                for tier in tiers() {
                    let (mut whole, mut bytes, mut calls) = (vec![0; K * w.len()], vec![0u8; K * w.len()], 0);
                    let aes = Aes128::with_tier(key, tier);
                    aes.mmo_multiples(w, &multiples, |pad| pad, &mut whole, &mut || calls += 1);
                    aes.mmo_multiples(w, &multiples, |pad| pad as u8, &mut bytes, &mut || ());
                    assert_eq!(calls, K * w.len() / K.max(4), "{tier:?} K = {K}");
                    assert_eq!(whole, expect, "{tier:?} K = {K}");
                    assert!(bytes.iter().zip(&expect).all(|(&byte, &pad)| byte == pad as u8), "{tier:?} K = {K}");
                }
            }
            check::<1>(&key, &w, &multiples);
            check::<2>(&key, &w, &multiples);
            check::<4>(&key, &w, &multiples);
            check::<8>(&key, &w, &multiples);
            check::<16>(&key, &w, &multiples);
        }

        #[test]
        fn counters_beside_are_counter_mode(key: [u8; 16], counter: u128) {
            for tier in tiers() {
                let aes = Aes128::with_tier(&key, tier);
                let (mut out, mut calls) = ([0; 24], vec![]);
                aes.counters_beside(counter, &mut out, |i| calls.push(i));
                prop_assert!((0..24).all(|i| out[i] == aes.encrypt_one(counter.wrapping_add(i as u128))), "{:?}", tier);
                prop_assert_eq!(calls, (0..16).collect::<Vec<_>>());
            }
        }

        #[test]
        fn kernels_agree(key: [u8; 16], blocks in prop::collection::vec(any::<u128>(), 0..70)) {
            let mut expect = blocks.clone();
            Aes128::with_tier(&key, AesTier::Portable).encrypt(&mut expect);
            for tier in tiers() {
                let mut got = blocks.clone();
                Aes128::with_tier(&key, tier).encrypt(&mut got);
                prop_assert_eq!(&got, &expect, "{:?}", tier);
            }
        }
    }
}
