//! Verification over the real protocol: 200 batches against every kind of cheating server, and the
//! exact prediction of `fusion-mix` for each.
//!
//! The network is small (two dense layers, a ReLU and the argmax) so that a lane takes
//! milliseconds; encryption, oblivious transfer, hints, mixing and verification are those of the
//! product, at full parameters. Both parties are threads of this process, and lanes of one test
//! share their base OTs.
#![forbid(unsafe_code)]
#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::cell::RefCell;
use std::rc::Rc;

use fusion::server::Cheat;
use fusion_mix::accuracy::PublicLabels;
use fusion_mix::adversary::{Adversary, Positions, predict};
use fusion_mix::batch::{BatchAnswers, Item, MixedBatch, PublicSample};
use fusion_mix::interval::clopper_pearson;
use fusion_mix::mix::Mix;
use fusion_mix::plan::{Plan, PlanRequest};
use fusion_mix::soundness::soundness;
use fusion_mix::verify::{Verdict, verify};
use fusion_model::program::{Activation, LinearTerm, LinearWeights, Op, Program, RingBits, Step, TensorId, TensorSpec, Weights, Window};
use fusion_nn::exec::{
    Client, Deviation, EncodedImage, Finished, Hint, Lane, LaneInput, Opened, PublicModel, Reveal, Server as ServerSide, ServerModel,
};
use fusion_nn::layers::LaneTerms;
use fusion_ring::channel::memory_pair;
use fusion_rlwe::{ConvGeometry, PublicSeed, ServerKey, Shape};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha20Rng;

/// Batches of a series.
const BATCHES: u64 = 200;

/// The confidence of every interval here: with some twenty of them a sound build fails once in
/// 50,000 runs.
const CONFIDENCE: f64 = 1.0 - 1e-6;

const CLASSES: usize = 4;
const PIXELS: usize = 2 * CLASSES;

/// The ring of the input, bits.
const INPUT_RING: u32 = 22;

/// Names of the steps.
const FIRST: &str = "dense1";
const LAST: &str = "dense2";

/// Two dense layers: the class whose two pixels are brightest.
fn program() -> Program {
    let spec = |length, ring, frac| TensorSpec { shape: Shape::flat(length), ring: RingBits(ring), frac };
    let dense = |input, from, to| Op::Linear {
        terms: vec![LinearTerm { input: TensorId(input), geometry: ConvGeometry::dense(from, to) }],
        weight_bits: 10,
        row_norm: 512,
        upload_bits: 28,
        hint_bits: 26,
    };
    let relu = Op::Requantise { input: TensorId(1), window: Window { shift: 9, bits: 13 }, pool: None, activation: Activation::Relu };
    let step = |name: &str, op, output| Step { name: name.to_owned(), op, output: TensorId(output) };
    Program {
        tensors: vec![spec(PIXELS, INPUT_RING, 4), spec(CLASSES, 22, 13), spec(CLASSES, 20, 4), spec(CLASSES, 20, 14)],
        input: TensorId(0),
        steps: vec![step(FIRST, dense(0, PIXELS, CLASSES), 1), step("relu", relu, 2), step(LAST, dense(2, CLASSES, CLASSES), 3)],
        logits: TensorId(3),
        logits_window: Window { shift: 4, bits: 16 },
    }
}

/// Weights under which an image of class `c` gets the label `labels[c]`.
fn weights(labels: [usize; CLASSES]) -> Weights {
    let matrix = |rows: usize, columns: usize, one: &dyn Fn(usize, usize) -> bool| {
        (0..rows * columns).map(|i| if one(i / columns, i % columns) { 200 } else { 0 }).collect::<Vec<i16>>()
    };
    let first = matrix(CLASSES, PIXELS, &|class, pixel| pixel / 2 == class);
    let last = matrix(CLASSES, CLASSES, &|label, class| labels[class] == label);
    let layer = |weights| LinearWeights { terms: vec![weights], bias: vec![0; CLASSES] };
    Weights { linear: vec![layer(first), layer(last)] }
}

const HONEST: [usize; CLASSES] = [0, 1, 2, 3];

