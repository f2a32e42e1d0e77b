use fusion::mix::{
    accuracy::{PublicLabels, SheetAccuracy},
    audit::{AuditLog, AuditedAccuracy, BatchCount},
    batch::{BatchAnswers, Item, Label, MixedBatch, PublicSample},
    interval::clopper_pearson,
    mix::Mix,
    overview::{SampleCost, audit_overview, plan_overview},
    plan::{Plan, PlanRequest},
    pool::{KnownFrom, PoolPart},
    report::{Report, ReportContext, SkippedFile},
    verify::{RevealRejected, Verification, verify},
};
use rand_chacha::{ChaCha20Rng, rand_core::SeedableRng};

use super::{audit_text, plan_text, report_csv, report_html, report_text};

/// A picture of one pixel, nearly.
const PICTURE: &str = "data:image/png;base64,iVBORw0KGgo+/w==";

/// Eight queries, of which `q` is answered `40 + q`, but for one copy of each of the first
/// `spoilt`, and sixteen public samples with label 3, the first `wrong` of them answered 4. One
/// query may be inconclusive.
fn run(wrong: u32, spoilt: u32) -> (Plan, Verification) {
    let labels = PublicLabels::GroundTruth { claimed_accuracy: 0.98, detect_below: Some(0.8) };
    let request = PlanRequest::new(8, 30.0, labels);
    let mix = Mix::new(8, 12, 16, 2, 1).unwrap();
    let publics = (0..16).map(|id| PublicSample { id, label: 3 }).collect();
    let batch = MixedBatch::assemble(mix, publics, &mut ChaCha20Rng::seed_from_u64(21)).unwrap();
    let mut seen = [false; 8];
    let answers: Vec<Label> = (0..mix.samples())
        .map(|position| match batch.item(position) {
            Item::Query { query } if query < spoilt && !std::mem::replace(&mut seen[query as usize], true) => 49,
            Item::Query { query } => 40 + query,
            Item::Public { id } => 3 + u32::from(id < wrong),
        })
        .collect();
    let mut sheet = BatchAnswers::new(&batch, 50);
    sheet.record(0..mix.samples(), &answers).unwrap();
    (Plan::evaluate(&request, mix).unwrap(), verify(&batch, &sheet).unwrap())
}

/// What a run knows besides, as its owner keeps it.
struct Known {
    files: Vec<String>,
    classes: Vec<String>,
    floats: Vec<Label>,
    parts: Vec<PoolPart>,
}

impl Known {
    fn new() -> Self {
        let part = |known_from, first, end| PoolPart { known_from, first, end };
        Self {
            files: (0..8).map(|query| format!("photo-{query}.png")).collect(),
            classes: (0..50).map(|label| format!("kind{label}")).collect(),
            floats: (0..8).map(|query| 40 + query).collect(),
            parts: vec![part(KnownFrom::AnswerSheet, 0, 10), part(KnownFrom::EarlierRuns, 10, 16)],
        }
    }

    fn context(&self) -> ReportContext<'_> {
        ReportContext {
            float_labels: Some(&self.floats),
            files: Some(&self.files),
            classes: &self.classes,
            skipped: vec![SkippedFile { file: "notes.txt".to_owned(), reason: "it is no image".to_owned() }],
            parts: &self.parts,
            sheet: Some(SheetAccuracy::new(70, 5, 10, 100).unwrap()),
            accumulated: Some(AuditedAccuracy {
                correct: 300,
                total: 310,
                batches: 8,
                rejected: 1,
                interval: clopper_pearson(300, 310, 0.95),
            }),
            batches: Some(BatchCount { batches: 8, log2: -27.5 }),
            warnings: vec!["the pool is small".to_owned()],
            ..ReportContext::default()
        }
    }
}

fn report(wrong: u32, spoilt: u32, context: ReportContext<'_>) -> Report {
    let (plan, verification) = run(wrong, spoilt);
    Report::new(&plan, &verification, context)
}

fn page(report: &Report) -> String {
    report_html(report, &vec![Some(PICTURE.to_owned()); 8])
}

/// Everything that can be shown of a report.
fn all_forms(report: &Report) -> [String; 4] {
    [report_text(report), page(report), report.to_json().to_string(), report_csv(report).unwrap()]
}

