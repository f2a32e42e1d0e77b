//! From what a user demands to a plan: what is mixed and tolerated.

use fusion_mix::MixError;
use fusion_mix::accuracy::{FlipRate, PublicLabels};
use fusion_mix::mix::Mix;
use fusion_mix::plan::{Plan, PlanRequest};
use fusion_mix::pool::KnownFrom;
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

/// The largest flip rate that a card is believed: far above what networks have, and small enough
/// that little is tolerated for it.
const MOST_FLIPS: f64 = 0.01;
/// The largest chance of 32 copies to disagree that a card is believed.
const MOST_DISAGREEING: f64 = 0.1;

/// What a plan depends on of the images that a server is tested with.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PoolFacts {
    /// How many there are.
    pub size: u32,
    /// Where their labels come from.
    pub known_from: KnownFrom,
    /// How often an honest run differs from a label that is the model's own answer.
    pub mismatch: f64,
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
    /// An honest server is rejected with chance at most alpha.
    pub alpha: f64,
    /// A model at `detect_below` is accepted with chance at most beta.
    pub beta: f64,
    /// Chance that an honest copy's label flips at a near tie [default: what the model card says].
    pub flip_rate: Option<f64>,
    /// Deviations that change the answer on this fraction of the images must pass with chance at
    /// most 2^-lambda, too; 1 for those alone that change every answer.
    pub fires: f64,
    /// This mix and no other. Without a claim of accuracy the public labels then count as
    /// certified.
    pub given: Option<GivenMix>,
}

impl MixSettings {
    /// The defaults at a given soundness, with an accuracy to be noticed.
    #[must_use]
    pub fn at_lambda(lambda: f64, detect_below: Option<f64>) -> Self {
        let (alpha, beta) = (1e-3, 1e-3);
        Self { lambda, claimed_accuracy: None, detect_below, alpha, beta, flip_rate: None, fires: 1.0, given: None }
    }

    /// How often honest copies disagree: as the user says, else as the card says, else never.
    ///
    /// # Errors
    /// [`MixError::OutOfRange`] for an impossible rate; [`Error::Flips`] for rates on the card for
    /// which nearly everything would be tolerated.
    pub fn flips(&self, card: Option<&ModelCard>) -> Result<FlipRate, Error> {
        match (self.flip_rate, card.and_then(|card| card.flips)) {
            (Some(rate), _) => Ok(FlipRate::new(rate)?),
            (None, Some(flips)) if flips.rate > MOST_FLIPS || flips.group > MOST_DISAGREEING => {
                Err(Error::Flips { rate: flips.rate, group: flips.group })
            }
            (None, Some(flips)) => Ok(FlipRate::measured(flips.rate, flips.group)?),
            (None, None) => Ok(FlipRate::ZERO),
        }
    }

    /// The accuracy that is claimed: as the user says, else as the card says.
    #[must_use]
    pub fn claimed(&self, card: Option<&ModelCard>) -> Option<f64> {
        self.claimed_accuracy.or_else(|| card.and_then(|c| c.claim.as_ref()).map(|c| c.top1))
    }

    /// The planner's request for `queries` queries and a pool of public samples.
    ///
    /// # Errors
    /// [`Error::NoClaim`] if no accuracy is claimed anywhere, unless a mix is given: that can be
    /// judged as it is, with public labels that an honest server always gives but for flips.
    /// [`MixError::OutOfRange`] for impossible rates.
    pub fn request(&self, queries: u32, pool: &PoolFacts, card: Option<&ModelCard>) -> Result<PlanRequest, Error> {
        let (claimed, flips, detect_below) = (self.claimed(card), self.flips(card)?, self.detect_below);
        let labels = match (pool.known_from, claimed) {
            (KnownFrom::GroundTruth, Some(claimed_accuracy)) => PublicLabels::GroundTruth { claimed_accuracy, detect_below },
            (KnownFrom::GroundTruth, None) if self.given.is_none() => return Err(Error::NoClaim),
            // What is to be noticed is an accuracy, of which agreement with the model's own answers
            // says nothing. That of a sheet is tested on the client's labels.
            (KnownFrom::AnswerSheet | KnownFrom::EarlierRuns, _) => PublicLabels::Certified { mismatch: pool.mismatch, detect_below: None },
            _ => PublicLabels::Certified { mismatch: pool.mismatch, detect_below },
        };
        let request = PlanRequest::new(queries, self.lambda, labels);
        // The server sees how large a batch is, and must not learn from it how many images of its
        // sheet the client has.
        let max_publics = if pool.known_from == KnownFrom::AnswerSheet { request.max_publics } else { pool.size };
        Ok(PlanRequest { alpha: self.alpha, beta: self.beta, flips, max_publics, fires: self.fires, ..request })
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
    use fusion_model::card::Flips;

    use super::*;

    /// What a card says of flips decides what is tolerated: no server may have nearly everything
    /// tolerated.
    #[test]
    fn flip_rates_of_a_card_are_believed_up_to_a_bound() {
        let card = |rate, group| ModelCard { flips: Some(Flips { rate, group, images: 9 }), ..fusion_model::testing::small_model(1).0 };
        let settings = MixSettings::at_lambda(40.0, None);
        assert_eq!(settings.flips(Some(&card(0.002, 0.03))).unwrap(), FlipRate::measured(0.002, 0.03).unwrap());
        for (rate, group) in [(0.2, 1.0), (0.011, 0.05), (0.001, 0.2)] {
            assert!(matches!(settings.flips(Some(&card(rate, group))), Err(Error::Flips { .. })), "{rate} {group}");
        }
        let own = MixSettings { flip_rate: Some(0.2), ..settings };
        assert_eq!(own.flips(Some(&card(1.0, 1.0))).unwrap().rate(), 0.2);
    }

    #[test]
    fn a_given_mix_needs_no_claim_and_a_wanted_one_does() {
        let mut settings = MixSettings::at_lambda(40.0, None);
        let pool = PoolFacts { size: 1000, known_from: KnownFrom::GroundTruth, mismatch: 0.0 };
        assert!(settings.request(8, &pool, None).is_err());
        settings.given = Some(GivenMix { copies: 8, publics: 100, tau: 0, max_inconclusive: 0 });
        let plan = settings.plan(&settings.request(8, &pool, None).unwrap()).unwrap();
        assert_eq!((plan.mix.copies(), plan.mix.publics(), plan.false_reject), (8, 100, 0.0));
        // A claim that is there counts.
        settings.claimed_accuracy = Some(0.9);
        let plan = settings.plan(&settings.request(8, &pool, None).unwrap()).unwrap();
        assert!((plan.false_reject - (1.0 - 0.9f64.powi(100))).abs() < 1e-9);
        // Labels that are the model's own answers need none, and the size of the batch does not
        // tell how many of them the client has.
        let sheet = PoolFacts { known_from: KnownFrom::AnswerSheet, size: 3, ..pool };
        let sized = |size| MixSettings::at_lambda(40.0, None).request(1, &PoolFacts { size, ..sheet }, None).unwrap().max_publics;
        assert_eq!(sized(3), sized(3000));
        let plan = MixSettings::at_lambda(40.0, None).request(1, &sheet, None).unwrap();
        assert_eq!(plan.labels, PublicLabels::Certified { mismatch: 0.0, detect_below: None });
    }
}