/// An image of a class: its two pixels are bright, the others noise.
fn image(program: &Program, class: usize, rng: &mut ChaCha20Rng) -> EncodedImage {
    let pixels: Vec<i64> =
        (0..PIXELS).map(|pixel| if pixel / 2 == class { rng.random_range(50..70) } else { rng.random_range(0..10) }).collect();
    EncodedImage::new(program, &pixels).unwrap()
}

/// What the server does.
enum Server {
    Computes(Weights),
    /// Evaluates other weights than those of its hint, under the same masks.
    BreaksItsHint(Weights),
    /// Makes label 0 of samples that it chooses for each batch.
    Targets(Choice),
    /// As `fusion serve --cheat`.
    Cheats(Cheat),
}

/// Which samples of a batch, told their number: lane after lane.
type Choice = Box<dyn FnMut(usize, &mut ChaCha20Rng) -> Vec<bool> + Send>;

/// How a series ended.
#[derive(Debug, Default)]
struct Tally {
    accepted: u64,
    /// Accepted with a wrong answer.
    fooled: u64,
}

impl Tally {
    #[track_caller]
    fn expect(&self, accepted: f64, fooled: f64) {
        for (count, rate) in [(self.accepted, accepted), (self.fooled, fooled)] {
            assert!(clopper_pearson(count, BATCHES, CONFIDENCE).contains(rate), "{self:?}: predicted {accepted} and {fooled}");
        }
    }

    #[track_caller]
    fn expect_bounded(&self, mix: &Mix) {
        let bound = soundness(mix).log2.exp2();
        assert!(clopper_pearson(self.fooled, BATCHES, CONFIDENCE).low <= bound, "{self:?}: at most {bound}");
    }
}

/// Runs a series of batches in `lanes` lanes each. Images are of classes 1 to 3; a public label is
/// wrong with chance `mislabelled`.
fn series(mix: Mix, lanes: u32, server: Server, mislabelled: f64, seed: u64) -> Tally {
    let mut rng = ChaCha20Rng::seed_from_u64(seed);
    let program = program();
    program.validate().unwrap();
    let public = PublicModel::new(program.clone(), PublicSeed([3; 32])).unwrap();
    let (published, served, deviates) = match server {
        Server::Computes(weights) => (weights.clone(), weights, None),
        Server::BreaksItsHint(other) => (weights(HONEST), other, None),
        other @ (Server::Targets(_) | Server::Cheats(_)) => (weights(HONEST), weights(HONEST), Some(other)),
    };
    let key = ServerKey::random(&mut rng);
    let published = ServerModel::new(public.clone(), &published, &key).unwrap();
    let hint = Hint::from_bytes(&public, published.hint(&mut rng, |_| ())).unwrap();
    let model = ServerModel::new(public.clone(), &served, &key).unwrap();
    let samples = (mix.samples() / lanes) as usize;
    let (client_end, server_end) = memory_pair();
    let mut server_rng = ChaCha20Rng::seed_from_u64(seed + 1);
    std::thread::scope(|scope| {
        let serving = scope.spawn(|| {
            let own = ChaCha20Rng::from_rng(&mut server_rng);
            let mut lane =
                Lane::<ServerSide>::connect(b"test", samples, Reveal::Label, LaneTerms::SHORT_LINK, Box::new(server_end), &mut server_rng)
                    .unwrap();
            let deviation = deviates.map(|server| Rc::new(RefCell::new(deviation(server, &program, lanes as usize, own))));
            for _ in 0..u64::from(lanes) * BATCHES {
                if let Some(deviation) = deviation.clone() {
                    lane = lane.deviating(Box::new(move |step, samples, share| deviation.borrow_mut()(step, samples, share)));
                }
                lane = lane.run(&model, &mut server_rng, &mut |_| ()).unwrap().connection.lane(samples, Reveal::Label);
            }
        });
        let mut lane =
            Lane::<Client>::connect(b"test", samples, Reveal::Label, LaneTerms::SHORT_LINK, Box::new(client_end), &mut rng).unwrap();
        let mut tally = Tally::default();
        for _ in 0..BATCHES {
            let mut classes = |n: u32| (0..n).map(|_| rng.random_range(1..CLASSES)).collect::<Vec<_>>();
            let (queries, publics) = (classes(mix.queries()), classes(mix.publics()));
            let known = |(id, &class): (u32, &usize)| PublicSample { id, label: class as u32 };
            let mut pool: Vec<_> = (0..).zip(&publics).map(known).collect();
            pool.iter_mut().filter(|_| rng.random_bool(mislabelled)).for_each(|sample| sample.label = 0);
            let batch = MixedBatch::assemble(mix, pool, &mut rng).unwrap();
            let mut sheet = BatchAnswers::new(&batch, 0);
            for slice in batch.lane_slices(lanes) {
                assert_eq!(slice.len(), samples);
                let images: Vec<_> = slice
                    .clone()
                    .map(|position| match batch.item(position) {
                        Item::Query { query } => image(&program, queries[query as usize], &mut rng),
                        Item::Public { id } => image(&program, publics[id as usize], &mut rng),
                    })
                    .collect();
                let input = LaneInput::new(&program, &images).unwrap();
                let Finished { opened, connection, .. } = lane.run(&public, &hint, input, &mut rng, &mut |_| ()).unwrap();
                lane = connection.lane(samples, Reveal::Label);
                let Opened::Labels(labels) = opened else { panic!("labels were asked for") };
                sheet.record(slice, &labels).unwrap();
            }
            let verification = verify(&batch, &sheet).unwrap();
            if verification.verdict() == Verdict::Accepted {
                tally.accepted += 1;
                let wrong = |a: &fusion_mix::verify::Answer| a.label.is_some_and(|label| label as usize != queries[a.query as usize]);
                tally.fooled += u64::from(verification.answers().unwrap().iter().any(wrong));
            } else {
                assert!(verification.answers().is_none());
            }
        }
        serving.join().unwrap();
        println!("{mix:?}: {tally:?}");
        tally
    })
}

