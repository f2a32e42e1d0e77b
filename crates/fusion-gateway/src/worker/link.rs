//! The connection to the server, had by whoever needs it first, and waited for without end.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use fusion::net::NetError;
use fusion::{Client, Error, PublicPool};

use super::waits::{Backoff, in_words};
use crate::shared::{Model, ServerState, Shared};
use crate::store::SeenModel;

/// Longest wait before a server that is away is tried again.
const LONGEST: Duration = Duration::from_secs(60);

/// A server that is reached, whose model is trusted, and the public samples for it.
pub(super) struct Link {
    pub(super) client: Client,
    pub(super) pool: PublicPool,
    /// Digest of the model's hint.
    pub(super) hint: String,
}

/// The link, if there is one now.
#[derive(Default)]
pub(super) struct Links(Mutex<Option<Arc<Link>>>);

impl Links {
    /// The link; made, and waited for as long as it takes, if there is none. None if the gateway
    /// stops.
    pub(super) fn get(&self, shared: &Shared) -> Option<Arc<Link>> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(link) = &*kept {
            return Some(Arc::clone(link));
        }
        let mut backoff = Backoff::new(LONGEST);
        while !shared.stops() {
            match connect(shared) {
                Ok(link) => {
                    let link = Arc::new(link);
                    *kept = Some(Arc::clone(&link));
                    shared.server_is(ServerState::Connected, None);
                    return Some(link);
                }
                Err((state, reason)) => {
                    tracing::warn!(%reason, "the server cannot be used; trying again");
                    shared.server_is(state, Some(reason));
                }
            }
            backoff.pause(shared);
        }
        None
    }

    /// Forgets a link that led nowhere.
    pub(super) fn lost(&self, link: &Arc<Link>) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.as_ref().is_some_and(|current| Arc::ptr_eq(current, link)) {
            *kept = None;
        }
    }
}

fn connect(shared: &Shared) -> Result<Link, (ServerState, String)> {
    let refused = |reason: String| (ServerState::Refused, reason);
    let client = Client::connect(shared.settings.client.clone()).map_err(|error| (state_after(&error), in_words(&error)))?;
    let card = client.card();
    let hint = card.hint.ok_or_else(|| refused("the card names no hint".to_owned()))?.digest.to_string();
    let pool = (shared.settings.pool)(&client).map_err(refused)?;
    // Without a plan no batch could ever run: better known now than with the first full batch.
    let most = usize::try_from(shared.settings.batch.max(1)).unwrap_or(usize::MAX);
    let plan = client.plan(&shared.settings.mix, most, &pool).map_err(|error| refused(in_words(&error)))?;
    if !plan.is_sound() && !shared.settings.client.allow_unsound {
        return Err(refused(
            "the plan that is given lets cheating pass more often than it may: give --allow-unsound, or another".to_owned(),
        ));
    }
    let encoded = card.encode().map_err(|error| refused(error.to_string()))?;
    let seen = SeenModel { hint: hint.clone(), card: encoded };
    shared.store.see_model(&seen).map_err(|error| refused(format!("the gateway's database fails: {error}")))?;
    shared.model_is(Model { card: Arc::new(card.clone()), hint: hint.clone() });
    Ok(Link { client, pool, hint })
}

/// Whether waiting may help, or somebody has to act.
pub(super) fn state_after(error: &Error) -> ServerState {
    #[expect(clippy::wildcard_enum_match_arm, reason = "whatever else it is, waiting does not change it")]
    match error {
        Error::NoServer(_)
        | Error::OutOfPatience { .. }
        | Error::Net(
            NetError::Unreachable { .. }
            | NetError::Closed
            | NetError::Timeout { .. }
            | NetError::Transport(_)
            | NetError::Limit { .. }
            | NetError::ShuttingDown
            | NetError::PeerFailed(_),
        ) => ServerState::Away,
        _ => ServerState::Refused,
    }
}
