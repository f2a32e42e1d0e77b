//! SoftSpoken: OT extension with a few bits per OT, from AES alone.
//!
//! # Functionality
//! Any number of random 1-of-2^m OTs ([`RandomOtSender`], [`RandomOtReceiver`]) after one set-up.
//!
//! # Roles
//! [`setup`] gives each party a [`Sender`] and a [`Receiver`]; the peer's [`Receiver`] and
//! [`Sender`] are their other ends. The sender holds Delta.
//!
//! # Protocol
//! Roy, "SoftSpokenOT: Quieter OT Extension from Small-Field Silent VOLE in the Minicrypt Model",
//! CRYPTO 2022: 128 base OTs ([`crate::base`]), 128/k trees of 2^k seeds with the consistency check
//! of section 6, small-field VOLEs brought to one subspace VOLE over the repetition code (sections
//! 3 and 4) with the consistency check of section 4.2: a universal hash to F_2^128 of all columns,
//! masked by 128 extra rows, challenged by the sender. m binary correlations w_j = v_j + u_j Delta
//! make one of width m, w = sum w_j X^j; pads by TMMO with the OT's running number as tweak, under
//! a key from a public seed that the sender draws when a batch has passed its check.
//!
//! Rows are made in batches of at least 2^16 and kept for later calls, so that small calls seldom
//! wait for the network; a call for n OTs of width m holds about 16 n m bytes beside its output.
//!
//! # Cost
//! Set-up per direction: base OT, then one message of 4,096 + 64 * 128/k bytes from the receiver.
//! Per batch of r rows (a multiple of 128): the receiver sends 16 (128/k - 1) (r/128 + 1) bytes,
//! the sender 16, the receiver 2,064, the sender 16: two round trips. So 63, 31 or 15 bits per row
//! at k = 2, 4, 8, and 2^k/k AES calls: 2, 4 or 32. An OT takes m rows.
//!
//! # Security
//! UC-secure against a malicious sender or receiver given the base OTs, with AES as PRG and ideal
//! permutation and SHA3 collision-resistant. 128 bits computational, except that seven bits of
//! Delta are public (121 bits are uniform). Statistical: the hash is 2^-128-universal. A cheating
//! receiver may guess bits of Delta: a wrong guess is caught here with [`OtError::PeerMisbehaved`],
//! a right one tells it those bits and costs it a factor two in success probability each (selective
//! failure, part of the functionality that Roy proves). A cheating sender learns nothing: its
//! challenge is answered under a one-time mask. After an error the instance refuses every call.
//!
//! *What the receiver can make twice*: it grows the trees, so it can grind their roots until rows v
//! (and their choices u) are what it likes, two rows equal among them. So a row never enters a
//! fixed function alone: pads are hashed with a tweak that never repeats, and who builds on rows
//! ([`crate::silent`]) keys what it computes from them by a seed drawn after them. The sender's own
//! freedom is its Delta, which no honest message depends on, and its challenge, which meets columns
//! under a one-time mask once.
//!
//! *Many targets*: salts, keys and challenges belong to one run, those of a tree to one tree, so a
//! cipher call of an attacker counts against one tree or one batch. A hidden seed of a tree takes
//! 2^128 calls, whatever the number of trees and lanes. Of pads a call tests all N that were made
//! under one key and whose masked values the attacker knows (`delta`, in the source): 2^128 / N
//! calls give Delta, so 2^112 with batches of 2^16 rows and 2^108 with the largest, of 2^20. Pads
//! of eight bits tell too little for that: 2^117 calls, by trying Delta at the 15 pads of an OT.

#[cfg(any(test, feature = "test-utils"))]
mod ground;
mod tree;
mod vole;

use fusion_ring::channel::Channel;
use fusion_ring::symmetric::aes::Block;
use fusion_ring::symmetric::prg::Seed;
use rand_core::CryptoRng;
use zeroize::Zeroizing;

use crate::coins::PublicCoins;
use crate::delta::{Delta, PadStream, combine, pad_mask, sender_pads};
use crate::functionality::{ChoiceBits, RandomOtReceiver, RandomOtSender, ReceiverPads, SenderPads};
use crate::session::{Direction, RunId, Session};
use crate::{OtError, Role, base};
use vole::{CHUNK, COLUMNS, Leaves, RESPONSE_LEN, Response, Unchecked};

