//! The database is killed while it works, and must have lost nothing and done nothing twice.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use super::*;

const HINT: &str = "aa";
/// Where a child works, and that it is one.
const CHILD: &str = "FUSION_GATEWAY_STORE_TEST";

fn new<'a>(id: &'a str, user: &'a str, bytes: &'a [u8]) -> NewImage<'a> {
    NewImage { id, user, name: "n.png", key: None, bytes }
}

fn room(images: u32) -> Room {
    Room { images, bytes: 1 << 20 }
}

fn id(number: u32) -> String {
    format!("{number:032x}")
}

fn answer(label: u32) -> Answer {
    Answer { label, class: Some(format!("class {label}")) }
}

/// What must hold whenever the process is killed.
fn check(store: &Store) {
    let connection = store.connection();
    let count = |query: &str| connection.query_row(query, (), |row| row.get::<_, i64>(0)).unwrap();
    let batch_of = "FROM images LEFT JOIN batches ON batches.id = images.batch WHERE";
    for (what, broken) in [
        ("a running image has a running batch", format!("{batch_of} images.state = 'running' AND batches.state IS NOT 'running'")),
        ("an ended image has an ended batch", format!("{batch_of} images.state IN ('verified', 'inconclusive') AND batches.state IS NOT 'accepted'")),
        ("a rejected image has a rejected batch", format!("{batch_of} images.state = 'rejected' AND batches.state IS NOT 'rejected'")),
        ("a running batch has all its images", "FROM batches WHERE state = 'running' AND images <> (SELECT count(*) FROM images WHERE batch = batches.id AND state = 'running')".to_owned()),
        ("places are counted from 0", "FROM (SELECT count(*) AS n, min(place) AS low, max(place) AS high FROM images WHERE batch IS NOT NULL GROUP BY batch) WHERE low <> 0 OR high <> n - 1".to_owned()),
        ("an open image has its bytes", "FROM images WHERE state IN ('waiting', 'running') AND NOT EXISTS (SELECT 1 FROM pictures WHERE image = seq)".to_owned()),
        ("an ended one has none", "FROM images JOIN pictures ON image = seq WHERE state NOT IN ('waiting', 'running')".to_owned()),
        ("bytes belong to an image", "FROM pictures WHERE image NOT IN (SELECT seq FROM images)".to_owned()),
    ] {
        assert_eq!(count(&format!("SELECT count(*) {broken}")), 0, "{what}");
    }
    assert_eq!(connection.query_row("PRAGMA integrity_check", (), |row| row.get::<_, String>(0)).unwrap(), "ok");
}

/// Works for ever, and says what it has done once it is done: `added ID`, `ended ID LABEL`.
fn work(directory: &Path) -> ! {
    let store = Store::open(directory).unwrap();
    let say = |line: String| {
        let mut out = std::io::stdout().lock();
        writeln!(out, "@{line}").and_then(|()| out.flush()).unwrap();
    };
    let mut number: u32 = store.connection().query_row("SELECT coalesce(max(seq), 0) FROM images", (), |row| row.get(0)).unwrap();
    number *= 2;
    loop {
        if let Some(batch) = store.running_batch().unwrap() {
            let images = store.images_of(&batch.id).unwrap();
            if number % 5 == 4 {
                store.withdraw(&batch.id, "the server went away", number.is_multiple_of(2), 7).unwrap();
                number += 1;
                continue;
            }
            let labels: Vec<Label> = images.iter().map(|(_, bytes)| Some(answer(u32::from(bytes[0])))).collect();
            assert!(store.end_batch(&batch.id, &Ending::Accepted(&labels), "{}", 8, false).unwrap());
            images.iter().for_each(|(id, bytes)| say(format!("ended {id} {}", bytes[0])));
        }
        for _ in 0..7 {
            number += 1;
            let bytes = [(number % 250) as u8; 3000];
            assert_eq!(store.add_image(&new(&id(number), "ada", &bytes), 5, room(1000)).unwrap(), Added::Waits);
            say(format!("added {}", id(number)));
        }
        let asked: Vec<_> =
            store.to_ask(HINT, 16).unwrap().into_iter().map(|image| (image.seq, answer(u32::from(image.bytes[0])))).collect();
        store.set_provisional(&asked, HINT, 6).unwrap();
        number += 1;
        store.begin_batch(&format!("b{number:031x}"), 12, HINT, "m", 7).unwrap();
    }
}

