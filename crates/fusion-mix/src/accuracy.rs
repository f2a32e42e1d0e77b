//! The accuracy test that the public samples of one batch make: what is claimed, what must be
//! noticed, and with which error rates.
//!
//! An answer to a public sample is *wrong* if it differs from the sample's known label. Where that
//! label comes from decides how many wrong answers an honest server gives, and so how many (`tau`)
//! must be tolerated.

use serde::{Deserialize, Serialize};

use crate::{
    MixError,
    binomial::{lower_tail, upper_tail},
};

/// What the known labels of the public samples are, and what is claimed about them.
///
/// Both kinds make the same binomial test. An honest server answers each sample wrongly with chance
/// `honest_error`; a function that must be noticed does so with chance at least `1 - detect_below`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum PublicLabels {
    /// The labels are the truth (human annotation). An honest model errs on a fraction of them,
    /// which `tau` must tolerate.
    GroundTruth {
        /// The accuracy `p0` that the server claims for its model.
        claimed_accuracy: f64,
        /// The accuracy `p1 < p0` below which a model is to be noticed, if the batch is to test
        /// that.
        detect_below: Option<f64>,
    },
    /// The labels are certified outputs of the advertised model itself, so an honest server errs
    /// only where rounding flips a near tie.
    Certified {
        /// The chance that an honest run differs from a certified label.
        mismatch: f64,
        /// The rate of agreement with the advertised model below which a function is to be noticed,
        /// if the batch is to test that.
        detect_below: Option<f64>,
    },
}

impl PublicLabels {
    /// Checks that all rates are probabilities and that `detect_below` lies below what an honest
    /// server reaches.
    ///
    /// # Errors
    /// [`MixError::OutOfRange`].
    pub fn validate(&self) -> Result<(), MixError> {
        let honest = 1.0 - self.honest_error();
        if !(0.0..=1.0).contains(&honest) {
            let what = match self {
                Self::GroundTruth { .. } => "the claimed accuracy",
                Self::Certified { .. } => "the mismatch rate of certified labels",
            };
            let value = match *self {
                Self::GroundTruth { claimed_accuracy, .. } => claimed_accuracy,
                Self::Certified { mismatch, .. } => mismatch,
            };
            return Err(MixError::OutOfRange { what, range: "between 0 and 1", value: value.to_string() });
        }
        match self.detect_below() {
            Some(p1) if !(p1 >= 0.0 && p1 < honest) => {
                Err(MixError::OutOfRange { what: "detect-below", range: "at least 0 and less than what is claimed", value: p1.to_string() })
            }
            _ => Ok(()),
        }
    }

    /// The chance that an honest server answers one public sample wrongly.
    #[must_use]
    pub fn honest_error(&self) -> f64 {
        match *self {
            Self::GroundTruth { claimed_accuracy, .. } => 1.0 - claimed_accuracy,
            Self::Certified { mismatch, .. } => mismatch,
        }
    }

    /// `p1`, the rate of right answers below which a function is to be noticed.
    #[must_use]
    pub fn detect_below(&self) -> Option<f64> {
        match *self {
            Self::GroundTruth { detect_below, .. } | Self::Certified { detect_below, .. } => detect_below,
        }
    }

    /// The chance that an honest server gives more than `tau` wrong answers to `publics` samples
    /// drawn from the distribution that the claim is about.
    #[must_use]
    pub fn false_reject(&self, publics: u32, tau: u32) -> f64 {
        upper_tail(publics.into(), self.honest_error().clamp(0.0, 1.0), tau.into())
    }

    /// The chance that a function that is right with chance exactly `detect_below` gives at most
    /// `tau` wrong answers; a worse one passes less often.
    #[must_use]
    pub fn false_accept(&self, publics: u32, tau: u32) -> Option<f64> {
        self.detect_below().map(|p1| lower_tail(publics.into(), (1.0 - p1).clamp(0.0, 1.0), tau.into()))
    }

    /// The least `tau` with `false_reject <= alpha`. It does not fall as `publics` grows.
    #[must_use]
    pub fn least_tau(&self, publics: u32, alpha: f64) -> u32 {
        least_tolerance(publics, self.honest_error().clamp(0.0, 1.0), alpha)
    }
}

/// The least `c` with `P[Bin(trials, p) > c] <= alpha`.
pub(crate) fn least_tolerance(trials: u32, p: f64, alpha: f64) -> u32 {
    let (mut low, mut high) = (0, trials);
    while low < high {
        let middle = low + (high - low) / 2;
        if upper_tail(trials.into(), p, middle.into()) <= alpha { high = middle } else { low = middle + 1 }
    }
    low
}

/// An accuracy test on its own: the least `T`, and its `tau`, with false-reject at most `alpha` and
/// false-accept at most `beta`.
///
/// Returns `None` if more than `limit` samples are needed. Without a `detect_below` there is
/// nothing to notice, and `T = 0` suffices.
///
/// ```
/// use fusion_mix::accuracy::{PublicLabels, design_test};
/// let labels = PublicLabels::GroundTruth { claimed_accuracy: 0.747, detect_below: Some(0.60) };
/// let (publics, tau) = design_test(&labels, 0.01, 0.01, 10_000).unwrap();
/// assert!(labels.false_reject(publics, tau) <= 0.01);
/// assert!(labels.false_accept(publics, tau).unwrap() <= 0.01);
/// ```
#[must_use]
pub fn design_test(labels: &PublicLabels, alpha: f64, beta: f64, limit: u32) -> Option<(u32, u32)> {
    // tau(T) does not fall with T, and for a fixed tau the false-accept falls with T: climb to the
    // least fixed point.
    let mut publics = 0;
    loop {
        let tau = labels.least_tau(publics, alpha);
        let enough = |t: u32| labels.false_accept(t, tau).is_none_or(|chance| chance <= beta);
        let next = least_where(publics, limit, enough)?;
        if next == publics {
            return Some((publics, tau));
        }
        publics = next;
    }
}

