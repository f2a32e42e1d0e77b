//! `fusion query`: describe, trust, plan, mix, run lanes, verify.

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};
use fusion_mix::audit::{AuditLog, LabelSource};
use fusion_mix::batch::{AnswerSheet, Item, Label, MixedBatch};
use fusion_mix::plan::{Plan, PlanRequest};
use fusion_mix::report::{Report, ReportContext};
use fusion_mix::verify::{RevealRejected, verify};
use fusion_net::{LaneRequest, Reveal};
use fusion_nn::exec::{EncodedImage, Opened};

pub use crate::connection::{Connected, QuerySettings, connect};
pub use crate::inputs::Batch;
pub use crate::mixing::print_plan;

use crate::cli::{MixArgs, QueryArgs};
use crate::home;
use crate::inputs::Encoded;
use crate::lanes::{LaneSetting, Live, Next, fresh_rng};
use crate::outcome::{Costs, Outcome};
use crate::progress::{Running, bar};
use crate::rundir::{FORMAT, Inputs, PublicSource, RunDir, RunFacts};
use crate::served::PARAMS_VERSION;

/// Where a server is looked for if nobody says.
const DEFAULT_SERVER: &str = "127.0.0.1:7878";

/// Elements of the largest tensor of a lane, by which the default number of samples per lane is bounded.
const LANE_ELEMENTS: usize = 1 << 23;
/// Wait before the first failed lane is run again; doubled with every further failure.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// Longest wait before a failed lane is run again.
const LONGEST_PAUSE: Duration = Duration::from_secs(3);

/// A run on its way: everything fixed, some lanes perhaps done.
pub struct Run {
    dir: RunDir,
    facts: RunFacts,
    plan: Plan,
    batch: MixedBatch,
    encoded: Encoded,
    done: Vec<(Range<u32>, Vec<Label>)>,
    /// Lane runs that may fail, and those that have.
    failures: (u32, u32),
    float_labels: Option<Vec<Label>>,
    warnings: Vec<String>,
    began: Instant,
}

impl Run {
    /// Plans and mixes a new run, and writes its directory.
    ///
    /// # Errors
    /// No plan, a pool that is too small, images that cannot be read, a directory that cannot be written.
    pub fn begin(
        settings: &QuerySettings,
        server: &Connected,
        batch: Batch,
        mix: &MixArgs,
        source: (Vec<PathBuf>, PublicSource),
        out: &Path,
    ) -> Result<Self> {
        let began = Instant::now();
        if batch.queries.is_empty() {
            bail!("there is nothing to classify");
        }
        let pool = batch.public_pool()?;
        let plan = mix.plan(&mix.request(batch.queries.len() as u32, pool.len(), Some(&server.card))?)?;
        print_plan(&plan);
        let (encoded, digest) = batch.encode(&server.card)?;
        let mut rng = fresh_rng()?;
        let audit = AuditLog::load(&settings.home.join("audit.json"))?;
        let (publics, warnings) = pool.draw(plan.mix.publics(), &audit.used_samples(&encoded.pool_digest()), &mut rng)?;
        let mixed = MixedBatch::assemble(plan.mix, publics, &mut rng)?;
        let facts = RunFacts {
            version: FORMAT,
            server: settings.client.address.clone(),
            card_digest: server.served.card_digest.to_string(),
            hint_digest: server.served.description.hint_digest.to_string(),
            plan: plan.to_json(),
            inputs: Inputs { queries: source.0, publics: source.1, digest },
            slices: mixed.lane_slices(lanes_needed(settings, server, plan.mix.samples())),
            max_failures: Some(settings.max_failures),
        };
        let dir = RunDir::create(out, &facts)?;
        mixed.save(&dir.batch_path())?;
        let warnings = warnings.iter().map(ToString::to_string).collect();
        let failures = (settings.max_failures, 0);
        Ok(Self { dir, facts, plan, batch: mixed, encoded, done: Vec::new(), failures, float_labels: batch.float_labels, warnings, began })
    }

