//! Pseudorandom bytes in bulk: AES-128 in counter mode.
//!
//! A [`Seed`] is 128 uniform bits that are wiped on drop; [`AesPrg`] stretches it. The stream
//! depends on the seed alone, not on how it is cut into calls. For key generation from the
//! operating system use `ChaCha20Rng`; this generator is for expanding seeds and for masks.

use std::convert::Infallible;
use std::fmt;

use rand_core::{Rng, SeedableRng, TryCryptoRng, TryRng};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use crate::symmetric::aes::Aes128;
use crate::symmetric::block::Block;

/// Blocks computed at once.
const BATCH: usize = 32;

/// 128 secret uniform bits. Wiped on drop, never printed.
#[derive(Clone, Default, Zeroize, ZeroizeOnDrop)]
pub struct Seed([u8; 16]);

impl Seed {
    /// Takes 16 bytes from `rng`.
    #[must_use]
    pub fn random(rng: &mut impl Rng) -> Self {
        let mut seed = Self::default();
        rng.fill_bytes(&mut seed.0);
        seed
    }

    /// The bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl From<[u8; 16]> for Seed {
    fn from(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }
}

impl From<Block> for Seed {
    fn from(block: Block) -> Self {
        Self(block.to_le_bytes())
    }
}

impl fmt::Debug for Seed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Seed(..)")
    }
}

/// The stream AES_seed(0), AES_seed(1), ... as bytes. Secure for up to 2^64 bytes per seed.
///
/// ```
/// use fusion_ring::symmetric::prg::AesPrg;
/// let mut prg = AesPrg::new([7; 16]);
/// let mut bytes = [0u8; 100];
/// prg.fill(&mut bytes);
/// assert_ne!(bytes, [0u8; 100]);
/// ```
pub struct AesPrg {
    aes: Aes128,
    counter: Block,
    /// The last block computed; its bytes from `used` on have not been given out.
    last: Zeroizing<[u8; 16]>,
    used: usize,
}

impl AesPrg {
    /// The stream of `seed`.
    #[must_use]
    pub fn new(seed: [u8; 16]) -> Self {
        Self { aes: Aes128::new(&seed), counter: 0, last: Zeroizing::new([0; 16]), used: 16 }
    }

    /// The stream of `seed`.
    #[must_use]
    pub fn from_seed_ref(seed: &Seed) -> Self {
        Self::new(seed.0)
    }

    /// The next `out.len()` bytes of the stream.
    pub fn fill(&mut self, out: &mut [u8]) {
        let from_last = out.len().min(16 - self.used);
        let (head, out) = out.split_at_mut(from_last);
        head.copy_from_slice(&self.last[self.used..self.used + from_last]);
        self.used += from_last;

        let mut batch = Zeroizing::new([0 as Block; BATCH]);
        for part in out.chunks_mut(16 * BATCH) {
            let blocks = &mut batch[..part.len().div_ceil(16)];
            self.next_blocks(blocks);
            let bytes: &[u8] = bytemuck::cast_slice(blocks);
            part.copy_from_slice(&bytes[..part.len()]);
            if part.len() % 16 != 0 {
                // Only the last part can be ragged.
                self.last.copy_from_slice(&bytes[bytes.len() - 16..]);
                self.used = part.len() % 16;
            }
        }
    }

    /// Overwrites `out` with the stream, from the next whole block on: bytes of a block that an
    /// earlier call began are skipped.
    pub fn fill_blocks(&mut self, out: &mut [Block]) {
        self.used = 16;
        for part in out.chunks_mut(BATCH) {
            self.next_blocks(part);
        }
    }

    /// Overwrites `out` with words of the stream under `mask`, from the next whole block on; the
    /// rest of the last block is skipped.
    pub fn fill_words(&mut self, mask: u32, out: &mut [u32]) {
        let mut batch = Zeroizing::new([0 as Block; BATCH]);
        for part in out.chunks_mut(4 * BATCH) {
            let blocks = &mut batch[..part.len().div_ceil(4)];
            self.fill_blocks(blocks);
            for (out, word) in part.iter_mut().zip(bytemuck::cast_slice::<_, u32>(blocks)) {
                *out = word & mask;
            }
        }
    }

    fn next_blocks(&mut self, out: &mut [Block]) {
        self.aes.counter_mode(self.counter, out);
        self.counter += out.len() as Block;
    }
}

impl TryRng for AesPrg {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        let mut word = [0; 4];
        self.fill(&mut word);
        Ok(u32::from_le_bytes(word))
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        let mut word = [0; 8];
        self.fill(&mut word);
        Ok(u64::from_le_bytes(word))
    }

    fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), Infallible> {
        self.fill(out);
        Ok(())
    }
}

impl TryCryptoRng for AesPrg {}

impl SeedableRng for AesPrg {
    type Seed = [u8; 16];

    fn from_seed(seed: [u8; 16]) -> Self {
        Self::new(seed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn stream_is_counter_mode() {
        let key = [9; 16];
        let mut bytes = [0; 48];
        AesPrg::new(key).fill(&mut bytes);
        let aes = Aes128::new(&key);
        for (i, block) in bytes.chunks(16).enumerate() {
            assert_eq!(block, aes.encrypt_one(i as u128).to_le_bytes());
        }
    }

    proptest! {
        #[test]
        fn stream_does_not_depend_on_the_cut(cuts in prop::collection::vec(0usize..700, 0..8)) {
            let total: usize = cuts.iter().sum();
            let mut whole = vec![0; total];
            AesPrg::new([3; 16]).fill(&mut whole);
            let mut prg = AesPrg::new([3; 16]);
            let mut pieces = Vec::new();
            for cut in cuts {
                let mut piece = vec![0; cut];
                prg.fill(&mut piece);
                pieces.extend(piece);
            }
            prop_assert_eq!(pieces, whole);
        }
    }

    #[test]
    fn whole_blocks_skip_a_begun_one() {
        let mut prg = AesPrg::new([1; 16]);
        prg.fill(&mut [0; 5]);
        let mut blocks = [0; 2];
        prg.fill_blocks(&mut blocks);
        let aes = Aes128::new(&[1; 16]);
        assert_eq!(blocks, [aes.encrypt_one(1), aes.encrypt_one(2)]);
        let mut next = [0; 16];
        prg.fill(&mut next);
        assert_eq!(next, aes.encrypt_one(3).to_le_bytes());
    }

    #[test]
    fn counters_carry_into_the_upper_half() {
        let mut prg = AesPrg::new([2; 16]);
        prg.counter = Block::from(u64::MAX) - 2;
        let mut blocks = [0; 7];
        prg.fill_blocks(&mut blocks);
        let aes = Aes128::new(&[2; 16]);
        assert!((0..7).all(|i| blocks[i] == aes.encrypt_one(Block::from(u64::MAX) - 2 + i as Block)));
    }

    #[test]
    fn words_are_blocks_under_a_mask() {
        for length in [0usize, 1, 4, 127, 129, 300] {
            let mut blocks = vec![0; length.div_ceil(4)];
            AesPrg::new([5; 16]).fill_blocks(&mut blocks);
            let expect: Vec<u32> =
                blocks.iter().flat_map(|b| [0, 32, 64, 96].map(|down| (b >> down) as u32 & 0xff_ffff)).take(length).collect();
            let mut words = vec![0; length];
            AesPrg::new([5; 16]).fill_words(0xff_ffff, &mut words);
            assert_eq!(words, expect);
        }
    }

    #[test]
    fn seeds_are_not_printed() {
        assert_eq!(format!("{:?}", Seed::from([0xab; 16])), "Seed(..)");
    }
}
