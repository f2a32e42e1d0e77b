//! The report on a batch, as data: plan, verdict, evidence, both guarantees, and the answers if
//! they may be shown.
//!
//! A report names queries by file and public samples by pool id, never by position. So it may be
//! shown to anyone, the server included, without betraying the secret order.

use serde::{Deserialize, Serialize};

use crate::{
    accuracy::SheetAccuracy,
    audit::{AuditedAccuracy, BatchCount, LabelSource},
    batch::Label,
    firing::{Firing, by_firing},
    guarantee::Guarantees,
    interval::{Interval, clopper_pearson},
    plan::{Plan, PlanJson},
    pool::{KnownFrom, PoolPart},
    verify::{Answer, Evidence, RevealRejected, Verdict, Verification},
};

/// The confidence of the intervals in a report.
const CONFIDENCE: f64 = 0.95;

/// What a report says besides the verification itself.
#[derive(Debug, Clone, Default)]
pub struct ReportContext<'a> {
    /// The float model's labels by query, to be shown beside the answers.
    pub float_labels: Option<&'a [Label]>,
    /// Consent to show the answers of a rejected batch.
    pub reveal_rejected: Option<RevealRejected>,
    /// File names of the queries.
    pub files: Option<&'a [String]>,
    /// Names of the classes, by label; none if the model has no names.
    pub classes: &'a [String],
    /// What was left out of the queries.
    pub skipped: Vec<SkippedFile>,
    /// Which samples of the pool came from where.
    pub parts: &'a [PoolPart],
    /// What the model's published answers say of its accuracy.
    pub sheet: Option<SheetAccuracy>,
    /// What earlier batches under the same hint digest have shown, this one included.
    pub accumulated: Option<AuditedAccuracy>,
    /// How many those are.
    pub batches: Option<BatchCount>,
    /// Warnings from drawing the public samples and from the caller.
    pub warnings: Vec<String>,
}

/// One line of the answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AnswerLine {
    /// The query's index.
    pub index: u32,
    /// Its file; null if the program that began the run kept no names.
    #[serde(default)]
    pub file: Option<String>,
    /// Its label; null if its copies disagree.
    pub label: Option<Label>,
    /// The name of its class; null if the model names none.
    #[serde(default)]
    pub class: Option<String>,
    /// The float model's label, if known.
    pub float_label: Option<Label>,
    /// How many copies gave the most frequent label; `B` if the answer is conclusive.
    pub copies: u32,
}

/// A file that was given as a query and left out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SkippedFile {
    /// Its name.
    pub file: String,
    /// Why.
    pub reason: String,
}

/// The public samples of one origin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct PublicPart {
    /// Where their known labels come from.
    pub known_from: KnownFrom,
    /// Samples drawn.
    pub drawn: u32,
    /// Those answered wrongly.
    pub wrong: u32,
}

/// How the public samples were answered.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PublicResult {
    /// Right answers.
    pub correct: u32,
    /// Samples compared; 0 if the batch is incomplete.
    pub total: u32,
    /// Where their labels come from.
    pub labels: LabelSource,
    /// The same by where the samples come from.
    #[serde(default)]
    pub parts: Vec<PublicPart>,
    /// The exact interval of the rate of right answers, from this batch alone.
    pub interval: Option<Interval>,
}

/// The report on one batch.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// The plan.
    pub plan: PlanJson,
    /// The verdict.
    pub verdict: Verdict,
    /// The answers; empty if withheld or incomplete.
    pub answers: Vec<AnswerLine>,
    /// Whether answers exist but are withheld because the batch was rejected.
    pub answers_withheld: bool,
    /// Whether the answers shown are those of a rejected batch.
    pub answers_of_rejected_batch: bool,
    /// Files that were left out of the queries.
    #[serde(default)]
    pub skipped: Vec<SkippedFile>,
    /// This batch's public samples.
    pub public: PublicResult,
    /// What the model's published answers say of its accuracy.
    #[serde(default)]
    pub sheet: Option<SheetAccuracy>,
    /// Earlier batches' public samples under the same hint digest.
    pub accumulated: Option<AuditedAccuracy>,
    /// Complete batches under the same hint digest.
    #[serde(default)]
    pub batches: Option<BatchCount>,
    /// Why the verdict is what it is.
    pub evidence: Evidence,
    /// The chance that cheating passes, by how often it shows.
    #[serde(default)]
    pub by_firing: Vec<Firing>,
    /// What an accepted batch guarantees; null for any other verdict.
    pub guarantees: Option<Guarantees>,
    /// What weakens the result.
    pub warnings: Vec<String>,
}

