//! Public uniform polynomials, expanded from a seed that both parties know.
//!
//! The seed is part of the model card; nobody can choose the polynomials but by choosing the seed through SHA3-256.

use fusion_ring::fft::DEGREE;
use fusion_ring::prg::AesPrg;
use sha3::{Digest, Sha3_256};

use crate::RlweParams;

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
    /// The polynomial, uniform modulo 2^w.
    pub(crate) fn polynomial(&self, which: PublicPolynomial, params: RlweParams) -> Vec<u128> {
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
        // Always the widest coefficients: p must be the same polynomial whatever the modulus of a layer.
        let mut coefficients = vec![0u128; DEGREE];
        AesPrg::new(key).fill_blocks(&mut coefficients);
        coefficients.iter_mut().for_each(|c| *c &= params.modulus_mask());
        coefficients
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn polynomials_differ_by_place_and_agree_across_moduli() {
        let seed = PublicSeed([3; 32]);
        let narrow = RlweParams::new(88, 25, 12).unwrap();
        let wide = RlweParams::new(104, 25, 12).unwrap();
        let p = seed.polynomial(PublicPolynomial::Mask, narrow);
        let q: Vec<u128> = seed.polynomial(PublicPolynomial::Mask, wide).iter().map(|c| c & narrow.modulus_mask()).collect();
        assert_eq!(p, q);
        let a = seed.polynomial(PublicPolynomial::Row { layer: 0, row: 1 }, narrow);
        let b = seed.polynomial(PublicPolynomial::Row { layer: 1, row: 0 }, narrow);
        assert!(p != a && a != b);
    }
}
