//! Simulated batches against the exact prediction, for every kind of server.
#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::time::{Duration, Instant};

use fusion_mix::{
    accuracy::{FlipRate, PublicLabels},
    adversary::{Adversary, Positions, predict},
    binomial::lower_tail,
    interval::clopper_pearson,
    mix::Mix,
    plan::{Plan, PlanRequest},
    simulate::simulate,
    soundness::{soundness, success_log2},
};
use rand_chacha::{ChaCha8Rng, rand_core::SeedableRng};

/// With some sixty intervals below, a sound simulator fails this file less than once in 10^4.
const CONFIDENCE: f64 = 1.0 - 1e-6;

fn agrees(mix: &Mix, adversary: &Adversary, batches: u64, seed: u64) {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let tally = simulate(mix, adversary, batches, &mut rng).unwrap();
    let predicted = predict(mix, adversary).unwrap();
    assert_eq!(tally.accepted + tally.rejected_accuracy + tally.rejected_inconsistent, batches);
    for (name, count, chance) in [("accepted", tally.accepted, predicted.accepted), ("cheated", tally.cheated, predicted.cheated)] {
        let interval = clopper_pearson(count, batches, CONFIDENCE);
        assert!(interval.contains(chance), "{mix:?} {adversary:?}: {name} {count} of {batches}, predicted {chance}");
    }
}

fn mixes() -> [Mix; 4] {
    [(3, 2, 6, 1, 1), (8, 2, 10, 0, 0), (4, 3, 5, 2, 0), (6, 1, 9, 1, 0)]
        .map(|(r, b, t, tau, max_inconclusive)| Mix::new(r, b, t, tau, max_inconclusive).unwrap())
}

#[test]
fn a_million_batches_of_every_kind_take_seconds() {
    let mix = mixes()[1];
    let lanes = 3;
    let kinds = [
        Adversary::position_dependent(Positions::Exactly(soundness(&mix).worst_m)),
        Adversary::position_dependent(Positions::Fraction(0.1)),
        Adversary::position_dependent(Positions::Exactly(mix.samples() / lanes)),
        Adversary::content_dependent(&mix, 0.05),
    ];
    for (seed, adversary) in (1..).zip(&kinds) {
        let start = Instant::now();
        agrees(&mix, adversary, 1_000_000, seed);
        assert!(start.elapsed() < Duration::from_secs(20), "{adversary:?}: {:?}", start.elapsed());
    }
}

#[test]
fn every_number_of_corrupted_positions_matches_the_formula() {
    for mix in mixes() {
        let bound = soundness(&mix).log2.exp2();
        for m in 0..=mix.samples() {
            let adversary = Adversary::position_dependent(Positions::Exactly(m));
            let exact = success_log2(&mix, m).exp2();
            let walked = predict(&mix, &adversary).unwrap().cheated;
            assert!((walked - exact).abs() <= 1e-11 * exact, "{mix:?} m={m}: {walked} {exact}");
            assert!(walked <= bound * (1.0 + 1e-11));
            agrees(&mix, &adversary, 5_000, u64::from(m));
        }
    }
}

#[test]
fn a_random_fraction() {
    for (seed, rho) in [(2, 0.02), (3, 0.1), (4, 0.3), (5, 0.9)] {
        for mix in mixes() {
            agrees(&mix, &Adversary::position_dependent(Positions::Fraction(rho)), 30_000, seed);
            // It is a mixture over m, so it does no better than the best m.
            let cheated = predict(&mix, &Adversary::position_dependent(Positions::Fraction(rho))).unwrap().cheated;
            assert!(cheated <= soundness(&mix).log2.exp2() + 1e-12);
        }
    }
}

#[test]
fn a_whole_lane() {
    for mix in mixes() {
        for lanes in [1, 2, 3, 5] {
            let lane = mix.samples() / lanes;
            agrees(&mix, &Adversary::position_dependent(Positions::Exactly(lane)), 30_000, u64::from(lanes));
        }
    }
}

