//! Clients that query without a pause, and what befalls them.

use std::fmt;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use fusion_cli::assets;
use fusion_net::relay::{Action, Direction, Fault, Link, Position, Relay, Script};
use rand::{RngExt as _, SeedableRng};
use rand_chacha::ChaCha20Rng;
use rustix::process::{Pid, Signal, kill_process};
use serde::Serialize;

/// Digits in a batch.
const QUERIES: usize = 2;
/// A small batch: two digits in three copies among six public samples, in lanes of four.
const BATCH: [&str; 14] = [
    "--public-mnist",
    "--copies",
    "3",
    "--public",
    "6",
    "--tau",
    "2",
    "--max-inconclusive",
    "1",
    "--allow-unsound",
    "--lanes",
    "2",
    "--lane-samples",
    "4",
];
/// After so long a client hangs.
const HANGS: Duration = Duration::from_secs(300);

/// How runs ended, by what befell them. All of them ended well.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub(super) struct Ends {
    undisturbed: u64,
    killed_and_resumed: u64,
    killed_and_begun_again: u64,
    stopped_for_a_while: u64,
    over_a_bad_link: u64,
}

impl Ends {
    pub(super) fn runs(&self) -> u64 {
        self.undisturbed + self.killed_and_resumed + self.killed_and_begun_again + self.stopped_for_a_while + self.over_a_bad_link
    }
}

impl fmt::Display for Ends {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} (undisturbed {}, killed and resumed {}, killed and begun again {}, stopped {}, bad link {})",
            self.runs(),
            self.undisturbed,
            self.killed_and_resumed,
            self.killed_and_begun_again,
            self.stopped_for_a_while,
            self.over_a_bad_link
        )
    }
}

/// All clients, each with a directory of its own; pairs share what they remember.
pub(super) struct Clients {
    folder: PathBuf,
    server: String,
    number: usize,
    seed: u64,
    /// Runs begun so far, over all clients.
    begun: AtomicU64,
    ends: std::sync::Mutex<Ends>,
    /// The labels that an undisturbed run of [`BATCH`] gives.
    expected: Vec<Option<u64>>,
}

/// What befalls a run.
enum Chance {
    Nothing,
    Kill(Duration),
    Stop(Duration, Duration),
    Link(Script),
}

impl Clients {
    /// `number` clients of the server at `server`, below `folder`. Runs a batch undisturbed, to
    /// which all others are held.
    pub(super) fn new(folder: &Path, server: &str, number: usize, seed: u64) -> Result<Self> {
        for (index, digit) in assets::mnist_pool()?.iter().take(QUERIES).enumerate() {
            fs::write(folder.join(format!("digit-{index}.png")), digit.thumbnail(28)?).context("cannot write a digit")?;
        }
        let ends = std::sync::Mutex::default();
        let (folder, server) = (folder.to_owned(), server.to_owned());
        let mut clients = Self { folder, server, number, seed, begun: AtomicU64::new(1), ends, expected: Vec::new() };
        let out = clients.folder.join("run0");
        ended_well(&mut spawn(clients.begin(0, &clients.server, &out), &out)?, &out)?;
        let labels = labels(&out)?;
        ensure!(labels.len() == QUERIES, "an undisturbed run gives {} labels", labels.len());
        clients.expected = labels;
        Self::clean(&out)?;
        Ok(clients)
    }

    pub(super) fn len(&self) -> usize {
        self.number
    }

