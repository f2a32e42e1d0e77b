//! Monte-Carlo simulation of whole batches, to check the arithmetic against what actually happens.
//!
//! It plays the game with counts instead of images: it draws which items stand at the corrupted
//! positions and applies the client's rule.

use rand_core::Rng;

use crate::{
    MixError,
    adversary::{Adversary, Positions},
    mix::Mix,
};

/// How simulated batches ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// Batches simulated.
    pub batches: u64,
    /// Those accepted.
    pub accepted: u64,
    /// Those accepted with a wrong answer in a conclusive group.
    pub cheated: u64,
    /// Those with more than `tau` wrong public answers.
    pub rejected_accuracy: u64,
    /// Those with at most `tau` wrong public answers but more than `max_inconclusive` inconclusive
    /// groups.
    pub rejected_inconsistent: u64,
    /// Wrong answers in accepted batches, summed.
    pub wrong_answers: u64,
}

/// Plays `batches` batches of `mix` against `adversary`.
///
/// # Errors
/// [`MixError::OutOfRange`] if the adversary does not fit the mix.
pub fn simulate(mix: &Mix, adversary: &Adversary, batches: u64, rng: &mut impl Rng) -> Result<Tally, MixError> {
    adversary.validate(mix)?;
    let copied = mix.queries() * mix.copies();
    // Shuffling the front of any order gives a uniform subset, so the order carries over from batch
    // to batch.
    let mut items: Vec<u32> = (0..mix.samples()).collect();
    let mut hits = vec![0u32; mix.queries() as usize];
    let mut tally = Tally { batches, ..Tally::default() };
    for _ in 0..batches {
        let corrupted = corrupt(&mut items, adversary.positions, rng);
        let mut wrong_publics = 0;
        let mut corrupted_publics = 0;
        hits.fill(0);
        for &item in &items[..corrupted] {
            if item < copied {
                hits[(item / mix.copies()) as usize] += 1;
            } else {
                corrupted_publics += 1;
                wrong_publics += u32::from(happens(adversary.fires, rng) || happens(adversary.natural_error, rng));
            }
        }
        for _ in corrupted_publics..mix.publics() {
            wrong_publics += u32::from(happens(adversary.natural_error, rng));
        }
        let (mut inconclusive, mut wrong) = (0, 0);
        for &hit in &hits {
            let shows = hit > 0 && happens(adversary.fires, rng);
            if (shows && hit < mix.copies()) || happens(adversary.natural_disagreement, rng) {
                inconclusive += 1;
            } else if shows {
                wrong += 1;
            }
        }
        if wrong_publics > mix.tau() {
            tally.rejected_accuracy += 1;
        } else if inconclusive > mix.max_inconclusive() {
            tally.rejected_inconsistent += 1;
        } else {
            tally.accepted += 1;
            tally.cheated += u64::from(wrong > 0);
            tally.wrong_answers += wrong;
        }
    }
    Ok(tally)
}

/// Moves the corrupted items to the front and returns how many there are.
fn corrupt(items: &mut [u32], positions: Positions, rng: &mut impl Rng) -> usize {
    match positions {
        Positions::Exactly(m) if m as usize == items.len() => items.len(),
        Positions::Exactly(m) => {
            for i in 0..m as usize {
                // Lemire's multiply-shift without rejection: its bias, below N / 2^64, is far too
                // small for a simulation to notice.
                let draw = (u128::from(rng.next_u64()) * (items.len() - i) as u128) >> 64;
                items.swap(i, i + draw as usize);
            }
            m as usize
        }
        Positions::Fraction(rho) => {
            let mut count = 0;
            for i in 0..items.len() {
                if happens(rho, rng) {
                    items.swap(count, i);
                    count += 1;
                }
            }
            count
        }
    }
}

/// True with the given chance. Draws nothing where the outcome is certain.
fn happens(chance: f64, rng: &mut impl Rng) -> bool {
    if chance <= 0.0 {
        return false;
    }
    chance >= 1.0 || ((rng.next_u64() >> 11) as f64) < chance * (1u64 << 53) as f64
}
