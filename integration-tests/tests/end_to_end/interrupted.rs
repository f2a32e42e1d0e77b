//! Processes that are killed in the middle of a run: nothing that was finished is lost, and nobody
//! waits for the dead.

use crate::harness::{User, labels, true_labels};

/// Four digits, six lanes of four samples one after the other: time to be killed in.
const RUN: &str = "query <queries/digit-00.png> <queries/digit-01.png> <queries/digit-02.png> <queries/digit-03.png> --public-mnist \
                   --copies 3 --public 12 --tau 3 --max-inconclusive 1 --allow-unsound --lanes 1 --lane-samples 4";

/// Checks that the run was finished with the lanes that it had.
fn resumed(user: &User, address: &str, before: &[String]) {
    user.run(&format!("query --resume {{run}} --server {address} --lanes 1 --json {{run.json}}")).expect(0);
    let after = user.journal("run");
    assert_eq!(after[..before.len()], *before, "finished lanes are kept");
    assert_eq!(after.len(), 6);
    let outcome = user.json("run.json");
    assert_eq!(outcome["verdict"], "accepted");
    assert_eq!(labels(&outcome), true_labels()[..4]);
    // Only the missing lanes were run again.
    assert_eq!(user.run("verify {run}").expect(0).code, Some(0));
}

#[test]
fn a_killed_client_frees_the_server_and_resumes() {
    let user = User::new();
    user.prepare("mnist.fusion");
    // One lane in all: the next client gets it only if the dead one's has ended.
    let server = user.serve("mnist.fusion", "--max-lanes 1");
    let mut client = user.start(&format!("{RUN} --server {} --out {{run}}", server.address));
    user.wait_for_first_lane("run", &mut client);
    client.kill();
    let before = user.journal("run");
    assert!((1..6).contains(&before.len()), "the client was killed in the middle: {before:?}");
    user.run("verify {run}").expect(4);

    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(30);
    let other = format!(
        "query <queries/digit-00.png> --public-mnist --copies 2 --public 2 --tau 1 --max-inconclusive 1 --allow-unsound --lanes 1 --server {}",
        server.address
    );
    for attempt in 0.. {
        let ended = user.run(&format!("{other} --out {{other{attempt}}}"));
        if ended.code == Some(0) {
            break;
        }
        assert!(std::time::Instant::now() < deadline, "the dead client's lane is not freed: {}", ended.stderr);
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    resumed(&user, &server.address, &before);
}

#[test]
fn a_killed_server_loses_nothing_of_the_run() {
    let user = User::new();
    user.prepare("mnist.fusion");
    let server = user.serve("mnist.fusion", "");
    let mut client = user.start(&format!("{RUN} --server {} --out {{run}}", server.address));
    user.wait_for_first_lane("run", &mut client);
    let address = server.kill();
    client.kill();
    let before = user.journal("run");
    assert!((1..6).contains(&before.len()), "the server was killed in the middle: {before:?}");

    // A server of another model in its place is refused, by the address's history and by the run
    // itself.
    user.prepare("other.fusion");
    let other = user.serve_at("other.fusion", &address, "");
    let ended = user.run(&format!("query --resume {{run}} --server {address}")).expect_error(&["changed since it was first seen"]);
    let served = ended.stderr.split("now served: ").nth(1).unwrap()[..64].to_owned();
    user.run(&format!("query --resume {{run}} --server {address} --pin {served}")).expect_error(&["another model", "run:", "served:"]);
    other.kill();
    assert_eq!(user.journal("run"), before);

    let first = user.json("run/run.json")["card_digest"].as_str().unwrap().to_owned();
    let server = user.serve_at("mnist.fusion", &address, "");
    user.run(&format!("query --resume {{run}} --server {address} --pin {}", "0".repeat(64))).expect_error(&["not the pinned one"]);
    // The trusted digest of the address was changed above on request: change it back the same way.
    user.run(&format!("query <queries/digit-00.png> --public-mnist --copies 2 --public 2 --tau 1 --max-inconclusive 1 --allow-unsound --lanes 1 --server {address} --pin {first} --out {{pinned}}"))
        .expect(0);
    resumed(&user, &server.address, &before);
}
