//! Ranges of `m` for branch and bound: the one that may hold the most comes first.

use std::cmp::Ordering;

/// A range of `m`, ordered by what it may hold at best.
pub(crate) struct Block {
    /// An upper bound on `ln P(m)` in it.
    pub(crate) bound: f64,
    pub(crate) first: u64,
    pub(crate) last: u64,
}

impl Ord for Block {
    fn cmp(&self, other: &Self) -> Ordering {
        self.bound.total_cmp(&other.bound).then(other.first.cmp(&self.first))
    }
}

impl PartialOrd for Block {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Block {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Block {}
