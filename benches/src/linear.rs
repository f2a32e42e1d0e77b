//! `cargo xtask bench-linear`: the linear layers of ResNet50 alone, one lane, one party at a time.
//!
//! Every layer runs as in a lane, one party after the other: the client encrypts, the server
//! multiplies, the client makes its share from the hint. So each side has a core to itself and its
//! time is its own. Figures are CPU seconds per sample where the system tells them (Linux), which
//! other work on the machine disturbs less than the wall clock.
//!
//! `sigma_units` is the planned deviation of the noise of a layer's heaviest row in units of the
//! narrowest window that reads it, `sigma_units_measured` that times what a self-test of all rows
//! measures over plan, each row by the plan for its own norm.
//!
//! `byte_macs` counts what the kernel does: multiply-adds of 16-bit limbs (`fusion_ring::gemm` says
//! why 16 bits), one each. The peak beside it is the same kernel on a problem that stays in the
//! first-level cache, measured before and after every layer, because a busy machine is not always
//! equally fast.

use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use fusion_model::calibrate::calibrate;
use fusion_model::plan::{PlanOptions, plan};
use fusion_model::preprocess::Preprocess;
use fusion_model::program::Op;
use fusion_model::program::noise::linear_deviations;
use fusion_nn::exec::{PublicModel, ServerModel};
use fusion_ring::channel::{Channel as _, RecordingChannel, ReplayChannel, Traffic};
use fusion_ring::gemm::{PackedWeights, Reduction, WordRows};
use fusion_ring::secret::Wiped;
use fusion_rlwe::{ClientLane, HintSource, Input, PublicSeed, RlweError, ServerKey, ServerLane, ServerLayer};
use indicatif::{ProgressBar, ProgressStyle};
use rand_chacha::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};
use serde::Serialize;

use crate::resnet50_weights;

/// What to measure.
#[derive(clap::Args)]
pub struct Options {
    /// An ONNX file of ResNet50 (224 x 224) instead of the published weights
    #[arg(long, value_name = "ONNX")]
    model: Option<PathBuf>,
    /// Samples in the lane
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..=256))]
    samples: u16,
    /// Makes no hint and takes zeros for it: for profiling the rest, since noise cannot be measured
    /// then
    #[arg(long)]
    skip_hint: bool,
    /// Writes the rows as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// One layer, or all of them; seconds and bytes are per sample.
#[derive(Debug, Clone, Default, Serialize)]
struct Row {
    layer: String,
    /// Multiply-adds of 16-bit limbs per sample.
    byte_macs: u64,
    fraction_of_peak: f64,
    server_s: f64,
    client_s: f64,
    bytes_up: f64,
    bytes_down: f64,
    /// The parts of `client_s`.
    encrypt_s: f64,
    share_s: f64,
    /// Bits of a ciphertext coefficient and of a hint coefficient.
    up_bits: u32,
    hint_bits: u32,
    /// Deviation of the noise in units of the window that reads it: planned, and measured (not
    /// without a hint).
    sigma_units: f64,
    sigma_units_measured: Option<f64>,
    /// Wall-clock seconds that the hint took, once per model, on all cores.
    hint_s: f64,
    hint_bytes: u64,
    /// Only in the row of the total.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    run: Option<Run>,
    /// Seconds that the multiply-adds alone would take at the peak; not reported.
    #[serde(skip)]
    ideal_s: f64,
}

/// What the whole run was.
#[derive(Debug, Clone, Serialize)]
struct Run {
    samples: usize,
    weights: String,
    synthetic: bool,
    tier: &'static str,
    /// Best of the run, 16-bit multiply-adds per second.
    peak_macs_per_s: f64,
    /// CPU seconds of all threads that the hint took.
    hint_cpu_s: f64,
    /// Whether seconds are CPU time (else wall-clock time).
    cpu_time: bool,
}

/// A hint of zeros, for `--skip-hint`.
struct NoHint(usize);

