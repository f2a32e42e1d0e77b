//! Clipping, piecewise linear functions and products are exact, and cost what their formulas say.

use fusion_model::program::uncertain;

use super::*;

const EDGE_SIZES: [usize; 9] = [0, 1, 63, 64, 65, 127, 128, 129, 1023];

/// Every pair of shares modulo 2^h, and the number that it shares.
fn all_pairs(h: u32) -> (Shared, Vec<i32>) {
    let pairs = || (0..1u32 << h).flat_map(|c| (0..1 << h).map(move |s| (c, s)));
    let numbers = pairs().map(|(c, s): (u32, u32)| ((c + s) << (32 - h)).cast_signed() >> (32 - h)).collect();
    (Shared::from_words(pairs().map(|pair| pair.0).collect(), pairs().map(|pair| pair.1).collect(), h), numbers)
}

fn clipped(x: i32, ceiling: u32) -> i32 {
    x.clamp(0, ceiling.cast_signed())
}

/// In every sharing, with every ceiling: also of numbers from which the ceiling's difference wraps.
#[test]
fn clip_is_exact_for_every_pair_of_shares() {
    for h in 2..=6 {
        let (shared, x) = all_pairs(h);
        for (ceiling, out) in (1..1 << (h - 1)).flat_map(|ceiling| [1, 3, h, 9].map(|out| (ceiling, out))) {
            let pair = run(1 << 11, |party| clip(party, shared.of(party), ceiling, RingBits(out)));
            let got = opened(&pair, out).into_iter().zip(&x);
            // -2^(h-1) has no positive counterpart, and is below what a window holds.
            let wrong: Vec<i32> =
                got.filter(|&(got, &x)| x != -1 << (h - 1) && got != reduced([clipped(x, ceiling)], out)[0]).map(|(_, &x)| x).collect();
            assert_eq!(wrong, [0; 0], "h = {h}, c = {ceiling}, l' = {out}");
            same_cost(&pair, cost::clip(h, ceiling, out, Split::default()).of(x.len(), 1 << 11), "clip");
        }
    }
}

#[test]
fn clip_costs_its_formula_at_every_width_and_split() {
    for (h, split) in (2..=32u32).flat_map(|h| Split::ALL.map(|split| (h, split))) {
        let most = (1u32 << (h - 1)) - 1;
        for ceiling in [1, most, most / 2 + 1, most / 3 + 1] {
            let bits = u32::BITS - ceiling.leading_zeros();
            for out in [1, bits, bits + 1, (bits + 2).min(32), 32] {
                let mut x = values(200, h, h + out);
                x.extend([ceiling as i32, ceiling as i32 - 1, (ceiling + 1).min(most) as i32]);
                let shared = Shared::new(&x, h);
                let pair = run_split(128, split, |party| clip(party, shared.of(party), ceiling, RingBits(out)));
                let expect = reduced(x.iter().map(|&x| clipped(x, ceiling)), out);
                assert_eq!(opened(&pair, out), expect, "h = {h}, c = {ceiling}, l' = {out}, {split:?}");
                let cost = cost::clip(h, ceiling, out, split);
                same_cost(&pair, cost.of(x.len(), 128), "clip");
                assert_eq!(pair.client.traffic.turns, 2 * u64::from(cost.rounds()));
            }
        }
    }
}

/// Functions for numbers below 2^4 in magnitude.
fn small_functions() -> Vec<Piecewise> {
    let knots = |knots: &[(i32, i32)]| knots.iter().map(|&(at, change)| Knot { at, change }).collect();
    vec![
        Piecewise { fraction: 0, slope: -5, offset: 3, knots: vec![], left_out: 1 },
        Piecewise { fraction: 0, slope: 0, offset: 0, knots: knots(&[(0, 1)]), left_out: 1 },
        Piecewise { fraction: 0, slope: 1, offset: 7, knots: knots(&[(-8, 2), (8, -12)]), left_out: 1 },
        Piecewise {
            fraction: 0,
            slope: i32::MIN,
            offset: i32::MAX,
            knots: knots(&[(3, i32::MIN), (3, i32::MAX), (-1, 0), (2, 1 << 8), (-9, -16)]),
            left_out: 1,
        },
    ]
}

