//! Silent extension: random OTs for less than two bits each, from LPN.
//!
//! # Functionality
//! Any number of random 1-of-2^m OTs ([`RandomOtSender`], [`RandomOtReceiver`]) after one set-up;
//! beneath them correlations w = v + u Delta with u of m bits ([`Sender::correlated`]).
//!
//! Through the traits the first OTs of a width, as many as its first round would take in
//! ([`Parameters::reserve`]), come from SoftSpoken itself: a small network never pays for a round,
//! and a large one at most twice for the first.
//!
//! # Roles
//! [`setup`] gives each party a [`Sender`] and a [`Receiver`], whose other ends are the peer's
//! [`Receiver`] and [`Sender`]. The sender holds Delta.
//!
//! # Protocol
//! Yang, Weng, Lan, Zhang, Wang, "Ferret", CCS 2020, with the trees of Guo et al., "Half-Tree",
//! EUROCRYPT 2023. A round starts from correlations set aside: k LPN secrets, depth per tree,
//! masks. For each of t trees the receiver's choice bits are the path away from its noise position,
//! the sender sends level sums, and both hold a vector that differs by u Delta at that one
//! position. All trees together are the regular noise of a primal LPN instance whose 10-local code
//! ([`fusion_ring::ot::lpn`]) turns the k secrets into t 2^depth new correlations; the first of them
//! are set aside for the next round. The first round's come from [`crate::softspoken`].
//!
//! *Choices of m > 1 bits*: u is an element sum u_j X^j of an F_2-subspace of the field of 2^128
//! elements, secrets are uniform in it, and each noise position has a uniform non-zero value
//! (Half-Tree, section 5). One output makes one 1-of-2^m OT. Correlations for the tree levels must
//! be binary: the receiver publishes the upper bits of the choices spent on them.
//!
//! *Coins*: the code's seed comes from a coin toss (commit, share, open) at set-up, every hash of
//! it bound to the run: neither party has a say in the code, and no toss of another run or
//! direction fits.
//!
//! *Keys*: when it has the receiver's corrections and before its first tree, the sender draws and
//! sends a public seed. From it every tree has a key and an offset for its nodes, a key for its
//! last level, a key and a salt for its pads, all its own (`keys`, in the source). Pads take one
//! AES call each (`pads`, in the source, argues why that suffices).
//!
//! *Check*: coefficients for all leaves come from a hash chain over the run's name, the receiver's
//! corrections, the round's seed and the trees' messages. The receiver claims the masked noise
//! combination; the sender proves by a hash that it holds the matching combination of its leaves,
//! then so does the receiver.
//!
//! A round is one pass over its trees, while they are sent: each is expanded once, added up for the
//! check and folded, and its outputs are kept in the form of the call that started the round:
//! blocks, pads cut to size, or pads of one bit. They are provisional until the check has passed;
//! later calls are met from what is kept. A call for another form drops what is left of the round
//! on both ends and starts a new one, so callers should keep to one form per width.
//!
//! # Cost
//! Set-up: that of SoftSpoken with trees of depth 8, and 96 bytes. First use of a width m: m
//! [`Parameters::reserve`] rows of SoftSpoken (15 bits each). Per round of [`Parameters::outputs`],
//! less [`Parameters::reserve`], OTs: the sender sends 16 t (depth - 1) bytes for m = 1, 16 t
//! (depth + 1) for m > 1, and 48; the receiver 48, and for m > 1 (m - 1) t depth + m t bits; two
//! round trips. In bits per OT: 1.23 at m = 1 and 2.8 at m = 2, 3, 4 ([`ExtensionSize::Small`]), 0.68
//! and 1.5 ([`ExtensionSize::Medium`]). Memory per width in use: 32 bytes per LPN secret and level (5
//! MB with [`ExtensionSize::Small`]) and a round's outputs, 1.6 million: a sender's pads 13, 6, 13, 25
//! MB for m = 1, 2, 3, 4, a receiver's 8 MB; pads of one bit 3.2 and 1.6 MB; blocks 25 MB on either
//! end. It is allocated in the first round and reused.
//!
//! # Security
//! UC-secure against a malicious sender or receiver given SoftSpoken, in the ideal-cipher and
//! random-oracle model, if LPN with regular noise over the 10-local code is hard for the parameters
//! in [`parameters`], which alone can be instantiated; [`estimate`] says what the known attacks
//! cost. As in SoftSpoken 121 bits of Delta are uniform.
//! - *Malicious sender*: wrong level sums make the receiver's leaves wrong in a way that depends on
//!   its noise positions. The check passes with probability 2^-127 per hash computed (`check`, in
//!   the source) plus that of guessing those positions right: the sender learns from a passed check
//!   that its guess (a set of positions) was right, about one bit per check in expectation, and
//!   from an abort one bit in all. This is LPN with static leakage, as in Ferret; nothing else
//!   depends on the noise.
//! - *Malicious receiver*: it sends nothing before the check for m = 1. For m > 1 its corrections
//!   only change its own choices and values. A wrong noise combination makes the sender's proof a
//!   hash of an unknown multiple of Delta, and its own proof fails.
//! - *Blocks that the receiver chose*: it can make correlations equal, roots of trees among them,
//!   by grinding its SoftSpoken trees. With trees under one public offset that gave Delta away
//!   (`ground`, the attack, is a test). Every key, offset and salt that a block meets is drawn when
//!   blocks are fixed, so the inputs of each cipher are independent of its key: trees with equal
//!   roots are unrelated, and pads break the correlation in one call.
//!
//! *Many targets*: keys are public, so an attacker may try Delta by calls of the cipher. A call
//! under one tree's key says something about that tree alone. A node that the receiver lacks is
//! Delta plus what it knows, one for each of at most `depth` levels: q calls find Delta with
//! probability at most q depth / 2^121, so 2^117 calls, whatever the number of trees, rounds, lanes
//! and queries. One key hashes (2^m - 1) 2^depth pads that the receiver lacks, each Delta's
//! multiple plus what it knows: 2^(121 - depth) / (2^m - 1) calls, so 2^111, 2^110, 2^109 and 2^108
//! for m = 1, 2, 3, 4 ([`ExtensionSize::Small`]; twice and four times fewer for the larger sizes), and
//! only for an attacker that knows what those pads mask. Lanes have other Deltas and other keys: of
//! all lanes of a query each call counts against one, and the figures stay. Two of T trees have the
//! same key with probability T^2 / 2^129: 2^-69 for the 2^30 trees of a batch of 2,575 ResNet50
//! samples, and then a call counts twice.
//!
//! Outputs of an unchecked round cannot be read: the types `Provisional`, `Passed` and `Stock`
//! inside see to that. After any error what the round made is wiped and the instance refuses every
//! call. What was given out is overwritten by the next round or wiped on drop. [`SemiHonest`]
//! instances skip the check, exist for measurement, and do not implement the traits. The order in
//! which a receiver's leaves are brought to their places depends on the noise position (order of
//! cache lines, not time or branches).

