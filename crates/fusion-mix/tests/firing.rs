//! Deviations that show on some images only: the exact chances against enumeration, against the
//! walk through the groups, against a million simulated batches, and against known points.
#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use fusion_mix::adversary::{Adversary, Positions, predict};
use fusion_mix::firing::{FRACTIONS, Firing, best_firing, by_firing};
use fusion_mix::interval::clopper_pearson;
use fusion_mix::mix::Mix;
use fusion_mix::simulate::simulate;
use fusion_mix::soundness::soundness;
use rand_chacha::{ChaCha8Rng, rand_core::SeedableRng};

/// How a choice of positions and of images that fire ends.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Ending {
    /// Corrupted positions.
    m: usize,
    /// Of the images with a corrupted position, those that fire and those that do not.
    fired: [i32; 2],
    inconclusive: u32,
    wrong_publics: u32,
    wrong_answers: u32,
}

/// All choices of `r * b + t` positions, and all choices of images that fire among those with a
/// corrupted position, counted by how they end.
fn enumerate(r: u32, b: u32, t: u32) -> Vec<(Ending, u64)> {
    let copies = r * b;
    let group = (1u32 << b) - 1;
    let mut counts = std::collections::BTreeMap::new();
    for set in 0u32..1 << (copies + t) {
        let hits: Vec<u32> = (0..r).map(|g| set >> (g * b) & group).collect();
        // Images by number: the queries, then the public samples.
        let touched = hits.iter().enumerate().fold(set >> copies << r, |all, (g, &hit)| all | u32::from(hit != 0) << g);
        let mut fires = touched;
        loop {
            let (mut inconclusive, mut wrong_answers) = (0, 0);
            for (g, &hit) in hits.iter().enumerate().filter(|(g, _)| fires >> g & 1 == 1) {
                debug_assert!(hit != 0, "group {g}");
                *(if hit == group { &mut wrong_answers } else { &mut inconclusive }) += 1;
            }
            let fired = [fires.count_ones() as i32, (touched & !fires).count_ones() as i32];
            let ending =
                Ending { m: set.count_ones() as usize, fired, inconclusive, wrong_publics: (fires >> r).count_ones(), wrong_answers };
            *counts.entry(ending).or_insert(0) += 1;
            if fires == 0 {
                break;
            }
            fires = (fires - 1) & touched;
        }
    }
    counts.into_iter().collect()
}

fn choose(n: u32, k: u32) -> f64 {
    (0..k).fold(1.0, |c, i| c * f64::from(n - i) / f64::from(i + 1))
}

/// The largest chance, all `m` that come within 1e-9 of it, and the mean number of wrong answers at
/// each.
fn best_by_enumeration(mix: &Mix, endings: &[(Ending, u64)], phi: f64) -> (f64, Vec<(u32, f64)>) {
    let mut sums = vec![[0.0; 2]; mix.samples() as usize + 1];
    for (ending, count) in endings {
        if ending.inconclusive <= mix.max_inconclusive() && ending.wrong_publics <= mix.tau() && ending.wrong_answers > 0 {
            let weight = *count as f64 * phi.powi(ending.fired[0]) * (1.0 - phi).powi(ending.fired[1]);
            sums[ending.m][0] += weight;
            sums[ending.m][1] += weight * f64::from(ending.wrong_answers);
        }
    }
    let chances: Vec<f64> = (0..).zip(&sums).map(|(m, sum)| sum[0] / choose(mix.samples(), m)).collect();
    let best = chances.iter().copied().fold(0.0, f64::max);
    let close = (0u32..).zip(chances.iter().zip(&sums)).filter(|(_, (chance, _))| **chance > best * (1.0 - 1e-9));
    (best, close.map(|(m, (_, sum))| (m, sum[1] / sum[0])).collect())
}

#[test]
fn equals_enumeration_for_every_plan_of_up_to_twelve_positions() {
    let mut plans = 0;
    for r in 1..=12u32 {
        for b in 1..=12 / r {
            for t in 0..=12 - r * b {
                let endings = enumerate(r, b, t);
                for (tau, max_inconclusive) in (0..=t).flat_map(|tau| (0..=r).map(move |c| (tau, c))) {
                    let mix = Mix::new(r, b, t, tau, max_inconclusive).unwrap();
                    for phi in FRACTIONS {
                        let (best, worst) = best_by_enumeration(&mix, &endings, phi);
                        let found = best_firing(&mix, phi).unwrap();
                        assert!((found.log2 - best.log2()).abs() < 1e-8, "{mix:?} {phi}: {found:?} {}", best.log2());
                        let wrong = worst.iter().find(|(m, _)| *m == found.worst_m);
                        assert!(wrong.is_some_and(|(_, mean)| (mean - found.expected_wrong).abs() < 1e-7), "{mix:?} {found:?}: {worst:?}");
                        plans += 1;
                    }
                }
            }
        }
    }
    println!("{plans} plans and fractions");
}

