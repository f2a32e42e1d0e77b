//! What a malicious peer, or a damaged file, can and cannot do to a linear layer.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use fusion_ring::channel::{Channel, ChannelError, memory_pair};
use fusion_ring::symmetric::prg::AesPrg;
use fusion_rlwe::{ClientLane, ConvGeometry, Input, Layer, Precision, PublicSeed, RlweError, ServerKey, ServerLane, ServerLayer};
use rand_chacha::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};
use sha3::{Digest, Sha3_256};

const SEED: PublicSeed = PublicSeed([4; 32]);
const SAMPLES: usize = 300;
const RING: u32 = 25;

fn layer() -> Layer {
    layer_of(SEED)
}

fn layer_of(seed: PublicSeed) -> Layer {
    Layer::new(seed, 0, &[ConvGeometry::dense(6, 4)], Precision::new(RING, 25, 20).unwrap(), 260).unwrap()
}

fn served(weight: impl Fn(usize) -> i16, key: &ServerKey) -> ServerLayer {
    let weights: Vec<i16> = (0..24).map(weight).collect();
    ServerLayer::new(layer(), &[&weights], &[5, -6, 7, -8], key.clone()).unwrap()
}

fn honest(i: usize) -> i16 {
    i as i16 - 12
}

fn input(words: &[u32]) -> [Input<'_>; 1] {
    [Input { words, ring: RING }]
}

/// The top 12 bits of the sums of words when `evaluated` multiplies for a client that holds `hint`.
fn windows(hint: &Vec<u8>, evaluated: &ServerLayer) -> Vec<u32> {
    let mut rng = ChaCha20Rng::seed_from_u64(3);
    let (mut near, mut far) = memory_pair();
    let mut lane = ClientLane::new(SEED, &mut rng);
    let x: Vec<u32> = (0..6 * SAMPLES as u32).map(|x| x << 19).collect();
    lane.encrypt(&layer(), &input(&x), SAMPLES, &mut near).unwrap();
    let theirs = ServerLane::new().multiply(evaluated, &input(&vec![0; x.len()]), SAMPLES, &mut far).unwrap();
    let mine = lane.share(&layer(), hint, SAMPLES).unwrap();
    mine.iter().zip(theirs.iter()).map(|(a, b)| a.wrapping_add(*b).wrapping_add(1 << 19) >> 20).collect()
}

#[test]
fn the_hint_commits_to_weights() {
    let (key, mut rng) = (ServerKey::from_bytes([1; 32]), ChaCha20Rng::seed_from_u64(1));
    let published = served(honest, &key);
    let hint = published.hint(&mut rng);
    let expected = windows(&hint, &published);
    let rows = |v: &[u32], j: usize| v[j * SAMPLES..(j + 1) * SAMPLES].to_vec();
    let agreeing = |a: &[u32], b: &[u32], j| rows(a, j).iter().zip(rows(b, j)).filter(|(a, b)| **a == *b).count();

    // One weight of output 1 differs: its words are uniform, not the product with the other
    // weight. The other outputs are right.
    let other = served(|i| if i == 7 { 100 } else { honest(i) }, &key);
    let intended = windows(&other.hint(&mut rng), &other);
    let cheated = windows(&hint, &other);
    assert!(agreeing(&cheated, &intended, 1) < SAMPLES / 50 && agreeing(&cheated, &expected, 1) < SAMPLES / 50);
    for j in [0, 2, 3] {
        assert_eq!(rows(&cheated, j), rows(&expected, j));
    }
    let half = rows(&cheated, 1).iter().filter(|&&word| word < 2048).count();
    assert!((half as f64 - SAMPLES as f64 / 2.0).abs() < 6.0 * (SAMPLES as f64).sqrt() / 2.0, "{half} of {SAMPLES} in the lower half");

    // Other masks do not open the hint either.
    let rekeyed = windows(&hint, &served(honest, &ServerKey::from_bytes([2; 32])));
    assert!((0..4).all(|j| agreeing(&rekeyed, &expected, j) < SAMPLES / 50));
}

