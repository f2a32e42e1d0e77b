//! Nothing that was remembered is lost: by clients side by side, by kills, by files of earlier
//! versions.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::sync::Barrier;

use fusion_mix::audit::{AuditEntry, AuditLog, BatchFacts, LabelSource};
use fusion_mix::batch::{BatchAnswers, MixedBatch, PublicSample};
use fusion_mix::mix::Mix;
use fusion_mix::soundness::Soundness;
use fusion_mix::verify::{Verification, verify};
use fusion_net::Digest;
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;

use super::*;
use crate::client::trust::{Asked, ServedDigests, Trust, TrustError};
use crate::error::Error;

/// Two public samples, of which the second is answered wrongly.
fn batch() -> Verification {
    let publics = [(0, 1), (1, 0)].map(|(id, label)| PublicSample { id, label }).to_vec();
    let batch = MixedBatch::assemble(Mix::new(1, 1, 2, 2, 0).unwrap(), publics, &mut ChaCha20Rng::seed_from_u64(1)).unwrap();
    let mut sheet = BatchAnswers::new(&batch, 0);
    sheet.record(0..3, &[1; 3]).unwrap();
    verify(&batch, &sheet).unwrap()
}

/// A batch under the hint `ab` with an image of its own and one that all have.
fn entry(name: &str) -> AuditEntry {
    let soundness = Soundness { log2: -40.0, worst_m: 1, error_log2: 0.0 };
    let of = BatchFacts { name, labels: LabelSource::GroundTruth, soundness: &soundness };
    let own = Digest::of(name.as_bytes()).to_string();
    AuditEntry::new("ab", &of, [(0, own.as_str()), (1, "cc")]).unwrap()
}

/// Panics unless the memory is whole and knows `batches` batches.
#[track_caller]
fn assert_batches(memory: &Memory, batches: usize) {
    let connection = memory.open().unwrap();
    let check: String = connection.query_row("PRAGMA integrity_check", (), |row| row.get(0)).unwrap();
    assert_eq!(check, "ok");
    let log = memory.audit().unwrap();
    let (_, tally) = log.tallies().next().unwrap();
    assert_eq!((tally.batches as usize, tally.names.len(), tally.images.len()), (batches, batches, batches + 1));
    assert_eq!(tally.images["cc"].truth, Some(false));
    assert!((tally.chances / (batches as f64 * (-40f64).exp2()) - 1.0).abs() < 1e-9);
}

/// A model with this card, under one hint.
fn model(card: &str) -> ServedDigests {
    ServedDigests { model: Digest::of(card.as_bytes()), hint: Digest::of(b"hint") }
}

fn at(address: &str) -> Asked<'_> {
    Asked { address, model: None, card_name: "it" }
}

