//! The model package: what `prepare` writes and `serve` reads.
//!
//! A directory of three files:
//!
//! | file | who may see it | holds |
//! |---|---|---|
//! | `card.pb` | everybody | the [card](crate::card), with the digests of the other two |
//! | `weights.safetensors` | the server only | integer weights, biases, the server's RLWE key |
//! | `hint.bin` | everybody | the hint, streamed |
//!
//! A package is written under a temporary name and renamed when it is whole. It is read only if
//! every part has the length and digest that the card states: a truncated file or a part of another
//! model is refused, and the error names it.

mod error;
mod parts;
mod private;
mod reader;
mod writer;

pub use error::PackageError;
pub use private::PrivateModel;
pub use reader::Package;
pub use writer::PackageWriter;

#[cfg(test)]
mod tests;
