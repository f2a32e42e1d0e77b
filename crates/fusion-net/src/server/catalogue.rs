//! The models that a server serves: found by name or digest, and replaced while it runs.
//!
//! A lane keeps the model that it began with; whoever describes, downloads or opens a lane later
//! finds what the catalogue holds then.

use std::sync::{Arc, PoisonError, RwLock};

use bytes::Bytes;
use fusion_ring::symmetric::digest::Digest;

use crate::error::{Mismatch, NetError};
use crate::handler::{Description, HintSource, LaneHandler};
use crate::lane_request::{Extension, LaneRequest, Reveal, Split};
use crate::limit_name::LimitName;
use crate::limits::Limits;
use crate::tuning::LANE_BUFFERS;
use crate::{PROTOCOL_VERSION, RELEASE, proto};

/// Characters of a model's name: longer ones could not be sent, nor typed.
const NAME_CHARS: usize = 200;

/// A served model, as clients find it in a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelFacts {
    /// What clients ask for it by; from a server, cleaned of control characters.
    pub name: String,
    /// Digest of its card.
    pub card_digest: Digest,
    /// Length of its hint in bytes.
    pub hint_bytes: u64,
    /// Samples of the longest lane that is announced: what the limits allow and the memory has room
    /// for.
    pub samples_per_lane: u32,
}

/// One of the models.
pub(super) struct Served<H> {
    pub(super) handler: Arc<H>,
    pub(super) description: Description,
    limits: Limits,
    facts: ModelFacts,
}

impl<H: LaneHandler> Served<H> {
    /// Announces no longer lanes than have room, on the terms that clients ask for.
    fn new(handler: Arc<H>, limits: &Limits) -> Result<Self, NetError> {
        let (name, description) = (handler.name(), handler.describe());
        let (card_digest, hint_bytes) = (Digest::of(&description.card), description.hint_bytes);
        if name.chars().count() > NAME_CHARS || name.chars().any(char::is_control) {
            return Err(NetError::Settings(format!(
                "a model with the digest {card_digest} has a name that cannot be asked for: at most {NAME_CHARS} characters, and no control characters"
            )));
        }
        let facts = ModelFacts { name, card_digest, hint_bytes, samples_per_lane: 0 };
        let mut model = Self { handler, description, limits: limits.clone(), facts };
        let request = LaneRequest {
            card_digest,
            params_version: model.description.params_version,
            n_samples: 1,
            reveal: Reveal::Label,
            lane: 0,
            split: Split::OneMore,
            extension: Extension::Medium,
        };
        model.facts.samples_per_lane = model.samples_that_fit(request);
        if model.facts.samples_per_lane == 0 {
            let (needed, memory) = (model.lane_bytes(&request), limits.memory);
            return Err(NetError::Settings(format!(
                "a lane of one sample takes {needed} bytes, but the limit memory is {memory}: raise it"
            )));
        }
        Ok(model)
    }

    /// Whether a lane may run.
    ///
    /// # Errors
    /// [`NetError::Mismatch`] for another version, a limit for too long a lane.
    pub(super) fn check(&self, request: &LaneRequest) -> Result<(), NetError> {
        if request.params_version != self.description.params_version {
            return Err(NetError::Mismatch(Mismatch::ParamsVersion));
        }
        if request.n_samples > self.limits.samples_per_lane {
            return Err(NetError::limit(LimitName::SamplesPerLane));
        }
        if !self.fits(request) {
            let samples = self.samples_that_fit(*request);
            return Err(NetError::LaneTooLarge { limit: LimitName::Memory, samples });
        }
        Ok(())
    }

    /// Bytes of memory that a lane takes at its most.
    pub(super) fn lane_bytes(&self, request: &LaneRequest) -> u64 {
        self.handler.lane_bytes(request).saturating_add(LANE_BUFFERS)
    }

    fn fits(&self, request: &LaneRequest) -> bool {
        self.lane_bytes(request) <= self.limits.memory
    }

    /// Samples of the largest lane on the terms of `request` that has room on an idle server.
    fn samples_that_fit(&self, request: LaneRequest) -> u32 {
        let fits = |n_samples| self.fits(&LaneRequest { n_samples, ..request });
        // The largest number that fits is below `above`.
        let (mut fit, mut above) = (0, self.limits.samples_per_lane.saturating_add(1));
        while above - fit > 1 {
            let middle = fit + (above - fit) / 2;
            if fits(middle) { fit = middle } else { above = middle }
        }
        fit
    }

    /// What clients are told.
    pub(super) fn describe(&self) -> proto::DescribeReply {
        proto::DescribeReply {
            protocol_version: PROTOCOL_VERSION,
            params_version: self.description.params_version,
            server_release: RELEASE.into(),
            card: self.description.card.clone(),
            card_digest: Bytes::copy_from_slice(self.facts.card_digest.as_bytes()),
            hint_digest: Bytes::copy_from_slice(self.description.hint_digest.as_bytes()),
            hint_bytes: self.description.hint_bytes,
            limits: Some(proto::Limits { samples_per_lane: self.facts.samples_per_lane, ..self.limits.to_wire() }),
        }
    }

