//! The encrypted layer against the plaintext functionality, over an in-memory channel.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use fusion_ring::bits::pack::mask32;
use fusion_ring::channel::{Channel, memory_pair};
use fusion_rlwe::{
    ClientLane, ConvGeometry, Layer, Padding, PublicSeed, RlweParams, ServerKey, ServerLane, ServerLayer, Shape, key_bytes, plain,
};
use proptest::prelude::*;
use rand_chacha::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};

struct Run {
    /// Sum of both shares, modulo 2^l.
    sums: Vec<u32>,
    noise: f64,
    up: u64,
    down: u64,
    blocks: usize,
}

/// Runs one layer on random shares of `inputs` and returns the sums of the output shares.
fn run(params: RlweParams, terms: &[ConvGeometry], inputs: &[Vec<i64>], weights: &[Vec<i16>], samples: usize, seed: u64) -> Run {
    let mut rng = ChaCha20Rng::seed_from_u64(seed);
    let layer = Layer::new(PublicSeed([9; 32]), 0, terms, params).unwrap();
    let weights: Vec<&[i16]> = weights.iter().map(Vec::as_slice).collect();
    let served = ServerLayer::new(layer.clone(), &weights, ServerKey::random(&mut rng)).unwrap();
    let hint = served.hint(&mut rng);
    assert_eq!(hint.len(), layer.hint_bytes());
    let mask = mask32(params.plain_bits());
    let client_shares: Vec<Vec<u32>> = inputs.iter().map(|x| x.iter().map(|_| rng.next_u32() & mask).collect()).collect();
    let server_shares: Vec<Vec<u32>> = inputs
        .iter()
        .zip(&client_shares)
        .map(|(x, c)| x.iter().zip(c).map(|(&x, &c)| (x as u32).wrapping_sub(c) & mask).collect())
        .collect();
    let (mut client_end, mut server_end) = memory_pair();
    let mut server_lane = ServerLane::new(params.modulus_bits(), &mut rng);
    let server = std::thread::spawn(move || {
        let shares: Vec<&[u32]> = server_shares.iter().map(Vec::as_slice).collect();
        server_lane.multiply(&served, &shares, samples, &mut server_end).unwrap()
    });
    let mut lane = ClientLane::new(PublicSeed([9; 32]), params, &mut rng);
    let shares: Vec<&[u32]> = client_shares.iter().map(Vec::as_slice).collect();
    lane.encrypt(&layer, &shares, samples, &mut client_end).unwrap();
    let mine = lane.decrypt(&layer, &hint, samples, &mut client_end).unwrap();
    let theirs = server.join().unwrap();
    let traffic = client_end.traffic();
    Run {
        sums: mine.iter().zip(&theirs).map(|(a, b)| a.wrapping_add(*b) & mask).collect(),
        noise: lane.largest_noise(),
        up: traffic.sent,
        down: traffic.received,
        blocks: layer.layout().blocks(samples),
    }
}

fn check(params: RlweParams, terms: &[ConvGeometry], weight_bits: u32, samples: usize, seed: u64) {
    let mut rng = ChaCha20Rng::seed_from_u64(seed ^ 0x5eed);
    let span = 1i64 << weight_bits;
    let weights: Vec<Vec<i16>> =
        terms.iter().map(|t| (0..t.weights()).map(|_| (i64::from(rng.next_u32()) % span - span / 2) as i16).collect()).collect();
    let inputs: Vec<Vec<i64>> =
        terms.iter().map(|t| (0..t.input.len() * samples).map(|_| i64::from(rng.next_u32() % 8192)).collect()).collect();
    let wide: Vec<Vec<i64>> = weights.iter().map(|w| w.iter().map(|&w| i64::from(w)).collect()).collect();
    let expect: Vec<u32> =
        plain::convolve(terms, &inputs, &wide, samples).iter().map(|&v| v as u32 & mask32(params.plain_bits())).collect();
    let run = run(params, terms, &inputs, &weights, samples, seed);
    assert_eq!(run.sums, expect, "{terms:?}");
    assert!(run.noise < params.noise().used(), "noise {} against the planned {}", run.noise, params.noise().used());
    let layer = Layer::new(PublicSeed([9; 32]), 0, terms, params).unwrap();
    assert_eq!(run.up, layer.bytes_up(samples) + (run.blocks * key_bytes(params.modulus_bits())) as u64);
    assert_eq!(run.down, layer.bytes_down(samples));
}

