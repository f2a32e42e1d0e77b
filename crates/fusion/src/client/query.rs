//! One batch: mix, run lanes, verify.

use std::collections::BTreeMap;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::Path;
use std::time::Duration;

use fusion_mix::audit::{AuditEntry, BatchFacts, LabelSource};
use fusion_mix::batch::{BatchAnswers, Label, MixedBatch};
use fusion_mix::plan::Plan;
use fusion_mix::pool::{KnownFrom, PoolPart};
use fusion_mix::report::{Report, ReportContext};
use fusion_mix::verify::verify as judge_answers;
use fusion_net::{LaneRequest, Reveal};
use fusion_nn::LANE_VERSION;
use fusion_ring::symmetric::digest::Digest;
use rand_core::CryptoRng;

use crate::client::connect::{Client, Inner};
use crate::client::inputs::{Encoded, Inputs, Sources, tensors_digest};
use crate::client::journal::{Journal, RunDir, check_free};
use crate::client::judge::{context_of, load_batch};
use crate::client::keeper::Keeper;
use crate::client::lanes::{ImageOf, Lanes, Next, Told};
use crate::client::outcome::Outcome;
use crate::client::public_pool::PublicPool;
use crate::client::run_facts::{FORMAT, ImageDigests, RunFacts, RunInputs};
use crate::error::Error;
use crate::event::{Event, Events};
use crate::lane_terms::asked;

/// Elements of the largest tensor of a lane, by which the default number of samples per lane is
/// bounded.
const LANE_ELEMENTS: usize = 1 << 23;
/// Confidence of the accumulated accuracy's interval.
const CONFIDENCE: f64 = 0.95;

/// A run on its way: everything fixed, some lanes perhaps done.
struct Run<'a> {
    client: &'a Inner,
    dir: RunDir,
    facts: RunFacts,
    plan: Plan,
    batch: MixedBatch,
    encoded: Encoded,
    /// What the batch is for the tally, into which it is sure to fit.
    entry: AuditEntry,
    done: Vec<(Range<u32>, Vec<Label>)>,
    /// Lane runs that may fail, and those that have.
    failures: (u32, u32),
    float_labels: Option<Vec<Label>>,
    warnings: Vec<String>,
    began: Duration,
}

impl Client {
    /// Classifies `inputs`, hidden among public samples of the pool `publics` as `plan` says, and
    /// verifies the answers. What it does is kept in `journal`, from which an interrupted run goes
    /// on ([`resume`](Self::resume)). `rng` makes the secret order and everything that lanes draw.
    ///
    /// # Errors
    /// A pool that is too small, images that cannot be read, a journal that cannot be written;
    /// [`Error::Incomplete`] if lanes fail too often: what was finished stays in the journal. A
    /// rejected batch is a verdict, not an error.
    pub fn query(
        &self,
        inputs: &Inputs,
        publics: &PublicPool,
        plan: &Plan,
        journal: Journal,
        rng: &mut (impl CryptoRng + Send),
        events: &mut Events<'_>,
    ) -> Result<Outcome, Error> {
        let run = self.begin(inputs, publics, plan, journal, rng, events)?;
        events(Event::Mixed { plan: &run.plan, lanes: self.lanes() });
        run.finish(self.lanes(), rng, events)
    }

    /// Goes on with an interrupted run; `inputs` and `publics` are those that it began with.
    ///
    /// Lane runs that failed before the interruption count, and the bound on them is the one that
    /// the run began with. A run of a program that kept neither number goes on as if the bound of
    /// the settings were spent, so that no lane of it may fail any more.
    ///
    /// # Errors
    /// A damaged journal, too many failed lane runs, changed inputs ([`Error::OtherInputs`]),
    /// another model at the server ([`Error::OtherModel`]); else as [`query`](Self::query).
    pub fn resume(
        &self,
        inputs: &Inputs,
        publics: &PublicPool,
        journal: &Path,
        rng: &mut (impl CryptoRng + Send),
        events: &mut Events<'_>,
    ) -> Result<Outcome, Error> {
        let run = self.reopen(inputs, publics, journal, events)?;
        events(Event::Mixed { plan: &run.plan, lanes: self.lanes() });
        run.finish(self.lanes(), rng, events)
    }

