//! The sender of the look-ups: one masked truth table of a digit comparison with carry per element.
//! No branch and no address depends on data.
//!
//! A table has N = 2, 4, 8 or 16 one-bit entries. Without a carry, entry v says whether v < a, for
//! a secret digit a of w bits. With a carry, of which the parties hold XOR shares c0 and c1, entry
//! v + 2^w c1 says whether v < a + (c0 ^ c1).
//!
//! The kernel is plain Rust, compiled once per instruction tier so that the compiler vectorises it.

use crate::bits::bitslice::{bitslice_of_words, bitslice_words};
use crate::secret::{Wiped, wipe};
#[cfg(target_arch = "x86_64")]
use crate::simd::Level;
use crate::simd::{self, Tier};
use zeroize::Zeroize;

/// The masked table of each element, without its first entry, and its mask.
pub struct MaskedTables {
    /// The low N - 1 bits are entries 1 and up, lowest first; the bits above mean nothing.
    pub entries: Wiped<u32>,
    /// Bitslice of the masks.
    pub masks: Wiped<u64>,
}

crate::opaque!(MaskedTables);

/// Inputs of [`masked_tables`]; all fields have the same number of elements.
#[derive(Clone, Copy)]
pub struct TableInputs<'a> {
    /// log2 N, 1..=4. With a carry it is at least 2, and digits have one bit less.
    pub index_bits: u32,
    /// N one-bit pads per element; bit i is the pad of entry i.
    pub pads: &'a [u16],
    /// Words that hold the digit a at bit `shift`.
    pub digits: &'a [u32],
    /// Position of the digits in their words.
    pub shift: u32,
    /// Bitslice of the sender's shares of the carry, if there is one.
    pub carry: Option<&'a [u64]>,
    /// Permutations d: what the receiver sent, in the low `index_bits` bits of each.
    pub permutations: &'a [u32],
}

/// Masks entry i of each table by pad i ^ d and by a mask that is common to the table, chosen so
/// that masked entry 0 is zero.
///
/// # Panics
/// If `index_bits` is out of range, or the lengths do not fit together.
#[must_use]
pub fn masked_tables(inputs: TableInputs<'_>) -> MaskedTables {
    masked_tables_with(simd::tier(), inputs)
}

fn masked_tables_with(tier: Tier, inputs: TableInputs<'_>) -> MaskedTables {
    let n = inputs.digits.len();
    assert!((1 + u32::from(inputs.carry.is_some())..=4).contains(&inputs.index_bits), "tables of 2 to 16 entries");
    assert!(inputs.permutations.len() == n && inputs.pads.len() == n, "lengths of a batch of tables");
    assert!(inputs.carry.is_none_or(|carry| carry.len() >= bitslice_words(n)), "a carry for every element");
    let mut entries = Wiped::new(n);
    match (inputs.index_bits, inputs.carry.is_some()) {
        (1, _) => fill::<1, 1>(tier, inputs, &mut entries),
        (2, false) => fill::<2, 2>(tier, inputs, &mut entries),
        (2, true) => fill::<2, 1>(tier, inputs, &mut entries),
        (3, false) => fill::<3, 3>(tier, inputs, &mut entries),
        (3, true) => fill::<3, 2>(tier, inputs, &mut entries),
        (_, false) => fill::<4, 4>(tier, inputs, &mut entries),
        (_, true) => fill::<4, 3>(tier, inputs, &mut entries),
    }
    let masks = bitslice_of_words(&entries, MASK);
    MaskedTables { entries, masks }
}

/// Elements at a time.
const BLOCK: usize = 64;

/// Bit of a word of entries that holds the mask.
const MASK: u32 = 31;

/// One block of elements.
struct Block {
    /// First the pads; then the masked entries without the first one, and the mask at bit [`MASK`].
    words: [u32; BLOCK],
    digits: [u32; BLOCK],
    permutations: [u32; BLOCK],
    carry: u64,
}

impl Drop for Block {
    fn drop(&mut self) {
        wipe(&mut self.words);
        wipe(&mut self.digits);
        self.carry.zeroize();
    }
}

/// Tables of 2^M entries for digits of W bits.
fn fill<const M: u32, const W: u32>(tier: Tier, inputs: TableInputs<'_>, entries: &mut [u32]) {
    let chunks =
        inputs.digits.chunks(BLOCK).zip(inputs.permutations.chunks(BLOCK)).zip(entries.chunks_mut(BLOCK)).zip(inputs.pads.chunks(BLOCK));
    // The last block may be short. It then still ends with elements of the block before it, whose
    // results are ignored.
    let mut block = Block { words: [0; BLOCK], digits: [0; BLOCK], permutations: [0; BLOCK], carry: 0 };
    for (i, (((digits, permutations), entries), pads)) in chunks.enumerate() {
        block.carry = inputs.carry.map_or(0, |carry| carry[i]);
        block.words.iter_mut().zip(pads).for_each(|(word, &pads)| *word = u32::from(pads));
        block.digits[..digits.len()].copy_from_slice(digits);
        block.permutations[..digits.len()].copy_from_slice(permutations);
        mask::<M, W>(tier, &mut block, inputs.shift);
        entries.copy_from_slice(&block.words[..digits.len()]);
    }
}

