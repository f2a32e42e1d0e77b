//! What each fuzz target does with the bytes of a hostile party: decode them, and hold what came
//! out to what the decoder promises. Nothing here may panic, hang or take much memory.
//!
//! The targets in `fuzz_targets/` call these functions, and so does the test `fuzz_corpus` of
//! `integration-tests`, which needs no fuzzer and replays the corpus in every run of CI.
#![allow(clippy::missing_panics_doc, reason = "a panic is what a fuzzer looks for")]

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::sync::OnceLock;

use fusion_model::answer_sheet::AnswerSheet;
use fusion_model::card::{HintFacts, ModelCard};
use fusion_model::package::Package;
use fusion_ring::bits::pack::{pack, packed_len, unpack, unpack_into};
use fusion_ring::channel::ReplayChannel;
use fusion_ring::symmetric::digest::Digest;
use fusion_rlwe::{ClientLane, ConvGeometry, Input, Layer, Precision, PublicSeed, ServerKey, ServerLane, ServerLayer};
use prost::Message;
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;

/// A target: its name, which is also the name of its corpus, and its body.
pub type Target = (&'static str, fn(&[u8]));

/// All targets.
pub const TARGETS: [Target; 15] = [
    ("card", card),
    ("onnx", onnx),
    ("package", package),
    ("image", image),
    ("frame", frame),
    ("message", message),
    ("journal", journal),
    ("labels", labels),
    ("answer_sheet", answer_sheet),
    ("base_ot", base_ot),
    ("ot_set_up", ot_set_up),
    ("rlwe_hint", rlwe_hint),
    ("rlwe_request", rlwe_request),
    ("unpack", unpacked),
    ("saved_batch", saved_batch),
];

/// A model card, which a client gets from a server. What is accepted survives encoding.
pub fn card(data: &[u8]) {
    if let Ok(card) = ModelCard::decode(data) {
        let encoded = card.encode().expect("an accepted card can be encoded");
        assert_eq!(ModelCard::decode(&encoded).as_ref(), Ok(&card));
    }
}

/// An ONNX file, which a server's operator may have from anywhere.
pub fn onnx(data: &[u8]) {
    let _ = fusion_model::onnx::import(data);
}

/// A package: card, weights and hint, each after its length but the last. Once as it is, and once
/// with a card that names the digests of what lies beside it, so that the weights are read too. A
/// seal, which only the owner of a key can make, is missing: nothing is opened in the end.
pub fn package(data: &[u8]) {
    let (card, rest) = piece(data);
    let (weights, hint) = piece(rest);
    let mended = ModelCard::decode(card).ok().and_then(|mut card| {
        card.weights_digest = Digest::of(weights);
        card.hint = Some(HintFacts { digest: Digest::of(hint), bytes: hint.len() as u64 });
        card.encode().ok()
    });
    for card in [Some(card), mended.as_deref()].into_iter().flatten() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        for (name, bytes) in [("card.pb", card), ("weights.safetensors", weights), ("hint.bin", hint)] {
            write(&folder.path().join(name), bytes);
        }
        assert!(Package::open(folder.path()).is_err(), "a package without a seal was opened");
    }
}

/// Splits off as many bytes as the first two say.
fn piece(data: &[u8]) -> (&[u8], &[u8]) {
    let Some((length, rest)) = data.split_first_chunk() else { return (data, &[]) };
    rest.split_at(rest.len().min(usize::from(u16::from_le_bytes(*length))))
}

/// For its owner only, as secrets must be stored.
fn write(path: &Path, bytes: &[u8]) {
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).expect("a new file");
    file.write_all(bytes).expect("a written file");
}

/// An image, which a client's user may have from anywhere.
pub fn image(data: &[u8]) {
    let _ = fusion::images::decode(data, "fuzzed");
}

/// The messages of the gRPC service, from either side.
pub fn frame(data: &[u8]) {
    use fusion_net::proto::{DescribeReply, DescribeRequest, Frame, HintChunk, HintRequest};
    fn same<M: Message + Default + PartialEq + std::fmt::Debug>(data: &[u8]) {
        if let Ok(message) = M::decode(data) {
            assert_eq!(M::decode(&message.encode_to_vec()[..]).as_ref(), Ok(&message));
        }
    }
    same::<Frame>(data);
    same::<DescribeReply>(data);
    same::<DescribeRequest>(data);
    same::<HintChunk>(data);
    same::<HintRequest>(data);
}

