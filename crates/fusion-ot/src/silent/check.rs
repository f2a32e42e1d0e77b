//! The consistency check of an extension's trees: a random linear combination of all leaves,
//! masked, compared through hashes.
//!
//! The coefficients of a tree come from a hash chain over the messages of all trees up to its own
//! (Fiat and Shamir), so the sender can add a tree up while it grows it. The coefficient of leaf j
//! = 64 r + c is a_r b_c: a bilinear form that is not zero vanishes with probability at most
//! 2^-127. Whatever two vectors of noise positions a sender wants to satisfy at once with leaves
//! that contradict each other, they part at some last tree, whose coefficients are drawn when all
//! before are fixed: every attempt costs a hash and succeeds with that probability. (Without the
//! chain the trees' sums could be searched for independently and matched by a birthday attack.) The
//! chain begins with the run, the choice width, the receiver's corrections and the seed of the
//! extension's keys: whatever leaves depend on is fixed before a coefficient is drawn.

use fusion_ring::symmetric::aes::Block;
use fusion_ring::symmetric::gf128::{Multiplier, mul};
use fusion_ring::symmetric::prg::AesPrg;
use sha3::{Digest, Sha3_256};
use subtle::ConstantTimeEq;
use turboshake::TurboShake128;
use turboshake::digest::{ExtendableOutput, Update};

use super::parameters::{CLAIM_LEN, PROOF_LEN, Parameters};
use super::security::Security;
use crate::OtError;
use crate::session::RunId;

/// Leaves that share a factor a_r.
const COLUMNS: usize = 64;

/// Hash of everything that either party said about an instance's trees, over all its extensions.
///
/// TurboSHAKE128 (RFC 9861), Keccak with half of SHA-3's rounds, because there is a hash per tree:
/// collisions of its 256 bits cost 2^128 by the best attacks known.
pub(super) struct Chain([u8; 32]);

impl Chain {
    /// The chain of one choice width.
    pub(super) fn new(run: &RunId, parameters: Parameters) -> Self {
        Self(run.hash("silent OT check").chain_update([parameters.choice_bits().bits() as u8]).finalize().into())
    }

    /// Begins an extension: the receiver's corrections, if it has any to make, and the seed of the
    /// keys.
    pub(super) fn begin(&mut self, corrections: &[u8], seed: &[u8; 16]) {
        // Their lengths are the same in every extension.
        self.append(corrections);
        self.append(seed);
    }

    /// Appends the message of the next tree; gives the seed of its coefficients.
    pub(super) fn append(&mut self, message: &[u8]) -> [u8; 16] {
        let mut hash = TurboShake128::default();
        hash.update(&self.0);
        hash.update(message);
        hash.finalize_xof_into(&mut self.0);
        std::array::from_fn(|i| self.0[i])
    }
}

/// Coefficients of the leaves of one tree.
pub(super) struct Coefficients {
    rows: Vec<Block>,
    columns: Multiplier,
}

impl Coefficients {
    pub(super) fn new(seed: [u8; 16], parameters: Parameters) -> Self {
        let mut prg = AesPrg::new(seed);
        let (mut rows, mut columns) = (vec![0; (1 << parameters.depth()) / COLUMNS], vec![0; COLUMNS]);
        prg.fill_blocks(&mut rows);
        prg.fill_blocks(&mut columns);
        Self { rows, columns: Multiplier::new(columns) }
    }

    /// The combination of the leaves.
    pub(super) fn combine(&self, leaves: &[Block]) -> Block {
        self.columns.bilinear(&self.rows, leaves)
    }

    /// The combination of a vector that has `value` at leaf `alpha` and zeros elsewhere; the order
    /// of access does not depend on either.
    pub(super) fn noise(&self, alpha: usize, value: Block) -> Block {
        let pick = |all: &[Block], at: usize| {
            // Only where the difference is zero does one less reach the top bit.
            let mask = |i: usize| (((i ^ at) as Block).wrapping_sub(1) >> 127).wrapping_neg();
            all.iter().enumerate().fold(0, |sum, (i, &x)| sum ^ (x & mask(i)))
        };
        mul(value, mul(pick(&self.rows, alpha / COLUMNS), pick(self.columns.factors(), alpha % COLUMNS)))
    }
}

/// What the receiver says of its noise: `noise` under the choices of `masks`, a one-time pad.
pub(super) fn claim(parameters: Parameters, noise: Block, masks: &[Block]) -> [u8; CLAIM_LEN] {
    (noise ^ pack(parameters, masks.iter().map(|block| block & parameters.choice_mask()))).to_le_bytes()
}

/// A combination of leaves and the blocks of the same `masks`.
pub(super) fn masked(parameters: Parameters, combination: Block, masks: &[Block]) -> Block {
    combination ^ pack(parameters, masks.iter().copied())
}

/// sum blocks\[j\] X^(m j): with the m-bit choices in place of the blocks every value of 128 bits
/// is equally likely.
fn pack(parameters: Parameters, blocks: impl DoubleEndedIterator<Item = Block>) -> Block {
    let shift = 1 << parameters.choice_bits().bits();
    blocks.rev().fold(0, |acc, block| mul(acc, shift) ^ block)
}

/// Who proves that it knows the combination.
#[derive(Clone, Copy)]
pub(super) enum Prover {
    Sender,
    Receiver,
}

