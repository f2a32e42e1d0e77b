//! A prepared model as the network serves it.

use bytes::Bytes;
use fusion_net::{Description, Digest, HintSource, LaneFailure, LaneHandler, LaneRequest, Reveal};
use fusion_nn::exec::{self, Lane, LaneError, ServerModel, connect};
use fusion_nn::layers::Role;
use fusion_ring::channel::Channel;
use rand::SeedableRng;

use crate::cheat::Cheat;
use crate::lanes::fresh_rng;

/// Version of the cryptographic parameters and layer protocols of this build. Any change of bytes inside a lane changes it.
pub const PARAMS_VERSION: u32 = 1;

/// Serves one model. Lanes share the packed weights and have everything else of their own.
pub struct ModelHandler {
    model: ServerModel,
    card: Bytes,
    hint_digest: Digest,
    hint_bytes: u64,
    hint: HintSource,
    cheat: Option<Cheat>,
}

impl ModelHandler {
    /// Serves `model` under its encoded `card`; `hint` has `hint_bytes` bytes and the digest `hint_digest`.
    #[must_use]
    pub fn new(model: ServerModel, card: Bytes, hint: HintSource, hint_digest: Digest, hint_bytes: u64) -> Self {
        Self { model, card, hint_digest, hint_bytes, hint, cheat: None }
    }

    /// Deviates in every lane.
    #[must_use]
    pub fn cheating(mut self, cheat: Option<Cheat>) -> Self {
        self.cheat = cheat;
        self
    }
}

impl LaneHandler for ModelHandler {
    fn describe(&self) -> Description {
        Description { card: self.card.clone(), hint_digest: self.hint_digest, hint_bytes: self.hint_bytes, params_version: PARAMS_VERSION }
    }

    fn hint(&self) -> HintSource {
        self.hint.clone()
    }

    fn run_lane(&self, request: LaneRequest, channel: &mut dyn Channel) -> Result<(), LaneFailure> {
        let start = std::time::Instant::now();
        let mut rng = fresh_rng().map_err(|e| LaneFailure::Internal(e.to_string()))?;
        let samples = request.n_samples as usize;
        let reveal = match request.reveal {
            Reveal::Label => exec::Reveal::Label,
            Reveal::Logits => exec::Reveal::Logits,
        };
        let party = connect(Role::Server, &request.binding(), Box::new(channel), &mut rng).map_err(failure)?;
        let mut lane = Lane::new(party, samples, reveal);
        if let Some(cheat) = &self.cheat {
            let own = rand_chacha::ChaCha20Rng::from_rng(&mut rng);
            lane = lane.deviating(cheat.deviation(self.model.public().program(), samples, own));
        }
        lane.run_server(&self.model, &mut rng, &mut |_| ()).map_err(failure)?;
        tracing::info!(samples, seconds = start.elapsed().as_secs_f64(), "lane done");
        Ok(())
    }
}

/// Who is at fault for the end of a lane. The texts name steps and checks, which are public.
fn failure(error: LaneError) -> LaneFailure {
    use fusion_nn::layers::ProtocolError;
    use fusion_ot::OtError;
    let text = error.to_string();
    if let LaneError::SetUp(OtError::PeerMisbehaved(_)) | LaneError::Protocol { error: ProtocolError::Ot(OtError::PeerMisbehaved(_)), .. } =
        error
    {
        return LaneFailure::PeerMisbehaved(text);
    }
    if let LaneError::Channel(error)
    | LaneError::SetUp(OtError::Channel(error))
    | LaneError::Protocol { error: ProtocolError::Channel(error), .. } = error
    {
        return LaneFailure::Channel(error);
    }
    LaneFailure::Internal(text)
}
