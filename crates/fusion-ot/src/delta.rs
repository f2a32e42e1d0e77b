//! The sender's secret correlation and the 1-of-2^m pads derived from correlated blocks.
//!
//! A correlated OT of width m leaves the sender with w and the receiver with (u, v), w = v + u
//! Delta in F_2^128, where the choice u = sum u_j 2^j of m bits stands for the field element sum
//! u_j X^j. The pad of choice x is H(w + x Delta, i), i the running number of the OT: the receiver
//! knows it at x = u, and elsewhere it is H(v + (x - u) Delta, i) with a known non-zero multiple of
//! Delta, which a tweakable correlation-robust hash hides even from a receiver that chose v itself.
//! H is TMMO ([`fusion_ring::symmetric::hash::tmmo`], two AES calls) under a key of the run; it
//! needs the tweak to be new for every OT under the same Delta, which [`PadStream`] sees to. The
//! silent extension has a hash of its own with one call ([`crate::silent`]).

use fusion_ring::symmetric::aes::{Aes128, Block};
use fusion_ring::symmetric::gf128::mul_x;
use fusion_ring::symmetric::hash::tmmo;
use rand_core::CryptoRng;
use sha3::Digest;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use crate::functionality::{ChoiceBits, SenderPads};
use crate::session::RunId;

/// Blocks hashed at once.
const BATCH: usize = 1024;

/// Bits of Delta that are public: bit 0 is one, bits 1..=3 and the top three are zero.
///
/// With them the low m bits of x Delta are x itself for every x below 2^m (m at most 4): a block
/// whose low bits are cleared on the sender's side carries its choice in the low bits of the
/// receiver's. 121 bits of Delta stay uniform.
pub(crate) const FIXED_BITS: Block = 0xf | (0b111 << 125);

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
        multiples_of(self.0, m)
    }
}

/// x `block` for every x below 2^m.
pub(crate) fn multiples_of(block: Block, m: ChoiceBits) -> Zeroizing<Vec<Block>> {
    let mut multiples = Zeroizing::new(vec![0; m.messages()]);
    let mut power = block;
    for j in 0..m.bits() as usize {
        for x in 0..1 << j {
            multiples[(1 << j) + x] = multiples[x] ^ power;
        }
        power = mul_x(power);
    }
    multiples
}

/// sum blocks\[j\] X^j.
pub(crate) fn combine(blocks: &[Block]) -> Block {
    blocks.iter().rev().fold(0, |acc, &block| mul_x(acc) ^ block)
}

/// Numbers the OTs of one instance and turns their blocks into pads.
pub(crate) struct PadStream {
    pi: Aes128,
    next_tweak: u64,
}

impl PadStream {
    /// The hash of a run whose first batch has not been made.
    pub(crate) fn new(run: &RunId) -> Self {
        Self { pi: Aes128::new(&run.constant("pads").to_le_bytes()), next_tweak: 0 }
    }

    /// Goes on under a key from a public seed that was drawn when all blocks to come were fixed.
    /// With z for pi(x) ^ i a pad says pi(z) ^ z = pad ^ i, so that one call of an attacker's tests
    /// all pads of a key at once, as far as it knows what they mask: the fewer a key has the
    /// better.
    pub(crate) fn rekey(&mut self, run: &RunId, seed: &[u8; 16]) {
        let key = run.hash("pads").chain_update(seed).finalize();
        self.pi = Aes128::new(&std::array::from_fn(|i| key[i]));
    }

    /// Hands the 2^m pads of each OT whose sender's block is in `w` to `sink`; `multiples` from
    /// [`Delta::multiples`].
    pub(crate) fn sender(&mut self, multiples: &[Block], w: &[Block], sink: &mut impl FnMut(&[Block])) {
        let k = multiples.len();
        let mut batch = Zeroizing::new([0; BATCH]);
        for w in w.chunks(BATCH / k) {
            let batch = &mut batch[..w.len() * k];
            for (own, &w) in batch.chunks_exact_mut(k).zip(w) {
                for (block, x) in own.iter_mut().zip(multiples) {
                    *block = w ^ x;
                }
            }
            tmmo(&self.pi, batch, Block::from(self.next_tweak), k);
            self.next_tweak += w.len() as u64;
            sink(batch);
        }
    }