impl Chain {
    /// A hash of the combination: the other party's can neither be copied nor guessed, and one of
    /// another extension or run does not fit.
    pub(super) fn proof(&self, prover: Prover, claim: &[u8; CLAIM_LEN], combination: Block) -> [u8; PROOF_LEN] {
        let tag: &[u8] = match prover {
            Prover::Sender => b"fusion silent OT sender",
            Prover::Receiver => b"fusion silent OT receiver",
        };
        let hash = Sha3_256::new().chain_update(tag).chain_update(self.0).chain_update(claim);
        hash.chain_update(combination.to_le_bytes()).finalize().into()
    }
}

/// Proof that an extension's check was passed, or that the instance does without: only this
/// releases an extension's outputs.
pub(super) struct Passed(());

impl Passed {
    /// For an instance that does without.
    pub(super) fn unchecked<S: Security>() -> Option<Self> {
        (!S::CHECKED).then_some(Self(()))
    }
}

/// Compares proofs in constant time.
pub(super) fn verify(own: &[u8; PROOF_LEN], theirs: &[u8; PROOF_LEN], what: &'static str) -> Result<Passed, OtError> {
    if bool::from(own[..].ct_eq(&theirs[..])) { Ok(Passed(())) } else { Err(OtError::PeerMisbehaved(what)) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Role;
    use crate::functionality::ChoiceBits;
    use crate::session::{NONCE, Session};
    use crate::silent::parameters::ExtensionSize;

    #[test]
    fn combinations_are_linear_and_every_leaf_counts() {
        let set = Parameters::new(ChoiceBits::THREE, ExtensionSize::Small);
        let coefficients = Coefficients::new([3; 16], set);
        let mut leaves = vec![0; 1 << set.depth()];
        let mut expect = 0;
        for (alpha, value) in [(0, 5), (63, 1 << 100), (64, 77), (511, 1)] {
            leaves[alpha] = value;
            assert_ne!(coefficients.noise(alpha, value), 0);
            expect ^= coefficients.noise(alpha, value);
            assert_eq!(coefficients.combine(&leaves), expect);
        }
    }

    /// A claim under fresh masks says nothing of the noise: it takes every value for every noise,
    /// one per value of the choices (shown by linearity: claims of unit choices are a basis).
    #[test]
    fn a_claim_is_a_one_time_pad() {
        for m in 1..=4 {
            let set = Parameters::new(ChoiceBits::new(m).unwrap(), ExtensionSize::Small);
            let noise = 0x1234_5678_9abc_def0 << 40;
            let zero = claim(set, noise, &vec![0xff << 64; set.masks()]);
            assert_eq!(zero, noise.to_le_bytes());
            let mut basis: Vec<Block> = Vec::new();
            for (i, bit) in (0..set.masks()).flat_map(|i| (0..m).map(move |bit| (i, bit))) {
                let mut masks = vec![0; set.masks()];
                masks[i] = 1 << bit;
                let mut value = Block::from_le_bytes(claim(set, noise, &masks)) ^ noise;
                // Gauss, by leading bits.
                for known in &basis {
                    value = value.min(value ^ known);
                }
                if value != 0 {
                    basis.push(value);
                }
            }
            assert_eq!(basis.len(), 128, "m = {m}");
        }
    }

    /// A proof can neither be echoed nor used with another claim, combination or extension.
    #[test]
    fn a_proof_belongs_to_its_prover_claim_combination_and_extension() {
        let set = Parameters::new(ChoiceBits::ONE, ExtensionSize::Small);
        let run = Session::new(b"run").direction(Role::First).with_nonces(&[1; NONCE], &[2; NONCE]);
        let mut chain = Chain::new(&run, set);
        let mut all = vec![
            chain.proof(Prover::Sender, &[0; CLAIM_LEN], 7),
            chain.proof(Prover::Receiver, &[0; CLAIM_LEN], 7),
            chain.proof(Prover::Sender, &[1; CLAIM_LEN], 7),
            chain.proof(Prover::Sender, &[0; CLAIM_LEN], 8),
        ];
        chain.append(b"a tree");
        all.push(chain.proof(Prover::Sender, &[0; CLAIM_LEN], 7));
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), 5);
    }

    /// Everything that a leaf depends on, and the run itself.
    #[test]
    fn coefficients_depend_on_all_that_was_said_before() {
        let set = Parameters::new(ChoiceBits::THREE, ExtensionSize::Small);
        let run = |terms: &[u8]| Session::new(terms).direction(Role::First).with_nonces(&[1; NONCE], &[2; NONCE]);
        let seeds = |terms: &[u8], corrections: &[u8], seed, first: &[u8]| {
            let mut chain = Chain::new(&run(terms), set);
            chain.begin(corrections, &[seed; 16]);
            [chain.append(first), chain.append(b"second")]
        };
        let honest = seeds(b"run", b"c", 1, b"a");
        let others =
            [seeds(b"ran", b"c", 1, b"a"), seeds(b"run", b"d", 1, b"a"), seeds(b"run", b"c", 2, b"a"), seeds(b"run", b"c", 1, b"b")];
        let all: Vec<_> = others.into_iter().chain([honest]).flatten().collect();
        let mut unique = all.clone();
        unique.sort_unstable();
        unique.dedup();
        assert_eq!(unique.len(), all.len());
    }
}
