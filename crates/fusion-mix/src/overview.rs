//! A plan beside other plans, and an audit log model by model: what
//! `fusion plan` and `fusion audit` show, as data.

use serde::{Deserialize, Serialize};

use crate::{
    MixError,
    audit::{AuditLog, AuditedAccuracy, LabelSource},
    firing::{Firing, by_firing},
    guarantee::Guarantees,
    mix::Mix,
    plan::{Assurance, Plan, PlanJson, PlanRequest},
};

/// The numbers of queries in the table that stands below a plan.
pub const TABLE_QUERIES: [u32; 16] = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000, 20_000, 50_000, 100_000];

/// What one sample costs with the model at hand, from its card or from a measurement.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SampleCost {
    /// Bytes on the wire per sample, both directions together.
    pub bytes: f64,
    /// Seconds per sample in the steady state.
    pub seconds: f64,
    /// Bytes once per model: the hint.
    pub setup_bytes: f64,
    /// Seconds once per batch or model.
    pub setup_seconds: f64,
    /// What these figures rest on, in words.
    pub basis: String,
}

/// Predicted cost of a whole batch.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct PredictedCost {
    /// Bytes on the wire, both directions together, the hint included.
    pub bytes: f64,
    /// Seconds, the set-up included.
    pub seconds: f64,
    /// Bytes per query, the hint left out.
    pub bytes_per_query: f64,
    /// Seconds per query, the set-up left out.
    pub seconds_per_query: f64,
}

impl SampleCost {
    fn of(&self, mix: &Mix) -> PredictedCost {
        let (samples, queries) = (f64::from(mix.samples()), f64::from(mix.queries()));
        let (bytes, seconds) = (samples * self.bytes, samples * self.seconds);
        PredictedCost {
            bytes: self.setup_bytes + bytes,
            seconds: self.setup_seconds + seconds,
            bytes_per_query: bytes / queries,
            seconds_per_query: seconds / queries,
        }
    }
}

/// A plan, what it costs and guarantees, and what other numbers of queries would cost.
///
/// As JSON the plan's fields (`R`, `B`, `T`, `tau`, ...) stand at the top level.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PlanOverview {
    /// The plan.
    #[serde(flatten)]
    pub plan: PlanJson,
    /// What the batch will cost, if the model's cost is known.
    pub predicted: Option<PredictedCost>,
    /// What the prediction rests on.
    pub basis: Option<String>,
    /// Both guarantees.
    pub guarantees: Guarantees,
    /// The chance that cheating passes, by how often it shows.
    pub by_firing: Vec<Firing>,
    /// The best plan for each degree of certainty.
    pub assurances: Vec<AssuranceRow>,
    /// What the user should know before running it.
    pub warnings: Vec<String>,
    /// The best plan for other numbers of queries.
    pub table: Vec<TableRow>,
}

/// A degree of certainty and what it costs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AssuranceRow {
    /// Its name; null for one that has only a number.
    pub assurance: Option<Assurance>,
    /// The best plan for it.
    #[serde(flatten)]
    pub row: TableRow,
}

/// The certainty that is shown beside the named ones, if the user does not ask for another.
const STRICT_LAMBDA: f64 = 64.0;

/// One row of the table.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TableRow {
    /// The plan.
    #[serde(flatten)]
    pub plan: PlanJson,
    /// What the batch will cost, if the model's cost is known.
    pub predicted: Option<PredictedCost>,
}