#[test]
fn a_database_that_is_killed_at_any_moment_has_lost_nothing() {
    if let Some(directory) = std::env::var_os(CHILD) {
        work(Path::new(&directory));
    }
    let home = tempfile::tempdir().unwrap();
    let (mut added, mut ended) = (BTreeSet::new(), BTreeMap::new());
    let mut nanos = 1u64;
    for round in 0..25 {
        let name = "store::tests::a_database_that_is_killed_at_any_moment_has_lost_nothing";
        let mut child = Command::new(std::env::current_exe().unwrap());
        child.args(["--exact", name, "--nocapture"]).env(CHILD, home.path()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = child.spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap());
        let reader = std::thread::spawn(move || lines.lines().map_while(Result::ok).collect::<Vec<_>>());
        // From before its first transaction to some dozen after it.
        nanos = nanos.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        std::thread::sleep(Duration::from_micros(3_000 + nanos % (20_000 + 8_000 * round)));
        child.kill().unwrap();
        child.wait().unwrap();
        for line in reader.join().unwrap() {
            let words: Vec<&str> = line.split('@').next_back().unwrap_or_default().split(' ').collect();
            match words[..] {
                ["added", id] => assert!(added.insert(id.to_owned()), "{id} was added twice"),
                ["ended", id, label] => {
                    assert!(ended.insert(id.to_owned(), label.parse::<u32>().unwrap()).is_none(), "{id} was answered twice")
                }
                _ => {}
            }
        }
        let store = Store::open(home.path()).unwrap();
        check(&store);
        for id in &added {
            let row = store.image("ada", id).unwrap().unwrap_or_else(|| panic!("{id} is lost"));
            if let Some(label) = ended.get(id) {
                assert_eq!(row.verified, Some(answer(*label)), "an answer that was given stays as it was");
            }
        }
    }
    assert!(added.len() > 50 && ended.len() > 10, "{} added, {} ended: the child was killed too early", added.len(), ended.len());
}

/// A copy of the files after each call is what a kill leaves there.
#[test]
fn every_step_leaves_files_that_open() {
    let home = tempfile::tempdir().unwrap();
    let store = Store::open(home.path()).unwrap();
    let copies = |images: usize, running: bool| {
        let copy = tempfile::tempdir().unwrap();
        for file in std::fs::read_dir(home.path()).unwrap().map(Result::unwrap) {
            std::fs::copy(file.path(), copy.path().join(file.file_name())).unwrap();
        }
        let copy = Store::open(copy.path()).unwrap();
        check(&copy);
        assert_eq!((copy.images("ada", None, None, 99).unwrap().len(), copy.running_batch().unwrap().is_some()), (images, running));
    };
    copies(0, false);
    for number in 1..=4 {
        store.add_image(&new(&id(number), "ada", &[7; 9]), 1, room(4)).unwrap();
        copies(number as usize, false);
    }
    assert_eq!(store.add_image(&new(&id(5), "ada", &[7; 9]), 1, room(4)).unwrap(), Added::Full);
    store.begin_batch("b", 3, HINT, "m", 2).unwrap();
    copies(4, true);
    assert!(store.begin_batch("c", 3, HINT, "m", 2).is_err(), "one batch at a time");
    assert_eq!(store.delete_image("ada", &id(1)).unwrap(), Deleted::Running);
    store.withdraw("b", "gone", true, 3).unwrap();
    copies(4, false);
    assert!(store.is_batch_wanted().unwrap(), "what the batch was begun for still holds");
    store.begin_batch("c", 3, HINT, "m", 4).unwrap();
    let labels = [Some(answer(1)), None, Some(answer(3))];
    assert!(store.end_batch("c", &Ending::Accepted(&labels[..2]), "{}", 5, false).is_err(), "a label for every image");
    assert!(store.end_batch("c", &Ending::Accepted(&[labels.clone(), labels.clone()].concat()), "{}", 5, false).is_err());
    copies(4, true);
    store.end_batch("c", &Ending::Accepted(&labels), "{}", 5, false).unwrap();
    copies(4, false);
    let states: Vec<_> = store.images("ada", None, None, 9).unwrap().iter().rev().map(|row| row.state).collect();
    assert_eq!(states, [ImageState::Verified, ImageState::Inconclusive, ImageState::Verified, ImageState::Waiting]);
    assert!(!store.end_batch("c", &Ending::Rejected, "{}", 9, false).unwrap(), "a verdict is final");
}

