//! Where the bytes of a hint come from.
//!
//! A hint is some hundred megabytes for a large network and is read once per lane, row by row.
//! Lanes share one source and copy one row at a time, so a hint in a file costs each lane a row of
//! memory and leaves the rest to the page cache.

use crate::RlweError;

/// The hint of one layer, readable at any offset, by any number of lanes at once.
pub trait HintSource {
    /// Bytes in all.
    fn len(&self) -> usize;

    /// Whether there are none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Fills `row` from `offset` on.
    ///
    /// # Errors
    /// [`RlweError::HintRead`] if the bytes are not there.
    fn read(&self, offset: usize, row: &mut [u8]) -> Result<(), RlweError>;
}

impl HintSource for Vec<u8> {
    fn len(&self) -> usize {
        self.as_slice().len()
    }

    fn read(&self, offset: usize, row: &mut [u8]) -> Result<(), RlweError> {
        let end = offset.saturating_add(row.len());
        let bytes = self.get(offset..end).ok_or_else(|| RlweError::HintRead("the hint ends early".to_owned()))?;
        row.copy_from_slice(bytes);
        Ok(())
    }
}
