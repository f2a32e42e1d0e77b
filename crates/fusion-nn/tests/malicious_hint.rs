//! A malicious server makes the hint of one layer from the public polynomials of the next, so that
//! the client's share of the first, a function of its secret, cancels them when it is encrypted in
//! the second. With one secret for both, it reads the secret, coefficient by coefficient, and then
//! the images, while every answer stays right. Every layer has secrets of its own, so it reads
//! nothing; this test fails where they are kept from one layer to the next.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::{Arc, Mutex};

use fusion_model::program::{Activation, LinearTerm, LinearWeights, Op, Program, RingBits, Step, TensorId, TensorSpec, Weights, Window};
use fusion_nn::exec::{Client, Deviation, EncodedImage, Hint, Lane, LaneInput, Opened, PublicModel, Reveal, Server, ServerModel};
use fusion_ot::ideal;
use fusion_ring::bits::pack::{pack, unpack};
use fusion_ring::channel::{Channel, ChannelError, Traffic, memory_pair};
use fusion_ring::symmetric::prg::AesPrg;
use fusion_rlwe::{ConvGeometry, PublicSeed, ServerKey, Shape};
use rand_chacha::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};
use sha3::{Digest, Sha3_256};

const N: usize = 2048;
/// Channels of the first convolution that the network does not use.
const SPIES: usize = 31;
const UP: u32 = 25;
const HB: u32 = 19;
/// Bits of the key.
const KB: u32 = HB + 2;
const RING: u32 = 26;

/// Everything that the server received, a buffer a call.
struct Spying<C>(C, Arc<Mutex<Vec<Vec<u8>>>>);
impl<C: Channel> Channel for Spying<C> {
    fn send(&mut self, bytes: &[u8]) -> Result<(), ChannelError> {
        self.0.send(bytes)
    }
    fn flush(&mut self) -> Result<(), ChannelError> {
        self.0.flush()
    }
    fn recv(&mut self, buf: &mut [u8]) -> Result<(), ChannelError> {
        self.0.recv(buf)?;
        self.1.lock().unwrap().push(buf.to_vec());
        Ok(())
    }
    fn traffic(&self) -> Traffic {
        self.0.traffic()
    }
}

fn program() -> Program {
    let spec = |shape, frac| TensorSpec { shape, ring: RingBits(RING), frac };
    let conv = |input, channels, out| LinearTerm {
        input: TensorId(input),
        geometry: ConvGeometry { input: Shape::new(channels, 32, 32), ..ConvGeometry::dense(1, out) },
    };
    let linear = |term| Op::Linear { terms: vec![term], weight_bits: 13, row_norm: 4000, upload_bits: UP, hint_bits: HB };
    let window = Window { shift: 15, bits: 11 };
    let relu = |input| Op::Requantise { input: TensorId(input), window, pool: None, activation: Activation::Relu };
    let step = |name: &str, op, output| Step { name: name.to_owned(), op, output: TensorId(output) };
    let dense = LinearTerm { input: TensorId(5), geometry: ConvGeometry::dense(1024, 2) };
    let image = |c| Shape::new(c, 32, 32);
    Program {
        tensors: vec![
            spec(image(1), 0),
            spec(image(1 + SPIES), 0),
            spec(image(1 + SPIES), -15),
            spec(image(1), -15),
            spec(image(1), -30),
            spec(Shape::flat(1024), -30),
            spec(Shape::flat(2), -30),
        ],
        input: TensorId(0),
        steps: vec![
            step("conv1", linear(conv(0, 1, 1 + SPIES)), 1),
            step("relu1", relu(1), 2),
            step("conv2", linear(conv(2, 1 + SPIES, 1)), 3),
            step("relu2", relu(3), 4),
            step("flatten", Op::Flatten { input: TensorId(4) }, 5),
            step("dense", linear(dense), 6),
        ],
        logits: TensorId(6),
        logits_window: window,
    }
}

