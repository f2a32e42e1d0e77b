//! Faults of processes, disks, clocks and links, each held to one property: **the answers and the
//! verdict are those of an undisturbed run, or there is a clear error and a run that can be
//! resumed** (or begun again, if nothing of it was kept).
//!
//! | module | what goes wrong |
//! |---|---|
//! | `kills` | client and server killed at random points |
//! | `disk` | a disk that is full at any file, a state directory that cannot be written |
//! | `time` | a clock set back, a server stopped for a minute, stalled links, minutes of silence |
//! | `together` | clients that share what they remember |

mod disk;
mod kills;
mod time;
mod together;

use serde_json::Value;

use crate::harness::{Ended, User, labels, true_labels};

/// Three digits in three copies among seven public samples: four lanes of four samples, one after
/// the other.
const BATCH: &str = "<queries/digit-00.png> <queries/digit-01.png> <queries/digit-02.png> --public-mnist --copies 3 --public 7 --tau 2 \
                     --max-inconclusive 1 --allow-unsound --lanes 1 --lane-samples 4";
/// Lanes of [`BATCH`].
const LANES: usize = 4;

/// Panics unless an outcome is what an undisturbed run of [`BATCH`] gives.
#[track_caller]
fn assert_undisturbed(outcome: &Value) {
    assert_eq!(outcome["verdict"], "accepted", "{outcome:#}");
    assert_eq!(labels(outcome), true_labels()[..3]);
}

/// Batches that the user's tally counts, over all models.
fn batches_counted(user: &User) -> u64 {
    user.run("audit --json {tally.json}").expect(0);
    user.json("tally.json")["models"].as_array().unwrap().iter().map(|model| model["batches"].as_u64().unwrap()).sum()
}

/// Ends the run in the directory `run` after a fault: resumes it, or begins it if the fault came
/// before anything of it was kept. Returns which of the two.
#[track_caller]
fn recover(user: &User, run: &str, address: &str) -> Recovery {
    let resumed = user.run(&format!("query --resume {{{run}}} --server {address} --lanes 1 --json {{after.json}}"));
    let recovery = if resumed.code == Some(0) {
        Recovery::Resumed
    } else {
        let Ended { stderr, .. } = resumed.expect_error(&["is no run directory"]);
        assert!(!stderr.contains("damaged"), "{stderr}");
        user.run(&format!("query {BATCH} --server {address} --out {{{run}}} --json {{after.json}}")).expect(0);
        Recovery::Begun
    };
    assert_undisturbed(&user.json("after.json"));
    assert_eq!(user.journal(run).len(), LANES);
    recovery
}

/// How a run was ended after a fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Recovery {
    Resumed,
    Begun,
}
