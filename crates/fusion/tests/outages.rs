//! Connections that break cost time, and misbehaviour costs tries: with a real server in this
//! process, behind a link that breaks and corrupts.
#![expect(clippy::unwrap_used, reason = "a test")]

mod served;

use std::path::Path;
use std::time::{Duration, Instant};

use fusion::client::Outcome;
use fusion::mix::verify::Verdict;
use fusion::net::relay::{Link, Relay, Script};
use fusion::net::{HintWait, NetError};
use fusion::net::{LaneRequest, Limits, Reveal};
use fusion::{Client, ClientSettings, Error, Event, Inputs, Journal, Server, ServerSettings, silent};
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;

use crate::served::{Served, known, pool, small_mix};

/// A relay to the server with these faults. Of its connections the first describes the model and
/// the second brings the hint, if it is not there yet; those after it are lanes.
fn behind(served: &Served, faults: &str) -> (Relay, ClientSettings) {
    let relay =
        Relay::start(served.server.local_addr(), Link::new(10_000.0, Duration::ZERO).unwrap(), Script::parse(faults).unwrap()).unwrap();
    let mut settings = served.settings();
    settings.connection.address = relay.address().to_string();
    settings.lane_samples = Some(2);
    (relay, settings)
}

/// Four lanes of two samples.
fn query(settings: ClientSettings, path: &Path, events: &mut fusion::Events<'_>) -> Result<Outcome, Error> {
    let client = Client::connect(settings)?;
    let publics = known(pool()[..8].to_vec());
    let inputs = Inputs::from(pool()[40..42].to_vec());
    let plan = client.plan(&small_mix(), 2, &publics)?;
    client.query(&inputs, &publics, &plan, Journal::at(path), &mut ChaCha20Rng::seed_from_u64(5), events)
}

fn failures(path: &Path) -> u64 {
    std::fs::metadata(path.join("failures")).unwrap().len()
}

#[test]
fn connections_that_break_are_no_failures_and_all_answers_come() {
    let served = Served::new();
    // Early, in the middle, late; two at once; and the one that looks whether the server is back.
    let faults = "2 s2c message 1 disconnect; 3 s2c message 9 disconnect; 4 s2c message 0 disconnect; 6 s2c message 20 disconnect";
    let (relay, mut settings) = behind(&served, faults);
    settings.max_failures = 0;
    let path = served.scratch.path().join("run");
    let (mut lost, mut waits) = (0, 0);
    let mut events = |event: Event<'_>| {
        lost += usize::from(matches!(event, Event::LaneFailed { .. }));
        if let Event::Waiting { at_most, .. } = event {
            assert!(at_most <= Duration::from_secs(300));
            waits += 1;
        }
    };
    let outcome = query(settings, &path, &mut events).unwrap();
    assert_eq!((relay.fired(), lost), (4, 4));
    assert!((2..=3).contains(&waits), "{waits} outages");
    assert_eq!((outcome.report.verdict, outcome.report.evidence.failed_lane_runs, failures(&path)), (Verdict::Accepted, 0, 0));
    assert!(outcome.costs.waited_seconds > 0.2, "{} s", outcome.costs.waited_seconds);
}

/// A server that cheats and then goes away must not have had its try for nothing.
#[test]
fn what_a_check_has_found_counts_although_the_connection_is_cut_after_it() {
    let served = Served::new();
    for (fault, found) in [(0, "not a group element"), (1, "tree consistency"), (5, "coin-toss opening")] {
        // In order: a connection that is reset may lose what it has brought.
        let cut = fault + 1;
        let (_relay, mut settings) = behind(&served, &format!("2 s2c message {fault} corrupt; 2 s2c message {cut} truncate"));
        (settings.max_failures, settings.lanes) = (0, Some(1));
        let path = served.scratch.path().join(fault.to_string());
        let ended = query(settings, &path, &mut silent);
        let Err(Error::Incomplete { cause, resumable, .. }) = ended else { panic!("message {fault}: {ended:?}") };
        assert!(matches!(&*cause, Error::LaneRun { limit: Some(_), .. }) && cause.to_string().contains(found), "{cause}");
        assert!(!resumable && failures(&path) == 1);
    }
}

