//! Kinds of cheating servers, and the exact chance of each outcome.
//!
//! The server's view does not depend on the secret order, so a strategy is a choice of positions
//! and of images on which the deviation shows:
//!
//! | server | positions | fires |
//! |---|---|---|
//! | honest | none | |
//! | the best position-dependent one | [`Positions::Exactly`] `worst_m` | 1 |
//! | corrupts each sample with chance rho | [`Positions::Fraction`] | 1 |
//! | corrupts a whole lane of `L` | [`Positions::Exactly`] the lane's length | 1 |
//! | substitutes a model | all | the fraction of images that it errs on |
//! | errs on some images only | all | eps |
//! | a mixture | some | eps |

use crate::{MixError, binomial::Chance, mix::Mix};

/// The largest number of table entries that [`predict`] visits.
const MAX_WORK: u64 = 1 << 32;

/// Which positions the server corrupts.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Positions {
    /// A fixed number of them; which ones does not matter.
    Exactly(u32),
    /// Each with this chance, independently.
    Fraction(f64),
}

/// A server.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Adversary {
    /// Where it deviates.
    pub positions: Positions,
    /// On what fraction of the images a deviation changes the answer. Copies of one image change
    /// alike.
    pub fires: f64,
    /// The chance that a public answer is wrong without any deviation.
    pub natural_error: f64,
    /// The chance that a group is inconclusive without any deviation.
    pub natural_disagreement: f64,
}

impl Adversary {
    /// Deviates at `positions`, and the answers there change whatever the image is.
    #[must_use]
    pub fn position_dependent(positions: Positions) -> Self {
        Self { positions, fires: 1.0, natural_error: 0.0, natural_disagreement: 0.0 }
    }

    /// Computes the same function at all positions of `mix`, one that errs on a fraction `eps` of
    /// the images.
    #[must_use]
    pub fn content_dependent(mix: &Mix, eps: f64) -> Self {
        Self { fires: eps, ..Self::position_dependent(Positions::Exactly(mix.samples())) }
    }

    /// Does as it should; its model errs now and then, and its copies disagree now and then.
    #[must_use]
    pub fn honest(natural_error: f64, natural_disagreement: f64) -> Self {
        Self { positions: Positions::Exactly(0), fires: 0.0, natural_error, natural_disagreement }
    }

    pub(crate) fn validate(&self, mix: &Mix) -> Result<(), MixError> {
        let out = |what, range, value: String| Err(MixError::OutOfRange { what, range, value });
        match self.positions {
            Positions::Exactly(m) if m > mix.samples() => return out("the number of corrupted positions", "at most N", m.to_string()),
            Positions::Fraction(rho) if !(0.0..=1.0).contains(&rho) => {
                return out("the corrupted fraction", "between 0 and 1", rho.to_string());
            }
            Positions::Exactly(_) | Positions::Fraction(_) => {}
        }
        for (what, rate) in
            [("eps", self.fires), ("the natural error", self.natural_error), ("the natural disagreement", self.natural_disagreement)]
        {
            if !(0.0..=1.0).contains(&rate) {
                return out(what, "between 0 and 1", rate.to_string());
            }
        }
        Ok(())
    }
}

/// The chances of the outcomes of one batch.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Outcome {
    /// The batch is accepted.
    pub accepted: f64,
    /// The batch is accepted and some conclusive group has a wrong answer.
    pub cheated: f64,
}

