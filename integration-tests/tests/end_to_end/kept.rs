//! What a client keeps: runs from their first byte on, outputs, and what it remembers.

use std::fs;

use crate::harness::{User, asset, labels, true_labels};

const ONE: &str =
    "query <queries/digit-00.png> --public-mnist --copies 2 --public 6 --tau 2 --max-inconclusive 1 --allow-unsound --lanes 1";

#[test]
fn a_run_that_was_killed_while_it_began_is_begun_again() {
    let user = User::new();
    user.prepare("p");
    let server = user.serve("p", "");
    let run = format!("{ONE} --server {} --out {{run}}", server.address);
    user.run(&run).expect(0);
    // As a version before left it that was killed between two files.
    for gone in ["batch.secret", "answers.jsonl"] {
        fs::remove_file(user.path("run").join(gone)).unwrap();
    }
    let resume = format!("query --resume {{run}} --server {}", server.address);
    user.run(&resume).expect_error(&["before it had begun", "begin it again with --out"]);
    user.run("verify {run}").expect_error(&["before it had begun"]);
    user.run(&run).expect(0);
    user.run("verify {run}").expect(0);
    // What has answers is not cleared away.
    fs::remove_file(user.path("run/run.json")).unwrap();
    let before = user.journal("run");
    user.run(&run).expect_error(&["run.json is gone", "another directory"]);
    assert_eq!(user.journal("run"), before);
}

#[test]
fn outputs_that_cannot_be_written_are_noticed_first_and_cost_nothing_later() {
    let user = User::new();
    user.prepare("p");
    let server = user.serve("p", "");
    let run = format!("{ONE} --server {}", server.address);
    fs::write(user.path("kept.csv"), "of before").unwrap();
    for output in ["--json {none/run.json}", "--csv {kept.csv} --html {none/run.html}", "--csv {home}"] {
        user.run(&format!("{run} --out {{run}} {output}")).expect_error(&["cannot write", "nothing has been run"]);
    }
    assert!(!user.path("run").exists());
    assert_eq!(fs::read_to_string(user.path("kept.csv")).unwrap(), "of before");
    // A disk that is full when it comes to that: the report and the others are there all the same.
    let ended = user.run(&format!("{run} --out {{run}} --json /dev/full --csv {{kept.csv}}"));
    let ended = ended.expect_error(&["/dev/full", "the run is finished and kept", "fusion verify"]);
    assert!(ended.stdout.contains("accepted"), "{}", ended.stdout);
    assert!(fs::read_to_string(user.path("kept.csv")).unwrap().starts_with("file,"));
    user.run("verify {run} --json {again.json}").expect(0);
    assert_eq!(labels(&user.json("again.json")), true_labels()[..1]);
}

#[test]
fn a_finished_run_counts_once_and_a_pool_may_change_its_meaning() {
    let user = User::new();
    user.prepare("p");
    let server = user.serve("p", "");
    let at = format!("--server {}", server.address);
    user.run(&format!("{ONE} {at} --out {{run}}")).expect(0);
    for _ in 0..2 {
        user.run(&format!("query --resume {{run}} {at}")).expect(0);
    }
    user.run("audit --json {audit.json}").expect(0);
    assert_eq!(user.json("audit.json")["models"][0]["batches"], 1);
    // Before, this ran all its lanes and could never be finished.
    user.run(&format!("{ONE} {at} --certified --out {{certified}}")).expect(0);
    user.run("audit --json {audit.json}").expect(0);
    assert_eq!(user.json("audit.json")["models"][0]["batches"], 2);
}

#[test]
fn what_earlier_versions_remembered_is_taken_over_and_damage_is_no_fresh_start() {
    let user = User::new();
    user.prepare("p");
    let server = user.serve("p", "");
    fs::create_dir(user.path("home")).unwrap();
    let run = format!("{ONE} --server {} --out {{run}}", server.address);
    let known = user.path("home/known-models.json");
    fs::write(&known, "{\"127.0").unwrap();
    user.run(&run).expect_error(&["known-models.json", "cannot be taken over", "move it away"]);
    fs::write(&known, format!("{{\"{}\":\"{}\"}}", server.address, "ab".repeat(32))).unwrap();
    user.run(&run).expect_error(&["changed since it was first seen", &"ab".repeat(32)]);
    assert!(known.exists(), "a version before goes on knowing its models");
    // A database that is none.
    fs::write(user.path("home/memory.sqlite3"), "x".repeat(5000)).unwrap();
    user.run(&run).expect_error(&["memory.sqlite3", "damaged"]);
    user.run("audit").expect_error(&["memory.sqlite3", "damaged"]);
    assert!(!user.path("run").exists());
}

#[test]
fn labels_beyond_the_classes_are_refused_before_anything_runs() {
    let user = User::new();
    user.prepare("p");
    let server = user.serve("p", "");
    let mut list = "file,label\n".to_owned();
    for (number, label) in true_labels().iter().enumerate() {
        list += &format!("digit-{number:02}.png,{}\n", if number % 8 == 0 { 999_999 } else { *label });
    }
    fs::write(user.path("labels.csv"), list).unwrap();
    let publics = format!("--public-dir {} --public-labels {{labels.csv}}", asset("queries").display());
    let mix = "--copies 2 --public 6 --tau 2 --max-inconclusive 1 --allow-unsound";
    for labels in ["", "--certified", "--ground-truth"] {
        let query = format!("query <queries/digit-00.png> --server {} {publics} {mix} {labels} --out {{run}}", server.address);
        user.run(&query).expect_error(&["labels.csv, line 2", "999999"]);
    }
    assert!(!user.path("run").exists());
}
