//! One digit of a comparison by one 1-of-2^m OT: local computations of both parties.
//!
//! The lead holds a digit `a`, the follower a digit `b`. The lead's table has the message (1{v < a}, 1{v = a}) for every
//! possible v; both parties end with XOR shares of the message at v = b. Tables are built as one 32-bit word per OT, field v of
//! the word being message v, by shifts and masks alone: no branch and no address depends on a digit.
//!
//! The follower sends `d = b ^ u`, u being its random choice. Message v is then masked by pad v ^ d, so that the follower can
//! unmask exactly message b. The lead's share is chosen such that the masked message 0 is zero, and is not sent.

use fusion_ot::functionality::ChoiceBits;

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

/// Fields of a table word with bit `bit` of their index clear, for fields of `width` bits.
const fn clear_fields(width: u32, bit: u32) -> u32 {
    let mut mask = 0u32;
    let mut at = 0;
    while at < 32 {
        if (at / width) >> bit & 1 == 0 {
            mask |= 1 << at;
        }
        at += 1;
    }
    mask
}

/// The lead's part for digits `a` (words from which the digit is cut at `leaf.shift`) and the follower's corrections `d` (likewise): its shares, and the
/// answers of [`Leaf::answer_bits`] each for the follower.
pub(super) fn answer(leaf: Leaf, pads: &[u32], a: &[u32], d: &[u32]) -> (Outcome, Vec<u32>) {
    match (leaf.m, leaf.message_bits) {
        (ChoiceBits::ONE, 1) => answer_as::<2, 1>(leaf.shift, pads, a, d),
        (ChoiceBits::ONE, _) => answer_as::<2, 2>(leaf.shift, pads, a, d),
        (ChoiceBits::TWO, 1) => answer_as::<4, 1>(leaf.shift, pads, a, d),
        (ChoiceBits::TWO, _) => answer_as::<4, 2>(leaf.shift, pads, a, d),
        (ChoiceBits::THREE, 1) => answer_as::<8, 1>(leaf.shift, pads, a, d),
        (ChoiceBits::THREE, _) => answer_as::<8, 2>(leaf.shift, pads, a, d),
        (_, 1) => answer_as::<16, 1>(leaf.shift, pads, a, d),
        (_, _) => answer_as::<16, 2>(leaf.shift, pads, a, d),
    }
}

/// [`answer`] for `N` messages of `S` bits.
fn answer_as<const N: usize, const S: u32>(shift: u32, pads: &[u32], a: &[u32], d: &[u32]) -> (Outcome, Vec<u32>) {
    let field = (1u32 << S) - 1;
    // The low bit of each of the N fields.
    let every_field = ((1u64 << (S * N as u32)) - 1) as u32 / field;
    let digit = N as u32 - 1;
    let mut outcome = Outcome::default();
    let mut answers = Vec::with_capacity(a.len());
    for ((pads, a), d) in pads.chunks(64 * N).zip(a.chunks(64)).zip(d.chunks(64)) {
        let (mut less, mut equal) = (0u64, 0u64);
        for (i, ((pads, a), d)) in pads.chunks_exact(N).zip(a).zip(d).enumerate() {
            let (a, d) = (a >> shift & digit, d >> shift & digit);
            let mut word = 0u32;
            for (v, pad) in pads.iter().enumerate() {
                word |= (pad & field) << (S * v as u32);
            }
            // Field v becomes pad v ^ d: swap neighbouring groups of fields for every one in d.
            for bit in 0..N.ilog2() {
                let wanted = 0u32.wrapping_sub(d >> bit & 1);
                let distance = S << bit;
                let moved = ((word >> distance) ^ word) & clear_fields(S, bit) & wanted;
                word ^= moved | moved << distance;
            }
            // S * a <= 30: 1{v < a} in the low bit of every field below field a.
            word ^= ((1u32 << (S * a)) - 1) & every_field;
            if S == 2 {
                word ^= 2u32 << (S * a);
            }
            let share = word & field;
            word ^= share * every_field;
            answers.push(word >> S);
            less |= u64::from(share & 1) << i;
            equal |= u64::from(share >> 1) << i;
        }
        outcome.less.push(less);
        outcome.equal.push(equal);
    }
    (outcome, answers)
}

/// The follower's part for digits `b` (words from which the digit is cut at `leaf.shift`): its shares, given the lead's answers.
pub(super) fn learn(leaf: Leaf, received: Received<'_>, b: &[u32], answers: &[u32]) -> Outcome {
    let field = (1u32 << leaf.message_bits) - 1;
    let digit = leaf.m.messages() as u32 - 1;
    let mut outcome = Outcome::default();
    for ((pads, b), answers) in received.pads.chunks(64).zip(b.chunks(64)).zip(answers.chunks(64)) {
        let (mut less, mut equal) = (0u64, 0u64);
        for (i, ((pad, b), answer)) in pads.iter().zip(b).zip(answers).enumerate() {
            let at = leaf.message_bits * (b >> leaf.shift & digit);
            let share = ((answer << leaf.message_bits) >> at ^ pad) & field;
            less |= u64::from(share & 1) << i;
            equal |= u64::from(share >> 1) << i;
        }
        outcome.less.push(less);
        outcome.equal.push(equal);
    }
    outcome
}

#[cfg(test)]
mod tests {
    use super::*;

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
                let (lead, answers) = answer(leaf, &pads, &a, &d);
                assert!(answers.iter().all(|&w| leaf.answer_bits() == 32 || w >> leaf.answer_bits() == 0));
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
