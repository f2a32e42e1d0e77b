//! Many keys at once, and what is summed over their streams in registers.

use ::aes::cipher::{Array, BlockCipherEncrypt, KeyInit};
use zeroize::Zeroize;

use super::sums::{MOST_BITS, MOST_SPAN, Sums};
#[cfg(target_arch = "x86_64")]
use super::x86;
use crate::secret::Wiped;
#[cfg(target_arch = "x86_64")]
use crate::simd::AesLevel;
use crate::simd::AesTier;
use crate::symmetric::block::Block;

/// Expanded keys, one after the other, all for one kernel. Wiped on drop.
pub(crate) enum KeyRing {
    Portable(Vec<::aes::Aes128>),
    /// Made only where a token proves that the CPU has AES-NI and AVX2.
    #[cfg(target_arch = "x86_64")]
    Ni(Wiped<x86::RoundKeys>),
    /// Made only where a token proves that the CPU also has VAES.
    #[cfg(target_arch = "x86_64")]
    Vaes256(Wiped<x86::RoundKeys>),
    /// Made only where a token proves that the CPU also has VAES and AVX-512 F.
    #[cfg(target_arch = "x86_64")]
    Vaes512(Wiped<x86::RoundKeys>),
}

impl KeyRing {
    /// Expands `keys` for one kernel.
    pub(crate) fn new(keys: &[Block], tier: AesTier) -> Self {
        #[cfg(target_arch = "x86_64")]
        if tier != AesTier::PORTABLE {
            let mut schedules = Wiped::new(keys.len());
            for (schedule, key) in schedules.iter_mut().zip(keys) {
                // SAFETY: every tier but the portable one proves that the CPU has AES-NI and AVX2.
                *schedule = unsafe { x86::expand(&key.to_le_bytes()) };
            }
            match tier.level() {
                AesLevel::Ni => return Self::Ni(schedules),
                AesLevel::Vaes256 => return Self::Vaes256(schedules),
                AesLevel::Vaes512 => return Self::Vaes512(schedules),
                AesLevel::Portable => {}
            }
        }
        let _ = tier;
        Self::Portable(keys.iter().map(|key| ::aes::Aes128::new(Array::cast_from_core(&key.to_le_bytes()))).collect())
    }

    /// Blocks of each stream that [`sum_streams`](Self::sum_streams) expands.
    pub(crate) fn span(&self) -> usize {
        match self {
            Self::Portable(_) => MOST_SPAN,
            #[cfg(target_arch = "x86_64")]
            Self::Ni(_) => x86::vole_by_one::SPAN,
            #[cfg(target_arch = "x86_64")]
            Self::Vaes256(_) => x86::vole256::SPAN,
            #[cfg(target_arch = "x86_64")]
            Self::Vaes512(_) => x86::vole512::SPAN,
        }
    }

    /// Adds up E(counter), E(counter + 1), ... over the 2^k keys from number `first` on, of which
    /// the first is skipped if `hidden`. What stands behind the first [`span`](Self::span) blocks
    /// of each sum is of no use.
    ///
    /// # Panics
    /// If there are no such keys, or k is 0 or above [`MOST_BITS`].
    pub(crate) fn sum_streams(&self, first: usize, k: usize, hidden: bool, counter: Block, sums: &mut Sums) {
        assert!((1..=MOST_BITS).contains(&k), "bits of a leaf's number");
        let range = first..first + (1 << k);
        match self {
            Self::Portable(keys) => portable(&keys[range], hidden, counter, sums),
            // SAFETY: there is such a ring only where the CPU has the features.
            #[cfg(target_arch = "x86_64")]
            Self::Ni(keys) => unsafe { x86::vole_by_one::sum_streams(&keys[range], hidden, counter, sums) },
            // SAFETY: as above.
            #[cfg(target_arch = "x86_64")]
            Self::Vaes256(keys) => unsafe { x86::vole256::sum_streams(&keys[range], hidden, counter, sums) },
            // SAFETY: as above.
            #[cfg(target_arch = "x86_64")]
            Self::Vaes512(keys) => unsafe { x86::vole512::sum_streams(&keys[range], hidden, counter, sums) },
        }
    }
}

/// See [`KeyRing::sum_streams`]. Leaves come in order; one whose number ends in n ones completes n
/// sums of two neighbours.
fn portable(keys: &[::aes::Aes128], hidden: bool, counter: Block, sums: &mut Sums) {
    sums.bits = [[0; MOST_SPAN]; MOST_BITS];
    for (leaf, cipher) in keys.iter().enumerate() {
        let mut sum = [0; MOST_SPAN];
        if leaf > 0 || !hidden {
            (0..).zip(&mut sum).for_each(|(i, block)| *block = counter.wrapping_add(i));
            let blocks: &mut [[u8; 16]] = bytemuck::cast_slice_mut(&mut sum);
            cipher.encrypt_blocks(Array::cast_slice_from_core_mut(blocks));
        }
        for level in 0..leaf.trailing_ones() as usize {
            for ((sum, bits), waiting) in sum.iter_mut().zip(&mut sums.bits[level]).zip(&sums.waiting[level]) {
                *bits ^= *sum;
                *sum ^= waiting;
            }
        }
        *sums.waiting.get_mut(leaf.trailing_ones() as usize).unwrap_or(&mut sums.all) = sum;
        if leaf + 1 == keys.len() {
            sums.all = sum;
        }
        sum.zeroize();
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::symmetric::aes::Aes128;

    proptest! {
        #[test]
        fn sums_are_their_formula(k in 1usize..=MOST_BITS, seed: u128, hidden: bool, wraps: bool, anywhere: u128, before in 0usize..3) {
            let keys: Vec<Block> = (0..(before + 1) << k).map(|i| seed.wrapping_mul(2 * i as u128 + 1)).collect();
            let counter = if wraps { anywhere | u128::from(u64::MAX - 5) } else { anywhere };
            let first = before << k;
            let mut expect = Sums::new();
            for leaf in usize::from(hidden)..1 << k {
                let cipher = Aes128::with_tier(&keys[first + leaf].to_le_bytes(), AesTier::PORTABLE);
                for i in 0..MOST_SPAN {
                    let block = cipher.encrypt_one(counter.wrapping_add(i as u128));
                    expect.all[i] ^= block;
                    (0..k).filter(|b| leaf >> b & 1 == 1).for_each(|b| expect.bits[b][i] ^= block);
                }
            }
            for tier in AesTier::available() {
                let (ring, mut sums) = (KeyRing::new(&keys, tier), Sums::new());
                // Nothing is left of an earlier tree.
                ring.sum_streams(0, k, false, 3, &mut sums);
                ring.sum_streams(first, k, hidden, counter, &mut sums);
                let span = ring.span();
                prop_assert_eq!(&sums.of_all()[..span], &expect.all[..span], "{:?}", tier);
                for b in 0..k {
                    prop_assert_eq!(&sums.with_bit(b)[..span], &expect.bits[b][..span], "{:?} bit {}", tier, b);
                }
            }
        }
    }
}
