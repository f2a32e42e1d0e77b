//! The client: card, plans, pools of public samples, batches.

use std::path::PathBuf;
use std::sync::Arc;

use fusion::images::{Sample, check_labels};
use fusion::mix::firing::by_firing;
use fusion::mix::mix::MAX_SAMPLES;
use fusion::mix::plan::Plan;
use fusion::mix::pool::KnownFrom;
use fusion::mix::{Guarantees, MixError};
use fusion::model::card::ModelCard;
use fusion::{Error, Inputs, Journal, MixSettings, PoolFacts, PublicPool};
use pyo3::prelude::*;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::calls::{Patience, call};
use crate::faults::Fault;
use crate::images::Images;
use crate::report::Report;
use crate::settings::{ClientKeywords, MixKeywords, read, system_rng};

/// A server whose model is known and trusted.
#[pyclass(module = "fusion._fusion", frozen)]
pub(crate) struct Client {
    client: fusion::Client,
}

/// Images with known answers.
#[pyclass(module = "fusion._fusion", frozen)]
pub(crate) struct Pool {
    pool: Arc<PublicPool>,
}

/// Where the labels of public samples come from.
#[derive(Deserialize, Clone, Copy)]
#[serde(rename_all = "snake_case")]
enum Origin {
    /// The owner's published answers if there are any, else the labels, as the truth.
    Auto,
    /// The labels, as the truth.
    Truth,
    /// The labels, as the model's own answers, for which somebody vouches.
    Certified,
}

/// Reads the keywords of a mix.
pub(crate) fn mix_settings(keywords: &str) -> Result<MixSettings, Fault> {
    read::<MixKeywords>(keywords)?.settings()
}

/// What the public card says, for people and programs.
pub(crate) fn card_json(card: &ModelCard) -> Result<Value, Fault> {
    let input = card.program.tensors[card.program.input.0].shape;
    let hint = card.hint;
    Ok(json!({
        "name": card.name,
        "classes": card.classes(),
        "class_names": card.labels,
        "claimed_accuracy": card.claim.as_ref().map(|claim| claim.top1),
        "dataset": card.claim.as_ref().map(|claim| claim.dataset.clone()),
        "input_shape": [input.channels, input.height, input.width],
        "digest": card.digest()?.to_string(),
        "hint_bytes": hint.map(|hint| hint.bytes),
        "hint_digest": hint.map(|hint| hint.digest.to_string()),
        "steps": card.program.steps.len(),
        "flip_rate": card.flips.map(|flips| flips.rate),
        "answers": card.answers.is_some(),
        "logits_bits": card.logits_bits,
    }))
}

/// A plan, with the words for what it guarantees.
pub(crate) fn plan_json(plan: &Plan) -> Result<String, Fault> {
    let firing = by_firing(&plan.mix);
    let mut value = serde_json::to_value(plan.to_json()).map_err(Fault::input)?;
    value["guarantees"] = serde_json::to_value(Guarantees::planned(plan, &firing)).map_err(Fault::input)?;
    value["by_firing"] = serde_json::to_value(&firing).map_err(Fault::input)?;
    Ok(value.to_string())
}

/// What a plan depends on of a pool of which only the size is known.
pub(crate) fn facts_of(mix: &MixSettings, card: Option<&ModelCard>, size: Option<u32>, certified: bool) -> Result<PoolFacts, Fault> {
    let known_from = match card {
        _ if certified => KnownFrom::Certified,
        Some(card) if card.answers.is_some() => KnownFrom::AnswerSheet,
        _ => KnownFrom::GroundTruth,
    };
    // Published answers are decided: an honest server gives them, but for a vanishing rate.
    let mismatch = if certified { mix.flips(card)?.rate() } else { 0.0 };
    Ok(PoolFacts { size: size.unwrap_or(MAX_SAMPLES as u32), known_from, mismatch })
}

#[pymethods]
impl Client {
    #[staticmethod]
    fn connect(py: Python<'_>, keywords: &str, on_event: &Bound<'_, PyAny>) -> PyResult<Self> {
        let keywords = read::<ClientKeywords>(keywords).and_then(ClientKeywords::settings);
        let settings = keywords.map_err(|fault| fault.raise(py))?;
        let client = call(py, on_event, Patience::Moment, move |events| Ok(fusion::Client::connect_telling(settings, events)?))?;
        Ok(Self { client })
    }

    /// The card, why it is trusted, and how many lanes run side by side.
    fn facts(&self, py: Python<'_>) -> PyResult<String> {
        let mut value = card_json(self.client.card()).map_err(|fault| fault.raise(py))?;
        value["trust"] = json!(self.client.trust());
        value["lanes"] = json!(self.client.lanes());
        Ok(value.to_string())
    }

