//! Base OT: a few random OTs from public-key cryptography, the root of every extension.
//!
//! # Functionality
//! n random 1-of-2 OTs of 128-bit keys: the sender learns (k_0, k_1), the receiver its choice b and
//! k_b. *Endemic*: a corrupted party may choose its own outputs, which is what SoftSpoken asks for.
//!
//! # Roles
//! [`send`] and [`receive`].
//!
//! # Protocol
//! Masny and Rindal, "Endemic Oblivious Transfer", CCS 2019, section 5, from Diffie-Hellman key
//! agreement over Ristretto: the sender publishes A = a G; the receiver publishes r_0, r_1 where
//! r_(1-b) is random and r_b = c G - H(b, r_(1-b)); key j is K(a (r_j + H(j, r_(1-j)))). Every OT
//! has its own a. H and K are SHA3-512 and SHA3-256, bound to the run (protocol version, terms of
//! the lane, direction, a fresh nonce of *either* party: [`crate::session`]), the index of the OT
//! and j; K also to the whole transcript of the OT.
//!
//! # Cost
//! One round trip: 32 + 32 n bytes from the sender, 32 + 64 n from the receiver; seven group
//! operations per OT in all.
//!
//! # Security
//! UC-secure against a malicious sender or receiver in the random-oracle model if the gap
//! Diffie-Hellman problem is hard in Ristretto (about 126 bits); not against quantum computers. The
//! receiver's (r_0, r_1) is uniform whatever b is. Encodings that are no group elements are
//! refused; nothing else of a message can be wrong.
//!
//! Neither party can have H or K evaluated twice in the same domain: each adds a nonce of its own,
//! so a replayed message meets other hashes, and parties that disagree about the terms, or take
//! each other's direction for their own, end up with unrelated keys. Points, scalars and
//! Diffie-Hellman values are wiped: which of the receiver's points has a known logarithm *is* its
//! choice.
//!
//! # Example
//! ```
//! use fusion_ot::session::Session;
//! use fusion_ot::{OtError, Role, base};
//! use fusion_ring::channel::memory_pair;
//! use rand_chacha::ChaCha20Rng;
//! use rand_core::SeedableRng;
//!
//! let direction = Session::new(b"what both parties know").direction(Role::First);
//! let (mut a, mut b) = memory_pair();
//! let (theirs, rng) = (direction.clone(), ChaCha20Rng::seed_from_u64);
//! let peer = std::thread::spawn(move || base::receive(&theirs, &mut b, &[1, 0], &mut rng(2)));
//! let (_, pairs) = base::send(&direction, &mut a, 2, &mut rng(1))?;
//! let (_, keys) = peer.join().expect("peer")?;
//! assert!(keys[0] == pairs[0][1] && keys[1] == pairs[1][0]);
//! # Ok::<(), OtError>(())
//! ```

use curve25519_dalek::ristretto::{CompressedRistretto, RistrettoPoint};
use curve25519_dalek::scalar::Scalar;
use fusion_ring::channel::Channel;
use fusion_ring::symmetric::aes::Block;
use rand_core::CryptoRng;
use sha3::{Digest, Sha3_512};
use subtle::{Choice, ConditionallySelectable};
use zeroize::{Zeroize, Zeroizing};

use crate::OtError;
use crate::session::{Direction, NONCE, RunId};

/// Bytes of an encoded point.
const POINT: usize = 32;

/// The domain of a hash: the run and the index of the OT.
struct Domain<'a> {
    run: &'a RunId,
    index: u32,
}

impl Domain<'_> {
    /// H(j, point) as a group element with unknown logarithm.
    fn to_group(&self, j: u8, point: &[u8]) -> RistrettoPoint {
        let digest = Sha3_512::new()
            .chain_update(b"fusion base OT group")
            .chain_update(self.run.bytes())
            .chain_update(self.index.to_le_bytes())
            .chain_update([j])
            .chain_update(point)
            .finalize();
        RistrettoPoint::from_uniform_bytes(&digest.into())
    }

    /// Key j from the Diffie-Hellman value and the messages of both parties.
    fn key(&self, j: u8, a: &[u8], r: &[u8], shared: &RistrettoPoint) -> Block {
        let shared = Zeroizing::new(shared.compress().to_bytes());
        let mut digest: [u8; 32] = self
            .run
            .hash("base OT key")
            .chain_update(self.index.to_le_bytes())
            .chain_update([j])
            .chain_update(a)
            .chain_update(r)
            .chain_update(*shared)
            .finalize()
            .into();
        let mut key = [0; 16];
        key.copy_from_slice(&digest[..16]);
        digest.zeroize();
        Block::from_le_bytes(key)
    }
}

