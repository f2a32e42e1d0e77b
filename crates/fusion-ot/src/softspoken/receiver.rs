//! The end that learns the choices: sender of the base OTs, it grows the trees.

use fusion_ring::channel::Channel;
use fusion_ring::symmetric::aes::Block;
use fusion_ring::symmetric::prg::Seed;
use rand_core::CryptoRng;
use zeroize::Zeroizing;

use super::instance::{End, SoftSpoken};
use super::tree;
use super::vole::{CHUNK, COLUMNS, Checked, Leaves, Unchecked};
use crate::delta::{PadStream, pad_mask};
use crate::functionality::{ChoiceBits, RandomOtReceiver, ReceiverPads};
use crate::session::{Direction, RunId};
use crate::{OtError, base};

/// What is the receiver's own.
pub struct ReceivingEnd {
    /// Choice bits of the rows that no call has used yet.
    choices: Zeroizing<Vec<u8>>,
}

impl ReceivingEnd {
    /// Before the first batch.
    pub(super) fn new() -> Self {
        Self { choices: Zeroizing::new(Vec::new()) }
    }
}

impl End for ReceivingEnd {
    const PUNCTURED: bool = false;
    type Choices = Zeroizing<Vec<u8>>;
    type Pads = ReceiverPads;

    fn setup(
        k: usize,
        direction: &Direction,
        channel: &mut dyn Channel,
        rng: &mut impl CryptoRng,
    ) -> Result<(Self, RunId, Zeroizing<Vec<Block>>), OtError> {
        let (run, keys) = base::send(direction, channel, COLUMNS, rng)?;
        let mut message = Vec::with_capacity(tree::message_len(k) * (COLUMNS / k));
        let mut seeds = Zeroizing::new(Vec::with_capacity((COLUMNS / k) << k));
        for (number, keys) in keys.chunks(k).enumerate() {
            seeds.extend_from_slice(&tree::grow(run.tree_salt("trees", number), &Seed::random(rng), keys, &mut message));
        }
        channel.send(&message)?;
        channel.flush()?;
        Ok((Self::new(), run, seeds))
    }

    fn batch(&mut self, leaves: &mut Leaves, channel: &mut dyn Channel, rows: usize) -> Result<Checked, OtError> {
        let trees = leaves.trees();
        let mut batch = Unchecked::new(rows / COLUMNS);
        let mut choices = Zeroizing::new(Vec::with_capacity(rows / COLUMNS + 1));
        let mut corrections = Vec::with_capacity(16 * (trees - 1) * CHUNK);
        for (blocks, columns) in batch.chunks_mut() {
            corrections.clear();
            let at = choices.len();
            leaves.expand(blocks, columns, |tree, sum| {
                if tree == 0 {
                    choices.extend_from_slice(sum);
                } else {
                    corrections.extend(sum.iter().zip(&choices[at..]).flat_map(|(own, u)| (own ^ u).to_le_bytes()));
                }
            });
            channel.send(&corrections)?;
            // The sender works on this chunk while this end does on the next.
            channel.flush()?;
        }
        let mut challenge = [0; 16];
        channel.recv(&mut challenge)?;
        let (checked, response) = batch.answer(&choices, challenge);
        channel.send(&response.to_bytes())?;
        channel.flush()?;
        // Of full size at once: a vector that grows leaves copies behind.
        let mut all = Zeroizing::new(Vec::with_capacity(self.choices.len() + rows));
        all.extend_from_slice(&self.choices);
        for block in &choices[..rows / COLUMNS] {
            all.extend((0..128).map(|i| (block >> i) as u8 & 1));
        }
        self.choices = all;
        Ok(checked)
    }

    fn seed(&mut self, channel: &mut dyn Channel) -> Result<[u8; 16], OtError> {
        let mut seed = [0; 16];
        channel.recv(&mut seed)?;
        Ok(seed)
    }

    fn take_choices(&mut self, start: usize, width: usize) -> Zeroizing<Vec<u8>> {
        let bits = Zeroizing::new(self.choices.split_off(start));
        Zeroizing::new(bits.chunks_exact(width).map(join_bits).collect())
    }

    fn pads(&self, stream: &mut PadStream, m: ChoiceBits, mut choices: Self::Choices, blocks: &[Block]) -> ReceiverPads {
        let mut pads = Vec::with_capacity(blocks.len());
        stream.receiver(blocks, &mut |blocks| pads.extend(blocks.iter().map(|&block| block as u32 & pad_mask(m))));
        ReceiverPads::new(m, std::mem::take(&mut *choices), pads)
    }
}

impl RandomOtReceiver for SoftSpoken<ReceivingEnd> {
    fn random_ot(&mut self, channel: &mut dyn Channel, m: ChoiceBits, n: usize) -> Result<ReceiverPads, OtError> {
        self.pads(channel, m, n)
    }
}

/// sum bits\[j\] 2^j.
fn join_bits(bits: &[u8]) -> u8 {
    bits.iter().rev().fold(0, |acc, bit| acc << 1 | bit)
}