/// Of a plan with few chances in a million, so that a simulation sees them.
fn loose() -> [Mix; 3] {
    [(8, 2, 10, 1, 1), (5, 3, 12, 0, 0), (12, 1, 9, 2, 0)].map(|(r, b, t, tau, c)| Mix::new(r, b, t, tau, c).unwrap())
}

#[test]
fn a_million_simulated_batches_agree_for_every_fraction() {
    let mut rng = ChaCha8Rng::seed_from_u64(41);
    for phi in FRACTIONS {
        for mix in loose() {
            let Firing { log2, worst_m, expected_wrong, .. } = best_firing(&mix, phi).unwrap();
            let adversary = Adversary { fires: phi, ..Adversary::position_dependent(Positions::Exactly(worst_m)) };
            let tally = simulate(&mix, &adversary, 1_000_000, &mut rng).unwrap();
            let interval = clopper_pearson(tally.cheated, tally.batches, 1.0 - 1e-6);
            assert!(interval.contains(log2.exp2()), "{mix:?} {phi}: {} and {tally:?}", log2.exp2());
            // Wrong answers are at most R each time: six deviations of their mean.
            let mean = tally.wrong_answers as f64 / tally.cheated as f64;
            let spread = 6.0 * f64::from(mix.queries()) / 2.0 / (tally.cheated as f64).sqrt();
            assert!((mean - expected_wrong).abs() < spread, "{mix:?} {phi}: {mean} and {expected_wrong}");
        }
    }
}

#[test]
fn no_number_of_positions_does_better_in_the_walk_through_the_groups() {
    for (r, b, t, tau, c) in [(8, 8, 100, 0, 0), (16, 6, 56, 1, 2), (1, 22, 22, 0, 0), (40, 4, 30, 2, 3)] {
        let mix = Mix::new(r, b, t, tau, c).unwrap();
        for phi in [0.5, 0.2, 0.05] {
            let found = best_firing(&mix, phi).unwrap();
            let chance = |m| {
                let adversary = Adversary { fires: phi, ..Adversary::position_dependent(Positions::Exactly(m)) };
                predict(&mix, &adversary).unwrap().cheated.log2()
            };
            assert!((chance(found.worst_m) - found.log2).abs() < 1e-7, "{mix:?} {found:?}: {}", chance(found.worst_m));
            for m in (0..=mix.samples()).step_by(7) {
                assert!(chance(m) <= found.log2 + 1e-7, "{mix:?} m = {m}: {} and {found:?}", chance(m));
            }
        }
    }
}

/// What an independent review computed: a deviation that fires on a part of the images beats the
/// bound for those that fire on all.
#[test]
fn the_reviewed_plan() {
    let mix = Mix::new(8, 8, 100, 0, 0).unwrap();
    for (phi, log2, m) in [(1.0, -40.3, 8), (0.5, -35.0, 18), (0.3, -29.0, 36), (0.2, -24.0, 59)] {
        let found = best_firing(&mix, phi).unwrap();
        assert!((found.log2 - log2).abs() <= 0.1 && found.worst_m == m, "{found:?}");
    }
}

#[test]
fn what_always_fires_is_the_game_of_positions() {
    for (r, b, t, tau, c) in [(439, 5, 100, 0, 0), (64, 7, 110, 6, 1), (3000, 5, 200, 4, 30), (1, 256, 7, 3, 1), (512, 1, 900, 3, 0)] {
        let mix = Mix::new(r, b, t, tau, c).unwrap();
        let near = best_firing(&mix, 1.0 - 1e-12).unwrap();
        assert!((near.log2 - soundness(&mix).log2).abs() < 1e-6, "{mix:?}: {near:?} {:?}", soundness(&mix));
        let rows = by_firing(&mix);
        assert_eq!(rows.iter().map(|row| row.phi).collect::<Vec<_>>(), FRACTIONS);
        assert_eq!(rows[0].log2, soundness(&mix).log2);
    }
}

#[test]
fn refuses_what_is_no_fraction() {
    let mix = loose()[0];
    for phi in [0.0, -0.5, 1.5, f64::NAN] {
        assert!(best_firing(&mix, phi).is_err(), "{phi}");
    }
}
