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

use fusion_model::card::ModelCard;
use fusion_model::package::Package;
use fusion_ring::bits::pack::{pack, packed_len, unpack, unpack_into};
use fusion_ring::channel::ReplayChannel;
use fusion_rlwe::{ClientLane, ConvGeometry, Input, Layer, Precision, PublicSeed, ServerKey, ServerLane, ServerLayer};
use prost::Message;
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;

/// A target: its name, which is also the name of its corpus, and its body.
pub type Target = (&'static str, fn(&[u8]));

/// All targets.
pub const TARGETS: [Target; 11] = [
    ("card", card),
    ("onnx", onnx),
    ("package", package),
    ("image", image),
    ("frame", frame),
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

/// A package: card, weights and hint, each after its length but the last.
pub fn package(data: &[u8]) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (card, rest) = piece(data);
    let (weights, hint) = piece(rest);
    for (name, bytes) in [("card.pb", card), ("weights.safetensors", weights), ("hint.bin", hint)] {
        write(&folder.path().join(name), bytes);
    }
    if let Ok(package) = Package::open(folder.path()) {
        package.private().weights.validate(&package.card().program).expect("an opened package holds weights of its program");
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
    use sha3::{Digest as _, Sha3_256};
    let folder = tempfile::tempdir().expect("a temporary folder");
    let with_digest = [data, &Sha3_256::digest(data)[..]].concat();
    for (name, bytes) in [("as it is", data), ("with a digest", &with_digest)] {
        let path = folder.path().join(name);
        write(&path, bytes);
        if let Ok(batch) = fusion_mix::batch::MixedBatch::load(&path) {
            assert_eq!(batch.publics().len() as u64, u64::from(batch.mix().publics()));
        }
    }
}