/// The least `x` of `from..=limit` for which `holds`, which must stay true from there on. Found by
/// doubling steps, then bisection.
fn least_where(from: u32, limit: u32, holds: impl Fn(u32) -> bool) -> Option<u32> {
    if from > limit {
        return None;
    }
    let (mut low, mut high, mut step) = (from, from, 1u32);
    while !holds(high) {
        if high == limit {
            return None;
        }
        low = high + 1;
        high = high.saturating_add(step).min(limit);
        step = step.saturating_mul(2);
    }
    while low < high {
        let middle = low + (high - low) / 2;
        if holds(middle) { high = middle } else { low = middle + 1 }
    }
    Some(high)
}

/// How often honest copies of one query disagree.
///
/// Two honest runs on one image draw different random shares and noise, so their roundings differ,
/// and a near tie may get another label.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct FlipRate(f64);

impl FlipRate {
    /// Copies never disagree; then one inconclusive group is already evidence of cheating.
    pub const ZERO: Self = Self(0.0);

    /// `rate` is the chance that one copy's label differs from the usual one of its image, as
    /// measured with the twin on public images.
    ///
    /// # Errors
    /// [`MixError::OutOfRange`] unless `0 <= rate <= 1`.
    pub fn new(rate: f64) -> Result<Self, MixError> {
        if (0.0..=1.0).contains(&rate) {
            return Ok(Self(rate));
        }
        Err(MixError::OutOfRange { what: "the flip rate", range: "between 0 and 1", value: rate.to_string() })
    }

    /// The rate.
    #[must_use]
    pub fn rate(self) -> f64 {
        self.0
    }

    /// An upper bound on the chance that a group of `copies` is inconclusive: the union bound, so
    /// copies of one image may depend on each other.
    #[must_use]
    pub fn inconclusive(self, copies: u32) -> f64 {
        if copies == 1 { 0.0 } else { (self.0 * f64::from(copies)).min(1.0) }
    }

    /// An upper bound (see [`Self::inconclusive`]) on the chance that more than `max_inconclusive`
    /// of `queries` groups are inconclusive although the server is honest.
    #[must_use]
    pub fn false_reject(self, queries: u32, copies: u32, max_inconclusive: u32) -> f64 {
        upper_tail(queries.into(), self.inconclusive(copies), max_inconclusive.into())
    }

    /// The least `max_inconclusive` with `false_reject <= alpha`. It does not fall as `copies`
    /// grows.
    #[must_use]
    pub fn least_max_inconclusive(self, queries: u32, copies: u32, alpha: f64) -> u32 {
        least_tolerance(queries, self.inconclusive(copies), alpha)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LABELS: PublicLabels = PublicLabels::GroundTruth { claimed_accuracy: 0.9, detect_below: Some(0.7) };

    #[test]
    fn least_tolerances_are_least() {
        for publics in [0, 1, 10, 100, 1000] {
            for alpha in [0.1, 1e-3, 1e-9] {
                let tau = LABELS.least_tau(publics, alpha);
                assert!(LABELS.false_reject(publics, tau) <= alpha);
                assert!(tau == 0 || LABELS.false_reject(publics, tau - 1) > alpha);
            }
        }
        let flips = FlipRate::new(0.01).unwrap();
        let max_inconclusive = flips.least_max_inconclusive(64, 5, 1e-3);
        assert!(flips.false_reject(64, 5, max_inconclusive) <= 1e-3 && flips.false_reject(64, 5, max_inconclusive - 1) > 1e-3);
        assert_eq!(FlipRate::ZERO.least_max_inconclusive(64, 5, 0.0), 0);
        assert_eq!(flips.least_max_inconclusive(64, 1, 1e-9), 0, "a single copy cannot disagree");
    }

    #[test]
    fn designed_test_is_the_least_one() {
        let (publics, tau) = design_test(&LABELS, 0.01, 0.01, 10_000).unwrap();
        assert!(LABELS.false_accept(publics, tau).unwrap() <= 0.01);
        for fewer in 0..publics {
            let tau = LABELS.least_tau(fewer, 0.01);
            assert!(LABELS.false_accept(fewer, tau).unwrap() > 0.01, "T = {fewer} suffices already");
        }
        assert_eq!(design_test(&LABELS, 0.01, 0.01, publics - 1), None);
        let silent = PublicLabels::Certified { mismatch: 0.0, detect_below: None };
        assert_eq!(design_test(&silent, 0.01, 0.01, 100), Some((0, 0)));
    }

    #[test]
    fn refuses_what_is_no_probability() {
        for labels in [
            PublicLabels::GroundTruth { claimed_accuracy: 1.5, detect_below: None },
            PublicLabels::GroundTruth { claimed_accuracy: f64::NAN, detect_below: None },
            PublicLabels::GroundTruth { claimed_accuracy: 0.9, detect_below: Some(0.9) },
            PublicLabels::Certified { mismatch: -0.1, detect_below: None },
        ] {
            assert!(labels.validate().is_err(), "{labels:?}");
        }
        assert!(FlipRate::new(f64::NAN).is_err());
        LABELS.validate().unwrap();
    }
}
