//! The end that holds Delta: receiver of the base OTs, it misses one leaf of every tree.

use fusion_ring::channel::Channel;
use fusion_ring::symmetric::aes::Block;
use rand_core::CryptoRng;
use zeroize::Zeroizing;

use super::instance::{End, SoftSpoken};
use super::tree;
use super::vole::{CHUNK, COLUMNS, Checked, Leaves, RESPONSE_LEN, Response, Unchecked};
use crate::coins::PublicCoins;
use crate::delta::{Delta, PadStream, sender_pads};
use crate::functionality::{ChoiceBits, RandomOtSender, SenderPads};
use crate::session::{Direction, RunId};
use crate::{OtError, base};

/// What is the sender's own.
pub struct SendingEnd {
    delta: Delta,
    /// Challenges, and seeds of the pads' keys.
    coins: PublicCoins,
}

impl End for SendingEnd {
    const PUNCTURED: bool = true;
    type Choices = ();
    type Pads = SenderPads;

    fn setup(
        k: usize,
        direction: &Direction,
        channel: &mut dyn Channel,
        rng: &mut impl CryptoRng,
    ) -> Result<(Self, RunId, Zeroizing<Vec<Block>>), OtError> {
        let delta = Delta::random(rng);
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
            seeds.extend_from_slice(&tree::regrow(run.tree_salt("trees", number), hidden, keys, message)?);
        }
        Ok((Self { delta, coins: PublicCoins::new(rng) }, run, seeds))
    }

    fn batch(&mut self, leaves: &mut Leaves, channel: &mut dyn Channel, rows: usize) -> Result<Checked, OtError> {
        let (trees, k) = (leaves.trees(), COLUMNS / leaves.trees());
        let mut batch = Unchecked::new(rows / COLUMNS);
        let mut bytes = vec![0; 16 * (trees - 1) * CHUNK];
        for (blocks, columns) in batch.chunks_mut() {
            leaves.expand(blocks, columns, |_, _| ());
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
        let checked = batch.verify(&self.delta, challenge, &Response::from_bytes(&response));
        checked.ok_or(OtError::PeerMisbehaved("SoftSpoken: subspace VOLE check"))
    }

    fn seed(&mut self, channel: &mut dyn Channel) -> Result<[u8; 16], OtError> {
        let seed = self.coins.draw();
        channel.send(&seed)?;
        channel.flush()?;
        Ok(seed)
    }

    fn take_choices(&mut self, _: usize, _: usize) {}

    fn pads(&self, stream: &mut PadStream, m: ChoiceBits, (): (), blocks: &[Block]) -> SenderPads {
        sender_pads(m, blocks.len(), |mut sink| stream.sender(&self.delta.multiples(m), blocks, &mut sink))
    }
}

impl SoftSpoken<SendingEnd> {
    /// The secret of this instance.
    pub(crate) fn delta(&self) -> &Delta {
        &self.end().delta
    }
}

impl RandomOtSender for SoftSpoken<SendingEnd> {
    fn random_ot(&mut self, channel: &mut dyn Channel, m: ChoiceBits, n: usize) -> Result<SenderPads, OtError> {
        self.pads(channel, m, n)
    }
}