impl Report {
    /// The report on `verification`, which ran under `plan`.
    #[must_use]
    pub fn new(plan: &Plan, verification: &Verification, context: ReportContext<'_>) -> Self {
        let (verdict, evidence) = (verification.verdict(), verification.evidence().clone());
        let rejected = verdict.is_rejected();
        let shown: &[Answer] = match (verification.answers(), context.reveal_rejected) {
            (Some(answers), _) => answers,
            (None, Some(consent)) => verification.answers_despite_rejection(consent),
            (None, None) => &[],
        };
        let float_label = |query: u32| context.float_labels.and_then(|labels| labels.get(query as usize).copied());
        let file = |query: u32| context.files.and_then(|files| files.get(query as usize).cloned());
        let class = |label: Label| context.classes.get(label as usize).cloned();
        let answers: Vec<AnswerLine> = shown
            .iter()
            .map(|answer| AnswerLine {
                index: answer.query,
                file: file(answer.query),
                label: answer.label,
                class: answer.label.and_then(class),
                float_label: float_label(answer.query),
                copies: answer.agreeing,
            })
            .collect();
        let total = evidence.publics;
        let correct = total - evidence.wrong_publics.len() as u32;
        let interval = (total > 0).then(|| clopper_pearson(correct.into(), total.into(), CONFIDENCE));
        let mut warnings = context.warnings;
        warnings.extend(own_warnings(plan, &evidence));
        let by_firing = by_firing(&plan.mix);
        let parts = public_parts(context.parts, &evidence);
        Self {
            plan: plan.to_json(),
            verdict,
            answers_withheld: rejected && answers.is_empty(),
            answers_of_rejected_batch: rejected && !answers.is_empty(),
            answers,
            skipped: context.skipped,
            public: PublicResult { correct, total, labels: LabelSource::from(&plan.labels), parts, interval },
            sheet: context.sheet,
            accumulated: context.accumulated,
            batches: context.batches,
            evidence,
            guarantees: (verdict == Verdict::Accepted).then(|| {
                let mut guarantees = Guarantees::shown(plan, &by_firing, interval.as_ref(), context.batches.as_ref());
                guarantees.assumptions.extend(of_origin(context.parts));
                guarantees
            }),
            by_firing,
            warnings,
        }
    }

    /// The report as one JSON object. A caller that adds fields of its own (bytes, seconds) may do
    /// so in [`serde_json::to_value`]'s result.
    #[must_use]
    pub fn to_json(&self) -> serde_json::Value {
        // A plain tree of numbers and strings always serialises; should it ever not, the reason is
        // the report.
        serde_json::to_value(self).unwrap_or_else(|error| serde_json::json!({ "error": error.to_string() }))
    }
}

/// The public samples of each origin, from their outcomes.
fn public_parts(parts: &[PoolPart], evidence: &Evidence) -> Vec<PublicPart> {
    let of_part = |part: &PoolPart| {
        let outcomes = evidence.public_outcomes.range(part.first..part.end);
        let (drawn, wrong) = outcomes.fold((0, 0), |(drawn, wrong), (_, &right)| (drawn + 1, wrong + u32::from(!right)));
        PublicPart { known_from: part.known_from, drawn, wrong }
    };
    parts.iter().map(of_part).filter(|part| part.drawn > 0).collect()
}

/// What public samples of some origins rest on besides.
fn of_origin(parts: &[PoolPart]) -> Vec<String> {
    let of = |known_from| parts.iter().any(|part| part.known_from == known_from && part.first < part.end);
    let mut assumptions = Vec::new();
    if of(KnownFrom::AnswerSheet) {
        assumptions.push(
            "The model's owner chose the images of its answer sheet, knows them, and says what is right: agreement with it is no accuracy, and a function that is fitted to those images passes."
                .to_owned(),
        );
    }
    if of(KnownFrom::EarlierRuns) {
        assumptions.push(
            "What earlier batches answered was right there: what a server computes alike in all batches agrees with itself.".to_owned(),
        );
    }
    assumptions
}

