//! What a requantisation leaves to chance.

use rand_core::Rng;

/// The low bits of the client's shares, which a requantisation shifts out. They decide the carry.
pub enum TruncationCarry<'a> {
    /// Uniform, as in the protocol: stochastic rounding without bias.
    Random(&'a mut dyn Rng),
    /// All zero: every result is `floor(y / 2^d) + 1` (where d > 0), which is what the protocol
    /// computes when the client's share is zero.
    Zero,
    /// Half a unit: rounds to the nearest.
    Nearest,
}

impl TruncationCarry<'_> {
    /// The low `shift` bits of one share.
    pub(super) fn draw(&mut self, shift: u32) -> i64 {
        match self {
            Self::Random(rng) => i64::from(rng.next_u32() & ((1u32 << shift) - 1)),
            Self::Zero => 0,
            Self::Nearest => (1i64 << shift) >> 1,
        }
    }
}
