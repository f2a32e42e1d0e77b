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
    interval::{Interval, clopper_pearson},
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

/// The confidence of an interval that is shown.
const CONFIDENCE: f64 = 0.95;

/// What the answers that an owner has published say of its model's accuracy, on images whose true
/// labels the client knows.
///
/// Nothing is sampled: all of the client's labelled images count. An image that the sheet leaves
/// out or calls undecided counts as wrong, or else an owner would leave out what its model gets
/// wrong.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct SheetAccuracy {
    /// Images whose published answer is the true label.
    pub correct: u32,
    /// Images that the sheet calls undecided: their label hangs on rounding.
    pub undecided: u32,
    /// Images that the sheet does not have.
    pub missing: u32,
    /// The client's labelled images.
    pub total: u32,
    /// The exact interval of the rate, for images drawn like these.
    pub interval: Interval,
}

impl SheetAccuracy {
    /// Of `total` labelled images, `correct` are answered rightly, `undecided` not at all, and
    /// `missing` are not on the sheet.
    ///
    /// # Errors
    /// [`MixError::OutOfRange`] if the parts are more than the whole.
    pub fn new(correct: u32, undecided: u32, missing: u32, total: u32) -> Result<Self, MixError> {
        let parts = u64::from(correct) + u64::from(undecided) + u64::from(missing);
        if parts > u64::from(total) {
            return Err(MixError::OutOfRange { what: "the images counted", range: "at most all", value: parts.to_string() });
        }
        Ok(Self { correct, undecided, missing, total, interval: clopper_pearson(correct.into(), total.into(), CONFIDENCE) })
    }

    /// The chance that a model of this accuracy is right on as many of so many images, or more.
    #[must_use]
    pub fn chance_over(&self, accuracy: f64) -> f64 {
        match self.correct.checked_sub(1) {
            Some(below) => upper_tail(self.total.into(), accuracy.clamp(0.0, 1.0), below.into()),
            None => 1.0,
        }
    }

    /// The chance that a model of accuracy `claimed` is right on no more of so many images.
    #[must_use]
    pub fn chance_under(&self, claimed: f64) -> f64 {
        lower_tail(self.total.into(), 1.0 - (1.0 - claimed).clamp(0.0, 1.0), self.correct.into())
    }
}

/// How often honest copies of one query disagree.
///
/// Two honest runs on one image draw different random shares and noise, so their roundings differ,
/// and a near tie may get another label.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct FlipRate {
    /// The chance that one copy's label is not the usual one of its image.
    rate: f64,
    /// The chance that [`FlipRate::GROUP`] copies of one image do not all agree.
    group: f64,
}

impl FlipRate {
    /// The size of the group of copies whose chance of disagreeing is measured.
    pub const GROUP: u32 = 32;

    /// Copies never disagree; then one inconclusive group is already evidence of cheating.
    pub const ZERO: Self = Self { rate: 0.0, group: 0.0 };

    /// `rate` is the chance that one copy's label differs from the usual one of its image, as
    /// measured with the twin on public images. Nothing is known of groups.
    ///
    /// # Errors
    /// [`MixError::OutOfRange`] unless `0 <= rate <= 1`.
    pub fn new(rate: f64) -> Result<Self, MixError> {
        Self::measured(rate, 1.0)
    }

    /// As [`new`](Self::new), and 32 copies of one image do not all agree with chance `group`:
    /// flips crowd on few images, so that this is far less than 32 times the rate.
    ///
    /// # Errors
    /// [`MixError::OutOfRange`] unless both lie between 0 and 1.
    pub fn measured(rate: f64, group: f64) -> Result<Self, MixError> {
        let bad = [rate, group].into_iter().find(|rate| !(0.0..=1.0).contains(rate));
        match bad {
            Some(value) => Err(MixError::OutOfRange { what: "the flip rate", range: "between 0 and 1", value: value.to_string() }),
            None => Ok(Self { rate, group }),
        }
    }

    /// The rate.
    #[must_use]
    pub fn rate(self) -> f64 {
        self.rate
    }

    /// An upper bound on the chance that a group of `copies` is inconclusive. Two union bounds, so
    /// copies of one image may depend on each other: over the copies, and over chains of groups
    /// that share a copy.
    #[must_use]
    pub fn inconclusive(self, copies: u32) -> f64 {
        if copies <= 1 {
            return 0.0;
        }
        let chains = (copies - 1).div_ceil(Self::GROUP - 1);
        (self.rate * f64::from(copies)).min(self.group * f64::from(chains)).min(1.0)
    }

    /// An upper bound on the chance that one copy more differs from `copies` that all agreed: of
    /// `copies + 1` that do not all agree in this way each is as likely to be the odd one.
    #[must_use]
    pub fn differs_after(self, copies: u32) -> f64 {
        self.inconclusive(copies.saturating_add(1)) / f64::from(copies.saturating_add(1))
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
        // Flips crowd on few images: 1% of copies, but of 2% of the images alone.
        let crowded = FlipRate::measured(0.01, 0.02).unwrap();
        let chances = [1, 2, 3, 32, 33, 63, 64].map(|copies| crowded.inconclusive(copies));
        assert_eq!(chances, [0.0, 0.02, 0.02, 0.02, 0.04, 0.04, 0.06]);
        assert_eq!(crowded.differs_after(19), 0.001);
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
    fn a_sheet_counts_what_it_leaves_out_as_wrong() {
        let sheet = SheetAccuracy::new(70, 5, 10, 100).unwrap();
        assert_eq!(sheet.interval, clopper_pearson(70, 100, 0.95));
        assert!(sheet.chance_over(0.5) < 1e-4 && sheet.chance_over(0.7) > 0.4);
        assert!(SheetAccuracy::new(0, 0, 9, 9).unwrap().chance_over(0.1) == 1.0);
        assert!(sheet.chance_under(0.9) < 1e-6 && sheet.chance_under(0.7) > 0.5 && sheet.chance_under(1.0) == 0.0);
        assert!(SheetAccuracy::new(96, 5, 0, 100).is_err());
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
