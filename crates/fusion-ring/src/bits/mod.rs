//! Bits: ring elements as bytes, vectors as bit slices, matrices transposed.

pub mod bitslice;
pub mod pack;
pub mod transpose;
