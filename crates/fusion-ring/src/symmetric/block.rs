//! Blocks of 128 bits, and the shape of the half-tree levels that are made of them.

/// A block of 128 bits; byte 0 of the wire form is the least significant byte.
pub type Block = u128;

const _: () = assert!(cfg!(target_endian = "little"), "blocks are cast to bytes in place");

/// How a level of a half-tree is expanded, see [`crate::ot::half_tree`].
#[derive(Clone, Copy, Debug)]
pub struct HalfTreeLevel {
    /// Public offset of the hash.
    pub offset: Block,
    /// Bits of the children that are kept.
    pub keep: Block,
}
