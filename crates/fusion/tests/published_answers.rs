//! Public samples whose labels are the model's own answers: published by its owner, or known from
//! earlier batches. With a real server in this process.
#![expect(clippy::unwrap_used, reason = "a test")]

use std::path::{Path, PathBuf};

use fusion::images::{self, ImageError, Sample};
use fusion::mix::pool::KnownFrom;
use fusion::mix::verify::Verdict;
use fusion::model::answer_sheet::AnswerSheet;
use fusion::model::card::Claim;
use fusion::model::package::{Package, PackageWriter};
use fusion::model::preprocess::Preprocess;
use fusion::nn::exec::{PublicModel, ServerModel};
use fusion::{
    Client, ClientSettings, Error, Inputs, Journal, MixSettings, PackageSettings, PublicPool, QuantiseSettings, Server, ServerSettings,
    SystemClock, Widths, prepare, quantise_file, silent,
};
use rand_chacha::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};
use tempfile::TempDir;

/// Runs of a server that cheats; each must be caught.
const RUNS: u64 = 20;

/// Digits whose answers are published, and those that nobody publishes.
const PUBLISHED: usize = 400;

fn asset(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../assets/mnist").join(name)
}

/// Labelled digits.
fn digits() -> Vec<Sample> {
    let text = std::fs::read_to_string(asset("pool.csv")).unwrap();
    images::sheet(&std::fs::read(asset("pool.png")).unwrap(), &text, 28, "pool").unwrap()
}

/// Prepares `model`, publishes its answers to the first digits, and claims the good one's accuracy.
fn package(scratch: &Path, model: &str) -> PathBuf {
    let settings = QuantiseSettings {
        widths: Widths::Uniform { window: 13, weight_bits: 10, left_out: 1 },
        margin: 1.5,
        ..QuantiseSettings::new(Preprocess::mnist())
    };
    let quantised = quantise_file(&asset(model), &settings, &digits()[..16]).unwrap();
    let target = scratch.join(model);
    let settings = PackageSettings {
        claim: Some(Claim { top1: 0.98, dataset: "held-out digits".to_owned() }),
        answers: digits()[..PUBLISHED].to_vec(),
        ..PackageSettings::default()
    };
    let mut told = 0;
    let mut events = |event: fusion::Event<'_>| {
        if let fusion::Event::Answers { total, .. } = event {
            told = total;
        }
    };
    let prepared = prepare(&target, quantised, settings, &SystemClock::new(), &mut ChaCha20Rng::seed_from_u64(1), &mut events).unwrap();
    let answers = prepared.answers.unwrap();
    assert_eq!((answers.images, answers.labelled, told), (PUBLISHED, PUBLISHED, PUBLISHED));
    assert!(answers.undecided < PUBLISHED / 20 && prepared.flip_rate.unwrap() < 0.01, "{prepared:?}");
    target
}

/// The package of `model` again, but with the answers of another one on its sheet.
fn with_answers_of(scratch: &Path, model: &Path, other: &Path) -> PathBuf {
    let (package, other) = (Package::open(model).unwrap(), Package::open(other).unwrap());
    let sheet = AnswerSheet::decode(&std::fs::read(other.answers_path().unwrap()).unwrap(), 10).unwrap();
    let target = scratch.join("lying");
    let mut writer = PackageWriter::create(&target, package.card().clone(), package.private(), Some(&sheet)).unwrap();
    let public = PublicModel::new(writer.card().program.clone(), writer.card().seed().unwrap()).unwrap();
    let model = ServerModel::new(public, &package.private().weights, &package.private().key).unwrap();
    std::io::Write::write_all(&mut writer, &model.hint(&mut ChaCha20Rng::seed_from_u64(2), |_| ())).unwrap();
    writer.finish().unwrap();
    target
}

/// A server and a client of it.
struct Served {
    scratch: TempDir,
    client: Client,
    _server: Server,
}

fn served(package: impl FnOnce(&Path) -> PathBuf) -> Served {
    let scratch = tempfile::tempdir().unwrap();
    let package = package(scratch.path());
    let server = Server::serve(&package, ServerSettings::new(([127, 0, 0, 1], 0).into()), ChaCha20Rng::seed_from_u64(3)).unwrap();
    let client = Client::connect(ClientSettings::new(server.local_addr().to_string(), scratch.path().join("home"))).unwrap();
    Served { scratch, client, _server: server }
}

/// Some of the published digits, others in every run, with or without their labels.
fn some_published(rng: &mut ChaCha20Rng, count: usize, labelled: bool) -> Vec<Sample> {
    let mut all = digits()[..PUBLISHED].to_vec();
    let mut drawn = Vec::new();
    while drawn.len() < count {
        let mut sample = all.swap_remove(rng.next_u32() as usize % all.len());
        sample.label = sample.label.filter(|_| labelled);
        drawn.push(sample);
    }
    drawn
}

