//! Three shells: the owner prepares and serves, the user queries, verifies and audits.

use serde_json::Value;

use crate::harness::{User, labels, true_labels};

#[test]
fn prepare_serve_query_verify_and_audit() {
    let user = User::new();
    let line = "prepare <mnist.onnx> --preprocess mnist --calibrate <queries> --claimed-accuracy 0.9887 --out {mnist.fusion} --json {prepared.json}";
    user.run(line).expect(0);
    let prepared = user.json("prepared.json");
    let [digest, hint] = ["card_digest", "hint_digest"].map(|name| prepared[name].as_str().unwrap().to_owned());
    let inspected = user.run("inspect {mnist.fusion}").expect(0);
    assert!(inspected.stdout.contains(&format!("Digest: {digest}")) && inspected.stdout.contains(&hint), "{}", inspected.stdout);
    let server = user.serve("mnist.fusion", "");
    let query = format!("query <queries> --server {} --public-mnist", server.address);

    let run = format!("{query} --detect-below 0.8 --lambda 12 --out {{run}} --json {{run.json}} --html {{run.html}}");
    let ended = user.run(&run).expect(0);
    assert!(ended.stderr.contains(&digest) && ended.stderr.contains("first use"), "{}", ended.stderr);
    let outcome = user.json("run.json");
    assert_eq!(outcome["verdict"], "accepted");
    assert_eq!(labels(&outcome), true_labels());
    assert!(outcome["plan"]["soundness_log2"].as_f64().unwrap() <= -12.0);
    assert!(std::fs::read_to_string(user.path("run.html")).unwrap().contains("accepted"));

    // Verifying again needs the run directory alone, and says the same.
    user.run("verify {run} --json {again.json}").expect(0);
    let again = user.json("again.json");
    for part in ["verdict", "answers", "plan", "evidence"] {
        assert_eq!(without_label_shift(&again[part]), without_label_shift(&outcome[part]), "{part}");
    }
    // The secret order is the user's alone.
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        assert_eq!(std::fs::metadata(user.path("run").join("batch.secret")).unwrap().permissions().mode() & 0o777, 0o600);
    }

    // The second time the digest is known, and the hint is on disk.
    let one = "--copies 2 --public 2 --tau 1 --max-inconclusive 1 --allow-unsound --lanes 1";
    let small = "--copies 2 --public 6 --tau 2 --max-inconclusive 2 --allow-unsound --lanes 1";
    let ended = user.run(&format!("{query} {small} --pin {digest} --out {{run2}}")).expect(0);
    assert!(ended.stderr.contains("pinned"), "{}", ended.stderr);
    let ended =
        user.run(&format!("query <queries/digit-00.png> --server {} --public-mnist {one} --out {{run3}}", server.address)).expect(0);
    assert!(ended.stderr.contains("as before"), "{}", ended.stderr);
    user.run(&format!("{query} {small} --out {{run}}")).expect_error(&["already holds a run", "--resume"]);

    // What is added up is about the weights, so it is kept by the digest of the hint.
    let ended = user.run("audit --json {audit.json}").expect(0);
    assert!(ended.stdout.contains(&hint[..8]), "{}", ended.stdout);
    let audit = user.json("audit.json").to_string();
    assert!(audit.contains(&hint), "{audit}");

    // A pin of the hint, as older versions had it, is taken, and the better one is named.
    let ended = user
        .run(&format!("query <queries/digit-00.png> --server {} --public-mnist {one} --pin {hint} --out {{hint}}", server.address))
        .expect(0);
    assert!(ended.stderr.contains("only its hint is pinned") && ended.stderr.contains(&format!("pin that: {digest}")), "{}", ended.stderr);

    // A pin of another digest is refused with both.
    let other = "ab".repeat(32);
    user.run(&format!("{query} {small} --pin {other} --out {{run4}}")).expect_error(&[&other, &digest, "pinned"]);

    // So is another package at the same address: even of the same weights it has another key, hence
    // another hint.
    let address = server.kill();
    user.prepare("other.fusion");
    let server = user.serve_at("other.fusion", &address, "");
    assert_eq!(server.address, address);
    let ended = user.run(&format!("{query} {small} --out {{run5}}")).expect_error(&[&digest, "changed", "--pin"]);
    let served = ended.stderr.split("now served: ").nth(1).unwrap()[..64].to_owned();
    assert_ne!(served, digest);
    user.run(&format!("{query} {small} --pin {served} --out {{run6}}")).expect(0);
    assert!(!user.path("run4").exists() && !user.path("run5").exists(), "a refused query leaves no run");
}

/// Evidence without the comparison of histograms, which only the run that has the images may draw.
fn without_label_shift(value: &Value) -> Value {
    let mut value = value.clone();
    if let Some(object) = value.as_object_mut() {
        object.remove("label_shift");
    }
    value
}
