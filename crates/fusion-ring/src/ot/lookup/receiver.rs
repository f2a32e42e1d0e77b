//! The receiver of the look-ups: it learns one entry of each table of
//! [`crate::ot::lookup::sender`], by random OTs. No branch and no address depends on data.
//!
//! The receiver has a digit b of w bits, the sender the digit a of each table. The index is
//! v + 2^w c1, where v = 2^w - 1 - b (a + b carries exactly if v < a) and c1 is the receiver's
//! share of the carry.
//!
//! Kernels are plain Rust, compiled once per instruction tier so that the compiler vectorises them.

use crate::bits::bitslice::{BLOCK, bitslice_of_bytes, bitslice_words, masks};
use crate::bits::pack::mask32;
use crate::secret::Wiped;
use crate::simd::{self, Tier, per_tier};

/// What is looked up; all fields have the same number of elements.
#[derive(Clone, Copy)]
pub struct IndexInputs<'a> {
    /// Bits of an index, 1..=4. With a carry it is at least 2, and digits have one bit less.
    pub index_bits: u32,
    /// Words that hold the digit b at bit `shift`.
    pub digits: &'a [u32],
    /// Position of the digits in their words.
    pub shift: u32,
    /// Bitslice of the receiver's shares of the carry, if there is one.
    pub carry: Option<&'a [u64]>,
}

fn indices_body(digits: &[u32], shift: u32, width: u32, carry: Option<&[u64]>, out: &mut [u8]) {
    let low = mask32(width);
    for (i, (digits, out)) in digits.chunks(BLOCK).zip(out.chunks_mut(BLOCK)).enumerate() {
        let carries = masks(carry.map_or(0, |carry| carry[i]));
        for ((digit, out), carries) in digits.iter().zip(out).zip(carries) {
            *out = (!digit >> shift & low | carries & 1 << width) as u8;
        }
    }
}

per_tier! {
    indices_with = indices_body(digits: &[u32], shift: u32, width: u32, carry: Option<&[u64]>, out: &mut [u8])
}

fn corrections_body(indices: &[u8], received: &[u8], keep: u8, out: &mut [u32]) {
    for ((out, index), choice) in out.iter_mut().zip(indices).zip(received) {
        *out = u32::from((index ^ choice) & keep);
    }
}

per_tier! {
    corrections_with = corrections_body(indices: &[u8], received: &[u8], keep: u8, out: &mut [u32])
}

fn entries_body(indices: &[u8], received: &[u8], pad_bit: u32, answers: &[u32], keep: u32, out: &mut [u8]) {
    for (((out, &index), &got), answer) in out.iter_mut().zip(indices).zip(received).zip(answers) {
        // Masked entry 0 is zero and not in the answer.
        let entry = (answer & keep) << 1 >> (index & 15);
        *out = (entry as u8 ^ got >> pad_bit) & 1;
    }
}

per_tier! {
    entries_with = entries_body(indices: &[u8], received: &[u8], pad_bit: u32, answers: &[u32], keep: u32, out: &mut [u8])
}

/// The index to look up for each element; secret.
///
/// # Panics
/// If `index_bits` is out of range or a carry is missing.
#[must_use]
pub fn lookup_indices(inputs: IndexInputs<'_>) -> Wiped<u8> {
    lookup_indices_on(simd::tier(), inputs)
}

fn lookup_indices_on(tier: Tier, inputs: IndexInputs<'_>) -> Wiped<u8> {
    let (n, carries) = (inputs.digits.len(), inputs.carry.is_some());
    assert!((1 + u32::from(carries)..=4).contains(&inputs.index_bits), "tables of 2 to 16 entries");
    assert!(inputs.carry.is_none_or(|carry| carry.len() >= bitslice_words(n)), "a carry for every element");
    let mut out = Wiped::new(n);
    indices_with(tier, inputs.digits, inputs.shift, inputs.index_bits - u32::from(carries), inputs.carry, &mut out);
    out
}

