//! The constants of the circuit-privacy argument (crate documentation), from exact probabilities.

use fusion_rlwe::params::FLOOD_BITS;

/// Fisher information of the sum of four uniforms times its variance, rounded up.
const FISHER: f64 = 1.039;

/// Coefficients of the answers to one ResNet50 sample; `resnet50_bytes.rs` counts them.
const RESNET50: f64 = 9_082_856.0;

/// 8 sigma^2 H^2 between the sum of four uniform integers on [0, 2^bits) and itself, shifted.
fn hellinger(bits: u32, shift: usize) -> f64 {
    let size = 1i64 << bits;
    // Ways to write `sum` with four numbers >= 0, less those with a number beyond the range.
    let tetrahedron = |n: i64| if n < 0 { 0.0 } else { ((n + 1) as f64) * ((n + 2) as f64) * ((n + 3) as f64) / 6.0 };
    let ways = |sum: i64| tetrahedron(sum) - 4.0 * tetrahedron(sum - size) + 6.0 * tetrahedron(sum - 2 * size);
    let last = 4 * (size - 1);
    // From the nearer end: there the alternating sum loses nothing.
    let mut root: Vec<f64> = (0..=last).map(|sum| (ways(sum.min(last - sum)) / (size as f64).powi(4)).sqrt()).collect();
    let total: f64 = root.iter().map(|r| r * r).sum();
    assert!((total - 1.0).abs() < 1e-9, "probabilities sum to {total}");
    root.splice(0..0, vec![0.0; shift]);
    root.resize(root.len() + shift, 0.0);
    let squares =
        root.iter().zip(&root[shift..]).map(|(a, b)| (a - b).powi(2)).sum::<f64>() + root[..shift].iter().map(|a| a * a).sum::<f64>();
    let variance = 4.0 * ((size * size - 1) as f64) / 12.0;
    8.0 * variance * squares / 2.0
}

/// log2 of the bound on the total variation of `samples` inferences.
fn distance(samples: f64) -> f64 {
    ((FISHER * RESNET50 * samples).sqrt() / 2.0).log2() - f64::from(FLOOD_BITS)
}

/// Fisher information times variance of the sum of four uniforms on [0, 1): the limit of wide ones.
fn limit() -> f64 {
    let steps = 1 << 20;
    // The density is x^3 / 6 on [0, 1), which gives 3/4 in closed form, and a cubic on [1, 2); the
    // rest is symmetric.
    let middle = |i: u32| {
        let x = 1.0 + (f64::from(i) + 0.5) / f64::from(steps);
        let density = (((-3.0 * x + 12.0) * x - 12.0) * x + 4.0) / 6.0;
        let slope = ((-9.0 * x + 24.0) * x - 12.0) / 6.0;
        slope * slope / density
    };
    2.0 * (0.75 + (0..steps).map(middle).sum::<f64>() / f64::from(steps)) / 3.0
}

#[test]
fn a_shift_by_one_costs_the_fisher_information() {
    assert!(limit() < FISHER && limit() > FISHER - 0.001, "{}", limit());
    let mut before = f64::INFINITY;
    for bits in [4, 6, 8, 10, 12, 14] {
        let cost = hellinger(bits, 1);
        // Falls to the limit; flooding has more than 50 bits.
        assert!(cost < before && cost > limit(), "{bits} bits: {cost}");
        before = cost;
    }
    assert!(before - limit() < 1e-6, "{before} against {}", limit());
}

#[test]
fn a_longer_shift_costs_at_most_its_square() {
    for shift in [2, 7, 100, 1000] {
        let (one, many) = (hellinger(12, 1), hellinger(12, shift) / (shift * shift) as f64);
        assert!(many <= one && (shift > 100 || many > 0.97 * one), "shift {shift}: {many} against {one}");
    }
}

/// The figures that the crate documentation quotes.
#[test]
fn distances_of_an_inference_and_a_batch() {
    let documented = |samples: f64, figure: f64| (0.0..0.1).contains(&(figure - distance(samples)));
    assert!(documented(1.0, -29.4), "{}", distance(1.0));
    assert!(documented(512.0 * 5.0 + 15.0, -23.7), "{}", distance(2575.0));
    assert!(documented(460_000.0, -20.0), "{}", distance(460_000.0));
}
