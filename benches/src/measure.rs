//! The measurement: a server process, a link, lanes, and a line that shows them at work.

use std::ops::Range;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use anyhow::{Context, Result, bail};
use fusion::client::{Costs, Next, Told};
use fusion::model::card::ModelCard;
use fusion::model::package::Package;
use fusion::nn::exec::{EncodedImage, Opened};
use fusion::nn::layers::LaneTerms;
use fusion::{Client, ClientSettings, Event, LaneProgress};
use fusion_cli::cores;
use fusion_cli::server_process::ServerProcess;
use fusion_cli::tables::human_bytes;
use fusion_net::relay::{Carried, Link, Relay, Script};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use rand::SeedableRng;
use rand::rngs::SysRng;
use rand_chacha::ChaCha20Rng;

use crate::machine;

/// What was measured, whether or not it came to its end.
pub(crate) struct Measured {
    /// The model's card.
    pub(crate) card: ModelCard,
    /// What the lanes agreed on.
    pub(crate) terms: LaneTerms,
    /// Bytes of the hint.
    pub(crate) hint_bytes: u64,
    /// Whether the hint was in the cache already.
    pub(crate) hint_cached: bool,
    /// Labels that were opened, by sample; `None` where the run did not get.
    pub(crate) labels: Vec<Option<u32>>,
    /// Time and bytes of the finished lanes.
    pub(crate) costs: Costs,
    /// Per finished lane: samples, seconds, bytes.
    pub(crate) lanes: Vec<LaneFigures>,
    /// Peak memory in 10^6 bytes: client, server.
    pub(crate) peak_rss_mb: (Option<f64>, Option<f64>),
    /// Processor seconds during the lanes: client (with the relay, if there is one), server.
    pub(crate) cpu_seconds: (Option<f64>, Option<f64>),
    /// What the relay carried during the lanes, transport framing included.
    pub(crate) carried: Option<Carried>,
    /// Whether Ctrl-C ended the run.
    pub(crate) interrupted: bool,
    /// Why lanes failed.
    pub(crate) failures: Vec<String>,
}

/// One finished lane.
#[derive(Debug, Clone, serde::Serialize)]
pub(crate) struct LaneFigures {
    pub(crate) samples: usize,
    pub(crate) seconds: f64,
    pub(crate) bytes: u64,
}

/// A link as reports have it.
#[derive(Debug, Clone, Copy, serde::Serialize)]
pub(crate) struct LinkJson {
    pub(crate) mbit: f64,
    pub(crate) rtt_ms: f64,
}

impl From<Link> for LinkJson {
    fn from(link: Link) -> Self {
        Self { mbit: link.mbit_per_second(), rtt_ms: link.round_trip().as_secs_f64() * 1e3 }
    }
}

/// What to start, and where.
#[derive(Clone, Copy)]
pub(crate) struct Setting<'a> {
    pub(crate) package: &'a Path,
    /// Loopback without one.
    pub(crate) link: Option<Link>,
    /// The terms of lanes; by the link without them.
    pub(crate) terms: Option<LaneTerms>,
    /// Directory of the client's hint cache.
    pub(crate) home: &'a Path,
    /// Cores of each party; all for both without it.
    pub(crate) cores: Option<Cores>,
    /// What Ctrl-C stops.
    pub(crate) stopper: &'a Stopper,
}

/// What to run once they are started.
pub(crate) struct Load<'a> {
    /// Lanes side by side.
    pub(crate) lanes: usize,
    /// The slices of the samples, one per lane.
    pub(crate) slices: Vec<Range<u32>>,
    /// Gives the image of a sample as the network's input tensor.
    pub(crate) tensor: &'a (dyn Fn(usize) -> Result<Vec<f32>> + Sync),
}

/// Cores that each party is kept to: the client to the first ones, the server to the last ones.
/// They overlap if there are too few.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cores {
    /// Of each party.
    pub(crate) each: usize,
    /// Of the machine.
    pub(crate) all: usize,
}

impl Cores {
    /// Keeps this thread, and what it starts, to the client's cores.
    ///
    /// # Errors
    /// If the system cannot.
    pub(crate) fn of_client(self) -> Result<()> {
        machine::pin(0..self.each)
    }

    fn of_server(self) -> Result<()> {
        machine::pin(self.all - self.each..self.all)
    }
}

/// The server's process, which Ctrl-C ends from another thread.
#[derive(Clone, Default)]
pub(crate) struct Stopper {
    server: Arc<Mutex<Option<ServerProcess>>>,
    pressed: Arc<AtomicBool>,
}