mod bits;
mod check;
mod engine;
pub mod estimate;
#[cfg(any(test, feature = "test-utils"))]
pub mod ground;
mod keys;
mod pads;
pub mod parameters;
mod receiver;
mod sender;
mod store;
mod trees;

use std::marker::PhantomData;
use std::ops::Range;

use fusion_ring::channel::Channel;
use fusion_ring::symmetric::aes::Block;
use fusion_ring::symmetric::prg::{AesPrg, Seed};
use rand_core::CryptoRng;
use sha3::Digest;
use zeroize::Zeroizing;

use crate::coins::PublicCoins;
use crate::delta::combine;
use crate::functionality::{ChoiceBits, RandomOtReceiver, RandomOtSender, ReceiverBits, ReceiverPads, SenderBits, SenderPads};
use crate::session::{Direction, RunId, Session};
use crate::softspoken::{self, TreeDepth, join_bits};
use crate::{OtError, Role};
use bits::{GotBits, SentBits};
use engine::Engine;
pub use parameters::{ExtensionSize, Parameters};
use receiver::{GotPads, ReceivingEnd};
use sender::{SendingEnd, SentPads};
use store::{Blocks, Outputs};

mod sealed {
    pub trait Sealed: Send {}
}

/// Whether rounds are checked: [`Malicious`] or [`SemiHonest`].
pub trait Security: sealed::Sealed {
    /// Whether rounds are checked.
    const CHECKED: bool;
}

