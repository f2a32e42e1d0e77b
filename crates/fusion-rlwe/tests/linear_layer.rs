//! A linear layer against the plaintext functionality, over an in-memory channel: both parties'
//! words add up to the product plus noise of the planned size.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use fusion_ring::channel::{Channel, Traffic, memory_pair};
use fusion_rlwe::precision::{Precision, TAIL};
use fusion_rlwe::{ClientLane, ConvGeometry, Input, Layer, Padding, PublicSeed, ServerKey, ServerLane, ServerLayer, Shape, plain};
use proptest::prelude::*;
use rand_chacha::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};

const SEED: PublicSeed = PublicSeed([9; 32]);

/// A layer with random weights and inputs.
struct Case {
    terms: Vec<ConvGeometry>,
    precision: Precision,
    /// Bits by which the rings of the inputs are wider than the layer's.
    wider: u32,
    weights: Vec<Vec<i16>>,
    bias: Vec<i64>,
    /// Numbers modulo the ring of the inputs.
    inputs: Vec<Vec<i64>>,
    samples: usize,
}

impl Case {
    fn random(precision: Precision, terms: &[ConvGeometry], weight_bits: u32, samples: usize, seed: u64) -> Self {
        let mut rng = ChaCha20Rng::seed_from_u64(seed ^ 0x5eed);
        let wider = rng.next_u32() % (33 - precision.ring_bits()).min(4);
        let span = 1i64 << weight_bits;
        let mut centred = |span: i64| i64::from(rng.next_u32()) % span - span / 2;
        let weights = terms.iter().map(|t| (0..t.weights()).map(|_| centred(span) as i16).collect()).collect();
        let bias = (0..terms[0].out_channels).map(|_| centred(1 << 20)).collect();
        let inputs = terms.iter().map(|t| (0..t.input.len() * samples).map(|_| centred(8192)).collect()).collect();
        Self { terms: terms.to_vec(), precision, wider, weights, bias, inputs, samples }
    }

    /// Norm of the row of weights of `output`.
    fn norm(&self, output: usize) -> f64 {
        let outputs = self.bias.len();
        let rows = self.weights.iter().flat_map(|w| &w[output * (w.len() / outputs)..(output + 1) * (w.len() / outputs)]);
        rows.map(|&w| f64::from(w).powi(2)).sum::<f64>().sqrt()
    }

    fn layer(&self, index: u32) -> Layer {
        let row_norm = (0..self.bias.len()).map(|j| self.norm(j)).fold(0.0, f64::max).ceil() as u32;
        Layer::new(SEED, index, &self.terms, self.precision, row_norm).unwrap()
    }

    fn serve(&self, index: u32, key: &ServerKey) -> ServerLayer {
        let weights: Vec<&[i16]> = self.weights.iter().map(Vec::as_slice).collect();
        ServerLayer::new(self.layer(index), &weights, &self.bias, key.clone()).unwrap()
    }

    /// The product with its bias, as words.
    fn words(&self) -> Vec<u32> {
        let wide: Vec<Vec<i64>> = self.weights.iter().map(|w| w.iter().map(|&w| i64::from(w)).collect()).collect();
        let product = plain::convolve(&self.terms, &self.inputs, &wide, self.samples);
        let area = product.len() / self.bias.len();
        let sum = |(i, y): (usize, &i64)| ((y + self.bias[i / area]) as u32) << (32 - self.precision.ring_bits());
        product.iter().enumerate().map(sum).collect()
    }

    /// Both parties' words of the inputs.
    fn shares(&self, rng: &mut ChaCha20Rng) -> [Vec<Vec<u32>>; 2] {
        let up = 32 - self.precision.ring_bits() - self.wider;
        let client: Vec<Vec<u32>> = self.inputs.iter().map(|x| x.iter().map(|_| rng.next_u32() >> up << up).collect()).collect();
        let rest = |(x, c): (&Vec<i64>, &Vec<u32>)| x.iter().zip(c).map(|(&x, c)| ((x as u32) << up).wrapping_sub(*c)).collect();
        let server = self.inputs.iter().zip(&client).map(rest).collect();
        [client, server]
    }

