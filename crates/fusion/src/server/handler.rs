//! A prepared model as the network serves it.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use fusion_model::card::CardError;
use fusion_model::package::Package;
use fusion_net::{Description, Extension, HintSource, LaneFailure, LaneHandler, LaneRequest};
use fusion_nn::LANE_VERSION;
use fusion_nn::exec::{Hint, Lane, LaneError, PublicModel, Server, ServerModel, server_lane_bytes};
use fusion_nn::layers::Ledger;
use fusion_ring::channel::Channel;
use rand_chacha::ChaCha20Rng;
use rand_core::{CryptoRng, SeedableRng};

use crate::error::Error;
use crate::lane_terms::{opened_by, terms_of};
use crate::server::cheat::Cheat;

/// Outputs of each linear layer that are tested before a model is served.
const TESTED_OUTPUTS: usize = 3;

/// Serves one model. Lanes share the packed weights and have everything else of their own.
pub(super) struct ModelHandler {
    /// Where the package is.
    package: PathBuf,
    name: String,
    model: ServerModel,
    card: Bytes,
    hint_digest: fusion_net::Digest,
    hint_bytes: u64,
    hint: HintSource,
    /// The answer sheet, if there is one: its digest, its file and its length.
    answers: Option<(fusion_net::Digest, HintSource, u64)>,
    /// Bits of a logit that the card allows to open, 0 for none.
    logits_bits: u32,
    shared: Shared,
}

/// What all models of a server share. Cheap to clone.
#[derive(Clone)]
pub(super) struct Shared {
    cheat: Option<Cheat>,
    /// Where the time of lanes went that came to their end.
    pub(super) spent: Arc<Mutex<Ledger>>,
    /// Every lane has a generator of its own, seeded from the caller's: from the operating system,
    /// lane by lane, if that is what the caller hands in.
    seeds: Arc<Mutex<Box<dyn CryptoRng + Send>>>,
}

impl Shared {
    pub(super) fn new(cheat: Option<Cheat>, rng: impl CryptoRng + Send + 'static) -> Self {
        Self { cheat, spent: Arc::default(), seeds: Arc::new(Mutex::new(Box::new(rng))) }
    }

    fn rng(&self) -> ChaCha20Rng {
        ChaCha20Rng::from_rng(&mut **self.seeds.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl ModelHandler {
    /// Serves the model of the package in the directory `path`; deviates in every lane if it is to
    /// cheat. Tests some outputs of every linear layer first: nobody would notice later that
    /// weights and hint do not belong together, but for wrong answers.
    pub(super) fn open(path: &Path, shared: Shared) -> Result<Self, Error> {
        let package = Package::open(path)?;
        let card = package.card();
        let facts = card.hint.ok_or(CardError::Missing("hint"))?;
        let public = PublicModel::new(card.program.clone(), card.seed()?)?;
        let model = ServerModel::new(public, &package.private().weights, &package.private().key)?;
        let hint = Hint::open(model.public(), &package.hint_path())?;
        model.self_test(&hint, Some(TESTED_OUTPUTS), &mut shared.rng())?;
        Ok(Self {
            package: path.to_owned(),
            name: card.name.clone(),
            model,
            card: Bytes::from(card.encode()?),
            hint_digest: facts.digest,
            hint_bytes: facts.bytes,
            hint: HintSource::File(package.hint_path()),
            answers: card.answers.zip(package.answers_path()).map(|(facts, path)| (facts.digest, HintSource::File(path), facts.bytes)),
            logits_bits: card.logits_bits,
            shared,
        })
    }
}

impl ModelHandler {
    /// Whether this is the package in the directory `path` with this card, which names the digests
    /// of everything else.
    pub(super) fn is_of(&self, path: &Path, card: &[u8]) -> bool {
        self.package == path && self.card == card
    }
}

impl LaneHandler for ModelHandler {
    fn name(&self) -> String {
        self.name.clone()
    }

    fn describe(&self) -> Description {
        Description { card: self.card.clone(), hint_digest: self.hint_digest, hint_bytes: self.hint_bytes, params_version: LANE_VERSION }
    }

    fn hint(&self) -> HintSource {
        self.hint.clone()
    }

    fn published(&self, digest: fusion_net::Digest) -> Option<(HintSource, u64)> {
        let (known, source, bytes) = self.answers.as_ref()?;
        (*known == digest).then(|| (source.clone(), *bytes))
    }

    fn lane_bytes(&self, request: &LaneRequest) -> u64 {
        server_lane_bytes(self.model.public().program(), request.n_samples as usize, terms_of(request))
    }

    fn run_lane(&self, request: LaneRequest, channel: &mut dyn Channel) -> Result<(), LaneFailure> {
        let start = std::time::Instant::now();
        let mut rng = self.shared.rng();
        let samples = request.n_samples as usize;
        let reveal = opened_by(request.reveal, self.logits_bits)
            .ok_or_else(|| LaneFailure::PeerMisbehaved("the owner of this model does not open logits: ask for labels".to_owned()))?;
        if request.extension == Extension::Large {
            let refusal = "large extensions take too much memory here: ask for medium ones";
            return Err(LaneFailure::PeerMisbehaved(refusal.to_owned()));
        }
        let lane = Lane::<Server>::connect(&request.binding(), samples, reveal, terms_of(&request), Box::new(channel), &mut rng);
        let mut lane = lane.map_err(failure)?;
        if let Some(cheat) = &self.shared.cheat {
            let own = ChaCha20Rng::from_rng(&mut rng);
            lane = lane.deviating(cheat.deviation(self.model.public().program(), samples, own));
        }
        let finished = lane.run(&self.model, &mut rng, &mut |_| ()).map_err(failure)?;
        let mut spent = self.shared.spent.lock().unwrap_or_else(PoisonError::into_inner);
        finished.costs.iter().for_each(|cost| *spent += cost.ledger);
        drop(spent);
        tracing::info!(samples, split = ?request.split, extension = ?request.extension, seconds = start.elapsed().as_secs_f64(), "lane done");
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