/// Rounds are checked: secure against any deviation of the peer.
#[derive(Debug)]
pub struct Malicious;

/// Rounds are not checked: for measuring what the check costs.
#[derive(Debug)]
pub struct SemiHonest;

impl sealed::Sealed for Malicious {}
impl sealed::Sealed for SemiHonest {}
impl Security for Malicious {
    const CHECKED: bool = true;
}
impl Security for SemiHonest {
    const CHECKED: bool = false;
}

/// Sets up both directions of a lane with the default [`ExtensionSize`].
///
/// # Errors
/// [`OtError`].
pub fn setup(session: &Session, role: Role, channel: &mut dyn Channel, rng: &mut impl CryptoRng) -> Result<(Sender, Receiver), OtError> {
    setup_with(ExtensionSize::default(), session, role, channel, rng)
}

/// Sets up both directions of a lane.
///
/// # Errors
/// [`OtError`].
pub fn setup_with(
    size: ExtensionSize,
    session: &Session,
    role: Role,
    channel: &mut dyn Channel,
    rng: &mut impl CryptoRng,
) -> Result<(Sender, Receiver), OtError> {
    let [first, second] = [Role::First, Role::Second].map(|sender| session.direction(sender));
    match role {
        Role::First => {
            let sender = Sender::setup(size, &first, channel, rng)?;
            Ok((sender, Receiver::setup(size, &second, channel, rng)?))
        }
        Role::Second => {
            let receiver = Receiver::setup(size, &first, channel, rng)?;
            Ok((Sender::setup(size, &second, channel, rng)?, receiver))
        }
    }
}

/// Seed of the code for choices of width `m`, from the coin toss of the set-up.
fn code_seed(run: &RunId, toss: &[u8; 32], m: ChoiceBits) -> [u8; 16] {
    let digest = run.hash("silent OT code").chain_update(toss).chain_update([m.bits() as u8]).finalize();
    std::array::from_fn(|i| digest[i])
}

fn commitment(run: &RunId, share: &[u8; 32]) -> [u8; 32] {
    run.hash("silent OT coin commitment").chain_update(share).finalize().into()
}

fn joint(run: &RunId, sender: &[u8; 32], receiver: &[u8; 32]) -> [u8; 32] {
    run.hash("silent OT coin toss").chain_update(sender).chain_update(receiver).finalize().into()
}

/// The private coins of one engine.
fn private_coins(seed: &Seed, m: ChoiceBits) -> AesPrg {
    let mut all = Zeroizing::new([0; 64]);
    AesPrg::from_seed_ref(seed).fill(&mut *all);
    AesPrg::from_seed_ref(&Seed::from(std::array::from_fn::<u8, 16, _>(|i| all[16 * slot(m) + i])))
}

/// Index of the engine for `m`.
fn slot(m: ChoiceBits) -> usize {
    m.bits() as usize - 1
}

/// Whether SoftSpoken meets a demand for `n` OTs after `met`: both parties decide alike.
fn is_small(running: bool, m: ChoiceBits, size: ExtensionSize, met: usize, n: usize) -> bool {
    !running && met.saturating_add(n) <= Parameters::new(m, size).reserve()
}

/// The end that holds Delta.
pub struct Sender<S: Security = Malicious> {
    source: softspoken::Sender,
    size: ExtensionSize,
    toss: [u8; 32],
    /// For seeds of rounds.
    coins: PublicCoins,
    engines: [Option<Box<Engine<SendingEnd>>>; 4],
    /// OTs of each width that SoftSpoken has met.
    met: [usize; 4],
    dead: bool,
    security: PhantomData<S>,
}