#[test]
fn a_full_disk_and_a_huge_batch_are_bounded() {
    let home = tempfile::tempdir().unwrap();
    let store = Store::open(home.path()).unwrap();
    let bytes = [1; 50_000];
    let mut added = 0;
    while store.add_image(&new(&id(added), "ada", &bytes), 1, room(99)).unwrap() == Added::Waits {
        added += 1;
    }
    assert!((10..=21).contains(&added), "{added} images in a mebibyte");
    assert_eq!(store.begin_batch("b", 7, HINT, "m", 2).unwrap(), 7);
    let images = store.images_of("b").unwrap();
    assert_eq!(images.iter().map(|(id, _)| id.clone()).collect::<Vec<_>>(), (0..7).map(id).collect::<Vec<_>>(), "the oldest, in order");
    store.end_batch("b", &Ending::Rejected, "{}", 3, false).unwrap();
    assert_eq!(store.add_image(&new(&id(99), "ada", &bytes), 1, room(99)).unwrap(), Added::Waits, "there is room again");
}

#[test]
fn users_see_their_own_and_an_image_that_is_sent_again_is_one() {
    let home = tempfile::tempdir().unwrap();
    let store = Store::open(home.path()).unwrap();
    let twice = NewImage { key: Some("k"), ..new("1", "ada", b"x") };
    assert_eq!(store.add_image(&twice, 1, room(9)).unwrap(), Added::Waits);
    assert_eq!(store.add_image(&NewImage { id: "2", ..twice }, 1, room(9)).unwrap(), Added::Known("1".to_owned()));
    assert_eq!(store.add_image(&NewImage { id: "2", bytes: b"y", ..twice }, 1, room(9)).unwrap(), Added::OtherKnown);
    assert_eq!(store.add_image(&NewImage { id: "3", user: "bob", ..twice }, 1, room(9)).unwrap(), Added::Waits, "a key is its user's");
    for (user, id) in [("bob", "1"), ("ada", "3"), ("ada", "' OR 1=1 --"), ("' OR ''='", "1")] {
        assert_eq!(store.image(user, id).unwrap(), None);
        assert_eq!(store.picture(user, id).unwrap(), None);
        assert_eq!(store.delete_image(user, id).unwrap(), Deleted::Unknown);
    }
    assert_eq!(store.images("bob", None, Some("1"), 9).unwrap(), [], "another's image is no place in a list");
    assert_eq!(store.images("bob", None, None, 9).unwrap().len(), 1);
}

/// Whether any file of the database holds these bytes.
fn holds(directory: &Path, needle: &[u8]) -> bool {
    let files = std::fs::read_dir(directory).unwrap().map(|file| std::fs::read(file.unwrap().path()).unwrap());
    files.into_iter().any(|content| content.windows(needle.len()).any(|window| window == needle))
}