fn mask<const M: u32, const W: u32>(tier: Tier, block: &mut Block, shift: u32) {
    #[cfg(target_arch = "x86_64")]
    match tier.level() {
        // SAFETY: the token proves that the CPU has AVX-512 F, BW, DQ and VL.
        Level::Avx512 | Level::Avx512Vnni => unsafe { mask_avx512::<M, W>(block, shift) },
        // SAFETY: the token proves that the CPU has AVX2.
        Level::Avx2 | Level::AvxVnni => unsafe { mask_avx2::<M, W>(block, shift) },
        Level::Portable => mask_block::<M, W>(block, shift),
    }
    #[cfg(not(target_arch = "x86_64"))]
    {
        let _ = tier;
        mask_block::<M, W>(block, shift);
    }
}

/// # Safety
/// The CPU has AVX2.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
unsafe fn mask_avx2<const M: u32, const W: u32>(block: &mut Block, shift: u32) {
    mask_block::<M, W>(block, shift);
}

/// # Safety
/// The CPU has AVX-512 F, BW, DQ and VL.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl")]
unsafe fn mask_avx512<const M: u32, const W: u32>(block: &mut Block, shift: u32) {
    mask_block::<M, W>(block, shift);
}

/// Entries whose index has bit `bit` clear.
const fn clear_entries(bit: u32) -> u32 {
    let mut mask = 0u32;
    let mut at = 0;
    while at < 16 {
        if at >> bit & 1 == 0 {
            mask |= 1 << at;
        }
        at += 1;
    }
    mask
}

/// Turns a block of pads into masked tables.
#[inline(always)]
fn mask_block<const M: u32, const W: u32>(block: &mut Block, shift: u32) {
    let field = ((1u64 << (1 << M)) - 1) as u32;
    let elements = block.words.iter_mut().zip(&block.digits).zip(&block.permutations);
    for (i, ((word, digit), d)) in elements.enumerate() {
        let a = digit >> shift & ((1 << W) - 1);
        let mut table = *word;
        // Entry v becomes pad v ^ d: swap neighbouring groups of entries for every one in d.
        for bit in 0..M {
            let wanted = 0u32.wrapping_sub(d >> bit & 1);
            let distance = 1 << bit;
            let moved = ((table >> distance) ^ table) & clear_entries(bit) & wanted;
            table ^= moved | moved << distance;
        }
        // The entries below a, or below a + 1 where the shares of the carry differ.
        let below = (1u32 << a) - 1;
        table ^= if W == M {
            below
        } else {
            let carry = (block.carry >> i) as u32 & 1;
            let high = carry ^ 1;
            (below << carry | carry) | (below << high | high) << (1 << W)
        };
        let mask = table & 1;
        table ^= mask * field;
        *word = table >> 1 | mask << MASK;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn tables_are_masked_truth_tables(seed in any::<u32>(), n in 0usize..200, index_bits in 1u32..=4, carries: bool, shift in 0u32..28) {
            let carries = carries && index_bits > 1;
            let (size, width) = (1usize << index_bits, index_bits - u32::from(carries));
            let word = |i: usize| (i as u32 ^ seed).wrapping_mul(2_654_435_761).rotate_left(11).wrapping_mul(0x9e37_79b1);
            let pads: Vec<u16> = (0..n).map(|i| word(3 * i) as u16 & (u16::MAX >> (16 - size))).collect();
            let digits: Vec<u32> = (0..n).map(|i| word(3 * i + 1)).collect();
            let permutations: Vec<u32> = (0..n).map(|i| word(3 * i + 2)).collect();
            let carry: Vec<u64> = (0..n.div_ceil(64)).map(|i| u64::from(word(i)) << 32 | u64::from(word(i + 1))).collect();
            let carry = carries.then_some(&carry[..]);
            let inputs = TableInputs { index_bits, pads: &pads, digits: &digits, shift, carry, permutations: &permutations };
            let tables = masked_tables(inputs);
            for tier in simd::available() {
                let other = masked_tables_with(tier, inputs);
                prop_assert_eq!((&*other.entries, &*other.masks), (&*tables.entries, &*tables.masks), "{}", tier.name());
            }
            for i in 0..n {
                let a = (digits[i] >> shift) as usize & ((1 << width) - 1);
                let d = permutations[i] as usize & (size - 1);
                let own = carry.map_or(0, |carry| (carry[i / 64] >> (i % 64)) as usize & 1);
                let mask = (tables.masks[i / 64] >> (i % 64) & 1) as u32;
                let masked = |index: usize| {
                    let (v, theirs) = (index & ((1 << width) - 1), index >> width);
                    u32::from(pads[i]) >> (index ^ d) & 1 ^ u32::from(v < a + (own ^ theirs)) ^ mask
                };
                prop_assert_eq!(masked(0), 0);
                for index in 1..size {
                    prop_assert_eq!(masked(index), tables.entries[i] >> (index - 1) & 1, "entry {} of table {}", index, i);
                }
            }
        }
    }
}
