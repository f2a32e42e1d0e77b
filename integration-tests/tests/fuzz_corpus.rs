//! Replays the corpus of every fuzz target, without a fuzzer, and 10,000 mutations of it.

#![expect(clippy::unwrap_used, reason = "a test")]

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use fusion_mix::batch::{MixedBatch, PublicSample};
use fusion_mix::mix::Mix;
use fusion_model::answer_sheet::AnswerSheet;
use fusion_model::card::Digest;
use fusion_model::testing;
use integration_tests::fuzzing::{Mutator, TARGETS, Target, corpus};
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

/// Mutations of each target's corpus.
const INPUTS: u32 = 10_000;

/// Time of one input. Far above what any takes, since machines of CI have bad moments.
const LONGEST: Duration = Duration::from_secs(60);

fn fuzz() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz")
}

#[test]
fn every_file_of_the_corpus_and_its_mutations_are_survived() {
    let waiting = Mutex::new(TARGETS.to_vec());
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                loop {
                    let Some(target) = waiting.lock().unwrap().pop() else { break };
                    let start = Instant::now();
                    survives(target);
                    println!("{:13} {:.1} s", target.0, start.elapsed().as_secs_f64());
                }
            });
        }
    });
}

fn survives((name, body): Target) {
    let files = corpus(name).unwrap();
    assert!(!files.is_empty(), "{name} has no corpus");
    for (file, bytes) in &files {
        println!("{}", file.display());
        body(bytes);
    }
    let seeds: Vec<Vec<u8>> = files.into_iter().map(|(_, bytes)| bytes).collect();
    let mut mutator = Mutator::new(&seeds, 16);
    for number in 0..INPUTS {
        let (input, start) = (mutator.input(), Instant::now());
        body(&input);
        assert!(start.elapsed() < LONGEST, "{name}: input {number} took {:?}", start.elapsed());
    }
}

#[test]
fn every_target_can_be_fuzzed() {
    let manifest = fs::read_to_string(fuzz().join("Cargo.toml")).unwrap();
    let count = |folder: &str| fs::read_dir(fuzz().join(folder)).unwrap().count();
    assert_eq!((count("fuzz_targets"), count("corpus")), (TARGETS.len(), TARGETS.len()));
    for (name, _) in TARGETS {
        assert!(manifest.contains(&format!("path = \"fuzz_targets/{name}.rs\"")), "fuzz/Cargo.toml has no target {name}");
        assert!(fuzz().join(format!("fuzz_targets/{name}.rs")).exists(), "no fuzz target {name}");
    }
}

#[test]
#[ignore = "writes the corpus"]
fn write_corpus() {
    let put = |target: &str, name: &str, bytes: &[u8]| {
        let folder = fuzz().join("corpus").join(target);
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join(name), bytes).unwrap();
    };
    let noise = |length: usize| {
        let mut bytes = vec![0; length];
        ChaCha20Rng::seed_from_u64(length as u64).fill_bytes(&mut bytes);
        bytes
    };
    for target in TARGETS {
        put(target.0, "empty", &[]);
        put(target.0, "noise", &noise(100));
    }
    let (card, _) = testing::small_model(1);
    put("card", "small", &card.encode().unwrap());
    let mut with_hint = card.clone();
    with_hint.hint = Some(fusion_model::card::HintFacts { digest: card.weights_digest, bytes: 4096 });
    put("card", "with-hint", &with_hint.encode().unwrap());
    for seed in 0..3 {
        put("onnx", &format!("network-{seed}"), &testing::random_network(seed, 2).0);
    }
    put("package", "small", &package());
    let images = Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates/fusion/tests/data");
    put("image", "png", &fs::read(images.join("pattern-bilinear-20.png")).unwrap());
    put("image", "digit", &fs::read(images.join("../../../../assets/mnist/queries/digit-00.png")).unwrap());
    put("image", "jpeg", &fs::read(images.join("pattern.jpg")).unwrap());
    frames(&put);
    // What two honest parties said to each other would be kilobytes of group elements; the same
    // element repeated is as good a beginning.
    let element = [0xe2, 0xf2, 0xae, 0x0a, 0x6a, 0xbc, 0x4e, 0x71, 0xa8, 0x84, 0xa9, 0x61, 0xc5, 0x00, 0x51, 0x5f];
    let element = [element, [0x58, 0xe3, 0x0b, 0x6a, 0xa5, 0x82, 0xdd, 0x8d, 0xb6, 0xa6, 0x59, 0x45, 0xe0, 0x8d, 0x2d, 0x76]].concat();
    for which in 0..4u8 {
        let said = [vec![which], noise(32), element.repeat(20)].concat();
        put("base_ot", &format!("elements-{}", which & 1), &said);
        put("ot_set_up", &format!("elements-{which}"), &said);
    }
    put("rlwe_hint", "short", &[0, 1, 2]);
    put("rlwe_hint", "ones", &[1, 0xff]);
    put("rlwe_request", "ones", &[0xff]);
    for bits in [1, 7, 13, 25, 31] {
        put("unpack", &format!("{bits}-bits"), &[vec![bits - 1], noise(60)].concat());
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("batch");
    let publics = (0..4).map(|i| PublicSample { id: 100 + i, label: i }).collect();
    MixedBatch::assemble(Mix::new(3, 2, 4, 1, 1).unwrap(), publics, &mut ChaCha20Rng::seed_from_u64(8)).unwrap().save(&path).unwrap();
    let saved = fs::read(&path).unwrap();
    put("saved_batch", "whole", &saved);
    lists(&put);
    run_directory(&put, &saved);
    messages(&put);
    put("saved_batch", "without-digest", &saved[..saved.len() - 32]);
}

