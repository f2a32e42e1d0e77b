//! What a run of the protocols is bound to, so that no message or hash of one fits into another.

use fusion_ring::symmetric::aes::Block;
use sha3::{Digest, Sha3_256};

use crate::error::OtError;

/// Version of this crate's protocols; messages of two versions never fit together.
const VERSION: &str = "fusion-ot 2";

/// Bytes of either party's nonce.
pub(crate) const NONCE: usize = 32;

/// Which of the two parties of a lane this is: they do the steps of a set-up in opposite order. Any
/// fixed assignment will do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Begins as sender.
    First,
    /// Begins as receiver.
    Second,
}

/// The public terms of a lane, on which both parties must agree: the base OTs of parties with
/// different terms give unrelated keys, so that the first consistency check fails.
#[derive(Clone)]
pub struct Session([u8; 32]);

impl Session {
    /// A lane under `terms`: everything public that distinguishes it (model card, number of the
    /// lane, ...), in an encoding that no other terms have.
    #[must_use]
    pub fn new(terms: &[u8]) -> Self {
        let hash = Sha3_256::new().chain_update(VERSION).chain_update(b" terms").chain_update(terms);
        Self(hash.finalize().into())
    }

    /// The OTs of the lane that `sender` sends.
    #[must_use]
    pub fn direction(&self, sender: Role) -> Direction {
        let role: &[u8] = match sender {
            Role::First => b"first sends",
            Role::Second => b"second sends",
        };
        Direction(Sha3_256::new().chain_update(VERSION).chain_update(self.0).chain_update(role).finalize().into())
    }

    /// Sets up both directions in the order on which the parties agree: what the first party sends,
    /// then what the second one does. `send` and `receive` make this party's ends; both work with
    /// `tools`, the channel and the random generator.
    pub(crate) fn both_directions<T, S, R>(
        &self,
        role: Role,
        tools: &mut T,
        send: impl FnOnce(&Direction, &mut T) -> Result<S, OtError>,
        receive: impl FnOnce(&Direction, &mut T) -> Result<R, OtError>,
    ) -> Result<(S, R), OtError> {
        let [first, second] = [Role::First, Role::Second].map(|sender| self.direction(sender));
        match role {
            Role::First => {
                let sender = send(&first, tools)?;
                Ok((sender, receive(&second, tools)?))
            }
            Role::Second => {
                let receiver = receive(&first, tools)?;
                Ok((send(&second, tools)?, receiver))
            }
        }
    }
}

/// One of the two directions of a [`Session`].
#[derive(Clone)]
pub struct Direction([u8; 32]);

impl Direction {
    /// The direction's name in this run and no other: bound to a nonce of either party. (The base
    /// OT's sender is the OT extension's receiver.)
    pub(crate) fn with_nonces(&self, base_sender: &[u8], base_receiver: &[u8]) -> RunId {
        debug_assert_eq!((base_sender.len(), base_receiver.len()), (NONCE, NONCE));
        let hash = Sha3_256::new().chain_update(VERSION).chain_update(b" run").chain_update(self.0);
        RunId(hash.chain_update(base_sender).chain_update(base_receiver).finalize().into())
    }
}

/// Public name of one direction of one run, fresh because either party's nonce is.
#[derive(Clone)]
pub struct RunId([u8; 32]);

impl RunId {
    /// The name.
    pub(crate) fn bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// A hash that starts from this name, for `purpose`.
    pub(crate) fn hash(&self, purpose: &str) -> Sha3_256 {
        Sha3_256::new().chain_update(self.0).chain_update([purpose.len() as u8]).chain_update(purpose)
    }

    /// A public key or salt of a cipher for `purpose`, unlike those of other runs (of 2^40 runs two
    /// have the same with probability 2^-49). What must never repeat takes [`Self::bytes`].
    pub(crate) fn constant(&self, purpose: &str) -> Block {
        let digest = self.hash(purpose).finalize();
        Block::from_le_bytes(std::array::from_fn(|i| digest[i]))
    }

    /// The first of the 2^64 blocks that tree number `tree` encrypts for `purpose`: other trees,
    /// and those of other runs, encrypt other blocks.
    pub(crate) fn tree_salt(&self, purpose: &str, tree: usize) -> Block {
        self.constant(purpose) ^ (tree as Block) << 64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whatever differs, terms, direction or either nonce, gives another name.
    #[test]
    fn names_differ_wherever_runs_do() {
        let name = |terms: &[u8], role, a: u8, b: u8| Session::new(terms).direction(role).with_nonces(&[a; NONCE], &[b; NONCE]);
        let all = [
            name(b"", Role::First, 1, 2),
            name(b"x", Role::First, 1, 2),
            name(b"", Role::Second, 1, 2),
            name(b"", Role::First, 2, 2),
            name(b"", Role::First, 1, 1),
            name(b"", Role::First, 2, 1),
        ];
        for (i, a) in all.iter().enumerate() {
            assert_ne!(a.constant("one"), a.constant("two"));
            for b in &all[..i] {
                assert_ne!(a.constant("one"), b.constant("one"));
            }
        }
    }
}
