//! `cargo xtask bench-resnet50`: private ResNet50 inference between two processes, on real weights
//! and photos, every label checked.
//!
//! This process is the client; the server is the same binary again, serving the package with the
//! code of `fusion serve`. With a link they talk through the relay of fusion-net, else over
//! loopback. What is prepared once (weights, package, float labels, the client's hint) is kept
//! under `target/bench-resnet50/`, which may be deleted at any time. Seconds are the wall clock's;
//! processor seconds of both sides stand beside them, because two processes, and whatever else
//! runs, share the cores.

mod efficiency;
mod page;
mod photos;
mod prediction;
mod report;
mod scaling;
mod text;

use std::ops::Range;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use fusion::client::lanes_for;
use fusion::model::card::Claim;
use fusion::model::preprocess::Preprocess;
use fusion::{QuantiseSettings, Tolerance, Widths};
use fusion_cli::cores;
use fusion_cli::lane_terms::TermsArg;
use fusion_cli::outcome::write_json;
use fusion_net::relay::Link;

use crate::measure::{self, Session};
use crate::model::Model;
use crate::package::{self, Ingredients};
use crate::{machine, resnet50_weights};

/// Most samples of one lane: more would need more memory without saving bytes.
const LANE_SAMPLES: usize = 8;

/// What to measure.
#[derive(Debug, clap::Args)]
pub struct Options {
    /// ONNX file of ResNet50 [default: the published weights by npm, else synthetic ones]
    #[arg(long, value_name = "ONNX")]
    model: Option<PathBuf>,
    /// Folder of photos [default: made-up pictures]
    #[arg(long, value_name = "DIR")]
    images: Option<PathBuf>,
    /// 400 Mbit/s each way and 40 ms round trip
    #[arg(long, conflicts_with_all = ["lan", "link"])]
    wan: bool,
    /// 3 Gbit/s each way and 0.3 ms round trip
    #[arg(long, conflicts_with = "link")]
    lan: bool,
    /// Another link: megabits per second each way, round trip in milliseconds [default: loopback]
    #[arg(long, value_name = "MBIT,RTT")]
    link: Option<Link>,
    /// What lanes save: processor time or bytes [default: as `fusion query` on this link]
    #[arg(long, value_enum)]
    terms: Option<TermsArg>,
    /// Photos to classify
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=4096))]
    samples: u32,
    /// Lanes side by side [default: two per core of a party, which has half of this machine's
    /// unless --cores-per-party says else, four where a round trip takes 10 ms, but no more than
    /// four samples each need]
    #[arg(long, value_name = "L", value_parser = clap::value_parser!(u32).range(1..=32))]
    lanes: Option<u32>,
    /// Queries of the batch whose price is compared with the paper's
    #[arg(long, value_name = "R", default_value_t = 512, value_parser = clap::value_parser!(u32).range(1..))]
    queries: u32,
    /// Soundness of verified queries in bits
    #[arg(long, default_value_t = 40.0)]
    lambda: f64,
    /// Part of photos that must keep the float model's label: the cheapest widths that do are
    /// searched for [default: no search]
    #[arg(long, value_name = "RATE", conflicts_with_all = ["window", "weight_bits"])]
    label_agreement: Option<f64>,
    /// Exact ReLUs only
    #[arg(long, conflicts_with = "left_out")]
    exact_sign: bool,
    /// Bits that comparisons of ReLUs leave out everywhere [default: 1, which is exact]
    #[arg(long, value_name = "BITS", conflicts_with = "label_agreement")]
    left_out: Option<u32>,
    /// Window width h of activations everywhere, bits [default: 11]
    #[arg(long, value_name = "BITS")]
    window: Option<u32>,
    /// Bits of every weight, sign included [default: 12]
    #[arg(long, value_name = "BITS")]
    weight_bits: Option<u32>,
    /// Keep the client to the first N cores and the server to the last N [default: both may use
    /// all]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    cores_per_party: Option<u32>,
    /// Also measure 1, 2, 4 and 8 lanes, each on all samples
    #[arg(long)]
    scaling: bool,
    /// Write every figure as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Write the report as a self-contained HTML page
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
}

impl Options {
    fn link(&self) -> Option<Link> {
        match (self.wan, self.lan) {
            (true, _) => Some(Link::WAN),
            (_, true) => Some(Link::LAN),
            (false, false) => self.link,
        }
    }

    fn cores(&self) -> Result<Option<measure::Cores>> {
        let all = std::thread::available_parallelism().map_or(1, usize::from);
        match self.cores_per_party.map(|each| each as usize) {
            Some(each) if each > all => bail!("this machine has {all} cores: --cores-per-party {each} is too many"),
            each => Ok(each.map(|each| measure::Cores { each, all })),
        }
    }

    fn widths(&self) -> Widths {
        match self.label_agreement {
            Some(label_agreement) => {
                Widths::Search(Tolerance { label_agreement, logit_noise: f64::INFINITY, exact_signs: self.exact_sign })
            }
            None => Widths::Uniform {
                window: self.window.unwrap_or(11),
                weight_bits: self.weight_bits.unwrap_or(12),
                left_out: if self.exact_sign { 1 } else { self.left_out.unwrap_or(1) },
            },
        }
    }