    /// Mixes a new run, and writes its directory.
    fn begin(
        &self,
        inputs: &Inputs,
        publics: &PublicPool,
        plan: &Plan,
        journal: Journal,
        rng: &mut impl CryptoRng,
        events: &mut Events<'_>,
    ) -> Result<Run<'_>, Error> {
        let client = &*self.inner;
        let began = client.settings.clock.now();
        if inputs.samples.is_empty() {
            return Err(Error::NoInputs);
        }
        if !client.settings.allow_unsound {
            publics.check_runs(plan.lambda)?;
            if !plan.is_sound() {
                return Err(Error::Unsound { log2: plan.soundness.log2.max(plan.fires.1), lambda: plan.lambda });
            }
        }
        publics.check_classes(client.card.classes())?;
        inputs.check_float_labels(client.card.classes())?;
        // Before the images are read, which may take a while.
        check_free(&journal.path)?;
        client.memory.check()?;
        let sources = Sources::of(&inputs.samples, publics)?;
        let used = publics.ids_of(&client.memory.used_images()?);
        let (drawn, drawing) = publics.to_draw_from()?.draw(plan.mix.publics(), &used, rng)?;
        let batch = MixedBatch::assemble(plan.mix, drawn, rng)?;
        let encoded = Encoded::read(&client.card, &batch, &inputs.samples, publics, events)?;
        let images = publics.images_of(&batch);
        let warnings = publics.warnings(&drawing);
        let mut id = [0; 16];
        rng.fill_bytes(&mut id);
        let facts = RunFacts {
            version: FORMAT,
            id: Digest::of(&id).to_string(),
            server: client.settings.connection.address.clone(),
            model: client.settings.model.clone(),
            card_digest: client.served.card_digest.to_string(),
            hint_digest: client.served.description.hint_digest.to_string(),
            plan: plan.to_json(),
            class_names: client.card.labels.clone(),
            classes: u32::try_from(client.card.classes()).ok(),
            inputs: RunInputs {
                source: journal.source,
                digest: sources.all.to_string(),
                files: inputs.samples.iter().map(|sample| sample.name.clone()).collect(),
                skipped: inputs.skipped.clone(),
                images: Some(ImageDigests { queries: sources.queries.iter().map(ToString::to_string).collect(), publics: images.clone() }),
            },
            pool: publics.parts().to_vec(),
            sheet: publics.sheet().copied(),
            slices: batch.lane_slices(self.lanes_needed(plan.mix.samples())),
            max_failures: Some(client.settings.max_failures),
        };
        let entry = entry(&facts, plan, &images)?;
        let dir = RunDir::create(&journal.path, &facts, &batch)?;
        Ok(Run {
            client,
            dir,
            facts,
            plan: *plan,
            batch,
            encoded,
            entry,
            done: Vec::new(),
            failures: (client.settings.max_failures, 0),
            float_labels: inputs.float_labels.clone(),
            warnings,
            began,
        })
    }

    /// Opens an interrupted run; the inputs are read again and must be the same.
    fn reopen(&self, inputs: &Inputs, publics: &PublicPool, path: &Path, events: &mut Events<'_>) -> Result<Run<'_>, Error> {
        let client = &*self.inner;
        let began = client.settings.clock.now();
        let (dir, facts, done) = RunDir::open(path)?;
        let mut warnings = Vec::new();
        let failures = match facts.max_failures {
            Some(allowed) => (allowed, dir.failures()?),
            None => {
                warnings.push("this run was begun by a program that did not count failed lanes: none may fail any more".to_owned());
                let allowed = client.settings.max_failures;
                (allowed, allowed.saturating_add(dir.failures()?))
            }
        };
        let served = client.served.card_digest.to_string();
        if facts.card_digest != served {
            return Err(Error::OtherModel { run: facts.card_digest, served });
        }
        let sources = Sources::of(&inputs.samples, publics)?;
        let digest = match facts.version {
            1 => tensors_digest(&client.card, &inputs.samples, publics)?,
            _ => sources.all,
        };
        if digest.to_string() != facts.inputs.digest {
            return Err(Error::OtherInputs);
        }
        let (batch, plan) = load_batch(&dir, &facts)?;
        let classes = client.card.classes();
        inputs.check_float_labels(classes)?;
        if let Some(beyond) = batch.publics().iter().find(|sample| sample.label as usize >= classes) {
            let name = publics.sample(beyond.id).map(|sample| sample.name.clone()).unwrap_or_default();
            return Err(Error::NoSuchClass { name, label: beyond.label, classes });
        }
        client.memory.check()?;
        // Refuses a run that has spent more than it may.
        BatchAnswers::resumed(&batch, failures.0, failures.1)?;
        let encoded = Encoded::read(&client.card, &batch, &inputs.samples, publics, events)?;
        let float_labels = inputs.float_labels.clone();
        let entry = entry(&facts, &plan, &publics.images_of(&batch))?;
        Ok(Run { client, dir, facts, plan, batch, encoded, entry, done, failures, float_labels, warnings, began })
    }

    /// How many slices the batch is cut into.
    fn lanes_needed(&self, samples: u32) -> u32 {
        let client = &*self.inner;
        let lanes = self.lanes() as u32;
        let largest = client.model.program().tensors.iter().map(|t| t.shape.len()).max().unwrap_or(1);
        let fits = (LANE_ELEMENTS / largest.max(1)).max(1) as u32;
        let allowed = match client.served.limits.samples_per_lane {
            0 => u32::MAX,
            limit => limit,
        };
        let per_lane = client.settings.lane_samples.unwrap_or_else(|| samples.div_ceil(lanes).min(fits)).clamp(1, allowed);
        samples.div_ceil(per_lane)
    }

    /// Lanes on images of the caller's, for measurements: nothing is mixed, nothing is verified,
    /// and whatever the server answers counts.
    pub fn unverified_lanes<'a>(&'a self, image: &'a ImageOf<'a>, rng: &'a mut (dyn CryptoRng + Send)) -> Lanes<'a> {
        self.inner.lanes(image, rng)
    }
}