/// The messages of the service on their way to checked values: the first byte chooses which.
pub fn message(data: &[u8]) {
    use fusion_net::decoding;
    use fusion_net::proto::{DescribeReply, HintChunk, LaneOpen, frame::Kind};
    let (which, data) = case(data);
    match which % 4 {
        0 => {
            let Ok(open) = LaneOpen::decode(data) else { return };
            if let Ok(request) = decoding::lane_request(&open) {
                assert!(request.n_samples > 0);
                assert_eq!(decoding::first_frame(request).kind, Some(Kind::Open(open)), "a request has one form");
            }
        }
        1 => {
            let Ok(mut reply) = DescribeReply::decode(data) else { return };
            let _ = decoding::description(reply.clone());
            // With the card's right digest, so that what follows is read too.
            reply.card_digest = Digest::of(&reply.card).as_bytes().to_vec().into();
            if let Ok(served) = decoding::description(reply) {
                assert!(!served.release.chars().any(char::is_control));
            }
        }
        2 => {
            let (total, mut rest) = case(data);
            let mut pieces = Vec::new();
            while !rest.is_empty() {
                let (bytes, after) = piece(rest);
                pieces.extend(HintChunk::decode(bytes));
                rest = after;
            }
            let folder = tempfile::tempdir().expect("a temporary folder");
            if let Ok(done) = decoding::hint_pieces(folder.path().join("part"), u64::from(total), pieces) {
                assert!(done <= u64::from(total));
            }
        }
        _ => {
            let (code, rest) = case(data);
            let (reason, text) = piece(rest);
            let errors = decoding::status(i32::from(code), reason, &String::from_utf8_lossy(text));
            for text in errors.map(|error| error.to_string()) {
                assert!(text.chars().count() < 500 && !text.chars().any(char::is_control), "{text:?}");
            }
        }
    }
}

/// The directory of a run: facts, answers, failures and the secret batch, each after its length but
/// the last, which gets a right digest if it has none.
pub fn journal(data: &[u8]) {
    let (facts, rest) = piece(data);
    let (answers, rest) = piece(rest);
    let (failures, batch) = piece(rest);
    let has_digest = batch.split_last_chunk::<32>().is_some_and(|(body, digest)| Digest::of(body).as_bytes() == digest);
    let batch = if has_digest { batch.to_vec() } else { digested(batch) };
    let folder = tempfile::tempdir().expect("a temporary folder");
    for (name, bytes) in [("run.json", facts), ("answers.jsonl", answers), ("failures", failures), ("batch.secret", &batch)] {
        write(&folder.path().join(name), bytes);
    }
    let _ = fusion::client::read_facts(folder.path());
    if let Ok(report) = fusion::verify(folder.path(), None) {
        assert!(report.verdict == fusion_mix::verify::Verdict::Accepted || report.answers.is_empty(), "withheld unless accepted");
    }
}

/// A list of labels, for the images of a folder and for a contact sheet.
pub fn labels(data: &[u8]) {
    static FOLDER: OnceLock<tempfile::TempDir> = OnceLock::new();
    const SHEET: &[u8] = include_bytes!("../corpus/image/digit");
    let folder = FOLDER.get_or_init(|| {
        let folder = tempfile::tempdir().expect("a temporary folder");
        ["cat.png", "dog 1.jpg", "a,b.png"].iter().for_each(|name| write(&folder.path().join(name), b""));
        folder
    });
    // Whoever fuzzes with several threads must not share the list.
    let list = tempfile::NamedTempFile::new().expect("a temporary file");
    list.as_file().write_all(data).expect("a written file");
    if let Ok(samples) = fusion::images::labelled_folder(folder.path(), list.path()) {
        assert!(samples.len() <= 3 && samples.iter().all(|sample| sample.label.is_some()));
        let _ = fusion::images::check_labels(samples.iter(), 10);
    }
    if let Ok(text) = str::from_utf8(data) {
        let _ = fusion::images::sheet(SHEET, text, 7, "fuzzed");
    }
}

/// An answer sheet, which a client gets from a server. It has one encoding.
pub fn answer_sheet(data: &[u8]) {
    if let Ok(sheet) = AnswerSheet::decode(data, 10) {
        assert_eq!(sheet.encode(), data);
        assert!(sheet.undecided() <= sheet.images());
    }
}

/// Splits off a first byte that chooses a case.
fn case(data: &[u8]) -> (u8, &[u8]) {
    data.split_first().map_or((0, data), |(first, rest)| (*first, rest))
}

fn rng() -> ChaCha20Rng {
    ChaCha20Rng::seed_from_u64(1)
}