fn query_of(count: usize) -> Inputs {
    Inputs::from(digits()[PUBLISHED..PUBLISHED + count].to_vec())
}

/// 44 inferences for one query, without a label; then a batch whose public samples nobody else
/// knows.
#[test]
fn one_query_is_44_inferences_and_the_next_batch_needs_no_pool() {
    let Served { scratch, client, _server } = served(|scratch| package(scratch, "mnist.onnx"));
    let mix = MixSettings::at_lambda(40.0, None);
    let mut rng = ChaCha20Rng::seed_from_u64(4);
    let sheet = client.answer_sheet().unwrap().unwrap();
    let pool = PublicPool::of_sheet(some_published(&mut rng, 100, false), &sheet).unwrap();
    assert!(pool.sheet().is_none(), "nothing is known of accuracy without labels");
    let telling = client.plan(&MixSettings::at_lambda(40.0, Some(0.5)), 1, &pool);
    assert!(matches!(telling, Err(Error::NothingTells)), "agreement tells no accuracy");
    let plan = client.plan(&mix, 1, &pool).unwrap();
    assert_eq!((plan.mix.samples(), plan.mix.tau()), (44, 0));
    let first = scratch.path().join("first");
    let outcome = client.query(&query_of(1), &pool, &plan, Journal::at(&first), &mut rng, &mut silent).unwrap();
    let report = &outcome.report;
    assert_eq!((report.verdict, report.answers.len(), outcome.costs.samples), (Verdict::Accepted, 1, 44));
    assert_eq!(report.answers[0].file.as_deref(), Some(query_of(1).samples[0].name.as_str()));
    assert_eq!(report.public.parts[0].known_from, KnownFrom::AnswerSheet);
    assert_eq!(report.batches.unwrap().batches, 1);

    // Another query, among the images that the first run has answered and nothing else.
    let known = client.earlier(&mix, &first, digits()).unwrap();
    assert_eq!(known.len(), plan.mix.publics() as usize + 1);
    let plan = client.plan(&mix, 1, &known).unwrap();
    let second = scratch.path().join("second");
    let other = Inputs::from(digits()[PUBLISHED + 1..PUBLISHED + 2].to_vec());
    let report = client.query(&other, &known, &plan, Journal::at(&second), &mut rng, &mut silent).unwrap().report;
    assert_eq!(report.verdict, Verdict::Accepted);
    assert_eq!(report.public.parts[0].known_from, KnownFrom::EarlierRuns);
    assert!(report.guarantees.unwrap().over_batches.unwrap().contains("2 batches"));
    // What agrees with itself is no history of accuracy: the second batch added nothing to it.
    assert_eq!(report.accumulated.unwrap().total, u64::from(plan.mix.publics()));
    // Judged again from the journal, it still knows where everything came from.
    let again = fusion::verify(&second, None).unwrap();
    assert_eq!((again.answers, again.public.parts), (report.answers, report.public.parts));
    // A run that was tested less strictly is no ground to stand on.
    let strict = client.plan(&MixSettings { lambda: 41.0, given: None, ..mix.clone() }, 1, &known);
    let strict = strict.map(|plan| client.query(&other, &known, &plan, Journal::at(scratch.path().join("third")), &mut rng, &mut silent));
    assert!(matches!(strict, Ok(Err(Error::WeakRun { .. })) | Err(Error::Mix(_))), "{:?}", strict.map(|run| run.map(|_| ())));
    // True labels and answers of the model cannot be tested together.
    let truth = PublicPool::labelled(digits(), KnownFrom::GroundTruth).unwrap();
    assert!(matches!(truth.with(known), Err(Error::MixedPool)));
}

#[test]
fn a_server_whose_sheet_lies_is_rejected_every_time() {
    let Served { scratch, client, _server } = served(|scratch| {
        let (bad, good) = (package(scratch, "mnist-low.onnx"), package(scratch, "mnist.onnx"));
        with_answers_of(scratch, &bad, &good)
    });
    let sheet = client.answer_sheet().unwrap().unwrap();
    for run in 0..RUNS {
        let mut rng = ChaCha20Rng::seed_from_u64(100 + run);
        // It has labels, and the sheet is as good as claimed: only the batch can tell.
        let pool = PublicPool::of_sheet(some_published(&mut rng, 200, true), &sheet).unwrap();
        let plan = client.plan(&MixSettings::at_lambda(40.0, None), 1, &pool).unwrap();
        let journal = Journal::at(scratch.path().join(format!("run{run}")));
        let report = client.query(&query_of(1), &pool, &plan, journal, &mut rng, &mut silent).unwrap().report;
        assert_eq!(report.verdict, Verdict::RejectedAccuracy, "run {run}: {:?}", report.evidence);
        assert!(report.answers.is_empty() && report.sheet.unwrap().correct > 190);
        // What was rejected is known by nobody.
        let path = scratch.path().join(format!("run{run}"));
        assert!(matches!(client.earlier(&MixSettings::at_lambda(40.0, None), &path, digits()), Err(Error::NotAccepted { .. })));
    }
}

