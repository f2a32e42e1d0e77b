//! How a comparison is cut into digits.

use std::fmt;

use fusion_ot::functionality::ChoiceBits;

use super::role::{Role, lookup_sender};

/// How many look-ups a comparison is cut into. A digit of d bits costs about 2^(d + 1) bits on the
/// wire and one OT: few wide digits suit few cores, many narrow ones a slow link.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub enum Split {
    /// As few look-ups as possible: of 9 bits, 3 that cost 48 bits.
    FewestOts,
    /// One look-up more, where that saves bits: of 9 bits, 4 that cost 44 bits.
    #[default]
    OneMore,
    /// As few bits as possible: of 9 bits, 5 look-ups that cost 40 bits.
    FewestBits,
}

impl Split {
    /// All of them, from few OTs to few bits.
    pub const ALL: [Self; 3] = [Self::FewestOts, Self::OneMore, Self::FewestBits];
}

impl fmt::Display for Split {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::FewestOts => "fewest OTs",
            Self::OneMore => "one OT more",
            Self::FewestBits => "fewest bits",
        })
    }
}

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
    /// The digits for comparing `bits`-bit numbers, 1..=31.
    ///
    /// # Panics
    /// If `bits` is out of range; callers check widths of plans first.
    #[must_use]
    pub fn of(bits: u32, split: Split) -> Self {
        assert!((1..=MAX_COMPARED_BITS).contains(&bits), "comparison of {bits} bits");
        // Every digit but the lowest spends a bit of its choice on the carry from below.
        let fewest = (bits - 1).div_ceil(WIDEST - 1).max(1);
        // From the fewest to digits of one bit and the carry.
        let most = match split {
            Split::FewestOts => fewest,
            Split::OneMore => (fewest + 1).min(bits - 1),
            Split::FewestBits => bits - 1,
        };
        // The first of the cheapest.
        let count = (fewest..=most.max(fewest)).min_by_key(|&count| cost(&widths(bits, count))).unwrap_or(fewest);
        let choices = widths(bits, count).into_iter();
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
            let digit = Digit { m, shift, carries: j > 0, sender: lookup_sender(j) };
            shift += digit.bits();
            digit
        })
    }

    /// The sender at the last digit: the first that has its shares of the result.
    pub(super) fn first_to_know(&self) -> Role {
        lookup_sender(self.choices.len().saturating_sub(1))
    }
}

/// By how many bits per number the rest of a layer is heavier for the client: about 26 bits of
/// ciphertext and one of the widening, against 15 of the widening that the server sends.
const CLIENT_SURPLUS: u32 = 12;

/// Choice widths of `count` digits for `bits` bits, lowest first: those that are the cheapest,
/// where a link is paid for by its bits as much as by the time that its busier direction takes.
fn widths(bits: u32, count: u32) -> Vec<u8> {
    let total = bits + count - 1;
    let (at_server, at_client) = (count.div_ceil(2), count / 2);
    // A digit with a carry has two bits at least.
    let least = |places: u32| if count == 1 { places } else { 2 * places };
    let fits = |sum: u32, places: u32| (least(places)..=WIDEST * places).contains(&sum);
    let sides = (0..=total).filter(|&server| fits(server, at_server) && fits(total - server, at_client));
    let sides = sides.map(|server| [evenly(server, at_server), evenly(total - server, at_client)]);
    let cheapest = sides.min_by_key(|[server, client]| {
        let tables = |widths: &[u8]| widths.iter().map(|&m| (1 << m) - 1).sum::<u32>();
        let choices = |widths: &[u8]| widths.iter().map(|&m| u32::from(m)).sum::<u32>();
        let (up, down) = (choices(server) + tables(client), tables(server) + choices(client));
        up + down + 2 * (up + CLIENT_SURPLUS).max(down)
    });
    let [server, client] = cheapest.unwrap_or_default();
    let mut sides = [server.into_iter(), client.into_iter()];
    (0..count as usize).filter_map(|j| sides[j % 2].next()).collect()
}

/// `sum` in so many parts, as even as possible, larger ones first.
fn evenly(sum: u32, parts: u32) -> Vec<u8> {
    let (even, larger) = (sum / parts.max(1), sum % parts.max(1));
    (0..parts).map(|part| (even + u32::from(part < larger)) as u8).collect()
}

/// Bits on the wire of look-ups with these choice widths.
fn cost(widths: &[u8]) -> u32 {
    widths.iter().map(|&m| u32::from(m) + (1 << m) - 1).sum()
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
    /// The sender of its OT.
    pub(super) sender: Role,
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

    fn digits(bits: u32, split: Split) -> (Vec<u32>, u32) {
        let digits = Digits::of(bits, split);
        let widths: Vec<u32> = digits.iter().map(Digit::bits).collect();
        (widths, digits.iter().map(|digit| digit.m.bits() + digit.answer_bits()).sum())
    }

    #[test]
    fn digits_by_split() {
        let by_split = |bits| Split::ALL.map(|split| digits(bits, split));
        let expect = |rows: [(&[u32], u32); 3]| rows.map(|(widths, bits)| (widths.to_vec(), bits));
        assert_eq!(by_split(9), expect([(&[4, 2, 3], 48), (&[4, 2, 2, 1], 44), (&[3, 1, 2, 1, 2], 40)]));
        assert_eq!(by_split(10), expect([(&[4, 3, 3], 57), (&[4, 2, 2, 2], 49), (&[3, 2, 2, 1, 2], 45)]));
        assert_eq!(by_split(7), expect([(&[4, 3], 38), (&[3, 2, 2], 30), (&[3, 2, 2], 30)]));
        assert_eq!(by_split(8), expect([(&[4, 2, 2], 39), (&[3, 2, 2, 1], 35), (&[3, 2, 2, 1], 35)]));
        assert_eq!(digits(11, Split::FewestOts), (vec![4, 2, 3, 2], 58));
        assert_eq!(digits(11, Split::OneMore), (vec![3, 2, 2, 2, 2], 50));
        assert_eq!(digits(12, Split::FewestOts), (vec![4, 3, 3, 2], 67));
        assert_eq!(digits(1, Split::FewestBits), (vec![1], 2));
    }

    #[test]
    fn every_width_is_covered() {
        for (bits, split) in (1..=MAX_COMPARED_BITS).flat_map(|bits| Split::ALL.map(|split| (bits, split))) {
            let digits = Digits::of(bits, split);
            let (mut at, mut sender) = (0, Role::Server);
            for digit in digits.iter() {
                assert_eq!((digit.shift, digit.sender), (at, sender));
                assert!(digit.bits() > 0, "{bits} bits");
                (at, sender) = (at + digit.bits(), sender.peer());
            }
            assert_eq!(at, bits);
            assert_eq!(digits.first_to_know(), sender.peer());
            let fewer = digits.choices().len() as u32 - 1;
            assert!(split != Split::FewestOts || fewer == 0 || 1 + 3 * fewer < bits, "{bits} bits take no fewer digits");
        }
    }

    #[test]
    fn more_ots_never_cost_more_bits() {
        for bits in 1..=MAX_COMPARED_BITS {
            let [few, more, many] = Split::ALL.map(|split| digits(bits, split));
            assert!(few.1 >= more.1 && more.1 >= many.1 && few.0.len() <= more.0.len() && more.0.len() <= many.0.len(), "{bits} bits");
        }
    }
}