/// The peer of base OTs, who is sender or receiver.
pub fn base_ot(data: &[u8]) {
    use fusion_ot::base;
    use fusion_ot::session::{Role, Session};
    let (which, data) = case(data);
    let direction = Session::new(b"fuzz").direction(Role::First);
    let mut peer = ReplayChannel::unchecked(data.to_vec());
    if which & 1 == 0 {
        let _ = base::send(&direction, &mut peer, 3, &mut rng());
    } else {
        let _ = base::receive(&direction, &mut peer, &[0, 1, 1], &mut rng());
    }
}

/// The peer of the set-up of a lane's OT, in either role.
pub fn ot_set_up(data: &[u8]) {
    use fusion_ot::session::{Role, Session};
    let (which, data) = case(data);
    let role = if which & 1 == 0 { Role::First } else { Role::Second };
    let mut peer = ReplayChannel::unchecked(data.to_vec());
    if which & 2 == 0 {
        let _ = fusion_ot::softspoken::setup(&Session::new(b"fuzz"), role, &mut peer, &mut rng());
    } else {
        let _ = fusion_ot::silent::setup(&Session::new(b"fuzz"), role, &mut peer, &mut rng());
    }
}

const SAMPLES: usize = 2;

fn layer() -> Layer {
    let precision = Precision::new(25, 24, 20).expect("supported widths");
    Layer::new(PublicSeed([4; 32]), 0, &[ConvGeometry::dense(6, 4)], precision, 256).expect("a small layer")
}

fn input(words: &[u32]) -> [Input<'_>; 1] {
    [Input { words, ring: 25 }]
}

/// `data` over and over, up to `length` bytes.
fn stretched(data: &[u8], length: usize) -> Vec<u8> {
    data.iter().copied().chain([0]).cycle().take(length).collect()
}

/// The hint of a linear layer: whatever a server published, words come out, and nothing that the
/// client sends depends on it.
pub fn rlwe_hint(data: &[u8]) {
    let layer = layer();
    let (cut, data) = case(data);
    let hint = stretched(data, layer.hint_bytes() - usize::from(cut == 0));
    let mut server = ReplayChannel::unchecked(Vec::new());
    let mut lane = ClientLane::new(PublicSeed([4; 32]), &mut rng());
    lane.encrypt(&layer, &input(&[1; 6 * SAMPLES]), SAMPLES, &mut server).expect("nothing is received");
    match lane.share(&layer, &hint, SAMPLES) {
        Ok(words) => assert!(cut != 0 && words.len() == 4 * SAMPLES),
        Err(error) => assert!(cut == 0, "{error}"),
    }
}

/// Key and ciphertexts of a linear layer: whatever a client sends, the server gets words.
pub fn rlwe_request(data: &[u8]) {
    let layer = layer();
    let request = stretched(data, layer.bytes_up(SAMPLES) as usize);
    let served = ServerLayer::new(layer, &[&[3; 24]], &[0; 4], ServerKey::from_bytes([1; 32])).expect("weights of the layer");
    let mut client = ReplayChannel::unchecked(request);
    let words = ServerLane::new().multiply(&served, &input(&[0; 6 * SAMPLES]), SAMPLES, &mut client);
    assert_eq!(words.map(|words| words.len()), Ok(4 * SAMPLES));
}

/// Packed words, whose number and width both parties know.
pub fn unpacked(data: &[u8]) {
    let (bits, data) = case(data);
    let bits = u32::from(bits % 32) + 1;
    let count = data.len() * 8 / bits as usize;
    let data = &data[..packed_len(count, bits)];
    let values = unpack(data, bits, count);
    assert!(values.len() == count && values.iter().all(|&value| u64::from(value) < 1 << bits));
    let packed = pack(&values, bits);
    assert_eq!(packed.len(), packed_len(count, bits));
    assert_eq!(&unpack(&packed, bits, count)[..], &values[..]);
    let mut again = vec![0; count];
    unpack_into(data, bits, &mut again);
    assert_eq!(&again[..], &values[..]);
}

/// The file of a saved batch, with a right digest, so that what it covers is read too.
pub fn saved_batch(data: &[u8]) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for (name, bytes) in [("as it is", data), ("with a digest", &digested(data))] {
        let path = folder.path().join(name);
        write(&path, bytes);
        if let Ok(batch) = fusion_mix::batch::MixedBatch::load(&path) {
            assert_eq!(batch.publics().len() as u64, u64::from(batch.mix().publics()));
        }
    }
}

/// `data` and its digest.
fn digested(data: &[u8]) -> Vec<u8> {
    [data, Digest::of(data).as_bytes()].concat()
}
