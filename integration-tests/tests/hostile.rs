//! A sample of what `cargo xtask hostile` plays: one message of every phase in two mutations, every
//! deviation in a short series, and the attack by a ground receiver.
//!
//! In a binary of its own: it hears of every panic of the process.
#![forbid(unsafe_code)]

use std::collections::BTreeSet;

use integration_tests::hostile::{Scope, run};

#[test]
fn a_cheating_peer_is_named_or_rejected_or_harmless() {
    let report = run(Scope::Sample, &|_, _| ()).unwrap();
    println!("{}\n{}", report.table(), report.summary());
    assert_eq!(report.faults, Vec::<String>::new());
    let phases: BTreeSet<&str> = report.rows.iter().map(|row| &row.phase[..]).collect();
    let lane = ["set-up of OT", "random OT", "linear layer", "ReLU and pooling", "function", "product", "opening", "silent extension"];
    let service = ["description", "hint", "opening of a lane", "frames of a lane"].map(|phase| format!("service: {phase}"));
    for phase in lane.into_iter().chain(service.iter().map(String::as_str)).chain(["whole batches"]) {
        assert!(phases.contains(phase), "{phase} is not played: {phases:?}");
    }
    // Not all of them end alike: else the harness would not cheat.
    let sum = |of: fn(&integration_tests::hostile::Row) -> u64| report.rows.iter().map(of).sum::<u64>();
    let errors = sum(|row| row.errors.values().sum());
    assert!(errors > 20 && sum(|row| row.rejected) > 20 && sum(|row| row.no_effect) > 5, "{}", report.summary());
}
