//! The LPN parameter sets of the silent extension, and the lengths of its messages.

use fusion_ring::bits::pack::packed_len;

use crate::OtError;
use crate::functionality::ChoiceBits;

/// Size of an extension. Larger ones send fewer bits per output ([`Parameters::bits_per_output`])
/// and take fewer rounds for as many outputs. Smaller ones take less memory, give their first
/// outputs sooner and have fewer secrets, of which every output reads ten at random. Both parties
/// must use the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum ExtensionSize {
    /// 1.7 million outputs per extension from 2 MB of secrets.
    #[default]
    Small,
    /// 3.5 million outputs per extension from 4 MB of secrets.
    Medium,
    /// 7 million outputs per extension from 8 MB of secrets.
    Large,
}

impl ExtensionSize {
    /// All sizes, smallest first.
    pub const ALL: [Self; 3] = [Self::Small, Self::Medium, Self::Large];
}

/// Bytes of the receiver's claim: the masked noise combination.
pub(super) const CLAIM_LEN: usize = 16;
/// Bytes of a proof.
pub(super) const PROOF_LEN: usize = 32;

/// Bytes of an extension apart from its trees and what fixes them: the seed of the pads' hashes,
/// the claim, two proofs.
const OTHER_MESSAGES: usize = 16 + CLAIM_LEN + 2 * PROOF_LEN;

/// One of the LPN parameter sets of the silent extension: there are no others than these.
///
/// t trees of 2^depth leaves give n = t 2^depth outputs per extension from k = 2^log_secrets
/// secrets. With choices of m > 1 bits a projection of the choice to one bit zeroes each noise
/// value with probability just under one half and leaves a binary instance of the same code, so
/// wide choices have twice the noise positions in the same length.
///
/// | set | k | trees x leaves, m = 1 | m > 1 |
/// |---|---|---|---|
/// | [`ExtensionSize::Small`] | 2^17 | 1700 x 2^10 | 3400 x 2^9 |
/// | [`ExtensionSize::Medium`] | 2^18 | 1700 x 2^11 | 3400 x 2^10 |
/// | [`ExtensionSize::Large`] | 2^19 | 1700 x 2^12 | 3400 x 2^11 |
///
/// A row without noise gives an attacker an equation in ten secrets, so it is k over the length of
/// a tree, here 2^7 for binary choices and 2^8 for wide ones, that decides: twice what published
/// sets for codes of this kind have (emp-ot's, which meet 2^128 in every published model), because
/// the code is sparse. [`estimate`](super::estimate) has the figures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Parameters {
    m: ChoiceBits,
    trees: usize,
    depth: usize,
    log_secrets: u32,
}

impl Parameters {
    /// The set for choices of `m` bits.
    #[must_use]
    pub const fn new(m: ChoiceBits, size: ExtensionSize) -> Self {
        let trees = 1700;
        let (log_secrets, depth) = match size {
            ExtensionSize::Small => (17, 10),
            ExtensionSize::Medium => (18, 11),
            ExtensionSize::Large => (19, 12),
        };
        if m.bits() == 1 { Self { m, trees, depth, log_secrets } } else { Self { m, trees: 2 * trees, depth: depth - 1, log_secrets } }
    }

    /// The set with exactly these numbers, if it is in the table.
    ///
    /// # Errors
    /// [`OtError::Misuse`] if it is not: nothing is known about its security here.
    pub fn checked(m: ChoiceBits, trees: usize, depth: usize, log_secrets: u32) -> Result<Self, OtError> {
        let wanted = Self { m, trees, depth, log_secrets };
        let known = ExtensionSize::ALL.into_iter().any(|size| Self::new(m, size) == wanted);
        if known { Ok(wanted) } else { Err(OtError::Misuse("LPN parameters are not in the table")) }
    }

    /// Choice width.
    #[must_use]
    pub const fn choice_bits(self) -> ChoiceBits {
        self.m
    }

    /// Noise positions, one per tree.
    #[must_use]
    pub const fn trees(self) -> usize {
        self.trees
    }

    /// Levels of a tree below its root: 2^depth outputs each.
    #[must_use]
    pub const fn depth(self) -> usize {
        self.depth
    }

    /// Binary logarithm of the number of LPN secrets.
    #[must_use]
    pub const fn log_secrets(self) -> u32 {
        self.log_secrets
    }

    /// Outputs of an extension, those for the next extension included.
    #[must_use]
    pub const fn outputs(self) -> usize {
        self.trees << self.depth
    }

    /// Outputs that seed the next extension: LPN secrets, a correlation per tree level, one per
    /// noise value where values are not all one, and the mask of the check.
    #[must_use]
    pub const fn reserve(self) -> usize {
        let values = if self.m.bits() > 1 { self.trees } else { 0 };
        (1 << self.log_secrets) + self.trees * self.depth + values + self.masks()
    }

    /// Traffic per OT handed out, both directions, in bits; set-up and the first extension's
    /// reserve apart.
    #[must_use]
    pub fn bits_per_output(self) -> f64 {
        let bytes = 16 * self.trees * self.tree_message() + self.fixing_len() + OTHER_MESSAGES;
        8.0 * bytes as f64 / (self.outputs() - self.reserve()) as f64
    }

    /// Correlations that mask the check's 128 bits.
    pub(super) const fn masks(self) -> usize {
        128usize.div_ceil(self.m.bits() as usize)
    }

    /// Whether noise values are uniform rather than one.
    pub(super) const fn wide(self) -> bool {
        self.m.bits() > 1
    }

    /// The low bits of a block that carry the choice.
    pub(super) const fn choice_mask(self) -> u128 {
        (1 << self.m.bits()) - 1
    }

    /// Blocks that the sender sends per tree: one per level below the first; where noise has values
    /// two for the last level, and one for the value.
    pub(super) const fn tree_message(self) -> usize {
        if self.wide() { self.depth + 1 } else { self.depth - 1 }
    }

    /// Bytes of the receiver's message that fixes tree correlations and noise values: m - 1 bits
    /// per level, m bits per tree. None for binary choices.
    pub(super) const fn fixing_len(self) -> usize {
        let m = self.m.bits();
        if self.wide() { packed_len(self.trees * self.depth, m - 1) + packed_len(self.trees, m) } else { 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_table_is_accepted() {
        let m = ChoiceBits::ONE;
        assert_eq!(Parameters::checked(m, 1700, 11, 18).unwrap(), Parameters::new(m, ExtensionSize::Medium));
        assert_eq!(Parameters::checked(ChoiceBits::THREE, 3400, 9, 17).unwrap(), Parameters::new(ChoiceBits::THREE, ExtensionSize::Small));
        let unknown = OtError::Misuse("LPN parameters are not in the table");
        // Among them the sets that were shipped before the sub-system was counted.
        for (m, t, d, k) in [(1, 1699, 10, 17), (1, 1700, 10, 16), (3, 1700, 10, 17), (1, 850, 10, 16), (1, 1170, 11, 17), (1, 0, 0, 0)] {
            assert_eq!(Parameters::checked(ChoiceBits::new(m).unwrap(), t, d, k).unwrap_err(), unknown);
        }
    }

    #[test]
    fn extensions_keep_their_length_and_leave_outputs() {
        for size in ExtensionSize::ALL {
            let binary = Parameters::new(ChoiceBits::ONE, size);
            for m in 1..=4 {
                let set = Parameters::new(ChoiceBits::new(m).unwrap(), size);
                assert_eq!(set.outputs(), binary.outputs());
                assert!(set.reserve() * 8 < set.outputs(), "{set:?}");
            }
        }
    }
}
