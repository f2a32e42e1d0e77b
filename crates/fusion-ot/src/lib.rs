//! Maliciously secure oblivious transfer in bulk.
#![forbid(unsafe_code)]

pub mod error;
pub mod functionality;
pub mod ideal;

pub use error::OtError;