impl Stopper {
    fn server<T>(&self, of: impl FnOnce(&mut Option<ServerProcess>) -> T) -> T {
        of(&mut self.server.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Whether Ctrl-C was pressed.
    pub(crate) fn pressed(&self) -> bool {
        self.pressed.load(Ordering::Relaxed)
    }

    /// Ends the server at Ctrl-C: lanes then fail, and the client goes on with what it has.
    ///
    /// # Errors
    /// If interrupts are watched already.
    pub(crate) fn watch(&self) -> Result<()> {
        let me = self.clone();
        ctrlc::set_handler(move || {
            me.pressed.store(true, Ordering::Relaxed);
            me.server(|server| drop(server.take()));
        })
        .context("cannot watch for interrupts")
    }
}

/// A server process, a link and a client that has the hint. The server ends with it.
pub(crate) struct Session<'a> {
    stopper: &'a Stopper,
    server_id: u32,
    relay: Option<Relay>,
    client: Client,
    /// Seconds of server start, description and hint.
    setup_seconds: f64,
}

impl Drop for Session<'_> {
    fn drop(&mut self) {
        self.stopper.server(|server| drop(server.take()));
    }
}

impl<'a> Session<'a> {
    /// Starts a server and connects to it.
    ///
    /// # Errors
    /// A server that does not come up, a hint that cannot be had.
    pub(crate) fn open(setting: &Setting<'a>) -> Result<Self> {
        let began = Instant::now();
        let (server_id, direct) = launch(setting)?;
        let relay = match setting.link {
            Some(link) => Some(Relay::start(direct.parse().context("the server's address")?, link, Script::default())?),
            None => None,
        };
        let address = relay.as_ref().map_or(direct, |relay| relay.address().to_string());
        eprintln!("Server:   process {server_id}; client: process {}", std::process::id());
        machine::forget_peak();
        let client = connect(setting, address)?;
        let setup_seconds = began.elapsed().as_secs_f64();
        Ok(Self { stopper: setting.stopper, server_id, relay, client, setup_seconds })
    }

    /// Runs lanes.
    ///
    /// # Errors
    /// Lanes that fail for a reason that another try does not mend, if none comes to its end.
    pub(crate) fn run(&self, load: &Load<'_>) -> Result<Measured> {
        let mut rng = ChaCha20Rng::try_from_rng(&mut SysRng).context("no randomness from the operating system")?;
        let card = self.client.card();
        let image = |position: u32| -> Result<Arc<EncodedImage>, String> {
            let tensor = (load.tensor)(position as usize).map_err(|e| format!("{e:#}"))?;
            let encoded = card.program.encode(&tensor).map_err(|e| e.to_string())?;
            EncodedImage::new(&card.program, &encoded).map(Arc::new).map_err(|e| e.to_string())
        };
        let lanes = self.client.unverified_lanes(&image, &mut rng);
        let mut measured = Measured::new(&self.client, load.slices.iter().map(Range::len).sum());
        measured.costs.setup_seconds = self.setup_seconds;
        let relay = self.relay.as_ref();
        let before = relay.map(Relay::carried);
        let cpu = || (machine::cpu_seconds(std::process::id()), machine::cpu_seconds(self.server_id));
        let cpu_before = cpu();
        let start = Instant::now();
        let mut line = Line::new(relay);
        lanes.run_all(load.slices.clone(), load.lanes, &mut |told| measured.hear(told, &mut line, self.stopper));
        drop(line);
        measured.costs.wall_seconds = start.elapsed().as_secs_f64();
        measured.carried = relay.zip(before).map(|(relay, before)| {
            let now = relay.carried();
            Carried {
                client_to_server: now.client_to_server - before.client_to_server,
                server_to_client: now.server_to_client - before.server_to_client,
            }
        });
        let spent = |now: Option<f64>, before: Option<f64>| Some(now? - before?);
        measured.cpu_seconds = (spent(cpu().0, cpu_before.0), spent(cpu().1, cpu_before.1));
        measured.peak_rss_mb = (machine::peak_rss_mb(std::process::id()), machine::peak_rss_mb(self.server_id));
        measured.interrupted = self.stopper.pressed();
        if measured.lanes.is_empty() && !measured.interrupted {
            bail!("no lane came to its end: {}", measured.failures.join("; "));
        }
        Ok(measured)
    }
}