fn mode(path: &Path) -> u32 {
    use std::os::unix::fs::PermissionsExt;
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn first_use_is_remembered_and_a_change_refused_with_both_digests() {
    let home = tempfile::tempdir().unwrap();
    let memory = Memory::of(&home.path().join("deep/home"));
    let (a, b) = (model("a"), model("b"));
    assert_eq!(memory.trust(at("h:1"), a, None).unwrap(), Trust::FirstUse);
    assert_eq!(memory.trust(at("h:1"), a, None).unwrap(), Trust::Known);
    let changed = memory.trust(at("h:1"), b, None).unwrap_err().to_string();
    assert!(changed.contains(&a.model.to_string()) && changed.contains(&b.model.to_string()), "{changed}");
    assert_eq!(memory.trust(at("h:2"), b, None).unwrap(), Trust::FirstUse);
    // A pin overrides and becomes the known digest.
    assert!(matches!(memory.trust(at("h:1"), b, Some(&a.model.to_string())), Err(Error::Trust(TrustError::NotPinned { .. }))));
    assert_eq!(memory.trust(at("h:1"), b, Some(&b.model.to_string())).unwrap(), Trust::Pinned);
    assert_eq!(memory.trust(at("h:1"), b, None).unwrap(), Trust::Known);
    assert_eq!((mode(&memory.home), mode(&memory.path)), (0o700, 0o600));
    // What others could read before is theirs no longer.
    fs::set_permissions(&memory.path, std::os::unix::fs::PermissionsExt::from_mode(0o644)).unwrap();
    memory.check().unwrap();
    assert_eq!(mode(&memory.path), 0o600);
}

#[test]
fn each_name_at_an_address_has_a_first_digest() {
    let home = tempfile::tempdir().unwrap();
    let memory = Memory::of(home.path());
    let (a, b) = (model("a"), model("b"));
    let named = |model| Asked { address: "h:1", model: Some(model), card_name: model };
    assert_eq!(memory.trust(at("h:1"), a, None).unwrap(), Trust::FirstUse);
    // A server that swaps its model cannot have the new one met for the first time by making its
    // clients type the name.
    assert!(matches!(memory.trust(named("it"), b, None), Err(Error::Trust(TrustError::Changed { .. }))));
    assert_eq!(memory.trust(named("it"), a, None).unwrap(), Trust::Known);
    // The model is known already; another one under this name is met for the first time.
    assert_eq!(memory.trust(named("cats"), a, None).unwrap(), Trust::Known);
    assert_eq!(memory.trust(named("dogs"), b, None).unwrap(), Trust::FirstUse);
    for asked in [at("h:1"), named("cats")] {
        assert!(matches!(memory.trust(asked, b, None), Err(Error::Trust(TrustError::Changed { .. }))), "{asked:?}");
    }
    assert!(matches!(memory.trust(named("dogs"), a, None), Err(Error::Trust(TrustError::Changed { .. }))));
}

#[test]
fn digests_of_hints_count_as_before_and_give_way_to_those_of_models() {
    let home = tempfile::tempdir().unwrap();
    let memory = Memory::of(home.path());
    let (a, b) = (model("a"), model("b"));
    let hint = a.hint.to_string();
    fs::write(home.path().join("known-models.json"), format!("{{\"h:1\": \"{hint}\"}}")).unwrap();
    assert_eq!(memory.trust(at("h:1"), a, None).unwrap(), Trust::Known);
    // From now on the card counts, although the hint is the same.
    assert!(matches!(memory.trust(at("h:1"), b, None), Err(Error::Trust(TrustError::Changed { .. }))));
    assert_eq!(memory.trust(at("h:2"), b, Some(&hint)).unwrap(), Trust::PinnedHint);
    assert!(matches!(memory.trust(at("h:2"), a, None), Err(Error::Trust(TrustError::Changed { .. }))));
}

#[test]
fn a_batch_counts_once_and_images_are_known() {
    let home = tempfile::tempdir().unwrap();
    let memory = Memory::of(home.path());
    assert_eq!(memory.audit().unwrap(), AuditLog::default());
    assert_eq!(memory.used_images().unwrap(), BTreeSet::new());
    assert!(!memory.path.exists(), "looking makes nothing");
    for _ in 0..3 {
        memory.record(&entry("one"), &batch()).unwrap();
    }
    assert_batches(&memory, 1);
    assert_eq!(memory.record(&entry("two"), &batch()).unwrap(), memory.audit().unwrap());
    assert_batches(&memory, 2);
    let images = ["one", "two"].map(|name| Digest::of(name.as_bytes()).to_string()).into_iter().chain(["cc".to_owned()]);
    assert_eq!(memory.used_images().unwrap(), images.collect());
}

/// The files before lost 18 of 45.
#[test]
fn clients_side_by_side_lose_nothing() {
    const CLIENTS: usize = 8;
    const ROUNDS: usize = 6;
    let home = tempfile::tempdir().unwrap();
    let together = Barrier::new(CLIENTS);
    let first_uses: usize = std::thread::scope(|scope| {
        let client = |client: usize| {
            let memory = Memory::of(home.path());
            together.wait();
            let trust = memory.trust(at("one:1"), model(&client.to_string()), None);
            memory.trust(at(&format!("own:{client}")), model("model"), None).unwrap();
            for round in 0..ROUNDS {
                together.wait();
                memory.record(&entry(&format!("{client}-{round}")), &batch()).unwrap();
            }
            usize::from(matches!(trust, Ok(Trust::FirstUse)))
        };
        let clients: Vec<_> = (0..CLIENTS).map(|number| scope.spawn(move || client(number))).collect();
        clients.into_iter().map(|client| client.join().unwrap()).sum()
    });
    assert_eq!(first_uses, 1, "one model is the first, the others are refused");
    let memory = Memory::of(home.path());
    assert_batches(&memory, CLIENTS * ROUNDS);
    let known: i64 = memory.open().unwrap().query_row("SELECT count(*) FROM known_models", (), |row| row.get(0)).unwrap();
    // Each under its address, and under its name there.
    assert_eq!(known as usize, 2 * (CLIENTS + 1));
}

/// Not a test: the process that is killed by the one below.
#[test]
#[ignore = "run by another test"]
fn records_until_it_is_killed() {
    let Some(home) = std::env::var_os("FUSION_TEST_HOME") else { return };
    let memory = Memory::of(Path::new(&home));
    for number in 0.. {
        memory.record(&entry(&format!("{}-{number}", std::process::id())), &batch()).unwrap();
        // On record only: what is said is done.
        fs::write(Path::new(&home).join(format!("said-{}-{number}", std::process::id())), b"").unwrap();
    }
}

/// The batches that were said to be on record.
fn said(home: &Path) -> Vec<String> {
    let names = fs::read_dir(home).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter_map(|name| name.strip_prefix("said-").map(str::to_owned)).collect()
}

#[test]
fn a_kill_at_any_moment_leaves_a_memory_that_the_next_batch_can_use() {
    const KILLS: u64 = 20;
    let home = tempfile::tempdir().unwrap();
    let memory = Memory::of(home.path());
    for kill in 0..KILLS {
        let before = said(home.path()).len();
        let mut child = std::process::Command::new(std::env::current_exe().unwrap());
        child.args(["--ignored", "--exact", "client::memory::tests::records_until_it_is_killed"]).env("FUSION_TEST_HOME", home.path());
        let mut child = child.stdout(std::process::Stdio::null()).spawn().unwrap();
        while said(home.path()).len() <= before && child.try_wait().unwrap().is_none() {
            std::thread::sleep(Duration::from_millis(1));
        }
        std::thread::sleep(Duration::from_micros(1_700 * kill % 9_000));
        child.kill().unwrap();
        child.wait().unwrap();
        memory.record(&entry(&format!("after-{kill}")), &batch()).unwrap();
    }
    let said = said(home.path());
    let log = memory.audit().unwrap();
    let names = &log.tallies().next().unwrap().1.names;
    assert!(said.len() >= KILLS as usize && said.iter().all(|name| names.contains(name)), "{} were said to be on record", said.len());
    // Of every process at most the batch at which it was killed is there without having been said.
    assert!(names.len() <= said.len() + 2 * KILLS as usize);
    assert_batches(&memory, names.len());
}

fn old_files(home: &Path) {
    fs::write(home.join("known-models.json"), r#"{"h:1":"aa","h:2":"bb"}"#).unwrap();
    let tally = r#"{"version":2,"models":{"ab":{"batches":3,"rejected":1,"chances":0.25,
        "images":{"c0":{"truth":true,"certified":false},"c1":{"truth":false}},"names":["one","two"]}}}"#;
    fs::write(home.join("tally.json"), tally).unwrap();
}

