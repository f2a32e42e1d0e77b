//! Client and server killed (SIGKILL) at random points.

use std::time::{Duration, Instant};

use rand::{RngExt as _, SeedableRng};
use rand_chacha::ChaCha20Rng;

use super::{BATCH, Recovery, assert_undisturbed, batches_counted, recover};
use crate::harness::User;

const KILLS: u32 = 20;

#[test]
fn a_client_killed_anywhere_loses_nothing_and_counts_once() {
    let mut rng = ChaCha20Rng::seed_from_u64(20);
    let user = User::new();
    user.prepare("mnist.fusion");
    let server = user.serve("mnist.fusion", "");
    let address = &server.address;
    let began = Instant::now();
    user.run(&format!("query {BATCH} --server {address} --out {{undisturbed}} --json {{before.json}}")).expect(0);
    assert_undisturbed(&user.json("before.json"));
    let whole = began.elapsed();
    let mut resumed = 0;
    for kill in 0..KILLS {
        // One kill in each twentieth of a run: from before the first file to after the last.
        let after = whole.mul_f64((f64::from(kill) + rng.random::<f64>()) / f64::from(KILLS));
        let run = format!("run{kill}");
        let mut client = user.start(&format!("query {BATCH} --server {address} --out {{{run}}}"));
        std::thread::sleep(after);
        client.kill();
        resumed += u64::from(recover(&user, &run, address) == Recovery::Resumed);
    }
    // The undisturbed run is counted, and every other one once, however it came to its end.
    assert_eq!(batches_counted(&user), u64::from(KILLS) + 1);
    assert!(resumed >= 5, "only {resumed} of {KILLS} kills met a run that was under way");
}

#[test]
fn a_server_killed_anywhere_is_waited_for_and_no_failure_is_counted() {
    let mut rng = ChaCha20Rng::seed_from_u64(21);
    let user = User::new();
    user.prepare("mnist.fusion");
    let mut server = user.serve("mnist.fusion", "");
    let mut kills = 0;
    let mut run = 0;
    while kills < KILLS {
        let address = server.address.clone();
        // An outage is no fault of the server's: none may be counted.
        let line = format!("query {BATCH} --server {address} --out {{run{run}}} --json {{after.json}} --max-failures 0");
        let mut client = user.start(&line);
        user.wait_for_run(&format!("run{run}"), &mut client);
        for _ in 0..4 {
            std::thread::sleep(Duration::from_millis(rng.random_range(0..500)));
            if !client.is_running() {
                break;
            }
            server.kill();
            kills += 1;
            std::thread::sleep(Duration::from_millis(rng.random_range(0..500)));
            server = user.serve_at("mnist.fusion", &address, "");
        }
        let ended = client.end().expect(0);
        assert!(!ended.stderr.contains("panicked"), "{}", ended.stderr);
        let outcome = user.json("after.json");
        assert_undisturbed(&outcome);
        assert_eq!(outcome["evidence"]["failed_lane_runs"], 0, "{outcome:#}");
        run += 1;
    }
    assert_eq!(batches_counted(&user), run);
}
