//! How a comparison is cut into digits, and in which order the digits are merged.

use fusion_ot::functionality::ChoiceBits;

/// Order of the merges.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Order {
    /// A balanced tree: ceil(log2 #digits) rounds.
    Balanced,
    /// Digit by digit from the lowest: one round per digit after the first, and no equality bit is ever merged, which saves bits.
    Chain,
}

/// One merge: digits `high` and `low` become one, kept in the place of `low`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Merge {
    /// Place of the more significant part.
    pub(super) high: usize,
    /// Place of the less significant part and of the result.
    pub(super) low: usize,
    /// Whether the result's equality bit is needed later.
    pub(super) equality: bool,
}

/// The digits of a comparison of fixed width.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Digits {
    widths: Vec<ChoiceBits>,
    levels: Vec<Vec<Merge>>,
}

/// What one OT is worth in bits when digits are chosen: its own corrections (1 to 1.7 bits) and its computing time.
const BITS_PER_OT: usize = 4;

/// Widest comparison in bits.
pub const MAX_COMPARED_BITS: u32 = 31;

impl Digits {
    /// The cheapest digits for comparing `bits`-bit numbers, 1..=31.
    ///
    /// # Panics
    /// If `bits` is out of range; callers check widths of plans first.
    #[must_use]
    pub fn of(bits: u32, order: Order) -> Self {
        assert!((1..=MAX_COMPARED_BITS).contains(&bits), "comparison of {bits} bits");
        let mut best: Option<((usize, usize), Self)> = None;
        let most = |width: u32| bits / width;
        for fours in 0..=most(4) {
            for threes in 0..=most(3) {
                for twos in 0..=most(2) {
                    let Some(ones) = bits.checked_sub(4 * fours + 3 * threes + 2 * twos) else { continue };
                    // The lowest digit needs no equality bit, which saves most on the widest.
                    let counts = [(ChoiceBits::FOUR, fours), (ChoiceBits::THREE, threes), (ChoiceBits::TWO, twos), (ChoiceBits::ONE, ones)];
                    let widths: Vec<_> = counts.iter().flat_map(|&(m, n)| vec![m; n as usize]).collect();
                    let candidate = Self { levels: levels(widths.len(), order), widths };
                    let ots = candidate.widths.len() + 2 * candidate.merges();
                    let pads = candidate.widths.iter().map(|m| m.messages()).sum();
                    let rank = (candidate.bits() + BITS_PER_OT * ots, pads);
                    if best.as_ref().is_none_or(|(least, _)| rank < *least) {
                        best = Some((rank, candidate));
                    }
                }
            }
        }
        best.map(|(_, digits)| digits).expect("all-ones digits exist for every width")
    }

    /// Digit widths, lowest digit first.
    #[must_use]
    pub fn widths(&self) -> &[ChoiceBits] {
        &self.widths
    }

    /// Rounds of merging; merges of one level are independent.
    pub(super) fn levels(&self) -> &[Vec<Merge>] {
        &self.levels
    }

    /// Number of merges: two 1-of-2 OTs each, one in each direction.
    #[must_use]
    pub fn merges(&self) -> usize {
        self.widths.len() - 1
    }

    /// Each digit with the position of its lowest bit and the bits of its leaf's messages (2, or 1 where equality is not needed).
    pub(super) fn leaves(&self) -> impl Iterator<Item = Leaf> {
        let mut shift = 0;
        self.widths.iter().enumerate().map(move |(j, &m)| {
            let leaf = Leaf { m, shift, message_bits: if j == 0 { 1 } else { 2 } };
            shift += m.bits();
            leaf
        })
    }

    /// Bits on the wire per comparison, both directions.
    fn bits(&self) -> usize {
        let leaves: u32 = self.leaves().map(|leaf| leaf.m.bits() + leaf.answer_bits()).sum();
        let merges: usize = self.levels.iter().flatten().map(|merge| if merge.equality { 6 } else { 4 }).sum();
        leaves as usize + merges
    }
}

/// One digit of a comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Leaf {
    /// Width.
    pub(super) m: ChoiceBits,
    /// Position of its lowest bit.
    pub(super) shift: u32,
    /// Bits of each OT message: less-than, and equality unless this is the lowest digit.
    pub(super) message_bits: u32,
}

impl Leaf {
    /// Bits of the lead's answer: all messages but the first, which the choice of the mask fixes.
    pub(super) fn answer_bits(self) -> u32 {
        (self.m.messages() as u32 - 1) * self.message_bits
    }
}

fn levels(digits: usize, order: Order) -> Vec<Vec<Merge>> {
    match order {
        Order::Chain => (1..digits).map(|high| vec![Merge { high, low: 0, equality: false }]).collect(),
        Order::Balanced => {
            let mut places: Vec<usize> = (0..digits).collect();
            let mut levels = Vec::new();
            while places.len() > 1 {
                // With an odd number the highest place waits, so that the lowest takes part in every level: its merges are the cheap ones.
                let merges = places.chunks_exact(2).map(|p| Merge { high: p[1], low: p[0], equality: p[0] != 0 });
                levels.push(merges.collect());
                places = places.into_iter().step_by(2).collect();
            }
            levels
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn twelve_bits_are_four_digits_of_three() {
        let balanced = Digits::of(12, Order::Balanced);
        assert_eq!(balanced.widths(), [ChoiceBits::THREE; 4]);
        assert_eq!((balanced.bits(), balanced.levels().len()), (61 + 14, 2));
        let chain = Digits::of(12, Order::Chain);
        assert_eq!(chain.widths(), [ChoiceBits::THREE; 4]);
        assert_eq!((chain.bits(), chain.levels().len()), (61 + 12, 3));
    }

    #[test]
    fn every_width_is_covered_and_merges_to_one() {
        for bits in 1..=MAX_COMPARED_BITS {
            for order in [Order::Balanced, Order::Chain] {
                let digits = Digits::of(bits, order);
                assert_eq!(digits.widths().iter().map(|m| m.bits()).sum::<u32>(), bits);
                let mut alive: Vec<bool> = vec![true; digits.widths().len()];
                for merge in digits.levels().iter().flatten() {
                    assert!(alive[merge.high] && alive[merge.low] && merge.low < merge.high);
                    alive[merge.high] = false;
                }
                assert_eq!(alive.iter().filter(|&&a| a).count(), 1, "{bits} bits");
                assert!(alive[0]);
            }
        }
    }

    #[test]
    fn an_equality_that_is_used_was_kept() {
        for bits in 1..=MAX_COMPARED_BITS {
            let digits = Digits::of(bits, Order::Balanced);
            let mut known: Vec<bool> = (0..digits.widths().len()).map(|j| j != 0).collect();
            for merge in digits.levels().iter().flatten() {
                assert!(known[merge.high], "{bits} bits");
                assert!(!merge.equality || known[merge.low]);
                known[merge.low] = merge.equality;
            }
        }
    }
}