#[test]
fn resuming_does_not_renew_the_failures_that_a_run_may_have() {
    let served = Served::new();
    let (_relay, mut settings) = behind(&served, "2 s2c message 0 corrupt; 3 s2c message 0 corrupt");
    (settings.max_failures, settings.lanes) = (1, Some(1));
    let path = served.scratch.path().join("run");
    let Err(Error::Incomplete { cause, resumable: false, .. }) = query(settings.clone(), &path, &mut silent) else { panic!("it went on") };
    assert!(cause.source_text().contains("at most 1"), "{cause:?}");
    let client = Client::connect(settings).unwrap();
    let (publics, inputs) = (known(pool()[..8].to_vec()), Inputs::from(pool()[40..42].to_vec()));
    let refused = client.resume(&inputs, &publics, &path, &mut ChaCha20Rng::seed_from_u64(5), &mut silent).unwrap_err().to_string();
    assert!(refused.contains("2 lane runs failed before") && refused.contains("begin a new run"), "{refused}");
}

/// The text of the error behind an error.
trait SourceText {
    fn source_text(&self) -> String;
}

impl SourceText for Error {
    fn source_text(&self) -> String {
        std::error::Error::source(self).map_or_else(String::new, ToString::to_string)
    }
}

#[test]
fn a_callback_that_panics_loses_no_failure() {
    let served = Served::new();
    let (_relay, settings) = behind(&served, "2 s2c message 0 corrupt; 3 s2c message 0 corrupt");
    let path = served.scratch.path().join("run");
    let run = || {
        let mut failed = |event: Event<'_>| assert!(!matches!(event, Event::LaneFailed { .. }), "the caller gives up");
        query(settings, &path, &mut failed)
    };
    let panic = std::panic::catch_unwind(std::panic::AssertUnwindSafe(run)).unwrap_err();
    assert!(panic.downcast_ref::<&str>().is_some_and(|text| text.contains("gives up")));
    // Both lanes that ran had failed: both are on record.
    assert_eq!(failures(&path), 2);
}

#[test]
fn patience_ends_and_what_is_done_is_kept() {
    let served = Served::new();
    let address = served.server.local_addr();
    let mut settings = served.settings();
    (settings.patience, settings.max_failures, settings.lane_samples, settings.lanes) = (Duration::from_secs(2), 0, Some(2), Some(1));
    let path = served.scratch.path().join("run");
    let Served { server, scratch } = served;
    let mut server = Some(server);
    let mut gone = None;
    let mut events = |event: Event<'_>| {
        if let Event::LaneDone { .. } = event
            && let Some(server) = server.take()
        {
            server.shutdown(Duration::ZERO);
            gone = Some(Instant::now());
        }
    };
    let ended = query(settings.clone(), &path, &mut events);
    let waited = gone.unwrap().elapsed();
    let Err(Error::Incomplete { cause, resumable: true, answered, .. }) = ended else { panic!("it went on: {ended:?}") };
    assert!(matches!(&*cause, Error::OutOfPatience { patience, .. } if *patience == settings.patience), "{cause}");
    assert!(waited >= Duration::from_millis(1900) && waited < Duration::from_secs(20), "{waited:?}");
    assert_eq!((answered, failures(&path)), (2, 0));

    // A person who resumes is patient anew.
    let again = ServerSettings::new(address);
    let _server = Server::serve(&scratch.path().join("package"), again, ChaCha20Rng::seed_from_u64(3)).unwrap();
    let client = Client::connect(settings).unwrap();
    let (publics, inputs) = (known(pool()[..8].to_vec()), Inputs::from(pool()[40..42].to_vec()));
    let outcome = client.resume(&inputs, &publics, &path, &mut ChaCha20Rng::seed_from_u64(6), &mut silent).unwrap();
    assert_eq!((outcome.report.verdict, outcome.costs.samples), (Verdict::Accepted, 6));
}