/// Whatever the hint is, the client sends the same number of bytes and gets words.
#[test]
fn any_hint_of_the_right_length_gives_words() {
    let served = served(honest, &ServerKey::from_bytes([1; 32]));
    let other_card = {
        let weights: Vec<i16> = (0..24).map(honest).collect();
        let layer = layer_of(PublicSeed([5; 32]));
        ServerLayer::new(layer, &[&weights], &[0; 4], ServerKey::from_bytes([1; 32])).unwrap().hint(&mut ChaCha20Rng::seed_from_u64(1))
    };
    let mut random = vec![0u8; layer().hint_bytes()];
    AesPrg::new([1; 16]).fill(&mut random);
    let top = vec![0x88; layer().hint_bytes()];
    for hint in [vec![0; layer().hint_bytes()], vec![0xff; layer().hint_bytes()], top, random, other_card] {
        let mut rng = ChaCha20Rng::seed_from_u64(9);
        let (mut near, mut far) = memory_pair();
        let mut lane = ClientLane::new(SEED, &mut rng);
        lane.encrypt(&layer(), &input(&[1 << 7; 6 * SAMPLES]), SAMPLES, &mut near).unwrap();
        assert_eq!(lane.share(&layer(), &hint, SAMPLES).unwrap().len(), 4 * SAMPLES);
        assert_eq!(near.traffic().sent, layer().bytes_up(SAMPLES));
        assert_eq!(near.traffic().received, 0);
        let random: Vec<u32> = (0..6 * SAMPLES).map(|_| rng.next_u32()).collect();
        let words = ServerLane::new().multiply(&served, &input(&random), SAMPLES, &mut far).unwrap();
        assert_eq!(words.len(), 4 * SAMPLES);
    }
}

#[test]
fn any_request_of_the_right_length_gives_words() {
    let mut rng = ChaCha20Rng::seed_from_u64(9);
    let server = served(|i| i as i16, &ServerKey::random(&mut rng));
    let (mut near, mut far) = memory_pair();
    let mut bytes = vec![0u8; layer().bytes_up(SAMPLES) as usize];
    AesPrg::new([1; 16]).fill(&mut bytes);
    near.send(&bytes).unwrap();
    near.flush().unwrap();
    let words = ServerLane::new().multiply(&server, &input(&[0; 6 * SAMPLES]), SAMPLES, &mut far).unwrap();
    assert_eq!(words.len(), 4 * SAMPLES);
    assert_eq!(far.traffic().sent, 0);
}

#[test]
fn short_messages_and_misuse_are_errors() {
    let mut rng = ChaCha20Rng::seed_from_u64(9);
    let server = served(|i| i as i16, &ServerKey::random(&mut rng));
    let hint = server.hint(&mut rng);
    let (mut near, mut far) = memory_pair();
    let mut lane = ClientLane::new(SEED, &mut rng);
    let x = vec![1 << 7; 6 * SAMPLES];
    assert!(matches!(lane.share(&layer(), &hint, SAMPLES), Err(RlweError::Misuse(_))));
    assert!(matches!(lane.encrypt(&layer(), &input(&x[1..]), SAMPLES, &mut near), Err(RlweError::Misuse(_))));
    let narrow = [Input { words: &x, ring: RING - 1 }];
    assert!(matches!(lane.encrypt(&layer(), &narrow, SAMPLES, &mut near), Err(RlweError::Misuse(_))));
    lane.encrypt(&layer(), &input(&x), SAMPLES, &mut near).unwrap();
    assert!(
        matches!(lane.encrypt(&layer(), &input(&x), SAMPLES, &mut near), Err(RlweError::Misuse(_))),
        "no secret meets a polynomial twice"
    );
    let expected = RlweError::HintSize { expected: hint.len(), got: hint.len() - 1 };
    assert_eq!(lane.share(&layer(), &hint[1..].to_vec(), SAMPLES).err(), Some(expected));
    near.send(&[0; 10]).unwrap();
    drop(near);
    let mut lane = ServerLane::new();
    assert!(lane.multiply(&server, &input(&x), SAMPLES, &mut far).is_ok());
    let second = Layer::new(SEED, 1, &[ConvGeometry::dense(6, 4)], layer().precision(), 260).unwrap();
    let second = ServerLayer::new(second, &[&[1; 24]], &[0; 4], ServerKey::random(&mut rng)).unwrap();
    assert_eq!(lane.multiply(&second, &input(&x), SAMPLES, &mut far).err(), Some(RlweError::Channel(ChannelError::Closed)));
}

