//! Runs outlive kills, from their first byte on.

use fusion_mix::batch::PublicSample;
use fusion_mix::report::SkippedFile;
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;

use super::*;
use crate::client::run_facts::{ImageDigests, RunInputs};

fn source() -> Map<String, Value> {
    let queries = ("queries".to_owned(), Value::from(vec!["q"]));
    [queries, ("publics".to_owned(), Value::from("mnist"))].into_iter().collect()
}

fn facts() -> RunFacts {
    let mix = fusion_mix::mix::Mix::new(4, 3, 5, 0, 0).unwrap();
    let labels = fusion_mix::accuracy::PublicLabels::Certified { mismatch: 0.0, detect_below: None };
    let plan = fusion_mix::plan::Plan::evaluate(&fusion_mix::plan::PlanRequest::new(4, 5.0, labels), mix).unwrap().to_json();
    RunFacts {
        version: FORMAT,
        id: "ab".to_owned(),
        server: "127.0.0.1:1".to_owned(),
        model: None,
        card_digest: "aa".to_owned(),
        hint_digest: "bb".to_owned(),
        plan,
        class_names: vec!["cat".to_owned(), "dog".to_owned()],
        classes: Some(2),
        inputs: RunInputs {
            source: source(),
            digest: "cc".to_owned(),
            files: vec!["a.png".to_owned()],
            skipped: vec![SkippedFile { file: "notes.txt".to_owned(), reason: "no image".to_owned() }],
            images: Some(ImageDigests { queries: vec!["dd".to_owned()], publics: [(3, "ee".to_owned())].into() }),
        },
        pool: Vec::new(),
        sheet: None,
        slices: vec![0..9, 9..17],
        max_failures: Some(3),
    }
}

fn batch() -> MixedBatch {
    let publics = (0..5).map(|id| PublicSample { id, label: 0 }).collect();
    MixedBatch::assemble(fusion_mix::mix::Mix::new(4, 3, 5, 0, 0).unwrap(), publics, &mut ChaCha20Rng::seed_from_u64(1)).unwrap()
}

#[test]
fn a_run_survives_being_killed_at_any_byte() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("run");
    let mut run = RunDir::create(&path, &facts(), &batch()).unwrap();
    run.append(&(0..2), &[7, 8]).unwrap();
    run.append(&(2..3), &[9]).unwrap();
    assert!(RunDir::open(&path).unwrap_err().to_string().contains("another process"));
    drop(run);
    let journal = path.join("answers.jsonl");
    let whole = std::fs::read(&journal).unwrap();
    let first = whole.iter().position(|&b| b == b'\n').unwrap() + 1;
    for cut in first..=whole.len() {
        std::fs::write(&journal, &whole[..cut]).unwrap();
        let (mut run, read, answers) = RunDir::open(&path).unwrap();
        assert_eq!(read, facts());
        assert_eq!(answers[0], (0..2, vec![7, 8]));
        assert_eq!(answers.len(), if cut == whole.len() { 2 } else { 1 }, "cut at {cut}");
        if answers.len() == 1 {
            run.append(&(2..3), &[9]).unwrap();
            drop(run);
            assert_eq!(RunDir::open(&path).unwrap().2.len(), 2);
        }
    }
    assert!(RunDir::create(&path, &facts(), &batch()).is_err());
    std::fs::write(&journal, [b"x\n", &whole[..]].concat()).unwrap();
    assert!(RunDir::open(&path).unwrap_err().to_string().contains("damaged"));
}

#[test]
fn how_far_a_run_is_can_be_asked_while_it_goes_on() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("run");
    assert!(matches!(read_state(&path), Err(JournalError::NoRun { .. })));
    let mut run = RunDir::create(&path, &facts(), &batch()).unwrap();
    let state = || read_state(&path).unwrap();
    assert_eq!((state().lanes, state().answered, state().positions, state().failures), (0, 0, 17, 0));
    run.append(&(0..9), &[1; 9]).unwrap();
    run.lane_failed().unwrap();
    assert_eq!((state().lanes, state().answered, state().failures, state().is_resumable()), (1, 9, 1, true));
    // What is being written is left as it is, and does not count.
    let journal = path.join("answers.jsonl");
    let whole = std::fs::read(&journal).unwrap();
    std::fs::write(&journal, [&whole[..], b"{\"start\":9"].concat()).unwrap();
    assert_eq!((state().answered, std::fs::read(&journal).unwrap().len()), (9, whole.len() + 10));
    std::fs::write(&journal, [b"x\n", &whole[..]].concat()).unwrap();
    assert!(matches!(read_state(&path), Err(JournalError::Damaged { at: Some(0), .. })));
    std::fs::write(&journal, &whole).unwrap();
    (0..3).for_each(|_| run.lane_failed().unwrap());
    assert!(!state().is_resumable(), "four failed where three may");
    run.append(&(9..17), &[1; 8]).unwrap();
    assert!(state().is_complete() && !state().is_resumable());
}

