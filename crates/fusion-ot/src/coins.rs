//! Random bytes that the peer is told.

use rand_core::CryptoRng;
use sha3::{Digest, Sha3_256};
use zeroize::Zeroizing;

/// A stream of public coins from a secret of 256 bits: a peer that has seen some cannot tell the
/// next ones, nor look for the secrets of all lanes at once, as it could for keys of 128 bits.
pub(crate) struct PublicCoins {
    secret: Zeroizing<[u8; 32]>,
    drawn: u64,
}

impl PublicCoins {
    pub(crate) fn new(rng: &mut impl CryptoRng) -> Self {
        let mut secret = Zeroizing::new([0; 32]);
        rng.fill_bytes(&mut *secret);
        Self { secret, drawn: 0 }
    }

    /// A separate stream for a part of the protocol.
    pub(crate) fn fork(&mut self) -> Self {
        Self { secret: Zeroizing::new(self.next()), drawn: 0 }
    }

    /// Sixteen random bytes.
    pub(crate) fn draw(&mut self) -> [u8; 16] {
        let all = Zeroizing::new(self.next());
        std::array::from_fn(|i| all[i])
    }

    fn next(&mut self) -> [u8; 32] {
        let hash = Sha3_256::new().chain_update(b"fusion public coins").chain_update(*self.secret).chain_update(self.drawn.to_le_bytes());
        self.drawn += 1;
        hash.finalize().into()
    }
}

#[cfg(test)]
mod tests {
    use rand_chacha::ChaCha20Rng;
    use rand_core::SeedableRng;

    use super::*;

    #[test]
    fn no_two_draws_are_alike() {
        let mut seen = Vec::new();
        for seed in 0..10 {
            let mut coins = PublicCoins::new(&mut ChaCha20Rng::seed_from_u64(seed));
            let mut fork = coins.fork();
            seen.extend((0..100).flat_map(|_| [coins.draw(), fork.draw()]));
        }
        let n = seen.len();
        seen.sort_unstable();
        seen.dedup();
        assert_eq!(seen.len(), n);
    }
}
