//! The exact (Clopper-Pearson) confidence interval of a rate.

use serde::{Deserialize, Serialize};

use crate::binomial::{lower_tail, upper_tail};

/// A two-sided confidence interval `[low, high]` of a rate.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Interval {
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
    /// Confidence, such as 0.95: at least this fraction of such intervals covers the true
    /// rate, whatever that is.
    pub confidence: f64,
}

impl Interval {
    /// Whether `rate` lies within the interval.
    #[must_use]
    pub fn contains(&self, rate: f64) -> bool {
        self.low <= rate && rate <= self.high
    }
}

/// The Clopper-Pearson interval of `hits` successes in `trials` independent trials (Clopper and
/// Pearson, Biometrika 1934).
///
/// Each end leaves at most `(1 - confidence) / 2` in its tail. With no trials the interval is `[0,
/// 1]`. Ends are rounded outwards.
///
/// # Panics
/// If `hits > trials` or `confidence` is not between 0 and 1 (both excluded).
#[must_use]
pub fn clopper_pearson(hits: u64, trials: u64, confidence: f64) -> Interval {
    assert!(hits <= trials, "more successes than trials");
    assert!(confidence > 0.0 && confidence < 1.0, "a confidence lies strictly between 0 and 1");
    let tail = (1.0 - confidence) / 2.0;
    // P[X >= hits] grows with p, P[X <= hits] falls with p.
    let low = if hits == 0 { 0.0 } else { last_where(|p| upper_tail(trials, p, hits - 1) <= tail).0 };
    let high = if hits == trials { 1.0 } else { last_where(|p| lower_tail(trials, p, hits) >= tail).1 };
    Interval { low, high, confidence }
}

/// Two neighbouring points of `[0, 1]`: `holds` is true at the first and false at the second. It
/// must be true at 0 and false at 1.
fn last_where(holds: impl Fn(f64) -> bool) -> (f64, f64) {
    let (mut low, mut high) = (0.0, 1.0);
    for _ in 0..100 {
        let middle = 0.5 * (low + high);
        if middle <= low || middle >= high {
            break;
        }
        if holds(middle) {
            low = middle;
        } else {
            high = middle;
        }
    }
    (low, high)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_intervals() {
        // 0 of n: the upper end is 1 - (alpha/2)^(1/n); n of n mirrors it.
        let none = clopper_pearson(0, 20, 0.95);
        assert_eq!(none.low, 0.0);
        assert!((none.high - (1.0 - 0.025f64.powf(1.0 / 20.0))).abs() < 1e-12);
        let all = clopper_pearson(20, 20, 0.95);
        assert!((all.low - 0.025f64.powf(1.0 / 20.0)).abs() < 1e-12);
        assert_eq!(all.high, 1.0);
        // 4 of 20 at 95%: the textbook interval.
        let four = clopper_pearson(4, 20, 0.95);
        assert!((four.low - 0.057_334).abs() < 1e-6 && (four.high - 0.436_614).abs() < 1e-6, "{four:?}");
        assert_eq!(clopper_pearson(0, 0, 0.9), Interval { low: 0.0, high: 1.0, confidence: 0.9 });
    }

    #[test]
    fn covers_at_least_its_confidence() {
        let n = 30;
        for p in [0.02, 0.1, 0.37, 0.5, 0.93] {
            let covered: f64 = (0..=n)
                .filter(|&k| clopper_pearson(k, n, 0.9).contains(p))
                .map(|k| lower_tail(n, p, k) - if k == 0 { 0.0 } else { lower_tail(n, p, k - 1) })
                .sum();
            assert!(covered >= 0.9, "p={p}: {covered}");
        }
    }
}
