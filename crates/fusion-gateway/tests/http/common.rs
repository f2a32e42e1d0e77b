//! A served digit classifier for all tests of this program, gateways before it, and their users.

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use fusion::images::{self, Sample};
use fusion::mix::pool::KnownFrom;
use fusion::model::preprocess::Preprocess;
use fusion::{
    ClientSettings, GivenMix, MixSettings, PackageSettings, PublicPool, QuantiseSettings, Server, ServerSettings, SystemClock, Widths,
    prepare, quantise_file, silent,
};
use fusion_gateway::{Gateway, GatewaySettings, PoolOf};
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;
use serde_json::Value;
use tempfile::TempDir;

/// What does not happen by then does not happen. Far above the slowest step on a busy machine.
const PATIENCE: Duration = Duration::from_secs(180);

pub(crate) const ADA: &str = "ada-has-a-long-token";
pub(crate) const BOB: &str = "bob-has-a-long-token";

fn asset(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../assets/mnist").join(name)
}

/// The bytes of a digit's file.
pub(crate) fn digit(number: usize) -> Vec<u8> {
    std::fs::read(asset(&format!("queries/digit-{number:02}.png"))).unwrap()
}

/// What a digit shows.
pub(crate) fn label(number: usize) -> u32 {
    let list = std::fs::read_to_string(asset("queries.csv")).unwrap();
    list.lines().nth(number + 1).unwrap().rsplit_once(',').unwrap().1.parse().unwrap()
}

fn pool() -> Vec<Sample> {
    images::sheet(&std::fs::read(asset("pool.png")).unwrap(), &std::fs::read_to_string(asset("pool.csv")).unwrap(), 28, "pool").unwrap()
}

/// The server's address.
fn server() -> String {
    static SERVER: OnceLock<(TempDir, Server)> = OnceLock::new();
    let serve = || {
        let scratch = tempfile::tempdir().unwrap();
        let mut rng = ChaCha20Rng::seed_from_u64(1);
        let widths = Widths::Uniform { window: 13, weight_bits: 10, left_out: 1 };
        let settings = QuantiseSettings { widths, margin: 1.5, ..QuantiseSettings::new(Preprocess::mnist()) };
        let quantised = quantise_file(&asset("mnist.onnx"), &settings, &pool()[..16]).unwrap();
        let package = scratch.path().join("package");
        prepare(&package, quantised, PackageSettings::default(), &SystemClock::new(), &mut rng, &mut silent).unwrap();
        let server = Server::serve(&package, ServerSettings::new(([127, 0, 0, 1], 0).into()), ChaCha20Rng::from_rng(&mut rng)).unwrap();
        (scratch, server)
    };
    SERVER.get_or_init(serve).1.local_addr().to_string()
}

/// Settings before the server, with a home of their own: batches begin only when asked for.
pub(crate) fn settings(home: &TempDir) -> GatewaySettings {
    let mut client = ClientSettings::new(server(), home.path());
    (client.lanes, client.allow_unsound) = (Some(2), true);
    let given = GivenMix { copies: 2, publics: 6, tau: 3, max_inconclusive: 1 };
    let mix = MixSettings { given: Some(given), ..MixSettings::at_lambda(2.0, None) };
    let pool: PoolOf = Arc::new(|_| PublicPool::labelled(pool(), KnownFrom::GroundTruth).map_err(|error| error.to_string()));
    GatewaySettings { listen: ([127, 0, 0, 1], 0).into(), batch: 100, ..GatewaySettings::new(client, mix, pool) }
}

/// The same with two users.
pub(crate) fn with_users(home: &TempDir) -> GatewaySettings {
    let path = home.path().join("users");
    std::fs::write(&path, format!("ada {ADA}\nbob {BOB}\n")).unwrap();
    #[cfg(unix)]
    std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    GatewaySettings { users: Some(path), ..settings(home) }
}

/// A gateway whose server is met, with a directory of its own.
pub(crate) fn started(settings: GatewaySettings) -> Gateway {
    let gateway = Gateway::start(settings).unwrap();
    let anyone = Api::of(&gateway, None);
    wait("the server is met", || anyone.get("/healthz").1["server"] == "connected");
    gateway
}

/// What a user asks.
#[derive(Clone)]
pub(crate) struct Api {
    pub(crate) base: String,
    token: Option<&'static str>,
    agent: ureq::Agent,
}

impl Api {
    pub(crate) fn of(gateway: &Gateway, token: Option<&'static str>) -> Self {
        let agent = ureq::Agent::config_builder().http_status_as_error(false).timeout_global(Some(PATIENCE)).build().into();
        Self { base: format!("http://{}", gateway.address()), token, agent }
    }

    fn call(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> ureq::http::Response<ureq::Body> {
        let mut request = ureq::http::Request::builder().method(method).uri(format!("{}{path}", self.base));
        if let Some(token) = self.token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let run = if method == "POST" { self.agent.run(request.body(body).unwrap()) } else { self.agent.run(request.body(()).unwrap()) };
        run.unwrap_or_else(|error| panic!("{method} {path}: {error}"))
    }

    /// Status and JSON of an answer.
    pub(crate) fn ask(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> (u16, Value) {
        let mut response = self.call(method, path, headers, body);
        let text = response.body_mut().read_to_string().unwrap_or_default();
        (response.status().as_u16(), serde_json::from_str(&text).unwrap_or(Value::String(text)))
    }

    /// A header of an answer.
    pub(crate) fn header(&self, method: &str, path: &str, body: &[u8], name: &str) -> Option<String> {
        let response = self.call(method, path, &[("content-type", "image/png")], body);
        response.headers().get(name).map(|value| value.to_str().unwrap().to_owned())
    }

    pub(crate) fn get(&self, path: &str) -> (u16, Value) {
        self.ask("GET", path, &[], b"")
    }

    /// Sends an image, and returns its id.
    pub(crate) fn send(&self, bytes: &[u8], name: &str) -> String {
        let (status, image) = self.ask("POST", &format!("/v1/images?name={name}"), &[("content-type", "image/png")], bytes);
        assert_eq!(status, 202, "{image}");
        image["id"].as_str().unwrap().to_owned()
    }

    /// Waits for an image in a state.
    pub(crate) fn wait_for(&self, id: &str, is: impl Fn(&Value) -> bool) -> Value {
        let mut last = Value::Null;
        wait(&format!("image {id}"), || {
            last = self.get(&format!("/v1/images/{id}")).1;
            is(&last)
        });
        last
    }
}

/// Waits until something holds.
#[track_caller]
pub(crate) fn wait(what: &str, mut holds: impl FnMut() -> bool) {
    let began = Instant::now();
    while !holds() {
        assert!(began.elapsed() < PATIENCE, "{what}: waited in vain");
        std::thread::sleep(Duration::from_millis(50));
    }
}