    pub(super) fn ends(&self) -> Ends {
        *self.ends.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Client `client` queries until `stop`.
    pub(super) fn run_until(&self, client: usize, stop: &AtomicBool) -> Result<()> {
        while !stop.load(Ordering::Relaxed) {
            let run = self.begun.fetch_add(1, Ordering::Relaxed);
            let mut rng = ChaCha20Rng::seed_from_u64(self.seed.wrapping_mul(1_000_003) ^ run);
            let end = self.run(client, run, chance(&mut rng)).with_context(|| format!("run {run} of client {client}"))?;
            end(&mut self.ends.lock().unwrap_or_else(std::sync::PoisonError::into_inner));
        }
        Ok(())
    }

    /// One run, to the verdict of an undisturbed one.
    fn run(&self, client: usize, run: u64, chance: Chance) -> Result<fn(&mut Ends)> {
        let out = self.folder.join(format!("run{run}"));
        let begin = |server: &str| self.begin(client, server, &out);
        // What a damaged byte does to one copy of a query makes its copies disagree.
        let damaged = matches!(&chance, Chance::Link(script) if script.faults.iter().any(|fault| matches!(fault.action, Action::Corrupt)));
        let end: fn(&mut Ends) = match chance {
            Chance::Nothing => {
                ended_well(&mut spawn(begin(&self.server), &out)?, &out)?;
                |ends| ends.undisturbed += 1
            }
            Chance::Kill(after) => {
                let mut child = spawn(begin(&self.server), &out)?;
                thread::sleep(after);
                // It may have ended.
                let _ = child.kill();
                child.wait()?;
                if out.join("run.json").exists() {
                    let mut command = self.command(client, &self.server, &out);
                    command.arg("--resume").arg(&out);
                    ended_well(&mut spawn(command, &out)?, &out)?;
                    |ends| ends.killed_and_resumed += 1
                } else {
                    ended_well(&mut spawn(begin(&self.server), &out)?, &out)?;
                    |ends| ends.killed_and_begun_again += 1
                }
            }
            Chance::Stop(after, pause) => {
                let mut child = spawn(begin(&self.server), &out)?;
                thread::sleep(after);
                let id = Pid::from_child(&child);
                // It may have ended; then there is nobody to stop.
                if child.try_wait()?.is_none() && kill_process(id, Signal::STOP).is_ok() {
                    thread::sleep(pause);
                    kill_process(id, Signal::CONT).context("cannot continue a client")?;
                }
                ended_well(&mut child, &out)?;
                |ends| ends.stopped_for_a_while += 1
            }
            Chance::Link(script) => {
                let relay = Relay::start(self.server.parse().context("the server's address")?, Link::LAN, script)?;
                if let Err(error) = ended_well(&mut spawn(begin(&relay.address().to_string()), &out)?, &out) {
                    // Without TLS a server takes a damaged byte for the client's fault, and says
                    // so. That ends the run, since another try would not mend a client.
                    let log = fs::read_to_string(out.with_extension("log"))?;
                    ensure!(log.contains("the peer rejected what this side sent") && log.contains("can be resumed"), error);
                    let mut command = self.command(client, &self.server, &out);
                    command.arg("--resume").arg(&out);
                    ended_well(&mut spawn(command, &out)?, &out).context("it was rejected over a bad link, and resumed")?;
                }
                |ends| ends.over_a_bad_link += 1
            }
        };
        self.check(&out, damaged)?;
        Ok(end)
    }

    /// A run from its beginning.
    fn begin(&self, client: usize, server: &str, out: &Path) -> Command {
        let mut command = self.command(client, server, out);
        command.args((0..QUERIES).map(|i| self.folder.join(format!("digit-{i}.png")))).args(BATCH).arg("--out").arg(out);
        command
    }

    /// `fusion query`, with the home of this client and its neighbour.
    fn command(&self, client: usize, server: &str, out: &Path) -> Command {
        let mut command = Command::new(std::env::current_exe().unwrap_or_default());
        command.args(["query", "--server", server, "--json"]).arg(out.with_extension("json"));
        command.env("FUSION_HOME", self.folder.join(format!("home{}", client / 2)));
        command
    }

    /// Holds an outcome to that of an undisturbed run, and removes what the run left. Over a link
    /// that damages bytes an answer may be missing, never wrong.
    fn check(&self, out: &Path, damaged: bool) -> Result<()> {
        let labels = labels(out)?;
        let as_expected = |(label, expected): (&Option<u64>, &Option<u64>)| label == expected || damaged && label.is_none();
        let all = labels.len() == self.expected.len() && labels.iter().zip(&self.expected).all(as_expected);
        ensure!(all, "the labels are {labels:?}, not {:?} as of an undisturbed run", self.expected);
        Self::clean(out)
    }

    fn clean(out: &Path) -> Result<()> {
        for file in [out.with_extension("json"), out.with_extension("log")] {
            fs::remove_file(file)?;
        }
        Ok(fs::remove_dir_all(out)?)
    }
}

/// The labels of an accepted run, by query; none where copies disagree.
fn labels(out: &Path) -> Result<Vec<Option<u64>>> {
    let json = out.with_extension("json");
    let outcome: serde_json::Value = serde_json::from_slice(&fs::read(&json).with_context(|| json.display().to_string())?)?;
    ensure!(outcome["verdict"] == "accepted", "the batch is {}: {}", outcome["verdict"], outcome["evidence"]);
    Ok(outcome["answers"].as_array().map_or_else(Vec::new, |all| all.iter().map(|a| a["label"].as_u64()).collect()))
}

/// Half of the runs are left alone.
fn chance(rng: &mut ChaCha20Rng) -> Chance {
    let moment = Duration::from_millis(rng.random_range(0..4000));
    match rng.random_range(0..8) {
        0 | 1 => Chance::Kill(moment),
        2 => Chance::Stop(moment, Duration::from_millis(rng.random_range(100..3000))),
        3 => {
            let direction = if rng.random_bool(0.5) { Direction::ClientToServer } else { Direction::ServerToClient };
            let action = match rng.random_range(0..4) {
                0 => Action::Disconnect,
                1 => Action::Stall(Some(Duration::from_millis(rng.random_range(100..5000)))),
                2 => Action::Corrupt,
                _ => Action::Truncate,
            };
            let position = Position::Byte(rng.random_range(0..400_000));
            // The first connections are those of the description and the hint.
            Chance::Link(Script { faults: vec![Fault { connection: rng.random_range(0..4), direction, position, action }] })
        }
        _ => Chance::Nothing,
    }
}

fn spawn(mut command: Command, out: &Path) -> Result<Child> {
    let log = out.with_extension("log");
    let log = File::create(&log).with_context(|| log.display().to_string())?;
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn().context("cannot start a client")
}

/// Waits for a client, which must end well.
fn ended_well(child: &mut Child, out: &Path) -> Result<()> {
    let began = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break status;
        }
        if began.elapsed() > HANGS {
            child.kill()?;
            child.wait()?;
            bail!("it hangs");
        }
        thread::sleep(Duration::from_millis(20));
    };
    if !status.success() {
        bail!("it ended with {status}: {}", fs::read_to_string(out.with_extension("log")).unwrap_or_default());
    }
    Ok(())
}