/// Whether most wrong answers lie one below what was expected: the known labels seem to count from
/// one, where the model counts from zero.
fn labels_seem_to_count_from_one(evidence: &Evidence) -> bool {
    let wrong = &evidence.wrong_publics;
    let shifted = wrong.iter().filter(|w| w.answered.checked_add(1) == Some(w.expected)).count();
    2 * wrong.len() > evidence.publics as usize && 10 * shifted >= 9 * wrong.len() && shifted > 1
}

fn own_warnings(plan: &Plan, evidence: &Evidence) -> Vec<String> {
    let mut warnings = Vec::new();
    if !plan.is_sound() {
        let log2 = plan.soundness.log2.max(plan.fires.1);
        warnings.push(format!("this plan's soundness is 2^{log2:.2}, weaker than the 2^-{} asked for", plan.lambda));
    }
    if let Some(shift) = evidence.label_shift.filter(crate::label_shift::LabelShift::is_gross) {
        warnings.push(format!(
            "the labels of queries and of public samples are distributed differently (distance {:.2}, chance explains at most {:.2}): the measured accuracy may not hold for \
             the queries",
            shift.distance, shift.chance_limit
        ));
    }
    if labels_seem_to_count_from_one(evidence) {
        warnings.push(
            "the answers to public samples lie one below their known labels: those seem to count classes from 1, the model counts from 0"
                .to_owned(),
        );
    }
    if evidence.beyond_classes > 0 {
        warnings.push(format!("{} answers name no class of the model: they count as wrong", evidence.beyond_classes));
    }
    if evidence.failed_lane_runs > 0 {
        warnings.push(format!("{} lane runs failed and were repeated with fresh randomness", evidence.failed_lane_runs));
    }
    warnings
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        accuracy::PublicLabels,
        batch::{BatchAnswers, Item, MixedBatch, PublicSample},
        mix::Mix,
        plan::PlanRequest,
        verify::verify,
    };
    use rand_chacha::{ChaCha20Rng, rand_core::SeedableRng};

    /// Eight queries, of which `q` is answered `40 + q`, and sixteen public samples with label 3,
    /// the first `wrong` of them answered 4.
    fn run(wrong: u32) -> (Plan, Verification) {
        let labels = PublicLabels::GroundTruth { claimed_accuracy: 0.98, detect_below: Some(0.8) };
        let request = PlanRequest::new(8, 40.0, labels);
        let mix = Mix::new(8, 12, 16, 2, 0).unwrap();
        let publics = (0..16).map(|id| PublicSample { id, label: 3 }).collect();
        let batch = MixedBatch::assemble(mix, publics, &mut ChaCha20Rng::seed_from_u64(21)).unwrap();
        let answers: Vec<Label> = (0..mix.samples())
            .map(|position| match batch.item(position) {
                Item::Query { query } => 40 + query,
                Item::Public { id } => 3 + u32::from(id < wrong),
            })
            .collect();
        let mut sheet = BatchAnswers::new(&batch, 0);
        sheet.record(0..mix.samples(), &answers).unwrap();
        (Plan::evaluate(&request, mix).unwrap(), verify(&batch, &sheet).unwrap())
    }

    fn json_text(report: &Report) -> String {
        report.to_json().to_string()
    }

    #[test]
    fn an_accepted_report_states_everything() {
        let (plan, verification) = run(2);
        let floats: Vec<Label> = (40..48).collect();
        let files: Vec<String> = (0..8).map(|i| format!("q{i}.png")).collect();
        let classes: Vec<String> = (0..50).map(|i| format!("c{i}")).collect();
        let part = |known_from, first, end| PoolPart { known_from, first, end };
        let parts = [part(KnownFrom::AnswerSheet, 0, 10), part(KnownFrom::EarlierRuns, 10, 90), part(KnownFrom::GroundTruth, 90, 99)];
        let context = ReportContext {
            float_labels: Some(&floats),
            files: Some(&files),
            classes: &classes,
            parts: &parts,
            ..ReportContext::default()
        };
        let report = Report::new(&plan, &verification, context);
        let json = report.to_json();
        for field in
            ["R", "B", "T", "tau", "max_inconclusive", "lambda", "soundness_log2", "overhead", "worst_m", "false_reject", "false_accept"]
        {
            assert!(json["plan"][field].is_number(), "plan.{field}");
        }
        assert_eq!(json["verdict"], "accepted");
        let expected = serde_json::json!({ "index": 7, "file": "q7.png", "label": 47, "class": "c47", "float_label": 47, "copies": 12 });
        assert_eq!(json["answers"][7], expected);
        let parts = serde_json::json!([
            { "known_from": "answer-sheet", "drawn": 10, "wrong": 2 }, { "known_from": "earlier-runs", "drawn": 6, "wrong": 0 }
        ]);
        assert_eq!(json["public"]["parts"], parts);
        assert_eq!(json["by_firing"].as_array().unwrap().len(), 5);
        assert_eq!((&json["public"]["correct"], &json["public"]["total"]), (&14.into(), &16.into()));
        assert_eq!(serde_json::from_value::<Report>(json).unwrap().verdict, Verdict::Accepted);
        let form = json_text(&report);
        assert!(form.contains("deviates at some positions"), "the first guarantee: {form}");
        assert!(form.contains("on 50% of the images 2^-"), "the second: {form}");
        assert!(form.contains("another function alike at all positions"), "the third: {form}");
        assert!(!form.contains("distributed differently"), "24 labels are too few to tell: {form}");
    }

    #[test]
    fn a_rejected_report_withholds_the_answers() {
        let (plan, verification) = run(3);
        let report = Report::new(&plan, &verification, ReportContext::default());
        assert!(report.answers_withheld && report.guarantees.is_none());
        let form = json_text(&report);
        assert!(form.contains("rejected(accuracy)"), "{form}");
        assert!((40..48).all(|label| !form.contains(&format!("\"label\":{label}"))), "an answer shows: {form}");
        assert_eq!(report.to_json()["answers"], serde_json::json!([]));
        let revealed =
            Report::new(&plan, &verification, ReportContext { reveal_rejected: Some(RevealRejected), ..ReportContext::default() });
        assert!(revealed.answers_of_rejected_batch && revealed.answers.len() == 8);
        assert!(json_text(&revealed).contains("\"label\":40"), "what was looked for above");
    }

    #[test]
    fn labels_that_count_from_one_are_named_as_the_likely_cause() {
        let mut evidence = Evidence { publics: 20, ..Evidence::default() };
        let wrong = |id, expected, answered| crate::verify::WrongPublic { id, expected, answered };
        evidence.wrong_publics = (0..19).map(|id| wrong(id, id + 1, id)).collect();
        assert!(labels_seem_to_count_from_one(&evidence));
        evidence.wrong_publics = (0..19).map(|id| wrong(id, id + 1 + id % 2, id)).collect();
        assert!(!labels_seem_to_count_from_one(&evidence));
        evidence.wrong_publics = vec![wrong(0, 1, 0)];
        assert!(!labels_seem_to_count_from_one(&evidence));
    }

    #[test]
    fn the_same_answers_in_another_order_give_the_same_report() {
        // What a report says must not depend on the secret order.
        let labels = PublicLabels::Certified { mismatch: 0.0, detect_below: None };
        let request = PlanRequest::new(4, 10.0, labels);
        let mix = Mix::new(4, 3, 5, 0, 0).unwrap();
        let plan = Plan::evaluate(&request, mix).unwrap();
        let reports: Vec<String> = (0..5)
            .map(|seed| {
                let publics = (0..5).map(|id| PublicSample { id, label: id }).collect();
                let batch = MixedBatch::assemble(mix, publics, &mut ChaCha20Rng::seed_from_u64(seed)).unwrap();
                let mut spoilt = false;
                let answers: Vec<Label> = (0..mix.samples())
                    .map(|position| match batch.item(position) {
                        Item::Query { query: 2 } if !std::mem::replace(&mut spoilt, true) => 77,
                        Item::Query { query } => query,
                        Item::Public { id } => id + id % 2,
                    })
                    .collect();
                let mut sheet = BatchAnswers::new(&batch, 0);
                sheet.record(0..mix.samples(), &answers).unwrap();
                Report::new(&plan, &verify(&batch, &sheet).unwrap(), ReportContext::default()).to_json().to_string()
            })
            .collect();
        assert!(reports.windows(2).all(|pair| pair[0] == pair[1]));
    }
}