impl<S: Security> Sender<S> {
    /// Sets up this direction; the peer calls [`Receiver::setup`].
    ///
    /// # Errors
    /// [`OtError`].
    pub fn setup(size: ExtensionSize, direction: &Direction, channel: &mut dyn Channel, rng: &mut impl CryptoRng) -> Result<Self, OtError> {
        let source = softspoken::Sender::setup(TreeDepth::Eight, direction, channel, rng)?;
        let mut own = [0; 32];
        rng.fill_bytes(&mut own);
        channel.send(&commitment(source.run(), &own))?;
        let mut theirs = [0; 32];
        channel.recv(&mut theirs)?;
        channel.send(&own)?;
        channel.flush()?;
        let toss = joint(source.run(), &own, &theirs);
        let coins = PublicCoins::new(rng);
        let engines = [const { None }; 4];
        Ok(Self { source, size, toss, coins, engines, met: [0; 4], dead: false, security: PhantomData })
    }

    /// Produces `n` correlations of width `m` and hands the blocks w to `sink` in pieces, in order.
    /// The peer calls [`Receiver::correlated`] with the same numbers. Pads and bits of the width
    /// that are left from earlier rounds are dropped.
    ///
    /// The low m bits of every w are zero. Blocks under one Delta must be hashed before anything of
    /// them is sent; [`Sender::random_ot`](RandomOtSender::random_ot) does.
    ///
    /// # Errors
    /// [`OtError`]; the instance is dead afterwards and what `sink` got is void.
    pub fn correlated(
        &mut self,
        channel: &mut dyn Channel,
        m: ChoiceBits,
        n: usize,
        sink: &mut dyn FnMut(&[Block]),
    ) -> Result<(), OtError> {
        self.take(channel, m, n, &mut |blocks: &Blocks, range| sink(blocks.part(range)))
    }

    fn take<O: Outputs<SendingEnd>>(
        &mut self,
        channel: &mut dyn Channel,
        m: ChoiceBits,
        n: usize,
        sink: &mut dyn FnMut(&O, Range<usize>),
    ) -> Result<(), OtError> {
        if self.dead {
            return Err(OtError::Misuse("the instance failed before"));
        }
        self.dead = true;
        let slot = &mut self.engines[slot(m)];
        // Back in its slot when all went well: of one that failed nothing stays.
        let mut engine = match slot.take() {
            Some(engine) => engine,
            None => {
                let parameters = Parameters::new(m, self.size);
                let width = m.bits() as usize;
                let rows = self.source.rows(channel, parameters.reserve() * width)?;
                let clear = |w: &[Block]| combine(w) & !parameters.choice_mask();
                let reserve = Zeroizing::new(rows.chunks_exact(width).map(clear).collect::<Vec<_>>());
                let run = self.source.run();
                let end = SendingEnd::new(self.source.delta(), parameters, run, self.coins.fork());
                Box::new(Engine::new(end, code_seed(run, &self.toss, m), parameters, reserve))
            }
        };
        engine.take::<S, O>(channel, n, sink)?;
        *slot = Some(engine);
        self.dead = false;
        Ok(())
    }

    /// Random 1-of-2^m OTs at this instance's security, all from LPN; blocks and bits of the width
    /// that are left from earlier rounds are dropped. See [`RandomOtSender::random_ot`].
    ///
    /// # Errors
    /// [`OtError`].
    pub fn pads(&mut self, channel: &mut dyn Channel, m: ChoiceBits, n: usize) -> Result<SenderPads, OtError> {
        let total = n.checked_mul(m.messages()).ok_or(OtError::Misuse("too many OTs"))?;
        if m == ChoiceBits::ONE {
            let mut pads = Zeroizing::new(Vec::with_capacity(total));
            self.take(channel, m, n, &mut |all: &SentPads, range| pads.extend_from_slice(all.part(m, range)))?;
            return Ok(SenderPads::pairs(std::mem::take(&mut *pads)));
        }
        let mut pads = Zeroizing::new(Vec::with_capacity(total));
        self.take(channel, m, n, &mut |all: &SentPads, range| pads.extend_from_slice(bytemuck::cast_slice(all.part(m, range))))?;
        Ok(SenderPads::wide(m, std::mem::take(&mut *pads)))
    }