/// Card and weights as `PackageWriter` writes them, and no hint.
fn package() -> Vec<u8> {
    let (card, private) = testing::small_model(1);
    let folder = tempfile::tempdir().unwrap();
    let target = folder.path().join("package");
    let writer = fusion_model::package::PackageWriter::create(&target, card, &private, None).unwrap();
    let mut card = writer.card().clone();
    card.hint = Some(fusion_model::card::HintFacts { digest: card.weights_digest, bytes: 1 });
    let written: Vec<PathBuf> = walk(folder.path());
    let weights = written.iter().find(|path| path.ends_with("weights.safetensors")).unwrap();
    let (card, weights) = (card.encode().unwrap(), fs::read(weights).unwrap());
    let length = |bytes: &[u8]| u16::try_from(bytes.len()).unwrap().to_le_bytes().to_vec();
    [length(&card), card, length(&weights), weights].concat()
}

fn walk(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { walk(&path) } else { vec![path] }).collect()
}

fn frames(put: &impl Fn(&str, &str, &[u8])) {
    use fusion_net::proto::{Frame, HintChunk, HintRequest, LaneOpen, frame::Kind};
    use prost::Message as _;
    let open = LaneOpen {
        protocol_version: 3,
        params_version: 1,
        card_digest: vec![7; 32].into(),
        n_samples: 8,
        reveal: 1,
        lane: 3,
        split: 2,
        extension: 2,
    };
    put("frame", "open", &Frame { kind: Some(Kind::Open(open)) }.encode_to_vec());
    put("frame", "payload", &Frame { kind: Some(Kind::Payload(vec![1, 2, 3].into())) }.encode_to_vec());
    put("frame", "hint-request", &HintRequest { digest: vec![7; 32].into(), offset: 1 << 40 }.encode_to_vec());
    put("frame", "hint-chunk", &HintChunk { offset: 40, data: vec![9; 40].into() }.encode_to_vec());
}

/// Lists of labels, and answer sheets.
fn lists(put: &impl Fn(&str, &str, &[u8])) {
    put("labels", "folder", b"file,class\r\n./cat.png,3\r\n\"a,b.png\", 4,,\r\n");
    put("labels", "contact-sheet", b"0,7\n1,2\n\n2,0\n");
    put("labels", "twice", b"cat.png,3\ncat.png,4\n");
    let answers = (0..5u8).map(|image| (Digest::of(&[image]), (image > 0).then_some(u32::from(image))));
    let sheet = AnswerSheet::new(answers, 10).unwrap().encode();
    put("answer_sheet", "five", &sheet);
    put("answer_sheet", "cut", &sheet[..sheet.len() - 20]);
}

