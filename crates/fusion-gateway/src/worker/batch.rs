//! Batches: when one begins, how it runs, and what becomes of it after whatever interruption.
//!
//! A batch takes its images in one transaction, and gives them their verdict in another. Between
//! the two its journal is what counts: a journal that has begun is resumed, and one that has not is
//! begun, so a gateway that is killed goes on where it was.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::Path;
use std::time::Duration;

use fusion::client::{JournalError, Outcome, encode, read_facts};
use fusion::images::Sample;
use fusion::mix::report::AnswerLine;
use fusion::mix::verify::Verdict;
use fusion::{Error, Event, Inputs, Journal};
use rand::rand_core::UnwrapErr;
use rand::rngs::SysRng;

use super::link::{Link, Links, state_after};
use super::provisional::answer;
use super::waits::{Backoff, LOOK, in_words, is_held, trouble};
use crate::ids;
use crate::settings::journal_of;
use crate::shared::{Happened, Progress, ServerState, Shared, now};
use crate::shown::shown;
use crate::store::{BatchRow, Ending, Label, Member};

/// Longest wait before a batch that came to no end is tried again.
const LONGEST: Duration = Duration::from_secs(3600);

/// Runs batches until the gateway stops.
pub(super) fn work(shared: &Shared, links: &Links) {
    let mut backoff = Backoff::new(LONGEST);
    while !shared.stops() {
        match step(shared, links) {
            Ok(Step::Idle { seen, most }) => shared.wait(seen, most),
            Ok(Step::Ended) => backoff = Backoff::new(LONGEST),
            Ok(Step::Failed) => backoff.pause(shared),
            Err(error) => trouble(shared, &error),
        }
    }
}

enum Step {
    /// Nothing is due before somebody wakes the workers, or this time is over.
    Idle { seen: u64, most: Duration },
    /// A batch ended with a verdict.
    Ended,
    /// One came to no end now.
    Failed,
}

fn step(shared: &Shared, links: &Links) -> rusqlite::Result<Step> {
    let seen = shared.wakes();
    if let Some(batch) = shared.store.running_batch()? {
        return run(shared, links, &batch);
    }
    let most = if is_held(shared) { LOOK } else { due_in(shared)? };
    if !most.is_zero() {
        return Ok(Step::Idle { seen, most: most.clamp(Duration::from_millis(50), LOOK) });
    }
    let Some(link) = links.get(shared) else { return Ok(Step::Failed) };
    let Some(id) = ids::fresh() else {
        shared.server_is(ServerState::Refused, Some("the operating system has no randomness".to_owned()));
        return Ok(Step::Failed);
    };
    let most = shared.settings.most.in_batch;
    if shared.store.begin_batch(&id, most, &link.hint, &shown(&link.client.card().name), now())? > 0 {
        tell(shared, &id, &shared.store.members(&id)?);
    }
    // The next step runs it.
    Ok(Step::Idle { seen, most: Duration::ZERO })
}

/// Tells of a batch and of its images, and of what follows for everybody: whether one runs, and
/// whether the server is still asked.
fn tell(shared: &Shared, batch: &str, members: &[Member]) {
    let image = |member: &Member| Happened::Image { user: member.user.clone(), id: member.id.clone() };
    members.iter().for_each(|member| shared.tell(image(member)));
    shared.tell(Happened::Batch { id: batch.to_owned() });
    shared.tell(Happened::State);
}

/// How long until a batch is due, if no more images come.
fn due_in(shared: &Shared) -> rusqlite::Result<Duration> {
    let waiting = shared.store.waiting()?;
    let Some(oldest) = waiting.oldest else {
        // What somebody wanted a batch of is gone.
        shared.store.want_no_batch()?;
        return Ok(LOOK);
    };
    if waiting.count >= shared.settings.batch || shared.store.is_batch_wanted()? {
        return Ok(Duration::ZERO);
    }
    let age = Duration::from_millis(u64::try_from(now() - oldest).unwrap_or(0));
    Ok(shared.settings.every.saturating_sub(age))
}

/// Runs a batch, or goes on with it, to its end if it can be.
fn run(shared: &Shared, links: &Links, batch: &BatchRow) -> rusqlite::Result<Step> {
    let Some(link) = links.get(shared) else { return Ok(Step::Failed) };
    let journal = journal_of(&shared.directory, &batch.id);
    let begun = read_facts(&journal);
    let asked = !matches!(begun, Err(JournalError::NoRun { .. } | JournalError::NotBegun { .. }));
    let withdraw = |reason: String, asked: bool| {
        tracing::warn!(batch = batch.id, %reason, "a batch comes to no end; its images wait again");
        let members = shared.store.members(&batch.id)?;
        shared.store.withdraw(&batch.id, &reason, asked, now())?;
        if !asked {
            // What a kill left of a journal that had not begun; nothing refers to it any more.
            let _ = std::fs::remove_dir_all(&journal);
        }
        tell(shared, &batch.id, &members);
        Ok(Step::Failed)
    };
    if batch.hint != link.hint {
        return withdraw("the server serves another model now".to_owned(), asked);
    }
    if let Err(error) = &begun
        && asked
    {
        return withdraw(in_words(error), true);
    }
    let images = shared.store.images_of(&batch.id)?;
    let inputs = Inputs::from(images.into_iter().map(|(id, bytes)| Sample::of_bytes(id, bytes)).collect::<Vec<_>>());
    let outcome = catch_unwind(AssertUnwindSafe(|| query(shared, &link, &inputs, &journal, asked)));
    shared.progress_is(None);
    let error = match outcome {
        Ok(Ok(outcome)) => return end(shared, &link, batch, &outcome),
        Ok(Err(error)) => error,
        Err(payload) if payload.is::<Stopped>() => return Ok(Step::Failed),
        Err(payload) => resume_unwind(payload),
    };
    links.lost(&link);
    let asked = read_facts(&journal).is_ok();
    match Trouble::of(&error, asked) {
        Trouble::Waits => {
            tracing::warn!(batch = batch.id, error = in_words(&error), "a batch is interrupted; it will go on");
            let cause = if let Error::Incomplete { cause, .. } = &error { cause } else { &error };
            shared.server_is(state_after(cause), Some(in_words(&error)));
            Ok(Step::Failed)
        }
        Trouble::Images => {
            let failed = withdraw(in_words(&error), asked)?;
            // If it was none of ours it was a public sample.
            Ok(if leave_out(shared, &link, &inputs)? > 0 { Step::Ended } else { failed })
        }
        Trouble::Ends => {
            shared.server_is(ServerState::Refused, Some(in_words(&error)));
            withdraw(in_words(&error), asked)
        }
    }
}