/// How the indices differ from the random choices, which are the low `index_bits` bits of
/// `received`. The receiver sends this; it is uniform.
///
/// # Panics
/// If the lengths differ.
#[must_use]
pub fn lookup_corrections(indices: &[u8], received: &[u8], index_bits: u32) -> Wiped<u32> {
    lookup_corrections_on(simd::tier(), indices, received, index_bits)
}

fn lookup_corrections_on(tier: Tier, indices: &[u8], received: &[u8], index_bits: u32) -> Wiped<u32> {
    assert_eq!(indices.len(), received.len(), "an OT for every index");
    let mut out = Wiped::new(indices.len());
    corrections_with(tier, indices, received, mask32(index_bits) as u8, &mut out);
    out
}

/// The bitslice of the entries at `indices`, unmasked. An answer has `answer_bits` bits; its bit i
/// - 1 is masked entry i, and masked entry 0 is zero. The mask is bit `pad_bit` of `received`.
///
/// # Panics
/// If the lengths differ.
#[must_use]
pub fn looked_up(indices: &[u8], (received, pad_bit): (&[u8], u32), (answers, answer_bits): (&[u32], u32)) -> Wiped<u64> {
    looked_up_on(simd::tier(), indices, (received, pad_bit), (answers, answer_bits))
}

fn looked_up_on(tier: Tier, indices: &[u8], (received, pad_bit): (&[u8], u32), (answers, answer_bits): (&[u32], u32)) -> Wiped<u64> {
    assert!(indices.len() == received.len() && indices.len() == answers.len(), "an OT and an answer for every index");
    let mut entries = Wiped::new(indices.len());
    entries_with(tier, indices, received, pad_bit, answers, mask32(answer_bits), &mut entries);
    bitslice_of_bytes(&entries)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn tiers_agree_with_the_formulas(seed in any::<u32>(), n in 0usize..200, index_bits in 1u32..=4, carries: bool, shift in 0u32..28) {
            let carries = carries && index_bits > 1;
            let width = index_bits - u32::from(carries);
            let word = |i: usize| (i as u32 ^ seed).wrapping_mul(2_654_435_761).rotate_left(11).wrapping_mul(0x9e37_79b1);
            let digits: Vec<u32> = (0..n).map(|i| word(3 * i)).collect();
            let received: Vec<u8> = (0..n).map(|i| word(3 * i + 1) as u8 & (0x80 | mask32(index_bits) as u8)).collect();
            let answers: Vec<u32> = (0..n).map(|i| word(3 * i + 2)).collect();
            let bitslice: Vec<u64> = (0..n.div_ceil(64)).map(|i| u64::from(word(i)) << 32 | u64::from(word(i + 1))).collect();
            let carry = carries.then_some(&bitslice[..]);
            let answer_bits = (1 << index_bits) - 1;
            for tier in simd::available() {
                let indices = lookup_indices_on(tier, IndexInputs { index_bits, digits: &digits, shift, carry });
                let corrections = lookup_corrections_on(tier, &indices, &received, index_bits);
                let entries = looked_up_on(tier, &indices, (&received, 7), (&answers, answer_bits));
                for i in 0..n {
                    let digit = digits[i] >> shift & mask32(width);
                    let own = if carries { (bitslice[i / 64] >> (i % 64)) as u32 & 1 } else { 0 };
                    let index = mask32(width) - digit + (own << width);
                    prop_assert_eq!(u32::from(indices[i]), index, "{}", tier.name());
                    prop_assert_eq!(corrections[i], index ^ u32::from(received[i]) & mask32(index_bits), "{}", tier.name());
                    let masked = if index == 0 { 0 } else { answers[i] >> (index - 1) & 1 };
                    let entry = masked ^ u32::from(received[i] >> 7);
                    prop_assert_eq!((entries[i / 64] >> (i % 64)) as u32 & 1, entry, "{}", tier.name());
                }
            }
        }
    }
}
