//! A tensor between two steps: words of which only the top bits are ever read.
//!
//! A number x modulo 2^l stands at the top of a word, as x * 2^(32 - l); sums wrap. Below it lies
//! the noise of the linear layer that the tensor came from, if it came from one. So the type has no
//! way to reveal its numbers: a linear output that was opened at full width would give the weights
//! away (`fusion-rlwe`, *Security*). What protocols work on, and what may be opened, are the
//! [`AdditiveShares`] that [`to_window`](super::to_window) takes from the top of the words.
//!
//! ```compile_fail,E0308
//! use fusion_nn::layers::{Party, TensorWords, open_to_client};
//! # fn example(party: &mut Party<'_>, linear_output: &TensorWords) {
//! let _ = open_to_client(party, linear_output);
//! # }
//! ```
//! ```compile_fail,E0599
//! # use fusion_nn::layers::TensorWords;
//! # fn example(mine: &TensorWords, theirs: &TensorWords) {
//! let _ = mine.reveal(theirs);
//! # }
//! ```

use fusion_model::program::RingBits;
use fusion_ring::secret::Wiped;

use super::shares::AdditiveShares;

/// This party's words of a tensor: the sum of both parties' words i is number i times
/// 2^(32 - ring), plus noise if the tensor is noisy, modulo 2^32. Wiped on drop, never printed.
pub struct TensorWords {
    words: Wiped<u32>,
    ring: RingBits,
    noisy: bool,
}

impl TensorWords {
    /// The words of numbers that are shared exactly.
    #[must_use]
    pub fn from_shares(shares: AdditiveShares) -> Self {
        let ring = shares.ring();
        let mut words = shares.into_words();
        let up = 32 - ring.0.clamp(1, 32);
        words.iter_mut().for_each(|word| *word <<= up);
        Self { words, ring, noisy: false }
    }

    /// The words that a linear layer left.
    #[must_use]
    pub fn of_linear(words: Wiped<u32>, ring: RingBits) -> Self {
        Self { words, ring, noisy: true }
    }

    /// Words of numbers modulo 2^`ring` that were computed from others, of which at least one was
    /// noisy if `noisy`.
    pub(crate) fn computed(words: Wiped<u32>, ring: RingBits, noisy: bool) -> Self {
        Self { words, ring, noisy }
    }

    /// Nothing, in place of a tensor that nobody reads any more.
    pub(crate) fn nothing() -> Self {
        Self::computed(Wiped::default(), RingBits(1), false)
    }

    /// The ring.
    #[must_use]
    pub fn ring(&self) -> RingBits {
        self.ring
    }

    /// Whether words carry the noise of a linear layer.
    #[must_use]
    pub fn noisy(&self) -> bool {
        self.noisy
    }

    /// How many numbers there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.words.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.words.is_empty()
    }

    /// This party's words, for local steps and linear layers.
    pub(crate) fn words(&self) -> &[u32] {
        &self.words
    }

    /// The same, to be changed.
    pub(crate) fn words_mut(&mut self) -> &mut [u32] {
        &mut self.words
    }
}

fusion_ring::opaque!(TensorWords);