#[test]
fn files_of_earlier_versions_are_taken_over_once() {
    let home = tempfile::tempdir().unwrap();
    old_files(home.path());
    let expected = AuditLog::load(&home.path().join("tally.json")).unwrap();
    let together = Barrier::new(8);
    std::thread::scope(|scope| {
        for client in 0..8 {
            let (home, together) = (home.path(), &together);
            scope.spawn(move || {
                let memory = Memory::of(home);
                together.wait();
                // A batch that the file had does not count again, a new one does.
                memory.record(&entry("two"), &batch()).unwrap();
                memory.record(&entry(&format!("new-{client}")), &batch()).unwrap();
            });
        }
    });
    let memory = Memory::of(home.path());
    let log = memory.audit().unwrap();
    let (tally, before) = (log.tallies().next().unwrap().1, expected.tallies().next().unwrap().1);
    assert_eq!((tally.batches, tally.rejected, tally.names.len()), (11, 1, 10));
    assert_eq!((tally.images["c0"], tally.images["c1"]), (before.images["c0"], before.images["c1"]));
    assert!(matches!(memory.trust(at("h:1"), model("a"), None), Err(Error::Trust(TrustError::Changed { known, .. })) if known == "aa"));
    // They are not looked at again.
    fs::write(home.path().join("tally.json"), "{").unwrap();
    assert_eq!(memory.audit().unwrap(), log);
}