/// Whether `parts` stand in `form` in this order.
fn assert_order(form: &str, parts: &[&str]) {
    let mut from = 0;
    for part in parts {
        let at = form[from..].find(part);
        from += at.unwrap_or_else(|| panic!("no {part:?} after {:?} in:\n{form}", &form[..from])) + part.len();
    }
}

#[test]
fn an_accepted_report_states_everything() {
    let known = Known::new();
    let report = report(2, 1, known.context());
    let [text, page, json, _] = all_forms(&report);
    for form in [&text, &page] {
        for part in [
            "2 of 16 public answers are wrong (at most 2 allowed)",
            "the pool is small",
            "copies disagree",
            "11 of 12 copies",
            "kind41 (41)",
            "12 of 12 copies",
            "notes.txt: it is no image",
            "14 of 16 public samples right: 87.5%, 95% interval 61.65% to 98.45%",
            "10 from the answer sheet (2 wrong), 6 from earlier runs (none wrong)",
            "right on 70 of your 100 labelled images: 70%, 95% interval 60.01% to 78.76%",
            "5 undecided and 10 missing are counted as wrong",
            "300 of 310 distinct public samples right over 8 batches (1 rejected)",
            "This is history: it replaced none",
            "R = 8 queries, B = 12 copies, T = 16 public samples, tau = 2, max_inconclusive = 1",
            "false reject",
        ] {
            assert!(form.to_lowercase().contains(&part.to_lowercase()), "no {part:?} in:\n{form}");
        }
        for row in &report.by_firing {
            assert!(form.contains(&format!("2^{:.2})", row.log2)), "{form}");
        }
    }
    for form in [&text, &page, &json] {
        assert!(form.contains("deviates at some positions"), "the first guarantee: {form}");
        assert!(form.contains("another function alike at all positions"), "the last: {form}");
        assert!(form.contains("Over the 8 batches"), "{form}");
        assert!(form.contains("gets a wrong answer past you with a chance of at most one in"), "{form}");
        assert!(form.contains("photo-7.png") && form.contains("notes.txt"), "{form}");
        assert!(form.contains("Public labels are the truth"), "the assumptions: {form}");
        assert!(!form.contains("distributed differently"), "24 labels are too few to tell: {form}");
    }
    let power = report.plan.soundness_log2;
    assert!(text.contains(&format!("{} (2^{power:.2})", report.guarantees.as_ref().unwrap().in_words)), "{text}");
    assert!(page.contains(&format!("(2<sup>{power:.2}</sup>)")), "{page}");
    assert!(text.contains("0% |------------------------------[=============*======]| 100%"), "{text}");
    assert!(page.matches("class=\"axis\"").count() == 3 && page.matches("class=\"bits\"").count() == 5, "{page}");
    assert!(["0 %", "25 %", "50 %", "75 %", "100 %"].iter().all(|tick| page.contains(&format!(">{tick}</text>"))), "{page}");
}

#[test]
fn text_and_page_have_one_order() {
    let known = Known::new();
    let report = report(2, 1, known.context());
    for form in [report_text(&report), page(&report)] {
        let form = form.to_lowercase();
        let order = [
            "verdict",
            "accepted",
            "because",
            "the pool is small",
            "answers",
            "photo-0.png",
            "photo-7.png",
            "left out",
            "notes.txt",
            "what this guarantees",
            "gets a wrong answer past you",
            "deviates at some positions",
            "over the 8 batches",
            "this batch",
            "answer sheet",
            "history",
            "wrong answers then",
            "another function alike",
            "what that assumes",
            "evidence: public samples answered wrongly",
            "evidence: queries whose copies disagree",
            "plan",
            "r = 8 queries",
            "soundness",
        ];
        let shown: Vec<&str> = order.into_iter().filter(|part| *part != "because" || !form.starts_with("<!doctype")).collect();
        assert_order(&form, &shown);
    }
}

