//! The coin toss of the set-up, which decides the code: the sender commits to its coin, the
//! receiver replies with its own, the sender opens. Every hash is bound to the run.

use fusion_ring::channel::Channel;
use rand_core::CryptoRng;
use sha3::Digest;

use crate::OtError;
use crate::functionality::ChoiceBits;
use crate::session::RunId;

/// Bytes of a coin.
const COIN: usize = 32;

/// What came of a toss.
#[derive(Clone)]
pub(super) struct Toss([u8; COIN]);

impl Toss {
    /// Commits to a coin, then opens it.
    pub(super) fn commit_and_open(run: &RunId, channel: &mut dyn Channel, rng: &mut impl CryptoRng) -> Result<Self, OtError> {
        let mut own = [0; COIN];
        rng.fill_bytes(&mut own);
        channel.send(&commitment(run, &own))?;
        let mut theirs = [0; COIN];
        channel.recv(&mut theirs)?;
        channel.send(&own)?;
        channel.flush()?;
        Ok(Self::joint(run, &own, &theirs))
    }

    /// Replies to a commitment.
    pub(super) fn reply(run: &RunId, channel: &mut dyn Channel, rng: &mut impl CryptoRng) -> Result<Self, OtError> {
        let mut own = [0; COIN];
        rng.fill_bytes(&mut own);
        let (mut committed, mut theirs) = ([0; COIN], [0; COIN]);
        channel.recv(&mut committed)?;
        channel.send(&own)?;
        channel.recv(&mut theirs)?;
        if commitment(run, &theirs) != committed {
            return Err(OtError::PeerMisbehaved("silent OT: coin-toss opening"));
        }
        Ok(Self::joint(run, &theirs, &own))
    }

    fn joint(run: &RunId, sender: &[u8; COIN], receiver: &[u8; COIN]) -> Self {
        Self(run.hash("silent OT coin toss").chain_update(sender).chain_update(receiver).finalize().into())
    }

    /// Seed of the code for choices of width `m`.
    pub(super) fn code_seed(&self, run: &RunId, m: ChoiceBits) -> [u8; 16] {
        let digest = run.hash("silent OT code").chain_update(self.0).chain_update([m.bits() as u8]).finalize();
        std::array::from_fn(|i| digest[i])
    }
}

fn commitment(run: &RunId, coin: &[u8; COIN]) -> [u8; 32] {
    run.hash("silent OT coin commitment").chain_update(coin).finalize().into()
}
