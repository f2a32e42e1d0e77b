//! The reduction axis of a product, and the shape of a register tile.

/// Outputs that one register tile computes.
pub(super) const TILE_OUT: usize = 6;
/// Positions that one register tile computes at most.
pub(super) const WIDEST_STRIP: usize = 64;

/// Which row pairs are read at which offsets: the reduction axis of the product, the same for every
/// output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reduction {
    /// Number of rows.
    pub(super) rows: usize,
    /// `(pair, offset)` of every step.
    pub(super) steps: Vec<(usize, usize)>,
    /// A product over positions `0..n` reads `n + max_offset` words of every row.
    pub(super) max_offset: usize,
}

impl Reduction {
    /// `taps[r]` lists the offsets at which row r is read; rows 2i and 2i + 1 must have the same
    /// list (an odd last row stands alone).
    ///
    /// # Panics
    /// If the two rows of a pair have different taps. The caller chooses them, never a peer.
    #[must_use]
    pub fn new(taps: &[&[usize]]) -> Self {
        let mut steps = Vec::new();
        for (pair, rows) in taps.chunks(2).enumerate() {
            assert!(rows.len() < 2 || rows[0] == rows[1], "rows of a pair share their taps");
            steps.extend(rows[0].iter().map(|&offset| (pair, offset)));
        }
        let max_offset = steps.iter().map(|s| s.1).max().unwrap_or(0);
        Self { rows: taps.len(), steps, max_offset }
    }

    /// Row pairs.
    pub(super) fn pairs(&self) -> usize {
        self.rows.div_ceil(2)
    }
}