    /// The pool of `publics` and of what earlier runs have answered of their images.
    fn pool(
        &self,
        py: Python<'_>,
        publics: Option<&Images>,
        earlier: Vec<(PathBuf, Py<Images>)>,
        origin: &str,
        keywords: &str,
    ) -> PyResult<Pool> {
        let prepared = mix_settings(keywords).and_then(|mix| Ok((mix, read::<Origin>(&json!(origin).to_string())?)));
        let (mix, origin) = prepared.map_err(|fault| fault.raise(py))?;
        let publics = publics.map(|images| images.samples.clone());
        let earlier: Vec<_> = earlier.into_iter().map(|(run, images)| (run, images.borrow(py).samples.clone())).collect();
        let client = self.client.clone();
        let pool = call(py, py.None().bind(py), Patience::Moment, move |_| {
            let mut pool = publics.map_or_else(|| Ok(PublicPool::default()), |samples| pool_of(&client, samples, origin))?;
            for (run, candidates) in earlier {
                pool = pool.with(client.earlier(&mix, &run, candidates)?)?;
            }
            Ok(pool)
        })?;
        Ok(Pool { pool: Arc::new(pool) })
    }

    /// A plan for so many queries: among the samples of a pool, or as if there were `size`.
    fn plan(
        &self,
        py: Python<'_>,
        queries: usize,
        pool: Option<&Pool>,
        size: Option<u32>,
        certified: bool,
        keywords: &str,
    ) -> PyResult<String> {
        let mix = mix_settings(keywords).map_err(|fault| fault.raise(py))?;
        let (client, pool) = (self.client.clone(), pool.map(|pool| Arc::clone(&pool.pool)));
        call(py, py.None().bind(py), Patience::Moment, move |_| {
            if let Some(pool) = pool {
                return plan_json(&client.plan(&mix, queries, &pool)?);
            }
            let card = Some(client.card());
            let queries = u32::try_from(queries).map_err(|_| Fault::input(format!("{queries} queries are more than a batch holds")))?;
            let request = mix.request(queries, &facts_of(&mix, card, size, certified)?, card)?;
            plan_json(&mix.plan(&request)?)
        })
    }

    /// The images of `images` that the model can read; an image that was not found in a folder but
    /// given itself must be one of them.
    fn readable(&self, py: Python<'_>, images: &Images) -> PyResult<Images> {
        let (client, images) = (self.client.clone(), images.clone());
        call(py, py.None().bind(py), Patience::Moment, move |_| {
            let Images { samples, skipped, given } = images;
            let inputs = Inputs { skipped, ..Inputs::from(samples) }.readable(client.card());
            if let Some(file) = inputs.skipped.iter().find(|file| given.contains(&file.file)) {
                return Err(Fault::input(format!("{} cannot be classified: {}", file.file, file.reason)));
            }
            Ok(Images { samples: inputs.samples, skipped: inputs.skipped, given })
        })
    }

    /// Runs a batch, keeping it in the directory `run` with what finds its images again.
    #[expect(clippy::too_many_arguments, reason = "called by the package alone, which names them")]
    fn classify(
        &self,
        py: Python<'_>,
        images: &Images,
        pool: &Pool,
        keywords: &str,
        run: PathBuf,
        source: &str,
        on_event: &Bound<'_, PyAny>,
    ) -> PyResult<Report> {
        let prepared = mix_settings(keywords).and_then(|mix| Ok((mix, read::<Map<String, Value>>(source)?)));
        let (mix, source) = prepared.map_err(|fault| fault.raise(py))?;
        let (client, images, pool) = (self.client.clone(), images.clone(), Arc::clone(&pool.pool));
        call(py, on_event, Patience::Whole, move |events| {
            let inputs = Inputs { skipped: images.skipped, ..Inputs::from(images.samples) };
            let plan = client.plan(&mix, inputs.samples.len(), &pool)?;
            let journal = Journal::at(run).keeping(source);
            Report::of(client.query(&inputs, &pool, &plan, journal, &mut system_rng()?, events)?)
        })
    }

    /// Goes on with a run.
    fn resume(&self, py: Python<'_>, images: &Images, pool: &Pool, run: PathBuf, on_event: &Bound<'_, PyAny>) -> PyResult<Report> {
        let (client, images, pool) = (self.client.clone(), images.clone(), Arc::clone(&pool.pool));
        call(py, on_event, Patience::Whole, move |events| {
            let inputs = Inputs { skipped: images.skipped, ..Inputs::from(images.samples) };
            Report::of(client.resume(&inputs, &pool, &run, &mut system_rng()?, events)?)
        })
    }
}

#[pymethods]
impl Pool {
    fn __len__(&self) -> usize {
        self.pool.len()
    }
}

/// A pool of samples whose labels come from `origin`.
fn pool_of(client: &fusion::Client, samples: Vec<Sample>, origin: Origin) -> Result<PublicPool, Fault> {
    check_labels(samples.iter(), client.card().classes())?;
    let labelled = samples.iter().any(|sample| sample.label.is_some());
    let pool = match origin {
        Origin::Truth => PublicPool::labelled(samples, KnownFrom::GroundTruth)?,
        Origin::Certified => PublicPool::labelled(samples, KnownFrom::Certified)?,
        Origin::Auto => match client.answer_sheet()? {
            Some(sheet) => PublicPool::of_sheet(samples, &sheet)?,
            None if labelled => PublicPool::labelled(samples, KnownFrom::GroundTruth)?,
            None => return Err(Error::NoAnswers.into()),
        },
    };
    if pool.is_empty() {
        return Err(MixError::OutOfRange {
            what: "the number of public samples with known answers",
            range: "at least 1",
            value: "0".to_owned(),
        }
        .into());
    }
    Ok(pool)
}
