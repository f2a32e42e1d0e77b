//! The verdict on a batch, its evidence, and the answers, which a rejected batch keeps to itself.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{
    MixError,
    batch::{BatchAnswers, Label, MixedBatch, Slot},
    label_shift::LabelShift,
};

/// What the client concludes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Verdict {
    /// At most `tau` public answers are wrong and at most `max_inconclusive` groups inconclusive.
    #[serde(rename = "accepted")]
    Accepted,
    /// More than `tau` public answers are wrong (whatever else is).
    #[serde(rename = "rejected(accuracy)")]
    RejectedAccuracy,
    /// More than `max_inconclusive` groups are inconclusive.
    #[serde(rename = "rejected(inconsistent copies)")]
    RejectedInconsistentCopies,
    /// Answers are missing. Nothing was compared, and nothing is said about cheating.
    #[serde(rename = "incomplete")]
    Incomplete,
}

impl Verdict {
    /// Whether the server is rejected.
    #[must_use]
    pub fn is_rejected(self) -> bool {
        matches!(self, Self::RejectedAccuracy | Self::RejectedInconsistentCopies)
    }
}

impl std::fmt::Display for Verdict {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Accepted => "accepted",
            Self::RejectedAccuracy => "rejected(accuracy)",
            Self::RejectedInconsistentCopies => "rejected(inconsistent copies)",
            Self::Incomplete => "incomplete",
        })
    }
}

/// The answer to one query.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Answer {
    /// The query's index.
    pub query: u32,
    /// The label that all copies gave; `None` if they disagree or the model has no such class.
    pub label: Option<Label>,
    /// How many copies gave the most frequent label.
    pub agreeing: u32,
}

/// A query whose copies disagree, or agree on what is no class. It names no label (the batch may be
/// rejected) and tells nothing about positions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Disagreement {
    /// The query's index.
    pub query: u32,
    /// How many copies gave the same label, for each label given, most frequent first.
    pub split: Vec<u32>,
}

/// A public sample that was answered wrongly.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct WrongPublic {
    /// The sample's id in its pool.
    pub id: u32,
    /// Its known label.
    pub expected: Label,
    /// What the server's computation gave.
    pub answered: Label,
}

/// Why the verdict is what it is.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Evidence {
    /// Public samples that were compared.
    pub publics: u32,
    /// Those answered wrongly, by id.
    pub wrong_publics: Vec<WrongPublic>,
    /// Queries whose copies disagree.
    pub disagreements: Vec<Disagreement>,
    /// Answers that name no class of the model: wrong, whatever they answer.
    #[serde(default)]
    pub beyond_classes: u32,
    /// Positions without an answer.
    pub missing: u32,
    /// Lane runs that failed and were repeated.
    pub failed_lane_runs: u32,
    /// How far the labels given to queries and to public samples lie apart; `None` if there are too
    /// few to say.
    #[serde(alias = "drift")]
    pub label_shift: Option<LabelShift>,
    /// The public samples' outcome by id: right or wrong. An audit log accumulates these.
    #[serde(skip)]
    pub public_outcomes: BTreeMap<u32, bool>,
}

/// Consent to read answers of a batch that was rejected: they may be wrong on purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RevealRejected;

/// The verdict, its evidence, and the answers.
#[derive(Clone, PartialEq)]
pub struct Verification {
    verdict: Verdict,
    evidence: Evidence,
    answers: Vec<Answer>,
}

/// Without the answers: they are private, and those of a rejected batch take consent to be read.
impl std::fmt::Debug for Verification {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { verdict, evidence, answers } = self;
        let mut out = f.debug_struct("Verification");
        out.field("verdict", verdict).field("evidence", evidence).field("answers", &answers.len()).finish()
    }
}

impl Verification {
    /// The verdict.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        self.verdict
    }

    /// The evidence.
    #[must_use]
    pub fn evidence(&self) -> &Evidence {
        &self.evidence
    }

    /// The answers, by query, if the batch was accepted.
    #[must_use]
    pub fn answers(&self) -> Option<&[Answer]> {
        (self.verdict == Verdict::Accepted).then_some(&self.answers)
    }

    /// The answers whatever the verdict is; none if the batch is incomplete. Show them only beside
    /// the verdict.
    #[must_use]
    pub fn answers_despite_rejection(&self, _consent: RevealRejected) -> &[Answer] {
        &self.answers
    }
}

