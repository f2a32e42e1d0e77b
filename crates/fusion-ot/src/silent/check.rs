//! The consistency check of a round's trees: a random linear combination of all leaves, masked, compared through hashes.

use fusion_ring::aes::Block;
use fusion_ring::gf128::{dot, mul};
use fusion_ring::prg::AesPrg;
use sha3::{Digest, Sha3_256};

use super::parameters::Parameters;
use crate::OtError;

/// Bytes of the receiver's challenge: seed of the coefficients and masked noise combination.
pub(super) const CHALLENGE_LEN: usize = 32;
/// Bytes of a proof.
pub(super) const PROOF_LEN: usize = 32;

/// Coefficients a_i b_j of leaf j of tree i. The check is a bilinear form in (a, b): one that is not zero vanishes with probability at most 2^-127.
pub(super) struct Coefficients {
    trees: Vec<Block>,
    leaves: Vec<Block>,
}

impl Coefficients {
    pub(super) fn new(seed: [u8; 16], parameters: Parameters) -> Self {
        let mut prg = AesPrg::new(seed);
        let (mut trees, mut leaves) = (vec![0; parameters.trees()], vec![0; 1 << parameters.depth()]);
        prg.fill_blocks(&mut trees);
        prg.fill_blocks(&mut leaves);
        Self { trees, leaves }
    }

    /// The combination of the leaves of tree `i`.
    pub(super) fn tree(&self, i: usize, leaves: &[Block]) -> Block {
        mul(self.trees[i], dot(&self.leaves, leaves))
    }

    /// The noise of tree `i` in the combination: its `value` at leaf `alpha`.
    pub(super) fn noise(&self, i: usize, alpha: usize, value: Block) -> Block {
        mul(value, mul(self.trees[i], self.leaves[alpha]))
    }
}

/// sum blocks\[j\] X^(m j): with the m-bit choices in place of the blocks every value of 128 bits is equally likely.
pub(super) fn pack(parameters: Parameters, blocks: impl DoubleEndedIterator<Item = Block>) -> Block {
    let shift = 1 << parameters.choice_bits().bits();
    blocks.rev().fold(0, |acc, block| mul(acc, shift) ^ block)
}

/// Who proves that it knows the combination.
#[derive(Clone, Copy)]
pub(super) enum Prover {
    Sender,
    Receiver,
}

/// A hash of the combination: the other party's can neither be copied nor guessed.
pub(super) fn proof(prover: Prover, challenge: &[u8; CHALLENGE_LEN], combination: Block) -> [u8; PROOF_LEN] {
    let tag: &[u8] = match prover {
        Prover::Sender => b"fusion silent OT sender",
        Prover::Receiver => b"fusion silent OT receiver",
    };
    Sha3_256::new().chain_update(tag).chain_update(challenge).chain_update(combination.to_le_bytes()).finalize().into()
}

/// Compares in constant time.
pub(super) fn demand(own: &[u8; PROOF_LEN], theirs: &[u8; PROOF_LEN], what: &'static str) -> Result<(), OtError> {
    if bool::from(subtle::ConstantTimeEq::ct_eq(&own[..], &theirs[..])) { Ok(()) } else { Err(OtError::PeerMisbehaved(what)) }
}
