//! The protocol against the twin, step by step, on random networks.

use std::sync::Mutex;

use fusion_ot::ideal;
use fusion_ring::bits::pack::mask32;
use fusion_ring::channel::memory_pair;
use fusion_rlwe::{PublicSeed, ServerKey, Shape};
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;

use super::*;
use crate::layers::{ClearNumbers, RingBits};
use fusion_model::plan::{PlanOptions, plan};
use fusion_model::program::{Op, Program, TensorId, TensorSpec, Weights, Window};
use fusion_model::testing::random_network;
use fusion_model::twin::{TruncationCarry, Twin};
use fusion_model::{calibrate, onnx};

/// Shares of every step's result, in step order.
type Trace = Mutex<Vec<Vec<u32>>>;

fn tracing(trace: &Trace) -> Deviation<'_> {
    Box::new(|_, _, share| trace.lock().unwrap().push(share.to_vec()))
}

/// Both parties of one lane. Returns what was opened and the reconstructed results of all steps.
fn run(program: &Program, weights: &Weights, images: &[Vec<i64>], reveal: Reveal, real_ot: bool) -> (Opened, Vec<Vec<u32>>) {
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
    let opened = std::thread::scope(|scope| {
        let server = scope.spawn(|| {
            let lane = if real_ot {
                Lane::<Server>::connect(b"test", samples, reveal, Box::new(server_end), &mut server_rng).unwrap()
            } else {
                Lane::<Server>::on(Box::new(server_end), Box::new(server_sends), Box::new(server_receives), samples, reveal)
            };
            lane.watched(tracing(&server_trace)).run(&server_model, &mut server_rng, &mut |_| ()).unwrap();
        });
        let lane = if real_ot {
            Lane::<Client>::connect(b"test", samples, reveal, Box::new(client_end), &mut rng).unwrap()
        } else {
            Lane::<Client>::on(Box::new(client_end), Box::new(client_sends), Box::new(client_receives), samples, reveal)
        };
        let finished = lane.watched(tracing(&client_trace)).run(&public, &hint, input, &mut rng, &mut |_| ()).unwrap();
        server.join().unwrap();
        assert_eq!(finished.costs.len(), program.steps.len() + 2, "set-up, steps, opening");
        assert!(finished.largest_noise < 0.5);
        finished.opened
    });
    let (client, server) = (client_trace.into_inner().unwrap(), server_trace.into_inner().unwrap());
    let sums = client.iter().zip(&server).zip(&program.steps).map(|((a, b), step)| {
        let mask = mask32(program.tensors[step.output.0].ring.0);
        a.iter().zip(b).map(|(a, b)| a.wrapping_add(*b) & mask).collect()
    });
    (opened, sums.collect())
}

/// One sample of a tensor `[channel][sample][row][column]`, as signed integers.
fn sample_of(program: &Program, tensor: usize, values: &[u32], sample: usize, samples: usize) -> Vec<i64> {
    let spec = program.tensors[tensor];
    let (area, shift) = (spec.shape.area(), 32 - spec.ring.0);
    let channels = values.chunks_exact(area * samples);
    channels.flat_map(|c| &c[sample * area..(sample + 1) * area]).map(|&v| i64::from(((v << shift) as i32) >> shift)).collect()
}

/// Every step of the protocol is the twin's on the same inputs; where bits are dropped, up to the
/// carry.
fn check(seed: u64, real_ot: bool) {
    let (file, images) = random_network(seed, 1 + seed as usize % 5);
    let graph = onnx::import(&file).unwrap();
    let ranges = calibrate::calibrate(&graph, &images).unwrap();
    let options = PlanOptions { max_ring_bits: 32, ..PlanOptions::default() };
    let (program, weights) = plan(&graph, &ranges, &options).unwrap();
    let twin = Twin::new(&program, &weights).unwrap();
    let encoded: Vec<Vec<i64>> = images.iter().take(3).map(|i| program.encode(i).unwrap()).collect();
    let samples = encoded.len();
    let (opened, results) = run(&program, &weights, &encoded, Reveal::Logits, real_ot);
    let Opened::Logits(logits) = opened else { panic!("logits were asked for") };
    for sample in 0..samples {
        let mut tensors: Vec<Vec<i64>> = vec![Vec::new(); program.tensors.len()];
        tensors[program.input.0].clone_from(&encoded[sample]);
        for (index, step) in program.steps.iter().enumerate() {
            let inputs: Vec<&[i64]> = step.op.inputs().iter().map(|id| tensors[id.0].as_slice()).collect();
            let (upper, _) = twin.step(index, &inputs, &mut TruncationCarry::Zero).unwrap();
            let actual = sample_of(&program, step.output.0, &results[index], sample, samples);
            let slack = i64::from(matches!(&step.op, Op::Requantise { window, .. } if window.shift > 0));
            let close = actual.len() == upper.len() && actual.iter().zip(&upper).all(|(a, u)| (u - slack..=*u).contains(a));
            assert!(close, "seed {seed}, step {} ({:?}): {actual:?} against {upper:?}", step.name, step.op);
            tensors[step.output.0] = actual;
        }
        let window = program.logits_window;
        for (opened, exact) in logits[sample].iter().zip(&tensors[program.logits.0]) {
            let floor = exact >> window.shift;
            assert!((floor..=floor + 1).contains(&i64::from(*opened)), "seed {seed}: logit {opened} of {exact}");
        }
    }
    let (opened, results) = run(&program, &weights, &encoded, Reveal::Label, real_ot);
    let Opened::Labels(labels) = opened else { panic!("labels were asked for") };
    for (sample, &label) in labels.iter().enumerate() {
        let last = results.last().unwrap();
        let logits = sample_of(&program, program.logits.0, last, sample, samples);
        // Within a carry of the largest; two, because both values may have been rounded.
        let best = logits.iter().max().unwrap();
        assert!(best - logits[label as usize] <= 1 << program.logits_window.shift, "seed {seed}: label {label} of {logits:?}");
    }
}

#[test]
fn random_networks_equal_the_twin_step_by_step() {
    for seed in 0..12 {
        check(seed, false);
    }
}

#[test]
fn real_oblivious_transfer_changes_nothing() {
    check(3, true);
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
    let top = (1 << 20) - 1;
    assert_eq!(input.into_shares(&program, 2).unwrap().words(), [10, top, 20, top, 12, 13, 22, 23]);
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
    assert!(matches!(input.into_shares(&program, 2), Err(LaneError::Misuse(_))));
}
