use rand_chacha::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};

use super::points::POINTS;
use super::*;
use crate::simd;

fn uniform(rng: &mut ChaCha20Rng) -> Vec<u32> {
    (0..DEGREE).map(|_| rng.next_u32()).collect()
}

fn ternary(rng: &mut ChaCha20Rng) -> Vec<i8> {
    (0..DEGREE).map(|_| (rng.next_u32() % 3) as i8 - 1).collect()
}

fn schoolbook(a: &[u32], s: &[i8]) -> Vec<u32> {
    let mut out = vec![0u32; DEGREE];
    for (i, &s) in s.iter().enumerate().filter(|&(_, &s)| s != 0) {
        let (head, tail) = a.split_at(DEGREE - i);
        for (o, &c) in out[i..].iter_mut().zip(head) {
            *o = if s > 0 { o.wrapping_add(c) } else { o.wrapping_sub(c) };
        }
        for (o, &c) in out.iter_mut().zip(tail) {
            *o = if s > 0 { o.wrapping_sub(c) } else { o.wrapping_add(c) };
        }
    }
    out
}

fn product(tier: Tier, a: &[u32], s: &[i8]) -> Product {
    let (mut wide, mut small, mut product) = (Wide::default(), Small::default(), Product::default());
    wide.set_on(tier, a);
    small.set_on(tier, s);
    product.set_on(tier, &wide, &small);
    product
}

fn whole(tier: Tier, a: &[u32], s: &[i8]) -> Vec<u32> {
    let mut out = vec![7; DEGREE];
    product(tier, a, s).words_on(tier, 0, &mut out);
    out
}

#[test]
fn product_equals_schoolbook_on_every_tier() {
    let mut rng = ChaCha20Rng::seed_from_u64(1);
    for _ in 0..10 {
        let (a, s) = (uniform(&mut rng), ternary(&mut rng));
        let expect = schoolbook(&a, &s);
        for tier in simd::available() {
            assert!(whole(tier, &a, &s) == expect, "tier {}", tier.name());
        }
    }
}

/// Polynomials as long as they can be: all of one sign, alternating, the signs that make a single
/// coefficient as large as it can be, and others.
fn extremes() -> Vec<(Vec<u32>, Vec<i8>)> {
    const LEAST: u32 = 1 << 31;
    let signs: [fn(usize) -> bool; 6] =
        [|_| true, |_| false, |k| k % 2 == 0, |k| k == 0, |k| k < 1000, |k| (k as u32).wrapping_mul(0x9e37_79b9) >> 31 == 0];
    let wide = |sign: fn(usize) -> bool| (0..DEGREE).map(|k| if sign(k) { LEAST } else { LEAST - 1 }).collect();
    let small = |sign: fn(usize) -> bool| (0..DEGREE).map(|k| if sign(k) { 1 } else { -1 }).collect();
    signs.iter().flat_map(|&a| signs.iter().map(move |&s| (wide(a), small(s)))).collect()
}

#[test]
fn extreme_values_stay_exact_on_every_tier() {
    for (index, (a, s)) in extremes().into_iter().enumerate() {
        let expect = schoolbook(&a, &s);
        for tier in simd::available() {
            assert!(whole(tier, &a, &s) == expect, "tier {} signs {index}", tier.name());
        }
    }
}

/// Largest distance of a product's coefficient from an integer.
fn distance(product: &Product) -> f64 {
    let values = product.0.points().iter().flat_map(|p| p.re.iter().chain(&p.im));
    values.map(|v| v / POINTS as f64).map(|v| (v - v.round()).abs()).fold(0.0, f64::max)
}

#[test]
fn rounding_errors_are_as_small_as_the_documentation_says() {
    let mut rng = ChaCha20Rng::seed_from_u64(6);
    let uniform = (0..20).map(|_| distance(&product(tier(), &uniform(&mut rng), &ternary(&mut rng)))).fold(0.0, f64::max);
    assert!(uniform < 1.0 / 1024.0, "{uniform}");
    let extreme = extremes().iter().map(|(a, s)| distance(&product(tier(), a, s))).fold(0.0, f64::max);
    assert!(extreme < 0.125, "{extreme}");
}

#[test]
fn ranges_are_parts_of_the_whole() {
    let mut rng = ChaCha20Rng::seed_from_u64(3);
    let (a, s) = (uniform(&mut rng), ternary(&mut rng));
    let product = product(tier(), &a, &s);
    let expect = schoolbook(&a, &s);
    for tier in simd::available() {
        for range in
            [0..1, 15..17, 16..32, 5..5, 3..7, 100..2000, 1000..1050, 1023..1024, 1024..1025, 1026..1037, 0..2048, 2047..2048, 2032..2048]
        {
            let mut out = vec![9; range.len()];
            product.words_on(tier, range.start, &mut out);
            assert!(out == expect[range.clone()], "{range:?}");
            product.add_to_on(tier, range.start, &mut out);
            assert!(out.iter().zip(&expect[range.clone()]).all(|(&sum, c)| sum == c.wrapping_mul(2)), "{range:?}");
        }
    }
}

#[test]
fn tiers_agree_bit_for_bit_inside_the_transform() {
    let mut rng = ChaCha20Rng::seed_from_u64(2);
    let (a, s) = (uniform(&mut rng), ternary(&mut rng));
    let inside = |tier: Tier| {
        let product = product(tier, &a, &s);
        product.0.0.iter().flat_map(|p| p.re.iter().chain(&p.im)).map(|v| v.to_bits()).collect::<Vec<_>>()
    };
    let portable = inside(Tier::PORTABLE);
    for tier in simd::available() {
        assert!(inside(tier) == portable, "tier {}", tier.name());
    }
}
