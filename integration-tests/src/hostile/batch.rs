//! A mixed batch of the small network, and what its client makes of the answers.

use fusion_mix::batch::{BatchAnswers, Item, MixedBatch, PublicSample};
use fusion_mix::mix::Mix;
use fusion_mix::verify::{Verdict, verify};
use fusion_model::program::Program;
use fusion_nn::exec::{EncodedImage, LaneInput};
use rand::RngExt;
use rand_chacha::ChaCha20Rng;

use super::network::{CLASSES, image};
use super::problem::Problem;

/// What the client of a batch concludes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Judged {
    /// Accepted, and every answer that it gives is right.
    Right,
    /// Rejected: no answer is given.
    Rejected,
    /// Accepted with a wrong answer.
    Fooled,
}

/// Of a batch: what its client concludes, and how many of all labels are wrong, which only the
/// harness knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Judgement {
    pub(super) judged: Judged,
    pub(super) wrong_labels: usize,
}

/// Three queries in two copies among four public samples, of which one may be wrong.
pub(super) fn mix() -> Result<Mix, Problem> {
    Ok(Mix::new(3, 2, 4, 1, 1)?)
}

/// One batch, drawn anew; its images are of classes 1 to 3, so that label 0 is always wrong.
pub(super) struct Batch {
    mixed: MixedBatch,
    queries: Vec<usize>,
    /// By position.
    truth: Vec<usize>,
    images: Vec<EncodedImage>,
}

impl Batch {
    pub(super) fn draw(program: &Program, rng: &mut ChaCha20Rng) -> Result<Self, Problem> {
        let mix = mix()?;
        let mut classes = |n: u32| (0..n).map(|_| rng.random_range(1..CLASSES)).collect::<Vec<_>>();
        let (queries, publics) = (classes(mix.queries()), classes(mix.publics()));
        let pool = (0..).zip(&publics).map(|(id, &class)| PublicSample { id, label: class as u32 }).collect();
        let mixed = MixedBatch::assemble(mix, pool, rng)?;
        let class = |position| match mixed.item(position) {
            Item::Query { query } => queries[query as usize],
            Item::Public { id } => publics[id as usize],
        };
        let truth: Vec<usize> = (0..mix.samples()).map(class).collect();
        let images = truth.iter().map(|&class| image(program, class, rng)).collect::<Result<_, _>>()?;
        Ok(Self { mixed, queries, truth, images })
    }

    pub(super) fn input(&self, program: &Program) -> Result<LaneInput, Problem> {
        Ok(LaneInput::new(program, &self.images)?)
    }

    /// Verifies labels by position.
    pub(super) fn judge(&self, labels: &[u32]) -> Result<Judgement, Problem> {
        let mut sheet = BatchAnswers::new(&self.mixed, 0).of_classes(Some(CLASSES as u32));
        sheet.record(0..self.mixed.mix().samples(), labels)?;
        let verification = verify(&self.mixed, &sheet)?;
        let wrong_labels = labels.iter().zip(&self.truth).filter(|(label, truth)| **label as usize != **truth).count();
        let judgement = |judged| Judgement { judged, wrong_labels };
        let Some(answers) = verification.answers() else { return Ok(judgement(Judged::Rejected)) };
        if verification.verdict() != Verdict::Accepted {
            return Err(Problem::new("answers are given although the batch is not accepted"));
        }
        let wrong = answers.iter().any(|answer| answer.label.is_some_and(|label| label as usize != self.queries[answer.query as usize]));
        Ok(judgement(if wrong { Judged::Fooled } else { Judged::Right }))
    }
}
