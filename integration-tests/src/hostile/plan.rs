//! Which runs there are.

use std::collections::BTreeMap;
use std::sync::Arc;

use fusion_ot::Role;

use super::deviations::{Predicted, cases};
use super::extension::{EXTENSION, extend, grind};
use super::jobs::{Job, Outcome, Run};
use super::lane::{CLIENT, End, Play, SERVER, play};
use super::network::{HONEST, Model, weights};
use super::problem::Problem;
use super::service::{Exchange, Service};
use super::tamper::Mutation;

/// Runs at a time. Some of the service wait for seconds.
pub(super) const AT_ONCE: usize = 4;

/// How much is played.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// Every message of every phase in every mutation, and all deviations.
    Everything,
    /// One message of every phase in two mutations, and short series.
    Sample,
}

/// How an outcome is judged.
#[derive(Debug, Clone, Copy)]
pub(super) enum Judging {
    /// One run.
    Single,
    /// So many batches, of which something is predicted.
    Series(Predicted, u64),
}

const PARTIES: [&str; 2] = ["client", "server"];

/// Batches of a series.
const SERIES: usize = 40;

/// Flips of one bit somewhere in a long message.
const FLIPS: u64 = 12;

type Planned = Vec<(Job, Judging)>;

pub(super) fn jobs(scope: Scope) -> Result<Planned, Problem> {
    let honest = weights(HONEST);
    let model = Arc::new(Model::new(&honest, &honest, 1)?);
    let mut planned = Vec::new();
    of_lanes(scope, &model, &mut planned)?;
    of_extensions(scope, &mut planned)?;
    of_service(scope, &mut planned)?;
    for case in cases(&model, if scope == Scope::Everything { SERIES } else { SERIES / 4 })? {
        let (batches, predicted) = (case.play.batches as u64, case.predicted);
        let run = Box::new(move || {
            let played = play(&case.play)?;
            let ended = played.ends == [End::Finished, End::Finished];
            let fault = (!ended).then(|| format!("a series ended early: {:?}", played.ends));
            Ok(Outcome { judged: played.judged, fault, ..Outcome::default() })
        });
        planned.push((job("whole batches", SERVER, case.name, run), Judging::Series(predicted, batches)));
    }
    Ok(planned)
}

fn job(phase: &str, cheat: usize, trick: &str, run: Run) -> Job {
    Job { phase: phase.to_owned(), cheat: PARTIES[cheat], trick: trick.to_owned(), run }
}

