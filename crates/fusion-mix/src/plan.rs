//! Choosing a plan: the least overhead that meets the user's demands, and judging a plan that the
//! user chose.

use serde::{Deserialize, Serialize};

use crate::{
    MixError,
    accuracy::{FlipRate, PublicLabels},
    binomial::{ln_choose, lower_tail},
    firing::{FIRING_ERROR, is_sound_from, worst_from},
    mix::{MAX_SAMPLES, Mix},
    soundness::{Soundness, is_sound, soundness},
};

/// The most copies that the planner tries.
const MOST_COPIES: u32 = 256;

/// How certain a user wants to be, by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Assurance {
    /// A server whose deviations change the answer whatever the image is is caught with 99%: enough
    /// where being caught costs it more than it gains (covert security, Aumann and Lindell, Journal
    /// of Cryptology 2010).
    Covert,
    /// It passes with chance at most `2^-40`.
    Standard,
}

impl Assurance {
    /// The chance that cheating passes is at most `2^-lambda`.
    #[must_use]
    pub fn lambda(self) -> f64 {
        match self {
            Self::Covert => 100f64.log2(),
            Self::Standard => 40.0,
        }
    }
}

/// The smallest fraction of images that can be planned for: it takes tens of thousands of public
/// samples already.
const LEAST_FIRES: f64 = 1e-3;

/// What the user wants from a batch.
#[derive(Debug, Clone, Copy)]
pub struct PlanRequest {
    /// `R`, the number of queries.
    pub queries: u32,
    /// Position-dependent cheating passes with chance at most `2^-lambda`.
    pub lambda: f64,
    /// What the known labels are, what is claimed, what must be noticed.
    pub labels: PublicLabels,
    /// An honest server is rejected with chance at most `alpha`.
    pub alpha: f64,
    /// A function at `detect_below` is accepted with chance at most `beta`.
    pub beta: f64,
    /// How often honest copies disagree.
    pub flips: FlipRate,
    /// The most public samples that the plan may draw: the size of the pool.
    pub max_publics: u32,
    /// Deviations that fire on this fraction of the images or more pass with chance at most
    /// `2^-lambda` (tested at this fraction, its double, and so on): 1 for those alone that change
    /// every answer.
    pub fires: f64,
}

impl PlanRequest {
    /// A request with the defaults `alpha = 1e-3`, `beta = 1e-3`, no honest disagreement, and no
    /// limit on the pool.
    #[must_use]
    pub fn new(queries: u32, lambda: f64, labels: PublicLabels) -> Self {
        let max_publics = MAX_SAMPLES as u32;
        Self { queries, lambda, labels, alpha: 1e-3, beta: 1e-3, flips: FlipRate::ZERO, max_publics, fires: 1.0 }
    }

    fn validate(&self) -> Result<(), MixError> {
        let out = |what, range, value: f64| Err(MixError::OutOfRange { what, range, value: value.to_string() });
        if self.queries == 0 {
            return out("the number of queries R", "at least 1", 0.0);
        }
        if !(self.lambda > 0.0 && self.lambda <= 256.0) {
            return out("lambda", "more than 0 and at most 256", self.lambda);
        }
        if !(self.alpha > 0.0 && self.alpha < 1.0) {
            return out("alpha", "strictly between 0 and 1", self.alpha);
        }
        if !(self.beta > 0.0 && self.beta < 1.0) {
            return out("beta", "strictly between 0 and 1", self.beta);
        }
        if !(LEAST_FIRES..=1.0).contains(&self.fires) {
            return out("the fraction of images on which a deviation fires", "at least 0.001 and at most 1", self.fires);
        }
        self.labels.validate()
    }

    /// `max_inconclusive` for `copies`, and what it leaves of `alpha` for the public samples.
    fn split_alpha(&self, copies: u32) -> (u32, f64) {
        let max_inconclusive = self.flips.least_max_inconclusive(self.queries, copies, self.alpha / 2.0);
        (max_inconclusive, self.alpha - self.flips.false_reject(self.queries, copies, max_inconclusive))
    }
}

/// A plan and everything that is known about it before it runs.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Plan {
    /// What is mixed and tolerated.
    pub mix: Mix,
    /// The soundness asked for, in bits.
    pub lambda: f64,
    /// The soundness that it has, and the adversary's best `m`.
    pub soundness: Soundness,
    /// The chance that an honest server is rejected.
    pub false_reject: f64,
    /// The chance that this batch's public samples accept a function at `detect_below`, if one was
    /// named.
    pub false_accept: Option<f64>,
    /// What the known labels are and what is claimed about them.
    pub labels: PublicLabels,
    /// The fraction of images on which deviations fire that it was asked to withstand
    /// ([`PlanRequest::fires`]), and `log2` of their best chance.
    pub fires: (f64, f64),
}