/// Compares the answers with what is known. Call it once, after the last lane is done.
///
/// If any answer is missing, nothing is compared and the verdict is [`Verdict::Incomplete`].
///
/// # Errors
/// [`MixError::Misuse`] if `sheet` is not of this batch's size.
pub fn verify(batch: &MixedBatch, sheet: &BatchAnswers) -> Result<Verification, MixError> {
    let mix = batch.mix();
    let mut evidence = Evidence { missing: sheet.missing(), failed_lane_runs: sheet.failures(), ..Evidence::default() };
    let Some(labels) = sheet.complete() else {
        return Ok(Verification { verdict: Verdict::Incomplete, evidence, answers: Vec::new() });
    };
    if labels.len() != mix.samples() as usize {
        return Err(MixError::Misuse("the answers belong to another batch"));
    }

    let (mut query_labels, mut public_labels) = (BTreeMap::new(), BTreeMap::new());
    let mut groups = vec![vec![0; mix.copies() as usize]; mix.queries() as usize];
    for (position, &label) in (0u32..).zip(&labels) {
        evidence.beyond_classes += u32::from(!sheet.is_class(label));
        match batch.locate(position) {
            Slot::Copy { query, copy } => groups[query as usize][copy as usize] = label,
            Slot::Public(index) => {
                let sample = batch.publics()[index];
                *public_labels.entry(label).or_default() += 1;
                let right = label == sample.label && sheet.is_class(label);
                evidence.public_outcomes.insert(sample.id, right);
                if !right {
                    evidence.wrong_publics.push(WrongPublic { id: sample.id, expected: sample.label, answered: label });
                }
            }
        }
    }
    evidence.publics = mix.publics();
    // By id, not by position: the order of finding would betray the permutation.
    evidence.wrong_publics.sort_by_key(|wrong| wrong.id);

    let mut answers = Vec::with_capacity(groups.len());
    for (query, group) in (0u32..).zip(&groups) {
        let mut votes = BTreeMap::new();
        for &label in group {
            *votes.entry(label).or_insert(0) += 1;
        }
        let agreeing = votes.values().copied().max().unwrap_or(0);
        let label = (votes.len() == 1 && sheet.is_class(group[0])).then_some(group[0]);
        match label {
            Some(label) => *query_labels.entry(label).or_default() += 1,
            None => {
                let mut split: Vec<u32> = votes.into_values().collect();
                split.sort_unstable_by(|a, b| b.cmp(a));
                evidence.disagreements.push(Disagreement { query, split });
            }
        }
        answers.push(Answer { query, label, agreeing });
    }

    evidence.label_shift = LabelShift::between(&query_labels, &public_labels);
    let verdict = if evidence.wrong_publics.len() > mix.tau() as usize {
        Verdict::RejectedAccuracy
    } else if evidence.disagreements.len() > mix.max_inconclusive() as usize {
        Verdict::RejectedInconsistentCopies
    } else {
        Verdict::Accepted
    };
    Ok(Verification { verdict, evidence, answers })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{batch::PublicSample, mix::Mix};
    use rand_chacha::{ChaCha20Rng, rand_core::SeedableRng};

    const PUBLICS: [PublicSample; 4] = [
        PublicSample { id: 7, label: 1 },
        PublicSample { id: 5, label: 2 },
        PublicSample { id: 3, label: 1 },
        PublicSample { id: 9, label: 0 },
    ];

    /// Six queries of three copies; query `q` is answered `q`, public samples rightly, except where
    /// `spoil` (item -> label) says otherwise.
    fn run(tau: u32, max_inconclusive: u32, spoil: &[(u32, Label)]) -> Verification {
        let mix = Mix::new(6, 3, 4, tau, max_inconclusive).unwrap();
        let batch = MixedBatch::assemble(mix, PUBLICS.to_vec(), &mut ChaCha20Rng::seed_from_u64(11)).unwrap();
        let labels: Vec<Label> = batch
            .order()
            .items()
            .iter()
            .map(|&item| {
                let honest = if item < 18 { item / 3 } else { PUBLICS[item as usize - 18].label };
                spoil.iter().find(|(at, _)| *at == item).map_or(honest, |&(_, label)| label)
            })
            .collect();
        let mut sheet = BatchAnswers::new(&batch, 0);
        for slice in batch.lane_slices(3) {
            sheet.record(slice.clone(), &labels[slice.start as usize..slice.end as usize]).unwrap();
        }
        verify(&batch, &sheet).unwrap()
    }

    #[test]
    fn accepts_an_honest_server() {
        let found = run(0, 0, &[]);
        assert_eq!(found.verdict(), Verdict::Accepted);
        let answers = found.answers().unwrap();
        assert_eq!(answers.len(), 6);
        assert!(answers.iter().all(|a| a.label == Some(a.query) && a.agreeing == 3));
    }

    #[test]
    fn rejects_on_public_answers_and_withholds() {
        let spoil = [(18, 5), (20, 0)];
        assert_eq!(run(2, 0, &spoil).verdict(), Verdict::Accepted, "two wrong are tolerated");
        let found = run(1, 0, &spoil);
        assert_eq!(found.verdict(), Verdict::RejectedAccuracy);
        assert_eq!(found.answers(), None);
        assert_eq!(found.answers_despite_rejection(RevealRejected).len(), 6);
        let ids: Vec<u32> = found.evidence().wrong_publics.iter().map(|w| w.id).collect();
        assert_eq!(ids, [3, 7], "by id");
    }

    #[test]
    fn rejects_on_disagreement() {
        let spoil = [(4, 9)];
        let tolerated = run(0, 1, &spoil);
        assert_eq!(tolerated.verdict(), Verdict::Accepted);
        assert_eq!(tolerated.answers().unwrap()[1], Answer { query: 1, label: None, agreeing: 2 });
        let found = run(0, 0, &spoil);
        assert_eq!(found.verdict(), Verdict::RejectedInconsistentCopies);
        assert_eq!(found.evidence().disagreements, [Disagreement { query: 1, split: vec![2, 1] }]);
    }

    #[test]
    fn a_group_spoiled_whole_among_honest_publics_passes() {
        let found = run(0, 0, &[(3, 9), (4, 9), (5, 9)]);
        assert_eq!(found.verdict(), Verdict::Accepted, "this is what the 2^-lambda is about");
        assert_eq!(found.answers().unwrap()[1].label, Some(9));
    }

    #[test]
    fn a_label_beyond_the_classes_is_a_wrong_answer() {
        let mix = Mix::new(6, 3, 4, 1, 1).unwrap();
        // One public sample is labelled beyond the classes, too: an answer that agrees stays wrong.
        let publics = PUBLICS.map(|sample| if sample.id == 9 { PublicSample { label: 70, ..sample } } else { sample });
        let batch = MixedBatch::assemble(mix, publics.to_vec(), &mut ChaCha20Rng::seed_from_u64(13)).unwrap();
        let honest = |item: u32| if item < 18 { item / 3 } else { publics[item as usize - 18].label };
        let labels: Vec<Label> = batch.order().items().iter().map(|&item| if item / 3 == 4 { 80 } else { honest(item) }).collect();
        for (classes, verdict, label) in [(None, Verdict::Accepted, Some(80)), (Some(70), Verdict::Accepted, None)] {
            let mut sheet = BatchAnswers::new(&batch, 0).of_classes(classes);
            sheet.record(0..22, &labels).unwrap();
            let found = verify(&batch, &sheet).unwrap();
            assert_eq!(found.verdict(), verdict);
            assert_eq!(found.answers().unwrap()[4].label, label);
            let evidence = found.evidence();
            let counts = (evidence.wrong_publics.len(), evidence.disagreements.len(), evidence.beyond_classes);
            assert_eq!(counts, if classes.is_some() { (1, 1, 4) } else { (0, 0, 0) });
        }
    }

    #[test]
    fn compares_nothing_before_all_is_in() {
        let mix = Mix::new(6, 3, 4, 0, 0).unwrap();
        let batch = MixedBatch::assemble(mix, PUBLICS.to_vec(), &mut ChaCha20Rng::seed_from_u64(12)).unwrap();
        let mut sheet = BatchAnswers::new(&batch, 0);
        sheet.record(0..21, &[99; 21]).unwrap();
        let found = verify(&batch, &sheet).unwrap();
        assert_eq!(found.verdict(), Verdict::Incomplete);
        assert!(!found.verdict().is_rejected());
        assert_eq!((found.evidence().missing, found.evidence().publics), (1, 0));
        assert!(found.answers().is_none() && found.answers_despite_rejection(RevealRejected).is_empty());
    }

    #[test]
    fn verdicts_are_spelt_as_documented() {
        for verdict in [Verdict::Accepted, Verdict::RejectedAccuracy, Verdict::RejectedInconsistentCopies, Verdict::Incomplete] {
            assert_eq!(serde_json::to_string(&verdict).unwrap(), format!("\"{verdict}\""));
        }
    }
}
