//! `cargo xtask soak`: a server under load for minutes, and what it still holds afterwards.
//!
//! Eight clients query without a pause, each a process of its own. By chance some are killed and
//! resumed, some stopped for a while, some speak through a link that stalls, cuts or corrupts;
//! beside them come connections that speak no protocol, or nothing. Every half minute or so
//! everybody rests: then what the server holds must be what it held at rests before. Load hides
//! leaks: at rest a descriptor too many is a descriptor lost.
//!
//! ```text
//!   cycle:  load (clients, faults, junk) -> rest (nobody is there) -> what the server holds
//!   end:    the slope of each over all rests but the first ones, as a part of its mean
//! ```
//!
//! A run that does not come to the verdict and the labels of an undisturbed one ends the soak.

mod clients;
mod junk;
mod watch;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use fusion::model::card::Claim;
use fusion::{PackageSettings, SystemClock, prepare, quantise, silent};
use fusion_cli::assets;
use fusion_cli::outcome::write_json;
use fusion_cli::server_process::ServerProcess;
use rand::SeedableRng;
use rand_chacha::ChaCha20Rng;
use serde::Serialize;

use self::clients::{Clients, Ends};
use self::watch::{Held, Slope, slopes};

/// How long clients are let loose before everybody rests.
const LOAD: Duration = Duration::from_secs(30);
/// How long the server may take to let go of everything that a rest should not see.
const TO_REST: Duration = Duration::from_secs(90);
/// Growth over the whole soak that counts as a leak, as a part of the mean.
const LEAK: f64 = 0.05;
/// Part of the rests that is warming up: caches and arenas of the allocator fill.
const WARM_UP: f64 = 0.2;

