//! Every kind of cheating server at small parameters, with the digit classifier and the real
//! service: a wrong answer is accepted no more often than the plan says, and honest servers are
//! accepted as often as it says.
//!
//! A batch takes about two seconds of processor time, so the series of 200 batches are ignored by
//! default; the test `mixed_batches` plays as many on a small network within a minute.

use fusion::images::{self, Sample};
use fusion::mix::pool::KnownFrom;
use fusion::{ClientSettings, GivenMix, Inputs, Journal, MixSettings, PublicPool, silent};
use fusion_cli::assets;
use fusion_mix::interval::clopper_pearson;
use fusion_mix::verify::Verdict;
use fusion_model::package::Package;
use rand::SeedableRng;
use rand::rngs::SysRng;
use rand_chacha::ChaCha20Rng;

use crate::harness::{Serving, User, asset, labels, true_labels};

/// Two queries in three copies among six public samples. Two lanes, so that cheats of whole lanes
/// have a choice.
const SMALL: &str = "--copies 3 --public 6 --tau 0 --kappa 0 --allow-unsound --lanes 2";

/// The confidence of every interval here: with some ten of them a sound build fails once in 10^5
/// runs.
const CONFIDENCE: f64 = 1.0 - 1e-6;

fn first_linear_step() -> String {
    let user = User::new();
    user.prepare("p");
    Package::read_card(&user.path("p")).unwrap().program.steps[0].name.clone()
}

#[test]
fn no_cheat_gets_a_wrong_answer_accepted() {
    let layer = format!("layer={}", first_linear_step());
    for cheat in ["samples=0.3", "lanes=0.5", layer.as_str(), "bit"] {
        let user = User::new();
        user.prepare("p");
        let server = user.serve("p", &format!("--cheat {cheat}"));
        let ended = user.run(&format!(
            "query <queries/digit-00.png> <queries/digit-01.png> --server {} --public-mnist {SMALL} --out {{run}} --json {{run.json}}",
            server.address
        ));
        match ended.code {
            // At these parameters a cheat passes with a wrong answer once in 3,000 batches or less.
            Some(0) => assert_eq!(labels(&user.json("run.json")), true_labels()[..2], "{cheat}"),
            Some(3) => assert!(user.json("run.json")["answers"].as_array().unwrap().is_empty(), "{cheat}: the answers are withheld"),
            _ => panic!("{cheat}: {ended:?}"),
        }
    }
}

#[test]
fn an_honest_server_is_accepted_at_small_parameters() {
    // One wrong public answer in six is tolerated here: the model is right on 98.8% of the pool.
    let user = User::new();
    user.prepare("p");
    let server = user.serve("p", "");
    let line = format!(
        "query <queries/digit-00.png> <queries/digit-01.png> --server {} --public-mnist --copies 3 --public 6 --tau 2 --kappa 1 --allow-unsound --lanes 2",
        server.address
    );
    user.run(&format!("{line} --out {{run}} --json {{run.json}}")).expect(0);
    assert_eq!(labels(&user.json("run.json")), true_labels()[..2]);
}

/// How a series of batches ended.
#[derive(Debug, Default)]
struct Tally {
    runs: u64,
    accepted: u64,
    /// Accepted with a wrong answer.
    fooled: u64,
    /// What the plan says: the chance that position-dependent cheating passes.
    soundness: f64,
    /// What the plan says: the chance that an honest server is rejected.
    false_reject: f64,
    /// What the plan says: the chance that a function at `detect_below` is accepted.
    false_accept: f64,
}

impl Tally {
    /// Panics unless the rate of `count` may well be `rate`.
    #[track_caller]
    fn expect_rate(&self, count: u64, rate: f64) {
        assert!(clopper_pearson(count, self.runs, CONFIDENCE).contains(rate), "{self:?}: {count} where the rate is {rate}");
    }

