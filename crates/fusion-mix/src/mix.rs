//! The mix: the five numbers that say what a batch holds and what the client tolerates in it. Read
//! this file first; the other modules compute with these numbers.
//!
//! A client has `R` *queries*. It runs each of them in `B` *copies* (the copies of one query are
//! its *group*), and `T` *public samples* whose labels it knows, all in a secret order. It accepts
//! the answers if at most `tau` public samples are answered wrongly and at most `max_inconclusive`
//! groups are *inconclusive*, that is, their copies disagree.

use crate::MixError;

/// The most samples of a mixed batch.
pub const MAX_SAMPLES: u64 = 1 << 22;

/// The most copies of a query.
pub const MAX_COPIES: u32 = 1024;

/// The most inconclusive groups that a plan may tolerate: beyond it the exact sum would take too
/// long.
pub const INCONCLUSIVE_LIMIT: u32 = 10_000;

/// The five numbers of a plan: how much is mixed and how much is tolerated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Mix {
    queries: u32,
    copies: u32,
    publics: u32,
    tau: u32,
    max_inconclusive: u32,
}

impl Mix {
    /// `R = queries` groups of `B = copies`, with `T = publics` public samples, of which `tau` may
    /// be wrong, and `max_inconclusive` inconclusive groups allowed.
    ///
    /// # Errors
    /// [`MixError::OutOfRange`] if there is no query or copy, if `tau > T` or `max_inconclusive >
    /// R`, or if the batch is too large to plan exactly.
    pub fn new(queries: u32, copies: u32, publics: u32, tau: u32, max_inconclusive: u32) -> Result<Self, MixError> {
        let out = |what, range, value: u64| Err(MixError::OutOfRange { what, range, value: value.to_string() });
        if queries == 0 {
            return out("the number of queries R", "at least 1", 0);
        }
        if copies == 0 || copies > MAX_COPIES {
            return out("the number of copies B", "between 1 and 1024", u64::from(copies));
        }
        let samples = u64::from(queries) * u64::from(copies) + u64::from(publics);
        if samples > MAX_SAMPLES {
            return out("the number of samples R*B + T", "at most 2^22", samples);
        }
        if tau > publics {
            return out("tau", "at most T", u64::from(tau));
        }
        if max_inconclusive > queries {
            return out("max_inconclusive", "at most R", u64::from(max_inconclusive));
        }
        if max_inconclusive > INCONCLUSIVE_LIMIT {
            return out("max_inconclusive", "at most 10,000", u64::from(max_inconclusive));
        }
        Ok(Self { queries, copies, publics, tau, max_inconclusive })
    }

    /// `R`, the number of queries.
    #[must_use]
    pub fn queries(&self) -> u32 {
        self.queries
    }

    /// `B`, the copies of each query.
    #[must_use]
    pub fn copies(&self) -> u32 {
        self.copies
    }

    /// `T`, the number of public samples.
    #[must_use]
    pub fn publics(&self) -> u32 {
        self.publics
    }

    /// `tau`, how many public answers may be wrong in an accepted batch.
    #[must_use]
    pub fn tau(&self) -> u32 {
        self.tau
    }

    /// `max_inconclusive`, how many groups may be inconclusive in an accepted batch.
    #[must_use]
    pub fn max_inconclusive(&self) -> u32 {
        self.max_inconclusive
    }

    /// `N = R B + T`.
    #[must_use]
    pub fn samples(&self) -> u32 {
        // Mix::new bounds the sum by 2^22.
        self.queries * self.copies + self.publics
    }

    /// Samples computed per query answered: `B + T / R`.
    #[must_use]
    pub fn overhead(&self) -> f64 {
        f64::from(self.copies) + f64::from(self.publics) / f64::from(self.queries)
    }

    /// The most groups that can be corrupted in part in a batch that the server wins: some other
    /// group is corrupted in full, and a single copy cannot be corrupted in part.
    pub(crate) fn partial_limit(&self) -> u64 {
        if self.copies == 1 { 0 } else { u64::from(self.max_inconclusive.min(self.queries - 1)) }
    }
}
