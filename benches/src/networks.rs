//! `cargo xtask bench-networks`: small networks of the literature's tables between two processes,
//! over a LAN and a WAN, beside what others published or what was measured of them.
//!
//! As in `bench-resnet50` this process is the client, the server is the same binary again, and both
//! share the machine's cores. Each network runs on each link: an inference alone on its lane, then
//! the whole batch of a verified query, at R = 1, 16 and 512, on lanes side by side (`fusion-mix`
//! says how many samples; of a batch that would take minutes, a part). So everything that a lane
//! takes to start is in the figures: base OTs, and the first extension of silent OTs, which
//! outweighs many samples of a small network. Figures of others are from `benches/peers.json`,
//! where every row has its source and its machine.
//!
//! Three of the four networks have seeded random weights. Bytes and seconds depend on shapes and
//! widths only, and every row says so.

mod catalogue;
mod layers;
mod report;
mod text;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use fusion::images::{self, Sample};
use fusion::model::card::Claim;
use fusion_cli::assets;
use fusion_cli::outcome::write_json;
use fusion_mix::plan::Plan;
use fusion_net::relay::Link;

use self::catalogue::{Images, NETWORKS, Network};
use self::layers::Contents;
use self::report::{NetworkRows, PeerRow, Report, Row, Runs};
use crate::measure::{Load, Measured, Session, Setting, Stopper};
use crate::model::{Model, float_label};
use crate::package::{self, Ingredients};
use crate::peers::Peers;
use crate::{machine, pictures, verified};

/// Lanes side by side: two per core of the machine that CI has.
const LANES: u32 = 4;
/// Numbers of queries that a verified query is priced at.
const QUERIES: [u32; 3] = [1, 16, 512];

/// What to measure.
#[derive(Debug, clap::Args)]
pub struct Options {
    /// Only these networks, by letter [default: all]
    #[arg(long, value_name = "LETTER", value_delimiter = ',')]
    network: Vec<char>,
    /// Soundness of verified queries in bits
    #[arg(long, default_value_t = 40.0)]
    lambda: f64,
    /// Write every figure as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// The links of the tables: 3 Gbit/s and 0.3 ms, 44 MB/s each way and 40 ms.
fn links() -> Result<[(&'static str, Link); 2]> {
    Ok([("LAN", Link::LAN), ("WAN", Link::new(352.0, Duration::from_millis(40))?)])
}

/// Runs the benchmark.
///
/// # Errors
/// Anything that keeps it from being finished, an interruption included; what was measured until
/// then is reported first.
pub fn run(options: &Options) -> Result<()> {
    let began = Instant::now();
    let wanted = |network: &&Network| options.network.is_empty() || options.network.contains(&network.letter);
    let networks: Vec<&Network> = NETWORKS.iter().filter(wanted).collect();
    ensure!(!networks.is_empty(), "there is no such network: choose among a, b, c, d");
    let root = crate::checkout::root();
    let peers = Peers::load()?.networks;
    let stopper = Stopper::default();
    stopper.watch()?;
    let mut report = Report {
        lambda: options.lambda,
        networks: Vec::new(),
        interrupted: false,
        host: machine::Host::this(),
        load_average: (machine::load_average(), None),
        isa: fusion_ring::simd::tier().name(),
        profile: if cfg!(debug_assertions) { "dev" } else { "release" },
        commit: machine::commit(&root),
        seconds_in_all: 0.0,
    };
    let bench = Bench { cache: root.join("target/bench-networks"), lambda: options.lambda, stopper: &stopper };
    for network in networks {
        let mut rows = bench.network(network)?;
        let of_network = peers.iter().filter(|peer| peer.networks.iter().any(|name| name == network.name));
        rows.peers = of_network.map(|peer| PeerRow::new(peer.clone(), &rows.rows)).collect();
        report.networks.push(rows);
        if stopper.pressed() {
            report.interrupted = true;
            break;
        }
    }
    report.load_average.1 = machine::load_average();
    report.seconds_in_all = began.elapsed().as_secs_f64();
    fusion_cli::terminal::show(report.text())?;
    if let Some(path) = &options.json {
        write_json(path, &report)?;
    }
    if report.interrupted {
        bail!("interrupted");
    }
    Ok(())
}

/// What all networks share.
struct Bench<'a> {
    cache: PathBuf,
    lambda: f64,
    stopper: &'a Stopper,
}

impl Bench<'_> {
    /// Prepares a network and runs it over every link.
    fn network(&self, network: &Network) -> Result<NetworkRows> {
        let model = Model::new(network.file()?);
        let plans = verified::plans(&QUERIES, self.lambda, network.accuracy.0)?;
        let options = network.quantise();
        let (images, source) = self.images(network, options.calibration_images)?;
        let ingredients = Ingredients {
            model: &model,
            name: network.name,
            claim: Some(Claim { top1: network.accuracy.0, dataset: network.accuracy.1.to_owned() }),
            options: &options,
            calibration: &images.calibration,
            source,
        };
        let package = package::obtain(ingredients, &self.cache)?;
        let graph = model.graph()?;
        let tensors = images.queries.iter().map(|image| Ok(image.tensor(&options.preprocess)?)).collect::<Result<Vec<_>>>()?;
        let float_labels = tensors.iter().map(|tensor| float_label(&graph, tensor)).collect::<Result<Vec<_>>>()?;
        let mut rows = Vec::new();
        for link in links()? {
            if self.stopper.pressed() {
                break;
            }
            eprintln!("({}) {} over the {} ...", network.letter, network.name, link.0);
            rows.extend(self.row(network, &package.path, link, &tensors, &float_labels, &plans)?);
        }
        Ok(NetworkRows {
            letter: network.letter,
            name: network.name,
            about: network.about,
            contents: Contents::of(&model.bytes)?,
            weights: network.weights(),
            images: source,
            accuracy: network.accuracy.0,
            accuracy_from: network.accuracy.1,
            prepare_seconds: package.seconds,
            rows,
            peers: Vec::new(),
        })
    }