/// A plan as `--json` prints it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PlanJson {
    /// Queries.
    #[serde(rename = "R")]
    pub queries: u32,
    /// Copies of each query.
    #[serde(rename = "B")]
    pub copies: u32,
    /// Public samples.
    #[serde(rename = "T")]
    pub publics: u32,
    /// Wrong public answers tolerated.
    pub tau: u32,
    /// Inconclusive groups tolerated.
    #[serde(alias = "kappa")]
    pub max_inconclusive: u32,
    /// Soundness asked for, bits.
    pub lambda: f64,
    /// `log2 P`, to 1e-6.
    pub soundness_log2: f64,
    /// Whether `P <= 2^-lambda`.
    pub sound: bool,
    /// The number of corrupted positions that is best for the adversary.
    pub worst_m: u32,
    /// Samples per query, `B + T/R`.
    pub overhead: f64,
    /// The chance that an honest server is rejected.
    pub false_reject: f64,
    /// The chance that a function at `detect_below` passes this batch's public samples; null if
    /// none was named.
    pub false_accept: Option<f64>,
    /// What the known labels are.
    pub labels: PublicLabels,
    /// The fraction of images on which deviations fire that it was asked to withstand.
    #[serde(default = "every_image")]
    pub fires: f64,
}

/// What plans of older programs were asked to withstand.
fn every_image() -> f64 {
    1.0
}

impl Plan {
    /// The least overhead that meets `request`; among equals, the fewest copies.
    ///
    /// For each `B` the least `T` is found exactly. Let `tau(T)` be the least tolerance that keeps
    /// the rejection of an honest server within `alpha`; it does not fall as `T` grows. `P` falls
    /// with `T` and grows with `tau`. So climbing from below stops at the least `T` that meets all.
    ///
    /// # Errors
    /// [`MixError::OutOfRange`] for a malformed request, [`MixError::NoPlan`] if nothing within the
    /// limits meets it.
    pub fn optimise(request: &PlanRequest) -> Result<Self, MixError> {
        request.validate()?;
        // Plans with few public samples are cheap to judge, and a good one bounds the search among
        // the others.
        let for_rare = if request.fires < 1.0 { (2.0 * request.lambda / request.fires) as u32 } else { 0 };
        let few = request.queries.saturating_mul(2).saturating_add(1024).saturating_add(for_rare).min(request.max_publics);
        let best = search(request, 0, few, None);
        let best = search(request, few + 1, request.max_publics, best);
        let found = best.ok_or(MixError::NoPlan {
            queries: request.queries,
            lambda: request.lambda,
            max_publics: request.max_publics,
            max_copies: MOST_COPIES,
            hint: "enlarge the pool, ask for more queries at once, or lower lambda, the flip rate, the strictness of alpha or the accuracy demand",
        })?;
        Self::evaluate(request, found)
    }

    /// Judges a given plan against `request`; [`Plan::is_sound`] tells whether it reaches `lambda`.
    ///
    /// # Errors
    /// [`MixError::OutOfRange`] for a malformed request or a plan for another number of queries.
    pub fn evaluate(request: &PlanRequest, mix: Mix) -> Result<Self, MixError> {
        request.validate()?;
        if mix.queries() != request.queries {
            return Err(MixError::OutOfRange { what: "the plan's R", range: "that of the request", value: mix.queries().to_string() });
        }
        let public = request.labels.false_reject(mix.publics(), mix.tau());
        let copies = request.flips.false_reject(mix.queries(), mix.copies(), mix.max_inconclusive());
        let soundness = soundness(&mix);
        let fires = if request.fires < 1.0 { worst_from(&mix, request.fires)? } else { soundness.log2 };
        Ok(Self {
            mix,
            lambda: request.lambda,
            soundness,
            // The union bound; both are at most alpha.
            false_reject: (public + copies).min(1.0),
            false_accept: request.labels.false_accept(mix.publics(), mix.tau()),
            labels: request.labels,
            fires: (request.fires, fires),
        })
    }

    /// Whether position-dependent cheating passes with chance at most `2^-lambda`, also if it fires
    /// on the fraction of images that was asked for.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        let (phi, log2) = self.fires;
        self.soundness.meets(self.lambda) && (phi == 1.0 || log2 + FIRING_ERROR <= -self.lambda)
    }

    /// The plan as `--json` prints it.
    #[must_use]
    pub fn to_json(&self) -> PlanJson {
        PlanJson {
            queries: self.mix.queries(),
            copies: self.mix.copies(),
            publics: self.mix.publics(),
            tau: self.mix.tau(),
            max_inconclusive: self.mix.max_inconclusive(),
            lambda: self.lambda,
            soundness_log2: self.soundness.log2,
            sound: self.is_sound(),
            worst_m: self.soundness.worst_m,
            overhead: self.mix.overhead(),
            false_reject: self.false_reject,
            false_accept: self.false_accept,
            labels: self.labels,
            fires: self.fires.0,
        }
    }
}

