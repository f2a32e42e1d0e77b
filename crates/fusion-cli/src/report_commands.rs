//! `fusion plan`, `fusion verify` and `fusion audit`: thin layers over `fusion-mix`.

use std::path::Path;

use anyhow::{Result, bail};
use fusion::client::{audit_log, card_of, read_facts};
use fusion::images::Sample;
use fusion::mix::mix::MAX_SAMPLES;
use fusion::mix::overview::{audit_overview, plan_overview};
use fusion::mix::pool::KnownFrom;
use fusion::mix::verify::RevealRejected;
use fusion::model::package::Package;
use fusion::{Error, PoolFacts, SystemClock};

use crate::cli::{AuditArgs, PlanArgs, VerifyArgs};
use crate::outcome::{Files, every, exit_code, write_json};
use crate::predict::sample_cost;
use crate::report::{audit_text, plan_text, report_text};
use crate::settings::home;
use crate::sources::Sources;
use crate::terminal::show;

/// Confidence of the intervals that are shown.
const CONFIDENCE: f64 = 0.95;

/// `fusion plan`.
///
/// # Errors
/// No plan, or a card that cannot be read or had.
pub(crate) fn plan(args: &PlanArgs) -> Result<u8> {
    let card = match (&args.model, &args.connect.server) {
        (model, Some(server)) if model.as_ref().is_none_or(|path| !path.exists()) => {
            let name = model.as_ref().map(|name| name.to_string_lossy());
            Some(card_of(args.connect.settings(server)?, name.as_deref(), &SystemClock::new())?.0)
        }
        (Some(path), _) => Some(Package::read_card(path)?),
        (None, _) => None,
    };
    let mix = args.mix.settings();
    let known_from = match &card {
        _ if args.mix.certified => KnownFrom::Certified,
        Some(card) if card.answers.is_some() => KnownFrom::AnswerSheet,
        _ => KnownFrom::GroundTruth,
    };
    // Answers that are published are decided: an honest server gives them, but for a vanishing
    // rate.
    let mismatch = if known_from == KnownFrom::Certified { mix.flips(card.as_ref())?.rate() } else { 0.0 };
    let pool = PoolFacts { size: args.pool.unwrap_or(MAX_SAMPLES as u32), known_from, mismatch };
    let request = mix.request(args.queries, &pool, card.as_ref())?;
    if args.measured.is_some() && card.is_none() {
        bail!("--measured predicts the cost of a model: name it with --model or --server");
    }
    let cost = card.as_ref().map(|card| sample_cost(&card.program, args.link, args.measured.as_deref())).transpose()?;
    let overview = plan_overview(&request, mix.mix(args.queries)?, cost.as_ref())?;
    show(plan_text(&overview))?;
    if let Some(path) = &args.json {
        write_json(path, &overview)?;
    }
    Ok(0)
}

/// `fusion verify`.
///
/// # Errors
/// A directory that is no run, or is damaged.
pub(crate) fn verify(args: &VerifyArgs) -> Result<u8> {
    let files = Files { json: args.json.as_deref(), csv: args.csv.as_deref(), html: args.html.as_deref() };
    files.check()?;
    let report = fusion::verify(&args.run, args.show_rejected_answers.then_some(RevealRejected))?;
    let queries = if args.html.is_some() { queries_of(&args.run)? } else { Vec::new() };
    every([show(report_text(&report)), files.write(&report, &report.to_json(), &queries)])?;
    Ok(exit_code(&report))
}

/// The images of a run's answers, for small pictures: a page does without those that are gone.
fn queries_of(run: &Path) -> Result<Vec<Sample>> {
    let facts = read_facts(run).map_err(Error::from)?;
    let sources = Sources::of_run(run, facts.inputs.source);
    let samples = sources.and_then(|sources| Ok(sources.queries()?.samples)).unwrap_or_default();
    Ok(facts.inputs.files.iter().map_while(|file| samples.iter().find(|s| s.name == *file).cloned()).collect())
}

/// `fusion audit`.
///
/// # Errors
/// A tally that cannot be read.
pub(crate) fn audit(args: &AuditArgs) -> Result<u8> {
    let home = home()?;
    let log = audit_log(&home).map_err(Error::from)?;
    let overview = audit_overview(&log, args.digest.as_deref(), CONFIDENCE)?;
    if overview.models.is_empty() {
        show(format_args!("Nothing is audited yet in {}: every verified batch adds its public samples.", home.display()))?;
    } else {
        show(audit_text(&overview))?;
    }
    if let Some(path) = &args.json {
        write_json(path, &overview)?;
    }
    Ok(0)
}
