//! Maliciously secure oblivious transfer in bulk.
#![forbid(unsafe_code)]

mod bits;
pub mod correlated;
pub mod derandomised;
pub mod error;
pub mod functionality;
pub mod gate;
pub mod ideal;
#[cfg(test)]
mod testing;

pub use error::OtError;
