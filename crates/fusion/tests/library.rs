//! What an application relies on, with a real server in this process.
#![expect(clippy::unwrap_used, reason = "a test")]

mod served;

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use fusion::client::{FailureKind, Next, RunError, Told, read_facts};
use fusion::images;
use fusion::mix::batch::{MixedBatch, PublicSample};
use fusion::mix::pool::{KnownFrom, Pool};
use fusion::mix::verify::Verdict;
use fusion::{Client, ClientSettings, Error, Event, Inputs, Journal, PublicPool, silent};
use fusion_nn::exec::EncodedImage;
use fusion_nn::layers::{LaneTerms, Split};
use fusion_ot::silent::ExtensionSize;
use fusion_ring::symmetric::digest::Hasher;
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;

use crate::served::{Served, asset, known, pool, small_mix};

#[test]
fn a_query_reads_only_what_was_drawn_and_keeps_a_journal() {
    let served = Served::new();
    let client = Client::connect(served.settings()).unwrap();
    let queries = images::folder(&asset("queries")).unwrap()[..2].to_vec();
    // A pool of files, of which those that the seed does not draw are no images.
    let folder = served.scratch.path().join("known");
    std::fs::create_dir(&folder).unwrap();
    let digits = images::folder(&asset("queries")).unwrap();
    let seed = 7;
    let labels: Vec<_> = (0..16).map(|id| PublicSample { id, label: 0 }).collect();
    let drawn = Pool::new(labels).unwrap().draw(4, &BTreeSet::new(), &mut ChaCha20Rng::seed_from_u64(seed)).unwrap().0;
    let drawn: BTreeSet<u32> = drawn.iter().map(|sample| sample.id).collect();
    let truth = std::fs::read_to_string(asset("queries.csv")).unwrap();
    let mut list = "file,label\n".to_owned();
    for (id, digit) in (0u32..16).zip(&digits) {
        let content = std::fs::read(asset("queries").join(&digit.name)).unwrap();
        let content = if drawn.contains(&id) { content } else { format!("no image {id}").into_bytes() };
        std::fs::write(folder.join(&digit.name), content).unwrap();
        let line = truth.lines().find(|line| line.starts_with(&digit.name)).unwrap();
        list += &format!("{line}\n");
    }
    std::fs::write(folder.join("labels.csv"), list).unwrap();
    let publics = known(images::labelled_folder(&folder, &folder.join("labels.csv")).unwrap());
    assert_eq!(publics.len(), 16);

    let plan = client.plan(&small_mix(), queries.len(), &publics).unwrap();
    let path = served.scratch.path().join("run");
    let source = [("where".to_owned(), "known".into())].into_iter().collect();
    let journal = Journal::at(&path).keeping(source);
    let (mut read, mut lanes) = (0, 0);
    let mut events = |event: Event<'_>| {
        if let Event::Images { done, total } = event {
            assert_eq!(total, 6, "two queries and four public samples");
            read = done;
        }
        if let Event::LaneDone { slice, .. } = event {
            lanes += slice.len();
        }
    };
    let mut rng = ChaCha20Rng::seed_from_u64(seed);
    let inputs = Inputs::from(queries);
    let outcome = client.query(&inputs, &publics, &plan, journal.clone(), &mut rng, &mut events).unwrap();
    assert_eq!((read, lanes, outcome.costs.samples), (6, 8, 8));
    assert_eq!(outcome.report.verdict, Verdict::Accepted);
    assert_eq!(read_facts(&path).unwrap().inputs.source["where"], "known");
    // Judged again from the journal alone: the same answers.
    let again = fusion::verify(&path, None).unwrap();
    assert_eq!((again.verdict, again.answers), (outcome.report.verdict, outcome.report.answers));
    // A finished run has nothing to resume, a taken directory takes no second run, and other images
    // are noticed.
    let resumed = client.resume(&inputs, &publics, &path, &mut rng, &mut silent).unwrap();
    assert_eq!((resumed.report.verdict, resumed.costs.samples), (Verdict::Accepted, 0));
    assert_eq!(resumed.report.batches.unwrap().batches, 1, "a run that is resumed when it is done is still one batch");
    let taken = client.query(&inputs, &publics, &plan, journal, &mut rng, &mut silent);
    assert!(matches!(taken, Err(Error::Journal(_))));
    let others = Inputs::from(digits[2..4].to_vec());
    assert!(matches!(client.resume(&others, &publics, &path, &mut rng, &mut silent), Err(Error::OtherInputs)));
}