#[test]
fn a_substituted_model() {
    let mix = Mix::new(5, 2, 30, 3, 0).unwrap();
    for (seed, accuracy) in [(6, 0.97), (7, 0.9), (8, 0.7), (9, 0.1)] {
        let adversary = Adversary::content_dependent(&mix, 1.0 - accuracy);
        agrees(&mix, &adversary, 60_000, seed);
        let accepted = predict(&mix, &adversary).unwrap().accepted;
        assert!((accepted - lower_tail(30, 1.0 - accuracy, 3)).abs() < 1e-12, "only the public samples tell");
    }
}

/// The second guarantee: copies agree by construction, `(1 - eps)^T` survive when nothing is
/// tolerated, and some `R eps` answers are wrong.
#[test]
fn content_dependent_deviations() {
    let mix = Mix::new(8, 3, 24, 0, 0).unwrap();
    for (seed, eps) in [(10, 0.001), (11, 0.003), (12, 0.01), (13, 0.03), (14, 0.1), (15, 0.3), (16, 1.0)] {
        let adversary = Adversary::content_dependent(&mix, eps);
        agrees(&mix, &adversary, 60_000, seed);
        let predicted = predict(&mix, &adversary).unwrap();
        let survives = (1.0 - eps).powi(24);
        assert!((predicted.accepted - survives).abs() < 1e-12);
        assert!((predicted.cheated - survives * (1.0 - (1.0 - eps).powi(8))).abs() < 1e-12);
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let tally = simulate(&mix, &adversary, 60_000, &mut rng).unwrap();
        // Wrong answers per accepted batch: mean R eps, at most 8; six standard errors.
        if tally.accepted > 0 {
            let mean = tally.wrong_answers as f64 / tally.accepted as f64;
            let error = (8.0 * eps * (1.0 - eps) / tally.accepted as f64).sqrt();
            assert!((mean - 8.0 * eps).abs() <= 6.0 * error, "eps={eps}: {mean}");
        }
    }
}

#[test]
fn mixtures_of_both_lie_between() {
    for mix in mixes() {
        for (seed, eps) in [(17, 0.05), (18, 0.5)] {
            for m in [mix.samples() / 3, mix.samples() / 2, mix.samples() - 1] {
                agrees(&mix, &Adversary { fires: eps, ..Adversary::position_dependent(Positions::Exactly(m)) }, 20_000, seed);
            }
        }
    }
}

#[test]
fn an_honest_server_is_accepted_at_the_planned_rate() {
    let labels = PublicLabels::GroundTruth { claimed_accuracy: 0.9, detect_below: Some(0.5) };
    let flips = FlipRate::new(0.01).unwrap();
    let request = PlanRequest { alpha: 0.05, beta: 0.05, flips, ..PlanRequest::new(6, 10.0, labels) };
    let plan = Plan::optimise(&request).unwrap();
    let honest = Adversary::honest(0.1, flips.inconclusive(plan.mix.copies()));
    let accepted = predict(&plan.mix, &honest).unwrap().accepted;
    // The plan states the union of the two causes; together they are a little less.
    assert!(
        accepted >= 1.0 - plan.false_reject && accepted <= 1.0 - plan.false_reject + request.alpha * request.alpha,
        "{accepted} {plan:?}"
    );
    agrees(&plan.mix, &honest, 200_000, 19);
}

#[test]
fn refuses_servers_that_do_not_fit() {
    let mix = mixes()[0];
    for adversary in [
        Adversary::position_dependent(Positions::Exactly(mix.samples() + 1)),
        Adversary::position_dependent(Positions::Fraction(1.5)),
        Adversary::content_dependent(&mix, f64::NAN),
    ] {
        assert!(predict(&mix, &adversary).is_err());
        assert!(simulate(&mix, &adversary, 1, &mut ChaCha8Rng::seed_from_u64(0)).is_err());
    }
}
