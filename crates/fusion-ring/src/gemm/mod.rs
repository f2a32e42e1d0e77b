//! Integer matrix products modulo 2^32: small signed weights times shifted rows of words.
//!
//! ```text
//!   out[j][p] = sum over (row, tap)  weight[j][row][tap] * x[row][p + offset(row, tap)]
//! ```
//!
//! Weights are one `i16` each. A word is cut into two limbs of 16 bits, upper * 2^16 + lower, both
//! signed. Two rows with the same taps are interleaved, so that one multiply-add of 16-bit pairs
//! (`vpmaddwd`, or `vpdpwssd` with VNNI) adds the products of both to a 32-bit accumulator.
//!
//! # Why 16-bit limbs
//! The alternative is `vpmulld`, which multiplies words themselves: one product per lane, in two
//! micro-operations on Intel's CPUs. Two limbs by pairs take one `vpmaddwd` per product and lane,
//! and VNNI adds in the same instruction. With bytes, a 10-bit weight would take 2 * 4 products,
//! four to a lane, and need VNNI.
//!
//! # Order
//! Strips of positions are outermost. What a block of steps reads there is copied to a panel, which
//! fits the first-level cache; then the weights of all outputs stream by, six outputs at a time,
//! and their sums stay in registers over both limbs.
//!
//! # Exactness
//! Everything is modulo 2^32, and every operation wraps: there is nothing to bound. The upper limb
//! counts times 2^16, so of it only what is modulo 2^16 matters.

mod kernel;
mod panels;
mod product;
mod reduction;
mod rows;
mod weights;

pub use reduction::Reduction;
pub use rows::WordRows;
pub use weights::PackedWeights;

#[cfg(test)]
mod tests;
