//! From flags to a plan: what is mixed and tolerated.

use anyhow::{Result, anyhow};
use fusion_mix::MixError;
use fusion_mix::accuracy::{FlipRate, PublicLabels};
use fusion_mix::mix::Mix;
use fusion_mix::plan::{Plan, PlanRequest};
use fusion_model::card::ModelCard;

use crate::cli::MixArgs;

impl MixArgs {
    /// The defaults at a given soundness, with an accuracy to be noticed.
    #[must_use]
    pub fn at_lambda(lambda: f64, detect_below: Option<f64>) -> Self {
        Self {
            lambda,
            claimed_accuracy: None,
            detect_below,
            certified: false,
            alpha: 1e-3,
            beta: 1e-3,
            flip_rate: 0.0,
            copies: None,
            public: None,
            tau: None,
            max_inconclusive: None,
        }
    }

    /// The planner's request.
    ///
    /// # Errors
    /// If no accuracy is claimed anywhere, unless a mix is given: that can be judged as it is, with public labels that an honest server always gives but for
    /// flips. Or if a rate is out of range.
    pub fn request(&self, queries: u32, pool: u32, card: Option<&ModelCard>) -> Result<PlanRequest> {
        let claimed = self.claimed_accuracy.or_else(|| card.and_then(|c| c.claim.as_ref()).map(|c| c.top1));
        let labels = if self.certified || claimed.is_none() && self.copies.is_some() {
            PublicLabels::Certified { mismatch: self.flip_rate, detect_below: self.detect_below }
        } else {
            let claimed_accuracy = claimed.ok_or_else(|| {
                anyhow!(
                    "nobody claims an accuracy for this model: give --claimed-accuracy, or --certified if the public labels are the model's own outputs, \
                     or a whole mix with --copies, --public, --tau and --max-inconclusive"
                )
            })?;
            PublicLabels::GroundTruth { claimed_accuracy, detect_below: self.detect_below }
        };
        let request = PlanRequest::new(queries, self.lambda, labels);
        Ok(PlanRequest { alpha: self.alpha, beta: self.beta, flips: FlipRate::new(self.flip_rate)?, max_publics: pool, ..request })
    }

    /// The mix that was given, if one was.
    ///
    /// # Errors
    /// [`MixError::OutOfRange`] for impossible numbers.
    pub fn given(&self, queries: u32) -> Result<Option<Mix>, MixError> {
        match (self.copies, self.public, self.tau, self.max_inconclusive) {
            (Some(b), Some(t), Some(tau), Some(max_inconclusive)) => Mix::new(queries, b, t, tau, max_inconclusive).map(Some),
            _ => Ok(None),
        }
    }

    /// The plan: the best one, or the one that was given.
    ///
    /// # Errors
    /// [`MixError`] if there is none.
    pub fn plan(&self, request: &PlanRequest) -> Result<Plan, MixError> {
        match self.given(request.queries)? {
            Some(mix) => Plan::evaluate(request, mix),
            None => Plan::optimise(request),
        }
    }
}

/// Prints what will be mixed, before anything runs.
pub fn print_plan(plan: &Plan) {
    let mix = &plan.mix;
    eprintln!(
        "Plan:     R = {} queries x B = {} copies + T = {} public samples = {} samples in secret order (x{:.2} per query)",
        mix.queries(),
        mix.copies(),
        mix.publics(),
        mix.samples(),
        mix.overhead()
    );
    eprintln!(
        "          accepts up to tau = {} wrong public answers and max_inconclusive = {} inconclusive queries; soundness 2^{:.2} (asked: 2^-{})",
        mix.tau(),
        mix.max_inconclusive(),
        plan.soundness.log2,
        plan.lambda
    );
    if !plan.is_sound() {
        eprintln!("          WARNING: this plan does not reach the soundness that was asked for");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_given_mix_needs_no_claim_and_a_wanted_one_does() {
        let mut args = MixArgs::at_lambda(40.0, None);
        assert!(args.request(8, 1000, None).is_err());
        (args.copies, args.public, args.tau, args.max_inconclusive) = (Some(8), Some(100), Some(0), Some(0));
        let plan = args.plan(&args.request(8, 1000, None).unwrap()).unwrap();
        assert_eq!((plan.mix.copies(), plan.mix.publics(), plan.false_reject), (8, 100, 0.0));
        // A claim that is there counts.
        args.claimed_accuracy = Some(0.9);
        let plan = args.plan(&args.request(8, 1000, None).unwrap()).unwrap();
        assert!((plan.false_reject - (1.0 - 0.9f64.powi(100))).abs() < 1e-9);
    }
}
