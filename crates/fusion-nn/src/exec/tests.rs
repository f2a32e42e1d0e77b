//! The protocol against the twin, step by step, on random networks.

use std::sync::Mutex;

use fusion_ot::ideal;
use fusion_ring::channel::memory_pair;
use fusion_rlwe::precision::TAIL;
use fusion_rlwe::{ConvGeometry, PublicSeed, ServerKey, Shape};
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;

use super::*;
use crate::layers::{ClearNumbers, Cut, LaneTerms, RingBits, Split};
use fusion_model::plan::{PlanBits, PlanOptions, plan_with};
use fusion_model::program::noise::tensor_noise;
use fusion_model::program::{Activation, LinearTerm, LinearWeights, Op, Program, Step, TensorId, TensorSpec, Weights, Window, uncertain};
use fusion_model::testing::random_network;
use fusion_model::twin::{TruncationCarry, Twin};
use fusion_model::{calibrate, onnx};

/// Words of every step's result, in step order.
type Trace = Mutex<Vec<Vec<u32>>>;

fn tracing(trace: &Trace) -> Deviation<'_> {
    Box::new(|_, _, share| trace.lock().unwrap().push(share.to_vec()))
}

/// What both parties of a lane left.
struct Ran {
    opened: Opened,
    /// The reconstructed results of all steps.
    results: Vec<Vec<u32>>,
    /// How often the client turned from sending to receiving, and the server.
    turns: [u64; 2],
}

fn turns<S: Side>(finished: &Finished<'_, S>) -> u64 {
    finished.costs.iter().map(|cost| cost.ledger.total().traffic.turns).sum()
}

/// Both parties of one lane.
fn run(program: &Program, weights: &Weights, images: &[Vec<i64>], reveal: Reveal, real_ot: bool, cut: Cut) -> Ran {
    let samples = images.len();
    let mut rng = ChaCha20Rng::seed_from_u64(samples as u64);
    let public = PublicModel::new(program.clone(), PublicSeed([5; 32])).unwrap();
    let server_model = ServerModel::new(public.clone(), weights, &ServerKey::random(&mut rng)).unwrap();
    let hint = Hint::from_bytes(&public, server_model.hint(&mut rng, |_| ())).unwrap();
    let images: Vec<EncodedImage> = images.iter().map(|image| EncodedImage::new(program, image).unwrap()).collect();
    let input = LaneInput::new(program, &images).unwrap();

    let (client_end, server_end) = memory_pair();
    let ((client_sends, server_receives), (server_sends, client_receives)) = (ideal::pair(1), ideal::pair(2));
    let (client_trace, server_trace) = (Trace::default(), Trace::default());
    let mut server_rng = ChaCha20Rng::seed_from_u64(77);
    let (opened, turns) = std::thread::scope(|scope| {
        let server = scope.spawn(|| {
            let lane = if real_ot {
                Lane::<Server>::connect(b"test", samples, reveal, LaneTerms::SHORT_LINK, Box::new(server_end), &mut server_rng).unwrap()
            } else {
                Lane::<Server>::on(Box::new(server_end), Box::new(server_sends), Box::new(server_receives), samples, reveal)
            };
            turns(&lane.with_cut(cut).watched(tracing(&server_trace)).run(&server_model, &mut server_rng, &mut |_| ()).unwrap())
        });
        let lane = if real_ot {
            Lane::<Client>::connect(b"test", samples, reveal, LaneTerms::SHORT_LINK, Box::new(client_end), &mut rng).unwrap()
        } else {
            Lane::<Client>::on(Box::new(client_end), Box::new(client_sends), Box::new(client_receives), samples, reveal)
        };
        let finished = lane.with_cut(cut).watched(tracing(&client_trace)).run(&public, &hint, input, &mut rng, &mut |_| ()).unwrap();
        let turns = [turns(&finished), server.join().unwrap()];
        assert_eq!(finished.costs.len(), program.steps.len() + 2, "set-up, steps, opening");
        (finished.opened, turns)
    });
    let (client, server) = (client_trace.into_inner().unwrap(), server_trace.into_inner().unwrap());
    let sums = client.iter().zip(&server).map(|(a, b)| a.iter().zip(b).map(|(a, b)| a.wrapping_add(*b)).collect());
    Ran { opened, results: sums.collect(), turns }
}

