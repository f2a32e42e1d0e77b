//! The mixed batch: what stands at which position, which lane runs what, and the answers as they
//! come in.

use std::ops::Range;

use rand_core::CryptoRng;

use crate::{MixError, mix::Mix, permutation::SecretPermutation};

/// A class index, as the protocol's argmax opens it.
pub type Label = u32;

/// A sample whose label is known. The id names it within its pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PublicSample {
    /// The sample's index in its pool.
    pub id: u32,
    /// Its known label.
    pub label: Label,
}

/// What stands at a position.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Item {
    /// A copy of a query.
    Query {
        /// The query's index, below `R`.
        query: u32,
    },
    /// A public sample.
    Public {
        /// The sample's id in its pool.
        id: u32,
    },
}

/// `R` queries in `B` copies each and `T` public samples, in secret order.
///
/// Positions are `0..N`; they are what the server sees. Items `0..RB` are copies (`item / B` is the
/// query), the rest public samples.
#[derive(Debug)]
pub struct MixedBatch {
    mix: Mix,
    publics: Vec<PublicSample>,
    order: SecretPermutation,
}

impl MixedBatch {
    /// Mixes the queries of `mix` with `publics` in a fresh secret order from `rng`.
    ///
    /// # Errors
    /// [`MixError::Misuse`] unless there are exactly `T` public samples with distinct ids.
    pub fn assemble(mix: Mix, publics: Vec<PublicSample>, rng: &mut impl CryptoRng) -> Result<Self, MixError> {
        let order = SecretPermutation::sample(mix.samples(), rng);
        Self::from_parts(mix, publics, order)
    }

    pub(crate) fn from_parts(mix: Mix, publics: Vec<PublicSample>, order: SecretPermutation) -> Result<Self, MixError> {
        if publics.len() != mix.publics() as usize || order.len() != mix.samples() {
            return Err(MixError::Misuse("a mixed batch needs exactly T public samples and N positions"));
        }
        let mut ids: Vec<u32> = publics.iter().map(|sample| sample.id).collect();
        ids.sort_unstable();
        if ids.windows(2).any(|pair| pair[0] == pair[1]) {
            return Err(MixError::Misuse("a public sample was drawn twice: it would count as two pieces of evidence"));
        }
        Ok(Self { mix, publics, order })
    }

    /// The plan's numbers.
    #[must_use]
    pub fn mix(&self) -> &Mix {
        &self.mix
    }

    /// The public samples, in no secret order.
    #[must_use]
    pub fn publics(&self) -> &[PublicSample] {
        &self.publics
    }

    pub(crate) fn order(&self) -> &SecretPermutation {
        &self.order
    }

    /// What stands at `position`. For the client's own use: whoever else learns it can cheat
    /// unnoticed.
    ///
    /// # Panics
    /// If `position >= N`.
    #[must_use]
    pub fn item(&self, position: u32) -> Item {
        match self.locate(position) {
            Slot::Copy { query, .. } => Item::Query { query },
            Slot::Public(index) => Item::Public { id: self.publics[index].id },
        }
    }

    /// Splits `0..N` into `lanes` slices whose lengths differ by at most one. Some are empty if
    /// there are more lanes than positions.
    #[must_use]
    pub fn lane_slices(&self, lanes: u32) -> Vec<Range<u32>> {
        let total = u64::from(self.mix.samples());
        let cut = |lane: u32| (total * u64::from(lane) / u64::from(lanes.max(1))) as u32;
        (0..lanes.max(1)).map(|lane| cut(lane)..cut(lane + 1)).collect()
    }

    pub(crate) fn locate(&self, position: u32) -> Slot {
        let item = self.order.item(position);
        let copied = self.mix.queries() * self.mix.copies();
        if item < copied {
            Slot::Copy { query: item / self.mix.copies(), copy: item % self.mix.copies() }
        } else {
            Slot::Public((item - copied) as usize)
        }
    }
}

/// Where an answer belongs.
pub(crate) enum Slot {
    Copy { query: u32, copy: u32 },
    Public(usize),
}

/// The answers of a batch by position, filled slice by slice. Nothing is compared before it is
/// closed.
///
/// A lane that failed is run again with the same positions and fresh randomness; answers of a
/// failed run are never handed in.
pub struct BatchAnswers {
    labels: Vec<Option<Label>>,
    failed: u32,
    allowed_failures: u32,
    /// The number of classes, if it is known.
    classes: Option<u32>,
}

impl BatchAnswers {
    /// An empty sheet for `batch`, which gives up after more than `allowed_failures` failed lane
    /// runs.
    #[must_use]
    pub fn new(batch: &MixedBatch, allowed_failures: u32) -> Self {
        Self { labels: vec![None; batch.mix.samples() as usize], failed: 0, allowed_failures, classes: None }
    }

    /// Takes labels from `classes` on for wrong: no honest run gives them.
    #[must_use]
    pub fn of_classes(self, classes: Option<u32>) -> Self {
        Self { classes, ..self }
    }

    /// A sheet for `batch` that goes on where an interrupted run stopped: `failed` of its lane runs
    /// failed before.
    ///
    /// # Errors
    /// [`MixError::FailuresUsedUp`] if those were more than `allowed_failures`: interrupting a run
    /// must not forgive them.
    pub fn resumed(batch: &MixedBatch, allowed_failures: u32, failed: u32) -> Result<Self, MixError> {
        if failed > allowed_failures {
            return Err(MixError::FailuresUsedUp { failed, allowed: allowed_failures });
        }
        Ok(Self { failed, ..Self::new(batch, allowed_failures) })
    }

