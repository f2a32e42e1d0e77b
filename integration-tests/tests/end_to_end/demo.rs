//! `fusion demo`: the first thing that a newcomer types.

use serde_json::Value;

use crate::harness::{User, assert_fields, labels};

/// Fields that scripts rely on, by their path.
const PROMISED: [&str; 27] = [
    "plan/R",
    "plan/B",
    "plan/T",
    "plan/tau",
    "plan/max_inconclusive",
    "plan/lambda",
    "plan/soundness_log2",
    "plan/overhead",
    "verdict",
    "answers/0/index",
    "answers/0/label",
    "answers/0/float_label",
    "answers/0/copies",
    "answers/0/file",
    "answers/0/class",
    "by_firing/4/phi",
    "by_firing/4/log2",
    "by_firing/4/worst_m",
    "by_firing/4/expected_wrong",
    "public/correct",
    "public/total",
    "bytes/client_to_server",
    "bytes/server_to_client",
    "bytes/by_phase/linear",
    "bytes/by_phase/random_ot",
    "seconds/total",
    "seconds/by_phase/linear",
];

fn promised<'a>(json: &'a Value, path: &str) -> &'a Value {
    json.pointer(&format!("/{path}")).unwrap_or_else(|| panic!("the outcome has no {path}: {json:#}"))
}

#[test]
fn the_demo_is_accepted_and_writes_what_it_promises() {
    let user = User::new();
    let ended = user.run("demo --queries 6 --lambda 12 --json {demo.json}").expect(0);
    let json = user.json("demo.json");
    for path in PROMISED {
        assert!(!promised(&json, path).is_null(), "{path} is null");
    }
    assert_eq!(json["verdict"], "accepted");
    assert_eq!((&json["plan"]["R"], &json["plan"]["lambda"]), (&6.into(), &12.0.into()));
    assert!(json["plan"]["soundness_log2"].as_f64().unwrap() <= -12.0);
    let whole = |path| promised(&json, path).as_u64().unwrap();
    let samples = whole("plan/R") * whole("plan/B") + whole("plan/T");
    assert!((promised(&json, "plan/overhead").as_f64().unwrap() - samples as f64 / 6.0).abs() < 1e-9);
    assert_eq!(whole("public/total"), whole("plan/T"));
    assert!(whole("public/correct") + whole("plan/tau") >= whole("plan/T"));

    assert_eq!(labels(&json).len(), 6);
    for answer in json["answers"].as_array().unwrap() {
        assert_fields(answer, &["index", "file", "label", "class", "float_label", "copies"]);
        assert_eq!(answer["copies"], json["plan"]["B"]);
    }
    // A copy may differ from the float model at a near tie, and then the digit is one of the
    // ambiguous few.
    let equal = json["answers"].as_array().unwrap().iter().filter(|a| a["label"] == a["float_label"]).count();
    assert!(equal >= 5, "{:#}", json["answers"]);

    assert_fields(&json["bytes"], &["client_to_server", "server_to_client", "by_phase"]);
    let phases: u64 = json["bytes"]["by_phase"].as_object().unwrap().values().map(|v| v.as_u64().unwrap()).sum();
    assert_eq!(phases, whole("bytes/client_to_server") + whole("bytes/server_to_client"));
    assert!(whole("bytes/client_to_server") > 0 && whole("bytes/server_to_client") > 0);
    assert!(json["seconds"]["total"].as_f64().unwrap() > 0.0);

    // What a person sees: the plan before the run, then phases, answers and the verdict.
    for words in ["Plan:", "Server:", "Digest:", "soundness 2^"] {
        assert!(ended.stderr.contains(words), "no {words} in:\n{}", ended.stderr);
    }
    for words in ["linear", "random_ot", "verdict      accepted", "What this guarantees"] {
        assert!(ended.stdout.contains(words), "no {words} in:\n{}", ended.stdout);
    }
    assert_eq!(user.files(), ["demo.json"], "a demo leaves only what was asked for");
}

/// A cheating demo is rejected with its evidence, and its answers are withheld.
fn caught(server: &str, options: &str) {
    let user = User::new();
    let ended = user.run(&format!("demo --server {server} {options} --json {{demo.json}}")).expect(3);
    assert!(ended.stdout.contains("verdict      rejected"), "{}", ended.stdout);
    let json = user.json("demo.json");
    assert!(json["verdict"].as_str().unwrap().starts_with("rejected"), "{json:#}");
    assert_eq!(json["answers"], Value::Array(Vec::new()), "answers of a rejected batch are withheld");
    assert_eq!(json["answers_withheld"], true);
    let count = |list: &str| json["evidence"][list].as_array().unwrap().len() as u64;
    let (tau, max_inconclusive) = (json["plan"]["tau"].as_u64().unwrap(), json["plan"]["max_inconclusive"].as_u64().unwrap());
    assert!(count("wrong_publics") > tau || count("disagreements") > max_inconclusive, "{:#}", json["evidence"]);
}

#[test]
fn a_low_quality_server_is_caught() {
    for _ in 0..2 {
        caught("low-quality", "--queries 4 --lambda 10");
    }
}

#[test]
fn a_tampering_server_is_caught() {
    for _ in 0..2 {
        caught("tampering", "--queries 4 --lambda 10");
    }
}

#[test]
#[ignore = "40 demos at full soundness take minutes"]
fn both_cheating_servers_are_caught_twenty_times_of_twenty() {
    for _ in 0..20 {
        caught("low-quality", "");
        caught("tampering", "");
    }
}