    /// Runs a network over a link; `None` if that was interrupted.
    fn row(
        &self,
        network: &Network,
        package: &Path,
        link: (&'static str, Link),
        tensors: &[Vec<f32>],
        float_labels: &[u32],
        plans: &[Plan],
    ) -> Result<Option<Row>> {
        // A home of its own: the hint comes over the link, and counts.
        let home = tempfile::tempdir().context("cannot make a temporary directory")?;
        let setting = Setting { package, link: Some(link.1), home: home.path(), terms: None, cores: None, stopper: self.stopper };
        let session = Session::open(&setting)?;
        let tensor = |sample: usize| tensors.get(sample % tensors.len().max(1)).cloned().context("there is no image");
        let run = |lanes: u32, samples: u32| -> Result<Option<Measured>> {
            let cut = |lane: u32| lane * samples / lanes;
            let slices = (0..lanes).map(|lane| cut(lane)..cut(lane + 1)).collect();
            let measured = session.run(&Load { lanes: lanes as usize, slices, tensor: &tensor })?;
            if !measured.failures.is_empty() {
                bail!("{}: lanes failed: {}", network.name, measured.failures.join("; "));
            }
            Ok(Some(measured).filter(|measured| !measured.interrupted))
        };
        // The first lane warms both processes up and counts for nothing.
        let (Some(_), Some(alone)) = (run(1, 1)?, run(1, 1)?) else { return Ok(None) };
        let sizes: BTreeSet<u32> = plans.iter().map(|plan| plan.mix.samples().min(network.most_samples)).collect();
        let mut batches = Vec::new();
        for samples in sizes {
            let Some(batch) = run(LANES, samples)? else { return Ok(None) };
            batches.push(batch);
        }
        Row::new(network, link, &Runs { alone, batches }, float_labels, plans).map(Some)
    }

    /// The images that a network is run and calibrated on, and what they are.
    fn images(&self, network: &Network, calibration: usize) -> Result<(Chosen, &'static str)> {
        let (all, source) = match network.images {
            Images::Digits => (assets::mnist_pool()?, "held-out MNIST digits"),
            Images::Pictures => (images::folder(&pictures::folder(&self.cache, 32)?)?, "made-up pictures"),
        };
        let calibration = all[all.len().saturating_sub(calibration)..].to_vec();
        Ok((Chosen { queries: all, calibration }, source))
    }
}

/// Images of a run.
struct Chosen {
    queries: Vec<Sample>,
    calibration: Vec<Sample>,
}
