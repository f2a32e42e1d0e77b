//! Drawing public samples from a pool, without replacement, and what to warn about.

use std::collections::BTreeSet;

use rand_core::CryptoRng;
use serde::{Deserialize, Serialize};

use crate::{MixError, batch::PublicSample, permutation::uniform_below};

/// A pool of public samples whose labels are known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pool {
    samples: Vec<PublicSample>,
}

/// Where the known label of a public sample comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum KnownFrom {
    /// Somebody looked at the image.
    GroundTruth,
    /// The owner of the model published what it answers.
    AnswerSheet,
    /// Somebody whom the client trusts ran the model.
    Certified,
    /// The model answered it in an earlier batch that was accepted.
    EarlierRuns,
}

/// The samples of a pool whose labels come from one place: those with ids of a range.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct PoolPart {
    /// Where from.
    pub known_from: KnownFrom,
    /// The first id.
    pub first: u32,
    /// The id after the last.
    pub end: u32,
}

/// Something about the choice of public samples that weakens what they prove.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "warning", rename_all = "kebab-case")]
#[non_exhaustive]
pub enum PoolWarning {
    /// The pool is so small beside the draw that a model which is good on the pool alone would
    /// pass.
    SmallPool {
        /// Samples in the pool.
        pool: u32,
        /// Samples drawn.
        drawn: u32,
    },
    /// Samples that earlier batches used were drawn again, because too few fresh ones were left.
    Reused {
        /// How many of the drawn ones were used before.
        reused: u32,
        /// Samples drawn.
        drawn: u32,
    },
}

impl std::fmt::Display for PoolWarning {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::SmallPool { pool, drawn } => write!(
                f,
                "{drawn} public samples were drawn from a pool of only {pool}: a server that knows the pool can fit a model to it, so use at least {} images",
                u64::from(*drawn) * SMALL_POOL_FACTOR
            ),
            Self::Reused { reused, drawn } => {
                write!(
                    f,
                    "{reused} of {drawn} public samples were used in an earlier batch: they say nothing new about the model's accuracy"
                )
            }
        }
    }
}

/// A pool with fewer than this many times the drawn samples is called small.
const SMALL_POOL_FACTOR: u64 = 4;

impl Pool {
    /// A pool of `samples`.
    ///
    /// # Errors
    /// [`MixError::Misuse`] if two samples share an id.
    pub fn new(samples: Vec<PublicSample>) -> Result<Self, MixError> {
        let ids: BTreeSet<u32> = samples.iter().map(|sample| sample.id).collect();
        if ids.len() != samples.len() {
            return Err(MixError::Misuse("two samples of the pool share an id"));
        }
        Ok(Self { samples })
    }

    /// The number of samples.
    #[must_use]
    pub fn len(&self) -> u32 {
        self.samples.len() as u32
    }

    /// Whether the pool holds no samples.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.samples.is_empty()
    }

    /// Draws `count` samples, uniformly and without replacement. Samples whose id is in `used` are
    /// drawn only after all others.
    ///
    /// # Errors
    /// [`MixError::PoolTooSmall`].
    pub fn draw(
        &self,
        count: u32,
        used: &BTreeSet<u32>,
        rng: &mut impl CryptoRng,
    ) -> Result<(Vec<PublicSample>, Vec<PoolWarning>), MixError> {
        if count > self.len() {
            return Err(MixError::PoolTooSmall { needed: count, available: self.len() });
        }
        let (mut fresh, mut spent): (Vec<PublicSample>, Vec<_>) =
            self.samples.iter().copied().partition(|sample| !used.contains(&sample.id));
        let mut drawn: Vec<PublicSample> = Vec::with_capacity(count as usize);
        for source in [&mut fresh, &mut spent] {
            while drawn.len() < count as usize && !source.is_empty() {
                drawn.push(source.swap_remove(uniform_below(source.len() as u32, rng) as usize));
            }
        }
        let mut warnings = Vec::new();
        if u64::from(self.len()) < SMALL_POOL_FACTOR * u64::from(count) {
            warnings.push(PoolWarning::SmallPool { pool: self.len(), drawn: count });
        }
        let reused = drawn.iter().filter(|sample| used.contains(&sample.id)).count() as u32;
        if reused > 0 {
            warnings.push(PoolWarning::Reused { reused, drawn: count });
        }
        Ok((drawn, warnings))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand_chacha::{ChaCha20Rng, rand_core::SeedableRng};

    fn pool(len: u32) -> Pool {
        Pool::new((0..len).map(|id| PublicSample { id, label: id % 10 }).collect()).unwrap()
    }

    #[test]
    fn draws_without_replacement_and_prefers_fresh_samples() {
        let mut rng = ChaCha20Rng::seed_from_u64(3);
        let used: BTreeSet<u32> = (0..35).collect();
        let (drawn, warnings) = pool(40).draw(8, &used, &mut rng).unwrap();
        let ids: BTreeSet<u32> = drawn.iter().map(|s| s.id).collect();
        assert_eq!(ids.len(), 8);
        assert!((35..40).all(|id| ids.contains(&id)), "all five fresh ones come first");
        assert_eq!(warnings, [PoolWarning::Reused { reused: 3, drawn: 8 }]);
        let (_, warnings) = pool(40).draw(11, &BTreeSet::new(), &mut rng).unwrap();
        assert_eq!(warnings, [PoolWarning::SmallPool { pool: 40, drawn: 11 }]);
        assert!(warnings[0].to_string().contains("at least 44"));
    }

    #[test]
    fn refuses_a_pool_that_is_too_small_or_ambiguous() {
        let mut rng = ChaCha20Rng::seed_from_u64(4);
        assert!(matches!(pool(5).draw(6, &BTreeSet::new(), &mut rng), Err(MixError::PoolTooSmall { needed: 6, available: 5 })));
        let twice = vec![PublicSample { id: 1, label: 0 }, PublicSample { id: 1, label: 0 }];
        assert!(Pool::new(twice).is_err());
    }

    #[test]
    fn every_sample_is_equally_likely() {
        let mut rng = ChaCha20Rng::seed_from_u64(5);
        let mut counts = [0u32; 12];
        for _ in 0..24_000 {
            for sample in pool(12).draw(3, &BTreeSet::new(), &mut rng).unwrap().0 {
                counts[sample.id as usize] += 1;
            }
        }
        // 6000 each, standard deviation sqrt(24000 * 1/4 * 3/4) = 67.
        assert!(counts.iter().all(|&c| c.abs_diff(6000) < 350), "{counts:?}");
    }
}
