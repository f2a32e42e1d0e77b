//! What a verdict guarantees, in words. There are three statements, and no report makes one without
//! the others or claims more than all.

use serde::{Deserialize, Serialize};

use crate::{accuracy::PublicLabels, audit::BatchCount, firing::Firing, interval::Interval, plan::Plan};

/// The guarantees of an accepted batch, and what they rest on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Guarantees {
    /// The first one for somebody who wants no powers of two.
    pub in_words: String,
    /// Against a server that treats positions differently, whatever the image is.
    pub position_dependent: String,
    /// Against one that does so with a deviation that shows on some images only.
    pub partly_firing: String,
    /// About the function that the server computes at all positions.
    pub function_dependent: String,
    /// What several batches with the same model guarantee together; null if this is the first.
    pub over_batches: Option<String>,
    /// What all rest on.
    pub assumptions: Vec<String>,
}

impl Guarantees {
    /// What `plan` promises before anything has run.
    #[must_use]
    pub fn planned(plan: &Plan, by_firing: &[Firing]) -> Self {
        let mix = &plan.mix;
        let test = match (plan.labels.detect_below(), plan.false_accept) {
            (Some(p1), Some(chance)) => format!(
                "A function that is right on {} of such samples passes this batch's {} public samples with probability {chance:.2e}; a worse one less often.",
                percent(p1),
                mix.publics(),
            ),
            _ => format!("No accuracy to be noticed was named, so the {} public samples only serve to catch deviation.", mix.publics()),
        };
        Self::new(plan, by_firing, format!("{test} {}", survival(plan)))
    }

    /// What an accepted batch has shown: `measured` is the interval of this batch's public answers,
    /// `batches` counts it and those before.
    #[must_use]
    pub fn shown(plan: &Plan, by_firing: &[Firing], measured: Option<&Interval>, batches: Option<&BatchCount>) -> Self {
        let rate = measured.map_or_else(
            || "This batch measured nothing about it.".to_owned(),
            |interval| {
                let does = match plan.labels {
                    PublicLabels::GroundTruth { .. } => "is right",
                    PublicLabels::Certified { .. } => "gives the answers that were known beforehand (which need not be right)",
                };
                format!(
                    "At {} confidence it {does} on between {} and {} of samples drawn like this batch's public ones.",
                    percent(interval.confidence),
                    percent(interval.low),
                    percent(interval.high)
                )
            },
        );
        Self { over_batches: batches.and_then(over_batches), ..Self::new(plan, by_firing, format!("{rate} {}", survival(plan))) }
    }

    fn new(plan: &Plan, by_firing: &[Firing], function: String) -> Self {
        let mix = &plan.mix;
        let bound = plan.soundness.log2 + plan.soundness.error_log2;
        Self {
            in_words: format!(
                "A server that corrupts samples of its choice so that their answers change, whatever the images show, gets a wrong answer past you with a chance of {}.",
                chance_in_words(bound)
            ),
            partly_firing: partly_firing(by_firing),
            over_batches: None,
            position_dependent: format!(
                "A server that deviates at some positions and not at others, so that answers there change whatever the image is, gets a wrong answer \
                 into an accepted batch with probability at most 2^{:.2} (its best choice is to corrupt {} of {} positions).",
                bound,
                plan.soundness.worst_m,
                mix.samples()
            ),
            function_dependent: format!(
                "A server that computes another function alike at all positions (a worse model, an error that fires on some images only) makes copies agree; \
                 only the public samples tell. {function}"
            ),
            assumptions: assumptions(plan),
        }
    }
}

/// How a deviation that shows on some images only fares.
fn partly_firing(by_firing: &[Firing]) -> String {
    let rows: Vec<String> = by_firing
        .iter()
        .filter(|row| row.phi < 1.0)
        .map(|row| {
            let (log2, wrong) = (row.log2, row.expected_wrong);
            format!("on {} of the images 2^{log2:.1} (at {} positions; then {wrong:.1} answers are wrong)", percent(row.phi), row.worst_m)
        })
        .collect();
    format!(
        "A server that deviates at positions of its choice in a way that changes the answer on some images only can do better than that. Its best chance to get a wrong answer into an \
         accepted batch is, if that happens {}.",
        rows.join(", ")
    )
}