    /// Opens an interrupted run; the inputs are read again and must be the same.
    ///
    /// Lane runs that failed before the interruption count, and the bound on them is the one that
    /// the run began with. A run of an older program has neither number: it may go on under the
    /// bound of `settings` as if all of that were spent, so that no lane of it may fail any more.
    ///
    /// # Errors
    /// A damaged directory, too many failed lane runs, changed inputs, another model at the server.
    pub fn resume(settings: &QuerySettings, server: &Connected, path: &Path) -> Result<Self> {
        let began = Instant::now();
        let (dir, facts, done) = RunDir::open(path)?;
        let mut warnings = Vec::new();
        let failures = match facts.max_failures {
            Some(allowed) => (allowed, dir.failures()?),
            None => {
                warnings.push("this run was begun by a program that did not count failed lanes: none may fail any more".to_owned());
                (settings.max_failures, settings.max_failures.saturating_add(dir.failures()?))
            }
        };
        if facts.card_digest != server.served.card_digest.to_string() {
            bail!("the server serves another model now\n  run:    {}\n  served: {}", facts.card_digest, server.served.card_digest);
        }
        let (encoded, digest) = Batch::read(&facts.inputs.queries, &facts.inputs.publics)?.encode(&server.card)?;
        if digest != facts.inputs.digest {
            bail!("the input images changed since the run began");
        }
        let (batch, plan) = load_batch(&dir, &facts)?;
        // Refuses a run that has spent more than it may.
        AnswerSheet::resumed(&batch, failures.0, failures.1)?;
        Ok(Self { dir, facts, plan, batch, encoded, done, failures, float_labels: None, warnings, began })
    }

