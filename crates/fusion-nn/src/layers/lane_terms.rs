//! What the two parties of a lane agree on beside the program.

use std::fmt;

use fusion_ot::silent::ExtensionSize;

use super::digits::Split;

/// The terms of a lane: which are the cheapest depends on the link and on the cores.
///
/// What attacks on the random OTs cost at every extension size: [`fusion_ot::silent::estimate`]
/// (2^133 for 1-of-2 OTs at the smallest, more for all others), and for one guess compared with all
/// of a lane [`fusion_ot::silent`], *Many targets* (a bit less with every size).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct LaneTerms {
    /// How comparisons are cut.
    pub split: Split,
    /// Size of the extensions in which random OTs are made: larger ones take fewer bits and more
    /// memory and cache.
    pub extension: ExtensionSize,
}

impl LaneTerms {
    /// For links whose bytes cost less than the time of another OT.
    pub const SHORT_LINK: Self = Self { split: Split::FewestOts, extension: ExtensionSize::Small };
    /// For links that are waited for.
    pub const LONG_LINK: Self = Self { split: Split::OneMore, extension: ExtensionSize::Medium };

    /// The terms as bytes, for what a lane's session is bound to.
    pub(super) fn binding(self) -> [u8; 2] {
        let split = match self.split {
            Split::FewestOts => 0,
            Split::OneMore => 1,
            Split::FewestBits => 2,
        };
        let extension = match self.extension {
            ExtensionSize::Small => 0,
            ExtensionSize::Medium => 1,
            ExtensionSize::Large => 2,
        };
        [split, extension]
    }
}

impl fmt::Display for LaneTerms {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let extension = match self.extension {
            ExtensionSize::Small => "small",
            ExtensionSize::Medium => "medium",
            ExtensionSize::Large => "large",
        };
        write!(f, "{} a comparison, {extension} extensions", self.split)
    }
}
