//! `fusion plan`, `fusion verify` and `fusion audit`: thin layers over `fusion-mix`.

use anyhow::{Context, Result};
use fusion::mix::audit::{AuditLog, LabelSource};
use fusion::mix::mix::MAX_SAMPLES;
use fusion::mix::overview::{audit_overview, plan_overview};
use fusion::mix::verify::RevealRejected;
use fusion::model::package::Package;

use crate::cli::{AuditArgs, PlanArgs, VerifyArgs};
use crate::outcome::{exit_code, write_html, write_json};
use crate::predict::sample_cost;
use crate::report::{audit_text, plan_text, report_text};
use crate::settings::home;
use crate::terminal::show;

/// Confidence of the intervals that are shown.
const CONFIDENCE: f64 = 0.95;

/// `fusion plan`.
///
/// # Errors
/// No plan, or a card or tally that cannot be read.
pub(crate) fn plan(args: &PlanArgs) -> Result<u8> {
    let card = args.model.as_deref().map(Package::read_card).transpose()?;
    let pool = args.pool.unwrap_or(MAX_SAMPLES as u32);
    let mix = args.mix.settings();
    let mut request = mix.request(args.queries, pool, card.as_ref())?;
    if let Some(digest) = &args.audited {
        let audit = AuditLog::load(&home()?.join("audit.json"))?;
        let known = audit.accuracy(digest, LabelSource::from(&request.labels), 1.0 - request.beta)?;
        request.audited = Some(known.with_context(|| format!("nothing is audited under the digest {digest}"))?);
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
    let report = fusion::verify(&args.run, args.show_rejected_answers.then_some(RevealRejected))?;
    show(report_text(&report))?;
    if let Some(path) = &args.json {
        write_json(path, &report.to_json())?;
    }
    if let Some(path) = &args.html {
        write_html(path, &report)?;
    }
    Ok(exit_code(&report))
}

/// `fusion audit`.
///
/// # Errors
/// A tally that cannot be read.
pub(crate) fn audit(args: &AuditArgs) -> Result<u8> {
    let path = home()?.join("audit.json");
    let overview = audit_overview(&AuditLog::load(&path)?, args.digest.as_deref(), CONFIDENCE)?;
    if overview.models.is_empty() {
        show(format_args!("Nothing is audited yet in {}: every verified batch adds its public samples.", path.display()))?;
    } else {
        show(audit_text(&overview))?;
    }
    if let Some(path) = &args.json {
        write_json(path, &overview)?;
    }
    Ok(0)
}
