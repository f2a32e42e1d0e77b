//! The sender's secret correlation and the 1-of-2^m pads derived from correlated blocks.
//!
//! A correlated OT of width m leaves the sender with w and the receiver with (u, v), w = v + u Delta in F_2^128, where the choice u = sum u_j 2^j of m bits
//! stands for the field element sum u_j X^j. The pad of choice x is H(w + x Delta, i), i the running number of the OT: the receiver knows it at x = u, and
//! elsewhere it is H(v + (x - u) Delta, i) with a known non-zero multiple of Delta, which a tweakable correlation-robust hash hides even from a receiver that chose v
//! itself. H is TMMO ([`fusion_ring::hash::tmmo`], two AES calls); it needs the tweak to be new for every OT under the same Delta, which [`PadStream`] sees to.

use fusion_ring::aes::Block;
use fusion_ring::gf128::mul_x;
use fusion_ring::hash::tmmo;
use rand_core::CryptoRng;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use crate::functionality::{ChoiceBits, ReceiverPads, SenderPads};

/// Blocks hashed at once.
const BATCH: usize = 1024;

/// Bits of Delta that are public: bit 0 is one, bits 1..=3 and the top three are zero.
///
/// With them the low m bits of x Delta are x itself for every x below 2^m (m at most 4): a block whose low bits are cleared on the sender's side carries its
/// choice in the low bits of the receiver's. 121 bits of Delta stay uniform.
const FIXED_BITS: Block = 0xf | (0b111 << 125);

/// The sender's secret. Wiped on drop, never printed.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub(crate) struct Delta(Block);

impl Delta {
    /// Uniform but for its public bits.
    pub(crate) fn random(rng: &mut impl CryptoRng) -> Self {
        let random = (Block::from(rng.next_u64()) << 64) | Block::from(rng.next_u64());
        Self((random & !FIXED_BITS) | 1)
    }

    /// All ones if bit `i` is set, else zero.
    pub(crate) fn mask(&self, i: usize) -> Block {
        ((self.0 >> i) & 1).wrapping_neg()
    }

    /// x Delta for every x below 2^m.
    pub(crate) fn multiples(&self, m: ChoiceBits) -> Zeroizing<Vec<Block>> {
        let mut multiples = Zeroizing::new(vec![0; m.messages()]);
        let mut power = self.0;
        for j in 0..m.bits() as usize {
            for x in 0..1 << j {
                multiples[(1 << j) + x] = multiples[x] ^ power;
            }
            power = mul_x(power);
        }
        multiples
    }
}

/// sum blocks\[j\] X^j.
pub(crate) fn combine(blocks: &[Block]) -> Block {
    blocks.iter().rev().fold(0, |acc, &block| mul_x(acc) ^ block)
}

/// Numbers the OTs of one instance and turns their blocks into pads.
#[derive(Default)]
pub(crate) struct PadStream {
    next_tweak: u64,
}

impl PadStream {
    /// Pads of OTs with the sender's blocks `w`, one per OT.
    pub(crate) fn sender(&mut self, delta: &Delta, m: ChoiceBits, w: impl ExactSizeIterator<Item = Block>) -> SenderPads {
        let multiples = delta.multiples(m);
        let k = m.messages();
        let mut pads = Vec::with_capacity(w.len() * k);
        let mut batch = Zeroizing::new(Vec::with_capacity(BATCH));
        let mut w = w.peekable();
        while w.peek().is_some() {
            batch.clear();
            batch.extend(w.by_ref().take(BATCH / k).flat_map(|w| multiples.iter().map(move |x| w ^ x)));
            tmmo(&mut batch, Block::from(self.next_tweak), k);
            self.next_tweak += (batch.len() / k) as u64;
            pads.extend(batch.iter().map(|&pad| pad as u32));
        }
        SenderPads::new(m, pads)
    }

    /// Pads of OTs with the receiver's `choices` and blocks `v`, one per OT.
    pub(crate) fn receiver(&mut self, m: ChoiceBits, choices: Vec<u8>, v: impl ExactSizeIterator<Item = Block>) -> ReceiverPads {
        let mut pads = Vec::with_capacity(v.len());
        let mut batch = Zeroizing::new(Vec::with_capacity(BATCH));
        let mut v = v.peekable();
        while v.peek().is_some() {
            batch.clear();
            batch.extend(v.by_ref().take(BATCH));
            tmmo(&mut batch, Block::from(self.next_tweak), 1);
            self.next_tweak += batch.len() as u64;
            pads.extend(batch.iter().map(|&pad| pad as u32));
        }
        ReceiverPads::new(m, choices, pads)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use fusion_ring::gf128::mul;
    use rand_chacha::ChaCha20Rng;
    use rand_core::SeedableRng;

    #[test]
    fn multiples_are_products_and_carry_their_choice() {
        let delta = Delta::random(&mut ChaCha20Rng::seed_from_u64(3));
        for (x, &multiple) in delta.multiples(ChoiceBits::FOUR).iter().enumerate() {
            assert_eq!(multiple, mul(x as Block, delta.0));
            assert_eq!(multiple & 0xf, x as Block);
        }
    }

    #[test]
    fn pads_agree_at_the_choice_across_calls() {
        let mut rng = ChaCha20Rng::seed_from_u64(4);
        let delta = Delta::random(&mut rng);
        let (mut s, mut r) = (PadStream::default(), PadStream::default());
        for (m, n) in [(ChoiceBits::ONE, 1usize), (ChoiceBits::THREE, 1500), (ChoiceBits::FOUR, 0), (ChoiceBits::FOUR, 65)] {
            let v: Vec<Block> = (0..n).map(|i| (i as Block) << 90 | 77).collect();
            let choices: Vec<u8> = (0..n).map(|i| (i * 5) as u8 & (m.messages() as u8 - 1)).collect();
            let multiples = delta.multiples(m);
            let w: Vec<Block> = v.iter().zip(&choices).map(|(v, &u)| v ^ multiples[usize::from(u)]).collect();
            let (sent, got) = (s.sender(&delta, m, w.into_iter()), r.receiver(m, choices.clone(), v.into_iter()));
            assert_eq!((sent.len(), got.len()), (n, n));
            for (i, choice) in choices.iter().enumerate() {
                for (x, pad) in sent.get(i).iter().enumerate() {
                    assert_eq!(*pad == got.pads()[i], x == usize::from(*choice), "m={m:?} i={i} x={x}");
                }
            }
        }
    }
}