fn random_scalar(rng: &mut impl CryptoRng) -> Zeroizing<Scalar> {
    let mut wide = Zeroizing::new([0; 64]);
    rng.fill_bytes(&mut *wide);
    Zeroizing::new(Scalar::from_bytes_mod_order_wide(&wide))
}

fn decode(bytes: &[u8]) -> Result<RistrettoPoint, OtError> {
    let encoded = CompressedRistretto::from_slice(bytes).ok();
    encoded.and_then(|e| e.decompress()).ok_or(OtError::PeerMisbehaved("base OT: not a group element"))
}

/// The keys of one party and the name of the run that they belong to.
pub type Keys<K> = (RunId, Zeroizing<Vec<K>>);

/// The sender of `n` base OTs: both keys of each.
///
/// # Errors
/// [`OtError::PeerMisbehaved`] if the peer's message holds something that is no group element;
/// [`OtError::Channel`].
pub fn send(direction: &Direction, channel: &mut dyn Channel, n: usize, rng: &mut impl CryptoRng) -> Result<Keys<[Block; 2]>, OtError> {
    let mut first = vec![0; NONCE];
    rng.fill_bytes(&mut first);
    let secrets: Vec<_> = (0..n).map(|_| random_scalar(rng)).collect();
    for a in &secrets {
        first.extend_from_slice(RistrettoPoint::mul_base(a).compress().as_bytes());
    }
    channel.send(&first)?;
    let second = channel.recv_vec(NONCE + 2 * POINT * n)?;

    let run = direction.with_nonces(&first[..NONCE], &second[..NONCE]);
    let (points, answers) = (&first[NONCE..], &second[NONCE..]);
    let mut keys = Zeroizing::new(Vec::with_capacity(n));
    for (index, ((a, a_point), r)) in (0u32..).zip(secrets.iter().zip(points.chunks(POINT)).zip(answers.chunks(2 * POINT))) {
        let domain = Domain { run: &run, index };
        let (r0, r1) = r.split_at(POINT);
        let shared = |j: u8, own: &[u8], other: &[u8]| -> Result<Block, OtError> {
            let sum = decode(own)? + domain.to_group(j, other);
            Ok(domain.key(j, a_point, r, &Zeroizing::new(sum * **a)))
        };
        keys.push([shared(0, r0, r1)?, shared(1, r1, r0)?]);
    }
    Ok((run, keys))
}

/// The receiver of base OTs: the key at every choice, zero or one.
///
/// # Errors
/// As [`send`].
pub fn receive(direction: &Direction, channel: &mut dyn Channel, choices: &[u8], rng: &mut impl CryptoRng) -> Result<Keys<Block>, OtError> {
    let first = channel.recv_vec(NONCE + POINT * choices.len())?;
    let mut second = Vec::with_capacity(NONCE + 2 * POINT * choices.len());
    second.resize(NONCE, 0);
    rng.fill_bytes(&mut second);
    let run = direction.with_nonces(&first[..NONCE], &second[..NONCE]);
    let mut keys = Zeroizing::new(Vec::with_capacity(choices.len()));
    for (index, (&b, a_point)) in (0u32..).zip(choices.iter().zip(first[NONCE..].chunks(POINT))) {
        let b = Choice::from(b);
        let domain = Domain { run: &run, index };
        let a = decode(a_point)?;
        let mut uniform = Zeroizing::new([0; 64]);
        rng.fill_bytes(&mut *uniform);
        let other = Zeroizing::new(RistrettoPoint::from_uniform_bytes(&uniform));
        let other_bytes = Zeroizing::new(other.compress().to_bytes());
        let c = random_scalar(rng);
        let own = Zeroizing::new(RistrettoPoint::mul_base(&c) - domain.to_group(b.unwrap_u8(), &*other_bytes));
        let r0 = RistrettoPoint::conditional_select(&own, &other, b).compress();
        let r1 = RistrettoPoint::conditional_select(&other, &own, b).compress();
        let at = second.len();
        second.extend_from_slice(r0.as_bytes());
        second.extend_from_slice(r1.as_bytes());
        keys.push(domain.key(b.unwrap_u8(), a_point, &second[at..], &Zeroizing::new(a * *c)));
    }
    channel.send(&second)?;
    channel.flush()?;
    Ok((run, keys))
}

#[cfg(test)]
mod tests;
