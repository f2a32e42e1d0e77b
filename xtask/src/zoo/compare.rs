//! Logits beside onnxruntime's: how far off, how many labels, and what to call that.

use std::collections::HashSet;

use serde::Serialize;

/// Largest error of an imported float network, in deviations of the logits: what sums in another
/// order differ by is far below, what another network computes is far above.
const FLOAT_LIMIT: f64 = 1e-3;

/// Labels of the twin that may differ.
const LABELS_OFF: usize = 1;

/// A label is nearly tied if it leads by no more than so many times the twin's typical error.
const TIE: f64 = 3.0;

/// What a row comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(super) enum Verdict {
    /// The import is onnxruntime's network, and the twin keeps its labels.
    #[serde(rename = "right")]
    Right,
    /// The import is right, but fixed point loses labels.
    #[serde(rename = "inexact")]
    Inexact,
    /// The import computes something else, and nothing said so.
    #[serde(rename = "WRONG")]
    Wrong,
    /// The file was refused, with a reason.
    #[serde(rename = "refused")]
    Refused,
}

impl Verdict {
    /// As the table says it.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Right => "right",
            Self::Inexact => "inexact",
            Self::Wrong => "WRONG",
            Self::Refused => "refused",
        }
    }
}

/// How far logits are from onnxruntime's, in deviations of onnxruntime's.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Deviation {
    /// The largest difference.
    pub(super) worst: f64,
    /// The median difference: a photo that overflows must not excuse the labels that it loses.
    pub(super) typical: f64,
    /// Photos with onnxruntime's label.
    pub(super) labels: usize,
    /// Of each photo whose label differs, by how much onnxruntime's best logit leads its second.
    pub(super) leads_lost: Vec<f64>,
}

impl Deviation {
    /// Whether a float network is onnxruntime's.
    pub(super) fn is_import_right(&self) -> bool {
        self.worst < FLOAT_LIMIT
    }
}

/// Onnxruntime's logits, per photo.
pub(super) struct Answers {
    logits: Vec<Vec<f32>>,
    /// The logits' deviation over classes and photos.
    scale: f64,
}

impl Answers {
    /// Of these logits.
    pub(super) fn new(logits: Vec<Vec<f32>>) -> Self {
        let all = || logits.iter().flatten().map(|&x| f64::from(x));
        let count = all().count().max(1) as f64;
        let mean = all().sum::<f64>() / count;
        let scale = (all().map(|x| (x - mean).powi(2)).sum::<f64>() / count).sqrt();
        Self { logits, scale }
    }

    /// Labels that differ from each other.
    pub(super) fn distinct(&self) -> usize {
        self.logits.iter().map(|x| label(x)).collect::<HashSet<_>>().len()
    }

    /// Compares with other logits, of which `labels` are the labels if they are not the largest.
    pub(super) fn deviation(&self, logits: &[Vec<f32>], labels: Option<Vec<usize>>) -> Deviation {
        let labels = labels.unwrap_or_else(|| logits.iter().map(|x| label(x)).collect());
        let off: Vec<usize> = (0..self.logits.len()).filter(|&i| labels.get(i) != Some(&label(&self.logits[i]))).collect();
        let alike = logits.len() == self.logits.len() && logits.iter().zip(&self.logits).all(|(a, b)| a.len() == b.len());
        let differences: Vec<f64> =
            logits.iter().flatten().zip(self.logits.iter().flatten()).map(|(&a, &b)| f64::from(a) - f64::from(b)).collect();
        let mut sizes: Vec<f64> = differences.iter().map(|d| d.abs()).collect();
        sizes.sort_by(f64::total_cmp);
        // NaN is no small difference, though `max` would pass over it; nor are missing logits.
        let finite = alike && differences.iter().all(|d| d.is_finite());
        let of_scale = |x: f64| if finite { x / self.scale } else { f64::INFINITY };
        Deviation {
            worst: of_scale(differences.iter().fold(0.0, |worst, d| d.abs().max(worst))),
            typical: of_scale(sizes.get(sizes.len() / 2).copied().unwrap_or(f64::INFINITY)),
            labels: self.logits.len() - off.len(),
            leads_lost: off.iter().map(|&i| lead(&self.logits[i]) / self.scale).collect(),
        }
    }

