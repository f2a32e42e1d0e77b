//! What a verdict guarantees, in words. There are two statements, and no report makes one without
//! the other or claims more than both.

use serde::{Deserialize, Serialize};

use crate::{accuracy::PublicLabels, interval::Interval, plan::Plan};

/// The two guarantees of an accepted batch, and what they rest on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Guarantees {
    /// Against a server that treats positions differently.
    pub position_dependent: String,
    /// About the function that the server computes at all positions.
    pub function_dependent: String,
    /// What both rest on.
    pub assumptions: Vec<String>,
}

impl Guarantees {
    /// What `plan` promises before anything has run.
    #[must_use]
    pub fn planned(plan: &Plan) -> Self {
        let mix = &plan.mix;
        let test = match (plan.labels.detect_below(), plan.false_accept) {
            (Some(p1), Some(chance)) => format!(
                "A function that is right on {} of such samples passes this batch's {} public samples with probability {chance:.2e}; a worse one less often.{}",
                percent(p1),
                mix.publics(),
                if plan.relies_on_audit { " The plan leaves that test to the accumulated audits." } else { "" }
            ),
            _ => format!("No accuracy to be noticed was named, so the {} public samples only serve to catch deviation.", mix.publics()),
        };
        Self::new(plan, format!("{test} {}", survival(plan)))
    }

    /// What an accepted batch has shown: `measured` is the interval of this batch's public answers.
    #[must_use]
    pub fn shown(plan: &Plan, measured: Option<&Interval>) -> Self {
        let rate = measured.map_or_else(
            || "This batch measured nothing about it.".to_owned(),
            |interval| {
                format!(
                    "At {} confidence it is right on between {} and {} of samples drawn like this batch's public ones.",
                    percent(interval.confidence),
                    percent(interval.low),
                    percent(interval.high)
                )
            },
        );
        Self::new(plan, format!("{rate} {}", survival(plan)))
    }

    fn new(plan: &Plan, function: String) -> Self {
        let mix = &plan.mix;
        Self {
            position_dependent: format!(
                "A server that deviates at some positions and not at others, so that answers there change whatever the image is, gets a wrong answer \
                 into an accepted batch with probability at most 2^{:.2} (its best choice is to corrupt {} of {} positions).",
                plan.soundness.log2 + plan.soundness.error_log2,
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
                "Public labels are certified outputs of the advertised model; an honest run differs from them on at most {} of samples.",
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

fn percent(rate: f64) -> String {
    let text = format!("{:.4}", rate * 100.0);
    format!("{}%", text.trim_end_matches('0').trim_end_matches('.'))
}
