//! Masked truth tables of digit comparisons, one per element, without branches or addresses that depend on data.
//!
//! A table has N = 2, 4, 8 or 16 entries of two bits, kept as two N-bit fields of one word: "less" from bit 0, "equal" from bit 16. Entry v says whether v < a and
//! whether v = a, for a secret digit a.
//!
//! One kernel in plain Rust, compiled once per instruction tier so that the compiler vectorises it.

use crate::planes::{plane_of_byte_bits, plane_of_words};
use crate::simd::{self, Tier};

/// What one call gives: per element the masked table without its first entry, and the mask.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct MaskedTables {
    /// N - 1 less-bits (entries 1 and up, lowest first), then as many equal-bits.
    pub entries: Vec<u32>,
    /// Plane of the less-bit of every mask.
    pub less: Vec<u64>,
    /// Plane of the equal-bit of every mask.
    pub equal: Vec<u64>,
}

/// Pads in the width in which they come.
#[derive(Clone, Copy, Debug)]
pub enum Pads<'a> {
    /// 32 bits each.
    Words(&'a [u32]),
    /// Eight bits each.
    Bytes(&'a [u8]),
}

impl Pads<'_> {
    /// Number of pads.
    #[must_use]
    pub const fn len(self) -> usize {
        match self {
            Self::Words(pads) => pads.len(),
            Self::Bytes(pads) => pads.len(),
        }
    }

    /// Whether there are none.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.len() == 0
    }

    fn plane(self, bit: u32) -> Vec<u64> {
        match self {
            Self::Words(pads) => plane_of_words(pads, bit),
            Self::Bytes(pads) => plane_of_byte_bits(pads, bit),
        }
    }
}

/// Inputs of [`masked_tables`], all of the same number of elements.
#[derive(Clone, Copy)]
pub struct TableInputs<'a> {
    /// log2 N, 1..=4.
    pub digit_bits: u32,
    /// N pads per element, of which bit 0 masks the less-bits and bit 1 the equal-bits.
    pub pads: Pads<'a>,
    /// Words that hold the digit a at bit `shift`.
    pub digits: &'a [u32],
    /// Words that hold the permutation d at bit `shift`.
    pub permutations: &'a [u32],
    /// Position of the digits in their words.
    pub shift: u32,
}

/// Masks entry v of each element's table by pad v ^ d and by a common mask, chosen such that masked entry 0 is zero.
///
/// # Panics
/// If `digit_bits` is not in 1..=4, or the lengths do not fit together.
#[must_use]
pub fn masked_tables(inputs: TableInputs<'_>) -> MaskedTables {
    masked_tables_with(simd::tier(), inputs)
}

fn masked_tables_with(tier: Tier, inputs: TableInputs<'_>) -> MaskedTables {
    let n = inputs.digits.len();
    assert!((1..=4).contains(&inputs.digit_bits), "tables of 2 to 16 entries");
    assert!(inputs.permutations.len() == n && inputs.pads.len() == n << inputs.digit_bits, "lengths of a batch of tables");
    let planes = [inputs.pads.plane(0), inputs.pads.plane(1)];
    let mut tables =
        MaskedTables { entries: vec![0; n], less: Vec::with_capacity(n.div_ceil(64)), equal: Vec::with_capacity(n.div_ceil(64)) };
    match inputs.digit_bits {
        1 => fill::<2, 1>(tier, inputs, &planes, &mut tables),
        2 => fill::<4, 2>(tier, inputs, &planes, &mut tables),
        3 => fill::<8, 3>(tier, inputs, &planes, &mut tables),
        _ => fill::<16, 4>(tier, inputs, &planes, &mut tables),
    }
    tables
}

/// Elements at a time.
const BLOCK: usize = 64;

/// One block of elements.
struct Block {
    /// The pads' bits, less from bit 0 and equal from bit 16; then the masked table in the same form.
    words: [u32; BLOCK],
    digits: [u32; BLOCK],
    permutations: [u32; BLOCK],
}

fn fill<const N: usize, const M: u32>(tier: Tier, inputs: TableInputs<'_>, planes: &[Vec<u64>; 2], tables: &mut MaskedTables) {
    let chunks = inputs.digits.chunks(BLOCK).zip(inputs.permutations.chunks(BLOCK)).zip(tables.entries.chunks_mut(BLOCK));
    for (((digits, permutations), entries), (less, equal)) in chunks.zip(planes[0].chunks(N).zip(planes[1].chunks(N))) {
        let mut block = Block { words: [0; BLOCK], digits: [0; BLOCK], permutations: [0; BLOCK] };
        let per_word = BLOCK / N;
        for ((words, less), equal) in block.words.chunks_exact_mut(per_word).zip(less).zip(equal) {
            let field = ((1u64 << N) - 1) as u32;
            for (i, word) in words.iter_mut().enumerate() {
                *word = (less >> (N * i)) as u32 & field | ((equal >> (N * i)) as u32 & field) << 16;
            }
        }
        block.digits[..digits.len()].copy_from_slice(digits);
        block.permutations[..digits.len()].copy_from_slice(permutations);
        match tier {
            #[cfg(target_arch = "x86_64")]
            // SAFETY: `tier()` and the tests give these tiers only where AVX-512 F was detected.
            Tier::Avx512 | Tier::Avx512Vnni => unsafe { mask_avx512::<N, M>(&mut block, inputs.shift) },
            #[cfg(target_arch = "x86_64")]
            // SAFETY: as above, for AVX2.
            Tier::Avx2 => unsafe { mask_avx2::<N, M>(&mut block, inputs.shift) },
            #[allow(unreachable_patterns, reason = "other architectures have no kernel of their own")]
            Tier::Portable | Tier::Avx2 | Tier::Avx512 | Tier::Avx512Vnni => mask_block::<N, M>(&mut block, inputs.shift),
        }
        tables.less.extend(plane_of_words(&block.digits[..digits.len()], 0));
        tables.equal.extend(plane_of_words(&block.digits[..digits.len()], 16));
        entries.copy_from_slice(&block.words[..digits.len()]);
    }
}

