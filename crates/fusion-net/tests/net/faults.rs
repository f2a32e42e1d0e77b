//! Links that lose, hold, cut, damage and swap bytes: nobody hangs, nothing leaks, and downloads
//! still end well.

use std::time::{Duration, Instant};

use crate::support::*;
use fusion_net::relay::{Link, Relay, Script};
use fusion_net::{Client, ClientSettings, HintCache, Limits, NetError, Server};
use fusion_ring::channel::{Channel as _, ChannelError};

const FAST: &str = "5000,0";

fn through(server: &Server, script: &str) -> Relay {
    Relay::start(server.local_addr(), Link::parse(FAST).unwrap(), Script::parse(script).unwrap()).unwrap()
}

fn impatient(relay: &Relay) -> ClientSettings {
    ClientSettings { idle: Duration::from_millis(800), ..settings(relay.address()) }
}

/// One lane of ten echoes of 1000 bytes; `Ok` says whether all came back right.
fn ten_echoes(settings: ClientSettings) -> Result<bool, NetError> {
    let client = Client::connect(settings)?;
    let mut channel = client.open_lane(lane(ECHO))?;
    let mut right = true;
    let data = noise(1000);
    let run = |channel: &mut fusion_net::LaneChannel, right: &mut bool| -> Result<(), ChannelError> {
        for _ in 0..10 {
            channel.send(&1000u32.to_le_bytes())?;
            channel.send(&data)?;
            *right &= channel.recv_vec(1000)? == data;
        }
        channel.send(&0u32.to_le_bytes())
    };
    match run(&mut channel, &mut right) {
        Ok(()) => channel.finish().map(|_| right),
        Err(_) => Err(channel.failure().cloned().unwrap()),
    }
}

/// Runs the script on the lane's connection (number 1), or on any other that it names.
fn outcome(script: &str) -> Result<bool, NetError> {
    let limits = Limits { idle: Duration::from_millis(1200), ..Limits::default() };
    let server = serve(limits);
    let relay = through(&server, script);
    let started = Instant::now();
    let outcome = ten_echoes(impatient(&relay));
    assert!(started.elapsed() < Duration::from_secs(15), "{script}: {:?}", started.elapsed());
    assert_eq!(relay.fired(), 1, "{script}: the fault did not happen");
    eventually(script, || server.lanes_running() == 0);
    assert_eq!(ten_echoes(settings(server.local_addr())), Ok(true), "after {script}");
    outcome
}

#[test]
fn a_message_that_is_lost_held_or_cut_ends_the_lane() {
    for direction in ["c2s", "s2c"] {
        for message in [0, 1, 5] {
            for action in ["drop", "stall", "truncate", "disconnect"] {
                let script = format!("1 {direction} message {message} {action}");
                let outcome = outcome(&script);
                assert!(outcome.is_err(), "{script}: {outcome:?}");
            }
        }
    }
}

#[test]
fn a_damaged_message_never_passes_for_the_right_one() {
    for direction in ["c2s", "s2c"] {
        for message in [1, 5] {
            for action in ["corrupt", "reorder"] {
                let script = format!("1 {direction} message {message} {action}");
                let outcome = outcome(&script);
                // Without TLS the transport cannot know; the answer is wrong or the lane ends,
                // never right.
                assert_ne!(outcome, Ok(true), "{script}");
            }
        }
    }
}

#[test]
fn a_short_stall_is_only_a_delay() {
    assert_eq!(outcome("1 c2s message 3 stall 200"), Ok(true));
    assert_eq!(outcome("1 s2c byte 2000 stall 200"), Ok(true));
}

#[test]
fn faults_at_any_byte_hang_nobody() {
    let server = serve(Limits { idle: Duration::from_millis(1200), ..Limits::default() });
    let mut fired = 0;
    for (i, offset) in (0..40u64).map(|i| i * i * 5).enumerate() {
        let action = ["corrupt", "drop 3", "reorder 20", "truncate", "disconnect"][i % 5];
        let direction = ["c2s", "s2c"][i / 5 % 2];
        let script = format!("1 {direction} byte {offset} {action}");
        let relay = through(&server, &script);
        let started = Instant::now();
        // Any outcome is right but a panic or a hang: some bytes of HTTP/2 mean nothing.
        let outcome = ten_echoes(impatient(&relay));
        assert!(started.elapsed() < Duration::from_secs(15), "{script}: {outcome:?}");
        fired += relay.fired();
        drop(relay);
        eventually(&script, || server.lanes_running() == 0);
    }
    assert!(fired >= 35, "{fired} of 40 faults happened");
    assert_eq!(ten_echoes(settings(server.local_addr())), Ok(true));
}

#[test]
fn a_broken_hint_download_goes_on_where_it_stopped() {
    let hint = noise(6_000_000);
    let server = Server::builder(Model::new(hint.clone())).start(local()).unwrap();
    // Connection 0 is the client's control connection; every try is one more.
    let relay = through(&server, "1 s2c byte 2000000 disconnect; 2 s2c byte 1500000 truncate; 3 s2c byte 1000000 stall");
    let client = Client::connect(impatient(&relay)).unwrap();
    let served = client.describe().unwrap();
    let directory = tempfile::tempdir().unwrap();
    let mut seen = Vec::new();
    let path = client.fetch_hint(&served, &HintCache::new(directory.path()), &mut |progress| seen.push(progress.done)).unwrap();
    assert!(std::fs::read(path).unwrap() == hint);
    assert_eq!(relay.fired(), 3);
    assert!(seen.is_sorted(), "nothing was thrown away: {seen:?}");
    let carried = relay.carried().server_to_client;
    // Each of three breaks costs less than one message and the windows' worth that was on its way.
    assert!(carried < 2 * hint.len() as u64, "{carried} bytes for {}", hint.len());
}

#[test]
fn a_hint_that_cannot_be_had_now_keeps_its_part_for_later() {
    let hint = noise(3_000_000);
    let server = Server::builder(Model::new(hint.clone())).start(local()).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let cache = HintCache::new(directory.path());
    let relay = through(&server, "1 s2c byte 1500000 disconnect");
    let client = Client::connect(ClientSettings { patience: Duration::ZERO, ..impatient(&relay) }).unwrap();
    let served = client.describe().unwrap();
    let error = client.fetch_hint(&served, &cache, &mut |_| {}).unwrap_err();
    assert_eq!(error.fault(), fusion_net::Fault::Network, "{error}");
    let part = std::fs::metadata(cache.part_path(served.description.hint_digest)).unwrap().len();
    assert!(part > 0);
    // A later call, as of another process, goes on from there.
    let mut first = None;
    let path = connect(&server).fetch_hint(&served, &cache, &mut |progress| first = first.or(Some(progress.done))).unwrap();
    assert_eq!(first, Some(part));
    assert!(std::fs::read(path).unwrap() == hint);
}
