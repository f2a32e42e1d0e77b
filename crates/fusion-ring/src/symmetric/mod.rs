//! AES-128 in bulk and what is made of it: generators and hashes. Beside them the field of the
//! consistency checks, and digests of public things.

pub mod aes;
pub(crate) mod block;
pub mod digest;
pub mod gf128;
pub mod hash;
pub(crate) mod orthomorphism;
pub mod prg;
