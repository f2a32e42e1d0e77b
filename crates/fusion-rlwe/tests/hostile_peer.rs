//! What a malicious peer can and cannot do to a linear layer.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use fusion_ring::channel::{Channel, ChannelError, memory_pair};
use fusion_ring::symmetric::prg::AesPrg;
use fusion_rlwe::{ClientLane, ConvGeometry, Layer, PublicSeed, RlweError, RlweParams, ServerKey, ServerLane, ServerLayer, key_bytes};
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use sha3::{Digest, Sha3_256};

const SEED: PublicSeed = PublicSeed([4; 32]);
const SAMPLES: usize = 50;

fn layer() -> Layer {
    Layer::new(SEED, 0, &[ConvGeometry::dense(6, 4)], RlweParams::new(88, 25, 8).unwrap()).unwrap()
}

fn served(weight: impl Fn(usize) -> i16, key: &ServerKey) -> ServerLayer {
    let weights: Vec<i16> = (0..24).map(weight).collect();
    ServerLayer::new(layer(), &[&weights], key.clone()).unwrap()
}

fn client(rng: &mut ChaCha20Rng) -> ClientLane {
    ClientLane::new(SEED, layer().params(), rng)
}

/// The sums of shares when `evaluated` answers a client that holds the hint of `published`.
fn answers(published: &ServerLayer, evaluated: &ServerLayer) -> (Vec<u32>, f64) {
    let mut rng = ChaCha20Rng::seed_from_u64(3);
    let hint = published.hint(&mut rng);
    let (mut near, mut far) = memory_pair();
    let mut lane = client(&mut rng);
    let x: Vec<u32> = (0..6 * SAMPLES as u32).collect();
    lane.encrypt(&layer(), &[&x], SAMPLES, &mut near).unwrap();
    let theirs = ServerLane::new(88, &mut rng).multiply(evaluated, &[&vec![0; x.len()]], SAMPLES, &mut far).unwrap();
    let mine = lane.decrypt(&layer(), &hint, SAMPLES, &mut near).unwrap();
    (mine.iter().zip(&theirs).map(|(a, b)| a.wrapping_add(*b) % (1 << 25)).collect(), lane.largest_noise())
}

#[test]
fn the_hint_commits_to_the_weights() {
    let key = ServerKey::from_bytes([1; 32]);
    let honest = served(|i| i as i16 - 12, &key);
    let other = served(|i| if i == 7 { 100 } else { i as i16 - 12 }, &key);
    let rekeyed = served(|i| i as i16 - 12, &ServerKey::from_bytes([2; 32]));
    let (expected, noise) = answers(&honest, &honest);
    assert!(noise < layer().params().noise().used());
    // One weight of output 1 differs: its answers are noise, not the product with the other weight.
    // The other outputs are right.
    let (cheated, noise) = answers(&honest, &other);
    let intended = answers(&other, &other).0;
    assert!(noise > 0.45, "noise {noise}");
    let rows = |v: &[u32], j: usize| v[j * SAMPLES..(j + 1) * SAMPLES].to_vec();
    assert!(rows(&cheated, 1).iter().zip(rows(&intended, 1)).filter(|(a, b)| **a == *b).count() <= 1);
    assert_eq!((rows(&cheated, 0), rows(&cheated, 2)), (rows(&expected, 0), rows(&expected, 2)));
    // Other masks do not open the hint either.
    assert_ne!(answers(&honest, &rekeyed).0, expected);
}

#[test]
fn any_answer_of_the_right_length_decrypts_to_something() {
    let mut rng = ChaCha20Rng::seed_from_u64(9);
    for fill in [0u8, 0xff, 0x5a] {
        let (mut near, mut far) = memory_pair();
        let mut lane = client(&mut rng);
        lane.encrypt(&layer(), &[&[1; 6 * SAMPLES]], SAMPLES, &mut near).unwrap();
        far.send(&vec![fill; layer().bytes_down(SAMPLES) as usize]).unwrap();
        far.flush().unwrap();
        let shares = lane.decrypt(&layer(), &vec![fill; layer().hint_bytes()], SAMPLES, &mut near).unwrap();
        assert!(shares.len() == 4 * SAMPLES && shares.iter().all(|&s| s < 1 << 25));
    }
}