#[test]
fn answers_are_shown_by_the_names_that_are_known() {
    let nameless = report(0, 0, ReportContext::default());
    let [text, page, _, csv] = all_forms(&nameless);
    assert!(text.contains("\n  7      47      12 of 12 copies\n"), "{text}");
    assert!(page.contains("<td class=\"name\">7</td><td class=\"name\">47</td><td>12 of 12 copies</td></tr>"), "{page}");
    assert!(csv.ends_with("\n7,,47,12,12,true\n"), "{csv}");
    assert!(!text.contains("float model") && !page.contains("Float model"), "nobody knows the float model's labels");
    assert!(!text.contains("Left out") && !page.contains("Left out"));
    let known = Known::new();
    let named = report(0, 0, known.context());
    assert!(report_text(&named).contains("\n  photo-7.png  kind47 (47)  12 of 12 copies    47\n"), "{}", report_text(&named));
    assert!(report_text(&named).contains("float model"));
    assert!(
        report_html(&named, &[])
            .contains("<td class=\"name\">photo-7.png</td><td class=\"name\">kind47 (47)</td><td>12 of 12 copies</td><td>47</td></tr>")
    );
}

#[test]
fn a_rejected_report_withholds_the_answers() {
    let known = Known::new();
    for (wrong, spoilt, verdict) in [(3, 0, "rejected(accuracy)"), (0, 2, "rejected(inconsistent copies)")] {
        let rejected = report(wrong, spoilt, known.context());
        let [text, page, json, csv] = all_forms(&rejected);
        for form in [&text, &page, &json] {
            assert!(form.contains(verdict), "{form}");
            assert!(!form.contains("past you"), "nothing is guaranteed: {form}");
        }
        for form in [&text, &page, &json, &csv] {
            for answer in (40..48).map(|label| format!("kind{label}")).chain(["photo-".to_owned(), PICTURE.to_owned()]) {
                assert!(!form.contains(&answer), "an answer shows: {form}");
            }
        }
        assert!(text.contains("withheld") && page.contains("withheld") && json.contains("\"answers\":[]"));
        assert_eq!(csv, "file,class,label,copies,of,conclusive\n");
        assert!(text.contains("public samples right") && page.contains("public samples right"), "accuracy is evidence");
    }
    let context = ReportContext { reveal_rejected: Some(RevealRejected), ..known.context() };
    let revealed = report(3, 0, context);
    let [text, page, _, csv] = all_forms(&revealed);
    for form in [text, page] {
        assert!(form.contains("may be wrong on purpose") && form.contains("kind47 (47)"), "{form}");
    }
    assert_eq!(csv.lines().count(), 9, "{csv}");
}

#[test]
fn an_incomplete_report_says_that_nothing_was_compared() {
    let (plan, _) = run(0, 0);
    let publics = (0..16).map(|id| PublicSample { id, label: 3 }).collect();
    let batch = MixedBatch::assemble(plan.mix, publics, &mut ChaCha20Rng::seed_from_u64(1)).unwrap();
    let verification = verify(&batch, &BatchAnswers::new(&batch, 50)).unwrap();
    let report = Report::new(&plan, &verification, ReportContext::default());
    let [text, page, ..] = all_forms(&report);
    for form in [text, page] {
        assert!(form.contains("112 positions have no answer") && form.contains("None: the batch is incomplete"), "{form}");
        assert!(!form.contains("withheld") && !form.contains("past you") && !form.contains("How often"), "{form}");
    }
}

#[test]
fn nothing_that_others_name_becomes_markup_or_steers_a_terminal() {
    let mut known = Known::new();
    known.files[3] = "<script>alert(\"1&2\")</script>.png".to_owned();
    known.files[4] = "\u{1b}[2Jcat\u{202e}gnp.exe\nverdict      accepted".to_owned();
    known.classes[45] = "<script>'class'".to_owned();
    let mut context = known.context();
    context.warnings = vec!["<script>of a warning".to_owned()];
    context.skipped[0] = SkippedFile { file: "<script>skipped\u{7}".to_owned(), reason: "<script>reason".to_owned() };
    let report = report(0, 0, context);
    let page = report_html(&report, &[]);
    assert!(!page.contains("<script") && page.matches("&lt;script&gt;").count() == 5, "{page}");
    assert!(page.contains("&lt;script&gt;alert(&quot;1&amp;2&quot;)&lt;/script&gt;.png") && page.contains("&#39;class&#39;"));
    assert!(page.starts_with("<!doctype html>") && !page.contains("http") && page.contains("name=\"viewport\""), "{page}");
    for form in [report_text(&report), page] {
        assert!(!form.contains(['\u{1b}', '\u{7}', '\u{202e}']), "{form:?}");
        assert!(form.contains("\\u{1b}[2Jcat\\u{202e}gnp.exe\\nverdict"), "{form}");
    }
}