#[test]
fn labels_that_the_model_has_no_class_for_are_refused_wherever_they_come_from() {
    let served = Served::new();
    let client = Client::connect(served.settings()).unwrap();
    let publics = known(pool()[..8].to_vec());
    let samples = pool()[40..42].to_vec();
    let inputs = Inputs::from(samples.clone());
    let plan = client.plan(&small_mix(), 2, &publics).unwrap();
    let path = served.scratch.path().join("run");
    let query = |inputs: &Inputs, publics: &PublicPool, path: &Path| {
        let mut no_lanes = |event: Event<'_>| assert!(!matches!(event, Event::Mixed { .. }), "lanes begin");
        client.query(inputs, publics, &plan, Journal::at(path), &mut ChaCha20Rng::seed_from_u64(7), &mut no_lanes).unwrap_err()
    };
    let mut beyond = pool()[..8].to_vec();
    beyond[3].label = Some(999_999);
    for known_from in [KnownFrom::GroundTruth, KnownFrom::Certified, KnownFrom::AnswerSheet] {
        let publics = PublicPool::labelled(beyond.clone(), known_from).unwrap();
        assert!(query(&inputs, &publics, &path).to_string().contains("999999"));
        assert!(client.plan(&small_mix(), 2, &publics).unwrap_err().to_string().contains("999999"));
    }
    let floats = |labels| Inputs { float_labels: Some(labels), ..Inputs::from(samples.clone()) };
    assert!(matches!(query(&floats(vec![1, 10]), &publics, &path), Error::NoSuchClass { label: 10, classes: 10, .. }));
    assert!(matches!(query(&floats(vec![1]), &publics, &path), Error::FloatLabels { labels: 1, images: 2 }));
    assert!(!path.exists(), "nothing is left behind");

    // A batch of an older program, which did not look.
    let mut rng = ChaCha20Rng::seed_from_u64(7);
    client.query(&inputs, &publics, &plan, Journal::at(&path), &mut rng, &mut silent).unwrap();
    let batch = MixedBatch::load(&path.join("batch.secret")).unwrap();
    let labels = batch.publics().iter().map(|sample| PublicSample { label: 10, ..*sample }).collect();
    std::fs::remove_file(path.join("batch.secret")).unwrap();
    MixedBatch::assemble(*batch.mix(), labels, &mut rng).unwrap().save(&path.join("batch.secret")).unwrap();
    let resumed = client.resume(&inputs, &publics, &path, &mut rng, &mut silent);
    assert!(matches!(resumed, Err(Error::NoSuchClass { label: 10, .. })));
}

/// The second batch ran all its lanes, and could never be finished.
#[test]
fn the_truth_of_one_batch_can_be_the_certified_answer_of_the_next() {
    let served = Served::new();
    let client = Client::connect(served.settings()).unwrap();
    let inputs = Inputs::from(pool()[40..42].to_vec());
    for (number, known_from) in [KnownFrom::GroundTruth, KnownFrom::Certified, KnownFrom::GroundTruth].into_iter().enumerate() {
        let publics = PublicPool::labelled(pool()[..8].to_vec(), known_from).unwrap();
        let plan = client.plan(&small_mix(), 2, &publics).unwrap();
        let path = served.scratch.path().join(number.to_string());
        // A seed of its own, or it were the same batch.
        let mut rng = ChaCha20Rng::seed_from_u64(number as u64);
        let outcome = client.query(&inputs, &publics, &plan, Journal::at(path), &mut rng, &mut silent).unwrap();
        assert_eq!(outcome.report.batches.unwrap().batches, number as u64 + 1);
    }
}

#[test]
fn a_home_that_cannot_be_written_is_noticed_before_the_server_is_asked() {
    let scratch = tempfile::tempdir().unwrap();
    let file = scratch.path().join("file");
    std::fs::write(&file, "no directory").unwrap();
    // Nobody listens there, which would be the error if it came to that.
    let error = Client::connect(ClientSettings::new("127.0.0.1:1", file.join("home"))).err().unwrap();
    assert!(matches!(error, Error::Memory(_)), "{error}");
}

#[test]
fn a_panic_in_a_lane_ends_the_run_and_the_others_do_not_wait() {
    let served = Served::new();
    let client = Client::connect(served.settings()).unwrap();
    let blank = vec![0i64; 28 * 28];
    let begun = AtomicUsize::new(0);
    let image = |position: u32| {
        begun.fetch_add(1, Ordering::Relaxed);
        assert!(position != 1, "this image bites");
        Ok(Arc::new(EncodedImage::new(&client.card().program, &blank).unwrap()))
    };
    let mut rng = ChaCha20Rng::seed_from_u64(3);
    let lanes = client.unverified_lanes(&image, &mut rng);
    let mut failure = None;
    // More slices than threads: before, the thread that was left waited for a queue that nobody
    // closed.
    lanes.run_all((0..6).map(|i| i..i + 1).collect(), 2, &mut |told| match told {
        Told::Failed(failed) => {
            failure = Some(failed.error);
            Next::Stop
        }
        Told::Progress(_) | Told::Done(_) | Told::Waiting { .. } | Told::GivenUp(_) => Next::Go,
    });
    assert!(matches!(&failure, Some(RunError::Panicked(text)) if text.contains("bites")), "{failure:?}");
    assert_eq!(failure.unwrap().kind(), FailureKind::Final, "it would panic again");
    assert!(begun.load(Ordering::Relaxed) < 6, "no lane begins after the failure");
}