#[test]
fn failed_lanes_stay_failed() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("run");
    let mut run = RunDir::create(&path, &facts(), &batch()).unwrap();
    assert_eq!(run.failures().unwrap(), 0);
    run.lane_failed().unwrap();
    run.lane_failed().unwrap();
    drop(run);
    let (mut run, read, _) = RunDir::open(&path).unwrap();
    assert_eq!((run.failures().unwrap(), read.max_failures), (2, Some(3)));
    run.lane_failed().unwrap();
    drop(run);
    assert_eq!(RunDir::open(&path).unwrap().0.failures().unwrap(), 3);
    std::fs::remove_file(path.join("failures")).unwrap();
    assert!(RunDir::open(&path).unwrap_err().to_string().contains("failures"), "a lost count is not zero");
}

#[test]
fn runs_of_older_programs_have_no_bound() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("run");
    drop(RunDir::create(&path, &RunFacts { max_failures: None, ..facts() }, &batch()).unwrap());
    assert!(!std::fs::read_to_string(path.join("run.json")).unwrap().contains("max_failures"));
    std::fs::remove_file(path.join("failures")).unwrap();
    let (run, read, _) = RunDir::open(&path).unwrap();
    assert_eq!((run.failures().unwrap(), read.max_failures), (0, None));
}

/// Copies the files of `from` that `which` names.
fn copy(from: &Path, which: &[&str], to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for name in which {
        std::fs::copy(from.join(name), to.join(name)).unwrap();
    }
}

/// Before, a kill between two files left a run that could be neither resumed nor begun.
#[test]
fn a_run_that_is_killed_while_it_begins_can_be_begun_again() {
    let home = tempfile::tempdir().unwrap();
    let whole = home.path().join("whole");
    drop(RunDir::create(&whole, &facts(), &batch()).unwrap());
    // In the order of this version, and in that of those before.
    let orders = [
        ["lock", "answers.jsonl", "failures", "batch.secret", "run.json"],
        ["lock", "answers.jsonl", "failures", "run.json", "batch.secret"],
    ];
    for (order, names) in orders.iter().enumerate() {
        for killed in 0..names.len() {
            let path = home.path().join(format!("{order}-{killed}"));
            copy(&whole, &names[..killed], &path);
            let error = RunDir::open(&path).unwrap_err();
            match killed {
                4 => assert!(matches!(error, JournalError::NotBegun { .. }) && error.to_string().contains("--out"), "{error}"),
                _ => assert!(matches!(error, JournalError::NoRun { .. }), "{error}"),
            }
            check_free(&path).unwrap();
            drop(RunDir::create(&path, &facts(), &batch()).unwrap());
            assert_eq!(RunDir::open(&path).unwrap().1, facts());
            assert!(matches!(check_free(&path), Err(JournalError::Taken { .. })));
        }
    }
}

#[test]
fn a_run_that_has_begun_is_never_cleared_away() {
    let home = tempfile::tempdir().unwrap();
    for (gone, begun) in
        [("run.json", "answers.jsonl"), ("batch.secret", "answers.jsonl"), ("run.json", "failures"), ("batch.secret", "failures")]
    {
        let path = home.path().join(format!("{gone}-{begun}"));
        let mut run = RunDir::create(&path, &facts(), &batch()).unwrap();
        if begun == "failures" {
            run.lane_failed().unwrap()
        } else {
            run.append(&(0..1), &[1]).unwrap()
        }
        drop(run);
        std::fs::remove_file(path.join(gone)).unwrap();
        let errors = [check_free(&path), RunDir::create(&path, &facts(), &batch()).map(drop), RunDir::open(&path).map(drop)];
        for error in errors.map(Result::unwrap_err) {
            assert!(matches!(&error, JournalError::Torn { path } if path.ends_with(gone)), "{error}");
        }
        assert!(std::fs::metadata(path.join(begun)).unwrap().len() > 0);
    }
    let path = home.path().join("two");
    let _first = RunDir::create(&path, &facts(), &batch()).unwrap();
    for error in [RunDir::open(&path).map(drop), RunDir::create(&path, &facts(), &batch()).map(drop)].map(Result::unwrap_err) {
        assert!(matches!(error, JournalError::Busy { .. }) && error.to_string().contains("wait for its end"), "{error}");
    }
}

#[cfg(unix)]
#[test]
fn others_cannot_read_a_run() {
    use std::os::unix::fs::PermissionsExt;
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("run");
    drop(RunDir::create(&path, &facts(), &batch()).unwrap());
    for entry in std::fs::read_dir(&path).unwrap().map(Result::unwrap) {
        assert_eq!(entry.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{:?}", entry.file_name());
    }
}
