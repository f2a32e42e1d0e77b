//! Clocks that go back, and minutes in which nothing moves.

use std::fs::{self, File};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, SystemTime};

use fusion::{Client, ClientSettings, GivenMix, Inputs, Journal, MixSettings, PublicPool, images, silent};
use fusion_cli::assets;
use fusion_mix::pool::KnownFrom;
use fusion_mix::verify::Verdict;
use fusion_net::relay::{Link, Relay, Script};
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;

use super::{BATCH, assert_undisturbed, batches_counted, recover};
use crate::harness::{Serving, User, asset};

/// Everything that was written looks as if it came from the future.
#[test]
fn a_clock_set_back_disturbs_nothing() {
    let user = User::new();
    user.prepare("mnist.fusion");
    let server = user.serve("mnist.fusion", "");
    let address = &server.address;
    let mut client = user.start(&format!("query {BATCH} --server {address} --out {{run}}"));
    user.wait_for_first_lane("run", &mut client);
    client.kill();
    let future = SystemTime::now() + Duration::from_secs(20 * 365 * 86_400);
    age(&user.path("."), future);
    recover(&user, "run", address);
    assert_eq!(batches_counted(&user), 1);
    let _again = user.serve("mnist.fusion", "");
}

/// Sets the time of every file below a folder.
fn age(path: &Path, time: SystemTime) {
    for entry in fs::read_dir(path).unwrap() {
        let entry = entry.unwrap().path();
        if entry.is_dir() {
            age(&entry, time);
        } else if let Ok(file) = File::options().write(true).open(&entry) {
            file.set_modified(time).unwrap();
        }
    }
}

/// No run decides by the wall clock. It names directories of runs, and `doctor` looks at it; the
/// gateway tells people when something happened, begins a batch after so many hours, and forgets
/// after so many days.
#[test]
fn the_wall_clock_is_read_in_three_places() {
    let crates = crate::harness::workspace().join("crates");
    let mut readers = Vec::new();
    let mut folders = vec![crates.clone()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() && path.file_name().is_some_and(|name| name != "tests" && name != "target") {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs")
                && fs::read_to_string(&path).unwrap().contains("SystemTime::now")
            {
                readers.push(path.strip_prefix(&crates).unwrap().to_string_lossy().into_owned());
            }
        }
    }
    readers.sort();
    assert_eq!(readers, ["fusion-cli/src/doctor/machine.rs", "fusion-cli/src/query.rs", "fusion-gateway/src/shared.rs"]);
}

/// A server that stops for a minute, a link that stalls, a link that never moves again, a client
/// that says nothing for 300 s: side by side, since they take minutes of waiting and no work.
#[test]
fn minutes_without_a_byte_end_no_run() {
    std::thread::scope(|scope| {
        scope.spawn(a_server_stopped_for_a_minute);
        scope.spawn(|| a_link_that_stalls("1 s2c byte 150000 stall 15000"));
        scope.spawn(|| a_link_that_stalls("2 c2s byte 90000 stall"));
        scope.spawn(a_client_idle_for_300_seconds);
    });
}

fn a_server_stopped_for_a_minute() {
    let user = User::new();
    user.prepare("mnist.fusion");
    let server = user.serve("mnist.fusion", "");
    let line = format!("query {BATCH} --server {} --out {{run}} --json {{after.json}} --max-failures 0", server.address);
    let mut client = user.start(&line);
    user.wait_for_first_lane("run", &mut client);
    signal(&server, "STOP");
    std::thread::sleep(Duration::from_secs(60));
    signal(&server, "CONT");
    client.end().expect(0);
    assert_undisturbed(&user.json("after.json"));
}

fn signal(server: &Serving, name: &str) {
    let sent = Command::new("sh").arg("-c").arg(format!("kill -{name} {}", server.id())).status().unwrap();
    assert!(sent.success());
}

fn a_link_that_stalls(script: &str) {
    let user = User::new();
    user.prepare("mnist.fusion");
    let server = user.serve("mnist.fusion", "");
    let relay = Relay::start(server.address.parse().unwrap(), Link::LAN, Script::parse(script).unwrap()).unwrap();
    let address = relay.address();
    let line = format!("query {BATCH} --server {address} --out {{run}} --json {{after.json}} --max-failures 0");
    user.start(&line).end().expect(0);
    assert_undisturbed(&user.json("after.json"));
    assert_eq!(relay.fired(), 1, "the link was never disturbed: {script}");
}

/// As long as the time after which either side ends a call that says nothing.
fn a_client_idle_for_300_seconds() {
    let user = User::new();
    user.prepare("mnist.fusion");
    let server = user.serve("mnist.fusion", "");
    let mut settings = ClientSettings::new(server.address.clone(), user.path("home"));
    settings.allow_unsound = true;
    let client = Client::connect(settings).unwrap();
    std::thread::sleep(Duration::from_secs(300));
    let publics = PublicPool::labelled(assets::mnist_pool().unwrap(), KnownFrom::GroundTruth).unwrap();
    let inputs = Inputs::from(images::folder(&asset("queries")).unwrap()[..1].to_vec());
    let given = Some(GivenMix { copies: 2, publics: 4, tau: 2, max_inconclusive: 1 });
    let mix = MixSettings { given, ..MixSettings::at_lambda(2.0, None) };
    let plan = client.plan(&mix, 1, &publics).unwrap();
    let journal = Journal::at(user.path("run"));
    let mut rng = ChaCha20Rng::seed_from_u64(300);
    let outcome = client.query(&inputs, &publics, &plan, journal, &mut rng, &mut silent).unwrap();
    assert_eq!(outcome.report.verdict, Verdict::Accepted);
}