    fn as_inputs<'a>(&self, words: &'a [Vec<u32>]) -> Vec<Input<'a>> {
        words.iter().map(|words| Input { words, ring: self.precision.ring_bits() + self.wider }).collect()
    }

    /// Checks the noise of all outputs, given both parties' words.
    fn check_noise(&self, mine: &[u32], theirs: &[u32]) {
        let words = self.words();
        let area = words.len() / self.bias.len();
        let noise: Vec<f64> =
            mine.iter().zip(theirs).zip(&words).map(|((a, b), y)| f64::from(a.wrapping_add(*b).wrapping_sub(*y) as i32)).collect();
        let (mut sum, mut n) = (0.0, 0);
        for (j, noise) in noise.chunks_exact(area).enumerate() {
            let deviation = self.precision.noise(self.norm(j)).variance().sqrt();
            let largest = noise.iter().fold(0f64, |m, v| m.max(v.abs()));
            assert!(largest <= TAIL * deviation, "output {j}: noise {largest}, planned deviation {deviation}, {:?}", self.terms);
            sum += noise.iter().map(|v| (v / deviation).powi(2)).sum::<f64>();
            n += noise.len();
        }
        let (ratio, slack) = ((sum / n as f64).sqrt(), 4.0 / (2.0 * n as f64).sqrt());
        assert!((0.8 - slack..1.1 + slack).contains(&ratio), "{ratio} times the planned deviation, {:?}", self.terms);
    }
}

/// Runs one layer with fresh lanes; returns both parties' words and the client's traffic.
fn run(case: &Case, seed: u64) -> ([Vec<u32>; 2], Traffic) {
    let mut rng = ChaCha20Rng::seed_from_u64(seed);
    let served = case.serve(0, &ServerKey::random(&mut rng));
    let layer = case.layer(0);
    let hint = served.hint(&mut rng);
    assert_eq!(hint.len(), layer.hint_bytes());
    let [mine, theirs] = case.shares(&mut rng);
    let (mut client_end, mut server_end) = memory_pair();
    std::thread::scope(|scope| {
        let server = scope.spawn(|| ServerLane::new().multiply(&served, &case.as_inputs(&theirs), case.samples, &mut server_end).unwrap());
        let mut lane = ClientLane::new(SEED, &mut rng);
        lane.encrypt(&layer, &case.as_inputs(&mine), case.samples, &mut client_end).unwrap();
        let words = lane.share(&layer, &hint, case.samples).unwrap();
        ([words.to_vec(), server.join().unwrap().to_vec()], client_end.traffic())
    })
}

fn check(precision: Precision, terms: &[ConvGeometry], weight_bits: u32, samples: usize, seed: u64) {
    let case = Case::random(precision, terms, weight_bits, samples, seed);
    let ([mine, theirs], traffic) = run(&case, seed);
    case.check_noise(&mine, &theirs);
    let layer = case.layer(0);
    assert_eq!(traffic.sent, layer.bytes_up(samples));
    assert_eq!(traffic.received, 0, "the server sends nothing");
}

fn precision() -> Precision {
    Precision::new(25, 26, 20).unwrap()
}

