//! The soundness arithmetic against enumeration, against big rationals, against itself, and against
//! known points.
#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use fusion_mix::{
    mix::Mix,
    soundness::{soundness, success_log2},
};
use num_bigint::BigUint;
use rand_chacha::{
    ChaCha20Rng,
    rand_core::{Rng, SeedableRng},
};

/// `log2` of a positive big integer.
fn log2(x: &BigUint) -> f64 {
    // The leading 64 bits are more than a double holds.
    let shift = x.bits().saturating_sub(64);
    let leading = u64::try_from(x >> shift).unwrap();
    (leading as f64).log2() + shift as f64
}

fn choose(n: u64, k: u64) -> BigUint {
    if k > n {
        return BigUint::ZERO;
    }
    (0..k).fold(BigUint::from(1u8), |c, i| c * (n - i) / (i + 1))
}

/// Counts subsets of the positions by (size, full groups, partial groups, corrupted publics), by
/// walking through all of them.
fn enumerate(r: u32, b: u32, t: u32) -> Vec<[u32; 4]> {
    let copies = r * b;
    let group = (1u64 << b) - 1;
    (0u64..1 << (copies + t))
        .map(|set| {
            let (mut full, mut partial) = (0, 0);
            for g in 0..r {
                let hit = set >> (g * b) & group;
                full += u32::from(hit == group);
                partial += u32::from(hit != 0 && hit != group);
            }
            [set.count_ones(), full, partial, (set >> copies).count_ones()]
        })
        .collect()
}

#[test]
fn equals_enumeration_for_all_small_plans() {
    let mut plans = 0;
    for r in 1..=4 {
        for b in 1..=4 {
            for t in 0..=6u32 {
                let n = r * b + t;
                // wins[m][p][j]: winning subsets of m positions with p partial groups and j
                // corrupted publics.
                let (rows, cols) = (r as usize + 1, t as usize + 1);
                let mut wins = vec![0u64; (n as usize + 1) * rows * cols];
                for [m, full, partial, public] in enumerate(r, b, t) {
                    if full > 0 {
                        wins[(m as usize * rows + partial as usize) * cols + public as usize] += 1;
                    }
                }
                for tau in 0..=t {
                    for max_inconclusive in 0..=r {
                        let mix = Mix::new(r, b, t, tau, max_inconclusive).unwrap();
                        let mut best = (0.0, 0);
                        for m in 0..=n {
                            let mut count = 0u64;
                            for p in 0..=max_inconclusive as usize {
                                for j in 0..=tau as usize {
                                    count += wins[(m as usize * rows + p) * cols + j];
                                }
                            }
                            let all: f64 = choose(n.into(), m.into()).to_string().parse().unwrap();
                            let want = count as f64 / all;
                            let got = success_log2(&mix, m).exp2();
                            assert!(
                                (got - want).abs() <= 1e-11 * want,
                                "R={r} B={b} T={t} tau={tau} max_inconclusive={max_inconclusive} m={m}: {got} {want}"
                            );
                            if want > best.0 * (1.0 + 1e-12) {
                                best = (want, m);
                            }
                        }
                        let found = soundness(&mix);
                        assert!((found.log2 - best.0.log2()).abs() < 1e-11, "{mix:?}: {found:?} {best:?}");
                        assert_eq!(found.worst_m, best.1, "{mix:?}: {found:?} {best:?}");
                        plans += 1;
                    }
                }
            }
        }
    }
    assert_eq!(plans, 4 * 28 * (2 + 3 + 4 + 5));
}

/// The formula of `docs/verification.md`, term by term, in exact integers: the numerators of `P(m)`
/// over `C(N, m)`.
fn numerators(r: u64, b: u64, t: u64, tau: u64, max_inconclusive: u64) -> Vec<BigUint> {
    let n = (r * b + t) as usize;
    let inner: Vec<BigUint> = (0..=b).map(|s| if s == 0 || s == b { BigUint::ZERO } else { choose(b, s) }).collect();
    let mut sums = vec![BigUint::ZERO; n + 1];
    let mut power = vec![BigUint::from(1u8)];
    for p in 0..=max_inconclusive.min(r - 1) {
        for k in 1..=r - p {
            let groups = choose(r, k) * choose(r - k, p);
            for (s, coefficient) in power.iter().enumerate() {
                if *coefficient == BigUint::ZERO {
                    continue;
                }
                let ways = &groups * coefficient;
                for j in 0..=tau {
                    sums[(k * b + j) as usize + s] += &ways * choose(t, j);
                }
            }
        }
        let mut next = vec![BigUint::ZERO; power.len() + b as usize];
        for (i, x) in power.iter().enumerate() {
            for (s, y) in inner.iter().enumerate() {
                next[i + s] += x * y;
            }
        }
        next.truncate(n + 1);
        power = next;
    }
    sums
}