/// Numbers of messages by phase: all, or the first of each phase.
fn chosen(scope: Scope, sent: &[(&'static str, usize)]) -> Vec<(&'static str, usize)> {
    let mut seen = BTreeMap::new();
    let numbered = sent.iter().enumerate().map(|(number, (phase, _))| (*phase, number));
    numbered.filter(|(phase, number)| scope == Scope::Everything || seen.insert(*phase, *number).is_none()).collect()
}

fn mutations(scope: Scope) -> &'static [Mutation] {
    if scope == Scope::Everything { &Mutation::ALL } else { &[Mutation::FlippedBit, Mutation::Shorter] }
}

fn of_lanes(scope: Scope, model: &Arc<Model>, planned: &mut Planned) -> Result<(), Problem> {
    let reference = play(&Play::honest(model, 0))?;
    if reference.ends != [End::Finished, End::Finished] {
        return Err(Problem::Other(format!("an honest lane fails: {:?}", reference.ends)));
    }
    for cheat in [CLIENT, SERVER] {
        let mut messages = chosen(scope, &reference.sent[cheat]);
        messages.sort_by_key(|(phase, number)| (reference.sent[cheat].iter().position(|(first, _)| first == phase), *number));
        for &mutation in mutations(scope) {
            for &(phase, number) in &messages {
                let seed = 1 + planned.len() as u64;
                let play_it = Play { trick: Some((cheat, (number, mutation))), ..Play::honest(model, seed) };
                let run = Box::new(move || {
                    let played = play(&play_it)?;
                    Ok(Outcome {
                        honest: Some(played.ends[1 - cheat].clone()),
                        judged: if cheat == SERVER { played.judged } else { Vec::new() },
                        harmless: Some("the server opens nothing: only its own labels may be wrong".to_owned()),
                        fault: None,
                    })
                });
                planned.push((job(phase, cheat, mutation.name(), run), Judging::Single));
            }
        }
    }
    Ok(())
}

fn of_extensions(scope: Scope, planned: &mut Planned) -> Result<(), Problem> {
    let reference = extend(None, 0)?;
    if reference.fit != Some(true) {
        return Err(Problem::Other(format!("an honest extension fails: {:?}", reference.ends)));
    }
    // What the checks of the protocol cover may not come out wrong.
    let extending = |cheat: usize, number: usize, mutation: Mutation, seed: u64, checked: bool| -> Run {
        Box::new(move || {
            let extended = extend(Some((cheat, (number, mutation))), seed)?;
            let fits = match extended.fit {
                Some(true) => "the OTs are the same",
                Some(false) => "its own OTs are wrong: what it makes of them is left to verification",
                None => "it failed itself, after the other had all it needs",
            };
            let honest = Some(extended.ends[1 - cheat].clone());
            let missed = checked && extended.fit == Some(false);
            let fault = missed.then(|| "the check of the extension has passed, and its OTs are wrong".to_owned());
            Ok(Outcome { honest, harmless: Some(fits.to_owned()), fault, ..Outcome::default() })
        })
    };
    for cheat in [CLIENT, SERVER] {
        let sent = &reference.sent[cheat];
        let messages: Vec<usize> = (0..sent.len()).filter(|&number| sent[number].0 == EXTENSION).collect();
        let few = if scope == Scope::Everything { messages.len() } else { 1 };
        // Those before the last are rows of SoftSpoken in equal pieces, of which a lane changes
        // each.
        let ends = messages.iter().take(2).chain(messages.iter().rev().take(4).rev());
        let mut numbers: Vec<usize> = ends.copied().collect();
        numbers.sort_unstable();
        numbers.dedup();
        numbers.reverse();
        numbers.truncate(few);
        for &mutation in &mutations(scope)[..if scope == Scope::Everything { 9 } else { 1 }] {
            for &number in &numbers {
                let run = extending(cheat, number, mutation, 5000 + planned.len() as u64, false);
                planned.push((job(EXTENSION, cheat, mutation.name(), run), Judging::Single));
            }
        }
        let longest = (0..sent.len()).filter(|&number| sent[number].0 == EXTENSION).max_by_key(|&number| sent[number].1);
        let trick = if cheat == SERVER { "malformed trees: one bit of a level sum" } else { "one bit of its corrections" };
        for flip in 0..if scope == Scope::Everything { FLIPS } else { 1 } {
            let run = extending(cheat, longest.unwrap_or(0), Mutation::FlippedBit, 9000 + 100 * cheat as u64 + flip, true);
            planned.push((job(EXTENSION, cheat, trick, run), Judging::Single));
        }
    }
    for (role, cheat) in [(Role::First, CLIENT), (Role::Second, SERVER)] {
        let run = Box::new(move || {
            let ground = grind(role, 40)?;
            let fault = (ground.learned || ground.guesses == 0).then(|| format!("a ground receiver learns Delta: {ground:?}"));
            let harmless = format!("all is well-formed; none of its {} guesses is Delta", ground.guesses);
            Ok(Outcome { honest: Some(End::Finished), harmless: Some(harmless), fault, ..Outcome::default() })
        });
        planned.push((job(EXTENSION, cheat, "a ground receiver", run), Judging::Single));
    }
    Ok(())
}

fn of_service(scope: Scope, planned: &mut Planned) -> Result<(), Problem> {
    let service = Arc::new(Service::start()?);
    let lanes: &[u64] = if scope == Scope::Everything { &[0, 1, 7, 25] } else { &[0, 1] };
    let exchanges = [Exchange::Describe, Exchange::Hint].into_iter().chain(lanes.iter().map(|&number| Exchange::Lane(number)));
    for exchange in exchanges {
        for cheat in [CLIENT, SERVER] {
            for &mutation in mutations(scope) {
                let service = Arc::clone(&service);
                let run = Box::new(move || {
                    let (honest, judged) = service.run(exchange, cheat, mutation)?;
                    let harmless = Some("what arrives is read once".to_owned());
                    Ok(Outcome { honest: Some(honest), judged: judged.into_iter().collect(), harmless, fault: None })
                });
                planned.push((job(exchange.phase(), cheat, mutation.name(), run), Judging::Single));
            }
        }
    }
    Ok(())
}