/// Fewest rows of a batch.
const MIN_BATCH_ROWS: usize = 1 << 16;
/// Most rows of a batch: bounds memory at 16 MB per instance and batch.
const MAX_BATCH_ROWS: usize = 1 << 20;

/// Depth k of the trees: less traffic for more computation. Both parties must use the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum TreeDepth {
    /// 63 bits and 2 AES calls per row.
    Two,
    /// 31 bits and 4 AES calls per row.
    #[default]
    Four,
    /// 15 bits and 32 AES calls per row.
    Eight,
}

impl TreeDepth {
    const fn k(self) -> usize {
        match self {
            Self::Two => 2,
            Self::Four => 4,
            Self::Eight => 8,
        }
    }
}

/// Sets up both directions of a lane with the default [`TreeDepth`].
///
/// # Errors
/// [`OtError`].
pub fn setup(session: &Session, role: Role, channel: &mut dyn Channel, rng: &mut impl CryptoRng) -> Result<(Sender, Receiver), OtError> {
    setup_with(TreeDepth::default(), session, role, channel, rng)
}

/// Sets up both directions of a lane.
///
/// # Errors
/// [`OtError`].
pub fn setup_with(
    depth: TreeDepth,
    session: &Session,
    role: Role,
    channel: &mut dyn Channel,
    rng: &mut impl CryptoRng,
) -> Result<(Sender, Receiver), OtError> {
    let [first, second] = [Role::First, Role::Second].map(|sender| session.direction(sender));
    match role {
        Role::First => {
            let sender = Sender::setup(depth, &first, channel, rng)?;
            Ok((sender, Receiver::setup(depth, &second, channel, rng)?))
        }
        Role::Second => {
            let receiver = Receiver::setup(depth, &first, channel, rng)?;
            Ok((Sender::setup(depth, &second, channel, rng)?, receiver))
        }
    }
}

/// Where tree number `tree` asks its ciphers for `purpose`, from there on.
fn place(run: &RunId, purpose: &str, tree: usize) -> Block {
    // Far apart: 2^64 places each.
    run.constant(purpose) ^ (tree as Block) << 64
}

/// How many rows the next batch has if `missing` more are needed.
pub(crate) fn batch_rows(missing: usize) -> usize {
    missing.clamp(MIN_BATCH_ROWS, MAX_BATCH_ROWS).next_multiple_of(128)
}

/// The end that holds Delta.
pub struct Sender {
    delta: Delta,
    leaves: Leaves,
    /// Challenges, and seeds of the pads' keys.
    coins: PublicCoins,
    run: RunId,
    /// Checked rows w that no call has used yet.
    rows: Zeroizing<Vec<Block>>,
    pads: PadStream,
    dead: bool,
}

impl Sender {
    /// Sets up this direction; the peer calls [`Receiver::setup`].
    ///
    /// # Errors
    /// [`OtError`].
    pub fn setup(depth: TreeDepth, direction: &Direction, channel: &mut dyn Channel, rng: &mut impl CryptoRng) -> Result<Self, OtError> {
        let delta = Delta::random(rng);
        let k = depth.k();
        // Trees are indexed by k bits of Delta each, highest bit at the root; the base OT opens the
        // other side.
        let bits: Vec<usize> = (0..COLUMNS / k).flat_map(|tree| (0..k).rev().map(move |b| tree * k + b)).collect();
        let hidden = Zeroizing::new(bits.iter().map(|&b| delta.mask(b)).collect::<Vec<_>>());
        let choices = Zeroizing::new(hidden.iter().map(|mask| !*mask as u8 & 1).collect::<Vec<_>>());
        let (run, keys) = base::receive(direction, channel, &choices, rng)?;
        let message = channel.recv_vec(tree::message_len(k) * (COLUMNS / k))?;
        let mut seeds = Zeroizing::new(Vec::with_capacity((COLUMNS / k) << k));
        let trees = hidden.chunks(k).zip(keys.chunks(k)).zip(message.chunks(tree::message_len(k)));
        for (number, ((hidden, keys), message)) in trees.enumerate() {
            seeds.extend_from_slice(&tree::regrow(place(&run, "trees", number), hidden, keys, message)?);
        }
        let leaves = Leaves::new(&run, k, &seeds, true);
        let (coins, pads) = (PublicCoins::new(rng), PadStream::new(&run));
        Ok(Self { delta, leaves, coins, run, rows: Zeroizing::new(Vec::new()), pads, dead: false })
    }