    /// Runs the lanes that are missing, and verifies.
    ///
    /// # Errors
    /// Too many failed lanes ("server unavailable"), or a disk that refuses the journal. What was finished stays in the directory.
    pub fn finish(mut self, settings: &QuerySettings, server: &Connected) -> Result<Outcome> {
        let mut sheet = AnswerSheet::resumed(&self.batch, self.failures.0, self.failures.1)?;
        for (slice, labels) in &self.done {
            sheet.record(slice.clone(), labels)?;
        }
        let done: Vec<u32> = self.done.iter().map(|(slice, _)| slice.start).collect();
        let slices: Vec<_> = self.facts.slices.iter().filter(|s| !s.is_empty() && !done.contains(&s.start)).cloned().collect();
        let missing: usize = slices.iter().map(Range::len).sum();
        let (batch, encoded) = (&self.batch, &self.encoded);
        let image = |position: u32| -> Result<Arc<EncodedImage>, String> {
            let found = match batch.item(position) {
                Item::Query { query } => encoded.queries.get(query as usize),
                Item::Public { id } => encoded.pool.get(id as usize),
            };
            found.cloned().ok_or_else(|| format!("no image stands at position {position}"))
        };
        let request = LaneRequest {
            card_digest: server.served.card_digest,
            params_version: PARAMS_VERSION,
            n_samples: 0,
            reveal: Reveal::Label,
            lane: 0,
        };
        let setting = LaneSetting { client: &server.client, model: &server.model, hint: &server.hint, request, image: &image };
        let steps = server.model.program().steps.len() as u64 + 1;
        let live = Live::default();
        let mut costs = Costs::default();
        costs.setup_seconds = self.began.elapsed().as_secs_f64();
        let lanes_began = Instant::now();
        let mut failure: Option<anyhow::Error> = None;
        let mut pause = FIRST_PAUSE;
        let dir = &mut self.dir;
        let bar = bar(settings.progress, missing as u64 * steps, "lanes     {bar:30} {percent}% {elapsed_precise} (ETA {eta}) {msg}");
        let running = Running::default();
        std::thread::scope(|scope| {
            scope.spawn(|| running.show(&bar, &live, steps, missing));
            setting.run_all(slices, lanes(settings, server), &live, &mut |outcome| match outcome {
                Ok(lane) => {
                    let Opened::Labels(labels) = &lane.opened else {
                        failure.get_or_insert(anyhow!("a lane opened logits where labels were asked for"));
                        return Next::Stop;
                    };
                    let kept = dir.append(&lane.slice, labels).and_then(|()| Ok(sheet.record(lane.slice.clone(), labels)?));
                    costs.add(&lane);
                    match kept {
                        Ok(()) => Next::Go,
                        Err(error) => {
                            failure.get_or_insert(error.context("the answers of a lane could not be kept"));
                            Next::Stop
                        }
                    }
                }
                Err(failed) => {
                    tracing::warn!(slice = ?failed.slice, error = %failed.error, "lane failed; its answers are discarded unread");
                    // On disk before any other lane begins: a client that is killed now has spent
                    // it all the same.
                    let counted = dir.lane_failed().and_then(|()| Ok(sheet.lane_failed()?));
                    if failure.is_some() {
                        // One of the lanes that were still running when the run was given up.
                        return Next::Stop;
                    }
                    let error = match counted {
                        Ok(()) if failed.error.is_transient() => {
                            // A server that restarts needs a moment; running lanes are not disturbed by the wait, and no lane is begun.
                            std::thread::sleep(pause);
                            pause = (2 * pause).min(LONGEST_PAUSE);
                            return Next::Again;
                        }
                        Ok(()) => anyhow!("the run cannot go on"),
                        Err(error) => error,
                    };
                    failure = Some(error.context(failed.error.to_string()));
                    Next::Stop
                }
            });
            running.end();
        });
        bar.finish_and_clear();
        costs.wall_seconds = lanes_began.elapsed().as_secs_f64();
        if let Some(error) = failure {
            let next = if sheet.failures() > self.failures.0 {
                "it cannot be resumed".to_owned()
            } else {
                format!("go on with `fusion query --resume {}`", self.dir.path().display())
            };
            let (missing, all) = (sheet.missing(), self.plan.mix.samples());
            return Err(error.context(format!("{} of {all} positions are answered; {next}", all - missing)));
        }
        let report = conclude(
            settings,
            &self.facts,
            &self.plan,
            &self.batch,
            &sheet,
            self.float_labels.as_deref(),
            self.warnings,
            &self.encoded.pool_digest(),
        )?;
        Ok(Outcome { report, costs })
    }
}

/// From this round trip on a lane waits for the network for a good part of its time.
const LONG_ROUND_TRIP: Duration = Duration::from_millis(10);

/// How many lanes run side by side.
fn lanes(settings: &QuerySettings, server: &Connected) -> usize {
    let per_core = if server.round_trip >= LONG_ROUND_TRIP { 4 } else { 2 };
    let allowed = match server.served.limits.lanes_per_client {
        0 => usize::MAX,
        limit => limit as usize,
    };
    settings.lanes.unwrap_or_else(|| (per_core * std::thread::available_parallelism().map_or(2, usize::from)).min(allowed)).max(1)
}

/// How many slices the batch is cut into.
fn lanes_needed(settings: &QuerySettings, server: &Connected, samples: u32) -> u32 {
    let lanes = lanes(settings, server) as u32;
    let largest = server.model.program().tensors.iter().map(|t| t.shape.len()).max().unwrap_or(1);
    let fits = (LANE_ELEMENTS / largest.max(1)).max(1) as u32;
    let allowed = match server.served.limits.samples_per_lane {
        0 => u32::MAX,
        limit => limit,
    };
    let per_lane = settings.lane_samples.unwrap_or_else(|| samples.div_ceil(lanes).min(fits)).clamp(1, allowed);
    samples.div_ceil(per_lane)
}

/// The secret batch of a run and its plan.
fn load_batch(dir: &RunDir, facts: &RunFacts) -> Result<(MixedBatch, Plan)> {
    let batch = MixedBatch::load(&dir.batch_path())?;
    let request = PlanRequest::new(facts.plan.queries, facts.plan.lambda, facts.plan.labels);
    let plan = Plan::evaluate(&request, *batch.mix())?;
    Ok((batch, plan))
}

