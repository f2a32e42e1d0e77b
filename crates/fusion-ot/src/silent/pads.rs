//! Pads of silent OTs: one AES call each, under a key and salts that are drawn when the inputs can
//! no longer be chosen.
//!
//! A pad is H(x, i) = E_K(x + i A) + x + i A, cut off: x is w + c Delta for choice c, i the number
//! of the OT within its tree as an element of the field (bit j its coefficient of X^j), K and A
//! that tree's own ([`super::keys`]): drawn by the sender when it has the receiver's corrections,
//! public from then on. (Matyas-Meyer-Oseas under re-keying, in the spirit of Guo, Katz, Wang,
//! Weng, Yu, "Better concrete security for half-gates garbling", CRYPTO 2020; the key is per tree
//! rather than per hash, so that key schedules cost nothing.)
//!
//! # Security
//! The inputs that the receiver does not know are v + d Delta with its own v and d of m bits, d not
//! zero, where 121 bits of Delta are uniform. TMMO, with two calls, hides them even from a receiver
//! that chooses v *after* having seen the hash. Here it cannot. The inputs are w + c Delta, and an
//! honest sender's w are a function of what it holds when it draws the seed (the correlations set
//! aside, the receiver's corrections, of which there are none for m = 1, and Delta) and of the keys
//! of nodes that the seed stands for. K and A are other blocks of the seed's stream than those, and
//! enter nothing else. So they are uniform and independent of all of an extension's inputs, hence
//! of v, which is one of them. That the receiver knows K and A while the trees come in does not
//! help: what it says after the seed, its claim and its proof, changes no input, and no pad is used
//! unless both are right. With E an ideal cipher
//! - two inputs of a tree collide (v + d Delta + i A = v' + d' Delta + j A) with probability
//!   2^-128, over A, as i and j differ; a tree has at most 2^16 pads, so with 2^20 trees under one
//!   Delta any collide with probability 2^(20 + 31 - 128) = 2^-77; inputs of one OT differ by a
//!   multiple of Delta, which is not zero;
//! - the adversary queries E_K at an unknown input with probability 2^(16 - 121) per query, since a
//!   key serves 2^16 inputs at most (with one fixed key for all it would be all pads under one
//!   Delta); two trees have the same key with probability 2^-128, which costs a factor of two if it
//!   happens.
//!
//! Otherwise every unknown pad is a fresh output of E_K plus a known function of its input, uniform
//! up to the 2^-112 by which 2^16 outputs of a permutation are not independent. A sender that
//! chooses seeds badly, or trees to suit them, chooses its own pads badly, which it may in any
//! random OT; the receiver's choices do not enter.

use std::ops::Range;

use fusion_ring::ot::lpn::Encoding;
use fusion_ring::symmetric::aes::{Aes128, Block};
use fusion_ring::symmetric::gf128::mul_x;
use zeroize::Zeroizing;

/// OTs hashed at once.
const BATCH: usize = 64;
/// Bits of the number of a batch: trees of all parameter sets have at most 2^13 outputs.
const UPPER: usize = 7;

/// From this many pads per OT on, hashing takes longer than the encoding waits for memory, and the
/// two are interleaved; with fewer, encoding is faster by itself.
const MANY: usize = 4;

/// Hashes the outputs of one tree, in order.
pub(super) struct PadHash {
    aes: Aes128,
    /// i A for i below [`BATCH`].
    salts: [Block; BATCH],
    /// X^j A for the bits j above those of an index in a batch.
    upper: [Block; UPPER],
    /// Hashes so far.
    done: usize,
    /// Salted inputs, here so that they are wiped once per tree.
    salted: Zeroizing<[Block; BATCH]>,
}

impl PadHash {
    /// The hash of a tree under its cipher K and salt A.
    pub(super) fn new(aes: Aes128, salt: Block) -> Self {
        let mut salts = [0; BATCH];
        let mut power = salt;
        for j in 0..BATCH.ilog2() {
            let (known, new) = salts.split_at_mut(1 << j);
            new.iter_mut().zip(known).for_each(|(new, known)| *new = *known ^ power);
            power = mul_x(power);
        }
        let mut upper = [power; UPPER];
        for j in 1..UPPER {
            upper[j] = mul_x(upper[j - 1]);
        }
        Self { aes, salts, upper, done: 0, salted: Zeroizing::new([0; BATCH]) }
    }

    /// i A for the first index i of batch number `batch`.
    fn batch_salt(&self, batch: usize) -> Block {
        self.upper.iter().enumerate().fold(0, |sum, (j, power)| sum ^ (power & Block::from(batch as u64 >> j & 1).wrapping_neg()))
    }

    /// Fills `out` with the 2^m pads of each output of `encoding` in `range`, where they are
    /// sender's blocks, as `cut` leaves them; `multiples` are the 2^m multiples of Delta. Encodes
    /// them first, or step by step between its cipher calls where that is faster.
    ///
    /// # Panics
    /// If `out` has another length.
    pub(super) fn sender<T>(
        &mut self,
        multiples: &[Block],
        encoding: &mut Encoding<'_>,
        range: Range<usize>,
        cut: impl Fn(Block) -> T + Copy,
        out: &mut [T],
    ) {
        match multiples.len() {
            2 => self.hash::<2, T>(multiples, encoding, range, cut, out, |_, _| ()),
            4 => self.hash::<4, T>(multiples, encoding, range, cut, out, |_, _| ()),
            8 => self.hash::<8, T>(multiples, encoding, range, cut, out, |_, _| ()),
            _ => self.hash::<16, T>(multiples, encoding, range, cut, out, |_, _| ()),
        }
    }

