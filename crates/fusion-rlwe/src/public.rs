//! Public uniform polynomials, expanded from a seed that both parties know.
//!
//! The seed comes from the model card, and SHA3-256 expands it: nobody can choose a polynomial
//! other than by trying seeds. The parameters are part of what is hashed, so that polynomials of
//! another set never meet the same secrets.

use fusion_ring::poly::fft::DEGREE;
use fusion_ring::symmetric::prg::AesPrg;
use sha3::{Digest, Sha3_256};

use crate::precision::MODULUS_BITS;

/// Seed of all public polynomials of one model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PublicSeed(pub [u8; 32]);

/// Which public polynomial.
#[derive(Debug, Clone, Copy)]
pub(crate) enum PublicPolynomial {
    /// a_i of an input row of a layer.
    Row { layer: u32, row: u32 },
    /// p, one per model.
    Mask,
}

impl PublicSeed {
    /// The polynomial, uniform modulo 2^32.
    pub(crate) fn polynomial(&self, which: PublicPolynomial) -> Vec<u32> {
        let mut out = Vec::new();
        self.polynomial_to(which, &mut out);
        out
    }

    /// As [`PublicSeed::polynomial`], into a reused buffer.
    pub(crate) fn polynomial_to(&self, which: PublicPolynomial, out: &mut Vec<u32>) {
        let (tag, layer, row) = match which {
            PublicPolynomial::Row { layer, row } => (b"fusion-rlwe row a", layer, row),
            PublicPolynomial::Mask => (b"fusion-rlwe mask ", 0, 0),
        };
        let mut hash = Sha3_256::new();
        hash.update(tag);
        hash.update(self.0);
        hash.update((DEGREE as u32).to_le_bytes());
        hash.update(MODULUS_BITS.to_le_bytes());
        hash.update(layer.to_le_bytes());
        hash.update(row.to_le_bytes());
        let digest = hash.finalize();
        let mut key = [0u8; 16];
        key.copy_from_slice(&digest[..16]);
        out.resize(DEGREE, 0);
        AesPrg::new(key).fill_words(u32::MAX, out);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn polynomials_differ_by_place() {
        let seed = PublicSeed([3; 32]);
        let p = seed.polynomial(PublicPolynomial::Mask);
        let a = seed.polynomial(PublicPolynomial::Row { layer: 0, row: 1 });
        let b = seed.polynomial(PublicPolynomial::Row { layer: 1, row: 0 });
        assert!(p != a && a != b && p == seed.polynomial(PublicPolynomial::Mask) && p.len() == DEGREE);
    }
}
