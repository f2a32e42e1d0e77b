//! `fusion query`: describe, trust, plan, mix, run lanes, verify.

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};
use fusion_mix::MixError;
use fusion_mix::accuracy::{FlipRate, PublicLabels};
use fusion_mix::audit::{AuditLog, LabelSource};
use fusion_mix::batch::{AnswerSheet, Item, Label, MixedBatch, PublicSample};
use fusion_mix::plan::{Plan, PlanRequest};
use fusion_mix::pool::Pool;
use fusion_mix::report::{Report, ReportContext};
use fusion_mix::soundness::Mix;
use fusion_mix::verify::{RevealRejected, verify};
use fusion_net::{Client, ClientSecurity, ClientSettings, HintCache, KeyPair, LaneRequest, Reveal, Served, Token};
use fusion_nn::card::ModelCard;
use fusion_nn::exec::{Hint, Opened, PublicModel};
use indicatif::{ProgressBar, ProgressStyle};
use sha3::{Digest as _, Sha3_256};

use crate::cli::{ConnectArgs, MixArgs, QueryArgs};
use crate::lanes::{LaneSetting, Live, Next, fresh_rng};
use crate::outcome::{Costs, Outcome};
use crate::rundir::{FORMAT, Inputs, PublicSource, RunDir, RunFacts};
use crate::samples::{self, Sample};
use crate::serve::TOKEN_VARIABLE;
use crate::served::PARAMS_VERSION;
use crate::trust::{Trust, TrustStore};
use crate::{assets, home};

/// Where a server is looked for if nobody says.
const DEFAULT_SERVER: &str = "127.0.0.1:7878";

/// Elements of the largest tensor of a lane, by which the default number of samples per lane is bounded.
const LANE_ELEMENTS: usize = 1 << 23;
/// Wait before the first failed lane is run again; doubled with every further failure.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// Longest wait before a failed lane is run again.
const LONGEST_PAUSE: Duration = Duration::from_secs(3);

/// Everything that a run needs to know from its user.
#[derive(Debug, Clone)]
pub struct QuerySettings {
    /// The server.
    pub client: ClientSettings,
    /// Directory of the user's caches and known models.
    pub home: PathBuf,
    /// Pinned hint digest.
    pub pin: Option<String>,
    /// Lanes side by side.
    pub lanes: Option<usize>,
    /// Samples in one lane.
    pub lane_samples: Option<u32>,
    /// Lane runs that may fail.
    pub max_failures: u32,
    /// Consent to see answers of a rejected batch.
    pub reveal_rejected: Option<RevealRejected>,
    /// Print the progress of lanes.
    pub progress: bool,
}

/// A server whose model is known, trusted and ready to be used.
pub struct Connected {
    client: Client,
    served: Served,
    /// The model's card.
    pub card: ModelCard,
    model: PublicModel,
    hint: Hint,
}

/// Connects, checks the card and the trust in it, and fetches the hint.
///
/// # Errors
/// A server that is not there, another version, a malformed card, a model that is not trusted, a hint that is not the card's.
pub fn connect(settings: &QuerySettings) -> Result<Connected> {
    let client = Client::connect(settings.client.clone()).context("is the server running? (`fusion serve PACKAGE`)")?;
    let served = client.describe()?;
    if served.description.params_version != PARAMS_VERSION {
        bail!("the server runs parameters version {}, this program {PARAMS_VERSION}", served.description.params_version);
    }
    let card = ModelCard::decode(&served.description.card).context("the server's model card is refused")?;
    let facts = card.hint.context("the server's model card names no hint")?;
    if facts.digest.0 != *served.description.hint_digest.as_bytes() || facts.bytes != served.description.hint_bytes {
        bail!("the server announces another hint than its model card");
    }
    let trust = TrustStore::new(&settings.home).check(&settings.client.address, served.description.hint_digest, settings.pin.as_deref())?;
    let model = PublicModel::new(card.program.clone(), card.seed()?).context("the server's model cannot be evaluated")?;
    if model.hint_bytes() as u64 != facts.bytes {
        bail!("the announced hint has {} bytes where this program needs {}: it belongs to another model", facts.bytes, model.hint_bytes());
    }
    eprintln!("Model:    {} ({} classes), {}", card.name, card.classes(), claim_text(&card));
    let trusted = match trust {
        Trust::Pinned => "pinned",
        Trust::FirstUse => "first use, remembered from now on",
        Trust::Known => "as before",
    };
    eprintln!("Digest:   {} ({trusted})", facts.digest);
    let bar = bar(settings.progress, facts.bytes, "hint      {bar:30} {binary_bytes} of {binary_total_bytes}, {binary_bytes_per_sec}");
    let cache = HintCache::new(settings.home.join("hints"));
    let path = client.fetch_hint(&served, &cache, &mut |p| bar.set_position(p.done))?;
    bar.finish_and_clear();
    let hint = Hint::open(&model, &path)?;
    Ok(Connected { client, served, card, model, hint })
}