/// The exact chances against `adversary`, by walking through the groups one after the other.
///
/// This is slower than [`crate::soundness::soundness`], but it knows more kinds of servers. The two
/// have only the binomial mass function in common, so each checks the other.
///
/// # Errors
/// [`MixError::OutOfRange`] if a chance is no probability, more positions are corrupted than there
/// are, or the batch is too large to be walked through.
pub fn predict(mix: &Mix, adversary: &Adversary) -> Result<Outcome, MixError> {
    adversary.validate(mix)?;
    let samples = u64::from(mix.samples());
    let (chance, most) = match adversary.positions {
        Positions::Exactly(m) => (Chance::from_counts(2 * u64::from(m) + 1, 2 * samples + 1 - 2 * u64::from(m)), u64::from(m)),
        Positions::Fraction(rho) => (Chance::new(rho), samples),
    };
    let work = u64::from(mix.queries()) * (most + 1) * (u64::from(mix.max_inconclusive()) + 1) * u64::from(mix.copies());
    if work > MAX_WORK {
        return Err(MixError::OutOfRange {
            what: "R * N * max_inconclusive * B",
            range: "at most 2^32 for an exact prediction",
            value: work.to_string(),
        });
    }
    let groups = walk_groups(mix, adversary, &chance, most as usize);
    let publics = accept_publics(mix, adversary, &chance);
    let (mut accepted, mut cheated) = (0.0, 0.0);
    for (n, [clean, wrong]) in groups.into_iter().enumerate() {
        for (j, weight) in publics.iter().enumerate() {
            let fits = match adversary.positions {
                Positions::Exactly(m) => n + j == m as usize,
                Positions::Fraction(_) => true,
            };
            if fits {
                accepted += (clean + wrong) * weight;
                cheated += wrong * weight;
            }
        }
    }
    if let Positions::Exactly(m) = adversary.positions {
        let condition = chance.ln_mass(samples, m.into()).exp();
        accepted /= condition;
        cheated /= condition;
    }
    Ok(Outcome { accepted: accepted.min(1.0), cheated: cheated.min(1.0) })
}

/// For each number of corrupted copies up to `most`, two chances: of that number with at most
/// `max_inconclusive` inconclusive groups and no conclusive group wrong, and the same with one
/// wrong.
fn walk_groups(mix: &Mix, adversary: &Adversary, chance: &Chance, most: usize) -> Vec<[f64; 2]> {
    let (copies, max_inconclusive) = (mix.copies() as usize, mix.max_inconclusive() as usize);
    let sizes: Vec<f64> = (0..=copies).map(|s| chance.ln_mass(copies as u64, s as u64).exp()).collect();
    let (fires, split) = (adversary.fires, adversary.natural_disagreement);
    let width = max_inconclusive + 1;
    // Entry n * width + c: n corrupted copies so far, c inconclusive groups; without and with a
    // wrong group.
    let mut now = vec![[0.0; 2]; (most + 1) * width];
    now[0][0] = 1.0;
    for group in 0..mix.queries() as usize {
        let mut next = vec![[0.0; 2]; now.len()];
        for n in 0..=most.min(group * copies) {
            for c in 0..width {
                let here = now[n * width + c];
                if here == [0.0; 2] {
                    continue;
                }
                for (s, size) in sizes.iter().enumerate().take(most - n + 1) {
                    // What the deviation makes of the group, and what nature adds.
                    let shows = if s == 0 { 0.0 } else { fires };
                    let (spoilt, turned) = if s == copies { (0.0, shows) } else { (shows, 0.0) };
                    let inconclusive = size * (spoilt + (1.0 - spoilt) * split);
                    let wrong = size * turned * (1.0 - split);
                    let right = size * (1.0 - spoilt - turned) * (1.0 - split);
                    let base = (n + s) * width + c;
                    next[base][0] += here[0] * right;
                    next[base][1] += here[1] * (right + wrong) + here[0] * wrong;
                    if c < max_inconclusive {
                        next[base + 1][0] += here[0] * inconclusive;
                        next[base + 1][1] += here[1] * inconclusive;
                    }
                }
            }
        }
        now = next;
    }
    now.chunks(width).map(|row| row.iter().fold([0.0; 2], |sum, x| [sum[0] + x[0], sum[1] + x[1]])).collect()
}

/// For each number of corrupted public samples: the chance of that number with at most `tau` wrong
/// public answers.
fn accept_publics(mix: &Mix, adversary: &Adversary, chance: &Chance) -> Vec<f64> {
    let (publics, tau) = (u64::from(mix.publics()), u64::from(mix.tau()));
    let fires = Chance::new(adversary.fires);
    (0..=publics)
        .map(|j| {
            let passes: f64 = (0..=j.min(tau))
                .map(|fired| {
                    fires.ln_mass(j, fired).exp() * crate::binomial::lower_tail(publics - fired, adversary.natural_error, tau - fired)
                })
                .sum();
            chance.ln_mass(publics, j).exp() * passes
        })
        .collect()
}