/// Plans `request`, or judges `given` if the user named a plan, and tabulates the best plans for
/// three degrees of certainty and for [`TABLE_QUERIES`].
///
/// A row whose request cannot be met (the pool is too small) is left out of the table.
///
/// # Errors
/// As [`Plan::optimise`] and [`Plan::evaluate`].
pub fn plan_overview(request: &PlanRequest, given: Option<Mix>, cost: Option<&SampleCost>) -> Result<PlanOverview, MixError> {
    let plan = match given {
        Some(mix) => Plan::evaluate(request, mix)?,
        None => Plan::optimise(request)?,
    };
    let row = |plan: &Plan| TableRow { plan: plan.to_json(), predicted: cost.map(|cost| cost.of(&plan.mix)) };
    // A request that cannot be met has no row.
    let best = |request: &PlanRequest| match Plan::optimise(request) {
        Ok(plan) => Ok(Some(row(&plan))),
        Err(MixError::NoPlan { .. }) => Ok(None),
        Err(other) => Err(other),
    };
    let mut table = Vec::with_capacity(TABLE_QUERIES.len());
    for queries in TABLE_QUERIES {
        table.extend(best(&PlanRequest { queries, ..*request })?);
    }
    let named = [Assurance::Covert, Assurance::Standard];
    let own = if named.iter().any(|name| name.lambda() == request.lambda) { STRICT_LAMBDA } else { request.lambda };
    let mut assurances = Vec::with_capacity(named.len() + 1);
    for (assurance, lambda) in named.map(|name| (Some(name), name.lambda())).into_iter().chain([(None, own)]) {
        assurances.extend(best(&PlanRequest { lambda, ..*request })?.map(|row| AssuranceRow { assurance, row }));
    }
    let by_firing = by_firing(&plan.mix);
    Ok(PlanOverview {
        plan: plan.to_json(),
        predicted: cost.map(|cost| cost.of(&plan.mix)),
        basis: cost.map(|cost| cost.basis.clone()),
        guarantees: Guarantees::planned(&plan, &by_firing),
        by_firing,
        assurances,
        warnings: plan_warnings(request, &plan),
        table,
    })
}

fn plan_warnings(request: &PlanRequest, plan: &Plan) -> Vec<String> {
    let mut warnings = Vec::new();
    if !plan.is_sound() {
        warnings.push(format!("this plan is weaker than the 2^-{} asked for", plan.lambda));
    }
    if plan.false_reject > request.alpha {
        warnings.push(format!(
            "an honest server is rejected with probability {:.2e}, more than alpha = {:.0e}",
            plan.false_reject, request.alpha
        ));
    }
    match plan.false_accept {
        None => warnings.push(
            "no accuracy to be noticed was named (detect-below): this plan says little about the function that is computed".to_owned(),
        ),
        Some(chance) if chance > request.beta => {
            warnings.push(format!(
                "a function at detect-below is accepted with probability {chance:.2e}, more than beta = {:.0e}",
                request.beta
            ));
        }
        Some(_) => {}
    }
    if request.max_publics < plan.mix.publics() {
        warnings.push(format!("the plan draws {} public samples, but the pool holds only {}", plan.mix.publics(), request.max_publics));
    }
    if plan.mix.overhead() >= 10.0 {
        warnings.push(format!(
            "small batches are expensive: {:.1} samples are computed per query; more queries at once cost less each (see the table)",
            plan.mix.overhead()
        ));
    }
    warnings
}

/// What an audit log knows about one model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AuditRow {
    /// The hint digest.
    pub digest: String,
    /// Where the known labels come from.
    pub labels: LabelSource,
    /// The tally and its interval.
    #[serde(flatten)]
    pub accuracy: AuditedAccuracy,
}

/// All rows of an audit log, or those of one pinned hint digest.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AuditOverview {
    /// One row per model and source of labels.
    pub models: Vec<AuditRow>,
}

