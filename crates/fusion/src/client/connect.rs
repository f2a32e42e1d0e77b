//! The way to a server whose model is known and trusted: describe, check the card, trust the
//! digest, fetch the hint.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use fusion_mix::plan::Plan;
use fusion_mix::pool::KnownFrom;
use fusion_model::answer_sheet::AnswerSheet;
use fusion_model::card::ModelCard;
use fusion_net::{HintCache, Mismatch, ModelFacts, NetError, Served};
use fusion_nn::LANE_VERSION;
use fusion_nn::exec::{Hint, PublicModel};
use fusion_nn::layers::LaneTerms;

use crate::client::memory::Memory;
use crate::client::mixing::MixSettings;
use crate::client::patience::patiently;
use crate::client::public_pool::PublicPool;
use crate::client::settings::{ClientSettings, LONG_ROUND_TRIP, lanes_for, terms_for};
use crate::client::trust::{Asked, ServedDigests, Trust};
use crate::clock::Clock;
use crate::error::Error;
use crate::event::{Event, Events, silent};
use crate::images::Sample;

/// How often a server that seems far away is asked for its description.
const DESCRIPTIONS: u32 = 4;

/// A server whose model is known, trusted and ready to be used. Cheap to clone.
#[derive(Clone)]
pub struct Client {
    pub(super) inner: Arc<Inner>,
}

/// What clones of a client share.
pub(super) struct Inner {
    pub(super) settings: ClientSettings,
    pub(super) memory: Memory,
    pub(super) net: fusion_net::Client,
    pub(super) served: Served,
    pub(super) card: ModelCard,
    pub(super) model: PublicModel,
    pub(super) hint: Hint,
    trust: Trust,
    /// How long the server took to answer a small question: about a round trip.
    round_trip: Duration,
    hint_cached: bool,
}

impl Client {
    /// Connects, checks the card and the trust in it, and fetches the hint.
    ///
    /// # Errors
    /// A server that is not there ([`Error::NoServer`]), another version, a malformed card, a model
    /// that is not trusted, a hint that is not the card's.
    pub fn connect(settings: ClientSettings) -> Result<Self, Error> {
        Self::connect_telling(settings, &mut silent)
    }

    /// As [`connect`](Self::connect), and tells of the model and the progress of its hint.
    ///
    /// # Errors
    /// As [`connect`](Self::connect).
    pub fn connect_telling(settings: ClientSettings, events: &mut Events<'_>) -> Result<Self, Error> {
        // What cannot be remembered later is noticed now, before anything is asked for.
        let memory = Memory::of(&settings.home);
        memory.check()?;
        // Downloads go on where they stopped, which only the transport can do: it waits for them.
        let connection = fusion_net::ClientSettings { patience: settings.patience, ..settings.connection.clone() };
        let (net, served, card, round_trip) =
            described(&connection, settings.model.as_deref(), &*settings.clock, settings.connect_patience, events)?;
        let model = PublicModel::new(card.program.clone(), card.seed()?)?;
        let refuse = |reason: String| Error::Served { reason };
        let total = served.description.hint_bytes;
        if model.hint_bytes() as u64 != total {
            return Err(refuse(format!(
                "the announced hint has {total} bytes where this program needs {}: it belongs to another model",
                model.hint_bytes()
            )));
        }
        let digest = served.description.hint_digest;
        let known_by = ServedDigests { model: served.card_digest, hint: digest };
        let pin = settings.pin.as_deref().or_else(|| settings.model.as_deref().filter(|model| is_digest(model)));
        let asked = Asked { address: &settings.connection.address, model: settings.model.as_deref(), card_name: &card.name };
        let trust = memory.trust(asked, known_by, pin)?;
        events(Event::Connected { card: &card, trust });
        let cache = HintCache::new(settings.home.join("hints"));
        let hint_cached = cache.path(digest).is_file();
        let path = net.fetch_hint(&served, &cache, &mut |p| match p.waits_for {
            Some(wait) => events(Event::HintWaits(wait)),
            None => events(Event::Hint { done: p.done, total }),
        })?;
        let hint = Hint::open(&model, &path)?;
        Ok(Self { inner: Arc::new(Inner { settings, memory, net, served, card, model, hint, trust, round_trip, hint_cached }) })
    }

