//! One digit of a comparison by one 1-of-2^m OT: local computations of both parties.
//!
//! The sender holds a digit a and a share c0 of the carry from the digits below, the receiver a
//! digit whose complement is b, and the other share c1. The sender's table has the bit
//! 1{v < a + (c0 ^ c')} for every possible index (v, c'); both parties end with XOR shares of the
//! bit at (b, c1), which is the carry out of this digit. [`fusion_ring::ot::lookup::sender`] builds
//! and masks the tables, [`fusion_ring::ot::lookup::receiver`] looks them up: no branch and no
//! address depends on a digit.
//!
//! The receiver sends d = (b, c1) ^ u, u being its random choice. Entry i is then masked by pad
//! i ^ d, so that the receiver can unmask exactly its own. The sender chooses its share such that
//! the masked entry 0 is zero, which need not be sent.

use fusion_ot::functionality::PAD_BIT;
use fusion_ring::ot::lookup::receiver::{IndexInputs, looked_up, lookup_corrections, lookup_indices};
use fusion_ring::ot::lookup::sender::{MaskedTables, TableInputs, masked_tables};
use fusion_ring::secret::Wiped;

use super::digits::Digit;
use super::ot_batch::OtSlice;

/// The sender's part for digits `a` (words from which the digit is cut), its shares of the carry
/// from below and the receiver's corrections: its shares of the carry, and entries for the
/// receiver, of which the low [`Digit::answer_bits`] are to be sent.
pub(super) fn answer(digit: Digit, pads: &[u16], a: &[u32], carry: &[u64], corrections: &[u32]) -> MaskedTables {
    let carry = digit.carries.then_some(carry);
    masked_tables(TableInputs { index_bits: digit.m.bits(), pads, digits: a, shift: digit.shift, carry, permutations: corrections })
}

/// The receiver's part, from the choice of its indices to its shares.
pub(super) struct Lookup<'s> {
    digit: Digit,
    /// Of random OTs: the choice in the low bits, the pad at [`PAD_BIT`].
    received: OtSlice<'s, u8>,
    indices: Wiped<u8>,
}

impl<'s> Lookup<'s> {
    /// Takes OTs as received and the indices: complements of the digits of `x` (words from which
    /// the digit is cut) and its shares of the carry from below.
    pub(super) fn new(digit: Digit, received: OtSlice<'s, u8>, x: &[u32], carry: &[u64]) -> Self {
        let carry = digit.carries.then_some(carry);
        let indices = lookup_indices(IndexInputs { index_bits: digit.m.bits(), digits: x, shift: digit.shift, carry });
        Self { digit, received, indices }
    }

    /// The message: how the indices differ from the random choices, in m bits.
    pub(super) fn corrections(&self) -> Wiped<u32> {
        lookup_corrections(&self.indices, &self.received, self.digit.m.bits())
    }

    /// Its shares of the carry, given the sender's answers.
    pub(super) fn learn(&self, answers: &[u32]) -> Wiped<u64> {
        looked_up(&self.indices, (&self.received, PAD_BIT), (answers, self.digit.answer_bits()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layers::Role;
    use fusion_ot::functionality::ChoiceBits;
    use fusion_ring::bits::bitslice::bitslice_of_words;
    use fusion_ring::bits::pack::mask32;

    /// Every pair of digits, every pair of shares, every random choice.
    #[test]
    fn all_digit_pairs() {
        for (m, carries) in (1..=4u8).flat_map(|m| [(m, false), (m, true)]).filter(|&(m, carries)| m > 1 || !carries) {
            let digit = Digit { m: ChoiceBits::new(m).unwrap(), shift: 3, carries, sender: Role::Server };
            let (n, choices) = (1u32 << digit.bits(), digit.m.messages() as u32);
            let (mut a, mut b, mut own, mut theirs, mut u) = (vec![], vec![], vec![], vec![], vec![]);
            for case in 0..n * n * 4 * choices {
                // Bits around the digit must not matter.
                a.push((case % n) << 3 | 5 | 1 << 20);
                b.push((case / n % n) << 3 | 2 | 1 << 21);
                own.push(case / (n * n) % 2);
                theirs.push(case / (2 * n * n) % 2);
                u.push((case / (4 * n * n)) as u8);
            }
            let pads: Vec<u16> =
                (0..a.len() as u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 7) as u16 & mask32(choices) as u16).collect();
            let received: Vec<u8> = u.iter().zip(&pads).map(|(&u, pads)| u | ((pads >> u & 1) as u8) << PAD_BIT).collect();
            let lookup = Lookup::new(digit, OtSlice::Borrowed(&received), &b, &bitslice_of_words(&theirs, 0));
            let sender = answer(digit, &pads, &a, &bitslice_of_words(&own, 0), &lookup.corrections());
            let receiver = lookup.learn(&sender.entries);
            for i in 0..a.len() {
                let carry = if carries { own[i] ^ theirs[i] } else { 0 };
                let out = (sender.masks[i / 64] ^ receiver[i / 64]) >> (i % 64) & 1 == 1;
                assert_eq!(out, (a[i] >> 3 & (n - 1)) + (b[i] >> 3 & (n - 1)) + carry >= n);
            }
        }
    }
}
