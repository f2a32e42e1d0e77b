//! Integer matrix products over wide residues: small signed weights times shifted rows modulo 2^w.
//!
//! ```text
//!   out[j][p] = sum over (row, tap)  weight[j][row][tap] * x[row][p + offset(row, tap)]
//!               modulo 2^128, to be masked by the caller
//! ```
//!
//! Rows are residues of up to 104 bits, cut into limbs of b <= 15 bits held as `i16`; weights are
//! one `i16` each. Two rows with the same taps are interleaved, so that one multiply-add of 16-bit
//! pairs (`vpmaddwd`, or `vpdpwssd` with VNNI) adds the products of both to an `i32` accumulator.
//!
//! # Why 16-bit limbs
//! With bytes, a 10-bit weight at w = 88 would take 11 + 10 byte products, 64 per instruction: 0.33
//! instructions per multiply-add. With 16-bit operands a weight is one limb, and the accumulator
//! bound sum |w| * 2^b < 2^31 leaves room for b = 13 or more on every ResNet50 layer: 7 products,
//! 32 per instruction, 0.22 instructions, and no need for VNNI.
//!
//! # Exactness
//! [`PackedWeights::new`] computes from the weights the widest b for which no accumulator can
//! overflow.

mod kernel;
mod product;
mod reduction;
mod rows;
mod weights;

pub use reduction::Reduction;
pub use rows::LimbRows;
pub use weights::PackedWeights;

#[cfg(test)]
mod tests;