/// In every sharing, whatever is left out: as the functionality says, and exact with one bit.
#[test]
fn piecewise_is_its_functionality_for_every_pair_of_shares() {
    let h = 6;
    let (shared, x) = all_pairs(h);
    for (left_out, out) in (1..=3).flat_map(|left_out| [1, 4, 6, 7, 9, 32].map(|out| (left_out, out))) {
        for function in small_functions() {
            let function = Piecewise { left_out, ..function };
            let pair = run(1 << 11, |party| piecewise(party, shared.of(party), &function, RingBits(out)));
            let most = uncertain(left_out).cast_signed();
            let mut wrong = Vec::new();
            for ((&x, client), got) in x.iter().zip(shared.client.words()).zip(opened(&pair, out)) {
                let remainder = (client & ((1 << left_out) - 1)).cast_signed();
                let above = |at: i32| if x - at + most >= remainder { i64::from(x - at) } else { 0 };
                let line = i64::from(function.slope) * i64::from(x) + i64::from(function.offset);
                let y = function.knots.iter().fold(line, |sum, knot| sum + i64::from(knot.change) * above(knot.at));
                let certain = function.knots.iter().all(|knot| (x - knot.at).abs() > most || x == knot.at);
                assert!(!certain || y == function.value(i64::from(x)), "far from knots, and with one bit left out, it is exact");
                assert!(left_out > 1 || certain);
                if (-16..16).contains(&x) && got != y as u32 & mask32(out) {
                    wrong.push((x, *client));
                }
            }
            assert_eq!(wrong, [], "{left_out} bits left out, l' = {out}, {function:?}");
            same_cost(&pair, cost::piecewise(h, &function, out, Split::default()).of(x.len(), 1 << 11), "piecewise");
        }
    }
}

#[test]
fn piecewise_costs_its_formula_at_every_width_and_split() {
    for (h, split) in (3..=32u32).flat_map(|h| Split::ALL.map(|split| (h, split))) {
        for (out, count) in [(1, 3), (h - 1, 1), (h, 2), ((h + 1).min(32), 3), (20, 8), (32, 5)] {
            let knots = values(count, h - 1, out).into_iter().zip(values(count, 20, h));
            let function = Piecewise {
                fraction: 0,
                slope: 77,
                offset: -(1 << 20),
                knots: knots.map(|(at, change)| Knot { at, change }).collect(),
                left_out: 1,
            };
            let x = values(200, h - 1, h + out);
            let shared = Shared::new(&x, h);
            let pair = run_split(128, split, |party| piecewise(party, shared.of(party), &function, RingBits(out)));
            let expect: Vec<u32> = x.iter().map(|&x| function.value(i64::from(x)) as u32 & mask32(out)).collect();
            assert_eq!(opened(&pair, out), expect, "h = {h}, l' = {out}, {function:?}, {split:?}");
            let cost = cost::piecewise(h, &function, out, split);
            same_cost(&pair, cost.of(200, 128), "piecewise");
            assert_eq!(pair.client.traffic.turns, 2 * u64::from(cost.rounds()));
        }
    }
}

#[test]
fn a_function_without_knots_costs_its_widening() {
    let (shared, line) = (Shared::new(&[-4, 3], 5), Piecewise { fraction: 0, slope: 2, offset: 1, knots: vec![], left_out: 1 });
    for (out, bits) in [(5, 0), (9, 5)] {
        let pair = run(64, |party| piecewise(party, shared.of(party), &line, RingBits(out)));
        assert_eq!(opened(&pair, out), reduced([-7, 7], out));
        let cost = cost::piecewise(5, &line, out, Split::default());
        assert_eq!((cost.bits, pair.client.traffic.turns), (bits, u64::from(cost.rounds())));
    }
}