impl HintSource for NoHint {
    fn len(&self) -> usize {
        self.0
    }

    fn read(&self, _: usize, row: &mut [u8]) -> Result<(), RlweError> {
        row.fill(0);
        Ok(())
    }
}

/// CPU time of this thread so far.
#[cfg(target_os = "linux")]
fn cpu_time() -> Option<Duration> {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Some(Duration::new(u64::try_from(now.tv_sec).ok()?, u32::try_from(now.tv_nsec).ok()?))
}

/// Not known on this system.
#[cfg(not(target_os = "linux"))]
fn cpu_time() -> Option<Duration> {
    None
}

/// CPU seconds of all threads of this process so far, to a hundredth.
fn process_cpu_seconds() -> Option<f64> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    // The second field is a name in parentheses; user and system time are the 14th and 15th.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks: f64 = fields.get(11)?.parse::<f64>().ok()? + fields.get(12)?.parse::<f64>().ok()?;
    Some(ticks / 100.0)
}

/// Runs `work`; seconds of CPU time, else of wall-clock time.
fn timed<R>(work: impl FnOnce() -> R) -> (R, f64) {
    let (cpu, wall) = (cpu_time(), Instant::now());
    let result = work();
    let spent = cpu_time().zip(cpu).map_or_else(|| wall.elapsed(), |(end, start)| end.saturating_sub(start));
    (result, spent.as_secs_f64())
}

/// The multiply-add kernel on rows and weights that stay in the first-level cache.
struct Peak {
    weights: PackedWeights,
    rows: WordRows,
    best: f64,
}

impl Peak {
    /// Positions of eight register tiles, so that what a product costs beside its tiles does not
    /// count.
    const POSITIONS: usize = 512;

    fn new() -> Self {
        // 512 steps over 20 KB of rows and 12 KB of weights, both limbs, six outputs, loads on
        // cache lines.
        let offsets: Vec<usize> = (0..128).map(|tap| tap % 4 * 16).collect();
        let taps: Vec<&[usize]> = vec![&offsets; 8];
        let weights = PackedWeights::new(Reduction::new(&taps), 6, |j, r, t| (j + r + t) as i16 - 40);
        let rows = WordRows::zeros(&weights, Self::POSITIONS + 48);
        Self { weights, rows, best: 0.0 }
    }

    /// Multiply-adds per second, now.
    fn measure(&mut self) -> f64 {
        const TIMES: u32 = 125;
        let mut out = Wiped::<u32>::default();
        let ((), seconds) = timed(|| {
            for _ in 0..TIMES {
                self.weights.multiply(black_box(&self.rows), 0, Self::POSITIONS, black_box(&mut out));
            }
        });
        let macs = self.weights.macs(Self::POSITIONS) * u64::from(TIMES);
        let rate = macs as f64 / seconds;
        self.best = self.best.max(rate);
        rate
    }
}

/// The served network: layers with their names and the planned deviations of their noise.
struct Network {
    model: ServerModel,
    names: Vec<String>,
    sigmas: Vec<f64>,
    found: resnet50_weights::Resnet50,
}

fn network(named: Option<&Path>, cache: &Path, rng: &mut ChaCha20Rng) -> anyhow::Result<Network> {
    let found = resnet50_weights::obtain(named, cache)?;
    eprintln!("planning {} ...", found.source);
    let graph = fusion_model::onnx::import(&std::fs::read(&found.path)?)?;
    // Scales decide ring widths only, which noise on a grey image sets well enough for measuring
    // speed.
    let recipe = Preprocess::imagenet_caffe();
    let pixels: Vec<u8> = (0..3 * 224 * 224).map(|_| 64 + (rng.next_u32() % 128) as u8).collect();
    let ranges = calibrate(&graph, &[recipe.tensor(&pixels)?])?;
    let (program, weights) = plan(&graph, &ranges, &PlanOptions::default())?;
    let sigmas = linear_deviations(&program);
    let names = program.steps.iter().filter(|s| matches!(s.op, Op::Linear { .. })).map(|s| s.name.clone()).collect();
    let public = PublicModel::new(program, SEED)?;
    Ok(Network { model: ServerModel::new(public, &weights, &ServerKey::random(rng))?, names, sigmas, found })
}