#[test]
fn what_is_erased_is_nowhere_in_the_files() {
    let home = tempfile::tempdir().unwrap();
    let store = Store::open(home.path()).unwrap();
    let (secret, name) = (b"what only the client may see".repeat(400), "hidden-name.png");
    for number in 0..3 {
        store.add_image(&NewImage { name, ..new(&id(number), "ada", &secret) }, 1, room(9)).unwrap();
    }
    assert!(holds(home.path(), &secret[..64]) && holds(home.path(), name.as_bytes()));
    store.delete_image("ada", &id(0)).unwrap();
    store.begin_batch("b", 9, HINT, "m", 2).unwrap();
    store.end_batch("b", &Ending::Rejected, "{}", 3, false).unwrap();
    assert!(!holds(home.path(), &secret[..64]), "bytes go with the verdict");
    assert_eq!(store.held_by().unwrap().as_deref(), Some("b"));
    assert!(store.acknowledge("b").unwrap() && !store.acknowledge("c").unwrap());
    assert_eq!(store.held_by().unwrap(), None);
    assert_eq!(store.forget(4).unwrap(), ["b"]);
    assert!(!holds(home.path(), name.as_bytes()), "names go when they are forgotten");
    store.erased("b").unwrap();
    assert_eq!((store.forget(4).unwrap().len(), store.images("ada", None, None, 9).unwrap().len()), (0, 0));
}

#[test]
fn files_are_the_owners_and_of_one_process() {
    let home = tempfile::tempdir().unwrap();
    let directory = home.path().join("gateway");
    let store = Store::open(&directory).unwrap();
    store.add_image(&new("1", "ada", b"x"), 1, room(9)).unwrap();
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        assert_eq!(directory.metadata().unwrap().permissions().mode() & 0o777, 0o700);
        for file in std::fs::read_dir(&directory).unwrap().map(Result::unwrap) {
            assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{:?}", file.file_name());
        }
    }
    assert!(matches!(Store::open(&directory), Err(GatewayError::Busy { .. })));
    store.connection().pragma_update(None, "user_version", 9).unwrap();
    drop(store);
    assert!(matches!(Store::open(&directory), Err(GatewayError::Version { found: 9, known: 1, .. })));
}

#[test]
fn a_provisional_label_is_given_once_for_a_model_and_tried_a_few_times() {
    let home = tempfile::tempdir().unwrap();
    let store = Store::open(home.path()).unwrap();
    store.add_image(&new("1", "ada", b"x"), 1, room(9)).unwrap();
    let seq = store.to_ask(HINT, 9).unwrap()[0].seq;
    store.set_provisional(&[(seq, answer(3))], HINT, 2).unwrap();
    assert!(store.to_ask(HINT, 9).unwrap().is_empty());
    assert_eq!(store.to_ask("another model", 9).unwrap().len(), 1);
    for _ in 0..PROVISIONAL_TRIES {
        assert_eq!(store.to_ask("another model", 9).unwrap().len(), 1);
        store.provisional_failed(&[seq]).unwrap();
    }
    assert!(store.to_ask("another model", 9).unwrap().is_empty(), "each failure tells the server a little");
    // The label of one model is not held against that of another.
    store.begin_batch("b", 9, "another model", "m", 2).unwrap();
    store.end_batch("b", &Ending::Accepted(&[Some(answer(4))]), "{}", 3, false).unwrap();
    assert_eq!(store.image("ada", "1").unwrap().unwrap().differs(), None);
    store.add_image(&new("2", "ada", b"x"), 1, room(9)).unwrap();
    let seq = store.to_ask(HINT, 9).unwrap()[0].seq;
    store.set_provisional(&[(seq, answer(3))], HINT, 2).unwrap();
    store.begin_batch("c", 9, HINT, "m", 2).unwrap();
    store.end_batch("c", &Ending::Accepted(&[Some(answer(4))]), "{}", 3, false).unwrap();
    assert_eq!(store.image("ada", "2").unwrap().unwrap().differs(), Some(true));
}

#[cfg(unix)]
#[test]
fn what_was_open_to_others_is_closed() {
    use std::os::unix::fs::PermissionsExt as _;
    let home = tempfile::tempdir().unwrap();
    let directory = home.path().join("gateway");
    drop(Store::open(&directory).unwrap());
    let set = |path: &std::path::Path, mode| std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    set(&directory, 0o755);
    set(&directory.join("gateway.sqlite3"), 0o644);
    let _store = Store::open(&directory).unwrap();
    let mode = |path: &std::path::Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&directory), 0o700);
    for entry in std::fs::read_dir(&directory).unwrap() {
        let path = entry.unwrap().path();
        assert_eq!(mode(&path), 0o600, "{}", path.display());
    }
}