fn resnet_params() -> RlweParams {
    RlweParams::new(88, 25, 12).unwrap()
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
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn shares_add_up_to_the_convolution(geometry in geometry(), samples in 1usize..4, seed: u64) {
        check(resnet_params(), &[geometry], 8, samples, seed);
    }
}

#[test]
fn several_blocks_and_wider_moduli() {
    let term = ConvGeometry {
        input: Shape::new(3, 50, 50),
        kernel: (3, 3),
        padding: Padding { top: 1, left: 1, bottom: 1, right: 1 },
        ..ConvGeometry::dense(3, 5)
    };
    check(resnet_params(), &[term], 10, 4, 1);
    check(RlweParams::new(96, 30, 14).unwrap(), &[term], 12, 2, 2);
    check(RlweParams::new(104, 32, 18).unwrap(), &[term], 16, 2, 3);
}

#[test]
fn concatenated_terms_and_dense_layers() {
    let main = ConvGeometry { input: Shape::new(3, 14, 14), ..ConvGeometry::dense(3, 4) };
    let shortcut = ConvGeometry { input: Shape::new(2, 28, 28), stride: (2, 2), ..main };
    check(resnet_params(), &[main, shortcut], 10, 2, 4);
    check(resnet_params(), &[ConvGeometry::dense(40, 10)], 10, 7, 5);
}

#[test]
fn noise_stays_in_budget_at_the_largest_planned_norm() {
    // 1296 weights of 12 bits: norm about 2^15.3.
    let term = ConvGeometry { input: Shape::new(144, 12, 12), kernel: (3, 3), ..ConvGeometry::dense(1, 2) };
    check(RlweParams::narrowest(27, 16).unwrap(), &[term], 12, 8, 6);
}

/// The layers of a lane share its buffers: what a large one leaves there must not show in the
/// padding of the next, which has fewer channels and smaller images.
#[test]
fn layers_of_a_lane_leave_each_other_alone() {
    let (params, samples, mut rng) = (resnet_params(), 3, ChaCha20Rng::seed_from_u64(7));
    let padded = |channels, side| ConvGeometry {
        input: Shape::new(channels, side, side),
        kernel: (3, 3),
        padding: Padding { top: 1, left: 1, bottom: 1, right: 1 },
        ..ConvGeometry::dense(channels, 5)
    };
    let key = ServerKey::random(&mut rng);
    let mut client = ClientLane::new(PublicSeed([9; 32]), params, &mut rng);
    let mut server = ServerLane::new(params.modulus_bits(), &mut rng);
    let (mut client_end, mut server_end) = memory_pair();
    for (index, term) in [padded(6, 45), padded(3, 7), padded(5, 40), padded(1, 9)].into_iter().enumerate() {
        let layer = Layer::new(PublicSeed([9; 32]), index as u32, &[term], params).unwrap();
        let weights: Vec<i16> = (0..term.weights()).map(|_| (rng.next_u32() % 256) as i16 - 128).collect();
        let inputs: Vec<u32> = (0..term.input.len() * samples).map(|_| rng.next_u32() % 8192).collect();
        let served = ServerLayer::new(layer.clone(), &[&weights], key.clone()).unwrap();
        let hint = served.hint(&mut rng);
        client.encrypt(&layer, &[&inputs], samples, &mut client_end).unwrap();
        let theirs = server.multiply(&served, &[&vec![0; inputs.len()]], samples, &mut server_end).unwrap();
        let mine = client.decrypt(&layer, &hint, samples, &mut client_end).unwrap();
        let wide = |values: Vec<i64>| vec![values];
        let expect = plain::convolve(
            &[term],
            &wide(inputs.iter().map(|&x| i64::from(x)).collect()),
            &wide(weights.iter().map(|&w| i64::from(w)).collect()),
            samples,
        );
        let mask = mask32(params.plain_bits());
        let sums = mine.iter().zip(&theirs).map(|(a, b)| a.wrapping_add(*b) & mask);
        assert!(sums.eq(expect.iter().map(|&v| v as u32 & mask)), "layer {index}");
    }
}

/// The tests above once more in processes that are kept to one tier each: a process chooses its
/// kernels once.
#[test]
fn every_tier_computes_the_convolution() {
    let names = [
        "shares_add_up_to_the_convolution",
        "several_blocks_and_wider_moduli",
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