#[test]
fn a_true_sheet_of_a_bad_model_is_refused_before_the_batch_every_time() {
    let Served { scratch: _scratch, client, _server } = served(|scratch| package(scratch, "mnist-low.onnx"));
    let sheet = client.answer_sheet().unwrap().unwrap();
    for run in 0..RUNS {
        let mut rng = ChaCha20Rng::seed_from_u64(200 + run);
        let pool = PublicPool::of_sheet(some_published(&mut rng, 100, true), &sheet).unwrap();
        let refused = client.plan(&MixSettings::at_lambda(40.0, None), 1, &pool).unwrap_err();
        assert!(matches!(&refused, Error::SheetBelowClaim { sheet, .. } if sheet.total == 100), "run {run}: {refused}");
        assert!(refused.to_string().contains("98.00% are claimed"), "{refused}");
    }
    // Whoever expects no more may use it; whoever wants more than it is, may not.
    let pool = PublicPool::of_sheet(some_published(&mut ChaCha20Rng::seed_from_u64(5), 300, true), &sheet).unwrap();
    let expecting = |claimed, detect_below| MixSettings { claimed_accuracy: Some(claimed), ..MixSettings::at_lambda(40.0, detect_below) };
    assert!(client.plan(&expecting(0.5, None), 1, &pool).is_ok());
    assert!(matches!(client.plan(&expecting(0.5, Some(0.75)), 1, &pool), Err(Error::SheetBelowClaim { .. })));
}

/// An honest owner's claim of its own sheet's accuracy is not refused; images that the sheet leaves
/// out count as wrong.
#[test]
fn what_a_sheet_leaves_out_counts_as_wrong() {
    let Served { scratch: _scratch, client, _server } = served(|scratch| package(scratch, "mnist.onnx"));
    let sheet = client.answer_sheet().unwrap().unwrap();
    let mix = MixSettings::at_lambda(40.0, None);
    for run in 0..RUNS {
        let pool = PublicPool::of_sheet(some_published(&mut ChaCha20Rng::seed_from_u64(300 + run), 100, true), &sheet).unwrap();
        client.plan(&mix, 1, &pool).unwrap();
    }
    // All digits: a third of them are on no sheet.
    let pool = PublicPool::of_sheet(digits(), &sheet).unwrap();
    let missing = (digits().len() - PUBLISHED) as u32;
    assert_eq!((pool.sheet().unwrap().missing, pool.len() <= PUBLISHED), (missing, true));
    assert!(matches!(client.plan(&mix, 1, &pool), Err(Error::SheetBelowClaim { .. })));
}

#[test]
fn labels_are_held_against_the_card_before_anything_runs() {
    let Served { scratch, client, _server } = served(|scratch| package(scratch, "mnist.onnx"));
    let shifted = |by: u32| {
        let mut samples = digits();
        samples.iter_mut().for_each(|sample| sample.label = sample.label.map(|label| label + by));
        PublicPool::labelled(samples, KnownFrom::GroundTruth).unwrap()
    };
    let mix = MixSettings::at_lambda(20.0, Some(0.8));
    let plan = client.plan(&mix, 1, &shifted(0)).unwrap();
    let error = client.plan(&mix, 1, &shifted(1)).unwrap_err();
    let beyond = |error: &Error| matches!(error, Error::Image(ImageError::NoSuchClass { label: 10, classes: 10, from_one: true, .. }));
    assert!(beyond(&error) && error.to_string().contains("labels of pool, line "), "{error}");
    let path = scratch.path().join("run");
    let mut rng = ChaCha20Rng::seed_from_u64(6);
    let error = client.query(&query_of(1), &shifted(1), &plan, Journal::at(&path), &mut rng, &mut silent).unwrap_err();
    assert!(beyond(&error) && !path.exists());
    // An image with two labels is no evidence.
    let mut twice = vec![digits().swap_remove(0); 2];
    twice[1].label = Some(9 - twice[0].label.unwrap());
    assert!(matches!(PublicPool::labelled(twice.clone(), KnownFrom::GroundTruth), Err(Error::TwoLabels { .. })));
    twice[1].label = twice[0].label;
    assert_eq!(PublicPool::labelled(twice, KnownFrom::GroundTruth).unwrap().len(), 1, "an image counts once");
    // A plan that proves less than what was asked for is refused.
    let given = Some(fusion::GivenMix { copies: 1, publics: 1, tau: 0, max_inconclusive: 0 });
    let weak = client.plan(&MixSettings { given, ..mix }, 1, &shifted(0)).unwrap();
    let error = client.query(&query_of(1), &shifted(0), &weak, Journal::at(&path), &mut rng, &mut silent).unwrap_err();
    assert!(matches!(error, Error::Unsound { .. }) && !path.exists(), "{error}");
}
