//! Plans a batch, lets a server cheat as well as it can, and compares how often it gets away with
//! it with the bound that the plan promises: `cargo run -p fusion-mix --example plan_and_simulate`.

use fusion_mix::{
    MixError,
    accuracy::PublicLabels,
    adversary::{Adversary, Positions},
    interval::clopper_pearson,
    plan::{Plan, PlanRequest},
    simulate::simulate,
};
use rand_chacha::{ChaCha20Rng, rand_core::SeedableRng};

const BATCHES: u64 = 200_000;

fn main() -> Result<(), MixError> {
    // 6 bits instead of 40, so that cheating passes often enough to be counted.
    let labels = PublicLabels::Certified { mismatch: 0.0, detect_below: None };
    let plan = Plan::optimise(&PlanRequest::new(8, 6.0, labels))?;
    let (mix, bound) = (&plan.mix, plan.soundness.log2.exp2());
    println!("plan      R = {} queries, B = {} copies, T = {} public samples", mix.queries(), mix.copies(), mix.publics());
    println!("bound     a cheat passes with probability {bound:.5} at most (asked for 2^-{} = {:.5})", plan.lambda, (-plan.lambda).exp2());

    // No server does better than one that corrupts `worst_m` positions.
    let server = Adversary::position_dependent(Positions::Exactly(plan.soundness.worst_m));
    let tally = simulate(mix, &server, BATCHES, &mut ChaCha20Rng::seed_from_u64(1))?;
    let interval = clopper_pearson(tally.cheated, BATCHES, 0.9999);
    println!("measured  {:.5} ({} of {BATCHES} batches)", tally.cheated as f64 / BATCHES as f64, tally.cheated);

    assert!(plan.is_sound(), "the plan does not reach what was asked for");
    assert!(interval.low <= bound, "the server passes more often than the bound allows: {interval:?}");
    assert!(interval.high >= bound, "the best server should reach the bound: {interval:?}");
    Ok(())
}
