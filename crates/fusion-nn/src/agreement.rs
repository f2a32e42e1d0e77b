//! Tests that the four meanings of a network agree: imported graph, simplified graph, program, twin.

use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;

use crate::plan::{PlanOptions, plan};
use crate::testing::random_network;
use crate::twin::{Carries, Twin};
use crate::{calibrate, float, onnx, passes};

fn largest_difference(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).fold(0.0, |m, (x, y)| m.max((x - y).abs()))
}

#[test]
fn passes_keep_the_function() {
    for seed in 0..300 {
        let (file, images) = random_network(seed, 1 + seed as usize % 5);
        let raw = onnx::import_raw(&file).unwrap();
        let simple = passes::simplify(&raw).unwrap();
        for image in &images {
            let (a, b) = (float::evaluate(&raw, image).unwrap(), float::evaluate(&simple, image).unwrap());
            let size = a.iter().fold(1f32, |m, x| m.max(x.abs()));
            assert!(largest_difference(&a, &b) < 1e-4 * size, "seed {seed}: {a:?} {b:?}");
        }
    }
}

#[test]
fn the_twin_is_near_the_float_network() {
    let options = PlanOptions { window_bits: 18, weight_bits: 14, margin: 1.5, max_ring_bits: 32 };
    for seed in 0..300 {
        let (file, images) = random_network(seed, 1 + seed as usize % 5);
        let graph = onnx::import(&file).unwrap();
        let ranges = calibrate::calibrate(&graph, &images).unwrap();
        let (program, weights) = plan(&graph, &ranges, &options).unwrap_or_else(|e| panic!("seed {seed}: {e}"));
        let twin = Twin::new(&program, &weights).unwrap();
        let mut rng = ChaCha20Rng::seed_from_u64(seed);
        for image in &images {
            let expected = float::evaluate(&graph, image).unwrap();
            let run = twin.run(program.encode(image).unwrap(), &mut Carries::Random(&mut rng)).unwrap();
            let actual = program.decode_logits(&run.logits);
            let size = expected.iter().fold(0.5f32, |m, x| m.max(x.abs()));
            assert_eq!(run.total_overflows(), 0, "seed {seed}");
            assert!(largest_difference(&expected, &actual) < 0.02 * size, "seed {seed}: {expected:?} {actual:?}");
            let margin = expected[float::argmax(&expected)] - expected[run.label];
            assert!(margin < 0.02 * size, "seed {seed}: label {} of {expected:?}", run.label);
        }
    }
}