    fn lanes(&self) -> usize {
        let samples = self.samples as usize;
        // Both parties compute on this machine.
        let own = self.cores_per_party.map_or(cores().div_ceil(2), |each| each as usize);
        let wanted = lanes_for(own, self.link().map_or(Duration::ZERO, |link| link.round_trip()));
        self.lanes.map_or_else(|| wanted.min(samples.div_ceil(LANE_SAMPLES / 2)), |lanes| (lanes as usize).min(samples))
    }
}

/// Slices of at most [`LANE_SAMPLES`], as equal as they can be, a multiple of `lanes` of them if
/// there are enough samples.
fn slices(samples: u32, lanes: usize) -> Vec<Range<u32>> {
    let rounds = (samples as usize).div_ceil(lanes * LANE_SAMPLES);
    let count = (rounds * lanes).min(samples as usize) as u64;
    let cut = |i: u64| (u64::from(samples) * i / count) as u32;
    (0..count).map(|i| cut(i)..cut(i + 1)).collect()
}

/// Runs the benchmark.
///
/// # Errors
/// Anything that keeps it from being finished, an interruption included; what was measured until
/// then is reported first.
pub fn run(options: &Options) -> Result<()> {
    let root = crate::checkout::root();
    let cache = root.join("target/bench-resnet50");
    // A bad plan is found before minutes are spent.
    report::plans(options.queries, options.lambda)?;
    let host = machine::Host::this();
    let cores = options.cores()?;
    if let Some(cores) = cores {
        // First of all, because threads keep to the cores of the thread that started them.
        cores.of_client()?;
    }
    let stopper = measure::Stopper::default();
    stopper.watch()?;
    let weights = resnet50_weights::obtain(options.model.as_deref(), &root.join(resnet50_weights::CACHE))?;
    let model = Model::read(&weights.path)?;
    let quantise = QuantiseSettings { widths: options.widths(), ..QuantiseSettings::new(Preprocess::imagenet_caffe()) };
    let recipe = quantise.preprocess.clone();
    let photos = photos::find(options.images.as_deref(), options.samples as usize, quantise.calibration_images, &cache)?;
    let ingredients = Ingredients {
        model: &model,
        name: if weights.synthetic { "ResNet50 (SYNTHETIC weights)" } else { "ResNet50" },
        claim: (!weights.synthetic).then(|| Claim { top1: report::CLAIMED_ACCURACY, dataset: "ImageNet validation".to_owned() }),
        options: &quantise,
        calibration: &photos.calibration,
        source: &photos.source,
    };
    let package = package::obtain(ingredients, &cache)?;
    eprintln!("Evaluating the float model on {} photos (kept for later runs) ...", photos.queries.len());
    let float_labels = photos::float_labels(&model, &photos.queries, &recipe, &cache)?;
    drop(model);

    let lanes = options.lanes();
    let tensor = |sample: usize| Ok(photos.queries.get(sample).context("no such photo")?.tensor(&recipe)?);
    let home = cache.join("home");
    let setting = measure::Setting {
        package: &package.path,
        link: options.link(),
        home: &home,
        terms: options.terms.map(Into::into),
        cores,
        stopper: &stopper,
    };
    let measure = |lanes: usize| {
        let load = measure::Load { lanes, slices: slices(options.samples, lanes), tensor: &tensor };
        Session::open(&setting)?.run(&load)
    };
    let measured = measure(lanes)?;
    let predicted = prediction::Predicted::new(&measured.card.program, &slices(options.samples, lanes), measured.terms)?;
    let scaling = if options.scaling && !measured.interrupted && measured.failures.is_empty() {
        scaling::run(options.samples as usize, scaling::Row::of(lanes, &measured), measure)?
    } else {
        Vec::new()
    };
    let context = report::Context {
        model: weights.source,
        synthetic_weights: weights.synthetic,
        photos: photos.source,
        synthetic_photos: photos.synthetic,
        names: photos.queries.iter().map(|p| p.name.clone()).collect(),
        float_labels,
        lanes,
        cores_per_party: options.cores_per_party,
        scaling,
        link: options.link(),
        prepare_seconds: package.seconds,
        queries: options.queries,
        lambda: options.lambda,
        predicted,
        host,
        commit: machine::commit(&root),
    };
    show(&report::Report::new(&measured, context)?, options)
}

/// Prints the report and writes the files that were asked for.
fn show(report: &report::Report, options: &Options) -> Result<()> {
    fusion_cli::terminal::show(report.text())?;
    if let Some(path) = &options.json {
        write_json(path, report)?;
    }
    if let Some(path) = &options.html {
        std::fs::write(path, page::html(report)).with_context(|| format!("cannot write {}", path.display()))?;
    }
    if report.interrupted {
        bail!("interrupted after {} of {} samples", report.samples, report.samples_wanted);
    }
    if !report.failures.is_empty() {
        bail!("lanes failed: {}", report.failures.join("; "));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slices_cover_every_sample_once_and_fit_a_lane() {
        for samples in 1..200 {
            for lanes in 1..9.min(samples as usize + 1) {
                let slices = slices(samples, lanes);
                assert_eq!(slices.iter().cloned().flatten().collect::<Vec<_>>(), (0..samples).collect::<Vec<_>>());
                assert!(slices.iter().all(|s| (1..=LANE_SAMPLES).contains(&s.len())), "{samples} on {lanes}: {slices:?}");
            }
        }
        assert_eq!(slices(16, 4).len(), 4);
    }
}
