//! From products of 256 bits back to the field.

use crate::symmetric::block::Block;

/// high X^128 + low, reduced.
pub(super) fn reduce(high: Block, low: Block) -> Block {
    // X^128 = X^7 + X^2 + X + 1. At most 7 bits go beyond bit 127 again, and are reduced once more.
    let over = (high >> 127) ^ (high >> 126) ^ (high >> 121);
    let high = high ^ over;
    low ^ high ^ (high << 1) ^ (high << 2) ^ (high << 7)
}
