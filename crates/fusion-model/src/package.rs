//! The model package: what `prepare` writes and `serve` reads.
//!
//! A directory of four files, five with published answers:
//!
//! | file | who may see it | holds |
//! |---|---|---|
//! | `card.pb` | everybody | the [card](crate::card), with the digests of all but the seal |
//! | `weights.safetensors` | the server only | integer weights, biases, the server's RLWE key |
//! | `seal.bin` | the server only | the digest of the card, under a tag by the server's key |
//! | `hint.bin` | everybody | the hint, streamed |
//! | `answers.bin` | everybody | answers on public images, if the owner publishes some |
//!
//! A package is written under a temporary name and renamed when it is whole. It is read only if
//! the card is the one that it was sealed with, and every other part has the length and digest that
//! the card states: an edited card, a truncated file or a part of another model is refused, and the
//! error names it. So the digest of the card is that of the whole model: clients pin it.
//!
//! The digest of the weights is on the public card. Of the weights alone it would let anybody test
//! a guess of them; but the file holds the server's key, 32 random bytes that nobody else knows, so
//! the digest is a commitment that hides them.

mod error;
mod parts;
mod private;
mod reader;
mod seal;
mod writer;

pub use error::PackageError;
pub use private::PrivateModel;
pub use reader::Package;
pub use writer::PackageWriter;

#[cfg(test)]
mod tests;
