//! Hint download: whole, resumed, damaged, wrong.

use std::time::{Duration, Instant};

use crate::support::raw::RawClient;
use crate::support::*;
use fusion_net::proto::HintRequest;
use fusion_net::relay::{Link, Relay, Script};
use fusion_net::{
    Client, ClientSettings, Digest, HintCache, HintProgress, HintWait, LimitName, Limits, Misbehaviour, Mismatch, NetError, Server,
};

fn fetch(server: &Server, cache: &HintCache) -> (Result<std::path::PathBuf, NetError>, Vec<HintProgress>) {
    let client = connect(server);
    let served = client.describe().unwrap();
    let mut seen = Vec::new();
    let result = client.fetch_hint(&served, cache, &mut |progress| seen.push(progress));
    (result, seen)
}

#[test]
fn a_hint_is_downloaded_once_and_then_found() {
    for len in [0, 1, 524_287, 524_288, 3_000_001] {
        let hint = noise(len);
        let server = Server::builder(Model::new(hint.clone())).start(local()).unwrap();
        let directory = tempfile::tempdir().unwrap();
        let cache = HintCache::new(directory.path().join("cache"));
        let (path, seen) = fetch(&server, &cache);
        let path = path.unwrap();
        assert!(std::fs::read(&path).unwrap() == hint);
        assert_eq!(seen.first().unwrap().done, 0);
        assert_eq!(seen.last(), Some(&HintProgress { done: len as u64, total: len as u64, waits_for: None }));
        let (again, seen) = fetch(&server, &cache);
        assert_eq!((again.unwrap(), seen.len()), (path, 1));
    }
}

#[test]
fn the_rate_is_that_of_the_link_and_takes_no_more_than_it_may() {
    const MBIT: f64 = 80.0;
    let server = Server::builder(Model::new(noise(6_000_000))).start(local()).unwrap();
    let link = Link::new(MBIT, Duration::ZERO).unwrap();
    let relay = Relay::start(server.local_addr(), link, Script::default()).unwrap();
    let client = Client::connect(settings(relay.address())).unwrap();
    let served = client.describe().unwrap();
    let forever = Duration::from_secs(600);
    let rate = client.hint_rate(&served, 2_000_000, forever).unwrap();
    assert!((2_000_000..3_000_000).contains(&rate.bytes), "{rate:?}");
    assert!((0.2 * MBIT..2.0 * MBIT).contains(&rate.mbit()), "{} Mbit/s", rate.mbit());
    let short = client.hint_rate(&served, u64::MAX, Duration::from_millis(100)).unwrap();
    assert!(short.bytes < 6_000_000, "{short:?}");
    assert_eq!(client.hint_rate(&served, u64::MAX, forever).unwrap().bytes, 6_000_000);
    let other = fusion_net::Served {
        description: fusion_net::Description { hint_digest: Digest::of(b""), ..served.description.clone() },
        ..served
    };
    assert_eq!(client.hint_rate(&other, 1, forever), Err(NetError::Mismatch(Mismatch::Hint)));
}

#[test]
fn another_public_file_is_had_by_its_digest_and_no_other() {
    let server = Server::builder(Model::new(noise(1000))).start(local()).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let (client, cache) = (connect(&server), HintCache::new(directory.path()));
    let fetch = |digest, length| client.fetch_published((digest, length), &cache, &mut |_| ());
    let path = fetch(Digest::of(ANSWERS), ANSWERS.len() as u64).unwrap();
    assert_eq!(std::fs::read(path).unwrap(), ANSWERS);
    assert_eq!(fetch(Digest::of(b"what is nowhere"), 5), Err(NetError::Mismatch(Mismatch::Hint)));
    // A length that is not the file's, with a cache that does not have it.
    let other = HintCache::new(directory.path().join("other"));
    for length in [ANSWERS.len() as u64 - 1, ANSWERS.len() as u64 + 1] {
        assert!(client.fetch_published((Digest::of(ANSWERS), length), &other, &mut |_| ()).is_err(), "{length}");
    }
}