    fn file(&self, digest: Digest) -> Option<(HintSource, u64)> {
        if digest == self.description.hint_digest {
            return Some((self.handler.hint(), self.description.hint_bytes));
        }
        self.handler.published(digest)
    }
}

/// All that is served at one time: whoever holds it is not disturbed by what replaces it.
type Snapshot<H> = Arc<[Arc<Served<H>>]>;

/// The models of a running server, which its owner may replace. Cheap to clone.
pub struct Catalogue<H> {
    models: Arc<RwLock<Snapshot<H>>>,
    limits: Arc<Limits>,
}

impl<H> Clone for Catalogue<H> {
    fn clone(&self) -> Self {
        Self { models: Arc::clone(&self.models), limits: Arc::clone(&self.limits) }
    }
}

impl<H: LaneHandler> Catalogue<H> {
    pub(super) fn new(handlers: Vec<Arc<H>>, limits: &Limits) -> Result<Self, NetError> {
        let models = Arc::new(RwLock::new(checked(handlers, limits)?));
        Ok(Self { models, limits: Arc::new(limits.clone()) })
    }

    /// Serves these models from now on. Lanes and downloads that run go on; a later lane of a model
    /// that is gone is refused. The order is that of [`facts`](Self::facts).
    ///
    /// # Errors
    /// [`NetError::Settings`] if there is none, for two of one name or one digest, or for one that
    /// not even a lane of one sample of has room: then nothing changes.
    pub fn replace(&self, handlers: Vec<Arc<H>>) -> Result<(), NetError> {
        let models = checked(handlers, &self.limits)?;
        *self.models.write().unwrap_or_else(PoisonError::into_inner) = models;
        Ok(())
    }

    /// What is served.
    #[must_use]
    pub fn handlers(&self) -> Vec<Arc<H>> {
        self.now().iter().map(|model| Arc::clone(&model.handler)).collect()
    }

    /// What is served, in short.
    #[must_use]
    pub fn facts(&self) -> Vec<ModelFacts> {
        self.now().iter().map(|model| model.facts.clone()).collect()
    }

    fn now(&self) -> Snapshot<H> {
        Arc::clone(&self.models.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// The model of this name, or whose card has this digest in hexadecimal; the only one, if
    /// `wanted` is empty.
    pub(super) fn named(&self, wanted: &str) -> Result<Arc<Served<H>>, NetError> {
        let models = self.now();
        if wanted.is_empty() {
            let [only] = &*models else { return Err(NetError::Mismatch(Mismatch::Unnamed)) };
            return Ok(Arc::clone(only));
        }
        let is_wanted = |model: &&Arc<Served<H>>| model.facts.is_called(wanted);
        models.iter().find(is_wanted).cloned().ok_or(NetError::Mismatch(Mismatch::Model))
    }

    /// The model with this card.
    pub(super) fn of_card(&self, digest: Digest) -> Result<Arc<Served<H>>, NetError> {
        self.now().iter().find(|model| model.facts.card_digest == digest).cloned().ok_or(NetError::Mismatch(Mismatch::Card))
    }

    /// A public file of any model: its source and its length.
    pub(super) fn file(&self, digest: Digest) -> Option<(HintSource, u64)> {
        self.now().iter().find_map(|model| model.file(digest))
    }
}

impl ModelFacts {
    /// Whether a client that asks for `wanted` means this model.
    #[must_use]
    pub fn is_called(&self, wanted: &str) -> bool {
        self.name == wanted || wanted.eq_ignore_ascii_case(&self.card_digest.to_string())
    }
}

/// Models that can be told apart, each of which has room.
fn checked<H: LaneHandler>(handlers: Vec<Arc<H>>, limits: &Limits) -> Result<Snapshot<H>, NetError> {
    let mut models: Vec<Arc<Served<H>>> = Vec::with_capacity(handlers.len());
    for handler in handlers {
        let model = Served::new(handler, limits)?;
        let (name, digest) = (&model.facts.name, model.facts.card_digest);
        if models.iter().any(|other| other.facts.card_digest == digest) {
            return Err(NetError::Settings(format!("the model {name:?} with the digest {digest} is given twice")));
        }
        let share_a_name = |other: &ModelFacts| {
            (!name.is_empty() && other.is_called(name)) || (!other.name.is_empty() && model.facts.is_called(&other.name))
        };
        if models.iter().any(|other| share_a_name(&other.facts)) {
            return Err(NetError::Settings(format!("two models are called {name:?}: prepare one of them under another --name")));
        }
        models.push(Arc::new(model));
    }
    if models.is_empty() {
        return Err(NetError::Settings("there is no model to serve".to_owned()));
    }
    Ok(models.into())
}
