//! The public keys and salts of an extension's trees, one set per tree.
//!
//! An extension's seed is the sender's. It draws the seed when all that the ciphers will encrypt
//! depends on is fixed: the correlations set aside, the receiver's corrections, Delta. From then on
//! seed and keys are public. So every key is uniform and independent of every input of the
//! ciphers keyed with it, however the receiver made its roots; and since no two trees share a key
//! or an offset, two trees with equal roots are unrelated.

use fusion_ring::symmetric::aes::{Aes128, Block};
use fusion_ring::symmetric::prg::{AesPrg, Seed};

use super::pads::PadHash;

/// What one tree is expanded and hashed with.
pub(super) struct TreeKeys {
    pub(super) levels: LevelKeys,
    pub(super) pads: PadHash,
}

/// Keys of the levels of a tree.
pub(super) struct LevelKeys {
    /// Of the nodes' hash.
    pub(super) nodes: Aes128,
    /// Added to every node before it is hashed.
    pub(super) offset: Block,
    /// Of the hash of the last level's correlation, where noise has values.
    pub(super) last: Aes128,
}

/// The keys of an extension, tree by tree.
pub(super) struct ExtensionKeys(AesPrg);

impl ExtensionKeys {
    /// The keys that the public `seed` stands for.
    pub(super) fn new(seed: &Seed) -> Self {
        Self(AesPrg::from_seed_ref(seed))
    }

    /// The next tree's.
    pub(super) fn next_tree(&mut self) -> TreeKeys {
        let mut blocks = [0; 5];
        self.0.fill_blocks(&mut blocks);
        #[cfg(test)]
        mutation::apply(&mut blocks);
        let [nodes, offset, last, pads, salt] = blocks;
        let cipher = |key: Block| Aes128::new(&key.to_le_bytes());
        TreeKeys { levels: LevelKeys { nodes: cipher(nodes), offset, last: cipher(last) }, pads: PadHash::new(cipher(pads), salt) }
    }
}

/// Takes the defence out, for tests that must notice.
#[cfg(test)]
pub(super) mod mutation {
    use std::cell::Cell;

    use fusion_ring::symmetric::aes::Block;

    /// What all trees share.
    #[derive(Clone, Copy, Default)]
    pub(in super::super) struct Shared {
        pub(in super::super) key: bool,
        pub(in super::super) offset: bool,
    }

    thread_local! {
        /// Of every party on this thread.
        pub(in super::super) static SHARED: Cell<Shared> = const { Cell::new(Shared { key: false, offset: false }) };
    }

    pub(super) fn apply(blocks: &mut [Block; 5]) {
        let shared = SHARED.get();
        if shared.key {
            blocks[0] = 1;
        }
        if shared.offset {
            blocks[1] = 2;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many values occur more than once among those of 8 extensions of 500 trees: node keys,
    /// offsets, last-level keys.
    fn repeated() -> [usize; 3] {
        let mut seen = [Vec::new(), Vec::new(), Vec::new()];
        for seed in 0..8 {
            let mut all = ExtensionKeys::new(&Seed::from([seed; 16]));
            for _ in 0..500 {
                let keys = all.next_tree().levels;
                let values = [keys.nodes.encrypt_one(0), keys.offset, keys.last.encrypt_one(0)];
                seen.iter_mut().zip(values).for_each(|(seen, value)| seen.push(value));
            }
        }
        seen.map(|mut values| {
            let n = values.len();
            values.sort_unstable();
            values.dedup();
            n - values.len()
        })
    }

    #[test]
    fn no_two_trees_share_a_key_or_an_offset() {
        assert_eq!(repeated(), [0; 3]);
        // The test would notice either.
        for shared in [mutation::Shared { key: true, offset: false }, mutation::Shared { key: false, offset: true }] {
            mutation::SHARED.set(shared);
            let [keys, offsets, _] = repeated();
            mutation::SHARED.set(mutation::Shared::default());
            assert_eq!((keys > 0, offsets > 0), (shared.key, shared.offset));
        }
    }
}
