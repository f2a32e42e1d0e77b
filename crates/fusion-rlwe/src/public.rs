//! Public uniform polynomials, expanded from a seed that both parties know.
//!
//! The seed comes from the model card, and SHA3-256 expands it: nobody can choose a polynomial
//! other than by trying seeds.

use fusion_ring::poly::fft::DEGREE;
use fusion_ring::poly::residues::Residues;
use fusion_ring::symmetric::prg::AesPrg;
use sha3::{Digest, Sha3_256};

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
    /// The polynomial, uniform modulo 2^128: p must be the same polynomial whatever the modulus of
    /// a layer is.
    pub(crate) fn polynomial(&self, which: PublicPolynomial) -> Residues {
        let mut out = Residues::default();
        self.polynomial_to(which, &mut out);
        out
    }

    /// As [`PublicSeed::polynomial`], into a reused buffer: a new one each time would be wiped each
    /// time, which public polynomials do not need.
    pub(crate) fn polynomial_to(&self, which: PublicPolynomial, out: &mut Residues) {
        let (tag, layer, row) = match which {
            PublicPolynomial::Row { layer, row } => (b"fusion-rlwe row a", layer, row),
            PublicPolynomial::Mask => (b"fusion-rlwe mask ", 0, 0),
        };
        let mut hash = Sha3_256::new();
        hash.update(tag);
        hash.update(self.0);
        hash.update(layer.to_le_bytes());
        hash.update(row.to_le_bytes());
        let digest = hash.finalize();
        let mut key = [0u8; 16];
        key.copy_from_slice(&digest[..16]);
        out.resize(DEGREE);
        out.set_uniform(&mut AesPrg::new(key));
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
        let whole = |p: &Residues| (p.low.to_vec(), p.high.to_vec());
        let again = seed.polynomial(PublicPolynomial::Mask);
        assert!(whole(&p) != whole(&a) && whole(&a) != whole(&b) && whole(&p) == whole(&again));
    }
}