prop_compose! {
    fn geometry()(kernel in (1usize..8, 1usize..8), stride in (1usize..4, 1usize..4), dilation in (1usize..3, 1usize..3),
        pads in (0usize..4, 0usize..4, 0usize..4, 0usize..4), extra in (0usize..16, 0usize..16), channels in 1usize..4, out in 1usize..4, groups in 1usize..3)
        -> ConvGeometry {
        let reach = |k: usize, d: usize| (k - 1) * d + 1;
        ConvGeometry {
            input: Shape::new(channels * groups, reach(kernel.0, dilation.0) + extra.0, reach(kernel.1, dilation.1) + extra.1),
            out_channels: out * groups, kernel, stride, dilation,
            padding: Padding { top: pads.0, left: pads.1, bottom: pads.2, right: pads.3 }, groups,
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]
    #[test]
    fn words_add_up_to_the_convolution(
        geometry in geometry(), samples in 1usize..4, ring in 20u32..=32, upload in 16u32..=32, hint in 14u32..=32, seed: u64,
    ) {
        check(Precision::new(ring, upload, hint).unwrap(), &[geometry], 8, samples, seed);
    }
}

#[test]
fn several_blocks() {
    let term = ConvGeometry {
        input: Shape::new(3, 50, 50),
        kernel: (3, 3),
        padding: Padding { top: 1, left: 1, bottom: 1, right: 1 },
        ..ConvGeometry::dense(3, 5)
    };
    check(precision(), &[term], 10, 4, 1);
    check(Precision::new(32, 32, 32).unwrap(), &[term], 15, 2, 2);
    check(Precision::new(30, 22, 32).unwrap(), &[term], 12, 2, 3);
}

#[test]
fn concatenated_terms_and_dense_layers() {
    let main = ConvGeometry { input: Shape::new(3, 14, 14), ..ConvGeometry::dense(3, 4) };
    let shortcut = ConvGeometry { input: Shape::new(2, 28, 28), stride: (2, 2), ..main };
    check(precision(), &[main, shortcut], 10, 2, 4);
    check(precision(), &[ConvGeometry::dense(40, 10)], 10, 7, 5);
}

/// Every channel is a group.
#[test]
fn depthwise_layers() {
    let term = ConvGeometry {
        input: Shape::new(12, 9, 9),
        kernel: (3, 3),
        padding: Padding { top: 1, left: 1, bottom: 1, right: 1 },
        groups: 12,
        ..ConvGeometry::dense(12, 24)
    };
    check(precision(), &[term], 8, 3, 6);
}

#[test]
fn noise_is_as_planned_at_the_largest_norm() {
    // 1296 weights of 12 bits: norm about 2^15.3.
    let term = ConvGeometry { input: Shape::new(144, 12, 12), kernel: (3, 3), ..ConvGeometry::dense(1, 2) };
    check(Precision::new(27, 27, 22).unwrap(), &[term], 12, 8, 6);
}

/// Rounding half up adds half a word to every coefficient: with many weights of one sign that is
/// more than the noise, and the server takes it away.
#[test]
fn rounding_has_no_mean() {
    for upload in [25, 27, 29, 31] {
        let mut case = Case::random(Precision::new(25, upload, upload - 6).unwrap(), &[ConvGeometry::dense(4608, 3)], 8, 40, 9);
        case.weights[0].iter_mut().for_each(|w| *w = 200);
        let ([mine, theirs], _) = run(&case, 9);
        case.check_noise(&mine, &theirs);
    }
}

/// The layers of a lane share its buffers: what a large one leaves there must not show in the
/// padding of the next, which has fewer channels and smaller images.
#[test]
fn layers_of_a_lane_leave_each_other_alone() {
    let (samples, mut rng) = (3, ChaCha20Rng::seed_from_u64(7));
    let padded = |channels, side| ConvGeometry {
        input: Shape::new(channels, side, side),
        kernel: (3, 3),
        padding: Padding { top: 1, left: 1, bottom: 1, right: 1 },
        ..ConvGeometry::dense(channels, 5)
    };
    let key = ServerKey::random(&mut rng);
    let (mut client, mut server) = (ClientLane::new(SEED, &mut rng), ServerLane::new());
    let (mut client_end, mut server_end) = memory_pair();
    for (index, term) in [padded(6, 45), padded(3, 7), padded(5, 40), padded(1, 9)].into_iter().enumerate() {
        let case = Case::random(precision(), &[term], 8, samples, index as u64);
        let (served, layer) = (case.serve(index as u32, &key), case.layer(index as u32));
        let hint = served.hint(&mut rng);
        let [mine, theirs] = case.shares(&mut rng);
        client.encrypt(&layer, &case.as_inputs(&mine), samples, &mut client_end).unwrap();
        let theirs = server.multiply(&served, &case.as_inputs(&theirs), samples, &mut server_end).unwrap();
        let mine = client.share(&layer, &hint, samples).unwrap();
        case.check_noise(&mine, &theirs);
    }
}

/// Nothing but the inputs is encrypted.
#[test]
fn a_row_is_sent_for_every_input() {
    let term = ConvGeometry { input: Shape::new(1, 5, 7), ..ConvGeometry::dense(1, 3) };
    let layer = Layer::new(SEED, 0, &[term], precision(), 100).unwrap();
    assert_eq!(layer.layout().rows(), 1);
    // 35 positions of 26 bits each.
    assert_eq!(layer.bytes_up(1), layer.key_bytes() as u64 + (35 * 26u64).div_ceil(8));
}

/// The tests above once more in processes that are kept to one tier each: a process chooses its
/// kernels once.
#[test]
fn every_tier_computes_the_convolution() {
    let names = [
        "words_add_up_to_the_convolution",
        "several_blocks",
        "concatenated_terms_and_dense_layers",
        "layers_of_a_lane_leave_each_other_alone",
    ];
    for tier in fusion_ring::simd::available() {
        let mut tests = std::process::Command::new(std::env::current_exe().unwrap());
        let done = tests.arg("--exact").args(names).env("FUSION_SIMD", tier.name()).output().unwrap();
        let text = String::from_utf8_lossy(&done.stdout);
        assert!(done.status.success() && text.contains("4 passed"), "tier {}: {text}", tier.name());
    }
}
