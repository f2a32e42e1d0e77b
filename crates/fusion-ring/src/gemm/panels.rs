//! What the tiles read of the rows, copied together.

use super::kernel;
use super::rows::WordRows;
use crate::secret::Wiped;
use crate::simd::Tier;

/// Bytes of the panels of both limbs: they stay in the first-level cache while all tiles read them.
const BYTES: usize = 16 << 10;
/// Cells of a cache line.
pub(super) const LINE: usize = 16;

/// What a block of steps reads of both limbs at a strip of positions, without gaps. Wiped on drop.
pub(super) struct Panels {
    data: Wiped<i32>,
    /// Cells before the first cache line: no load of a vector crosses one.
    skip: usize,
    strip: usize,
}

/// Cells of a panel.
const ROOM: usize = BYTES / (2 * size_of::<i32>());

impl Panels {
    /// Panels for strips of `strip` positions.
    pub(super) fn new(strip: usize) -> Self {
        let data = Wiped::<i32>::new(2 * ROOM + LINE);
        let skip = data.as_ptr().align_offset(LINE * size_of::<i32>()).min(LINE);
        Self { data, skip, strip }
    }

    /// Steps that fit.
    pub(super) fn steps(&self) -> usize {
        ROOM / self.strip
    }

    /// The lower and the upper limb at the strip from `position` on, as steps at `starts` read it.
    pub(super) fn gather(&mut self, tier: Tier, x: &WordRows, starts: &[usize], position: usize) -> [&[i32]; 2] {
        let cells = starts.len() * self.strip;
        let (low, high) = self.data[self.skip..].split_at_mut(ROOM);
        let (low, high) = (&mut low[..cells], &mut high[..cells]);
        let limbs = x.limbs();
        kernel::gather(tier, limbs[0], starts, position, self.strip, low);
        kernel::gather(tier, limbs[1], starts, position, self.strip, high);
        [low, high]
    }
}