/// One sample of a tensor `[channel][sample][row][column]`: sums of both parties' words.
fn sample_of(program: &Program, tensor: usize, words: &[u32], sample: usize, samples: usize) -> Vec<i32> {
    let area = program.tensors[tensor].shape.area();
    let channels = words.chunks_exact(area * samples);
    channels.flat_map(|c| &c[sample * area..(sample + 1) * area]).map(|&v| v as i32).collect()
}

/// The numbers of words, without what lies below them.
fn numbers(program: &Program, tensor: usize, words: &[i32]) -> Vec<i64> {
    words.iter().map(|&word| i64::from(word >> (32 - program.tensors[tensor].ring.0))).collect()
}

/// By how much a step's result may be above what the twin makes of the numbers of its inputs, in
/// units of the output: what local steps lose with the noise below their inputs' numbers.
fn lost(step: &Op, noisy: bool) -> i64 {
    match step {
        _ if !noisy => 0,
        Op::Add { inputs } => inputs.iter().map(|&(_, shift)| 1 << shift).sum(),
        Op::Concat { inputs } => inputs.iter().map(|&(_, shift)| 1 << shift).max().unwrap_or(0),
        Op::SumPool { pool, .. } => pool.area() as i64,
        Op::Select { .. } | Op::Flatten { .. } | Op::Linear { .. } | Op::Requantise { .. } | Op::Piecewise { .. } | Op::Multiply { .. } => {
            0
        }
    }
}

