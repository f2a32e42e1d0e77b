//! Which vector instructions this process uses.
//!
//! A kernel branches on [`tier`] once per call; nothing is chosen at compile time, so one binary
//! runs everywhere. [`Tier`] and [`AesTier`] are tokens: only this module makes them, and only
//! where the CPU has the instructions, so that holding one proves that the kernels under it can
//! run. Safe code cannot ask for others.
//!
//! # `FUSION_SIMD`
//! `FUSION_SIMD=portable|avx2|avxvnni|avx512|avx512vnni` lowers the choice, so that tests reach
//! every kernel. Any other value, also an empty one, is an error, and so is a tier that the CPU
//! lacks: whoever names a tier must not measure or test another one. Binaries call [`select`] first
//! and report its error. Where that was left out, [`tier`] panics with the same message.
//!
//! ```
//! use fusion_ring::simd::{Tier, available, select};
//! let tier = select()?;
//! assert!(available().contains(&tier) && available().contains(&Tier::PORTABLE));
//! # Ok::<(), fusion_ring::simd::SelectError>(())
//! ```

mod aes;
mod per_tier;
mod tier;

#[cfg(target_arch = "x86_64")]
pub(crate) use aes::AesLevel;
pub use aes::AesTier;
pub(crate) use aes::Clmul;
#[cfg(target_arch = "x86_64")]
pub(crate) use aes::ClmulLevel;
pub(crate) use per_tier::per_tier;
#[cfg(target_arch = "x86_64")]
pub(crate) use tier::Level;
pub use tier::{SelectError, Tier, available, select, tier};