    /// Panics unless the rate of `count` may well be at most `bound`.
    #[track_caller]
    fn expect_at_most(&self, count: u64, bound: f64) {
        assert!(clopper_pearson(count, self.runs, CONFIDENCE).low <= bound, "{self:?}: {count} where the rate is at most {bound}");
    }
}

/// A client that asks one server again and again.
struct Client {
    user: User,
    _server: Serving,
    client: fusion::Client,
    pool: PublicPool,
    queries: Vec<Sample>,
    truth: Vec<u64>,
}

impl Client {
    /// Meets a server of the digit classifier `model`, with more flags.
    fn new(model: &str, flags: &str, lanes: usize) -> Self {
        let user = User::new();
        user.prepare_model(model, "p");
        let server = user.serve("p", flags);
        let mut settings = ClientSettings::new(server.address.clone(), user.path("home"));
        (settings.lanes, settings.max_failures) = (Some(lanes), 0);
        settings.allow_unsound = true;
        let client = fusion::Client::connect(settings).unwrap();
        let queries = ["queries/digit-00.png", "queries/digit-01.png"].map(|name| images::folder(&asset(name)).unwrap()).concat();
        Self {
            user,
            _server: server,
            client,
            pool: PublicPool::labelled(assets::mnist_pool().unwrap(), KnownFrom::GroundTruth).unwrap(),
            queries,
            truth: true_labels()[..2].to_vec(),
        }
    }

    /// `runs` batches of `copies` copies of two digits and `publics` public samples, none of which
    /// may be wrong.
    fn batches(&self, runs: u64, copies: u32, publics: u32) -> Tally {
        let given = Some(GivenMix { copies, publics, tau: 0, max_inconclusive: 0 });
        let mix = MixSettings { given, ..MixSettings::at_lambda(40.0, Some(0.7)) };
        let mut tally = Tally::default();
        let mut rng = ChaCha20Rng::try_from_rng(&mut SysRng).unwrap();
        let inputs = Inputs::from(self.queries.clone());
        for run in 0..runs {
            let plan = self.client.plan(&mix, inputs.samples.len(), &self.pool).unwrap();
            let journal = Journal::at(self.user.path(&format!("run{run}")));
            let report = self.client.query(&inputs, &self.pool, &plan, journal, &mut rng, &mut silent).unwrap().report;
            tally.runs += 1;
            tally.soundness = report.plan.soundness_log2.exp2();
            tally.false_reject = report.plan.false_reject;
            tally.false_accept = report.plan.false_accept.unwrap();
            if report.verdict == Verdict::Accepted {
                tally.accepted += 1;
                let wrong = report.answers.iter().any(|a| u64::from(a.label.unwrap()) != self.truth[a.index as usize]);
                tally.fooled += u64::from(wrong);
            } else {
                assert!(report.verdict.is_rejected() && report.answers.is_empty(), "{report:?}");
            }
        }
        println!("{tally:?}");
        tally
    }
}

/// Batches of a series.
const SERIES: u64 = 200;

/// The chance that two copies agree, and that they agree on a wrong label, if each is corrupted as
/// `corrupted` says and then its label is uniform among ten.
fn agreement(corrupted: [bool; 2]) -> (f64, f64) {
    match corrupted {
        [false, false] => (1.0, 0.0),
        [true, true] => (0.1, 0.09),
        [true, false] | [false, true] => (0.1, 0.0),
    }
}

/// The chances that two queries of two copies and two public samples are accepted, and accepted
/// with a wrong answer, if `chance` is that of each set of corrupted positions (bits 0-3 copies,
/// bits 4-5 public samples) and a model that is right on `accuracy` of the public samples.
fn uniform_labels(chance: impl Fn(u32) -> f64, accuracy: f64) -> (f64, f64) {
    (0..64).fold((0.0, 0.0), |(accepted, fooled), set| {
        let hit = |position: u32| set >> position & 1 == 1;
        let public = |position| if hit(position) { 0.1 } else { accuracy };
        let ((first, wrong_first), (second, wrong_second)) = (agreement([hit(0), hit(1)]), agreement([hit(2), hit(3)]));
        let publics = chance(set) * public(4) * public(5);
        let right = (first - wrong_first) * (second - wrong_second);
        (accepted + publics * first * second, fooled + publics * (first * second - right))
    })
}

