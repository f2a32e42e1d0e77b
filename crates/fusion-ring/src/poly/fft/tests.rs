use rand_chacha::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};

use super::points::POINTS;
use super::*;
use crate::poly::residues::Residues;
use crate::simd;

fn uniform(rng: &mut ChaCha20Rng, bits: u32) -> Vec<u128> {
    let mask = (1u128 << bits) - 1;
    (0..DEGREE).map(|_| (u128::from(rng.next_u64()) << 64 | u128::from(rng.next_u64())) & mask).collect()
}

fn ternary(rng: &mut ChaCha20Rng) -> Vec<i8> {
    (0..DEGREE).map(|_| (rng.next_u32() % 3) as i8 - 1).collect()
}

fn schoolbook(a: &[u128], s: &[i8]) -> Vec<u128> {
    let mut out = vec![0u128; DEGREE];
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

fn residues(values: &[u128]) -> Residues {
    let (low, high): (Vec<u64>, Vec<u64>) = values.iter().map(|&v| (v as u64, (v >> 64) as u64)).unzip();
    Residues { low: low.into(), high: high.into() }
}

fn product<const P: usize, const B: u32>(tier: Tier, a: &[u128], s: &[i8]) -> Product<P, B> {
    let (mut wide, mut small, mut product) = (Wide::default(), Small::default(), Product::default());
    wide.set_on(tier, &residues(a));
    small.set_on(tier, s);
    product.set_on(tier, &wide, &small);
    product
}

/// The coefficients at `range`, times 2^`shift`.
fn coefficients<const P: usize, const B: u32>(tier: Tier, product: &mut Product<P, B>, range: Range<usize>, shift: u32) -> Vec<u128> {
    let mut out = Residues::default();
    out.resize(range.len());
    product.place_on(tier, range.clone(), shift, false, &mut out.as_mut());
    (0..range.len()).map(|i| out.get(i)).collect()
}

fn whole<const P: usize, const B: u32>(tier: Tier, a: &[u128], s: &[i8]) -> Vec<u128> {
    coefficients(tier, &mut product::<P, B>(tier, a, s), 0..DEGREE, 0)
}

#[test]
fn product_equals_schoolbook_on_every_tier() {
    let mut rng = ChaCha20Rng::seed_from_u64(1);
    for bits in [1, 30, 41, 60, 81, 88, 104, 120] {
        let (a, s) = (uniform(&mut rng, bits), ternary(&mut rng));
        let expect = schoolbook(&a, &s);
        for tier in simd::available() {
            let name = tier.name();
            assert!(whole::<4, 30>(tier, &a, &s) == expect, "tier {name} at {bits} bits, four pieces");
            if bits <= 90 {
                assert!(whole::<3, 30>(tier, &a, &s) == expect, "tier {name} at {bits} bits, three pieces");
            }
            if bits <= 82 {
                assert!(whole::<2, 41>(tier, &a, &s) == expect, "tier {name} at {bits} bits, two pieces");
            }
            if bits <= 41 {
                assert!(whole::<1, 41>(tier, &a, &s) == expect, "tier {name} at {bits} bits, one piece");
            }
        }
    }
}

#[test]
fn extreme_values_stay_exact() {
    let a = vec![(1u128 << 120) - 1; DEGREE];
    // All of one sign, alternating, and the signs that make a single coefficient as large as it can
    // be.
    let signs: [fn(usize) -> i8; 5] =
        [|_| 1, |_| -1, |k| if k % 2 == 0 { 1 } else { -1 }, |k| if k == 0 { 1 } else { -1 }, |k| if k < 2000 { 1 } else { -1 }];
    for sign in signs {
        let s: Vec<i8> = (0..DEGREE).map(sign).collect();
        assert!(whole::<4, 30>(tier(), &a, &s) == schoolbook(&a, &s));
    }
}

/// Largest distance of a product's coefficient from an integer.
fn distance(product: &Product<1, 41>) -> f64 {
    let values = product.pieces[0].points().iter().flat_map(|p| p.re.iter().chain(&p.im));
    values.map(|v| v / POINTS as f64).map(|v| (v - v.round()).abs()).fold(0.0, f64::max)
}

#[test]
fn rounding_errors_are_as_small_as_the_documentation_says() {
    let mut rng = ChaCha20Rng::seed_from_u64(6);
    let mut largest = [0f64; 2];
    for _ in 0..20 {
        for (largest, bits) in largest.iter_mut().zip([PROVEN_BITS, 41]) {
            *largest = largest.max(distance(&product(tier(), &uniform(&mut rng, bits), &ternary(&mut rng))));
        }
    }
    // Six deviations of 2^-16 and 2^-5.
    assert!(largest[0] < 6.0 / 65_536.0 && largest[1] < 6.0 / 32.0, "{largest:?}");
    let (all, ones) = (vec![(1u128 << PROVEN_BITS) - 1; DEGREE], vec![1; DEGREE]);
    assert!(distance(&product(tier(), &all, &ones)) < 0.125);
}

#[test]
fn narrow_coefficients_are_wide_ones() {
    let mut rng = ChaCha20Rng::seed_from_u64(5);
    let (a, s) = (uniform(&mut rng, 41), ternary(&mut rng));
    let narrow: Vec<u64> = a.iter().map(|&c| c as u64).collect();
    for tier in simd::available() {
        let mut wide = Wide::<1, 41>::default();
        wide.set_narrow_on(tier, &narrow);
        let mut product = Product::default();
        product.set_on(tier, &wide, &Small::new(&s));
        let mut words = vec![0; DEGREE];
        product.words(0, &mut words);
        assert!(words.iter().zip(schoolbook(&a, &s)).all(|(&w, e)| w == e as u64), "tier {}", tier.name());
    }
}

#[test]
fn ranges_are_parts_of_the_whole() {
    let mut rng = ChaCha20Rng::seed_from_u64(3);
    let (a, s) = (uniform(&mut rng, 81), ternary(&mut rng));
    let mut product = product::<2, 41>(tier(), &a, &s);
    let expect: Vec<u128> = schoolbook(&a, &s).iter().map(|c| c << 7).collect();
    for tier in simd::available() {
        for range in
            [0..1, 15..17, 16..32, 5..5, 3..7, 100..2000, 2040..2060, 2047..2048, 2048..2049, 2050..2061, 0..4096, 4095..4096, 4080..4096]
        {
            assert!(coefficients(tier, &mut product, range.clone(), 7) == expect[range.clone()], "{range:?}");
            let mut fresh = Residues { low: vec![9; range.len()].into(), high: vec![9; range.len()].into() };
            product.place_on(tier, range.clone(), 0, true, &mut fresh.as_mut());
            assert!(range.clone().all(|at| fresh.get(at - range.start) << 7 == expect[at]), "{range:?}");
        }
    }
}

#[test]
fn tiers_agree_bit_for_bit_inside_the_transform() {
    let mut rng = ChaCha20Rng::seed_from_u64(2);
    let (a, s) = (uniform(&mut rng, 88), ternary(&mut rng));
    let inside = |tier: Tier| {
        let product = product::<3, 30>(tier, &a, &s);
        let values = product.pieces.iter().flat_map(|piece| piece.0.iter().flat_map(|p| p.re.iter().chain(&p.im)));
        values.map(|v| v.to_bits()).collect::<Vec<_>>()
    };
    let portable = inside(Tier::PORTABLE);
    for tier in simd::available() {
        assert!(inside(tier) == portable, "tier {}", tier.name());
    }
}