/// A secret belongs to one layer: once another is encrypted, the first has no share any more, and
/// the key of the second is another.
#[test]
fn every_layer_has_secrets_of_its_own() {
    let mut rng = ChaCha20Rng::seed_from_u64(9);
    let second = Layer::new(SEED, 1, &[ConvGeometry::dense(6, 4)], layer().precision(), 260).unwrap();
    let (mut near, mut far) = memory_pair();
    let mut lane = ClientLane::new(SEED, &mut rng);
    let zero = [0; 6 * SAMPLES];
    let mut keys = Vec::new();
    for layer in [&layer(), &second] {
        lane.encrypt(layer, &input(&zero), SAMPLES, &mut near).unwrap();
        keys.push(far.recv_vec(layer.bytes_up(SAMPLES) as usize).unwrap()[..layer.key_bytes()].to_vec());
    }
    let same = keys[0].iter().zip(&keys[1]).filter(|(a, b)| a == b).count();
    let all = keys[0].len();
    assert!(same < all / 100, "{same} of {all} bytes of the keys are the same");
    let hint = vec![0; layer().hint_bytes()];
    assert!(matches!(lane.share(&layer(), &hint, SAMPLES), Err(RlweError::Misuse(_))));
    assert!(lane.share(&second, &hint, SAMPLES).is_ok());
}

/// A lane that is run again draws other secrets: the same words make other ciphertexts.
#[test]
fn a_second_lane_encrypts_under_other_secrets() {
    let mut rng = ChaCha20Rng::seed_from_u64(9);
    let mut sent = || {
        let (mut near, mut far) = memory_pair();
        ClientLane::new(SEED, &mut rng).encrypt(&layer(), &input(&[0; 6 * SAMPLES]), SAMPLES, &mut near).unwrap();
        far.recv_vec(layer().bytes_up(SAMPLES) as usize).unwrap()
    };
    let (first, second) = (sent(), sent());
    let same = first.iter().zip(&second).filter(|(a, b)| a == b).count();
    assert!(same < first.len() / 100, "{same} of {} bytes repeat", first.len());
}

#[test]
fn rows_that_break_the_plan_are_refused() {
    let serve = |weights: [i16; 24], bias: [i64; 4]| ServerLayer::new(layer(), &[&weights], &bias, ServerKey::from_bytes([1; 32])).err();
    assert!(matches!(serve([i16::MAX; 24], [0; 4]), Some(RlweError::Weights(_))));
    assert_eq!(serve([1; 24], [0, 0, 0, 1 << 40]), None, "a bias is modulo the ring and has no part in the noise");
}

#[test]
fn the_self_test_catches_a_changed_weight_and_a_changed_hint() {
    let (key, mut rng) = (ServerKey::from_bytes([6; 32]), ChaCha20Rng::seed_from_u64(11));
    let published = served(honest, &key);
    let hint = published.hint(&mut rng);
    let all = [0, 1, 2, 3];
    let healthy = published.self_test(&hint, &all, &mut rng).unwrap();
    assert!((0.8..1.1).contains(&healthy.ratio) && healthy.words == 4 * 64, "{healthy:?}");

    let changed = served(|i| honest(i) + i16::from(i == 13), &key);
    assert!(matches!(changed.self_test(&hint, &all, &mut rng), Err(RlweError::SelfTest { output: 2, .. })));
    assert!(changed.self_test(&hint, &[0, 1, 3], &mut rng).is_ok(), "it tests the rows that it is given");

    let mut flipped = hint.clone();
    flipped[layer().hint_row_bytes() * 3 + 100] ^= 0xff;
    flipped[layer().hint_row_bytes() * 3 + 101] ^= 0xff;
    assert!(matches!(published.self_test(&flipped, &all, &mut rng), Err(RlweError::SelfTest { output: 3, .. })));
}

/// A change of bytes on the wire must be deliberate: this digest changes only together with the
/// version of the protocol.
#[test]
fn the_transcript_is_pinned() {
    let mut rng = ChaCha20Rng::seed_from_u64(11);
    let server = served(honest, &ServerKey::from_bytes([6; 32]));
    let mut hash = Sha3_256::new();
    hash.update(server.hint(&mut rng));
    let (mut near, mut far) = memory_pair();
    let mut lane = ClientLane::new(SEED, &mut rng);
    lane.encrypt(&layer(), &input(&[3 << 7; 6 * SAMPLES]), SAMPLES, &mut near).unwrap();
    hash.update(far.recv_vec(layer().bytes_up(SAMPLES) as usize).unwrap());
    let digest: String = hash.finalize()[..8].iter().map(|b| format!("{b:02x}")).collect();
    assert_eq!(digest, "7c9759827e5f6ebc");
}
