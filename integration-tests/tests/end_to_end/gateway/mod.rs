//! `fusion gateway` as applications and people meet it.
//!
//! | module | what it holds the gateway to |
//! |---|---|
//! | `kills` | 200 digits of 20 clients while gateway and server are killed |
//! | `cheats` | a server that tampers: the batch, its images, and what comes after |
//! | `manual` | every command of docs/gateway.md |
//! | `page` | the page in a real browser, `browser` |

pub(crate) mod browser;
mod cheats;
mod kills;
mod manual;
mod page;

use std::io::{BufRead, BufReader};
use std::process::{Child, ChildStdin, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::harness::User;

/// What does not happen by then does not happen. Far above the slowest step on a busy machine.
const PATIENCE: Duration = Duration::from_secs(240);

/// A gateway process that ends with its test.
pub(crate) struct Gateway {
    child: Child,
    _stdin: ChildStdin,
    /// `host:port`.
    pub(crate) address: String,
}

impl Gateway {
    /// Starts `fusion gateway` with these arguments.
    pub(crate) fn start(user: &User, server: &str, more: &str) -> Self {
        Self::start_at(user, server, "127.0.0.1:0", more)
    }

    /// The same at an address.
    pub(crate) fn start_at(user: &User, server: &str, address: &str, more: &str) -> Self {
        let line = format!("gateway --server {server} --listen {address} --public-mnist --until-stdin-closes --allow-unsound {more}");
        let mut child = user.command(&line).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let (stdin, stdout) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        let mut first = String::new();
        BufReader::new(stdout).read_line(&mut first).unwrap();
        let address = first.trim().strip_prefix("listening on http://").expect("the gateway came up").to_owned();
        Self { child, _stdin: stdin, address }
    }

    /// Ends it without warning (SIGKILL) and returns its address.
    pub(crate) fn kill(mut self) -> String {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        self.address.clone()
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub(crate) fn get(&self, path: &str) -> Value {
        get(&self.address, path).unwrap_or_else(|| panic!("no answer to {path}"))
    }

    pub(crate) fn post(&self, path: &str) -> u16 {
        agent().post(self.url(path)).send_empty().unwrap().status().as_u16()
    }

    /// Waits until it has met its server.
    pub(crate) fn connected(self) -> Self {
        wait("the gateway meets the server", || get(&self.address, "/healthz").is_some_and(|health| health["server"] == "connected"));
        self
    }

    /// All images, the newest first.
    pub(crate) fn images(&self) -> Vec<Value> {
        self.get("/v1/images?limit=1000")["images"].as_array().unwrap().clone()
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub(crate) fn agent() -> ureq::Agent {
    ureq::Agent::config_builder().http_status_as_error(false).timeout_global(Some(PATIENCE)).build().into()
}

/// The JSON of an answer, if there is one.
pub(crate) fn get(address: &str, path: &str) -> Option<Value> {
    agent().get(format!("http://{address}{path}")).call().ok()?.body_mut().read_json().ok()
}

/// Sends an image once; its JSON if it was taken in.
pub(crate) fn send(address: &str, name: &str, png: &[u8]) -> Option<Value> {
    let request = agent().post(format!("http://{address}/v1/images?name={name}"));
    let mut response = request.header("content-type", "image/png").header("idempotency-key", name).send(png).ok()?;
    if response.status() != 202 {
        return None;
    }
    response.body_mut().read_json().ok()
}

/// Digits as PNG files, with their labels.
pub(crate) fn digits(count: usize) -> Vec<(Vec<u8>, u64)> {
    let pool = fusion_cli::assets::mnist_pool().unwrap();
    pool.iter().take(count).map(|sample| (sample.thumbnail(28).unwrap(), u64::from(sample.label.unwrap()))).collect()
}

/// Waits until something holds.
#[track_caller]
pub(crate) fn wait(what: &str, mut holds: impl FnMut() -> bool) {
    let began = Instant::now();
    while !holds() {
        assert!(began.elapsed() < PATIENCE, "{what}: waited in vain");
        std::thread::sleep(Duration::from_millis(100));
    }
}