    /// The model's card.
    #[must_use]
    pub fn card(&self) -> &ModelCard {
        &self.inner.card
    }

    /// Why the model is trusted.
    #[must_use]
    pub fn trust(&self) -> Trust {
        self.inner.trust
    }

    /// Whether the hint was in the cache, so that nothing was downloaded.
    #[must_use]
    pub fn hint_was_cached(&self) -> bool {
        self.inner.hint_cached
    }

    /// The terms of lanes.
    #[must_use]
    pub fn terms(&self) -> LaneTerms {
        self.inner.terms()
    }

    /// How many lanes run side by side.
    #[must_use]
    pub fn lanes(&self) -> usize {
        let Inner { settings, served, round_trip, .. } = &*self.inner;
        let allowed = match served.limits.lanes_per_client {
            0 => usize::MAX,
            limit => limit as usize,
        };
        settings.lanes.unwrap_or_else(|| lanes_for(settings.cores, *round_trip).min(allowed)).max(1)
    }

    /// The answers on public images that the owner of the model has published, if there are any:
    /// downloaded whole, so that the server learns nothing of what they are wanted for.
    ///
    /// # Errors
    /// A download that fails, or is not what the card names.
    pub fn answer_sheet(&self) -> Result<Option<AnswerSheet>, Error> {
        let Inner { settings, net, card, .. } = &*self.inner;
        let Some(facts) = card.answers else { return Ok(None) };
        let cache = HintCache::new(settings.home.join("answers"));
        let path = net.fetch_published((facts.digest, facts.bytes), &cache, &mut |_| ())?;
        let bytes = std::fs::read(&path).map_err(Error::file(&path))?;
        Ok(Some(AnswerSheet::decode(&bytes, card.classes())?))
    }

    /// Those of `candidates` that the run kept in `journal` has answered, as public samples: its
    /// conclusive queries, and its public samples that were answered rightly. Nobody else knows
    /// what they show.
    ///
    /// # Errors
    /// A run of another model, one that was not accepted, or one of a program that kept no digests
    /// of its images; files that cannot be read.
    pub fn earlier(&self, mix: &MixSettings, journal: &Path, candidates: Vec<Sample>) -> Result<PublicPool, Error> {
        let hint = self.inner.served.description.hint_digest.to_string();
        PublicPool::of_run(journal, candidates, &hint, mix.flips(Some(self.card()))?)
    }

    /// The plan for `queries` queries among the public samples of `pool`.
    ///
    /// # Errors
    /// [`Error::NoClaim`], [`Error::SheetBelowClaim`] if the published answers are worse than what
    /// is claimed or than what is to be noticed, [`Error::Image`] for a label beyond the model's
    /// classes, [`Error::Mix`] if there is no plan.
    pub fn plan(&self, mix: &MixSettings, queries: usize, pool: &PublicPool) -> Result<Plan, Error> {
        if queries == 0 {
            return Err(Error::NoInputs);
        }
        pool.check_classes(self.card().classes())?;
        self.check_sheet(mix, pool)?;
        let card = Some(self.card());
        let queries = u32::try_from(queries).unwrap_or(u32::MAX);
        Ok(mix.plan(&mix.request(queries, &pool.facts(mix.flips(card)?), card)?)?)
    }

    /// Refuses published answers that are worse than what is claimed, but for bad luck of an honest
    /// owner with chance alpha, or as good as a model at the accuracy to be noticed is with more
    /// than chance beta.
    fn check_sheet(&self, mix: &MixSettings, pool: &PublicPool) -> Result<(), Error> {
        let own = pool.parts().iter().any(|part| matches!(part.known_from, KnownFrom::AnswerSheet | KnownFrom::EarlierRuns));
        let Some(sheet) = pool.sheet() else {
            return if own && mix.detect_below.is_some() { Err(Error::NothingTells) } else { Ok(()) };
        };
        let refuse = |wanted: String| Err(Error::SheetBelowClaim { sheet: *sheet, wanted });
        match (mix.claimed(Some(self.card())), mix.detect_below) {
            (Some(claimed), _) if sheet.chance_under(claimed) < mix.alpha => refuse(format!("where {:.2}% are claimed", 100.0 * claimed)),
            (_, Some(least)) if sheet.chance_over(least) > mix.beta => {
                refuse(format!("which a model of {:.2}% reaches too often", 100.0 * least))
            }
            _ => Ok(()),
        }
    }
}