/// The deviation of all lanes of a series, a batch being `lanes` in a row.
fn deviation(server: Server, program: &Program, lanes: usize, mut rng: ChaCha20Rng) -> Deviation<'static> {
    let program = program.clone();
    match server {
        Server::Computes(_) | Server::BreaksItsHint(_) => unreachable!("they do not deviate"),
        Server::Cheats(cheat) => {
            let mut now: Option<Deviation<'static>> = None;
            Box::new(move |step, samples, share| {
                if step == FIRST {
                    now = Some(cheat.deviation(&program, samples, ChaCha20Rng::from_rng(&mut rng)));
                }
                now.as_mut().unwrap()(step, samples, share);
            })
        }
        Server::Targets(mut choice) => {
            let (mut chosen, mut lane) = (Vec::new(), 0);
            Box::new(move |step, samples, share| {
                if step != LAST {
                    return;
                }
                if lane % lanes == 0 {
                    chosen = choice(lanes * samples, &mut rng);
                }
                for sample in 0..samples {
                    if chosen[lane % lanes * samples + sample] {
                        // Bit 18 of the logits' 20.
                        share[sample] = share[sample].wrapping_add(1 << (18 + 32 - 20));
                    }
                }
                lane += 1;
            })
        }
    }
}

/// Three queries in two copies among four public samples.
fn small(tau: u32, max_inconclusive: u32) -> Mix {
    Mix::new(3, 2, 4, tau, max_inconclusive).unwrap()
}

fn exactly(m: usize) -> Choice {
    Box::new(move |samples, rng| {
        let mut chosen: Vec<bool> = (0..samples).map(|position| position < m).collect();
        for last in (1..samples).rev() {
            chosen.swap(last, rng.random_range(0..=last));
        }
        chosen
    })
}

fn position_dependent(mix: &Mix, positions: Positions) -> fusion_mix::adversary::Outcome {
    predict(mix, &Adversary::position_dependent(positions)).unwrap()
}

#[test]
fn the_best_position_dependent_server_reaches_the_bound_and_no_more() {
    let mix = small(1, 1);
    let best = soundness(&mix);
    let tally = series(mix, 1, Server::Targets(exactly(best.worst_m as usize)), 0.0, 1);
    let predicted = position_dependent(&mix, Positions::Exactly(best.worst_m));
    assert!((predicted.cheated - best.log2.exp2()).abs() < 1e-9);
    tally.expect(predicted.accepted, predicted.cheated);
}