/// Starts this program as the server, on its cores, and returns its process and address.
fn launch(setting: &Setting<'_>) -> Result<(u32, String)> {
    let mut command = Command::new(std::env::current_exe().context("cannot find this program's file")?);
    command.arg("serve");
    if let Some(cores) = setting.cores {
        cores.of_server()?;
    }
    let process = ServerProcess::launch(command, setting.package)?;
    if let Some(cores) = setting.cores {
        cores.of_client()?;
    }
    let found = (process.id(), process.address.clone());
    setting.stopper.server(|server| *server = Some(process));
    Ok(found)
}

/// Connects to the server at `address`, with a bar while the hint comes.
fn connect(setting: &Setting<'_>, address: String) -> Result<Client> {
    let mut settings = ClientSettings::new(address, setting.home);
    settings.terms = setting.terms;
    settings.cores = cores();
    // Ports come again with other models: what the package says counts.
    settings.pin = Package::read_card(setting.package)?.hint.map(|hint| hint.digest.to_string());
    let bar = ProgressBar::hidden()
        .with_style(ProgressStyle::with_template("hint      {bar:30} {decimal_bytes} of {decimal_total_bytes}, {decimal_bytes_per_sec}")?);
    let client = Client::connect_telling(settings, &mut |event| {
        if let Event::Hint { done, total } = event {
            bar.set_draw_target(ProgressDrawTarget::stderr());
            bar.set_length(total);
            bar.set_position(done);
        }
    })?;
    bar.finish_and_clear();
    Ok(client)
}

impl Measured {
    fn new(client: &Client, samples: usize) -> Self {
        let card = client.card();
        Self {
            hint_bytes: card.hint.map_or(0, |hint| hint.bytes),
            hint_cached: client.hint_was_cached(),
            labels: vec![None; samples],
            costs: Costs::default(),
            lanes: Vec::new(),
            peak_rss_mb: (None, None),
            cpu_seconds: (None, None),
            carried: None,
            interrupted: false,
            failures: Vec::new(),
            terms: client.terms(),
            card: card.clone(),
        }
    }

    /// Takes in what the lanes tell.
    fn hear(&mut self, told: Told, line: &mut Line<'_>, stopper: &Stopper) -> Next {
        match told {
            Told::Progress(progress) => {
                line.show(progress);
                Next::Go
            }
            Told::Done(lane) => {
                if let Opened::Labels(labels) = &lane.opened {
                    for (position, &label) in lane.slice.clone().zip(labels.iter()) {
                        self.labels[position as usize] = Some(label);
                    }
                }
                let before = self.costs.bytes();
                self.costs.add(&lane);
                let after = self.costs.bytes();
                let bytes = after.0 + after.1 - before.0 - before.1;
                self.lanes.push(LaneFigures { samples: lane.slice.len(), seconds: lane.seconds, bytes });
                Next::Go
            }
            Told::Failed(failed) => {
                if !stopper.pressed() {
                    self.failures.push(format!("samples {:?}: {}", failed.slice, failed.error));
                }
                // A measurement with a failed lane in it is none: no second try.
                Next::Stop
            }
            Told::Waiting { .. } | Told::GivenUp(_) => Next::Stop,
        }
    }
}

/// The progress line.
struct Line<'a> {
    bar: ProgressBar,
    relay: Option<&'a Relay>,
    /// Bytes up and down at the last look.
    last: ((u64, u64), Instant),
}

impl<'a> Line<'a> {
    fn new(relay: Option<&'a Relay>) -> Self {
        let bar = ProgressBar::new(0);
        // The template is a literal; a wrong one falls back to the default look.
        let style = ProgressStyle::with_template("lanes     {bar:30} {percent}% {elapsed_precise} (ETA {eta}) {msg}");
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        Self { bar, relay, last: ((0, 0), Instant::now()) }
    }

    fn show(&mut self, p: LaneProgress) {
        let now = match self.relay.map(Relay::carried) {
            Some(carried) => (carried.client_to_server, carried.server_to_client),
            None => (p.sent, p.received),
        };
        let seconds = self.last.1.elapsed().as_secs_f64().max(1e-3);
        let rate = |now: u64, before: u64| human_bytes((now.saturating_sub(before) as f64 / seconds) as u64);
        let rates = format!("up {}/s, down {}/s", rate(now.0, self.last.0.0), rate(now.1, self.last.0.1));
        self.last = (now, Instant::now());
        self.bar.set_length(p.samples * p.steps);
        self.bar.set_position(p.done);
        self.bar.set_message(format!(
            "{:.1} of {} samples, {} of {} steps, {}, {rates}",
            p.done as f64 / p.steps.max(1) as f64,
            p.samples,
            p.done,
            p.samples * p.steps,
            human_bytes(p.sent + p.received)
        ));
    }
}

impl Drop for Line<'_> {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