fn polynomial(seed: [u8; 32], tag: &[u8; 17], layer: u32, row: u32) -> Vec<u32> {
    let mut hash = Sha3_256::new();
    hash.update(tag);
    hash.update(seed);
    hash.update((N as u32).to_le_bytes());
    hash.update(32u32.to_le_bytes());
    hash.update(layer.to_le_bytes());
    hash.update(row.to_le_bytes());
    let mut key = [0u8; 16];
    key.copy_from_slice(&hash.finalize()[..16]);
    let mut out = vec![0; N];
    AesPrg::new(key).fill_words(u32::MAX, &mut out);
    out
}

fn product(a: &[u32], s: &[i32]) -> Vec<u32> {
    let mut out = vec![0u32; N];
    for (i, &s) in s.iter().enumerate().filter(|(_, s)| **s != 0) {
        for (j, &a) in a.iter().enumerate() {
            let term = a.wrapping_mul(s as u32);
            let at = &mut out[(i + j) % N];
            *at = if i + j < N { at.wrapping_add(term) } else { at.wrapping_sub(term) };
        }
    }
    out
}

#[test]
fn a_hint_made_of_the_next_layers_polynomials_gives_nothing_away() {
    let seed = [5; 32];
    let program = program();
    let public = PublicModel::new(program.clone(), PublicSeed(seed)).unwrap();
    let mut rng = ChaCha20Rng::seed_from_u64(3);
    let mut first = vec![0i16; 1 + SPIES];
    first[0] = 500;
    let mut second = vec![0i16; 1 + SPIES];
    second[0] = 3900;
    let last = [[100i16; 1024], [-100; 1024]].concat();
    let weights = Weights {
        linear: vec![
            LinearWeights { terms: vec![first], bias: vec![0; 1 + SPIES] },
            LinearWeights { terms: vec![second], bias: vec![0] },
            LinearWeights { terms: vec![last], bias: vec![0, 1 << 20] },
        ],
    };
    let served = ServerModel::new(public.clone(), &weights, &ServerKey::random(&mut rng)).unwrap();
    let honest = served.hint(&mut rng, |_| ());

    // The malicious hint: the rows of outputs 1.. of conv1 are 2^15 a' - 2^30, a' being the public
    // polynomial of the row of conv2 in which the client will encrypt its share of that output.
    let mut malicious = honest.clone();
    let row_bytes = N * HB as usize / 8;
    for spy in 1..=SPIES {
        let mut row: Vec<u32> = polynomial(seed, b"fusion-rlwe row a", 1, spy as u32).iter().map(|a| a << 15).collect();
        row[0] = row[0].wrapping_sub(1 << 30);
        // Low bits do not matter: they may be noise.
        row.iter_mut().for_each(|c| *c = c.wrapping_add(rng.next_u32() >> 20).wrapping_add(1 << 12) >> (32 - HB));
        malicious[spy * row_bytes..(spy + 1) * row_bytes].copy_from_slice(&pack(&row, HB));
    }

    let images: Vec<Vec<i64>> =
        [1i64, -1].iter().map(|sign| (0..1024).map(|_| sign * i64::from(rng.next_u32() % 30000)).collect()).collect();
    let mut run = |hint: &[u8], deviate: bool| {
        let hint = Hint::from_bytes(&public, hint.to_vec()).unwrap();
        let encoded: Vec<EncodedImage> = images.iter().map(|i| EncodedImage::new(&program, i).unwrap()).collect();
        let input = LaneInput::new(&program, &encoded).unwrap();
        let (client_end, server_end) = memory_pair();
        let log = Arc::new(Mutex::new(Vec::new()));
        let server_end = Spying(server_end, log.clone());
        let ((client_sends, server_receives), (server_sends, client_receives)) = (ideal::pair(1), ideal::pair(2));
        let mut share = Vec::new();
        let mut at = 0;
        let opened = std::thread::scope(|scope| {
            let served = &served;
            let (share, at, log) = (&mut share, &mut at, log.clone());
            let server = scope.spawn(move || {
                let lane = Lane::<Server>::on(Box::new(server_end), Box::new(server_sends), Box::new(server_receives), 2, Reveal::Label);
                let deviation: Deviation<'_> = Box::new(move |step, _, words| match step {
                    // Only dead channels: what the network computes is not touched.
                    "conv1" if deviate => words[N..].fill(0),
                    "relu1" => {
                        share.extend_from_slice(words);
                        *at = log.lock().unwrap().len();
                    }
                    _ => (),
                });
                lane.deviating(deviation).run(served, &mut ChaCha20Rng::seed_from_u64(9), &mut |_| ()).unwrap();
            });
            let lane = Lane::<Client>::on(Box::new(client_end), Box::new(client_sends), Box::new(client_receives), 2, Reveal::Label);
            let opened = lane.run(&public, &hint, input, &mut rng, &mut |_| ()).unwrap().opened;
            server.join().unwrap();
            opened
        });
        let Opened::Labels(labels) = opened else { panic!("labels were asked for") };
        let log = log.lock().unwrap().clone();
        (labels.to_vec(), log, at, share)
    };
    let (labels, ..) = run(&honest, false);
    let (same, log, at, share) = run(&malicious, true);
    assert_eq!((labels.as_slice(), same.as_slice()), ([0, 1].as_slice(), [0, 1].as_slice()), "answers are right: no mixing notices");

    // From here on: only what the server has. Ciphertexts follow the key of their layer.
    let at = at + usize::from(log[at].len() == N * KB as usize / 8);
    let mut secret = vec![None; N];
    let mut wrong = 0;
    for spy in 1..=SPIES {
        let b = unpack(&log[at + spy], UP, N);
        for p in 0..N {
            let word = (b[p] << (32 - UP)).wrapping_add(share[spy * N + p]);
            let centred = ((word << 15) as i32) >> 15; // modulo 2^17
            for s in [-1, 0, 1] {
                if (centred - (s << 15)).abs() < 1 << 9 {
                    wrong += usize::from(secret[p].is_some_and(|found: [u32; 3]| found[(s + 1) as usize] == 0));
                    secret[p].get_or_insert([0u32; 3])[(s + 1) as usize] += 1;
                }
            }
        }
    }
    let guess = |v: &Option<[u32; 3]>| v.map_or(0, |v| (0..3).max_by_key(|&i| v[i]).unwrap() as i32 - 1);
    let secret: Vec<i32> = secret.iter().map(guess).collect();
    // The key of the first layer tells whether these are its secret's coefficients.
    let key: Vec<u32> = unpack(&log[0], KB, N).iter().map(|word| word << (32 - KB)).collect();
    let mask = polynomial(seed, b"fusion-rlwe mask ", 0, 0);
    let size =
        |s: &[i32]| key.iter().zip(product(&mask, s)).map(|(k, ps)| f64::from(k.wrapping_sub(ps) as i32).powi(2)).sum::<f64>() / N as f64;
    // Rounding has 2^(32 - KB) / sqrt(12); uniform words have 2^32 / sqrt(12) = 2^30.2.
    let deviation = size(&secret).sqrt();
    assert!(deviation.log2() > 30.0, "contradicting votes {wrong}, deviation of k - p s: {deviation}: the server has the secret");
    let b = unpack(&log[1], UP, N);
    let mask = product(&polynomial(seed, b"fusion-rlwe row a", 0, 0), &secret);
    let found: Vec<i64> =
        b.iter().zip(mask).map(|(b, m)| i64::from(((b << (32 - UP)).wrapping_sub(m).wrapping_add(1 << 5) as i32) >> (32 - RING))).collect();
    let truth = images.concat();
    let errors: Vec<i64> = found.iter().zip(&truth).map(|(a, b)| (a - b).abs()).collect();
    let near = errors.iter().filter(|&&e| e <= 4).count();
    assert!(near < errors.len() / 100, "the server has {near} of {} pixels", errors.len());
}