/// Tabulates `log`, for the model `digest` alone if one is given.
///
/// # Errors
/// As [`AuditLog::accuracy`].
pub fn audit_overview(log: &AuditLog, digest: Option<&str>, confidence: f64) -> Result<AuditOverview, MixError> {
    let digests: Vec<String> =
        digest.map_or_else(|| log.digests().map(str::to_owned).collect(), |digest| vec![digest.to_ascii_lowercase()]);
    let mut models = Vec::new();
    for digest in digests {
        for labels in [LabelSource::GroundTruth, LabelSource::Certified] {
            if let Some(accuracy) = log.accuracy(&digest, labels, confidence)? {
                models.push(AuditRow { digest: digest.clone(), labels, accuracy });
            }
        }
    }
    Ok(AuditOverview { models })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::accuracy::PublicLabels;
    use std::time::{Duration, Instant};

    const LABELS: PublicLabels = PublicLabels::GroundTruth { claimed_accuracy: 0.747, detect_below: Some(0.60) };

    #[test]
    fn prints_a_plan_and_a_table_quickly() {
        let start = Instant::now();
        let cost = SampleCost { bytes: 2e8, seconds: 5.0, setup_bytes: 1e9, setup_seconds: 60.0, basis: "a guess".to_owned() };
        let overview = plan_overview(&PlanRequest::new(100_000, 40.0, LABELS), None, Some(&cost)).unwrap();
        assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
        assert_eq!(overview.table.len(), TABLE_QUERIES.len());
        assert!(overview.table.windows(2).all(|pair| pair[1].plan.overhead <= pair[0].plan.overhead), "larger batches cost less per query");
        let json = serde_json::to_value(&overview).unwrap();
        for field in
            ["R", "B", "T", "tau", "max_inconclusive", "lambda", "soundness_log2", "worst_m", "overhead", "false_reject", "false_accept"]
        {
            assert!(json[field].is_number(), "{field}");
            assert!(json["table"][0][field].is_number(), "table {field}");
        }
        let samples = f64::from(overview.plan.copies) * 1e5 + f64::from(overview.plan.publics);
        assert!((overview.predicted.unwrap().bytes - 1e9 - samples * 2e8).abs() < 1.0);
        let guarantees = &overview.guarantees;
        assert!(guarantees.position_dependent.contains("deviates at some positions"), "{guarantees:?}");
        assert!(guarantees.function_dependent.contains("another function alike"), "{guarantees:?}");
        assert!(guarantees.position_dependent.contains("2^-"), "{guarantees:?}");
        assert_eq!(overview.basis.as_deref(), Some("a guess"));
    }

    #[test]
    fn judges_the_very_plan_that_is_given() {
        let mix = Mix::new(8, 8, 100, 0, 0).unwrap();
        let overview = plan_overview(&PlanRequest::new(8, 40.0, LABELS), Some(mix), None).unwrap();
        assert!(overview.plan.sound && overview.plan.soundness_log2 < -40.0);
        assert!(
            overview.warnings.iter().any(|w| w.contains("honest server is rejected")),
            "tau = 0 rejects a 74.7% model: {:?}",
            overview.warnings
        );
        let weak = Mix::new(8, 2, 10, 0, 0).unwrap();
        let overview = plan_overview(&PlanRequest::new(8, 40.0, LABELS), Some(weak), None).unwrap();
        assert!(!overview.plan.sound && overview.warnings[0].contains("weaker"));
    }

    /// The numbers that one wants less certainty for: nine inferences instead of 44 for one query.
    #[test]
    fn three_degrees_of_certainty() {
        let labels = PublicLabels::Certified { mismatch: 0.0, detect_below: None };
        let overview = plan_overview(&PlanRequest::new(1, 40.0, labels), None, None).unwrap();
        let rows = overview.assurances.iter().map(|row| (row.assurance, row.row.plan.overhead));
        let expected = [(Some(Assurance::Covert), 9.0), (Some(Assurance::Standard), 44.0), (None, 68.0)];
        assert_eq!(rows.collect::<Vec<_>>(), expected);
        let own = plan_overview(&PlanRequest::new(1, 20.0, labels), None, None).unwrap();
        assert_eq!(own.assurances[2].row.plan.lambda, 20.0);
        let json = serde_json::to_value(&overview).unwrap();
        assert_eq!((&json["assurances"][0]["assurance"], &json["assurances"][0]["R"]), (&"covert".into(), &1.into()));
        assert_eq!(json["by_firing"][1]["phi"], 0.5);
    }

    #[test]
    fn an_audit_overview_knows_only_its_digest() {
        let log = AuditLog::default();
        assert!(audit_overview(&log, Some("aa"), 0.95).unwrap().models.is_empty());
        assert!(audit_overview(&log, Some("not hex"), 0.95).is_err());
    }
}
