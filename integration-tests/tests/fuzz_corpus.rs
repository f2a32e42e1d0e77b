//! Replays the corpus of every fuzz target, without a fuzzer: each file as it is, cut and changed.

#![expect(clippy::unwrap_used, reason = "a test")]

#[path = "../../fuzz/src/lib.rs"]
#[allow(unreachable_pub, reason = "a library of its own, compiled here once more")]
mod bodies;

use std::fs;
use std::path::{Path, PathBuf};

use bodies::TARGETS;
use fusion_mix::batch::{MixedBatch, PublicSample};
use fusion_mix::mix::Mix;
use fusion_model::testing;
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

/// Changed versions of each file.
const CHANGED: usize = 24;

fn fuzz() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz")
}

#[test]
fn every_file_of_the_corpus_is_survived() {
    let mut rng = ChaCha20Rng::seed_from_u64(16);
    for (name, body) in TARGETS {
        let folder = fuzz().join("corpus").join(name);
        let mut files: Vec<PathBuf> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        files.sort();
        assert!(!files.is_empty(), "{name} has no corpus");
        for file in files {
            let bytes = fs::read(&file).unwrap();
            println!("{}", file.display());
            body(&bytes);
            for _ in 0..CHANGED {
                body(&changed(&bytes, &mut rng));
            }
        }
    }
}

/// A cut or a few changed bytes, of those that fuzzers find most with.
fn changed(bytes: &[u8], rng: &mut ChaCha20Rng) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    let mut below = |n: usize| rng.next_u32() as usize % n.max(1);
    if below(4) == 0 {
        bytes.truncate(below(bytes.len()));
    }
    for _ in 0..=below(3) {
        let (at, value) = (below(bytes.len()), [0, 1, 0x7f, 0x80, 0xff, below(256) as u8][below(6)]);
        if let Some(byte) = bytes.get_mut(at) {
            *byte = value;
        }
    }
    bytes
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