    /// `n` checked rows w.
    pub(crate) fn rows(&mut self, channel: &mut dyn Channel, n: usize) -> Result<Zeroizing<Vec<Block>>, OtError> {
        if self.dead {
            return Err(OtError::Misuse("the instance failed before"));
        }
        self.dead = true;
        while self.rows.len() < n {
            self.batch(channel, batch_rows(n - self.rows.len()))?;
        }
        self.dead = false;
        let at = self.rows.len() - n;
        Ok(Zeroizing::new(self.rows.split_off(at)))
    }

    /// The secret of this instance.
    pub(crate) fn delta(&self) -> &Delta {
        &self.delta
    }

    /// The name of the run.
    pub(crate) fn run(&self) -> &RunId {
        &self.run
    }

    fn batch(&mut self, channel: &mut dyn Channel, rows: usize) -> Result<(), OtError> {
        let (trees, k) = (self.leaves.trees(), COLUMNS / self.leaves.trees());
        let mut batch = Unchecked::new(rows / COLUMNS);
        let mut bytes = vec![0; 16 * (trees - 1) * CHUNK];
        for (blocks, columns) in batch.chunks_mut() {
            self.leaves.expand(blocks, columns, |_, _| ());
            let bytes = &mut bytes[..16 * (trees - 1) * blocks];
            channel.recv(bytes)?;
            let (corrections, _) = bytes.as_chunks::<16>();
            // The first tree needs no correction: its columns come before those corrected here.
            for (c, column) in columns.chunks_exact_mut(blocks).enumerate().skip(k) {
                let mask = self.delta.mask(c);
                for (w, correction) in column.iter_mut().zip(&corrections[(c / k - 1) * blocks..]) {
                    *w ^= Block::from_le_bytes(*correction) & mask;
                }
            }
        }
        let challenge = self.coins.draw();
        channel.send(&challenge)?;
        let mut response = [0; RESPONSE_LEN];
        channel.recv(&mut response)?;
        let checked = batch
            .verify(&self.delta, challenge, &Response::from_bytes(&response))
            .ok_or(OtError::PeerMisbehaved("SoftSpoken: subspace VOLE check"))?;
        self.rows = checked.append_to(&self.rows);
        // All rows are fixed: nothing that they enter later was known when they were made.
        let seed = self.coins.draw();
        channel.send(&seed)?;
        channel.flush()?;
        self.pads.rekey(&self.run, &seed);
        Ok(())
    }
}

impl RandomOtSender for Sender {
    fn random_ot(&mut self, channel: &mut dyn Channel, m: ChoiceBits, n: usize) -> Result<SenderPads, OtError> {
        let width = m.bits() as usize;
        let rows = n.checked_mul(width).ok_or(OtError::Misuse("too many OTs"))?;
        let rows = self.rows(channel, rows)?;
        let blocks = Zeroizing::new(rows.chunks_exact(width).map(combine).collect::<Vec<_>>());
        sender_pads(m, n, |mut sink| {
            self.pads.sender(&self.delta.multiples(m), &blocks, &mut sink);
            Ok(())
        })
    }
}

/// Choice bits and rows v.
type ChosenRows = (Zeroizing<Vec<u8>>, Zeroizing<Vec<Block>>);

/// The end that learns the choices.
pub struct Receiver {
    leaves: Leaves,
    /// Checked rows v that no call has used yet, and their choice bits.
    rows: Zeroizing<Vec<Block>>,
    choices: Zeroizing<Vec<u8>>,
    run: RunId,
    pads: PadStream,
    dead: bool,
}