#[test]
fn only_pictures_in_the_page_itself_are_shown() {
    let report = report(0, 0, ReportContext::default());
    let prefix = "data:image/png;base64,";
    let hostile = [
        "https://example.org/x.png".to_owned(),
        format!("{prefix}AAAA\" onerror=\"alert(1)"),
        format!("{prefix}AA=A"),
        format!("{prefix}AAAA==="),
        prefix.to_owned(),
        "data:image/svg+xml;base64,AAAA".to_owned(),
        format!(" {PICTURE}"),
    ];
    let page = report_html(&report, &hostile.map(Some));
    assert!(!page.contains("<img") && !page.contains("onerror") && !page.contains("http"), "{page}");
    // Fewer pictures than queries, and one of them missing.
    let page = report_html(&report, &[None, Some(PICTURE.to_owned())]);
    assert_eq!(page.matches("<img").count(), 1, "{page}");
    assert!(
        page.contains(&format!("<tr><td><img alt=\"\" src=\"{PICTURE}\"></td><td class=\"name\">1</td><td class=\"name\">41</td>")),
        "{page}"
    );
    assert!(page.contains("<tr><td></td><td class=\"name\">0</td>"), "{page}");
}

#[test]
fn a_spreadsheet_runs_nothing() {
    let mut known = Known::new();
    for (file, name) in known.files.iter_mut().zip(["=1+1", "+1", "-1.png", "@x", "\t=1", "\r=1", "a,\"b\".png", "plain=1"]) {
        *file = name.to_owned();
    }
    known.classes[47] = "=cmd|' /C calc'!A0".to_owned();
    let csv = report_csv(&report(0, 1, known.context())).unwrap();
    let mut reader = csv::Reader::from_reader(csv.as_bytes());
    assert_eq!(reader.headers().unwrap(), vec!["file", "class", "label", "copies", "of", "conclusive"]);
    let rows: Vec<_> = reader.records().map(Result::unwrap).collect();
    let files: Vec<&str> = rows.iter().map(|row| &row[0]).collect();
    assert_eq!(files, ["'=1+1", "'+1", "'-1.png", "'@x", "'\t=1", "'\r=1", "a,\"b\".png", "plain=1"]);
    assert_eq!(rows[0], vec!["'=1+1", "", "", "11", "12", "false"], "an inconclusive answer");
    assert_eq!(rows[7], vec!["plain=1", "'=cmd|' /C calc'!A0", "47", "12", "12", "true"]);
}

#[test]
fn a_plan_shows_what_certainty_costs_all_guarantees_and_its_table() {
    let labels = PublicLabels::Certified { mismatch: 0.0, detect_below: None };
    let cost = SampleCost { bytes: 2e8, seconds: 5.0, setup_bytes: 1e9, setup_seconds: 60.0, basis: "a guess".to_owned() };
    let overview = plan_overview(&PlanRequest::new(1, 40.0, labels), None, Some(&cost)).unwrap();
    let text = plan_text(&overview);
    let guarantees = &overview.guarantees;
    assert_order(
        &text,
        &[
            "What certainty costs",
            "covert",
            "one that always shows is caught with 99%",
            "9.00 samples",
            "2.6 GiB in 105.00 s",
            "standard",
            "2^-40",
            "44.00 samples",
            "lambda 64",
            "2^-64",
            "Plan",
            "R = 1 queries",
            "a guess",
            "small batches are expensive",
            "fires on",
            "50%",
            "What an accepted batch guarantees",
            &guarantees.in_words,
            &guarantees.position_dependent,
            &guarantees.partly_firing,
            &guarantees.function_dependent,
            "What that assumes",
            &guarantees.assumptions[3],
            "Other numbers of queries",
        ],
    );
    let (_, table) = text.split_once("Other numbers of queries\n").unwrap();
    assert_eq!(table.lines().count(), 1 + overview.table.len(), "{text}");
    let unknown = plan_text(&plan_overview(&PlanRequest { fires: 0.5, ..PlanRequest::new(64, 40.0, labels) }, None, None).unwrap());
    assert!(unknown.contains("on 50% of the images, too") && !unknown.contains("predicted    "), "{unknown}");
}

#[test]
fn an_audit_without_models_says_so() {
    let log = AuditLog::default();
    assert!(audit_text(&audit_overview(&log, Some("aa"), 0.95).unwrap()).contains("No public samples"));
}