#[test]
fn any_request_of_the_right_length_is_answered() {
    let mut rng = ChaCha20Rng::seed_from_u64(9);
    let server = served(|i| i as i16, &ServerKey::random(&mut rng));
    let (mut near, mut far) = memory_pair();
    let mut bytes = vec![0u8; key_bytes(88) + layer().bytes_up(SAMPLES) as usize];
    AesPrg::new([1; 16]).fill(&mut bytes);
    near.send(&bytes).unwrap();
    near.flush().unwrap();
    let shares = ServerLane::new(88, &mut rng).multiply(&server, &[&[0; 6 * SAMPLES]], SAMPLES, &mut far).unwrap();
    assert_eq!(shares.len(), 4 * SAMPLES);
    assert_eq!(near.recv_vec(layer().bytes_down(SAMPLES) as usize).unwrap().len() as u64, layer().bytes_down(SAMPLES));
}

#[test]
fn short_messages_and_misuse_are_errors() {
    let mut rng = ChaCha20Rng::seed_from_u64(9);
    let server = served(|i| i as i16, &ServerKey::random(&mut rng));
    let hint = server.hint(&mut rng);
    let (mut near, mut far) = memory_pair();
    let mut lane = client(&mut rng);
    let x = vec![1; 6 * SAMPLES];
    assert!(matches!(lane.decrypt(&layer(), &hint, SAMPLES, &mut near), Err(RlweError::Misuse(_))));
    assert!(matches!(lane.encrypt(&layer(), &[&x[1..]], SAMPLES, &mut near), Err(RlweError::Misuse(_))));
    lane.encrypt(&layer(), &[&x], SAMPLES, &mut near).unwrap();
    assert!(matches!(lane.encrypt(&layer(), &[&x], SAMPLES, &mut near), Err(RlweError::Misuse(_))), "no secret meets a polynomial twice");
    let expected = RlweError::HintSize { expected: hint.len(), got: hint.len() - 1 };
    assert_eq!(lane.decrypt(&layer(), &hint[1..].to_vec(), SAMPLES, &mut near).err(), Some(expected));
    far.send(&[0; 10]).unwrap();
    drop(far);
    assert_eq!(lane.decrypt(&layer(), &hint, SAMPLES, &mut near).err(), Some(RlweError::Channel(ChannelError::Closed)));
}

#[test]
fn heavy_rows_break_the_plan() {
    let weights = [i16::MAX; 24];
    let refused = ServerLayer::new(layer(), &[&weights], ServerKey::from_bytes([1; 32])).err();
    assert!(matches!(refused, Some(RlweError::Weights(_))), "{refused:?}");
}

/// A change of bytes on the wire must be deliberate: this digest changes only together with the
/// version of the protocol.
#[test]
fn the_transcript_is_pinned() {
    let mut rng = ChaCha20Rng::seed_from_u64(11);
    let server = served(|i| i as i16, &ServerKey::from_bytes([6; 32]));
    let mut hash = Sha3_256::new();
    hash.update(server.hint(&mut rng));
    let (mut near, mut far) = memory_pair();
    let mut lane = client(&mut rng);
    lane.encrypt(&layer(), &[&[3; 6 * SAMPLES]], SAMPLES, &mut near).unwrap();
    let request = far.recv_vec(key_bytes(88) + layer().bytes_up(SAMPLES) as usize).unwrap();
    hash.update(&request);
    near.send(&request).unwrap();
    near.flush().unwrap();
    ServerLane::new(88, &mut rng).multiply(&server, &[&[1; 6 * SAMPLES]], SAMPLES, &mut far).unwrap();
    hash.update(near.recv_vec(layer().bytes_down(SAMPLES) as usize).unwrap());
    let digest: String = hash.finalize()[..8].iter().map(|b| format!("{b:02x}")).collect();
    assert_eq!(digest, "cbe4cae81c6c8960");
}