impl Receiver {
    /// Sets up this direction; the peer calls [`Sender::setup`].
    ///
    /// # Errors
    /// [`OtError`].
    pub fn setup(depth: TreeDepth, direction: &Direction, channel: &mut dyn Channel, rng: &mut impl CryptoRng) -> Result<Self, OtError> {
        let k = depth.k();
        let (run, keys) = base::send(direction, channel, COLUMNS, rng)?;
        let mut message = Vec::with_capacity(tree::message_len(k) * (COLUMNS / k));
        let mut seeds = Zeroizing::new(Vec::with_capacity((COLUMNS / k) << k));
        for (number, keys) in keys.chunks(k).enumerate() {
            seeds.extend_from_slice(&tree::grow(place(&run, "trees", number), &Seed::random(rng), keys, &mut message));
        }
        channel.send(&message)?;
        channel.flush()?;
        Ok(Self::new(k, &seeds, run))
    }

    /// From the leaves of all trees.
    fn new(k: usize, seeds: &[Block], run: RunId) -> Self {
        let (leaves, pads) = (Leaves::new(&run, k, seeds, false), PadStream::new(&run));
        Self { leaves, rows: Zeroizing::new(Vec::new()), choices: Zeroizing::new(Vec::new()), run, pads, dead: false }
    }

    /// The name of the run.
    pub(crate) fn run(&self) -> &RunId {
        &self.run
    }

    /// `n` choice bits and checked rows v.
    pub(crate) fn rows(&mut self, channel: &mut dyn Channel, n: usize) -> Result<ChosenRows, OtError> {
        if self.dead {
            return Err(OtError::Misuse("the instance failed before"));
        }
        self.dead = true;
        while self.rows.len() < n {
            self.batch(channel, batch_rows(n - self.rows.len()))?;
        }
        self.dead = false;
        let at = self.rows.len() - n;
        Ok((Zeroizing::new(self.choices.split_off(at)), Zeroizing::new(self.rows.split_off(at))))
    }

    fn batch(&mut self, channel: &mut dyn Channel, rows: usize) -> Result<(), OtError> {
        let trees = self.leaves.trees();
        let mut batch = Unchecked::new(rows / COLUMNS);
        let mut choices = Zeroizing::new(Vec::with_capacity(rows / COLUMNS + 1));
        let mut corrections = Vec::with_capacity(16 * (trees - 1) * CHUNK);
        for (blocks, columns) in batch.chunks_mut() {
            corrections.clear();
            let at = choices.len();
            self.leaves.expand(blocks, columns, |tree, sum| {
                if tree == 0 {
                    choices.extend_from_slice(sum);
                } else {
                    corrections.extend(sum.iter().zip(&choices[at..]).flat_map(|(own, u)| (own ^ u).to_le_bytes()));
                }
            });
            channel.send(&corrections)?;
        }
        let mut challenge = [0; 16];
        channel.recv(&mut challenge)?;
        let (checked, response) = batch.answer(&choices, challenge);
        channel.send(&response.to_bytes())?;
        channel.flush()?;
        self.rows = checked.append_to(&self.rows);
        let mut all = Zeroizing::new(Vec::with_capacity(self.choices.len() + rows));
        all.extend_from_slice(&self.choices);
        for block in &choices[..rows / COLUMNS] {
            all.extend((0..128).map(|i| (block >> i) as u8 & 1));
        }
        self.choices = all;
        let mut seed = [0; 16];
        channel.recv(&mut seed)?;
        self.pads.rekey(&self.run, &seed);
        Ok(())
    }
}

impl RandomOtReceiver for Receiver {
    fn random_ot(&mut self, channel: &mut dyn Channel, m: ChoiceBits, n: usize) -> Result<ReceiverPads, OtError> {
        let width = m.bits() as usize;
        let rows = n.checked_mul(width).ok_or(OtError::Misuse("too many OTs"))?;
        let (choices, rows) = self.rows(channel, rows)?;
        let choices = choices.chunks_exact(width).map(join_bits).collect();
        let blocks = Zeroizing::new(rows.chunks_exact(width).map(combine).collect::<Vec<_>>());
        let mut pads = Vec::with_capacity(n);
        self.pads.receiver(&blocks, &mut |blocks| pads.extend(blocks.iter().map(|&block| block as u32 & pad_mask(m))));
        Ok(ReceiverPads::new(m, choices, pads))
    }
}

/// sum bits\[j\] 2^j.
pub(crate) fn join_bits(bits: &[u8]) -> u8 {
    bits.iter().rev().fold(0, |acc, bit| acc << 1 | bit)
}

#[cfg(test)]
mod tests;
