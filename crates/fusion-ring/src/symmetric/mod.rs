//! AES-128 in bulk and what is made of it: generators, hashes, and the field of the checks.

pub mod aes;
pub(crate) mod block;
pub mod digest;
pub mod gf128;
pub mod hash;
pub(crate) mod orthomorphism;
pub mod prg;