fn claim_text(card: &ModelCard) -> String {
    card.claim.as_ref().map_or_else(|| "no claimed accuracy".to_owned(), |c| format!("claims {:.1}% on {}", 100.0 * c.top1, c.dataset))
}

/// A progress bar, or a silent one.
fn bar(shown: bool, length: u64, template: &str) -> ProgressBar {
    let bar = if shown { ProgressBar::new(length) } else { ProgressBar::hidden() };
    // The templates are literals of this file; a wrong one falls back to the default look.
    bar.set_style(ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}

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
            kappa: None,
        }
    }

    /// The planner's request.
    ///
    /// # Errors
    /// If no accuracy is claimed anywhere, or a rate is out of range.
    pub fn request(&self, queries: u32, pool: u32, card: Option<&ModelCard>) -> Result<PlanRequest> {
        let claimed = self.claimed_accuracy.or_else(|| card.and_then(|c| c.claim.as_ref()).map(|c| c.top1));
        let labels = if self.certified {
            PublicLabels::Certified { mismatch: self.flip_rate, detect_below: self.detect_below }
        } else {
            let claimed_accuracy = claimed.ok_or_else(|| {
                anyhow!("nobody claims an accuracy for this model: give --claimed-accuracy, or --certified if the public labels are the model's own outputs")
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
        match (self.copies, self.public, self.tau, self.kappa) {
            (Some(b), Some(t), Some(tau), Some(kappa)) => Mix::new(queries, b, t, tau, kappa).map(Some),
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

impl ConnectArgs {
    /// The client's settings; `fallback` is the server if none is named.
    ///
    /// # Errors
    /// A token that cannot be read.
    pub fn settings(&self, fallback: &str) -> Result<ClientSettings> {
        let token = match &self.token_file {
            Some(path) => Some(Token::from_file(path)?),
            None => Token::from_env(TOKEN_VARIABLE)?,
        };
        let identity = self.client_cert.clone().zip(self.client_key.clone()).map(|(certificate, key)| KeyPair { certificate, key });
        let mut settings = ClientSettings::new(self.server.as_deref().unwrap_or(fallback));
        settings.security =
            ClientSecurity { server_ca: self.tls_ca.clone(), server_name: self.tls_name.clone(), identity, token, insecure: self.insecure };
        Ok(settings)
    }
}

/// The samples of a batch.
pub struct Batch {
    /// Queries.
    pub queries: Vec<Sample>,
    /// The pool of public samples, all labelled.
    pub pool: Vec<Sample>,
    /// Labels that the float model gives to the queries, where somebody knows them.
    pub float_labels: Option<Vec<Label>>,
}

impl Batch {
    /// Reads the inputs of a run.
    ///
    /// # Errors
    /// A file that cannot be read, a folder without images, a label file that does not fit.
    pub fn read(inputs: &[PathBuf], publics: &PublicSource) -> Result<Self> {
        let mut queries = Vec::new();
        for path in inputs {
            queries.extend(samples::folder(path)?);
        }
        let pool = match publics {
            PublicSource::Mnist => assets::mnist_pool()?,
            PublicSource::Folder { images, labels } => samples::labelled_folder(images, labels)?,
        };
        Ok(Self { queries, pool, float_labels: None })
    }

    /// Encodes every image: queries first, then the pool, and a digest of it all.
    fn encode(&self, card: &ModelCard) -> Result<(Encoded, String)> {
        let mut hash = Sha3_256::new();
        let mask = fusion_ring::pack::mask32(card.program.tensors[card.program.input.0].ring.0);
        let mut encode = |sample: &Sample| -> Result<Vec<u32>> {
            let image = sample.tensor(&card.preprocess)?;
            let encoded: Vec<u32> = card.program.encode(&image)?.iter().map(|&v| v as u32 & mask).collect();
            encoded.iter().for_each(|v| hash.update(v.to_le_bytes()));
            Ok(encoded)
        };
        let queries = self.queries.iter().map(&mut encode).collect::<Result<Vec<_>>>()?;
        let pool = self.pool.iter().map(&mut encode).collect::<Result<Vec<_>>>()?;
        Ok((Encoded { queries, pool }, hex(&hash.finalize())))
    }

    fn public_pool(&self) -> Result<Pool> {
        let labelled = (0u32..).zip(&self.pool).filter_map(|(id, s)| s.label.map(|label| PublicSample { id, label }));
        Ok(Pool::new(labelled.collect())?)
    }
}

struct Encoded {
    queries: Vec<Vec<u32>>,
    pool: Vec<Vec<u32>>,
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

/// A run on its way: everything fixed, some lanes perhaps done.
pub struct Run {
    dir: RunDir,
    facts: RunFacts,
    plan: Plan,
    batch: MixedBatch,
    encoded: Encoded,
    done: Vec<(Range<u32>, Vec<Label>)>,
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
        let (publics, warnings) = pool.draw(plan.mix.publics(), &audit.used_samples(&digest_of_pool(&encoded)), &mut rng)?;
        let mixed = MixedBatch::assemble(plan.mix, publics, &mut rng)?;
        let facts = RunFacts {
            version: FORMAT,
            server: settings.client.address.clone(),
            card_digest: server.served.card_digest.to_string(),
            hint_digest: server.served.description.hint_digest.to_string(),
            plan: plan.to_json(),
            inputs: Inputs { queries: source.0, publics: source.1, digest },
            slices: mixed.lane_slices(lanes_needed(settings, server, plan.mix.samples())),
        };
        let dir = RunDir::create(out, &facts)?;
        mixed.save(&dir.batch_path())?;
        let warnings = warnings.iter().map(ToString::to_string).collect();
        Ok(Self { dir, facts, plan, batch: mixed, encoded, done: Vec::new(), float_labels: batch.float_labels, warnings, began })
    }

    /// Opens an interrupted run; the inputs are read again and must be the same.
    ///
    /// # Errors
    /// A damaged directory, changed inputs, another model at the server.
    pub fn resume(server: &Connected, path: &Path) -> Result<Self> {
        let began = Instant::now();
        let (dir, facts, done) = RunDir::open(path)?;
        if facts.card_digest != server.served.card_digest.to_string() {
            bail!("the server serves another model now\n  run:    {}\n  served: {}", facts.card_digest, server.served.card_digest);
        }
        let (encoded, digest) = Batch::read(&facts.inputs.queries, &facts.inputs.publics)?.encode(&server.card)?;
        if digest != facts.inputs.digest {
            bail!("the input images changed since the run began");
        }
        let (batch, plan) = load_batch(&dir, &facts)?;
        Ok(Self { dir, facts, plan, batch, encoded, done, float_labels: None, warnings: Vec::new(), began })
    }

    /// Runs the lanes that are missing, and verifies.
    ///
    /// # Errors
    /// Too many failed lanes ("server unavailable"), or a disk that refuses the journal. What was finished stays in the directory.
    pub fn finish(mut self, settings: &QuerySettings, server: &Connected) -> Result<Outcome> {
        let mut sheet = AnswerSheet::new(&self.batch, settings.max_failures);
        for (slice, labels) in &self.done {
            sheet.record(slice.clone(), labels)?;
        }
        let done: Vec<u32> = self.done.iter().map(|(slice, _)| slice.start).collect();
        let slices: Vec<_> = self.facts.slices.iter().filter(|s| !s.is_empty() && !done.contains(&s.start)).cloned().collect();
        let missing: usize = slices.iter().map(Range::len).sum();
        let (batch, encoded) = (&self.batch, &self.encoded);
        let image = |position: u32| -> Result<Vec<u32>, String> {
            let found = match batch.item(position) {
                Item::Query { query } => encoded.queries.get(query as usize),
                Item::Public { id } => encoded.pool.get(id as usize),
            };
            found.cloned().ok_or_else(|| format!("no image stands at position {position}"))
        };
        let request =
            LaneRequest { card_digest: server.served.card_digest, params_version: PARAMS_VERSION, n_samples: 0, reveal: Reveal::Label };
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
            setting.run_all(slices, settings.lanes.unwrap_or_else(default_lanes), &live, &mut |outcome| match outcome {
                Ok(lane) => {
                    let Opened::Labels(labels) = &lane.opened else {
                        failure = Some(anyhow!("a lane opened logits where labels were asked for"));
                        return Next::Stop;
                    };
                    let kept = dir.append(&lane.slice, labels).and_then(|()| Ok(sheet.record(lane.slice.clone(), labels)?));
                    costs.add(&lane);
                    match kept {
                        Ok(()) => Next::Go,
                        Err(error) => {
                            failure = Some(error.context("the answers of a lane could not be kept"));
                            Next::Stop
                        }
                    }
                }
                Err(failed) => {
                    tracing::warn!(slice = ?failed.slice, error = %failed.error, "lane failed; its answers are discarded unread");
                    let stop = |error: anyhow::Error| Some(error.context(failed.error.to_string()));
                    match sheet.lane_failed() {
                        Ok(()) if failed.error.is_transient() => {
                            // A server that restarts needs a moment; running lanes are not disturbed by the wait, and no lane is begun.
                            std::thread::sleep(pause);
                            pause = (2 * pause).min(LONGEST_PAUSE);
                            Next::Again
                        }
                        Ok(()) => {
                            failure = stop(anyhow!("the run cannot go on"));
                            Next::Stop
                        }
                        Err(error) => {
                            failure = stop(error.into());
                            Next::Stop
                        }
                    }
                }
            });
            running.end();
        });
        bar.finish_and_clear();
        costs.wall_seconds = lanes_began.elapsed().as_secs_f64();
        if let Some(error) = failure {
            return Err(error.context(format!(
                "{} of {} positions are answered; go on with `fusion query --resume {}`",
                self.plan.mix.samples() - sheet.missing(),
                self.plan.mix.samples(),
                self.dir.path().display()
            )));
        }
        let report = conclude(
            settings,
            &self.facts,
            &self.plan,
            &self.batch,
            &sheet,
            self.float_labels.as_deref(),
            self.warnings,
            &digest_of_pool(&self.encoded),
        )?;
        Ok(Outcome { report, costs })
    }
}

/// The thread that redraws the progress line.
#[derive(Default)]
struct Running {
    over: std::sync::atomic::AtomicBool,
}

impl Running {
    fn show(&self, bar: &ProgressBar, live: &Live, steps: u64, samples: usize) {
        let mut before = (0u64, Instant::now());
        while !self.over.load(Ordering::Relaxed) {
            std::thread::sleep(Duration::from_millis(250));
            let (bytes, done) = (live.bytes.load(Ordering::Relaxed), live.sample_steps.load(Ordering::Relaxed));
            let rate = bytes.saturating_sub(before.0) as f64 / before.1.elapsed().as_secs_f64();
            before = (bytes, Instant::now());
            bar.set_position(done.min(bar.length().unwrap_or(u64::MAX)));
            bar.set_message(format!(
                "{} of {samples} samples, {} lanes, {} ({}/s)",
                done / steps,
                live.running.load(Ordering::Relaxed),
                crate::outcome::human_bytes(bytes),
                crate::outcome::human_bytes(rate as u64)
            ));
        }
    }

    fn end(&self) {
        self.over.store(true, Ordering::Relaxed);
    }
}

fn default_lanes() -> usize {
    2 * std::thread::available_parallelism().map_or(2, usize::from)
}

/// How many slices the batch is cut into.
fn lanes_needed(settings: &QuerySettings, server: &Connected, samples: u32) -> u32 {
    let lanes = settings.lanes.unwrap_or_else(default_lanes).max(1) as u32;
    let largest = server.model.program().tensors.iter().map(|t| t.shape.len()).max().unwrap_or(1);
    let fits = (LANE_ELEMENTS / largest.max(1)).max(1) as u32;
    let allowed = match server.served.limits.samples_per_lane {
        0 => u32::MAX,
        limit => limit,
    };
    let per_lane = settings.lane_samples.unwrap_or_else(|| samples.div_ceil(lanes).min(fits)).clamp(1, allowed);
    samples.div_ceil(per_lane)
}

/// The digest by which the audit log knows a pool.
fn digest_of_pool(encoded: &Encoded) -> String {
    let mut hash = Sha3_256::new();
    encoded.pool.iter().flatten().for_each(|v| hash.update(v.to_le_bytes()));
    hex(&hash.finalize())
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
        "          accepts up to tau = {} wrong public answers and kappa = {} inconclusive queries; soundness 2^{:.2} (asked: 2^-{})",
        mix.tau(),
        mix.kappa(),
        plan.soundness.log2,
        plan.lambda
    );
    if !plan.is_sound() {
        eprintln!("          WARNING: this plan does not reach the soundness that was asked for");
    }
}

/// Verifies a finished run again, from its directory alone.
///
/// # Errors
/// A damaged directory.
pub fn verify_again(path: &Path, reveal_rejected: Option<RevealRejected>) -> Result<Report> {
    let (dir, facts, done) = RunDir::open(path)?;
    let (batch, plan) = load_batch(&dir, &facts)?;
    let mut sheet = AnswerSheet::new(&batch, u32::MAX);
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
        return Run::resume(&server, path)?.finish(&settings, &server);
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
