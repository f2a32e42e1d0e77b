//! One digit of a comparison by one 1-of-2^m OT: local computations of both parties.
//!
//! The lead holds a digit `a`, the follower a digit `b`. The lead's table has the message (1{v < a}, 1{v = a}) for every
//! possible v; both parties end with XOR shares of the message at v = b. Tables are built and masked by
//! [`fusion_ring::tables`]: no branch and no address depends on a digit.
//!
//! The follower sends `d = b ^ u`, u being its random choice. Message v is then masked by pad v ^ d, so that the follower can
//! unmask exactly message b. The lead's share is chosen such that the masked message 0 is zero, and is not sent.

use fusion_ring::planes::plane_of_words;
use fusion_ring::tables::{Pads, TableInputs, masked_tables};

use super::digits::Leaf;
use super::stock::Received;

/// XOR shares of one digit's outcome for all elements, as planes.
#[derive(Default)]
pub(super) struct Outcome {
    /// 1{b < a}.
    pub(super) less: Vec<u64>,
    /// 1{b = a}; meaningless for the lowest digit, where it is never used.
    pub(super) equal: Vec<u64>,
}

/// The lead's part for digits `a` (words from which the digit is cut at `leaf.shift`) and the follower's corrections `d` (likewise): its shares, and the
/// answers for the follower, of which the low [`Leaf::answer_bits`] are to be sent: a less-bit for every digit but zero, then an equal-bit for each if the leaf has them.
pub(super) fn answer(leaf: Leaf, pads: Pads<'_>, a: &[u32], d: &[u32]) -> (Outcome, Vec<u32>) {
    let inputs = TableInputs { digit_bits: leaf.m.bits(), pads, digits: a, permutations: d, shift: leaf.shift };
    let tables = masked_tables(inputs);
    (Outcome { less: tables.less, equal: tables.equal }, tables.entries)
}

/// The follower's part for digits `b` (words from which the digit is cut at `leaf.shift`): its shares, given the lead's answers.
pub(super) fn learn(leaf: Leaf, received: Received<'_>, b: &[u32], answers: &[u32]) -> Outcome {
    let digit = leaf.m.messages() as u32 - 1;
    let entries = digit;
    let shares = received.pads.iter().zip(b).zip(answers).map(|((pad, b), answer)| {
        let v = b >> leaf.shift & digit;
        // Entry 0, which was not sent, is zero. Without equal-bits the second shift may give anything: it is not used.
        let less = (answer & ((1 << entries) - 1)) << 1 >> v & 1;
        let equal = (answer >> entries) << 1 >> v & 1;
        less ^ equal << 1 ^ pad
    });
    let shares: Vec<u32> = shares.collect();
    Outcome { less: plane_of_words(&shares, 0), equal: plane_of_words(&shares, 1) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use fusion_ot::functionality::ChoiceBits;
    use fusion_ring::pack::mask32;

    /// Every pair of digits, every random choice, both message widths.
    #[test]
    fn all_digit_pairs() {
        for m in 1..=4u8 {
            let m = ChoiceBits::new(m).unwrap();
            let n = m.messages() as u32;
            for message_bits in [1, 2] {
                let leaf = Leaf { m, shift: 3, message_bits };
                let (mut a, mut b, mut u) = (vec![], vec![], vec![]);
                for case in 0..n * n * n {
                    // Bits around the digit must not matter.
                    a.push((case % n) << 3 | 5 | 1 << 20);
                    b.push((case / n % n) << 3 | 2 | 1 << 21);
                    u.push((case / n / n) as u8);
                }
                let pads: Vec<u32> = (0..n * n * n * n).map(|i| i.wrapping_mul(2_654_435_761) >> 7).collect();
                let d: Vec<u32> = b.iter().zip(&u).map(|(b, &u)| b ^ u32::from(u) << 3).collect();
                let own: Vec<u32> = u.iter().enumerate().map(|(i, &u)| pads[i * n as usize + usize::from(u)]).collect();
                let (lead, answers) = answer(leaf, Pads::Words(&pads), &a, &d);
                let answers: Vec<u32> = answers.iter().map(|w| w & mask32(leaf.answer_bits())).collect();
                let follower = learn(leaf, Received { choices: &u, pads: &own }, &b, &answers);
                for i in 0..a.len() {
                    let at = |x: &[u64], y: &[u64]| (x[i / 64] ^ y[i / 64]) >> (i % 64) & 1 == 1;
                    let (a, b) = (a[i] >> 3 & (n - 1), b[i] >> 3 & (n - 1));
                    assert_eq!(at(&lead.less, &follower.less), b < a);
                    if message_bits == 2 {
                        assert_eq!(at(&lead.equal, &follower.equal), b == a);
                    }
                }
            }
        }
    }
}