/// What to run.
#[derive(Debug, clap::Args)]
pub struct Options {
    /// How long, in minutes
    #[arg(long, default_value_t = 20.0)]
    minutes: f64,
    /// Clients at once
    #[arg(long, default_value_t = 8)]
    clients: usize,
    /// Seed of what goes wrong, and when
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Also writes what was seen to this file
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// What a soak has seen.
#[derive(Debug, Serialize)]
struct Report {
    minutes: f64,
    clients: usize,
    seed: u64,
    /// How runs ended.
    ends: Ends,
    /// Connections that were no clients.
    junk: u64,
    /// What the server held at each rest.
    rests: Vec<Held>,
    /// Largest of each that was seen under load.
    peak: Held,
    slopes: Vec<Slope>,
}

/// Runs the soak.
///
/// # Errors
/// A leak, a run that ended otherwise than an undisturbed one, or anything that keeps the soak from
/// being run.
pub fn run(options: &Options) -> Result<()> {
    ensure!(options.minutes > 0.0 && options.clients > 0, "give minutes and clients above zero");
    let scratch = tempfile::tempdir().context("cannot make a temporary directory")?;
    let package = scratch.path().join("digits.fusion");
    prepare_digits(&package, options.seed)?;
    let mut server = std::process::Command::new(std::env::current_exe().context("cannot find this program's file")?);
    server.arg("serve");
    let server = ServerProcess::launch(server, &package)?;
    let clients = Clients::new(scratch.path(), &server.address, options.clients, options.seed)?;
    let report = soak(options, &server, &clients)?;
    if let Some(path) = &options.json {
        write_json(path, &report)?;
    }
    print!("{}", text(&report));
    match report.slopes.iter().find(|slope| slope.growth > LEAK) {
        Some(leak) => {
            bail!("{} grew by {:.1} % of their mean over the soak; {:.0} % are allowed", leak.what, 100.0 * leak.growth, 100.0 * LEAK)
        }
        None => Ok(()),
    }
}

fn soak(options: &Options, server: &ServerProcess, clients: &Clients) -> Result<Report> {
    let (began, whole) = (Instant::now(), Duration::from_secs_f64(60.0 * options.minutes));
    let empty = watch::held(server.id(), Duration::ZERO)?;
    let (mut rests, mut peak, mut junk) = (Vec::new(), empty, 0);
    while began.elapsed() < whole {
        let (loaded, connections) = load(server, clients, (whole - began.elapsed()).min(LOAD), options.seed ^ rests.len() as u64)?;
        peak = peak.larger(loaded);
        junk += connections;
        let rest = settle(server, empty, began)?;
        eprintln!(
            "[{:5.0} s] {} runs, {} connections of others; at rest: {rest}",
            began.elapsed().as_secs_f64(),
            clients.ends().runs(),
            junk
        );
        rests.push(rest);
    }
    let slopes = slopes(&rests[(rests.len() as f64 * WARM_UP) as usize..]);
    Ok(Report {
        minutes: began.elapsed().as_secs_f64() / 60.0,
        clients: options.clients,
        seed: options.seed,
        ends: clients.ends(),
        junk,
        rests,
        peak,
        slopes,
    })
}

/// Lets clients and others loose for a while; returns the largest that the server held meanwhile,
/// and how many connections were junk.
fn load(server: &ServerProcess, clients: &Clients, time: Duration, seed: u64) -> Result<(Held, u64)> {
    let stop = AtomicBool::new(false);
    let address = server.address.parse().context("the server's address")?;
    thread::scope(|scope| {
        let runs: Vec<_> = (0..clients.len())
            .map(|client| {
                scope.spawn({
                    let stop = &stop;
                    move || clients.run_until(client, stop)
                })
            })
            .collect();
        let junk = scope.spawn(|| junk::send_until(address, seed, &stop));
        let until = Instant::now() + time;
        let mut peak = watch::held(server.id(), Duration::ZERO);
        while Instant::now() < until && runs.iter().all(|run| !run.is_finished()) {
            thread::sleep(Duration::from_millis(250));
            peak = peak.and_then(|peak| Ok(peak.larger(watch::held(server.id(), Duration::ZERO)?)));
        }
        stop.store(true, Ordering::Relaxed);
        for run in runs {
            run.join().map_err(|_| anyhow::anyhow!("a client's thread panicked"))??;
        }
        let junk = junk.join().map_err(|_| anyhow::anyhow!("the thread of junk connections panicked"))?;
        Ok((peak?, junk))
    })
}

/// Waits until the server holds no lane and no more descriptors than before anybody came.
fn settle(server: &ServerProcess, empty: Held, began: Instant) -> Result<Held> {
    let until = Instant::now() + TO_REST;
    loop {
        let held = watch::held(server.id(), began.elapsed())?;
        if held.lanes == 0 && held.descriptors <= empty.descriptors {
            // Threads of lanes have sent their last frames; their memory goes with them.
            thread::sleep(Duration::from_secs(1));
            return watch::held(server.id(), began.elapsed());
        }
        if Instant::now() > until {
            // A leak from the first cycle on has no slope: the rest must be reached.
            bail!("{} s after everybody left the server still holds: {held} (at first: {empty})", TO_REST.as_secs());
        }
        thread::sleep(Duration::from_millis(200));
    }
}

/// The digit classifier of the demo, ready to be served.
fn prepare_digits(package: &Path, seed: u64) -> Result<()> {
    let mut rng = ChaCha20Rng::seed_from_u64(seed);
    let quantised = quantise(assets::MNIST_MODEL, "mnist.onnx", &assets::mnist_quantise(), &assets::mnist_pool()?[..64])?;
    let claim = Some(Claim { top1: assets::MNIST_ACCURACY, dataset: "held-out MNIST digits".to_owned() });
    let settings = PackageSettings { name: "mnist".to_owned(), claim, ..PackageSettings::default() };
    prepare(package, quantised, settings, &SystemClock::new(), &mut rng, &mut silent)?;
    Ok(())
}

fn text(report: &Report) -> String {
    let Report { minutes, clients, ends, junk, rests, peak, slopes, .. } = report;
    let mut text = format!(
        "{minutes:.1} minutes, {clients} clients, {} rests\nruns: {ends}\nconnections of others: {junk}\nunder load at most: {peak}\n",
        rests.len()
    );
    for slope in slopes {
        text += &format!("{:<12} mean at rest {:>10.1}   growth over the soak {:>6.2} %\n", slope.what, slope.mean, 100.0 * slope.growth);
    }
    text
}
