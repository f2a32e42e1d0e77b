//! How a comparison is cut into digits.

use fusion_ot::functionality::ChoiceBits;

/// The digits of a comparison of fixed width, one 1-of-2^m OT each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Digits {
    choices: Vec<ChoiceBits>,
}

/// Widest comparison in bits.
pub const MAX_COMPARED_BITS: u32 = 31;

/// Widest choice of an OT in bits.
const WIDEST: u32 = ChoiceBits::FOUR.bits();

impl Digits {
    /// The digits for comparing `bits`-bit numbers, 1..=31: as few as possible, since an OT costs
    /// more time than the bits that narrower ones would save, and then as even as possible.
    ///
    /// # Panics
    /// If `bits` is out of range; callers check widths of plans first.
    #[must_use]
    pub fn of(bits: u32) -> Self {
        assert!((1..=MAX_COMPARED_BITS).contains(&bits), "comparison of {bits} bits");
        // Every digit but the lowest spends a bit of its choice on the carry from below.
        let count = (bits - 1).div_ceil(WIDEST - 1).max(1);
        let total = bits + count - 1;
        let choices = (0..count).map(|j| (total / count + u32::from(j < total % count)) as u8);
        Self { choices: choices.map(|m| ChoiceBits::new(m).expect("the count is such that 1..=4 bits fall to each")).collect() }
    }

    /// Choice widths of the OTs, lowest digit first.
    #[must_use]
    pub fn choices(&self) -> &[ChoiceBits] {
        &self.choices
    }

    /// The digits, lowest first.
    pub(super) fn iter(&self) -> impl Iterator<Item = Digit> {
        let mut shift = 0;
        self.choices.iter().enumerate().map(move |(j, &m)| {
            let digit = Digit { m, shift, carries: j > 0 };
            shift += digit.bits();
            digit
        })
    }
}

/// One digit of a comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Digit {
    /// Choice width of its OT.
    pub(super) m: ChoiceBits,
    /// Position of its lowest bit.
    pub(super) shift: u32,
    /// Whether the highest bit of the choice is a share of the carry from the digit below.
    pub(super) carries: bool,
}

impl Digit {
    /// Width of the digit itself.
    pub(super) const fn bits(self) -> u32 {
        self.m.bits() - self.carries as u32
    }

    /// Bits of the sender's answer: all messages, of one bit, but the first, which the choice of
    /// the mask fixes.
    pub(super) const fn answer_bits(self) -> u32 {
        self.m.messages() as u32 - 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn twelve_bits_are_four_digits() {
        let widths = |bits| Digits::of(bits).iter().map(Digit::bits).collect::<Vec<_>>();
        assert_eq!(widths(12), [4, 3, 3, 2]);
        assert_eq!(widths(10), [4, 3, 3]);
        assert_eq!(widths(1), [1]);
    }

    #[test]
    fn every_width_is_covered() {
        for bits in 1..=MAX_COMPARED_BITS {
            let digits = Digits::of(bits);
            let mut at = 0;
            for digit in digits.iter() {
                assert_eq!(digit.shift, at);
                assert!(digit.bits() > 0, "{bits} bits");
                at += digit.bits();
            }
            assert_eq!(at, bits);
            let fewer = digits.choices().len() as u32 - 1;
            assert!(fewer == 0 || 1 + 3 * fewer < bits, "{bits} bits take no fewer digits");
        }
    }
}