impl Inner {
    fn lanes<'a>(&'a self, image: &'a ImageOf<'a>, rng: &'a mut (dyn CryptoRng + Send)) -> Lanes<'a> {
        let (split, extension) = asked(self.terms());
        // Each lane has its own number and number of samples.
        let request = LaneRequest {
            card_digest: self.served.card_digest,
            params_version: LANE_VERSION,
            n_samples: 0,
            reveal: Reveal::Label,
            lane: 0,
            split,
            extension,
        };
        let waits = (&*self.settings.clock, self.settings.patience);
        Lanes::new(&self.net, (&self.model, &self.hint), request, image, waits, rng)
    }
}

impl Run<'_> {
    /// Runs the lanes that are missing, and verifies.
    fn finish(mut self, lanes: usize, rng: &mut (dyn CryptoRng + Send), events: &mut Events<'_>) -> Result<Outcome, Error> {
        let mut sheet = BatchAnswers::resumed(&self.batch, self.failures.0, self.failures.1)?.of_classes(self.facts.classes);
        for (slice, labels) in &self.done {
            sheet.record(slice.clone(), labels)?;
        }
        let slices = missing(&self.facts.slices, &self.done);
        let (client, batch, encoded) = (self.client, &self.batch, &self.encoded);
        let image = |position: u32| encoded.image(batch.item(position)).ok_or_else(|| format!("no image stands at position {position}"));
        let clock = &*client.settings.clock;
        let setting = client.lanes(&image, rng);
        let began = clock.now();
        let mut keeper = Keeper::new(&mut self.dir, sheet);
        keeper.costs.setup_seconds = began.saturating_sub(self.began).as_secs_f64();
        // A panic of the caller's stops the run, and goes on when all that ran is on record.
        let mut panic = None;
        let mut tell = |event: Event<'_>| match catch_unwind(AssertUnwindSafe(|| events(event))) {
            Ok(()) => Next::Go,
            Err(payload) => {
                panic.get_or_insert(payload);
                Next::Stop
            }
        };
        let waited = setting.run_all(slices, lanes, &mut |told| match told {
            Told::Progress(progress) => tell(Event::Lanes(progress)),
            Told::Done(lane) => {
                let kept = keeper.keep(&lane);
                kept.or(tell(Event::LaneDone { slice: &lane.slice, seconds: lane.seconds }))
            }
            Told::Failed(failed) => {
                // Counted first: what the caller does in between must not lose it.
                let counted = keeper.judge(&failed);
                counted.or(tell(Event::LaneFailed { slice: &failed.slice, error: &failed.error }))
            }
            Told::Waiting { why, at_most } => tell(Event::Waiting { why: &why, at_most }),
            Told::GivenUp(why) => keeper.give_up(why, client.settings.patience),
        });
        if let Some(payload) = panic {
            resume_unwind(payload);
        }
        let Keeper { sheet, mut costs, failure, .. } = keeper;
        costs.waited_seconds = waited.as_secs_f64();
        costs.wall_seconds = clock.now().saturating_sub(began).as_secs_f64();
        if let Some(cause) = failure {
            let all = self.plan.mix.samples();
            return Err(Error::Incomplete {
                answered: all - sheet.missing(),
                all,
                resumable: sheet.failures() <= self.failures.0,
                journal: self.dir.path().to_owned(),
                cause: Box::new(cause),
            });
        }
        let report = self.conclude(&sheet)?;
        Ok(Outcome { report, costs })
    }

    /// Compares the answers and adds them to the audit tally.
    fn conclude(self, sheet: &BatchAnswers) -> Result<Report, Error> {
        let verification = judge_answers(&self.batch, sheet)?;
        let recorded = self.client.memory.record(&self.entry, &verification);
        let audit = recorded.map_err(|cause| Error::NotRecorded { journal: self.dir.path().to_owned(), cause })?;
        let source = LabelSource::from(&self.plan.labels);
        let context = ReportContext {
            float_labels: self.float_labels.as_deref(),
            accumulated: audit.accuracy(&self.facts.hint_digest, source, CONFIDENCE)?,
            batches: audit.batches(&self.facts.hint_digest),
            warnings: self.warnings,
            ..context_of(&self.facts, self.client.settings.reveal_rejected)
        };
        Ok(Report::new(&self.plan, &verification, context))
    }
}

