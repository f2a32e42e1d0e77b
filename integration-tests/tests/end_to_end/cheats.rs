//! Every kind of cheating server: a wrong answer is accepted no more often than the plan allows.

use fusion_nn::package::Package;

use crate::harness::{User, labels, true_labels};

/// How a series of batches ended.
#[derive(Debug, Default)]
struct Tally {
    runs: u32,
    rejected: u32,
    /// Accepted with a wrong answer.
    fooled: u32,
    /// The bound of the plan.
    bound: f64,
}

/// Runs batches of two digits against a server that cheats.
fn batches(cheat: &str, runs: u32, mix: &str) -> Tally {
    let user = User::new();
    user.prepare("p");
    let server = user.serve("p", &format!("--cheat {cheat}"));
    let truth = &true_labels()[..2];
    let mut tally = Tally::default();
    for run in 0..runs {
        let name = format!("run{run}");
        let ended = user.run(&format!(
            "query <queries/digit-00.png> <queries/digit-01.png> --server {} --public-mnist {mix} --out {{{name}}} --json {{{name}.json}}",
            server.address
        ));
        let json = user.json(&format!("{name}.json"));
        tally.bound = json["plan"]["soundness_log2"].as_f64().unwrap().exp2();
        tally.runs += 1;
        match ended.code {
            Some(0) => {
                assert_eq!(json["verdict"], "accepted");
                // An inconclusive query has no answer: that is no wrong one.
                let conclusive = json["answers"].as_array().unwrap().iter().filter(|a| !a["label"].is_null());
                let wrong = conclusive.filter(|a| a["label"] != truth[a["index"].as_u64().unwrap() as usize]).count();
                tally.fooled += u32::from(wrong > 0);
            }
            Some(3) => tally.rejected += 1,
            _ => panic!("{cheat}: {ended:?}"),
        }
    }
    tally
}

/// One lane: its slices are what the network sees, and the cheats of whole lanes need two.
const SMALL: &str = "--copies 3 --public 6 --tau 0 --kappa 0 --lanes 2";

fn first_linear_step() -> String {
    let user = User::new();
    user.prepare("p");
    Package::read_card(&user.path("p")).unwrap().program.steps[0].name.clone()
}

#[test]
fn no_cheat_gets_a_wrong_answer_accepted() {
    let layer = format!("layer={}", first_linear_step());
    for (cheat, runs) in [("samples=0.3", 2), ("lanes=0.5", 3), (layer.as_str(), 2), ("bit", 3)] {
        let tally = batches(cheat, runs, SMALL);
        assert_eq!(tally.fooled, 0, "{cheat}: {tally:?}");
        if cheat == layer {
            // Every answer is noise: six public ones are all right by chance once in a million.
            assert_eq!(tally.rejected, runs, "{cheat}: {tally:?}");
        }
    }
}

#[test]
fn an_honest_server_is_accepted_at_small_parameters() {
    // One wrong public answer in six is tolerated here: the model is right on 98.8% of the pool.
    let user = User::new();
    user.prepare("p");
    let server = user.serve("p", "");
    for run in 0..3 {
        let line = format!(
            "query <queries/digit-00.png> <queries/digit-01.png> --server {} --public-mnist --copies 3 --public 6 --tau 2 --kappa 1 --lanes 2",
            server.address
        );
        user.run(&format!("{line} --out {{run{run}}} --json {{run{run}.json}}")).expect(0);
        assert_eq!(labels(&user.json(&format!("run{run}.json"))), true_labels()[..2]);
    }
}

/// Chance of `successes` or more in `trials` trials at `rate`.
fn upper_tail(successes: u32, trials: u32, rate: f64) -> f64 {
    let mut term = (1.0 - rate).powf(f64::from(trials));
    let mut below = 0.0;
    for k in 0..successes {
        below += term;
        term *= f64::from(trials - k) / f64::from(k + 1) * rate / (1.0 - rate);
    }
    1.0 - below
}

#[test]
#[ignore = "800 batches take an hour"]
fn cheats_succeed_no_more_often_than_the_plan_says() {
    assert!((upper_tail(1, 2, 0.5) - 0.75).abs() < 1e-12);
    let layer = format!("layer={}", first_linear_step());
    for cheat in ["samples=0.3", "lanes=0.5", layer.as_str(), "bit"] {
        let tally = batches(cheat, 200, "--copies 2 --public 2 --tau 0 --kappa 0 --lanes 2");
        println!("{cheat}: {tally:?}");
        assert!(tally.bound < 1.0, "{tally:?}");
        assert!(upper_tail(tally.fooled, tally.runs, tally.bound) > 1e-6, "{cheat}: {tally:?}");
    }
}