    /// As [`Sender::pads`], with pads of one bit. See [`RandomOtSender::random_bits`].
    ///
    /// # Errors
    /// [`OtError`].
    pub fn bits(&mut self, channel: &mut dyn Channel, m: ChoiceBits, n: usize) -> Result<SenderBits, OtError> {
        let mut tables = Zeroizing::new(Vec::with_capacity(n));
        self.take(channel, m, n, &mut |all: &SentBits, range| tables.extend_from_slice(all.part(range)))?;
        Ok(SenderBits::new(m, std::mem::take(&mut *tables)))
    }
}

impl RandomOtSender for Sender<Malicious> {
    fn random_ot(&mut self, channel: &mut dyn Channel, m: ChoiceBits, n: usize) -> Result<SenderPads, OtError> {
        let slot = slot(m);
        if self.dead || !is_small(self.engines[slot].is_some(), m, self.size, self.met[slot], n) {
            return self.pads(channel, m, n);
        }
        self.met[slot] += n;
        let pads = self.source.random_ot(channel, m, n);
        self.dead = pads.is_err();
        pads
    }

    fn random_bits(&mut self, channel: &mut dyn Channel, m: ChoiceBits, n: usize) -> Result<SenderBits, OtError> {
        let slot = slot(m);
        if self.dead || !is_small(self.engines[slot].is_some(), m, self.size, self.met[slot], n) {
            return self.bits(channel, m, n);
        }
        self.random_ot(channel, m, n).map(|pads| SenderBits::of(&pads))
    }
}

/// The end that learns the choices.
pub struct Receiver<S: Security = Malicious> {
    source: softspoken::Receiver,
    size: ExtensionSize,
    toss: [u8; 32],
    /// For noise values.
    coins: Seed,
    engines: [Option<Box<Engine<ReceivingEnd>>>; 4],
    /// OTs of each width that SoftSpoken has met.
    met: [usize; 4],
    dead: bool,
    security: PhantomData<S>,
}

impl<S: Security> Receiver<S> {
    /// Sets up this direction; the peer calls [`Sender::setup`].
    ///
    /// # Errors
    /// [`OtError`]; [`OtError::PeerMisbehaved`] if the peer opens another coin than it committed
    /// to.
    pub fn setup(size: ExtensionSize, direction: &Direction, channel: &mut dyn Channel, rng: &mut impl CryptoRng) -> Result<Self, OtError> {
        Self::on(softspoken::Receiver::setup(TreeDepth::Eight, direction, channel, rng)?, size, channel, rng)
    }

    /// Goes on from rows of `source`.
    fn on(source: softspoken::Receiver, size: ExtensionSize, channel: &mut dyn Channel, rng: &mut impl CryptoRng) -> Result<Self, OtError> {
        let mut own = [0; 32];
        rng.fill_bytes(&mut own);
        let (mut committed, mut theirs) = ([0; 32], [0; 32]);
        channel.recv(&mut committed)?;
        channel.send(&own)?;
        channel.recv(&mut theirs)?;
        if commitment(source.run(), &theirs) != committed {
            return Err(OtError::PeerMisbehaved("silent OT: coin-toss opening"));
        }
        let toss = joint(source.run(), &theirs, &own);
        let coins = Seed::random(rng);
        let engines = [const { None }; 4];
        Ok(Self { source, size, toss, coins, engines, met: [0; 4], dead: false, security: PhantomData })
    }

    /// Produces `n` correlations of width `m` and hands the blocks v to `sink` in pieces, in order;
    /// the choice u stands in the low m bits of each. See [`Sender::correlated`].
    ///
    /// # Errors
    /// [`OtError`]; the instance is dead afterwards and what `sink` got is void.
    pub fn correlated(
        &mut self,
        channel: &mut dyn Channel,
        m: ChoiceBits,
        n: usize,
        sink: &mut dyn FnMut(&[Block]),
    ) -> Result<(), OtError> {
        self.take(channel, m, n, &mut |blocks: &Blocks, range| sink(blocks.part(range)))
    }