/// What `n` batches guarantee together.
fn over_batches(count: &BatchCount) -> Option<String> {
    (count.batches > 1).then(|| {
        format!(
            "Over the {} batches that you have run with this model, the chance that such a server got past you in any of them is at most the sum, 2^{:.2}: {}.",
            count.batches,
            count.log2,
            chance_in_words(count.log2)
        )
    })
}

/// A chance of `2^log2` for somebody who wants no powers, never less than it is: "at most one in a
/// trillion".
#[must_use]
pub fn chance_in_words(log2: f64) -> String {
    const SCALES: [&str; 5] = ["thousand", "million", "billion", "trillion", "quadrillion"];
    let digits = -log2 * std::f64::consts::LOG10_2 + 1e-9;
    if digits < 1.0 {
        return format!("at most {}%", (log2.exp2() * 100.0).ceil());
    }
    let zeros = digits.floor() as usize;
    let leading = ["a", "ten", "a hundred"][zeros % 3];
    match zeros / 3 {
        0 if zeros == 1 => "at most one in ten".to_owned(),
        0 => "at most one in a hundred".to_owned(),
        scale if scale <= SCALES.len() => format!("at most one in {leading} {}", SCALES[scale - 1]),
        _ => "far less than one in a quadrillion".to_owned(),
    }
}

/// How a function that errs on few images fares.
fn survival(plan: &Plan) -> String {
    let fraction = 0.01;
    let passes = crate::binomial::lower_tail(plan.mix.publics().into(), fraction, plan.mix.tau().into());
    format!(
        "For example, one that changes the answer on {} of images passes with probability {passes:.3} even if the model were otherwise perfect, and then about {:.2} of the {} \
         answers are wrong.",
        percent(fraction),
        fraction * f64::from(plan.mix.queries()),
        plan.mix.queries()
    )
}

fn assumptions(plan: &Plan) -> Vec<String> {
    let labels = match plan.labels {
        PublicLabels::GroundTruth { claimed_accuracy, .. } => format!(
            "Public labels are the truth, and an honest model is right on at least {} of the distribution that the public samples are drawn from. A deviation does not turn a wrong \
             public answer into the right one.",
            percent(claimed_accuracy)
        ),
        PublicLabels::Certified { mismatch, .. } => {
            format!(
                "Public labels are answers of the model that were known beforehand; an honest run differs from them on at most {} of samples.",
                percent(mismatch)
            )
        }
    };
    vec![
        labels,
        "The public samples are drawn like the queries: only as far as that holds does the measured rate say anything about the queries."
            .to_owned(),
        "The server's view does not depend on the secret order: the protocol hides the images, and the client sends all positions alike."
            .to_owned(),
        "A wrong answer is one that an honest run cannot give; labels that rounding may yield on a near tie count as right.".to_owned(),
    ]
}

pub(crate) fn percent(rate: f64) -> String {
    let text = format!("{:.4}", rate * 100.0);
    format!("{}%", text.trim_end_matches('0').trim_end_matches('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chances_are_named_by_what_they_are_at_most() {
        for (log2, words) in [
            (0.0, "at most 100%"),
            (-0.5, "at most 71%"),
            (-3.4, "at most one in ten"),
            (-100f64.log2(), "at most one in a hundred"),
            (-10.0, "at most one in a thousand"),
            (-24.0, "at most one in ten million"),
            (-40.0, "at most one in a trillion"),
            (-46.6, "at most one in a hundred trillion"),
            (-300.0, "far less than one in a quadrillion"),
        ] {
            assert_eq!(chance_in_words(log2), words, "{log2}");
        }
    }

    #[test]
    fn several_batches_have_one_sentence_and_one_has_none() {
        assert_eq!(over_batches(&BatchCount { batches: 1, log2: -40.0 }), None);
        let said = over_batches(&BatchCount { batches: 8, log2: -37.0 }).unwrap_or_default();
        assert!(said.contains("8 batches") && said.contains("2^-37.00") && said.contains("a hundred billion"), "{said}");
    }
}
