//! Products of shared bits with shared bits or with a party's ring elements, from random 1-of-2 OTs: local computations.
//!
//! A random OT with pads p0, p1 at the sender and choice u, pad p_u at the receiver is a random product: p_u = p0 + u * (p1 - p0). Both
//! parties open how their inputs differ from the random factors, *at the same time*, since neither opening depends on
//! the other's: a product costs one round, as with a multiplication triple, and one choice bit plus one message per OT, as with a correlated OT.

use fusion_ot::functionality::ChoiceBits;
use fusion_ring::pack::mask32;
use fusion_ring::planes::{masks_of_plane, plane_of_bytes, plane_of_words, planes_of_pairs};

use super::stock::{Received, Stock};

/// AND of a shared plane `e` with one or two shared planes, sharing the random factor of `e`: one OT in each direction, 2 + 2 * #values bits.
pub(super) struct And {
    /// Own share of the random factor of e.
    alpha: Vec<u64>,
    /// Per value plane: own share of its random factor, and of the product of the random factors.
    values: Vec<(Vec<u64>, Vec<u64>)>,
}

/// XOR of two planes.
pub(super) fn xor(a: &[u64], b: &[u64]) -> Vec<u64> {
    a.iter().zip(b).map(|(a, b)| a ^ b).collect()
}

impl And {
    /// Takes one OT per element in each direction, for `values` (at most 32) value planes.
    pub(super) fn new(stock: &Stock, n: usize, values: u32) -> Self {
        let pairs = stock.pairs(n);
        let received = stock.receiver(ChoiceBits::ONE, n);
        let alpha = plane_of_bytes(received.choices);
        let values = (0..values)
            .map(|bit| {
                let (first, beta) = planes_of_pairs(pairs, bit);
                let own = plane_of_words(received.pads, bit);
                // alpha * beta = own * own + (own * peer's) + (peer's * own); the last two are the OTs.
                let product = alpha.iter().zip(&beta).zip(&first).zip(&own).map(|(((a, b), f), o)| (a & b) ^ f ^ o).collect();
                (beta, product)
            })
            .collect();
        Self { alpha, values }
    }

    /// Own share of the opening of `e` and of each value.
    pub(super) fn open(&self, e: &[u64], values: &[&[u64]]) -> Vec<Vec<u64>> {
        let masked = values.iter().zip(&self.values).map(|(x, (beta, _))| xor(x, beta));
        std::iter::once(xor(e, &self.alpha)).chain(masked).collect()
    }

    /// Own shares of the products, given the opened planes. Exactly one party sets `adds_public`.
    pub(super) fn products(&self, opened: &[Vec<u64>], adds_public: bool) -> Vec<Vec<u64>> {
        let public = 0u64.wrapping_sub(u64::from(adds_public));
        let (e, values) = opened.split_first().expect("open() begins with e");
        let product = |(x, (beta, product)): (&Vec<u64>, &(Vec<u64>, Vec<u64>))| {
            let terms = e.iter().zip(x).zip(&self.alpha).zip(beta).zip(product);
            terms.map(|((((e, x), alpha), beta), product)| (e & x & public) ^ (e & beta) ^ (x & alpha) ^ product).collect()
        };
        values.iter().zip(&self.values).map(product).collect()
    }
}

/// The sender's side of products c * delta in Z_2^bits, delta being the sender's, the bit c the receiver's. 1 + bits bits per product.
pub(super) struct RingSender<'s> {
    pairs: &'s [u32],
    delta: Vec<u32>,
    bits: u32,
}

impl<'s> RingSender<'s> {
    /// Takes one OT per element of `delta`.
    pub(super) fn new(stock: &'s Stock, delta: Vec<u32>, bits: u32) -> Self {
        Self { pairs: stock.pairs(delta.len()), delta, bits }
    }

    /// The message: how delta differs from the random factor.
    pub(super) fn open(&self) -> Vec<u32> {
        let pairs = self.pairs.chunks_exact(2).zip(&self.delta);
        pairs.map(|(p, delta)| delta.wrapping_sub(p[1].wrapping_sub(p[0])) & mask32(self.bits)).collect()
    }

    /// Own shares of the products, given the plane d = c ^ u that the receiver opened.
    pub(super) fn shares(&self, d: &[u64]) -> Vec<u32> {
        let masks = masks_of_plane(d, self.delta.len());
        let terms = self.pairs.chunks_exact(2).zip(&self.delta).zip(&masks);
        // c = u ^ d = d + (1 - 2d) u, and the own share of u * delta is -p0.
        terms.map(|((p, delta), &d)| (delta & d).wrapping_sub(negate_where(d, p[0])) & mask32(self.bits)).collect()
    }
}

/// The receiver's side, see [`RingSender`].
pub(super) struct RingReceiver<'s> {
    received: Received<'s>,
    d: Vec<u64>,
    bits: u32,
}

impl<'s> RingReceiver<'s> {
    /// Takes one OT for each of the `n` elements of the plane `c`.
    pub(super) fn new(stock: &'s Stock, c: &[u64], n: usize, bits: u32) -> Self {
        let received = stock.receiver(ChoiceBits::ONE, n);
        Self { received, d: xor(c, &plane_of_bytes(received.choices)), bits }
    }

    /// The message: the plane d = c ^ u.
    pub(super) fn open(&self) -> &[u64] {
        &self.d
    }

    /// Own shares of the products, given the sender's message.
    pub(super) fn shares(&self, opened: &[u32]) -> Vec<u32> {
        let masks = masks_of_plane(&self.d, opened.len());
        let terms = self.received.choices.iter().zip(self.received.pads).zip(opened).zip(&masks);
        let share = |(((&u, pad), t), &d): (((&u8, &u32), &u32), &u32)| {
            let chosen = 0u32.wrapping_sub(u32::from(u & 1));
            negate_where(d, pad.wrapping_add(t & chosen)) & mask32(self.bits)
        };
        terms.map(share).collect()
    }
}

/// `-v` where the mask is all ones, `v` where it is zero.
pub(super) fn negate_where(mask: u32, v: u32) -> u32 {
    (v ^ mask).wrapping_sub(mask)
}