    fn take<O: Outputs<ReceivingEnd>>(
        &mut self,
        channel: &mut dyn Channel,
        m: ChoiceBits,
        n: usize,
        sink: &mut dyn FnMut(&O, Range<usize>),
    ) -> Result<(), OtError> {
        if self.dead {
            return Err(OtError::Misuse("the instance failed before"));
        }
        self.dead = true;
        let slot = &mut self.engines[slot(m)];
        // Back in its slot when all went well: of one that failed nothing stays.
        let mut engine = match slot.take() {
            Some(engine) => engine,
            None => {
                let parameters = Parameters::new(m, self.size);
                let width = m.bits() as usize;
                let (choices, rows) = self.source.rows(channel, parameters.reserve() * width)?;
                let blocks = rows.chunks_exact(width).map(combine).zip(choices.chunks_exact(width).map(join_bits));
                let carry = |(v, u): (Block, u8)| (v & !parameters.choice_mask()) | Block::from(u);
                let reserve = Zeroizing::new(blocks.map(carry).collect::<Vec<_>>());
                let run = self.source.run();
                let end = ReceivingEnd::new(parameters, run, private_coins(&self.coins, m));
                Box::new(Engine::new(end, code_seed(run, &self.toss, m), parameters, reserve))
            }
        };
        engine.take::<S, O>(channel, n, sink)?;
        *slot = Some(engine);
        self.dead = false;
        Ok(())
    }

    /// Random 1-of-2^m OTs at this instance's security, all from LPN; blocks and bits of the width
    /// that are left from earlier rounds are dropped. See [`RandomOtReceiver::random_ot`].
    ///
    /// # Errors
    /// [`OtError`].
    pub fn pads(&mut self, channel: &mut dyn Channel, m: ChoiceBits, n: usize) -> Result<ReceiverPads, OtError> {
        let (mut choices, mut pads) = (Zeroizing::new(Vec::with_capacity(n)), Zeroizing::new(Vec::with_capacity(n)));
        self.take(channel, m, n, &mut |all: &GotPads, range| {
            let part = all.part(range);
            choices.extend_from_slice(part.0);
            pads.extend_from_slice(part.1);
        })?;
        Ok(ReceiverPads::new(m, std::mem::take(&mut *choices), std::mem::take(&mut *pads)))
    }

    /// As [`Receiver::pads`], with pads of one bit. See [`RandomOtReceiver::random_bits`].
    ///
    /// # Errors
    /// [`OtError`].
    pub fn bits(&mut self, channel: &mut dyn Channel, m: ChoiceBits, n: usize) -> Result<ReceiverBits, OtError> {
        let mut bytes = Zeroizing::new(Vec::with_capacity(n));
        self.take(channel, m, n, &mut |all: &GotBits, range| bytes.extend_from_slice(all.part(range)))?;
        Ok(ReceiverBits::new(m, std::mem::take(&mut *bytes)))
    }
}

impl RandomOtReceiver for Receiver<Malicious> {
    fn random_ot(&mut self, channel: &mut dyn Channel, m: ChoiceBits, n: usize) -> Result<ReceiverPads, OtError> {
        let slot = slot(m);
        if self.dead || !is_small(self.engines[slot].is_some(), m, self.size, self.met[slot], n) {
            return self.pads(channel, m, n);
        }
        self.met[slot] += n;
        let pads = self.source.random_ot(channel, m, n);
        self.dead = pads.is_err();
        pads
    }

    fn random_bits(&mut self, channel: &mut dyn Channel, m: ChoiceBits, n: usize) -> Result<ReceiverBits, OtError> {
        let slot = slot(m);
        if self.dead || !is_small(self.engines[slot].is_some(), m, self.size, self.met[slot], n) {
            return self.bits(channel, m, n);
        }
        self.random_ot(channel, m, n).map(|pads| ReceiverBits::of(&pads))
    }
}

#[cfg(test)]
mod tests;
