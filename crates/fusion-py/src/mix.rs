//! The arithmetic of mixed batches, without a server.

use std::collections::BTreeMap;

use fusion::mix::adversary::{Adversary, Positions, predict as exact};
use fusion::mix::mix::Mix;
use fusion::mix::simulate::simulate as play;
use fusion::mix::soundness::soundness as worst_case;
use pyo3::prelude::*;
use rand::SeedableRng as _;
use rand_chacha::ChaCha20Rng;
use serde::Deserialize;

use crate::calls::{Patience, call};
use crate::client::{facts_of, mix_settings, plan_json};
use crate::faults::Fault;
use crate::settings::{fresh_rng, read};

/// Queries, copies, public samples, tau, max_inconclusive.
type Five = (u32, u32, u32, u32, u32);

fn mix_of((queries, copies, publics, tau, max_inconclusive): Five) -> Result<Mix, Fault> {
    Ok(Mix::new(queries, copies, publics, tau, max_inconclusive)?)
}

/// The base-2 logarithm of the server's best chance, a bound on its error, and the number of
/// positions that it takes to corrupt.
#[pyfunction]
pub(crate) fn soundness(py: Python<'_>, mix: Five) -> PyResult<(f64, f64, u32)> {
    call(py, py.None().bind(py), Patience::Moment, move |_| {
        let found = worst_case(&mix_of(mix)?);
        Ok((found.log2, found.error_log2, found.worst_m))
    })
}

/// A plan for a model of which only its claim is known.
#[pyfunction]
pub(crate) fn standalone_plan(py: Python<'_>, queries: u32, size: Option<u32>, certified: bool, keywords: &str) -> PyResult<String> {
    let mix = mix_settings(keywords).map_err(|fault| fault.raise(py))?;
    call(py, py.None().bind(py), Patience::Moment, move |_| {
        let request = mix.request(queries, &facts_of(&mix, None, size, certified)?, None)?;
        plan_json(&mix.plan(&request)?)
    })
}

/// Keywords of an adversary.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AdversaryKeywords {
    corrupted: Option<u32>,
    rate: Option<f64>,
    fires: f64,
    natural_error: f64,
    natural_disagreement: f64,
}

impl AdversaryKeywords {
    fn adversary(self) -> Result<Adversary, Fault> {
        let positions = match (self.corrupted, self.rate) {
            (Some(count), None) => Positions::Exactly(count),
            (None, Some(rate)) => Positions::Fraction(rate),
            _ => return Err(Fault::input("an adversary corrupts a number of positions or a rate of them: give one of the two")),
        };
        let Self { fires, natural_error, natural_disagreement, .. } = self;
        Ok(Adversary { positions, fires, natural_error, natural_disagreement })
    }
}

/// Plays batches, and counts how they end.
#[pyfunction]
pub(crate) fn simulate(
    py: Python<'_>,
    mix: Five,
    adversary: &str,
    batches: u64,
    seed: Option<u64>,
) -> PyResult<BTreeMap<&'static str, u64>> {
    let keywords = read::<AdversaryKeywords>(adversary).and_then(AdversaryKeywords::adversary);
    let adversary = keywords.map_err(|fault| fault.raise(py))?;
    call(py, py.None().bind(py), Patience::Moment, move |_| {
        let mut rng = match seed {
            Some(seed) => ChaCha20Rng::seed_from_u64(seed),
            None => fresh_rng()?,
        };
        let tally = play(&mix_of(mix)?, &adversary, batches, &mut rng)?;
        Ok([
            ("batches", tally.batches),
            ("accepted", tally.accepted),
            ("cheated", tally.cheated),
            ("rejected_accuracy", tally.rejected_accuracy),
            ("rejected_inconsistent", tally.rejected_inconsistent),
            ("wrong_answers", tally.wrong_answers),
        ]
        .into())
    })
}

/// The exact chances that a batch is accepted, and that it is with a wrong answer.
#[pyfunction]
pub(crate) fn predict(py: Python<'_>, mix: Five, adversary: &str) -> PyResult<(f64, f64)> {
    let keywords = read::<AdversaryKeywords>(adversary).and_then(AdversaryKeywords::adversary);
    let adversary = keywords.map_err(|fault| fault.raise(py))?;
    call(py, py.None().bind(py), Patience::Moment, move |_| {
        let found = exact(&mix_of(mix)?, &adversary)?;
        Ok((found.accepted, found.cheated))
    })
}