    /// Fills `out` with the pad of each output of `encoding` in `range`, where they are receiver's
    /// blocks, as `cut` leaves it, and `choices` with what is within `low` of each. Encodes them
    /// first, or step by step between its cipher calls where that is faster.
    ///
    /// # Panics
    /// If `out` or `choices` has another length.
    pub(super) fn receiver<T>(
        &mut self,
        encoding: &mut Encoding<'_>,
        range: Range<usize>,
        cut: impl Fn(Block) -> T + Copy,
        out: &mut [T],
        low: u8,
        choices: &mut [u8],
    ) {
        self.hash::<1, T>(&[0], encoding, range, cut, out, |first, blocks| {
            for (choice, &block) in choices[first..].iter_mut().zip(blocks) {
                *choice = block as u8 & low;
            }
        });
    }

    /// Hands the blocks to `also`, too, in pieces, with the number of the first in `range`.
    fn hash<const K: usize, T>(
        &mut self,
        multiples: &[Block],
        encoding: &mut Encoding<'_>,
        range: Range<usize>,
        cut: impl Fn(Block) -> T + Copy,
        out: &mut [T],
        mut also: impl FnMut(usize, &[Block]),
    ) {
        let multiples = &multiples.as_chunks::<K>().0[0];
        assert!(self.done + out.len() / K <= BATCH << UPPER, "salts of a tree repeat");
        let (mut start, mut out) = (range.start, out);
        while !out.is_empty() {
            // Up to the end of a batch of salts.
            let at = self.done % BATCH;
            let n = (BATCH - at).min(out.len() / K);
            let (pads, rest) = out.split_at_mut(n * K);
            encoding.advance_to(start + n);
            let blocks = &encoding.outputs()[start..][..n];
            also(start - range.start, blocks);
            let batch = self.batch_salt(self.done / BATCH);
            let salted = &mut self.salted[..n];
            for ((own, block), salt) in salted.iter_mut().zip(blocks).zip(&self.salts[at..]) {
                *own = block ^ salt ^ batch;
            }
            let beside = || {
                if K >= MANY {
                    encoding.step();
                }
            };
            self.aes.mmo_multiples(salted, multiples, cut, pads, &mut { beside });
            self.done += n;
            start += n;
            out = rest;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::delta::Delta;
    use crate::functionality::ChoiceBits;
    use crate::silent::keys::ExtensionKeys;
    use fusion_ring::ot::lpn::LocalCode;
    use fusion_ring::symmetric::gf128::mul;
    use fusion_ring::symmetric::prg::Seed;
    use rand_chacha::ChaCha20Rng;
    use rand_core::SeedableRng;

    fn hash() -> PadHash {
        PadHash::new(Aes128::new(&[6; 16]), 0x1357_9bdf << 70)
    }

    #[test]
    fn pads_are_their_formula_and_agree_at_the_choice_however_they_are_cut() {
        let delta = Delta::random(&mut ChaCha20Rng::seed_from_u64(4));
        for m in 1..=4 {
            let m = ChoiceBits::new(m).unwrap();
            let (k, multiples) = (m.messages(), delta.multiples(m));
            let n = 2 * BATCH + 5;
            let mut v: Vec<Block> = (0..n.next_multiple_of(16)).map(|i| (i as Block / 2) << 90 | 0x70).collect();
            let mut w: Vec<Block> = v.iter().enumerate().map(|(i, v)| v ^ multiples[i * 5 % k]).collect();
            let (mut sent, mut got, mut choices) = (vec![0; n * k], vec![0; n], vec![0; n]);
            // One secret, which is zero: the encoding changes nothing.
            let code = LocalCode::new([0; 16], 0);
            hash().sender(&multiples, &mut code.begin(0, &[0], &mut w), 0..n, |pad| pad, &mut sent);
            let (mut pieces, mut encoding) = (hash(), code.begin(0, &[0], &mut v));
            for part in [0..1, 1..BATCH + 9, BATCH + 9..n] {
                pieces.receiver(&mut encoding, part.clone(), |pad| pad, &mut got[part.clone()], 0x7f, &mut choices[part]);
            }
            assert!(choices.iter().zip(&v).all(|(&choice, &v)| choice == v as u8 & 0x7f));
            let PadHash { aes, salts, .. } = hash();
            for (i, (own, w)) in sent.chunks(k).zip(&w).enumerate() {
                for (x, pad) in own.iter().enumerate() {
                    let input = w ^ multiples[x] ^ mul(salts[1], i as Block);
                    assert_eq!(*pad, aes.encrypt_one(input) ^ input);
                    assert_eq!(*pad == got[i], x == i * 5 % k, "m={m:?} i={i} x={x}");
                }
            }
        }
    }

    /// Equal inputs, which a malicious receiver can arrange, give unrelated pads at different
    /// indices and in different trees.
    #[test]
    fn equal_inputs_have_different_pads() {
        let mut keys = ExtensionKeys::new(&Seed::from([6; 16]));
        let code = LocalCode::new([0; 16], 0);
        let mut all = vec![0; 3 * 2048];
        for tree in all.chunks_mut(2048) {
            let mut inputs = [7; 2048];
            let mut encoding = code.begin(0, &[0], &mut inputs);
            keys.next_tree().pads.receiver(&mut encoding, 0..2048, |pad| pad, tree, 0, &mut [0; 2048]);
        }
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), 3 * 2048);
    }
}
