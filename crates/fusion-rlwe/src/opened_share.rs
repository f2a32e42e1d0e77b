//! Why nobody opens a share of a linear output: what a client would learn from one.
//!
//! A client knows its words, its errors and what rounding did to them, so the sum of both parties'
//! words is a linear equation in a row of weights for every output, with small noise. This test
//! solves them. The inputs are zero, so no label and no logit says anything about the weights.

use fusion_ring::bits::pack::{packed_len, unpack};
use fusion_ring::channel::{Channel, memory_pair};
use fusion_ring::poly::fft::{Product, Wide};
use rand_chacha::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};

use crate::{ClientLane, ConvGeometry, Input, Layer, Precision, PublicSeed, ServerKey, ServerLane, ServerLayer};

const INPUTS: usize = 6;
const SAMPLES: usize = 1500;

#[test]
fn a_share_at_full_width_gives_the_weights_away() {
    let mut rng = ChaCha20Rng::seed_from_u64(8);
    let (seed, precision) = (PublicSeed([2; 32]), Precision::new(25, 18, 30).unwrap());
    let layer = Layer::new(seed, 0, &[ConvGeometry::dense(INPUTS, 1)], precision, 2000).unwrap();
    let weights: Vec<i16> = (0..INPUTS).map(|_| (rng.next_u32() % 1001) as i16 - 500).collect();
    let served = ServerLayer::new(layer.clone(), &[&weights], &[3], ServerKey::random(&mut rng)).unwrap();
    let hint = served.hint(&mut rng);

    let (mut client_end, mut server_end) = memory_pair();
    let zero = vec![0; INPUTS * SAMPLES];
    let input = [Input { words: &zero, ring: 25 }];
    let mut client = ClientLane::new(seed, &mut rng);
    client.encrypt(&layer, &input, SAMPLES, &mut client_end).unwrap();
    let request = server_end.recv_vec(layer.bytes_up(SAMPLES) as usize).unwrap();
    client_end.send(&request).unwrap();
    client_end.flush().unwrap();
    let opened = ServerLane::new().multiply(&served, &input, SAMPLES, &mut server_end).unwrap();
    let mine = client.share(&layer, &hint, SAMPLES).unwrap();

    // What the client knows of each row: the word that it sent without the mask a_i s.
    let known: Vec<Vec<f64>> = (0..INPUTS)
        .map(|row| {
            let size = packed_len(SAMPLES, precision.upload_bits());
            let sent = unpack(&request[layer.key_bytes() + row * size..][..size], precision.upload_bits(), SAMPLES);
            let (mut public, mut product, mut mask) = (Vec::new(), Product::default(), vec![0; SAMPLES]);
            layer.row_polynomial(0, row, &mut public);
            product.set(&Wide::new(&public), client.secret(0));
            product.words(0, &mut mask);
            sent.iter().zip(mask).map(|(&b, mask)| f64::from((b << (32 - precision.upload_bits())).wrapping_sub(mask) as i32)).collect()
        })
        .collect();
    let sums: Vec<f64> = opened.iter().zip(mine.iter()).map(|(a, b)| f64::from(a.wrapping_add(*b) as i32)).collect();
    let found: Vec<i16> = least_squares(&known, &sums).into_iter().map(|w| w.round() as i16).collect();
    assert_eq!(found, weights);
}

/// The coefficients that explain `sums` by `known` best.
fn least_squares(known: &[Vec<f64>], sums: &[f64]) -> Vec<f64> {
    let n = known.len();
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    let mut rows: Vec<Vec<f64>> = known.iter().map(|a| known.iter().map(|b| dot(a, b)).chain([dot(a, sums)]).collect()).collect();
    for pivot in 0..n {
        for row in 0..n {
            if row != pivot {
                let factor = rows[row][pivot] / rows[pivot][pivot];
                let reduced = rows[row].iter().zip(&rows[pivot]).map(|(a, b)| a - factor * b).collect();
                rows[row] = reduced;
            }
        }
    }
    (0..n).map(|row| rows[row][n] / rows[row][row]).collect()
}