/// The models of a server, as it lists them: names to choose from. Nothing is trusted.
///
/// # Errors
/// A server that is not there ([`Error::NoServer`]), or that knows no such question.
pub fn models_of(connection: fusion_net::ClientSettings) -> Result<Vec<ModelFacts>, Error> {
    fusion_net::Client::connect(connection).and_then(|net| net.models()).map_err(not_there)
}

/// The card of the model that a server serves, of several the one called `model`, and how long the
/// server took to describe it: about a round trip. For plans: nothing is trusted and nothing
/// downloaded.
///
/// # Errors
/// As [`Client::connect`], but for trust and hint.
pub fn card_of(connection: fusion_net::ClientSettings, model: Option<&str>, clock: &dyn Clock) -> Result<(ModelCard, Duration), Error> {
    let (_, _, card, round_trip) = described(&connection, model, clock, Duration::ZERO, &mut silent)?;
    Ok((card, round_trip))
}

/// A connection to a server, what it serves, and how long it took to say so.
fn described(
    connection: &fusion_net::ClientSettings,
    model: Option<&str>,
    clock: &dyn Clock,
    patience: Duration,
    events: &mut Events<'_>,
) -> Result<(fusion_net::Client, Served, ModelCard, Duration), Error> {
    let answered = patiently(clock, patience, events, |_| {
        let net = fusion_net::Client::connect(connection.clone())?;
        let (mut round_trip, mut tries) = (Duration::MAX, 0);
        loop {
            let asked = clock.now();
            let served = net.describe_model(model.unwrap_or_default())?;
            round_trip = round_trip.min(clock.now().saturating_sub(asked));
            tries += 1;
            // A near server that is busy answers late, too: of a few answers one tells them apart.
            if round_trip < LONG_ROUND_TRIP || tries == DESCRIPTIONS {
                return Ok((net, served, round_trip));
            }
        }
    });
    let address = || connection.address.clone();
    let (net, served, round_trip) = answered.map_err(|error| match (error, model) {
        (NetError::Mismatch(Mismatch::Model), Some(model)) => Error::NoSuchModel { address: address(), model: model.to_owned() },
        (NetError::Mismatch(Mismatch::Unnamed), None) => Error::WhichModel { address: address() },
        (error, _) => not_there(error),
    })?;
    let card = checked_card(&served)?;
    // An earlier release answers with its only model, whatever it is asked for; a cheat with any.
    let is_meant = |model: &str| match is_digest(model) {
        // A card may call itself by another's digest.
        true => model.eq_ignore_ascii_case(&served.card_digest.to_string()),
        false => model == card.name,
    };
    if let Some(model) = model.filter(|model| !is_meant(model)) {
        return Err(Error::NoSuchModel { address: address(), model: model.to_owned() });
    }
    Ok((net, served, card, round_trip))
}

fn not_there(error: NetError) -> Error {
    if matches!(error, NetError::Unreachable { .. }) { Error::NoServer(error) } else { Error::Net(error) }
}

/// Whether this is how digests are written: then it names one model for ever.
fn is_digest(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

impl Inner {
    pub(super) fn terms(&self) -> LaneTerms {
        self.settings.terms.unwrap_or_else(|| terms_for(self.settings.cores, self.round_trip, self.model.program()))
    }
}

/// The card, if it is what the server announces and this program understands.
fn checked_card(served: &Served) -> Result<ModelCard, Error> {
    let refuse = |reason: String| Error::Served { reason };
    let version = served.description.params_version;
    if version != LANE_VERSION {
        return Err(refuse(format!("the server runs parameters version {version}, this program {LANE_VERSION}")));
    }
    let card = ModelCard::decode(&served.description.card)?;
    let facts = card.hint.ok_or_else(|| refuse("its card names no hint".to_owned()))?;
    if facts.digest != served.description.hint_digest || facts.bytes != served.description.hint_bytes {
        return Err(refuse("the server announces another hint than its card".to_owned()));
    }
    Ok(card)
}