    /// What a row with these deviations comes to, and why; `overflows` are the twin's.
    pub(super) fn verdict(&self, float: Option<&Deviation>, twin: Option<&Deviation>, overflows: u64) -> (Verdict, String) {
        let (Some(float), Some(twin)) = (float, twin) else {
            return (Verdict::Wrong, "was not measured".to_owned());
        };
        if !float.is_import_right() || float.labels != self.logits.len() {
            return (Verdict::Wrong, "the imported network computes something else".to_owned());
        }
        let mut notes = Vec::new();
        let (ties, losses): (Vec<f64>, Vec<f64>) = twin.leads_lost.iter().partition(|lead| **lead <= TIE * twin.typical);
        let list = |leads: &[f64]| leads.iter().map(|lead| format!("{lead:.2}")).collect::<Vec<_>>().join(", ");
        if !ties.is_empty() {
            notes.push(format!("near ties differ (led by {}, typical error {:.2})", list(&ties), twin.typical));
        }
        if !losses.is_empty() {
            notes.push(format!("labels differ that led by {} (typical error {:.2})", list(&losses), twin.typical));
        }
        if overflows > 0 {
            notes.push(format!("{overflows} values of the twin left their windows"));
        }
        let note = notes.join("; ");
        let right = twin.leads_lost.len() <= LABELS_OFF && twin.worst.is_finite();
        (if right { Verdict::Right } else { Verdict::Inexact }, note)
    }
}

/// The largest logit's class, the lower one on ties.
fn label(logits: &[f32]) -> usize {
    (0..logits.len()).fold(0, |best, i| if logits[i] > logits[best] { i } else { best })
}

/// By how much the best logit leads the second.
fn lead(logits: &[f32]) -> f64 {
    let best = label(logits);
    let second = logits.iter().enumerate().filter(|(i, _)| *i != best).map(|(_, &x)| f64::from(x)).fold(f64::NEG_INFINITY, f64::max);
    f64::from(logits[best]) - second
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answers() -> Answers {
        Answers::new((0..16).map(|photo| (0..4).map(|class| if class == photo % 4 { 3.0 } else { -1.0 }).collect()).collect())
    }

    #[test]
    fn the_same_is_right_and_labels_are_counted() {
        let answers = answers();
        let same = answers.deviation(&answers.logits, None);
        assert_eq!((same.worst, same.labels, answers.distinct()), (0.0, 16, 4));
        assert_eq!(answers.verdict(Some(&same), Some(&same), 0), (Verdict::Right, String::new()));
        let mut labels: Vec<usize> = (0..16).map(|photo| photo % 4).collect();
        labels[3] = 0;
        let one_off = answers.deviation(&answers.logits, Some(labels.clone()));
        assert_eq!(answers.verdict(Some(&same), Some(&one_off), 0).0, Verdict::Right);
        let (_, note) = answers.verdict(Some(&same), Some(&one_off), 2);
        assert_eq!(note, "labels differ that led by 2.31 (typical error 0.00); 2 values of the twin left their windows");
        labels[4] = 1;
        let two_off = answers.deviation(&answers.logits, Some(labels));
        assert_eq!(two_off.labels, 14);
        assert_eq!(answers.verdict(Some(&same), Some(&two_off), 0).0, Verdict::Inexact);
    }

    #[test]
    fn nothing_wrong_passes_for_right() {
        let answers = answers();
        let same = answers.deviation(&answers.logits, None);
        let mut changed = answers.logits.clone();
        changed[7][0] += 0.01;
        let mut not_a_number = answers.logits.clone();
        not_a_number[7][0] = f32::NAN;
        let mut short = answers.logits.clone();
        short[15].pop();
        for logits in [changed, not_a_number, short, Vec::new()] {
            let other = answers.deviation(&logits, None);
            assert_eq!(answers.verdict(Some(&other), Some(&same), 0).0, Verdict::Wrong);
        }
        assert_eq!(answers.verdict(Some(&same), None, 0).0, Verdict::Wrong);
    }
}
