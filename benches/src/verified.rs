//! What a verified query costs: a sample times the overhead of the cheapest mix.

use anyhow::Result;
use fusion_mix::accuracy::PublicLabels;
use fusion_mix::plan::{Plan, PlanRequest};
use serde::Serialize;

/// A verified query in a batch of `R`.
#[derive(Debug, Clone, Serialize)]
#[expect(non_snake_case, reason = "the names of the paper")]
pub(crate) struct Verified {
    pub(crate) R: u32,
    pub(crate) B: u32,
    pub(crate) T: u32,
    pub(crate) tau: u32,
    pub(crate) max_inconclusive: u32,
    pub(crate) lambda: f64,
    pub(crate) soundness_log2: f64,
    /// Samples per query.
    pub(crate) overhead: f64,
    /// Per query; null if no sample came to its end.
    pub(crate) seconds: Option<f64>,
    /// Per query, 2^30 bytes.
    pub(crate) gib: Option<f64>,
}

/// What something costs.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Cost {
    pub(crate) seconds: f64,
    pub(crate) bytes: f64,
}

impl Verified {
    /// The plan with what one of its queries costs.
    pub(crate) fn new(plan: &Plan, query: Option<Cost>) -> Self {
        Self {
            R: plan.mix.queries(),
            B: plan.mix.copies(),
            T: plan.mix.publics(),
            tau: plan.mix.tau(),
            max_inconclusive: plan.mix.max_inconclusive(),
            lambda: plan.lambda,
            soundness_log2: plan.soundness.log2,
            overhead: plan.mix.overhead(),
            seconds: query.map(|cost| cost.seconds),
            gib: query.map(|cost| cost.bytes / f64::from(1 << 30)),
        }
    }
}

/// The cheapest mixes for batches of so many queries: ground-truth labels, of which an honest model
/// gets `claimed_accuracy` right.
///
/// # Errors
/// If the planner has none.
pub(crate) fn plans(queries: &[u32], lambda: f64, claimed_accuracy: f64) -> Result<Vec<Plan>> {
    let labels = PublicLabels::GroundTruth { claimed_accuracy, detect_below: None };
    queries.iter().map(|&r| Ok(Plan::optimise(&PlanRequest::new(r, lambda, labels))?)).collect()
}
