//! `fusion demo`: a server and a client as two processes over loopback, on digits that come with the program.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};

use anyhow::{Context, Result, bail};
use fusion_mix::batch::Label;
use fusion_model::card::Claim;
use fusion_model::{float, onnx};
use fusion_net::ClientSettings;
use rand::seq::SliceRandom;

use crate::cli::{DemoArgs, DemoServer, MixArgs, QuantiseArgs};
use crate::lanes::fresh_rng;
use crate::outcome::{Outcome, human_bytes};
use crate::query::{Batch, QuerySettings, Run, connect};
use crate::report::report_text;
use crate::rundir::PublicSource;
use crate::terminal::show;
use crate::{assets, prepare};

/// How the demo's digits are quantised: a small network needs no more.
fn quantise_args() -> QuantiseArgs {
    QuantiseArgs { preprocess: "mnist".to_owned(), window: 13, weight_bits: 10, margin: 1.5, calibration_images: 64 }
}

/// How many of the held-out digits serve as public samples; the rest are queries and calibration images.
const POOL: usize = 480;

/// A model below this accuracy must be noticed. The low-quality server's is 60%.
const DETECT_BELOW: f64 = 0.8;

/// A server process that dies with this one.
pub struct ServerProcess {
    child: Child,
    /// Closing it tells the server to stop.
    _stdin: ChildStdin,
    /// `host:port`.
    pub address: String,
}

impl ServerProcess {
    /// Starts this very program as a server of `package` on a free port of the loopback interface.
    ///
    /// # Errors
    /// If it does not come up.
    pub fn start(package: &Path, cheat: Option<&str>) -> Result<Self> {
        let program = std::env::current_exe().context("cannot find this program's file")?;
        let mut command = Command::new(program);
        command.arg("serve");
        if let Some(cheat) = cheat {
            command.args(["--cheat", cheat]);
        }
        Self::launch(command, package)
    }

    /// As [`start`](Self::start), for any `command` that goes on with the arguments of `fusion serve`.
    ///
    /// # Errors
    /// If it does not come up.
    pub fn launch(mut command: Command, package: &Path) -> Result<Self> {
        command.arg(package).args(["--listen", "127.0.0.1:0", "--until-stdin-closes", "--grace-seconds", "0"]);
        let mut child =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().context("cannot start the server")?;
        let (stdin, stdout) = (child.stdin.take().context("the server's input")?, child.stdout.take().context("the server's output")?);
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line)?;
        match line.trim().strip_prefix("listening on ") {
            Some(address) => Ok(Self { child, _stdin: stdin, address: address.to_owned() }),
            None => bail!("the server did not come up: {}", child.wait()?),
        }
    }

    /// The process id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for ServerProcess {
    fn drop(&mut self) {
        // A demo's server has nothing to lose.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs the command.
///
/// # Errors
/// Anything that keeps the batch from being finished; a rejected batch is not an error.
pub fn run(args: &DemoArgs) -> Result<Outcome> {
    let began = std::time::Instant::now();
    let directory = tempfile::tempdir().context("cannot make a temporary directory")?;
    let mut digits = assets::mnist_pool()?;
    digits.shuffle(&mut fresh_rng()?);
    let pool = digits.split_off(digits.len() - POOL);
    let queries: Vec<_> = digits.iter().take(args.queries as usize).cloned().collect();
    if queries.len() < args.queries as usize {
        bail!("the demo has {} digits besides the public ones: --queries may be at most that", digits.len());
    }

    let (model, cheat) = match args.server {
        DemoServer::Honest => (assets::MNIST_MODEL, None),
        DemoServer::LowQuality => (assets::MNIST_LOW_MODEL, None),
        DemoServer::Tampering => (assets::MNIST_MODEL, Some("samples=0.3")),
    };
    eprintln!("Preparing the server's model (calibration, fixed-point plan, hint) ...");
    let quantise = quantise_args();
    let quantised = quantise.quantise(model, "mnist.onnx", &pool)?;
    let claim = Claim { top1: assets::MNIST_ACCURACY, dataset: "held-out MNIST digits".to_owned() };
    let package = directory.path().join("mnist.fusion");
    prepare::write_package(&package, "mnist", quantised, Some(claim), Vec::new(), false)?;

    let server = ServerProcess::start(&package, cheat)?;
    eprintln!(
        "Server:   process {} on {} ({})",
        server.id(),
        server.address,
        match args.server {
            DemoServer::Honest => "honest",
            DemoServer::LowQuality => "advertises the good model and serves a worse one",
            DemoServer::Tampering => "corrupts 30% of all samples",
        }
    );
    eprintln!("Client:   process {}", std::process::id());

    // What the advertised model says in floating point, for comparison: only the demo can know it.
    let graph = onnx::import(assets::MNIST_MODEL)?;
    let recipe = quantise.recipe()?;
    let float_labels =
        queries.iter().map(|q| Ok(float::argmax(&float::evaluate(&graph, &q.tensor(&recipe)?)?) as Label)).collect::<Result<Vec<_>>>()?;
    let settings = QuerySettings {
        client: ClientSettings::new(server.address.clone()),
        home: directory.path().join("home"),
        pin: None,
        lanes: None,
        lane_samples: None,
        max_failures: 8,
        reveal_rejected: None,
        progress: true,
    };
    let mix = MixArgs::at_lambda(args.lambda, Some(DETECT_BELOW));
    let connected = connect(&settings)?;
    let batch = Batch { queries, pool, float_labels: Some(float_labels) };
    let run = Run::begin(&settings, &connected, batch, &mix, (Vec::new(), PublicSource::Mnist), &directory.path().join("run"))?;
    let outcome = run.finish(&settings, &connected)?;
    print(&outcome)?;
    eprintln!("Demo took {:.1} s.", began.elapsed().as_secs_f64());
    Ok(outcome)
}

fn print(outcome: &Outcome) -> Result<()> {
    show(outcome.costs.phase_table())?;
    let (up, down) = outcome.costs.bytes();
    show(format_args!(
        "{} samples in {:.1} s (set-up {:.1} s): {} to the server, {} to the client\n",
        outcome.costs.samples,
        outcome.costs.wall_seconds,
        outcome.costs.setup_seconds,
        human_bytes(up),
        human_bytes(down)
    ))?;
    show(report_text(&outcome.report))
}