/// Every step of the protocol is the twin's on the same inputs: a linear one up to its noise, a
/// requantisation up to the carry and, near zero, up to the sign that a coarse ReLU mistakes.
fn check(seed: u64, left_out: u32, real_ot: bool) {
    let (file, images) = random_network(seed, 1 + seed as usize % 5);
    let graph = onnx::import(&file).unwrap();
    let ranges = calibrate::calibrate(&graph, &images).unwrap();
    let PlanOptions { window_bits, weight_bits, margin, .. } = PlanOptions::default();
    let widths = PlanBits { left_out: vec![left_out; graph.nodes.len()], ..PlanBits::uniform(&graph, window_bits, weight_bits) };
    let (program, weights) = plan_with(&graph, &ranges, margin, &widths).unwrap();
    let twin = Twin::new(&program, &weights).unwrap();
    let noise = tensor_noise(&program);
    let encoded: Vec<Vec<i64>> = images.iter().take(3).map(|i| program.encode(i).unwrap()).collect();
    let samples = encoded.len();
    let bits = 10;
    let cut = Cut::from(Split::ALL[seed as usize % Split::ALL.len()]);
    let Ran { opened, results, .. } = run(&program, &weights, &encoded, Reveal::Logits { bits }, real_ot, cut);
    let Opened::Logits(logits) = opened else { panic!("logits were asked for") };
    for sample in 0..samples {
        let mut tensors: Vec<Vec<i64>> = vec![Vec::new(); program.tensors.len()];
        tensors[program.input.0].clone_from(&encoded[sample]);
        for (index, step) in program.steps.iter().enumerate() {
            let inputs: Vec<&[i64]> = step.op.inputs().iter().map(|id| tensors[id.0].as_slice()).collect();
            let (exact, _) = twin.step(index, &inputs, &mut TruncationCarry::Zero).unwrap();
            let words = sample_of(&program, step.output.0, &results[index], sample, samples);
            let actual = numbers(&program, step.output.0, &words);
            let noisy = step.op.inputs().iter().any(|id| noise[id.0] > 0.0);
            let close = match &step.op {
                Op::Linear { .. } => {
                    let up = 32 - program.tensors[step.output.0].ring.0;
                    let v = words.iter().zip(&exact).map(|(&word, &y)| word.wrapping_sub((y << up) as i32));
                    v.map(f64::from).all(|v| v.abs() <= TAIL * noise[step.output.0].sqrt())
                }
                Op::Requantise { window, activation, .. } => {
                    let carry = i64::from(noisy || window.shift > 0);
                    let uncertain = i64::from(activation.uncertain());
                    let mistaken = |a: i64, e: i64| uncertain > 0 && (a == 0 || e == 0) && (a - e).abs() <= uncertain + carry;
                    actual.iter().zip(&exact).all(|(&a, &e)| (e - carry..=e).contains(&a) || mistaken(a, e))
                }
                Op::Piecewise { window, function, .. } => {
                    // A carry moves the number by one unit of the window.
                    let carry = i64::from(noisy || window.shift > 0);
                    let slopes = function.knots.iter().scan(i64::from(function.slope), |slope, knot| {
                        *slope += i64::from(knot.change);
                        Some(slope.abs())
                    });
                    let steepest = slopes.max().unwrap_or(0).max(i64::from(function.slope).abs());
                    let mistaken: i64 = function.knots.iter().map(|knot| i64::from(knot.change).abs()).sum();
                    let most = steepest * carry + mistaken * i64::from(uncertain(function.left_out));
                    actual.iter().zip(&exact).all(|(a, e)| (a - e).abs() <= most)
                }
                Op::Multiply { .. } => actual == exact,
                local @ (Op::Add { .. } | Op::SumPool { .. } | Op::Concat { .. } | Op::Select { .. } | Op::Flatten { .. }) => {
                    actual.iter().zip(&exact).all(|(a, e)| (*e..=e + lost(local, noisy)).contains(a))
                }
            };
            assert!(close && words.len() == exact.len(), "seed {seed}, step {} ({:?}): {actual:?} against {exact:?}", step.name, step.op);
            tensors[step.output.0] = actual;
        }
        let window = program.logits_window;
        let dropped = window.shift + window.bits.saturating_sub(bits);
        // The mask has at most twice 2^3 units on either side.
        for (opened, exact) in logits[sample].iter().zip(&tensors[program.logits.0]) {
            let error = i64::from(*opened) - (exact >> dropped);
            assert!(error.abs() <= 18, "seed {seed}: logit {opened} of {exact}");
        }
    }
    let Ran { opened, results, .. } = run(&program, &weights, &encoded, Reveal::Label, real_ot, cut);
    let Opened::Labels(labels) = opened else { panic!("labels were asked for") };
    for (sample, &label) in labels.iter().enumerate() {
        let words = sample_of(&program, program.logits.0, results.last().unwrap(), sample, samples);
        let logits = numbers(&program, program.logits.0, &words);
        // Within a carry of the largest; two, because both values may have been rounded.
        let best = logits.iter().max().unwrap();
        assert!(best - logits[label as usize] <= 2 << program.logits_window.shift, "seed {seed}: label {label} of {logits:?}");
    }
}

#[test]
fn random_networks_equal_the_twin_step_by_step() {
    for seed in 0..12 {
        check(seed, 1, false);
        check(seed, 2 + seed as u32 % 4, false);
    }
}

#[test]
fn real_oblivious_transfer_changes_nothing() {
    check(3, 1, true);
}