#[test]
fn a_server_that_corrupts_a_fraction_of_samples() {
    let mix = small(0, 1);
    let tally = series(mix, 1, Server::Targets(Box::new(|n, rng| (0..n).map(|_| rng.random_bool(0.3)).collect())), 0.0, 5);
    let predicted = position_dependent(&mix, Positions::Fraction(0.3));
    tally.expect(predicted.accepted, predicted.cheated);
    tally.expect_bounded(&mix);
}

#[test]
fn a_server_that_corrupts_whole_lanes() {
    let mix = small(1, 1);
    let lanes = |n: usize, rng: &mut ChaCha20Rng| {
        let hit = [rng.random_bool(0.5), rng.random_bool(0.5)];
        (0..n).map(|position| hit[position / (n / 2)]).collect()
    };
    let tally = series(mix, 2, Server::Targets(Box::new(lanes)), 0.0, 7);
    let [none, one, both] = [0, 5, 10].map(|m| position_dependent(&mix, Positions::Exactly(m)));
    let mean = |of: fn(&fusion_mix::adversary::Outcome) -> f64| 0.25 * of(&none) + 0.5 * of(&one) + 0.25 * of(&both);
    tally.expect(mean(|o| o.accepted), mean(|o| o.cheated));
    tally.expect_bounded(&mix);
}

#[test]
fn a_server_that_corrupts_a_layer_or_a_bit() {
    let mix = small(0, 0);
    let tally = series(mix, 1, Server::Cheats(Cheat::Layer(FIRST.to_owned())), 0.0, 9);
    tally.expect_bounded(&mix);
    // All labels are noise: four public ones and three pairs are seldom right.
    assert!(tally.accepted <= BATCHES / 20, "{tally:?}");
    let tally = series(mix, 1, Server::Cheats(Cheat::Bit), 0.0, 11);
    tally.expect_bounded(&mix);
    assert_eq!(tally.fooled, 0, "one position is less than the copies of a query");
    // Many bits change no label.
    assert!(tally.accepted > 0 && tally.accepted < BATCHES, "{tally:?}");
}

#[test]
fn a_server_with_a_worse_model() {
    let mix = small(1, 0);
    // It takes every image of class 3 for one of class 2, and so errs on a third of the images.
    let tally = series(mix, 1, Server::Computes(weights([0, 1, 2, 2])), 0.0, 13);
    let predicted = predict(&mix, &Adversary::content_dependent(&mix, 1.0 / 3.0)).unwrap();
    tally.expect(predicted.accepted, predicted.cheated);
    let labels = PublicLabels::Certified { mismatch: 0.0, detect_below: Some(2.0 / 3.0) };
    let plan = Plan::evaluate(&PlanRequest::new(3, 1.0, labels), mix).unwrap();
    assert!((plan.false_accept.unwrap() - predicted.accepted).abs() < 1e-9, "the planned chance");
}

/// One weight of the last layer is another than in the hint: that class's logit is uniform instead
/// of slightly worse, every sample's label is a coin, copies disagree, public labels are wrong.
#[test]
fn a_server_that_evaluates_other_weights_than_its_hints() {
    let mix = small(1, 0);
    let mut other = weights(HONEST);
    other.linear[1].terms[0][0] += 1;
    let tally = series(mix, 1, Server::BreaksItsHint(other), 0.0, 17);
    tally.expect_bounded(&mix);
    assert!(tally.accepted <= BATCHES / 20, "{tally:?}");
}

#[test]
fn an_honest_server_is_accepted_at_the_planned_rate() {
    let mix = small(1, 0);
    let labels = PublicLabels::Certified { mismatch: 0.1, detect_below: None };
    let plan = Plan::evaluate(&PlanRequest::new(3, 1.0, labels), mix).unwrap();
    let tally = series(mix, 1, Server::Computes(weights(HONEST)), 0.1, 15);
    tally.expect(1.0 - plan.false_reject, 0.0);
}