#[test]
fn damaged_files_are_errors_that_name_them_and_no_fresh_start() {
    for (name, good) in [("known-models.json", "{}"), ("tally.json", r#"{"version":2,"models":{}}"#)] {
        let home = tempfile::tempdir().unwrap();
        old_files(home.path());
        let memory = Memory::of(home.path());
        for bad in ["", "{", "[]", r#"{"version":1,"models":{}}"#] {
            fs::write(home.path().join(name), bad).unwrap();
            for error in [memory.check().unwrap_err(), memory.audit().unwrap_err(), memory.record(&entry("one"), &batch()).unwrap_err()] {
                let text = error.to_string();
                assert!(matches!(error, MemoryError::Old { .. }) && text.contains(name) && text.contains("move it away"), "{text}");
            }
        }
        fs::write(home.path().join(name), good).unwrap();
        memory.record(&entry("one"), &batch()).unwrap();
        let old = if name == "tally.json" { 0 } else { 2 };
        assert_eq!(memory.audit().unwrap().tallies().next().unwrap().1.names.len(), old.max(1));
    }
    let home = tempfile::tempdir().unwrap();
    let memory = Memory::of(home.path());
    memory.record(&entry("one"), &batch()).unwrap();
    let whole = fs::read(&memory.path).unwrap();
    let mut torn = whole.clone();
    torn[4096..].fill(0x5a);
    for bad in [&b"no database, but long enough to be taken for one"[..], &torn] {
        fs::write(&memory.path, bad).unwrap();
        let error = memory.record(&entry("two"), &batch()).unwrap_err();
        assert!(matches!(&error, MemoryError::Damaged { path, .. } if *path == memory.path), "{error:?}");
    }
    fs::write(&memory.path, &whole).unwrap();
    memory.open().unwrap().pragma_update(None, "user_version", 9).unwrap();
    assert!(matches!(memory.check(), Err(MemoryError::Version { found: 9, .. })));
    assert!(memory.audit().is_err());
}

/// Where a lock can be had but nothing written, as on a disk that is full or read only.
#[test]
fn a_memory_that_cannot_be_written_is_noticed_before_it_is_needed() {
    let home = tempfile::tempdir().unwrap();
    let memory = Memory::of(home.path());
    memory.record(&entry("one"), &batch()).unwrap();
    fs::create_dir(home.path().join("memory.sqlite3-journal")).unwrap();
    let error = memory.check().unwrap_err();
    assert!(matches!(&error, MemoryError::Disk { path, .. } if *path == memory.path), "{error:?}");
    fs::remove_dir(home.path().join("memory.sqlite3-journal")).unwrap();
    assert_batches(&memory, 1);
    let nowhere = Memory::of(&home.path().join("memory.sqlite3/home"));
    assert!(matches!(nowhere.check(), Err(MemoryError::Disk { cause: Failed::System(_), .. })));
}