/// Every x in every sharing times every s in every sharing.
#[test]
fn multiply_is_exact_for_every_pair_of_shares() {
    for (k, out) in [(3, 4), (3, 5), (4, 5)] {
        let ((x, x_values), (s, s_values)) = (all_pairs(out), all_pairs(k));
        let (nx, ns) = (x_values.len(), s_values.len());
        let each = |shares: &AdditiveShares| shares.repeated(ns).words().to_vec();
        let cycle = |shares: &AdditiveShares| shares.words().repeat(nx);
        let left = Shared::from_words(each(&x.client), each(&x.server), out);
        let right = Shared::from_words(cycle(&s.client), cycle(&s.server), k);
        let pair = run(1 << 16, |party| multiply(party, left.of(party), right.of(party), RingBits(out)));
        let limit = 1 << (k - 2);
        let factors = x_values.iter().flat_map(|x| s_values.iter().map(move |s| (*x, *s)));
        let wrong: Vec<(i32, i32)> = factors
            .zip(opened(&pair, out))
            .filter(|&((x, s), got)| (-limit..limit).contains(&s) && got != reduced([x * s], out)[0])
            .map(|(factors, _)| factors)
            .collect();
        assert_eq!(wrong, [], "k = {k}, l' = {out}");
        same_cost(&pair, cost::multiply(k, out).of(nx * ns, 1 << 16), "multiply");
    }
}

#[test]
fn multiply_costs_its_formula_at_every_width() {
    for (k, out) in (3..=31u32).flat_map(|k| [k + 1, (k + 2).min(32), 32].map(|out| (k, out))) {
        // The ring of x may be wider than that of the product.
        let ring = (out + k % 3).min(32);
        let (x, s) = (values(200, ring, k), values(200, k - 1, out));
        let (shared, factors) = (Shared::new(&x, ring), Shared::new(&s, k));
        let pair = run(128, |party| multiply(party, shared.of(party), factors.of(party), RingBits(out)));
        let expect = reduced(x.iter().zip(&s).map(|(x, s)| x.wrapping_mul(*s)), out);
        assert_eq!(opened(&pair, out), expect, "k = {k}, l' = {out}");
        let cost = cost::multiply(k, out);
        assert_eq!(cost.bits, k * (2 * out - k + 3));
        same_cost(&pair, cost.of(200, 128), "multiply");
        assert_eq!(pair.client.traffic.turns, 2 * u64::from(cost.rounds()));
    }
}

#[test]
fn a_factor_of_a_channel_counts_for_all_its_positions() {
    let (channels, area) = (5, 6);
    let (x, s) = (values(channels * area, 18, 3), values(channels, 8, 5));
    let (shared, factors) = (Shared::new(&x, 20), Shared::new(&s, 9));
    let pair = run(64, |party| multiply(party, shared.of(party), &factors.of(party).repeated(area), RingBits(20)));
    let expect = x.chunks(area).zip(&s).flat_map(|(x, s)| x.iter().map(move |x| x.wrapping_mul(*s)));
    assert_eq!(opened(&pair, 20), reduced(expect, 20));
}

#[test]
fn functions_at_edge_sizes_and_over_many_tiles() {
    for (n, tile) in EDGE_SIZES.into_iter().flat_map(|n| [64, 192, 1 << 16].map(|tile| (n, tile))) {
        let (x, s) = (values(n, 11, n as u32), values(n, 8, n as u32));
        let (shared, factors) = (Shared::new(&x, 12), Shared::new(&s, 9));
        let pair = run(tile, |party| clip(party, shared.of(party), 600, RingBits(26)));
        assert_eq!(opened(&pair, 26), reduced(x.iter().map(|&x| clipped(x, 600)), 26));
        same_cost(&pair, cost::clip(12, 600, 26, Split::default()).of(n, tile), "clip");
        let pair = run(tile, |party| piecewise(party, shared.of(party), &bent(), RingBits(20)));
        assert_eq!(opened(&pair, 20), reduced(x.iter().map(|&x| bent().value(i64::from(x)) as i32), 20));
        same_cost(&pair, cost::piecewise(12, &bent(), 20, Split::default()).of(n, tile), "piecewise");
        let pair = run(tile, |party| multiply(party, shared.of(party), factors.of(party), RingBits(12)));
        assert_eq!(opened(&pair, 12), reduced(x.iter().zip(&s).map(|(x, s)| x * s), 12));
        same_cost(&pair, cost::multiply(9, 12).of(n, tile), "multiply");
    }
}