/// The parts of `slices` that are not `done`. Lanes are slices, or pieces of one.
fn missing(slices: &[Range<u32>], done: &[(Range<u32>, Vec<Label>)]) -> Vec<Range<u32>> {
    let mut done: Vec<&Range<u32>> = done.iter().map(|(lane, _)| lane).collect();
    done.sort_by_key(|lane| lane.start);
    let mut missing = Vec::new();
    for slice in slices {
        let mut at = slice.start;
        for lane in done.iter().filter(|lane| slice.contains(&lane.start)) {
            missing.push(at..lane.start);
            at = lane.end;
        }
        missing.push(at..slice.end);
    }
    missing.retain(|part| !part.is_empty());
    missing
}

/// What a run is for the tally of its model. Checked here, so that no answers are paid for which
/// could not be counted then.
fn entry(facts: &RunFacts, plan: &Plan, images: &BTreeMap<u32, String>) -> Result<AuditEntry, Error> {
    let earlier: Vec<&PoolPart> = facts.pool.iter().filter(|part| part.known_from == KnownFrom::EarlierRuns).collect();
    let counts = |id: u32| !earlier.iter().any(|part| (part.first..part.end).contains(&id));
    let of = BatchFacts { name: facts.name(), labels: LabelSource::from(&plan.labels), soundness: &plan.soundness };
    let counted = images.iter().filter(|(id, _)| counts(**id)).map(|(id, image)| (*id, image.as_str()));
    Ok(AuditEntry::new(&facts.hint_digest, &of, counted)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_of_a_run_is_run_whatever_its_lanes_were() {
        let lanes = |done: &[Range<u32>]| done.iter().map(|lane| (lane.clone(), Vec::new())).collect::<Vec<_>>();
        let slices = [0..4, 4..8, 8..9];
        assert_eq!(missing(&slices, &[]), slices);
        assert_eq!(missing(&slices, &lanes(&slices[1..2])), [0..4, 8..9]);
        assert_eq!(missing(&slices, &lanes(&[6..7, 0..2, 8..9, 2..3])), [3..4, 4..6, 7..8]);
        assert_eq!(missing(&slices, &lanes(&[8..9, 4..8, 0..4])), []);
    }
}
