//! Whether the queries look like the public samples, judged by the labels they were given.
//!
//! What public samples show about the model's accuracy holds for the queries only as far as both
//! are drawn from the same distribution.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::batch::Label;

/// The chance, at most, of reporting a shift between two samples of one distribution.
const FALSE_ALARM: f64 = 1e-3;

/// Fewer labels than this on either side say nothing.
const FEWEST: u32 = 8;

/// The distance between two label histograms, and what chance alone explains.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct LabelShift {
    /// Total variation distance, between 0 and 1.
    pub distance: f64,
    /// Two samples of these sizes from one distribution lie farther apart with chance at most 1e-3.
    pub chance_limit: f64,
}

impl LabelShift {
    /// Compares two histograms; `None` if either holds fewer than eight labels.
    #[must_use]
    pub fn between(a: &BTreeMap<Label, u32>, b: &BTreeMap<Label, u32>) -> Option<Self> {
        let (n, m) = (a.values().sum::<u32>(), b.values().sum::<u32>());
        if n.min(m) < FEWEST {
            return None;
        }
        let mut labels: Vec<Label> = a.keys().chain(b.keys()).copied().collect();
        labels.sort_unstable();
        labels.dedup();
        let fraction = |counts: &BTreeMap<Label, u32>, label, total| f64::from(counts.get(label).copied().unwrap_or(0)) / f64::from(total);
        let distance = 0.5 * labels.iter().map(|label| (fraction(a, label, n) - fraction(b, label, m)).abs()).sum::<f64>();
        // The mean distance is at most sqrt(K v) / 2 (Cauchy and Schwarz), and changing one label
        // moves it by at most 1/n or 1/m, so it exceeds its mean by t with chance at most exp(-2
        // t^2 / v) (McDiarmid), v = 1/n + 1/m.
        let v = 1.0 / f64::from(n) + 1.0 / f64::from(m);
        let chance_limit = 0.5 * (labels.len() as f64 * v).sqrt() + (0.5 * v * (1.0 / FALSE_ALARM).ln()).sqrt();
        Some(Self { distance, chance_limit })
    }

    /// Whether the difference is gross: more than chance explains.
    #[must_use]
    pub fn is_gross(&self) -> bool {
        self.distance > self.chance_limit
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn histogram(counts: &[u32]) -> BTreeMap<Label, u32> {
        (0..).zip(counts.iter().copied()).collect()
    }

    #[test]
    fn tells_gross_differences_from_chance() {
        let even = histogram(&[20, 20, 20, 20]);
        assert!(!LabelShift::between(&even, &histogram(&[12, 8, 9, 11])).unwrap().is_gross());
        let apart = LabelShift::between(&even, &histogram(&[0, 0, 0, 40])).unwrap();
        assert!((apart.distance - 0.75).abs() < 1e-12 && apart.is_gross());
        assert_eq!(LabelShift::between(&even, &histogram(&[7])), None);
    }
}