/// # Safety
/// The CPU has AVX2.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
unsafe fn mask_avx2<const N: usize, const M: u32>(block: &mut Block, shift: u32) {
    mask_block::<N, M>(block, shift);
}

/// # Safety
/// The CPU has AVX-512 F.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl")]
unsafe fn mask_avx512<const N: usize, const M: u32>(block: &mut Block, shift: u32) {
    mask_block::<N, M>(block, shift);
}

/// Entries of both fields whose index has bit `bit` clear.
const fn clear_entries(bit: u32) -> u32 {
    let mut mask = 0u32;
    let mut at = 0;
    while at < 32 {
        if (at % 16) >> bit & 1 == 0 {
            mask |= 1 << at;
        }
        at += 1;
    }
    mask
}

/// Leaves the entries in `words` and the masks in `digits` (less in bit 0, equal in bit 16).
#[inline(always)]
fn mask_block<const N: usize, const M: u32>(block: &mut Block, shift: u32) {
    let digit = N as u32 - 1;
    let field = ((1u64 << N) - 1) as u32;
    for ((word, a), d) in block.words.iter_mut().zip(&mut block.digits).zip(&block.permutations) {
        let (digit_a, d) = (*a >> shift & digit, *d >> shift & digit);
        let mut table = *word;
        // Entry v becomes pad v ^ d: swap neighbouring groups of entries for every one in d.
        for bit in 0..M {
            let wanted = 0u32.wrapping_sub(d >> bit & 1);
            let distance = 1 << bit;
            let moved = ((table >> distance) ^ table) & clear_entries(bit) & wanted;
            table ^= moved | moved << distance;
        }
        let one = 1u32 << digit_a;
        table ^= (one - 1) | one << 16;
        let mask = table & 0x0001_0001;
        table ^= mask * field;
        *word = (table & field) >> 1 | (table >> 17) << (N - 1);
        *a = mask;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn tables_are_masked_truth_tables(seed in any::<u32>(), n in 0usize..200, digit_bits in 1u32..=4, shift in 0u32..28) {
            let size = 1usize << digit_bits;
            let word = |i: usize| (i as u32 ^ seed).wrapping_mul(2_654_435_761).rotate_left(11).wrapping_mul(0x9e37_79b1);
            let pads: Vec<u32> = (0..n * size).map(|i| word(3 * i)).collect();
            let digits: Vec<u32> = (0..n).map(|i| word(3 * i + 1)).collect();
            let permutations: Vec<u32> = (0..n).map(|i| word(3 * i + 2)).collect();
            let inputs = TableInputs { digit_bits, pads: Pads::Words(&pads), digits: &digits, permutations: &permutations, shift };
            let tables = masked_tables(inputs);
            let bytes: Vec<u8> = pads.iter().map(|&pad| pad as u8).collect();
            prop_assert_eq!(&masked_tables(TableInputs { pads: Pads::Bytes(&bytes), ..inputs }), &tables);
            for tier in simd::available() {
                prop_assert_eq!(&masked_tables_with(tier, inputs), &tables, "{}", tier.name());
            }
            for i in 0..n {
                let cut = |w: u32| (w >> shift) as usize & (size - 1);
                let (a, d) = (cut(digits[i]), cut(permutations[i]));
                let masked = |v: usize, mask: u32| {
                    let (less, equal) = (u32::from(v < a), u32::from(v == a));
                    pads[i * size + (v ^ d)] & 3 ^ (less | equal << 1) ^ mask
                };
                let mask = (tables.less[i / 64] >> (i % 64) & 1) as u32 | ((tables.equal[i / 64] >> (i % 64) & 1) as u32) << 1;
                prop_assert_eq!(masked(0, mask), 0);
                for v in 1..size {
                    let entry = tables.entries[i] >> (v - 1) & 1 | (tables.entries[i] >> (size - 1 + v - 1) & 1) << 1;
                    prop_assert_eq!(masked(v, mask), entry, "entry {} of table {}", v, i);
                }
                prop_assert_eq!(tables.entries[i] >> (2 * (size - 1)), 0);
            }
        }
    }
}