/// Each of the pieces but the last after its length.
fn pieces(pieces: &[&[u8]]) -> Vec<u8> {
    let (last, before) = pieces.split_last().unwrap();
    let length = |piece: &[u8]| u16::try_from(piece.len()).unwrap().to_le_bytes();
    before.iter().flat_map(|piece| [&length(piece)[..], piece].concat()).chain(last.iter().copied()).collect()
}

/// A run of ten positions in two lanes, finished and cut off.
fn run_directory(put: &impl Fn(&str, &str, &[u8]), batch: &[u8]) {
    use fusion_mix::{accuracy::PublicLabels, plan::Plan, plan::PlanRequest};
    let labels = PublicLabels::Certified { mismatch: 0.0, detect_below: None };
    let plan = Plan::evaluate(&PlanRequest::new(3, 1.0, labels), Mix::new(3, 2, 4, 1, 1).unwrap()).unwrap().to_json();
    let inputs = fusion::client::RunInputs {
        source: serde_json::Map::new(),
        digest: "cc".to_owned(),
        files: vec!["a.png".to_owned()],
        skipped: Vec::new(),
        images: None,
    };
    let facts = fusion::client::RunFacts {
        version: 2,
        id: "ab".to_owned(),
        server: "127.0.0.1:1".to_owned(),
        model: None,
        card_digest: "aa".to_owned(),
        hint_digest: "bb".to_owned(),
        plan,
        class_names: vec!["cat".to_owned(), "dog".to_owned()],
        classes: Some(4),
        inputs,
        pool: Vec::new(),
        sheet: None,
        slices: vec![0..5, 5..10],
        max_failures: Some(3),
    };
    let facts = serde_json::to_vec(&facts).unwrap();
    let lanes = [r#"{"start":0,"end":5,"labels":[0,1,2,3,0]}"#, "\n", r#"{"start":5,"end":10,"labels":[1,1,1,2,3]}"#, "\n"].concat();
    put("journal", "finished", &pieces(&[&facts, lanes.as_bytes(), b"x", batch]));
    put("journal", "cut", &pieces(&[&facts, &lanes.as_bytes()[..60], b"", &batch[..batch.len() - 32]]));
}

fn messages(put: &impl Fn(&str, &str, &[u8])) {
    use fusion_net::proto::{DescribeReply, HintChunk, LaneOpen, Limits};
    use prost::Message as _;
    let (card, digest) = (vec![5; 20], vec![7; 32]);
    let open = LaneOpen {
        protocol_version: fusion_net::PROTOCOL_VERSION,
        params_version: 1,
        card_digest: digest.clone().into(),
        n_samples: 8,
        reveal: 1,
        lane: 3,
        split: 2,
        extension: 2,
    };
    let limits = Limits {
        lanes_total: 64,
        lanes_per_client: 32,
        samples_per_lane: 4096,
        bytes_per_lane: 1 << 38,
        message_bytes: 4 << 20,
        idle_seconds: 300,
        lane_seconds: 7200,
    };
    let reply = DescribeReply {
        protocol_version: fusion_net::PROTOCOL_VERSION,
        params_version: 1,
        server_release: "1.0\u{1b}[2J".to_owned(),
        card_digest: Digest::of(&card).as_bytes().to_vec().into(),
        card: card.into(),
        hint_digest: digest.into(),
        hint_bytes: 12,
        limits: Some(limits),
    };
    put("message", "open", &[vec![0], open.encode_to_vec()].concat());
    put("message", "description", &[vec![1], reply.encode_to_vec()].concat());
    let chunk = |offset, data: &[u8]| HintChunk { offset, data: data.to_vec().into() }.encode_to_vec();
    put("message", "hint", &[vec![2, 12], pieces(&[&chunk(0, b"seven b"), &chunk(7, b"ytes."), b""])].concat());
    for (code, reason, text) in [(8, "lanes_total", "limit reached"), (9, "card_digest", "differs"), (3, "", "\u{1b}[31mred"), (13, "", "")]
    {
        put("message", &format!("status-{code}"), &[vec![3, code], pieces(&[reason.as_bytes(), text.as_bytes()])].concat());
    }
}