/// The plan with the fewest samples and from `fewest` to `most` public ones, if it has fewer
/// samples than `best`; else `best`.
fn search(request: &PlanRequest, fewest: u32, most: u32, mut best: Option<Mix>) -> Option<Mix> {
    for copies in 1..=MOST_COPIES {
        let copied = u64::from(request.queries) * u64::from(copies);
        let budget = best.map_or(MAX_SAMPLES, |mix| u64::from(mix.samples()) - 1);
        if copied > budget {
            break;
        }
        let most = most.min((budget - copied) as u32);
        best = least_publics(request, copies, fewest, most).or(best);
    }
    best
}

/// The plan with `copies` and the least number of public samples of `fewest..=most` that meets
/// `request`.
fn least_publics(request: &PlanRequest, copies: u32, fewest: u32, most: u32) -> Option<Mix> {
    let (max_inconclusive, alpha) = request.split_alpha(copies);
    let with = |publics, tau| Mix::new(request.queries, copies, publics, tau, max_inconclusive).ok();
    let noticed = |publics, tau| request.labels.false_accept(publics, tau).is_none_or(|chance| chance <= request.beta);
    // First with a lower bound on P that is quick to compute, then with P itself.
    let glance = |publics, tau| {
        noticed(publics, tau) && with(publics, tau).is_some_and(|mix| lower_bound_log2(&mix, request.fires) <= 1e-6 - request.lambda)
    };
    let rarely = |mix: &Mix| request.fires == 1.0 || is_sound_from(mix, request.fires, request.lambda);
    let exact = |publics, tau| glance(publics, tau) && with(publics, tau).is_some_and(|mix| is_sound(&mix, request.lambda) && rarely(&mix));

    let tau = |publics| request.labels.least_tau(publics, alpha);
    let (start, _) = climb(fewest, most, &tau, &glance)?;
    let (publics, tau) = climb(start, most, &tau, &exact)?;
    with(publics, tau)
}

/// The least `T` of `from..=most` for which `holds(T, tau(T))`, with its `tau`, if no smaller `T`
/// can have it.
///
/// For a fixed `tau`, `holds` stays true as `T` grows; for a fixed `T`, it stays false as `tau`
/// grows; and `tau(T)` does not fall as `T` grows. So if `holds(t, tau(low))` is false, no `T` from
/// `low` to `t` can succeed, and `low` rises above `t`.
fn climb(from: u32, most: u32, tau: &dyn Fn(u32) -> u32, holds: &dyn Fn(u32, u32) -> bool) -> Option<(u32, u32)> {
    let mut low = from;
    // A `T` for which `holds` was true, with the `tau` of some smaller `T`.
    let mut high: Option<(u32, u32)> = None;
    let mut step = (from / 8).max(1);
    while low <= most {
        let tolerance = tau(low);
        let (tried, bracketed) = match high {
            Some((publics, known)) if known == tolerance => {
                if low == publics {
                    return Some((low, tolerance));
                }
                (low + (publics - low) / 2, true)
            }
            // `tau` has risen since then, so it must be tried again.
            Some((publics, _)) => (publics, true),
            None => (low.saturating_add(step).min(most), false),
        };
        if holds(tried, tolerance) {
            high = Some((tried, tolerance));
        } else {
            low = tried.checked_add(1)?;
            if high.is_some_and(|(publics, _)| publics < low) {
                high = None;
            }
            step = if bracketed { step } else { step.saturating_mul(2) };
        }
    }
    None
}

/// A lower bound on the larger `log2 P` of deviations that always fire and of those that fire on a
/// fraction of the images: one query corrupted in full and no public sample, or as many as are
/// tolerated; or everything, which makes copies agree.
fn lower_bound_log2(mix: &Mix, fires: f64) -> f64 {
    let [samples, copies, publics, tau] = [mix.samples(), mix.copies(), mix.publics(), mix.tau()].map(u64::from);
    let ln_queries = f64::from(mix.queries()).ln();
    let none = ln_queries - ln_choose(samples, copies);
    let all = ln_queries + ln_choose(publics, tau) - ln_choose(samples, copies + tau);
    let everywhere = lower_tail(publics, fires, tau).ln() + (-f64::exp_m1(f64::from(mix.queries()) * (-fires).ln_1p())).ln();
    none.max(all).max(everywhere) / std::f64::consts::LN_2
}