#[test]
fn a_part_on_disk_is_not_downloaded_again() {
    let hint = noise(2_000_000);
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("served");
    std::fs::write(&file, &hint).unwrap();
    let server = Server::builder(Model { source: Some(file), ..Model::new(hint.clone()) }).start(local()).unwrap();
    let cache = HintCache::new(directory.path());
    let part = cache.part_path(Digest::of(&hint));
    std::fs::write(&part, &hint[..1_234_567]).unwrap();
    let (path, seen) = fetch(&server, &cache);
    assert!(std::fs::read(path.unwrap()).unwrap() == hint);
    assert_eq!(seen[0].done, 1_234_567);
    assert!(!part.exists());
}

#[test]
fn a_wrong_hint_is_deleted_and_both_digests_are_shown() {
    let served = Model { announced: Digest::of(b"what was promised"), ..Model::new(noise(1000)) };
    let server = Server::builder(served).start(local()).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let cache = HintCache::new(directory.path());
    let announced = Digest::of(b"what was promised");
    let found = Digest::of(&noise(1000));
    let error = fetch(&server, &cache).0.unwrap_err();
    assert_eq!(error, Misbehaviour::HintDigest { announced, found }.into());
    let text = error.to_string();
    assert!(text.contains(&announced.to_string()) && text.contains(&found.to_string()), "{text}");
    assert!(!cache.path(announced).exists() && !cache.part_path(announced).exists());
}

#[test]
fn a_damaged_or_foreign_part_is_found_out() {
    let hint = noise(100_000);
    let server = Server::builder(Model::new(hint.clone())).start(local()).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let cache = HintCache::new(directory.path());
    let digest = Digest::of(&hint);
    std::fs::write(cache.part_path(digest), vec![0; 500]).unwrap();
    assert!(matches!(fetch(&server, &cache).0, Err(NetError::PeerMisbehaved(Misbehaviour::HintDigest { .. }))));
    // The bad part is gone, so the next try starts from nothing and works; so does one from a part
    // that is too long.
    fetch(&server, &cache).0.unwrap();
    std::fs::rename(cache.path(digest), cache.part_path(digest)).unwrap();
    std::fs::write(cache.part_path(digest), vec![0; 100_001]).unwrap();
    assert!(std::fs::read(fetch(&server, &cache).0.unwrap()).unwrap() == hint);
    // A whole file that rots on disk is replaced.
    std::fs::write(cache.path(digest), b"rotten").unwrap();
    assert!(std::fs::read(fetch(&server, &cache).0.unwrap()).unwrap() == hint);
}

#[test]
fn a_hint_that_is_too_long_for_this_client_is_refused_before_a_byte_arrives() {
    let server = Server::builder(Model::new(noise(1001))).start(local()).unwrap();
    let settings = fusion_net::ClientSettings { max_hint_bytes: 1000, ..settings(server.local_addr()) };
    let client = fusion_net::Client::connect(settings).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let cache = HintCache::new(directory.path().join("cache"));
    let error = client.fetch_hint(&client.describe().unwrap(), &cache, &mut |_| {}).unwrap_err();
    assert_eq!(error, NetError::Limit { limit: LimitName::HintBytes, retry_after: None });
    assert!(!directory.path().join("cache").exists());
}

#[test]
fn a_file_that_is_missing_on_the_server_stays_its_secret() {
    let model = Model { source: Some("/no/such/secret/place".into()), ..Model::new(noise(10)) };
    let server = Server::builder(model).start(local()).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let error = fetch(&server, &HintCache::new(directory.path())).0.unwrap_err();
    assert!(matches!(&error, NetError::PeerFailed(_)) && !error.to_string().contains("secret"), "{error}");
}

#[test]
fn two_processes_may_want_the_same_hint() {
    let hint = noise(5_000_000);
    let server = Server::builder(Model::new(hint.clone())).start(local()).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let cache = HintCache::new(directory.path());
    std::thread::scope(|scope| {
        let both = [0, 1].map(|_| scope.spawn(|| fetch(&server, &cache)));
        let downloads = both.map(|one| one.join().unwrap());
        assert_eq!(
            downloads.iter().filter(|(_, seen)| seen.iter().filter(|told| told.waits_for.is_none()).count() > 1).count(),
            1,
            "one downloads, the other finds it"
        );
        assert!(downloads.iter().all(|(path, _)| std::fs::read(path.as_ref().unwrap()).unwrap() == hint));
    });
}

