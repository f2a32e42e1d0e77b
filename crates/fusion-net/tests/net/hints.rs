//! Hint download: whole, resumed, damaged, wrong.
use crate::support::*;
use fusion_net::{Digest, HintCache, HintProgress, LimitName, Misbehaviour, Mismatch, NetError, Server};

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
        assert_eq!(seen.last(), Some(&HintProgress { done: len as u64, total: len as u64 }));
        let (again, seen) = fetch(&server, &cache);
        assert_eq!((again.unwrap(), seen.len()), (path, 1));
    }
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
        assert_eq!(downloads.iter().filter(|(_, seen)| seen.len() > 1).count(), 1, "one downloads, the other finds it");
        assert!(downloads.iter().all(|(path, _)| std::fs::read(path.as_ref().unwrap()).unwrap() == hint));
    });
}
