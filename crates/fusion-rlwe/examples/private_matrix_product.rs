//! A client's vectors times a server's matrix: one message and one hint.
//!
//! ```text
//! cargo run -p fusion-rlwe --example private_matrix_product
//! ```

use fusion_ring::channel::memory_pair;
use fusion_rlwe::{ClientLane, ConvGeometry, Input, Layer, Precision, PublicSeed, RlweError, ServerKey, ServerLane, ServerLayer, plain};
use rand_chacha::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};

const SAMPLES: usize = 3;

fn main() -> Result<(), RlweError> {
    let mut rng = ChaCha20Rng::seed_from_u64(1); // in earnest: seeded by the operating system
    let (product, seed) = (ConvGeometry::dense(64, 10), PublicSeed([7; 32])); // a 10 x 64 matrix
    // Results modulo 2^25; 26 bits a ciphertext coefficient, 20 bits a hint coefficient.
    let layer = Layer::new(seed, 0, &[product], Precision::new(25, 26, 20)?, 1024)?;

    // Once per model: the server packs its weights and publishes the hint.
    let weights: Vec<i16> = (0..product.weights()).map(|_| (rng.next_u32() % 256) as i16 - 128).collect();
    let served = ServerLayer::new(layer.clone(), &[&weights], &[0; 10], ServerKey::random(&mut rng))?;
    let hint = served.hint(&mut rng);

    // Per lane: the client encrypts and sends, the server multiplies; each keeps its words.
    let x: Vec<u32> = (0..64 * SAMPLES).map(|_| rng.next_u32() % 256).collect(); // [input][sample]
    let words: Vec<u32> = x.iter().map(|x| x << 7).collect(); // the client's: a number is x 2^(32 - 25)
    let nothing = vec![0; x.len()]; // the server's
    let (mut to_server, mut to_client) = memory_pair();
    let mut client = ClientLane::new(seed, &mut rng);
    client.encrypt(&layer, &[Input { words: &words, ring: 25 }], SAMPLES, &mut to_server)?;
    let theirs = ServerLane::new().multiply(&served, &[Input { words: &nothing, ring: 25 }], SAMPLES, &mut to_client)?;
    let mine = client.share(&layer, &hint, SAMPLES)?;

    let wide = |x: &[u32]| x.iter().map(|&x| i64::from(x)).collect::<Vec<_>>();
    let clear = plain::convolve(&[product], &[wide(&x)], &[weights.iter().map(|&w| i64::from(w)).collect()], SAMPLES);
    // The words add up to the product and noise; the top 13 bits count in units of 2^12.
    let sums = mine.iter().zip(theirs.iter()).map(|(a, b)| a.wrapping_add(*b) as i32 >> 19);
    assert!(sums.zip(&clear).all(|(sum, &y)| (i64::from(sum) - (y >> 12)).abs() <= 1), "the words add up to the product");
    println!("10 x 64 matrix times {SAMPLES} vectors: {} bytes up, none down", layer.bytes_up(SAMPLES));
    Ok(())
}
