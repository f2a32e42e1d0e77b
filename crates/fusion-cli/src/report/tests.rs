use fusion::mix::{
    accuracy::PublicLabels,
    audit::AuditLog,
    batch::{AnswerSheet, Item, Label, MixedBatch, PublicSample},
    mix::Mix,
    overview::{SampleCost, audit_overview, plan_overview},
    plan::{Plan, PlanRequest},
    report::{Report, ReportContext},
    verify::{RevealRejected, Verification, verify},
};
use rand_chacha::{ChaCha20Rng, rand_core::SeedableRng};

use super::{audit_text, plan_text, report_html, report_text};

/// Eight queries, of which `q` is answered `40 + q`, and sixteen public samples with label 3, the
/// first `wrong` of them answered 4.
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
    let mut sheet = AnswerSheet::new(&batch, 0);
    sheet.record(0..mix.samples(), &answers).unwrap();
    (Plan::evaluate(&request, mix).unwrap(), verify(&batch, &sheet).unwrap())
}

/// Everything that can be shown of a report.
fn all_forms(report: &Report) -> [String; 3] {
    [report_text(report), report.to_json().to_string(), report_html(report)]
}

#[test]
fn an_accepted_report_states_everything() {
    let (plan, verification) = run(2);
    let report = Report::new(&plan, &verification, ReportContext::default());
    for form in all_forms(&report) {
        assert!(form.contains("deviates at some positions"), "the first guarantee: {form}");
        assert!(form.contains("another function alike at all positions"), "the second: {form}");
        assert!(!form.contains("distributed differently"), "24 labels are too few to tell: {form}");
    }
}

#[test]
fn a_rejected_report_withholds_the_answers() {
    let (plan, verification) = run(3);
    let report = Report::new(&plan, &verification, ReportContext::default());
    for form in all_forms(&report) {
        assert!(form.contains("rejected(accuracy)"), "{form}");
        assert!(
            (40..48).all(|label| !form.contains(&format!(" {label}<")) && !form.contains(&format!(" {label} "))),
            "an answer shows: {form}"
        );
    }
    let context = ReportContext { reveal_rejected: Some(RevealRejected), ..ReportContext::default() };
    let revealed = Report::new(&plan, &verification, context);
    assert!(report_text(&revealed).contains("may be wrong on purpose"));
    assert!(report_html(&revealed).contains("may be wrong on purpose"));
}

#[test]
fn html_escapes_what_it_is_given() {
    let (plan, verification) = run(0);
    let warnings = vec!["<script>alert(\"&\")</script>".to_owned()];
    let page = report_html(&Report::new(&plan, &verification, ReportContext { warnings, ..ReportContext::default() }));
    assert!(!page.contains("<script>") && page.contains("&lt;script&gt;"));
    assert!(page.starts_with("<!doctype html>") && !page.contains("http"));
}

#[test]
fn a_plan_shows_both_guarantees_its_cost_and_its_table() {
    let labels = PublicLabels::GroundTruth { claimed_accuracy: 0.747, detect_below: Some(0.60) };
    let cost = SampleCost { bytes: 2e8, seconds: 5.0, setup_bytes: 1e9, setup_seconds: 60.0, basis: "a guess".to_owned() };
    let overview = plan_overview(&PlanRequest::new(100_000, 40.0, labels), None, Some(&cost)).unwrap();
    let text = plan_text(&overview);
    assert!(text.contains("deviates at some positions") && text.contains("another function alike") && text.contains("2^-"), "{text}");
    assert!(text.contains("a guess"), "{text}");
    let (_, table) = text.split_once("max_inconclusive  overhead").unwrap();
    assert_eq!(table.lines().count(), 1 + overview.table.len(), "{text}");
}

#[test]
fn an_audit_without_models_says_so() {
    let log = AuditLog::default();
    assert!(audit_text(&audit_overview(&log, Some("aa"), 0.95).unwrap()).contains("No public samples"));
}