/// `layers` times a dense layer and a ReLU, and the logits.
fn chain(layers: usize) -> (Program, Weights) {
    let spec = |ring| TensorSpec { shape: Shape::flat(2), ring: RingBits(ring), frac: 0 };
    let geometry = ConvGeometry::dense(2, 2);
    let dense =
        |input| Op::Linear { terms: vec![LinearTerm { input, geometry }], weight_bits: 8, row_norm: 2, upload_bits: 26, hint_bits: 22 };
    let window = Window { shift: 0, bits: 11 };
    let mut steps = Vec::new();
    for input in (0..2 * layers).step_by(2).map(TensorId) {
        let (sum, next) = (TensorId(input.0 + 1), TensorId(input.0 + 2));
        let op = Op::Requantise { input: sum, window, pool: None, activation: Activation::Relu };
        steps.push(Step { name: "dense".to_owned(), op: dense(input), output: sum });
        steps.push(Step { name: "relu".to_owned(), op, output: next });
    }
    let logits = TensorId(2 * layers + 1);
    steps.push(Step { name: "logits".to_owned(), op: dense(TensorId(2 * layers)), output: logits });
    let tensors = (0..=logits.0).map(|_| spec(14)).collect();
    let weights = Weights { linear: vec![LinearWeights { terms: vec![vec![1, 0, 0, 1]], bias: vec![0; 2] }; layers + 1] };
    (Program { tensors, input: TensorId(0), steps, logits, logits_window: window }, weights)
}

/// A linear layer and its ReLU of three digits take six flights: ciphertexts and the first
/// corrections, three tables, of which the last has the multiplexer's opening with it, the client's
/// openings of multiplexer and widening, and the server's of the widening. A fourth digit takes no
/// more: the last opening travels with the next ciphertexts. A fifth takes two.
#[test]
fn a_layer_takes_six_flights() {
    for (split, flights) in [(Split::FewestOts, 6), (Split::OneMore, 6), (Split::FewestBits, 8)] {
        let turns = [1, 2, 4].map(|layers| {
            let (program, weights) = chain(layers);
            program.validate().unwrap();
            run(&program, &weights, &[vec![3, 5]], Reveal::Label, false, Cut::from(split)).turns
        });
        for side in 0..2 {
            let turns = turns.map(|turns| turns[side]);
            // A turn of each side in two flights.
            assert_eq!([2 * (turns[1] - turns[0]), turns[2] - turns[1]], [flights; 2], "{split:?}");
        }
    }
}

#[test]
fn what_was_opened_is_not_printed() {
    let labels = Opened::Labels(ClearNumbers::from_words(vec![7, 77, 777], RingBits(10)));
    assert_eq!(format!("{labels:?}"), "Labels(of 3 samples)");
    assert_eq!(format!("{:?}", Opened::Logits(vec![vec![1234, 99].into()])), "Logits(of 1 samples)");
}

/// A 2 x 1 image on two channels.
fn tiny() -> Program {
    let spec = |shape| TensorSpec { shape, ring: RingBits(20), frac: 0 };
    Program {
        tensors: vec![spec(Shape::new(2, 2, 1))],
        input: TensorId(0),
        steps: Vec::new(),
        logits: TensorId(0),
        logits_window: Window { shift: 0, bits: 8 },
    }
}

#[test]
fn the_input_of_a_lane_has_channels_outermost_and_is_reduced() {
    let program = tiny();
    let image = |first: i64| EncodedImage::new(&program, &[first, -1, first + 2, first + 3]).unwrap();
    let input = LaneInput::new(&program, &[image(10), image(20)]).unwrap();
    assert_eq!(input.samples(), 2);
    let numbers = [10, u32::MAX, 20, u32::MAX, 12, 13, 22, 23];
    assert_eq!(input.into_tensor(&program, 2).unwrap().words(), numbers.map(|number: u32| number << 12));
}

#[test]
fn an_input_that_does_not_fit_is_refused() {
    let program = tiny();
    assert_eq!(EncodedImage::new(&program, &[1; 3]).err(), Some(LaneError::ImageSize { expected: 4, got: 3 }));
    let image = EncodedImage::new(&program, &[1; 4]).unwrap();
    let mut other = tiny();
    other.tensors[0].shape = Shape::new(2, 2, 2);
    assert_eq!(LaneInput::new(&other, &[&image]).err(), Some(LaneError::ImageSize { expected: 8, got: 4 }));
    let input = LaneInput::new(&program, &[&image]).unwrap();
    assert!(matches!(input.into_tensor(&program, 2), Err(LaneError::Misuse(_))));
}
