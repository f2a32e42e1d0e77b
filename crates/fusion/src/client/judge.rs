//! A run judged from its journal alone.

use std::path::Path;

use fusion_mix::batch::{BatchAnswers, MixedBatch};
use fusion_mix::plan::{Plan, PlanRequest};
use fusion_mix::report::{Report, ReportContext};
use fusion_mix::verify::{RevealRejected, Verification, verify as judge_answers};

use crate::client::journal::RunDir;
use crate::client::run_facts::RunFacts;
use crate::error::Error;

/// What the journal of a run tells its report.
pub(super) fn context_of(facts: &RunFacts, reveal_rejected: Option<RevealRejected>) -> ReportContext<'_> {
    ReportContext {
        reveal_rejected,
        files: Some(&facts.inputs.files),
        classes: &facts.class_names,
        skipped: facts.inputs.skipped.clone(),
        parts: &facts.pool,
        sheet: facts.sheet,
        ..ReportContext::default()
    }
}

/// The secret batch of a run and its plan.
pub(super) fn load_batch(dir: &RunDir, facts: &RunFacts) -> Result<(MixedBatch, Plan), Error> {
    let batch = MixedBatch::load(&dir.batch_path())?;
    let request = PlanRequest { fires: facts.plan.fires, ..PlanRequest::new(facts.plan.queries, facts.plan.lambda, facts.plan.labels) };
    // How often copies flip, on which this depends, is known to whoever planned.
    let plan = Plan { false_reject: facts.plan.false_reject, ..Plan::evaluate(&request, *batch.mix())? };
    Ok((batch, plan))
}

/// A run judged from its journal alone.
pub(super) fn judged(journal: &Path) -> Result<(RunFacts, MixedBatch, Plan, Verification), Error> {
    let (dir, facts, done) = RunDir::open(journal)?;
    let (batch, plan) = load_batch(&dir, &facts)?;
    let mut sheet = BatchAnswers::resumed(&batch, u32::MAX, dir.failures()?)?.of_classes(facts.classes);
    for (slice, labels) in done {
        sheet.record(slice, &labels)?;
    }
    let verification = judge_answers(&batch, &sheet)?;
    Ok((facts, batch, plan, verification))
}

/// Judges a run again, from its journal alone: no server is asked.
///
/// # Errors
/// A damaged journal. A run that is not finished is a verdict: incomplete.
pub fn verify(journal: &Path, reveal_rejected: Option<RevealRejected>) -> Result<Report, Error> {
    let (facts, _, plan, verification) = judged(journal)?;
    Ok(Report::new(&plan, &verification, context_of(&facts, reveal_rejected)))
}
