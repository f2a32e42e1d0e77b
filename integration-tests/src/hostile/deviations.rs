//! Servers that know the protocol and deviate from it in whole batches. What their clients conclude
//! is held to what `fusion-mix` predicts.

use std::sync::Arc;

use fusion::server::Cheat;
use fusion_mix::adversary::{Adversary, Positions, predict};
use fusion_mix::soundness::soundness;
use fusion_nn::exec::Deviation;
use rand::RngExt;
use rand_chacha::ChaCha20Rng;

use super::batch::mix;
use super::lane::{Deviate, Play};
use super::network::{FIRST, HONEST, LAST, LOGITS_RING, Model, program, weights};
use super::ots::Lie;
use super::problem::Problem;

/// What is known of the rates of a series before it runs.
#[derive(Debug, Clone, Copy)]
pub(super) enum Predicted {
    /// The chance that a batch is accepted, and that it is accepted with a wrong answer.
    Exactly { accepted: f64, fooled: f64 },
    /// A batch is accepted with a wrong answer with at most this chance.
    AtMost(f64),
}

/// A server that deviates.
pub(super) struct Case {
    pub(super) name: &'static str,
    pub(super) play: Play,
    pub(super) predicted: Predicted,
}

fn of_positions(positions: Positions) -> Result<Predicted, Problem> {
    let outcome = predict(&mix()?, &Adversary::position_dependent(positions))?;
    Ok(Predicted::Exactly { accepted: outcome.accepted, fooled: outcome.cheated })
}

/// Makes label 0 of the samples that `choose` names for each lane.
fn relabelling(choose: impl Fn(usize, &mut ChaCha20Rng) -> Vec<usize> + Send + Sync + Copy + 'static) -> Arc<Deviate> {
    Arc::new(move |mut rng| {
        Box::new(move |step: &str, samples: usize, share: &mut [u32]| {
            if step == LAST {
                // The second bit of the logit of class 0, which is at the top of its word.
                choose(samples, &mut rng).into_iter().for_each(|sample| share[sample] = share[sample].wrapping_add(1 << 30));
            }
        })
    })
}

/// So many different samples.
fn some(samples: usize, wanted: usize, rng: &mut ChaCha20Rng) -> Vec<usize> {
    let mut all: Vec<usize> = (0..samples).collect();
    (0..wanted).map(|_| all.swap_remove(rng.random_range(0..all.len()))).collect()
}

/// The server's shares of the answers to two samples change places.
fn swapping() -> Arc<Deviate> {
    Arc::new(move |mut rng| {
        Box::new(move |step: &str, samples: usize, share: &mut [u32]| {
            if step == LAST {
                let pair = some(samples, 2, &mut rng);
                share.chunks_exact_mut(samples).for_each(|class| class.swap(pair[0], pair[1]));
            }
        })
    })
}

fn cheating(cheat: Cheat) -> Arc<Deviate> {
    let program = program();
    Arc::new(move |rng| -> Deviation<'static> {
        let samples = mix().map_or(1, |mix| mix.samples() as usize);
        cheat.deviation(&program, samples, rng)
    })
}

/// All cases, of `batches` batches each.
pub(super) fn cases(honest: &Arc<Model>, batches: usize) -> Result<Vec<Case>, Problem> {
    const { assert!(LOGITS_RING > 2) };
    let mix = mix()?;
    let bound = Predicted::AtMost(soundness(&mix).log2.exp2());
    let mut cases = Vec::new();
    let mut add = |name, predicted, change: &dyn Fn(&mut Play)| {
        let mut play = Play { batches, ..Play::honest(honest, 1000 + cases.len() as u64) };
        change(&mut play);
        cases.push(Case { name, play, predicted });
    };
    add("nothing: an honest server", Predicted::Exactly { accepted: 1.0, fooled: 0.0 }, &|_| ());
    add("answers to 3 samples of its choice changed", of_positions(Positions::Exactly(3))?, &|play| {
        play.deviate = Some(relabelling(|samples, rng| some(samples, 3, rng)));
    });
    add("each answer changed with chance 0.3", of_positions(Positions::Fraction(0.3))?, &|play| {
        play.deviate = Some(relabelling(|samples, rng| (0..samples).filter(|_| rng.random_bool(0.3)).collect()));
    });
    add("answers swapped between two samples", bound, &|play| play.deviate = Some(swapping()));
    // It takes every image of class 3 for one of class 2, and so errs on a third of the images.
    let worse = weights([0, 1, 2, 2]);
    let substituted = Arc::new(Model::new(&worse, &worse, 2)?);
    let outcome = predict(&mix, &Adversary::content_dependent(&mix, 1.0 / 3.0))?;
    let predicted = Predicted::Exactly { accepted: outcome.accepted, fooled: outcome.cheated };
    add("another model, with its own hint", predicted, &|play| play.model = Arc::clone(&substituted));
    let mut other = weights(HONEST);
    other.linear[2].terms[0][0] += 1;
    let unbound = Arc::new(Model::new(&weights(HONEST), &other, 3)?);
    add("a hint for another matrix, one weight apart", bound, &|play| play.model = Arc::clone(&unbound));
    let foreign = Arc::new(Model::new(&weights(HONEST), &weights([1, 2, 3, 0]), 4)?);
    add("shares of another model", bound, &|play| play.model = Arc::clone(&foreign));
    add("wrong choice bits in one OT of 50", bound, &|play| play.lie = Some(Lie::Choices));
    add("wrong tables in one OT of 50", bound, &|play| play.lie = Some(Lie::Tables));
    add("inconsistent Delta in one OT of 50", bound, &|play| play.lie = Some(Lie::Delta));
    add("shares of a layer shifted", bound, &|play| play.deviate = Some(cheating(Cheat::Layer(FIRST.to_owned()))));
    add("one bit of one share flipped", bound, &|play| play.deviate = Some(cheating(Cheat::Bit)));
    Ok(cases)
}