#[expect(clippy::too_many_arguments, reason = "the end of a run brings everything together once")]
fn conclude(
    settings: &QuerySettings,
    facts: &RunFacts,
    plan: &Plan,
    batch: &MixedBatch,
    sheet: &AnswerSheet,
    float_labels: Option<&[Label]>,
    warnings: Vec<String>,
    pool: &str,
) -> Result<Report> {
    let verification = verify(batch, sheet)?;
    let path = settings.home.join("audit.json");
    let source = LabelSource::from(&plan.labels);
    let mut audit = AuditLog::load(&path)?;
    audit.record(&facts.hint_digest, pool, source, &verification)?;
    std::fs::create_dir_all(&settings.home).with_context(|| format!("cannot make {}", settings.home.display()))?;
    audit.save(&path)?;
    let accumulated = audit.accuracy(&facts.hint_digest, source, 0.95)?;
    let context = ReportContext { float_labels, reveal_rejected: settings.reveal_rejected, accumulated, warnings };
    Ok(Report::new(plan, &verification, context))
}

/// Verifies a finished run again, from its directory alone.
///
/// # Errors
/// A damaged directory.
pub fn verify_again(path: &Path, reveal_rejected: Option<RevealRejected>) -> Result<Report> {
    let (dir, facts, done) = RunDir::open(path)?;
    let (batch, plan) = load_batch(&dir, &facts)?;
    let mut sheet = AnswerSheet::resumed(&batch, u32::MAX, dir.failures()?)?;
    for (slice, labels) in done {
        sheet.record(slice, &labels)?;
    }
    let verification = verify(&batch, &sheet)?;
    Ok(Report::new(&plan, &verification, ReportContext { reveal_rejected, ..ReportContext::default() }))
}

/// Runs the command.
///
/// # Errors
/// Anything that keeps the batch from being finished.
pub fn run(args: &QueryArgs) -> Result<Outcome> {
    let home = home()?;
    let server = args.resume.as_deref().map(crate::rundir::server_of).transpose()?;
    let settings = QuerySettings {
        client: args.connect.settings(server.as_deref().unwrap_or(DEFAULT_SERVER))?,
        home: home.clone(),
        pin: args.pin.clone(),
        lanes: args.lanes,
        lane_samples: args.lane_samples,
        max_failures: args.max_failures,
        reveal_rejected: args.show_rejected_answers.then_some(RevealRejected),
        progress: true,
    };
    if let Some(path) = &args.resume {
        let server = connect(&settings)?;
        return Run::resume(&settings, &server, path)?.finish(&settings, &server);
    }
    let publics = match (&args.public_dir, &args.public_labels, args.public_mnist) {
        (Some(images), Some(labels), _) => PublicSource::Folder { images: absolute(images)?, labels: absolute(labels)? },
        (_, _, true) => PublicSource::Mnist,
        _ => bail!(
            "the server is checked with public samples whose labels are known: give --public-dir and --public-labels (or --public-mnist for digits)"
        ),
    };
    let inputs = args.images.iter().map(|p| absolute(p)).collect::<Result<Vec<_>>>()?;
    // Images that cannot be read are found before the server is bothered.
    let batch = Batch::read(&inputs, &publics)?;
    let server = connect(&settings)?;
    let out = match &args.out {
        Some(out) => out.clone(),
        None => home.join("runs").join(format!("{}-{}", seconds_since_epoch(), std::process::id())),
    };
    let run = Run::begin(&settings, &server, batch, &args.mix, (inputs, publics), &out)?;
    eprintln!("Run:      {} (if interrupted: fusion query --resume {0})", out.display());
    run.finish(&settings, &server)
}

fn absolute(path: &Path) -> Result<PathBuf> {
    std::path::absolute(path).with_context(|| format!("cannot resolve {}", path.display()))
}

fn seconds_since_epoch() -> u64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |d| d.as_secs())
}