/// Longer than what the buffers of both sides and of the system hold.
const LONG: usize = 48 << 20;

fn serve_hint(hint: Vec<u8>, limits: Limits) -> (Server, HintRequest) {
    let digest = Digest::of(&hint);
    let server = Server::builder(Model::new(hint)).limits(limits).start(local()).unwrap();
    (server, HintRequest { digest: digest.as_bytes().to_vec().into(), offset: 0 })
}

#[test]
fn a_download_that_nobody_reads_is_cut_and_ends_with_an_error() {
    let short = Duration::from_millis(700);
    for (limits, name) in
        [(Limits { hint: short, ..Limits::default() }, "hint_seconds"), (Limits { hint_grace: short, ..Limits::default() }, "hint_rate")]
    {
        let (server, request) = serve_hint(vec![1; LONG], limits);
        let raw = RawClient::connect(server.local_addr());
        let mut unread = raw.hint(request).unwrap();
        eventually("it runs", || server.counters().hints_running == 1);
        eventually("its slot is free", || server.counters().hints_running == 0);
        let (bytes, end) = raw.read_to_end(&mut unread);
        assert!(bytes < LONG, "{bytes}");
        let end = end.unwrap_err();
        assert_eq!(end.metadata().get("fusion-reason").unwrap().to_str().unwrap(), name, "{end}");
        assert_eq!(server.counters().refusals.values().sum::<u64>(), 1);
    }
}

#[test]
fn a_client_waits_for_a_download_that_has_no_room_and_says_so() {
    let limits = Limits { hints_total: 1, hint: Duration::from_secs(2), ..Limits::default() };
    let (server, request) = serve_hint(noise(LONG), limits);
    let raw = RawClient::connect(server.local_addr());
    let _unread = raw.hint(request).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let (path, seen) = fetch(&server, &HintCache::new(directory.path()));
    assert_eq!(std::fs::metadata(path.unwrap()).unwrap().len(), LONG as u64);
    assert!(seen.iter().any(|told| matches!(told.waits_for, Some(HintWait::Server(_)))));
    assert!(server.counters().refusals[&LimitName::HintsTotal] > 0);
}

#[test]
fn a_download_that_is_cut_goes_on_until_patience_ends() {
    // 48 MiB at 200 Mbit/s are 2 s, of which the buffers take less than one.
    let hint = noise(LONG);
    let (server, _) = serve_hint(hint.clone(), Limits { hint: Duration::from_millis(300), ..Limits::default() });
    let relay = Relay::start(server.local_addr(), Link::parse("200,0").unwrap(), Script::default()).unwrap();
    let with = |patience| {
        let directory = tempfile::tempdir().unwrap();
        let client = Client::connect(ClientSettings { patience, ..settings(relay.address()) }).unwrap();
        let served = client.describe().unwrap();
        client.fetch_hint(&served, &HintCache::new(directory.path()), &mut |_| {}).map(|path| std::fs::read(path).unwrap() == hint)
    };
    assert_eq!(with(Duration::from_secs(60)), Ok(true));
    assert!(server.counters().refusals[&LimitName::HintTime] >= 1);
    let began = Instant::now();
    assert!(matches!(with(Duration::ZERO), Err(NetError::Limit { limit: LimitName::HintTime, .. })));
    assert!(began.elapsed() < Duration::from_secs(5));
}

#[test]
fn a_client_that_waits_for_another_process_says_so() {
    let server = Server::builder(Model::new(noise(1000))).start(local()).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let cache = HintCache::new(directory.path());
    let lock = std::fs::File::create(cache.path(Digest::of(&noise(1000))).with_extension("lock")).unwrap();
    lock.lock().unwrap();
    let (told, waits) = std::sync::mpsc::channel();
    std::thread::scope(|scope| {
        let download = scope.spawn(|| {
            let client = connect(&server);
            client.fetch_hint(&client.describe().unwrap(), &cache, &mut |progress| told.send(progress.waits_for).unwrap())
        });
        assert_eq!(waits.recv_timeout(Duration::from_secs(20)), Ok(Some(HintWait::OtherProcess)));
        lock.unlock().unwrap();
        download.join().unwrap().unwrap();
    });
}
