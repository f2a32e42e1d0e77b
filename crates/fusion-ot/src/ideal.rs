//! The ideal functionality of random OT: a trusted dealer that is a stream of randomness known to
//! both ends.
//!
//! For tests of protocols that use OT. It sends nothing. It is *not* secure: the receiver's end
//! could compute every pad of the sender.

use fusion_ring::channel::Channel;
use rand_chacha::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};

use crate::OtError;
use crate::delta::pad_mask;
use crate::functionality::{ChoiceBits, RandomOtReceiver, RandomOtSender, ReceiverPads, SenderPads};

/// The sender's end, see [`pair`].
pub struct IdealSender(ChaCha20Rng);

/// The receiver's end, see [`pair`].
pub struct IdealReceiver(ChaCha20Rng);

/// A sender and a receiver dealt from the same `seed`.
#[must_use]
pub fn pair(seed: u64) -> (IdealSender, IdealReceiver) {
    let rng = ChaCha20Rng::seed_from_u64(seed);
    (IdealSender(rng.clone()), IdealReceiver(rng))
}

/// Both ends draw 2^m pads and one choice per OT in the same order.
fn deal(rng: &mut ChaCha20Rng, m: ChoiceBits) -> (Vec<u32>, u8) {
    let pads = (0..m.messages()).map(|_| rng.next_u32() & pad_mask(m)).collect();
    let choice = rng.next_u32() as u8 & (m.messages() as u8 - 1);
    (pads, choice)
}

impl RandomOtSender for IdealSender {
    fn random_ot(&mut self, _: &mut dyn Channel, m: ChoiceBits, n: usize) -> Result<SenderPads, OtError> {
        let pads = (0..n).flat_map(|_| deal(&mut self.0, m).0);
        Ok(if m == ChoiceBits::ONE { SenderPads::pairs(pads.collect()) } else { SenderPads::wide(m, pads.map(|pad| pad as u8).collect()) })
    }
}

impl RandomOtReceiver for IdealReceiver {
    fn random_ot(&mut self, _: &mut dyn Channel, m: ChoiceBits, n: usize) -> Result<ReceiverPads, OtError> {
        let (choices, pads) = (0..n)
            .map(|_| {
                let (pads, choice) = deal(&mut self.0, m);
                (choice, pads[usize::from(choice)])
            })
            .unzip();
        Ok(ReceiverPads::new(m, choices, pads))
    }
}
