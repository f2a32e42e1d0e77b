use fusion_model::calibrate::calibrate;
use fusion_model::onnx;
use fusion_model::testing::random_network;

use rand_chacha::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};

use super::*;

#[test]
fn labels_are_kept_as_often_as_errors_allow() {
    // Two classes, a margin of one: lost where the difference of two errors is above one.
    let margins = [vec![1.0]];
    assert!(expected_agreement(&margins, 1e-9) > 0.999_999);
    let expected = 1.0 - 0.158_655; // one deviation of the difference
    assert!((expected_agreement(&margins, 0.5) - expected).abs() < 1e-5);
    assert!((expected_agreement(&margins, 1e12) - 0.5).abs() < 1e-3);
    assert_eq!(super::margins(&[0.5, 3.0, 1.0]), [2.5, 2.0]);
}

/// What is expected against what happens to normal errors of ten thousand draws.
#[test]
fn expected_labels_are_those_of_a_simulation() {
    let mut rng = ChaCha20Rng::seed_from_u64(1);
    let mut normal = || (0..12).map(|_| f64::from(rng.next_u32()) / 4_294_967_296.0).sum::<f64>() - 6.0;
    let (draws, deviation) = (10_000, 0.4);
    // Logits below the label's; a bound where several are near, equality where one is.
    for (others, slack) in [(vec![0.6], 0.01), (vec![0.5, 3.0, 5.0], 0.01), (vec![1.0; 3], 0.05)] {
        let kept = (0..draws).filter(|_| {
            let label = deviation * normal();
            others.iter().all(|margin| deviation * normal() < label + margin)
        });
        let kept = kept.count() as f64 / f64::from(draws);
        let expected = expected_agreement(&[others], deviation * deviation);
        assert!(expected < kept + 0.01 && kept < expected + slack, "{expected} expected, {kept} of a simulation");
    }
}

#[test]
fn a_plan_meets_its_tolerance_and_costs_less_than_a_stricter_one() {
    let (bytes, images) = random_network(10, 3);
    let graph = onnx::import(&bytes).unwrap();
    let ranges = calibrate(&graph, &images).unwrap();
    let find =
        |logit_noise: f64| search(&graph, &ranges, 1.5, &images, Tolerance { label_agreement: 0.0, logit_noise, exact_signs: false });
    let cost = |found: &Found| found.frontier.iter().find(|point| point.chosen).unwrap().bytes_per_sample;
    let (coarse, fine) = (find(0.2).unwrap(), find(0.004).unwrap());
    assert!(cost(&coarse) < cost(&fine), "{} and {} bytes", cost(&coarse), cost(&fine));
    let logits = |image: &Vec<f32>| float::variance(&float::evaluate(&graph, image).unwrap());
    let spread = images.iter().map(logits).sum::<f64>() / images.len() as f64;
    for (found, noise) in [(coarse, 0.2), (fine, 0.004)] {
        let report = evaluate(&graph, &found.program, &found.weights, &images, None, [0; 32], &|_| ()).unwrap();
        assert!(report.logit_deviation <= noise * spread.sqrt() * CLOSE.sqrt(), "{} for {noise}", report.logit_deviation);
        assert!(found.frontier.windows(2).all(|pair| pair[0].bytes_per_sample <= pair[1].bytes_per_sample));
    }
    let refused = find(1e-9).err().unwrap().to_string();
    assert!(refused.contains("ask for less"), "{refused}");
}