    /// Enters the answers of a lane that finished its slice.
    ///
    /// # Errors
    /// [`MixError::Misuse`] if the number of labels is not the slice's, the slice lies outside the
    /// batch, or a position is answered already; the sheet is unchanged then.
    pub fn record(&mut self, slice: Range<u32>, labels: &[Label]) -> Result<(), MixError> {
        let cells = self
            .labels
            .get_mut(slice.start as usize..slice.end as usize)
            .filter(|cells| cells.len() == labels.len())
            .ok_or(MixError::Misuse("a lane's answers do not fit its slice"))?;
        if cells.iter().any(Option::is_some) {
            return Err(MixError::Misuse("a position was answered twice"));
        }
        for (cell, label) in cells.iter_mut().zip(labels) {
            *cell = Some(*label);
        }
        Ok(())
    }

    /// Notes that a lane run failed and its answers were discarded unread.
    ///
    /// # Errors
    /// [`MixError::ServerUnavailable`] once more runs failed than are allowed.
    pub fn lane_failed(&mut self) -> Result<(), MixError> {
        self.failed = self.failed.saturating_add(1);
        if self.failed > self.allowed_failures {
            return Err(MixError::ServerUnavailable { failed: self.failed, allowed: self.allowed_failures });
        }
        Ok(())
    }

    /// How many lane runs failed.
    #[must_use]
    pub fn failures(&self) -> u32 {
        self.failed
    }

    /// How many positions have no answer yet.
    #[must_use]
    pub fn missing(&self) -> u32 {
        self.labels.iter().filter(|label| label.is_none()).count() as u32
    }

    /// Whether the model has a class of this label.
    pub(crate) fn is_class(&self, label: Label) -> bool {
        self.classes.is_none_or(|classes| label < classes)
    }

    /// All answers by position, if there are all.
    pub(crate) fn complete(&self) -> Option<Vec<Label>> {
        self.labels.iter().copied().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand_chacha::{ChaCha20Rng, rand_core::SeedableRng};

    fn batch() -> MixedBatch {
        let mix = Mix::new(3, 2, 4, 0, 0).unwrap();
        let publics = (0..4).map(|i| PublicSample { id: 100 + i, label: i }).collect();
        MixedBatch::assemble(mix, publics, &mut ChaCha20Rng::seed_from_u64(8)).unwrap()
    }

    #[test]
    fn every_item_stands_somewhere() {
        let batch = batch();
        let items: Vec<Item> = (0..10).map(|position| batch.item(position)).collect();
        for query in 0..3 {
            assert_eq!(items.iter().filter(|&&item| item == Item::Query { query }).count(), 2);
        }
        for id in 100..104 {
            assert_eq!(items.iter().filter(|&&item| item == Item::Public { id }).count(), 1);
        }
    }

    #[test]
    fn slices_cover_the_batch_evenly() {
        for lanes in [0, 1, 3, 4, 10, 16] {
            let slices = batch().lane_slices(lanes);
            assert_eq!(slices.len(), lanes.max(1) as usize);
            assert_eq!((slices[0].start, slices[slices.len() - 1].end), (0, 10));
            assert!(slices.windows(2).all(|pair| pair[0].end == pair[1].start));
            let lengths: Vec<usize> = slices.iter().map(|slice| slice.len()).collect();
            assert!(lengths.iter().max().unwrap() - lengths.iter().min().unwrap() <= 1);
        }
    }

    #[test]
    fn a_sheet_takes_each_position_once() {
        let mut sheet = BatchAnswers::new(&batch(), 1);
        sheet.record(0..4, &[0; 4]).unwrap();
        assert!(sheet.record(3..5, &[0; 2]).is_err(), "position 3 is answered");
        assert!(sheet.record(4..6, &[0; 3]).is_err(), "three labels for two positions");
        assert!(sheet.record(9..11, &[0; 2]).is_err(), "position 10 does not exist");
        #[expect(clippy::reversed_empty_ranges, reason = "a caller's mistake must not panic")]
        let reversed = sheet.record(6..4, &[]);
        assert!(reversed.is_err());
        assert_eq!(sheet.missing(), 6);
        assert_eq!(sheet.complete(), None);
        sheet.lane_failed().unwrap();
        assert!(matches!(sheet.lane_failed(), Err(MixError::ServerUnavailable { failed: 2, allowed: 1 })));
        sheet.record(4..10, &[1; 6]).unwrap();
        assert_eq!(sheet.complete(), Some(vec![0, 0, 0, 0, 1, 1, 1, 1, 1, 1]));
    }

    #[test]
    fn a_resumed_sheet_has_no_new_failures_to_spend() {
        let mut sheet = BatchAnswers::resumed(&batch(), 3, 2).unwrap();
        assert_eq!(sheet.failures(), 2);
        sheet.lane_failed().unwrap();
        assert!(matches!(sheet.lane_failed(), Err(MixError::ServerUnavailable { failed: 4, allowed: 3 })));
        // Nothing is left to spend, but nothing is overdrawn either: it may go on as long as no
        // lane fails.
        assert_eq!(BatchAnswers::resumed(&batch(), 3, 3).unwrap().failures(), 3);
        let refused = BatchAnswers::resumed(&batch(), 3, 4).err().unwrap();
        assert!(matches!(refused, MixError::FailuresUsedUp { failed: 4, allowed: 3 }));
        assert!(refused.to_string().contains("4 lane runs failed") && refused.to_string().contains("new run"), "{refused}");
    }

    #[test]
    fn refuses_wrong_public_samples() {
        let mix = Mix::new(3, 2, 2, 0, 0).unwrap();
        let mut rng = ChaCha20Rng::seed_from_u64(9);
        let one = PublicSample { id: 1, label: 0 };
        assert!(MixedBatch::assemble(mix, vec![one], &mut rng).is_err());
        assert!(MixedBatch::assemble(mix, vec![one, one], &mut rng).is_err());
    }
}
