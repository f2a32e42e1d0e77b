//! Provisional labels: waiting images run through the network once, unmixed and unverified.
//!
//! The server sees that such a lane holds queries, and may answer them rightly or wrongly as it
//! likes: what it says here decides nothing. Its answers in batches do.

use std::sync::Arc;

use fusion::client::{FailureKind, LaneResult, Next, RunError, Told, encode};
use fusion::images::Sample;
use fusion::model::card::ModelCard;
use fusion::nn::exec::{EncodedImage, Opened};
use rand::rand_core::UnwrapErr;
use rand::rngs::SysRng;

use super::link::{Link, Links};
use super::waits::{Backoff, LOOK, in_words, is_held, trouble};
use crate::shared::{Happened, ServerState, Shared, now};
use crate::shown::shown;
use crate::store::{Answer, ToAsk};

/// Images in one lane: many share its set-up, and none waits long for the others.
const IN_LANE: u32 = 16;

/// Gives provisional labels until the gateway stops.
pub(super) fn work(shared: &Shared, links: &Links) {
    let mut backoff = Backoff::new(LOOK);
    while !shared.stops() {
        let seen = shared.wakes();
        if is_held(shared) {
            shared.wait(seen, LOOK);
            continue;
        }
        let Some(link) = links.get(shared) else { return };
        // A server that was away may have been caught meanwhile.
        if is_held(shared) {
            continue;
        }
        let images = match shared.store.to_ask(&link.hint, IN_LANE) {
            Ok(images) => images,
            Err(error) => {
                trouble(shared, &error);
                continue;
            }
        };
        if images.is_empty() {
            shared.wait(seen, LOOK);
            continue;
        }
        match ask(shared, &link, images) {
            Ok(()) => backoff = Backoff::new(LOOK),
            Err(Failure::Database(error)) => trouble(shared, &error),
            Err(Failure::Lane(reason)) => {
                tracing::warn!(%reason, "a provisional lane failed");
                links.lost(&link);
                backoff.pause(shared);
            }
        }
    }
}

enum Failure {
    Database(rusqlite::Error),
    /// In words. Another link is needed.
    Lane(String),
}

impl From<rusqlite::Error> for Failure {
    fn from(error: rusqlite::Error) -> Self {
        Self::Database(error)
    }
}

/// One lane of images.
fn ask(shared: &Shared, link: &Link, images: Vec<ToAsk>) -> Result<(), Failure> {
    let card = link.client.card();
    let (mut fit, mut unfit) = (Vec::new(), Vec::new());
    for ToAsk { seq, id, user, bytes } in images {
        let happened = Happened::Image { user, id: id.clone() };
        match encode(card, &Sample::of_bytes(id.clone(), bytes)) {
            Ok(encoded) => fit.push((seq, happened, encoded)),
            // It fitted the model that was served when it came.
            Err(error) => unfit.push(((id, in_words(&error)), happened)),
        }
    }
    if !unfit.is_empty() {
        let (rows, happened): (Vec<_>, Vec<_>) = unfit.into_iter().unzip();
        shared.store.unfit(&rows, now())?;
        happened.into_iter().for_each(|happened| shared.tell(happened));
    }
    if fit.is_empty() {
        return Ok(());
    }
    let encoded: Vec<Arc<EncodedImage>> = fit.iter().map(|(.., encoded)| Arc::clone(encoded)).collect();
    let seqs: Vec<i64> = fit.iter().map(|(seq, ..)| *seq).collect();
    let answers = match run(shared, link, &encoded) {
        Ok(answers) => answers,
        Err(Ended::Stopped) => return Ok(()),
        Err(Ended::Failed { reason, counts }) => {
            if counts {
                shared.store.provisional_failed(&seqs)?;
                fit.into_iter().for_each(|(_, happened, _)| shared.tell(happened));
            }
            return Err(Failure::Lane(reason));
        }
    };
    let answers: Vec<(i64, Answer)> = seqs.into_iter().zip(answers).collect();
    shared.store.set_provisional(&answers, &link.hint, now())?;
    shared.server_is(ServerState::Connected, None);
    fit.into_iter().for_each(|(_, happened, _)| shared.tell(happened));
    Ok(())
}

/// Why a lane gave no labels.
enum Ended {
    /// The gateway stops, or the server is to be asked nothing more.
    Stopped,
    /// The lane failed.
    Failed {
        /// In words.
        reason: String,
        /// Whether the server had begun to answer: then its images have used up a try.
        counts: bool,
    },
}

/// Runs the lane, and waits for a server that is away as long as the client's patience lasts.
fn run(shared: &Shared, link: &Link, images: &[Arc<EncodedImage>]) -> Result<Vec<Answer>, Ended> {
    let image = |position: u32| images.get(position as usize).cloned().ok_or_else(|| format!("no image at {position}"));
    let mut rng = UnwrapErr(SysRng);
    let lanes = link.client.unverified_lanes(&image, &mut rng);
    let mut ended = Err(Ended::Stopped);
    let failed = |reason: String, counts| Err(Ended::Failed { reason, counts });
    let whole = 0..images.len() as u32;
    lanes.run_all(vec![whole], 1, &mut |told| {
        match told {
            Told::Progress(_) => {}
            Told::Waiting { why, .. } => shared.server_is(ServerState::Away, Some(why.to_string())),
            Told::GivenUp(why) => ended = failed(why.to_string(), false),
            Told::Done(lane) => ended = labels(link.client.card(), &lane, images.len()).or_else(|reason| failed(reason, true)),
            Told::Failed(lane) => match lane.error.kind() {
                // Nothing that this client has checked failed: it is tried again within patience.
                FailureKind::Outage | FailureKind::Busy { .. } => {
                    return if to_stop(shared) { Next::Stop } else { Next::Again };
                }
                FailureKind::Misbehaviour => ended = failed(in_words(&lane.error), true),
                FailureKind::Final => ended = failed(in_words(&lane.error), !matches!(lane.error, RunError::Opening(_))),
            },
        }
        if to_stop(shared) { Next::Stop } else { Next::Go }
    });
    // Whoever was caught while this lane ran is not believed.
    if is_held(shared) { Err(Ended::Stopped) } else { ended }
}

/// Whether nothing more is asked: a server may hold a lane up until it was caught in a batch.
fn to_stop(shared: &Shared) -> bool {
    shared.stops() || is_held(shared)
}

/// What a lane opened, as labels of the model.
fn labels(card: &ModelCard, lane: &LaneResult, images: usize) -> Result<Vec<Answer>, String> {
    let Opened::Labels(labels) = &lane.opened else { return Err("the lane opened something else than labels".to_owned()) };
    if labels.len() != images {
        return Err(format!("{} labels for {images} images", labels.len()));
    }
    if let Some(beyond) = labels.iter().find(|label| **label as usize >= card.classes()) {
        return Err(format!("the label {beyond} is no class of the model"));
    }
    Ok(labels.iter().map(|&label| answer(card, label)).collect())
}

/// A label with the name of its class, which is the server's text.
pub(super) fn answer(card: &ModelCard, label: u32) -> Answer {
    Answer { label, class: card.labels.get(label as usize).map(|class| shown(class)) }
}
