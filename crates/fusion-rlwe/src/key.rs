//! The secret behind the masks of all hints of one model.

use fusion_ring::secret::Wiped;
use fusion_ring::symmetric::prg::AesPrg;
use rand_core::CryptoRng;
use sha3::{Digest, Sha3_256};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use crate::precision::{DEGREE, MODULUS_BITS};
use crate::sample;

/// The server's long-term secret of one prepared model, from which the masks u_j of all hint rows
/// come.
///
/// One key belongs to one set of weights. Hints of two sets under one key would publish the
/// difference of the weights, and so would two parameter sets (they are part of what is hashed).
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct ServerKey([u8; 32]);

impl ServerKey {
    /// A fresh key.
    #[must_use]
    pub fn random(rng: &mut impl CryptoRng) -> Self {
        let mut key = Self([0; 32]);
        rng.fill_bytes(&mut key.0);
        key
    }

    /// The key that a private package stores.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The bytes to store, secret.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The mask u_j of output `output` of layer `layer`: a uniform ternary polynomial.
    pub(crate) fn mask(&self, layer: u32, output: usize) -> Wiped<i8> {
        let mut hash = Sha3_256::new();
        hash.update(b"fusion-rlwe mask secret");
        hash.update((DEGREE as u32).to_le_bytes());
        hash.update(MODULUS_BITS.to_le_bytes());
        hash.update(self.0);
        hash.update(layer.to_le_bytes());
        hash.update((output as u64).to_le_bytes());
        let digest = Zeroizing::new(<[u8; 32]>::from(hash.finalize()));
        let mut seed = Zeroizing::new([0u8; 16]);
        seed.copy_from_slice(&digest[..16]);
        sample::ternary(&mut AesPrg::new(*seed))
    }
}

impl std::fmt::Debug for ServerKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ServerKey(..)")
    }
}