#[test]
fn clients_of_a_full_server_wait_and_all_are_served() {
    let served = Served::with(Limits { lanes_total: 2, ..Limits::default() });
    std::thread::scope(|scope| {
        let client = |number: usize| {
            let mut settings = served.settings();
            (settings.lanes, settings.max_failures, settings.lane_samples) = (Some(4), 0, Some(2));
            let path = served.scratch.path().join(number.to_string());
            let outcome = query(settings, &path, &mut silent).unwrap();
            assert_eq!((outcome.report.verdict, failures(&path)), (Verdict::Accepted, 0));
            outcome.costs.waited_seconds
        };
        let clients: Vec<_> = (0..3).map(|number| scope.spawn(move || client(number))).collect();
        for client in clients {
            assert_eq!(client.join().unwrap(), 0.0, "a full server is not away");
        }
    });
}

#[test]
fn a_server_that_has_no_room_for_anything_is_given_up() {
    let served = Served::with(Limits { lanes_total: 1, ..Limits::default() });
    let client = fusion::net::Client::connect(served.settings().connection).unwrap();
    let card_digest = client.describe().unwrap().card_digest;
    // Somebody opens the only lane, and says nothing.
    let request = LaneRequest { n_samples: 1, card_digest, ..asked() };
    let _held = client.open_lane(request).unwrap();
    let mut settings = served.settings();
    (settings.patience, settings.max_failures) = (Duration::from_secs(1), 0);
    let path = served.scratch.path().join("run");
    let mut told = 0;
    let mut events = |event: Event<'_>| told += usize::from(matches!(event, Event::Waiting { why: NetError::Limit { .. }, .. }));
    let Err(Error::Incomplete { cause, resumable: true, .. }) = query(settings, &path, &mut events) else { panic!("it was served") };
    assert!(matches!(&*cause, Error::OutOfPatience { .. }) && cause.source_text().contains("lanes_total"), "{cause:?}");
    assert_eq!((told, failures(&path)), (1, 0));
}

fn asked() -> LaneRequest {
    LaneRequest {
        card_digest: fusion::net::Digest::of(b""),
        params_version: fusion::nn::LANE_VERSION,
        n_samples: 1,
        reveal: Reveal::Label,
        lane: 0,
        split: fusion::net::Split::FewestOts,
        extension: fusion::net::Extension::Small,
    }
}

#[test]
fn connecting_waits_for_a_server_that_is_about_to_come() {
    let served = Served::new();
    let address = served.server.local_addr();
    let mut settings = served.settings();
    let Served { server, scratch } = served;
    server.shutdown(Duration::ZERO);
    settings.connect_patience = Duration::ZERO;
    assert!(matches!(Client::connect(settings.clone()).err(), Some(Error::NoServer(_))), "whoever does not wait is told at once");
    settings.connect_patience = Duration::from_secs(60);
    std::thread::scope(|scope| {
        let come = scope.spawn(|| {
            std::thread::sleep(Duration::from_millis(400));
            Server::serve(&scratch.path().join("package"), ServerSettings::new(address), ChaCha20Rng::seed_from_u64(3)).unwrap()
        });
        let mut told = 0;
        Client::connect_telling(settings, &mut |event| told += usize::from(matches!(event, Event::Waiting { .. }))).unwrap();
        assert_eq!(told, 1);
        drop(come.join().unwrap());
    });
}

#[test]
fn a_client_that_waits_for_another_process_to_download_says_so() {
    let served = Served::new();
    // The digest of the hint, from a client with another home.
    let mut elsewhere = served.settings();
    elsewhere.home = served.scratch.path().join("elsewhere");
    let hint = Client::connect(elsewhere).unwrap().card().hint.unwrap().digest;
    let hints = served.settings().home.join("hints");
    std::fs::create_dir_all(&hints).unwrap();
    let lock = std::fs::File::create(hints.join(format!("{hint}.lock"))).unwrap();
    lock.lock().unwrap();
    let mut held = Some(lock);
    let mut told = Vec::new();
    Client::connect_telling(served.settings(), &mut |event| {
        if let Event::HintWaits(wait) = event {
            told.push(wait);
            // The other process is done.
            drop(held.take());
        }
    })
    .unwrap();
    assert_eq!(told, [HintWait::OtherProcess]);
}
