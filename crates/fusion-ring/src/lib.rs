//! Arithmetic under two-party inference.
//!
//! This is the lowest crate of Fusion. It knows rings, bytes and CPU instructions, and nothing of protocols.
//!
//! ```text
//!   channel   ordered reliable bytes between two parties (trait, in-memory pair)
//!   simd      which instruction tier this process runs on, overridable by FUSION_SIMD
//!   pack      l-bit ring elements <-> bytes
//!   planes    one bit of every element of a vector, 64 to a word
//!   tables    masked truth tables of digit comparisons
//!   aes       AES-128 in bulk
//!   prg       seeds and their expansion
//!   hash      correlation-robust hashes
//!   gemm      small weights times shifted rows of wide residues
//!   ntt       exact products in Z[X]/(X^4096 + 1)
//!   gf128     the field of 2^128 elements
//!   transpose bit matrices
//!   half_tree correlated GGM trees
//!   lpn       the 10-local code
//! ```

pub mod aes;
pub mod channel;
pub mod gemm;
pub mod gf128;
pub mod half_tree;
pub mod hash;
pub mod lpn;
pub mod ntt;
pub mod pack;
pub mod planes;
pub mod prg;
pub mod simd;
pub mod tables;
pub mod transpose;