#[test]
fn equals_big_rationals_on_a_thousand_plans() {
    let mut rng = ChaCha20Rng::seed_from_u64(6);
    let mut below = |n: u64| rng.next_u64() % n;
    for trial in 0..1000 {
        // Mostly small plans, every eighth one larger.
        let (r_most, t_most) = if trial % 8 == 0 { (60, 120) } else { (20, 40) };
        let (r, b, t) = (1 + below(r_most), 1 + below(7), below(t_most));
        let (tau, max_inconclusive) = (below(t.min(7) + 1), below(r.min(4) + 1));
        let mix = Mix::new(r as u32, b as u32, t as u32, tau as u32, max_inconclusive as u32).unwrap();
        let exact: Vec<f64> = numerators(r, b, t, tau, max_inconclusive)
            .iter()
            .enumerate()
            .map(|(m, x)| if *x == BigUint::ZERO { f64::NEG_INFINITY } else { log2(x) - log2(&choose(r * b + t, m as u64)) })
            .collect();
        let found = soundness(&mix);
        let allowed = found.error_log2 + 1e-12; // the reference's own logarithm
        let best = exact.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        assert!((found.log2 - best.min(0.0)).abs() <= allowed, "{mix:?}: {found:?}, exact {best}");
        assert!(best - exact[found.worst_m as usize] <= allowed, "{mix:?}: m = {} is not the best", found.worst_m);
        for (m, &want) in exact.iter().enumerate() {
            let got = success_log2(&mix, m as u32);
            assert!(got == want || (got - want).abs() <= allowed, "{mix:?} m={m}: {got}, exact {want}");
        }
    }
}

/// Where many inconclusive groups are tolerated another path through the code runs.
#[test]
fn equals_big_rationals_with_many_partial_groups() {
    for (r, b, t, tau, max_inconclusive) in [(70u64, 3, 12, 1, 40), (60, 4, 5, 0, 35), (150, 3, 10, 1, 100)] {
        let mix = Mix::new(r as u32, b as u32, t as u32, tau as u32, max_inconclusive as u32).unwrap();
        let found = soundness(&mix);
        let mut best = f64::NEG_INFINITY;
        for (m, ways) in numerators(r, b, t, tau, max_inconclusive).iter().enumerate() {
            let want = if *ways == BigUint::ZERO { f64::NEG_INFINITY } else { log2(ways) - log2(&choose(r * b + t, m as u64)) };
            let got = success_log2(&mix, m as u32);
            assert!(got == want || (got - want).abs() <= found.error_log2 + 1e-12, "{mix:?} m={m}: {got}, exact {want}");
            best = best.max(want);
        }
        assert!((found.log2 - best).abs() <= found.error_log2 + 1e-12);
    }
}

fn log2_of(r: u32, b: u32, t: u32, tau: u32, max_inconclusive: u32) -> f64 {
    soundness(&Mix::new(r, b, t, tau, max_inconclusive).unwrap()).log2
}

#[test]
fn monotone_in_copies_publics_and_tolerance() {
    let mut rng = ChaCha20Rng::seed_from_u64(7);
    let mut below = |n: u32| rng.next_u32() % n;
    for _ in 0..400 {
        let (r, b, t) = (1 + below(200), 1 + below(7), 1 + below(150));
        let (tau, max_inconclusive) = (below(t.min(9)), below(r.min(6)));
        let here = log2_of(r, b, t, tau, max_inconclusive);
        let slack = 1e-9;
        assert!(log2_of(r, b + 1, t, tau, max_inconclusive) <= here + slack, "more copies");
        assert!(log2_of(r, b, t + 1, tau, max_inconclusive) <= here + slack, "more public samples");
        assert!(log2_of(r, b, t, tau + 1, max_inconclusive) >= here - slack, "more wrong answers allowed");
        assert!(log2_of(r, b, t, tau, max_inconclusive + 1) >= here - slack, "more inconclusive groups allowed");
    }
}

/// The least R at which B copies reach 40 bits, with T = 100 and nothing tolerated: quoted values,
/// the large ones to within 3%.
#[test]
fn known_points() {
    for (b, quoted) in [(4, 4684), (5, 439), (6, 92), (7, 27), (8, 8)] {
        let enough = |r: u32| log2_of(r, b, 100, 0, 0) <= -40.0;
        let least = (1..).find(|&r| enough(r)).unwrap();
        let tolerance = if quoted > 200 { 0.03 * f64::from(quoted) } else { 0.0 };
        assert!((f64::from(least) - f64::from(quoted)).abs() <= tolerance, "B={b}: least R is {least}, quoted {quoted}");
        for r in [least + 1, least * 2, least * 10] {
            assert!(enough(r), "B={b}: larger batches are safer");
        }
    }
}

/// With nothing tolerated the worst case is `max over k of C(R,k) / C(N, kB)`.
#[test]
fn nothing_tolerated_has_the_closed_form() {
    for (r, b, t) in [(1u64, 22, 22), (8, 8, 100), (64, 6, 150), (30, 3, 7)] {
        let n = r * b + t;
        let want = (1..=r).map(|k| log2(&choose(r, k)) - log2(&choose(n, k * b))).fold(f64::NEG_INFINITY, f64::max);
        let got = log2_of(r as u32, b as u32, t as u32, 0, 0);
        assert!((got - want).abs() < 1e-11, "R={r}: {got} {want}");
    }
}

#[test]
fn refuses_parameters_outside_their_range() {
    for (r, b, t, tau, max_inconclusive) in [
        (0, 1, 1, 0, 0),
        (1, 0, 1, 0, 0),
        (1, 1025, 1, 0, 0),
        (1, 1, 1, 2, 0),
        (2, 2, 2, 0, 3),
        (u32::MAX, 1024, u32::MAX, 0, 0),
        (100_000, 8, 100, 0, 10_001),
    ] {
        let error = Mix::new(r, b, t, tau, max_inconclusive).unwrap_err();
        assert!(error.to_string().contains("must be"), "{error}");
    }
}