/// Public polynomials of the bench.
const SEED: PublicSeed = PublicSeed([50; 32]);

fn inputs(words: &[Vec<u32>], ring: u32) -> Vec<Input<'_>> {
    words.iter().map(|words| Input { words, ring }).collect()
}

/// The two parties of the lane.
struct Lane {
    client: ClientLane,
    server: ServerLane,
    samples: usize,
    skip_hint: bool,
    hint_cpu: f64,
}

impl Lane {
    fn run(&mut self, name: &str, sigma: f64, layer: &ServerLayer, peak: &mut Peak, rng: &mut ChaCha20Rng) -> anyhow::Result<Row> {
        let (public, samples) = (layer.layer(), self.samples);
        let (cpu, wall) = (process_cpu_seconds(), Instant::now());
        let hint: Box<dyn HintSource> = if self.skip_hint { Box::new(NoHint(public.hint_bytes())) } else { Box::new(layer.hint(rng)) };
        let hint_s = wall.elapsed().as_secs_f64();
        self.hint_cpu += process_cpu_seconds().zip(cpu).map_or(0.0, |(end, start)| end - start);

        let mut words = || -> Vec<Vec<u32>> {
            let terms = public.layout().terms().iter();
            terms.map(|t| (0..t.input.len() * samples).map(|_| rng.next_u32()).collect()).collect()
        };
        let (mine, theirs) = (words(), words());
        let ring = public.precision().ring_bits();
        let (mine, theirs) = (inputs(&mine, ring), inputs(&theirs, ring));

        // The client speaks to a recorder, which then speaks to the server.
        let mut client = RecordingChannel::new(ReplayChannel::unchecked(Vec::new()));
        let (done, encrypt) = timed(|| self.client.encrypt(public, &mine, samples, &mut client));
        done?;
        let mut far = ReplayChannel::unchecked(client.into_recording().sent);
        let before = peak.measure();
        let (done, server) = timed(|| self.server.multiply(layer, &theirs, samples, &mut far));
        done?;
        let rate = (before + peak.measure()) / 2.0;
        let Traffic { received: up, sent: down, .. } = far.traffic();
        ensure!(up >= public.bytes_up(samples) && down == 0, "{name}: bytes differ from the formula");
        let (done, share) = timed(|| self.client.share(public, hint.as_ref(), samples));
        done?;
        let all: Vec<usize> = (0..public.outputs()).collect();
        let test = if self.skip_hint { None } else { Some(layer.self_test(hint.as_ref(), &all, rng)?) };

        let per = samples as f64;
        let macs = layer.macs(samples);
        let ideal = macs as f64 / rate;
        Ok(Row {
            layer: name.to_owned(),
            byte_macs: macs / samples as u64,
            fraction_of_peak: ideal / server,
            server_s: server / per,
            client_s: (encrypt + share) / per,
            bytes_up: up as f64 / per,
            bytes_down: down as f64 / per,
            encrypt_s: encrypt / per,
            share_s: share / per,
            up_bits: public.precision().upload_bits(),
            hint_bits: public.precision().hint_bits(),
            sigma_units: sigma,
            sigma_units_measured: test.map(|test| test.ratio * sigma),
            hint_s,
            hint_bytes: public.hint_bytes() as u64,
            run: None,
            ideal_s: ideal / per,
        })
    }
}