#[test]
fn uniform_labels_are_counted_right() {
    let (accepted, fooled) = uniform_labels(|set| if set == 0 { 1.0 } else { 0.0 }, 1.0);
    assert_eq!((accepted, fooled), (1.0, 0.0));
    let (accepted, fooled) = uniform_labels(|set| if set == 63 { 1.0 } else { 0.0 }, 1.0);
    assert!((accepted - 1e-4).abs() < 1e-12 && (fooled - 1e-4 * 0.99).abs() < 1e-12);
}

/// The fraction of the pool that the model gets right, as its fixed-point twin does.
const ACCURACY: f64 = 0.988;

/// Holds a series to the exact chances of a server that corrupts each set of positions with the
/// given chance.
fn expect_corruption(tally: &Tally, chance: impl Fn(u32) -> f64) {
    let (accepted, fooled) = uniform_labels(chance, ACCURACY);
    assert!(fooled < tally.soundness);
    tally.expect_rate(tally.accepted, accepted);
    tally.expect_rate(tally.fooled, fooled);
    tally.expect_at_most(tally.fooled, tally.soundness);
}

#[test]
#[ignore = "200 batches take minutes"]
fn series_of_a_server_that_corrupts_some_samples() {
    let tally = Client::new("mnist.onnx", "--cheat samples=0.3", 1).batches(SERIES, 2, 2);
    let chance = |set: u32| 0.3f64.powi(set.count_ones() as i32) * 0.7f64.powi(6 - set.count_ones() as i32);
    expect_corruption(&tally, chance);
}

#[test]
#[ignore = "200 batches take minutes"]
fn series_of_a_server_that_corrupts_whole_lanes() {
    let tally = Client::new("mnist.onnx", "--cheat lanes=0.5", 2).batches(SERIES, 2, 2);
    // Two lanes of three positions each: none, one or both corrupted; one is any three positions of
    // six.
    let chance = |set: u32| match set.count_ones() {
        0 | 6 => 0.25,
        3 => 0.5 / 20.0,
        _ => 0.0,
    };
    expect_corruption(&tally, chance);
}

#[test]
#[ignore = "200 batches take minutes"]
fn series_of_a_server_that_corrupts_a_layer() {
    let tally = Client::new("mnist.onnx", &format!("--cheat layer={}", first_linear_step()), 1).batches(SERIES, 2, 2);
    tally.expect_at_most(tally.fooled, tally.soundness);
    // All answers are noise, so both public samples are right now and then at best.
    tally.expect_at_most(tally.accepted, 0.1);
}

#[test]
#[ignore = "200 batches take minutes"]
fn series_of_a_server_that_flips_one_bit() {
    let tally = Client::new("mnist.onnx", "--cheat bit", 1).batches(SERIES, 2, 2);
    assert_eq!(tally.fooled, 0, "one position is less than the copies of a query: {tally:?}");
}

#[test]
#[ignore = "200 batches take minutes"]
fn series_of_a_server_with_a_low_quality_model() {
    let tally = Client::new("mnist-low.onnx", "", 1).batches(SERIES, 1, 6);
    // The second guarantee: its model is right on 60% of the pool, less than the 70% that are to be
    // noticed.
    tally.expect_rate(tally.accepted, 0.6f64.powi(6));
    tally.expect_at_most(tally.accepted, tally.false_accept);
}

#[test]
#[ignore = "200 batches take minutes"]
fn series_of_an_honest_server() {
    let tally = Client::new("mnist.onnx", "", 1).batches(SERIES, 1, 20);
    assert_eq!(tally.fooled, 0, "{tally:?}");
    tally.expect_rate(tally.accepted, 1.0 - tally.false_reject);
}
