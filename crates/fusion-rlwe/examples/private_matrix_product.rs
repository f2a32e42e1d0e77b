//! A client's vectors times a server's matrix, with an encrypted product and one hint.
//!
//! ```text
//! cargo run -p fusion-rlwe --example private_matrix_product
//! ```

use fusion_ring::channel::memory_pair;
use fusion_rlwe::{ClientLane, ConvGeometry, Layer, PublicSeed, RlweError, RlweParams, ServerKey, ServerLane, ServerLayer, plain};
use rand_chacha::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};

const SAMPLES: usize = 3;

fn main() -> Result<(), RlweError> {
    let mut rng = ChaCha20Rng::seed_from_u64(1); // in earnest: seeded by the operating system
    let (product, seed) = (ConvGeometry::dense(64, 10), PublicSeed([7; 32])); // a 10 x 64 matrix
    let params = RlweParams::narrowest(25, 11)?; // results modulo 2^25, row norms up to 2^11
    let layer = Layer::new(seed, 0, &[product], params)?;

    // Once per model: the server packs its weights and publishes the hint.
    let weights: Vec<i16> = (0..product.weights()).map(|_| (rng.next_u32() % 256) as i16 - 128).collect();
    let served = ServerLayer::new(layer.clone(), &[&weights], ServerKey::random(&mut rng))?;
    let hint = served.hint(&mut rng);

    // Per lane: the client encrypts, the server multiplies, and each keeps a share of the result.
    let x: Vec<u32> = (0..64 * SAMPLES).map(|_| rng.next_u32() % 256).collect(); // [input][sample]
    let (mut to_server, mut to_client) = memory_pair();
    let mut client = ClientLane::new(seed, params, &mut rng);
    client.encrypt(&layer, &[&x], SAMPLES, &mut to_server)?;
    let mut server = ServerLane::new(params.modulus_bits(), &mut rng);
    let theirs = server.multiply(&served, &[&vec![0; x.len()]], SAMPLES, &mut to_client)?; // its share of x
    let mine = client.decrypt(&layer, &hint, SAMPLES, &mut to_server)?;

    let wide = |x: &[u32]| x.iter().map(|&x| i64::from(x)).collect::<Vec<_>>();
    let clear = plain::convolve(&[product], &[wide(&x)], &[weights.iter().map(|&w| i64::from(w)).collect()], SAMPLES);
    let sums = mine.iter().zip(theirs.iter()).map(|(a, b)| (a + b) << 7); // to the top of the word: signed
    assert!(sums.map(|sum| i64::from(sum as i32 >> 7)).eq(clear), "the shares add up to the product");
    println!("10 x 64 matrix times {SAMPLES} vectors: {} bytes up, {} down", layer.bytes_up(SAMPLES), layer.bytes_down(SAMPLES));
    Ok(())
}