/// Both parties are bound to what the client asks for: a server that went by other terms would
/// share no key with it. The largest extensions are refused.
#[test]
fn a_client_chooses_the_terms_of_its_lanes() {
    let served = Served::new();
    let query = |terms: LaneTerms| {
        let mut settings = served.settings();
        (settings.terms, settings.max_failures) = (Some(terms), 0);
        let client = Client::connect(settings).unwrap();
        assert_eq!(client.terms(), terms);
        let publics = known(pool()[..8].to_vec());
        let inputs = Inputs::from(pool()[40..42].to_vec());
        let plan = client.plan(&small_mix(), 2, &publics).unwrap();
        let path = served.scratch.path().join(format!("{terms:?}"));
        client.query(&inputs, &publics, &plan, Journal::at(&path), &mut ChaCha20Rng::seed_from_u64(7), &mut silent)
    };
    for split in Split::ALL {
        query(LaneTerms { split, extension: ExtensionSize::Small }).unwrap();
    }
    query(LaneTerms::LONG_LINK).unwrap();
    let error = query(LaneTerms { split: Split::OneMore, extension: ExtensionSize::Large }).err().unwrap();
    assert!(matches!(&error, Error::Incomplete { answered: 0, cause, .. } if cause.to_string().contains("medium")), "{error:?}");
}

#[test]
fn a_run_of_the_first_format_goes_on() {
    let served = Served::new();
    let mut settings = served.settings();
    settings.lane_samples = Some(4);
    let client = Client::connect(settings).unwrap();
    let publics = known(pool()[..8].to_vec());
    let inputs = Inputs::from(pool()[40..42].to_vec());
    let plan = client.plan(&small_mix(), 2, &publics).unwrap();
    let path = served.scratch.path().join("run");
    let mut rng = ChaCha20Rng::seed_from_u64(6);
    client.query(&inputs, &publics, &plan, Journal::at(&path), &mut rng, &mut silent).unwrap();

    // As a program of that format left it: the digest is of all tensors, one lane is missing.
    let mut hash = Hasher::default();
    for sample in inputs.samples.iter().chain(&pool()[..8]) {
        let values = client.card().program.encode(&sample.tensor(&client.card().preprocess).unwrap()).unwrap();
        let image = EncodedImage::new(&client.card().program, &values).unwrap();
        image.words().iter().for_each(|word| hash.update(&word.to_le_bytes()));
    }
    let file = path.join("run.json");
    let mut facts: serde_json::Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    facts["version"] = 1.into();
    facts["inputs"]["digest"] = hash.finish().to_string().into();
    std::fs::write(&file, facts.to_string()).unwrap();
    let journal = path.join("answers.jsonl");
    let first = std::fs::read_to_string(&journal).unwrap().split_inclusive('\n').next().unwrap().to_owned();
    std::fs::write(&journal, first).unwrap();
    let outcome = client.resume(&inputs, &publics, &path, &mut rng, &mut silent).unwrap();
    assert_eq!((outcome.report.verdict, outcome.costs.samples), (Verdict::Accepted, 4));
    let others = Inputs::from(pool()[42..44].to_vec());
    assert!(matches!(client.resume(&others, &publics, &path, &mut rng, &mut silent), Err(Error::OtherInputs)));
}

#[tokio::test]
async fn async_programs_get_the_same_client() {
    let served = tokio::task::spawn_blocking(Served::new).await.unwrap();
    let client = fusion::asynchronous::Client::connect(served.settings()).await.unwrap();
    let publics = known(pool()[..40].to_vec());
    let inputs = Inputs::from(pool()[40..42].to_vec());
    let plan = client.blocking().plan(&small_mix(), 2, &publics).unwrap();
    let journal = Journal::at(served.scratch.path().join("run"));
    let outcome = client.query(inputs, publics, plan, journal, ChaCha20Rng::seed_from_u64(9), |_| ()).await.unwrap();
    assert_eq!(outcome.report.verdict, Verdict::Accepted);
    // Neither end may block this thread when it goes.
    tokio::task::spawn_blocking(move || drop((client, served))).await.unwrap();
}
