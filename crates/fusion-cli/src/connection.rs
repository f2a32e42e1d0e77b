//! The way to a server whose model is known and trusted: describe, check the card, trust the digest, fetch the hint.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use fusion_mix::verify::RevealRejected;
use fusion_model::card::ModelCard;
use fusion_net::{Client, ClientSecurity, ClientSettings, HintCache, KeyPair, Served, Token};
use fusion_nn::exec::{Hint, PublicModel};

use crate::cli::ConnectArgs;
use crate::progress::bar;
use crate::serve::TOKEN_VARIABLE;
use crate::served::PARAMS_VERSION;
use crate::trust::{Trust, TrustStore};

/// Everything that a run needs to know from its user.
#[derive(Debug, Clone)]
pub struct QuerySettings {
    /// The server.
    pub client: ClientSettings,
    /// Directory of the user's caches and known models.
    pub home: PathBuf,
    /// Pinned hint digest.
    pub pin: Option<String>,
    /// Lanes side by side.
    pub lanes: Option<usize>,
    /// Samples in one lane.
    pub lane_samples: Option<u32>,
    /// Lane runs that may fail.
    pub max_failures: u32,
    /// Consent to see answers of a rejected batch.
    pub reveal_rejected: Option<RevealRejected>,
    /// Print the progress of lanes.
    pub progress: bool,
}

/// A server whose model is known, trusted and ready to be used.
pub struct Connected {
    pub(crate) client: Client,
    pub(crate) served: Served,
    /// The model's card.
    pub card: ModelCard,
    pub(crate) model: PublicModel,
    pub(crate) hint: Hint,
    /// How long the server took to answer a small question: about a round trip.
    pub(crate) round_trip: Duration,
}

/// Connects, checks the card and the trust in it, and fetches the hint.
///
/// # Errors
/// A server that is not there, another version, a malformed card, a model that is not trusted, a hint that is not the card's.
pub fn connect(settings: &QuerySettings) -> Result<Connected> {
    let client = Client::connect(settings.client.clone()).context("is the server running? (`fusion serve PACKAGE`)")?;
    let asked = Instant::now();
    let served = client.describe()?;
    let round_trip = asked.elapsed();
    if served.description.params_version != PARAMS_VERSION {
        bail!("the server runs parameters version {}, this program {PARAMS_VERSION}", served.description.params_version);
    }
    let card = ModelCard::decode(&served.description.card).context("the server's model card is refused")?;
    let facts = card.hint.context("the server's model card names no hint")?;
    if facts.digest.as_bytes() != served.description.hint_digest.as_bytes() || facts.bytes != served.description.hint_bytes {
        bail!("the server announces another hint than its model card");
    }
    let trust = TrustStore::new(&settings.home).check(&settings.client.address, served.description.hint_digest, settings.pin.as_deref())?;
    let model = PublicModel::new(card.program.clone(), card.seed()?).context("the server's model cannot be evaluated")?;
    if model.hint_bytes() as u64 != facts.bytes {
        bail!("the announced hint has {} bytes where this program needs {}: it belongs to another model", facts.bytes, model.hint_bytes());
    }
    eprintln!("Model:    {} ({} classes), {}", card.name, card.classes(), claim_text(&card));
    let trusted = match trust {
        Trust::Pinned => "pinned",
        Trust::FirstUse => "first use, remembered from now on",
        Trust::Known => "as before",
    };
    eprintln!("Digest:   {} ({trusted})", facts.digest);
    let bar = bar(settings.progress, facts.bytes, "hint      {bar:30} {binary_bytes} of {binary_total_bytes}, {binary_bytes_per_sec}");
    let cache = HintCache::new(settings.home.join("hints"));
    let path = client.fetch_hint(&served, &cache, &mut |p| bar.set_position(p.done))?;
    bar.finish_and_clear();
    let hint = Hint::open(&model, &path)?;
    Ok(Connected { client, served, card, model, hint, round_trip })
}

fn claim_text(card: &ModelCard) -> String {
    card.claim.as_ref().map_or_else(|| "no claimed accuracy".to_owned(), |c| format!("claims {:.1}% on {}", 100.0 * c.top1, c.dataset))
}

impl ConnectArgs {
    /// The client's settings; `fallback` is the server if none is named.
    ///
    /// # Errors
    /// A token that cannot be read.
    pub fn settings(&self, fallback: &str) -> Result<ClientSettings> {
        let token = match &self.token_file {
            Some(path) => Some(Token::from_file(path)?),
            None => Token::from_env(TOKEN_VARIABLE)?,
        };
        let identity = self.client_cert.clone().zip(self.client_key.clone()).map(|(certificate, key)| KeyPair { certificate, key });
        let mut settings = ClientSettings::new(self.server.as_deref().unwrap_or(fallback));
        settings.security =
            ClientSecurity { server_ca: self.tls_ca.clone(), server_name: self.tls_name.clone(), identity, token, insecure: self.insecure };
        Ok(settings)
    }
}
