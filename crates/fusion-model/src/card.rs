//! The model card: everything public about a served model, with canonical bytes and digests.
//!
//! The card tells a client everything that it agrees to: what is evaluated, how images are
//! prepared, what accuracy is promised, and the digest of the hint. So a card has exactly one
//! encoding (other bytes of the same meaning are refused), its digest is SHA3-256 of that, and
//! decoding checks everything that the rest of the code relies on.
//!
//! Two hashes: [`ModelCard::digest`] names the served model, hint included. The hint itself depends
//! on public polynomials, and those come from [`ModelCard::seed`], a hash of the card without its
//! hint. So the card fixes the polynomials, and nobody can choose them.

mod codec;
mod error;
mod facts;
mod limits;
mod proto;

pub use error::CardError;
pub use facts::{AnswerFacts, Claim, Flips, HintFacts, ModelCard};
pub use fusion_ring::symmetric::digest::Digest;
pub(crate) use limits::MAX_CARD_BYTES;

#[cfg(test)]
mod tests;
