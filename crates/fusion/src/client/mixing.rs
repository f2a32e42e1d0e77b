//! From what a user demands to a plan: what is mixed and tolerated.

use fusion_mix::MixError;
use fusion_mix::accuracy::{FlipRate, PublicLabels};
use fusion_mix::mix::Mix;
use fusion_mix::plan::{Plan, PlanRequest};
use fusion_model::card::ModelCard;

use crate::error::Error;

/// A mix that the user chose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GivenMix {
    /// Copies of each query.
    pub copies: u32,
    /// Public samples.
    pub publics: u32,
    /// Wrong public answers tolerated.
    pub tau: u32,
    /// Inconclusive queries tolerated.
    pub max_inconclusive: u32,
}

/// What to mix and tolerate.
#[derive(Debug, Clone)]
pub struct MixSettings {
    /// Position-dependent cheating passes with chance at most 2^-lambda.
    pub lambda: f64,
    /// Accuracy claimed for the model [default: the model card's].
    pub claimed_accuracy: Option<f64>,
    /// A model below this accuracy must be noticed by this batch.
    pub detect_below: Option<f64>,
    /// The public labels are the advertised model's own outputs, certified by its owner, not ground
    /// truth.
    pub certified: bool,
    /// An honest server is rejected with chance at most alpha.
    pub alpha: f64,
    /// A model at `detect_below` is accepted with chance at most beta.
    pub beta: f64,
    /// Chance that an honest copy's label flips at a near tie.
    pub flip_rate: f64,
    /// This mix and no other. Without a claim of accuracy the public labels then count as
    /// certified.
    pub given: Option<GivenMix>,
}

impl MixSettings {
    /// The defaults at a given soundness, with an accuracy to be noticed.
    #[must_use]
    pub fn at_lambda(lambda: f64, detect_below: Option<f64>) -> Self {
        Self { lambda, claimed_accuracy: None, detect_below, certified: false, alpha: 1e-3, beta: 1e-3, flip_rate: 0.0, given: None }
    }

    /// The planner's request for `queries` queries and a pool of `pool` public samples.
    ///
    /// # Errors
    /// [`Error::NoClaim`] if no accuracy is claimed anywhere, unless a mix is given: that can be
    /// judged as it is, with public labels that an honest server always gives but for flips.
    /// [`MixError::OutOfRange`] for impossible rates.
    pub fn request(&self, queries: u32, pool: u32, card: Option<&ModelCard>) -> Result<PlanRequest, Error> {
        let claimed = self.claimed_accuracy.or_else(|| card.and_then(|c| c.claim.as_ref()).map(|c| c.top1));
        let labels = if self.certified || claimed.is_none() && self.given.is_some() {
            PublicLabels::Certified { mismatch: self.flip_rate, detect_below: self.detect_below }
        } else {
            let claimed_accuracy = claimed.ok_or(Error::NoClaim)?;
            PublicLabels::GroundTruth { claimed_accuracy, detect_below: self.detect_below }
        };
        let request = PlanRequest::new(queries, self.lambda, labels);
        Ok(PlanRequest { alpha: self.alpha, beta: self.beta, flips: FlipRate::new(self.flip_rate)?, max_publics: pool, ..request })
    }

    /// The mix that was given, if one was.
    ///
    /// # Errors
    /// [`MixError::OutOfRange`] for impossible numbers.
    pub fn mix(&self, queries: u32) -> Result<Option<Mix>, MixError> {
        self.given.map(|g| Mix::new(queries, g.copies, g.publics, g.tau, g.max_inconclusive)).transpose()
    }

    /// The plan: the best one, or the one that was given.
    ///
    /// # Errors
    /// [`MixError`] if there is none.
    pub fn plan(&self, request: &PlanRequest) -> Result<Plan, MixError> {
        match self.mix(request.queries)? {
            Some(mix) => Plan::evaluate(request, mix),
            None => Plan::optimise(request),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_given_mix_needs_no_claim_and_a_wanted_one_does() {
        let mut settings = MixSettings::at_lambda(40.0, None);
        assert!(settings.request(8, 1000, None).is_err());
        settings.given = Some(GivenMix { copies: 8, publics: 100, tau: 0, max_inconclusive: 0 });
        let plan = settings.plan(&settings.request(8, 1000, None).unwrap()).unwrap();
        assert_eq!((plan.mix.copies(), plan.mix.publics(), plan.false_reject), (8, 100, 0.0));
        // A claim that is there counts.
        settings.claimed_accuracy = Some(0.9);
        let plan = settings.plan(&settings.request(8, 1000, None).unwrap()).unwrap();
        assert!((plan.false_reject - (1.0 - 0.9f64.powi(100))).abs() < 1e-9);
    }
}
