//! `fusion demo`: a server and a client as two processes over loopback, on digits that come with
//! the program.

use std::path::Path;

use anyhow::{Context, Result, bail};
use fusion::client::Outcome;
use fusion::images::Sample;
use fusion::mix::batch::Label;
use fusion::mix::pool::KnownFrom;
use fusion::model::card::Claim;
use fusion::model::preprocess::Preprocess;
use fusion::model::{float, onnx};
use fusion::{Client, ClientSettings, Inputs, Journal, MixSettings, PackageSettings, PublicPool, SystemClock};
use fusion::{prepare, quantise, silent};
use rand::seq::SliceRandom;
use rand_chacha::ChaCha20Rng;

use crate::assets;
use crate::cli::{DemoArgs, DemoServer};
use crate::diagnostics::note;
use crate::progress::Watcher;
use crate::query::cores;
use crate::report::report_text;
use crate::server_process::ServerProcess;
use crate::settings::fresh_rng;
use crate::tables::{cost_lines, phase_table};
use crate::terminal::show;

/// How many of the held-out digits serve as public samples; the rest are queries and calibration
/// images.
const POOL: usize = 480;

/// Digits on which it is measured how often copies disagree.
const MEASURED: usize = 64;

/// A model below this accuracy must be noticed. The low-quality server's is 60%.
const DETECT_BELOW: f64 = 0.8;

/// Runs the command.
///
/// # Errors
/// Anything that keeps the batch from being finished; a rejected batch is not an error.
pub(crate) fn run(args: &DemoArgs) -> Result<Outcome> {
    let began = std::time::Instant::now();
    let mut rng = fresh_rng()?;
    let directory = tempfile::tempdir().context("cannot make a temporary directory")?;
    let mut digits = assets::mnist_pool()?;
    digits.shuffle(&mut rng);
    let pool = digits.split_off(digits.len() - POOL);
    let queries: Vec<_> = digits.iter().take(args.queries as usize).cloned().collect();
    if queries.len() < args.queries as usize {
        bail!("the demo has {} digits besides the public ones: --queries may be at most that", digits.len());
    }
    let server = serve(args.server, &pool, directory.path(), &mut rng)?;
    note(format_args!("Client:   process {}", std::process::id()));

    let mut settings = ClientSettings::new(server.address.clone(), directory.path().join("home"));
    settings.cores = cores();
    let mut watcher = Watcher::new(true);
    let client = Client::connect_telling(settings, &mut |event| watcher.show(event))?;
    let pool = PublicPool::labelled(pool, KnownFrom::GroundTruth)?;
    let plan = client.plan(&MixSettings::at_lambda(args.lambda, Some(DETECT_BELOW)), queries.len(), &pool)?;
    let float_labels = Some(float_labels(&queries)?);
    let inputs = Inputs { float_labels, ..Inputs::from(queries) };
    let journal = Journal::at(directory.path().join("run"));
    let outcome = client.query(&inputs, &pool, &plan, journal, &mut rng, &mut |event| watcher.show(event))?;
    drop(watcher);
    note(format_args!("Demo took {:.1} s.", began.elapsed().as_secs_f64()));
    Ok(outcome)
}

/// Prepares the model of the wanted server in `directory` and starts it.
fn serve(server: DemoServer, calibration: &[Sample], directory: &Path, rng: &mut ChaCha20Rng) -> Result<ServerProcess> {
    let (model, cheat, what) = match server {
        DemoServer::Honest => (assets::MNIST_MODEL, None, "honest"),
        DemoServer::LowQuality => (assets::MNIST_LOW_MODEL, None, "advertises the good model and serves a worse one"),
        DemoServer::Tampering => (assets::MNIST_MODEL, Some("samples=0.3"), "corrupts 30% of all samples"),
    };
    note("Preparing the server's model (calibration, fixed-point plan, hint) ...");
    let quantised = quantise(model, "mnist.onnx", &assets::mnist_quantise(), calibration)?;
    let claim = Claim { top1: assets::MNIST_ACCURACY, dataset: "held-out MNIST digits".to_owned() };
    let package = directory.join("mnist.fusion");
    let names = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"].map(str::to_owned).to_vec();
    let measured_on = calibration[..MEASURED].to_vec();
    let settings =
        PackageSettings { name: "mnist".to_owned(), claim: Some(claim), labels: names, measured_on, ..PackageSettings::default() };
    prepare(&package, quantised, settings, &SystemClock::new(), rng, &mut silent)?;
    let server = ServerProcess::start(&package, cheat)?;
    note(format_args!("Server:   process {} on {} ({what})", server.id(), server.address));
    Ok(server)
}

/// What the advertised model says in floating point, for comparison: only the demo can know it.
fn float_labels(queries: &[Sample]) -> Result<Vec<Label>> {
    let graph = onnx::import(assets::MNIST_MODEL)?;
    let recipe = Preprocess::mnist();
    queries.iter().map(|q| Ok(float::argmax(&float::evaluate(&graph, &q.tensor(&recipe)?)?) as Label)).collect()
}

/// Prints what the demo found.
pub(crate) fn print(outcome: &Outcome) -> Result<()> {
    show(report_text(&outcome.report))?;
    show(cost_lines(&outcome.costs))?;
    show(phase_table(&outcome.costs))
}
