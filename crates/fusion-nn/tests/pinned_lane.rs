//! The bytes of a whole lane, pinned: whatever changes them makes a new version of the lane.

use fusion_model::program::{Activation, LinearTerm, LinearWeights, Op, Program, RingBits, Step, TensorId, TensorSpec, Weights, Window};
use fusion_nn::LANE_VERSION;
use fusion_nn::exec::{Client, EncodedImage, Hint, Lane, LaneInput, Opened, PublicModel, Reveal, Server, ServerModel};
use fusion_nn::layers::LaneTerms;
use fusion_ot::functionality::ChoiceBits;
use fusion_ot::silent::{ExtensionSize, Parameters};
use fusion_ring::channel::{RecordingChannel, memory_pair};
use fusion_rlwe::{ConvGeometry, PublicSeed, ServerKey, Shape};
use rand_chacha::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};
use sha3::{Digest, Sha3_256};

/// With the smaller extension, since a large one takes more samples.
const TERMS: LaneTerms = LaneTerms { extension: ExtensionSize::Small, ..LaneTerms::LONG_LINK };
const PIXELS: usize = 4;
const HIDDEN: usize = 64;
const CLASSES: usize = 5;
/// So many that the ReLU's 1-of-2 OTs come from the silent extension, not from SoftSpoken alone.
const SAMPLES: usize = 2700;
const INPUT_RING: u32 = 22;

/// The version of the lane; SHA3-256 of what the client sends, of what the server sends, and of the
/// labels.
const PINNED: (u32, &str, &str, &str) = (
    5,
    "ea6febab3e9d9a9115408ef70618f59df342797c0b742fc3cbcace26feac8a52",
    "97e5189f71e198da346aa06964870798a610f2d58f47f57c411e647ae85ef4fa",
    "49c774bb8eb9c7e84c39e1a57472bb8f9acf50343cf0527e77777a326a9cd4ed",
);

/// Two dense layers, a ReLU between them.
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
        tensors: vec![spec(PIXELS, INPUT_RING, 4), spec(HIDDEN, 22, 13), spec(HIDDEN, 20, 4), spec(CLASSES, 20, 14)],
        input: TensorId(0),
        steps: vec![step("dense1", dense(0, PIXELS, HIDDEN), 1), step("relu", relu, 2), step("dense2", dense(2, HIDDEN, CLASSES), 3)],
        logits: TensorId(3),
        logits_window: Window { shift: 4, bits: 16 },
    }
}

fn weights(rng: &mut ChaCha20Rng) -> Weights {
    let mut layer = |columns: usize, rows: usize, limit: u32| LinearWeights {
        terms: vec![(0..rows * columns).map(|_| (rng.next_u32() % (2 * limit + 1)) as i16 - limit as i16).collect()],
        bias: (0..rows as i64).collect(),
    };
    Weights { linear: vec![layer(PIXELS, HIDDEN, 200), layer(HIDDEN, CLASSES, 50)] }
}

#[test]
fn the_bytes_of_a_lane_are_pinned() {
    // The client sends an OT per element in the multiplexer, the server two.
    assert!(SAMPLES * HIDDEN > Parameters::new(ChoiceBits::ONE, TERMS.extension).reserve(), "the silent extension is part of the lane");
    let mut rng = ChaCha20Rng::seed_from_u64(1);
    let program = program();
    program.validate().unwrap();
    let public = PublicModel::new(program, PublicSeed([3; 32])).unwrap();
    let model = ServerModel::new(public.clone(), &weights(&mut rng), &ServerKey::random(&mut rng)).unwrap();
    let hint = Hint::from_bytes(&public, model.hint(&mut rng, |_| ())).unwrap();
    let pixels: Vec<i64> = (0..PIXELS * SAMPLES).map(|_| i64::from(rng.next_u32() % 64)).collect();
    // As many channels as pixels: pixel after pixel, all samples of each.
    let image = |sample: usize| (0..PIXELS).map(|pixel| pixels[pixel * SAMPLES + sample]).collect::<Vec<_>>();
    let images: Vec<_> = (0..SAMPLES).map(|sample| EncodedImage::new(public.program(), &image(sample)).unwrap()).collect();
    let input = LaneInput::new(public.program(), &images).unwrap();
    let (client_end, server_end) = memory_pair();
    let mut recorder = RecordingChannel::new(client_end);
    let opened = std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut rng = ChaCha20Rng::seed_from_u64(2);
            let lane = Lane::<Server>::connect(b"pinned", SAMPLES, Reveal::Label, TERMS, Box::new(server_end), &mut rng).unwrap();
            lane.run(&model, &mut rng, &mut |_| ()).unwrap();
        });
        let lane = Lane::<Client>::connect(b"pinned", SAMPLES, Reveal::Label, TERMS, Box::new(&mut recorder), &mut rng).unwrap();
        lane.run(&public, &hint, input, &mut rng, &mut |_| ()).unwrap().opened
    });
    let Opened::Labels(labels) = opened else { panic!("labels were asked for") };
    let recording = recorder.into_recording();
    let hex = |bytes: &[u8]| Sha3_256::digest(bytes).iter().map(|b| format!("{b:02x}")).collect::<String>();
    let labels: Vec<u8> = labels.iter().map(|&label| label as u8).collect();
    let got = (LANE_VERSION, hex(&recording.sent), hex(&recording.received), hex(&labels));
    let pinned = (PINNED.0, PINNED.1.to_owned(), PINNED.2.to_owned(), PINNED.3.to_owned());
    assert_eq!(got, pinned, "bytes of a lane changed: raise LANE_VERSION and pin anew");
}