fn total(rows: &[Row]) -> Row {
    let mut total = Row { layer: "total".to_owned(), ..Row::default() };
    for row in rows {
        total.byte_macs += row.byte_macs;
        total.server_s += row.server_s;
        total.client_s += row.client_s;
        total.bytes_up += row.bytes_up;
        total.bytes_down += row.bytes_down;
        total.encrypt_s += row.encrypt_s;
        total.share_s += row.share_s;
        total.up_bits = total.up_bits.max(row.up_bits);
        total.hint_bits = total.hint_bits.max(row.hint_bits);
        total.sigma_units = total.sigma_units.max(row.sigma_units);
        let measured = [total.sigma_units_measured, row.sigma_units_measured];
        total.sigma_units_measured = measured.into_iter().flatten().reduce(f64::max);
        total.hint_s += row.hint_s;
        total.hint_bytes += row.hint_bytes;
        total.ideal_s += row.ideal_s;
    }
    total.fraction_of_peak = total.ideal_s / total.server_s;
    total
}

fn print(row: &Row, mark: &str) {
    println!(
        "{:34.34} {:8.1} {:6.1}% {:9.2} {:10.2} {:8.2} {:9.3} {:4} {:5} {:7.3} {:8} {:7.2}{mark}",
        row.layer,
        row.byte_macs as f64 / 1e6,
        100.0 * row.fraction_of_peak,
        1e3 * row.server_s,
        1e3 * row.encrypt_s,
        1e3 * row.share_s,
        row.bytes_up / 1e6,
        row.up_bits,
        row.hint_bits,
        row.sigma_units,
        row.sigma_units_measured.map_or_else(|| "-".to_owned(), |sigma| format!("{sigma:.3}")),
        row.hint_s
    );
}

/// Measures, prints a table, and writes the rows if asked to.
pub fn run(options: &Options, cache: &Path) -> anyhow::Result<()> {
    let mut rng = ChaCha20Rng::from_rng(&mut rand::rng());
    let network = network(options.model.as_deref(), cache, &mut rng)?;
    let layers = network.model.layers();
    let samples = usize::from(options.samples);
    let mut lane =
        Lane { client: ClientLane::new(SEED, &mut rng), server: ServerLane::new(), samples, skip_hint: options.skip_hint, hint_cpu: 0.0 };
    let mut peak = Peak::new();
    let bar = ProgressBar::new(network.model.public().hint_bytes() as u64);
    bar.set_style(ProgressStyle::with_template("{msg} {bar:30} {binary_bytes} of hint, {elapsed} (ETA {eta})")?);
    let mut rows = Vec::with_capacity(layers.len());
    for ((layer, name), &sigma) in layers.iter().zip(&network.names).zip(&network.sigmas) {
        bar.set_message(name.clone());
        let row = lane.run(name, sigma, layer, &mut peak, &mut rng)?;
        bar.inc(row.hint_bytes);
        rows.push(row);
    }
    bar.finish_and_clear();
    let mut total = total(&rows);
    total.run = Some(Run {
        samples,
        weights: network.found.source.clone(),
        synthetic: network.found.synthetic,
        tier: fusion_ring::simd::tier().name(),
        peak_macs_per_s: peak.best,
        hint_cpu_s: lane.hint_cpu,
        cpu_time: cpu_time().is_some(),
    });
    rows.push(total);

    let mark = if network.found.synthetic { " SYNTHETIC" } else { "" };
    println!("linear layers of ResNet50, {samples} samples in one lane, one thread a side, weights: {}{mark}", network.found.source);
    println!(
        "layer                                M MACs  of peak server ms encrypt ms share ms     MB up   up  hint   sigma measured  hint s   (per sample; hint once){mark}"
    );
    rows.iter().for_each(|row| print(row, mark));
    println!(
        "peak {:.1} G 16-bit MACs/s (best of the run, tier {}), hint {:.1} MB in {:.1} CPU s{mark}",
        peak.best / 1e9,
        fusion_ring::simd::tier().name(),
        rows.last().map_or(0.0, |r| r.hint_bytes as f64 / 1e6),
        lane.hint_cpu,
    );
    if let Some(path) = &options.json {
        std::fs::write(path, serde_json::to_vec_pretty(&rows)?).with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}