/// The gateway stops: what `query` ends with then.
struct Stopped;

fn query(shared: &Shared, link: &Link, inputs: &Inputs, journal: &Path, asked: bool) -> Result<Outcome, Error> {
    let mut events = |event: Event<'_>| {
        if shared.stops() {
            // The run stops, and what its lanes have answered is in the journal first. Nothing is
            // wrong, so nothing is printed.
            resume_unwind(Box::new(Stopped));
        }
        #[expect(clippy::wildcard_enum_match_arm, reason = "other events are of no interest")]
        match event {
            Event::Lanes(progress) => {
                if progress.running > 0 {
                    shared.server_is(ServerState::Connected, None);
                }
                shared.progress_is(Some(Progress::from(progress)));
            }
            Event::Waiting { why, .. } => shared.server_is(ServerState::Away, Some(why.to_string())),
            _ => {}
        }
    };
    let mut rng = UnwrapErr(SysRng);
    if asked {
        return link.client.resume(inputs, &link.pool, journal, &mut rng, &mut events);
    }
    let mut mix = shared.settings.mix.clone();
    if let Some(given) = &mut mix.given {
        // Of few images not so many can be undecided as a plan for a full batch allows.
        given.max_inconclusive = given.max_inconclusive.min(u32::try_from(inputs.samples.len()).unwrap_or(u32::MAX));
    }
    let plan = link.client.plan(&mix, inputs.samples.len(), &link.pool)?;
    link.client.query(inputs, &link.pool, &plan, Journal::at(journal), &mut rng, &mut events)
}

/// What an error means for its batch.
enum Trouble {
    /// It goes on later.
    Waits,
    /// An image does not fit the model.
    Images,
    /// It cannot be finished.
    Ends,
}

impl Trouble {
    fn of(error: &Error, asked: bool) -> Self {
        #[expect(clippy::wildcard_enum_match_arm, reason = "whatever is not known to pass does not")]
        match error {
            Error::Incomplete { resumable, .. } if *resumable => Self::Waits,
            Error::NotRecorded { .. } | Error::Memory(_) | Error::File { .. } => Self::Waits,
            Error::Journal(JournalError::Disk { .. } | JournalError::Busy { .. } | JournalError::Facts(_)) => Self::Waits,
            Error::NoServer(_) | Error::Net(_) | Error::OutOfPatience { .. } => Self::Waits,
            Error::Image(_) | Error::Encode { .. } if !asked => Self::Images,
            _ => Self::Ends,
        }
    }
}

/// Ends images that the model cannot read: it is another one than when they came.
fn leave_out(shared: &Shared, link: &Link, inputs: &Inputs) -> rusqlite::Result<usize> {
    let reason = |sample: &Sample| encode(link.client.card(), sample).err().map(|error| in_words(&error));
    let unfit: Vec<(String, String)> = inputs.samples.iter().filter_map(|sample| Some((sample.name.clone(), reason(sample)?))).collect();
    shared.store.unfit(&unfit, now())
}

/// Gives every image of a batch its verdict.
fn end(shared: &Shared, link: &Link, batch: &BatchRow, outcome: &Outcome) -> rusqlite::Result<Step> {
    let report = &outcome.report;
    let card = link.client.card();
    let label = |line: &AnswerLine| line.label.map(|label| answer(card, label));
    let labels: Vec<Label> = report.answers.iter().map(label).collect();
    let ending = match report.verdict {
        Verdict::Accepted => Ending::Accepted(&labels),
        Verdict::RejectedAccuracy | Verdict::RejectedInconsistentCopies => Ending::Rejected,
        // A run without all answers is an error before it is a report.
        Verdict::Incomplete => return Ok(Step::Failed),
    };
    let mut json = outcome.to_json().unwrap_or_else(|error| serde_json::json!({ "error": error.to_string() }));
    // They stand with their images, each of which only its user may see.
    json["answers"] = serde_json::Value::Array(Vec::new());
    shared.store.end_batch(&batch.id, &ending, &json.to_string(), now(), shared.settings.keep_images)?;
    tracing::info!(batch = batch.id, verdict = %report.verdict, "a batch ended");
    tell(shared, &batch.id, &shared.store.members(&batch.id)?);
    Ok(Step::Ended)
}