    /// Hands the pad of each OT whose receiver's block is in `v` to `sink`.
    pub(crate) fn receiver(&mut self, v: &[Block], sink: &mut impl FnMut(&[Block])) {
        let mut batch = Zeroizing::new([0; BATCH]);
        for v in v.chunks(BATCH) {
            let batch = &mut batch[..v.len()];
            batch.copy_from_slice(v);
            tmmo(&self.pi, batch, Block::from(self.next_tweak), 1);
            self.next_tweak += v.len() as u64;
            sink(batch);
        }
    }
}

/// Collects the sender's pads of `n` OTs from hashed blocks that `produce` hands out.
pub(crate) fn sender_pads(m: ChoiceBits, n: usize, produce: impl FnOnce(&mut dyn FnMut(&[Block]))) -> SenderPads {
    if m == ChoiceBits::ONE {
        let mut pads = Vec::with_capacity(2 * n);
        produce(&mut |blocks| pads.extend(blocks.iter().map(|&block| block as u32)));
        return SenderPads::pairs(pads);
    }
    let mut pads = Vec::with_capacity(n * m.messages());
    produce(&mut |blocks| pads.extend(blocks.iter().map(|&block| block as u8)));
    SenderPads::wide(m, pads)
}

/// What of a hashed block is the receiver's pad: see [`SenderPads`].
pub(crate) const fn pad_mask(m: ChoiceBits) -> u32 {
    if m.bits() == 1 { u32::MAX } else { 0xff }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Role;
    use crate::session::{NONCE, Session};
    use fusion_ring::symmetric::gf128::mul;
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

    /// Neither another run's calls nor those of another batch say anything about a pad.
    #[test]
    fn pads_belong_to_a_run_and_a_batch() {
        let run = |nonce| Session::new(b"pads").direction(Role::First).with_nonces(&[nonce; NONCE], &[2; NONCE]);
        let pad = |nonce, seed| {
            let mut pads = PadStream::new(&run(nonce));
            if let Some(seed) = seed {
                pads.rekey(&run(nonce), &[seed; 16]);
            }
            let mut out = 0;
            pads.receiver(&[77], &mut |blocks| out = blocks[0]);
            out
        };
        let mut all: Vec<_> = [1, 2].into_iter().flat_map(|nonce| [None, Some(1), Some(2)].map(|seed| pad(nonce, seed))).collect();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), 6);
    }

    #[test]
    fn pads_agree_at_the_choice_across_calls() {
        let mut rng = ChaCha20Rng::seed_from_u64(4);
        let delta = Delta::random(&mut rng);
        let run = Session::new(b"pads").direction(Role::First).with_nonces(&[1; NONCE], &[2; NONCE]);
        let (mut s, mut r) = (PadStream::new(&run), PadStream::new(&run));
        for (m, n) in [(ChoiceBits::ONE, 1usize), (ChoiceBits::THREE, 1500), (ChoiceBits::FOUR, 0), (ChoiceBits::FOUR, 65)] {
            let v: Vec<Block> = (0..n).map(|i| (i as Block) << 90 | 77).collect();
            let choices: Vec<u8> = (0..n).map(|i| (i * 5) as u8 & (m.messages() as u8 - 1)).collect();
            let multiples = delta.multiples(m);
            let w: Vec<Block> = v.iter().zip(&choices).map(|(v, &u)| v ^ multiples[usize::from(u)]).collect();
            let (mut sent, mut got) = (Vec::new(), Vec::new());
            s.sender(&multiples, &w, &mut |blocks| sent.extend_from_slice(blocks));
            r.receiver(&v, &mut |blocks| got.extend_from_slice(blocks));
            assert_eq!((sent.len(), got.len()), (n * m.messages(), n));
            for (i, choice) in choices.iter().enumerate() {
                for (x, pad) in sent[i * m.messages()..(i + 1) * m.messages()].iter().enumerate() {
                    assert_eq!(*pad == got[i], x == usize::from(*choice), "m={m:?} i={i} x={x}");
                }
            }
        }
    }
}
