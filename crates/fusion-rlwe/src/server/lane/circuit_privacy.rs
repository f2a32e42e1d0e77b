//! Does the noise that a client sees depend on the weights?

use fusion_ring::channel::memory_pair;
use rand_chacha::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};

use super::*;
use crate::{ClientLane, ConvGeometry, Layer, PublicSeed, ServerKey};

/// Correlation between the noise that a client sees and the part of it that depends on the weights.
/// The client knows everything but the server's secrets, and sees the noise before any rounding.
fn leak(flood_bits: impl Fn(RlweParams) -> u32) -> (f64, usize) {
    let (inputs, outputs, samples) = (8, 32, 512);
    let mut rng = ChaCha20Rng::seed_from_u64(5);
    let params = RlweParams::new(88, 25, 10).unwrap();
    let seed = PublicSeed([1; 32]);
    let layer = Layer::new(seed, 0, &[ConvGeometry::dense(inputs, outputs)], params).unwrap();
    let weights: Vec<i16> = (0..inputs * outputs).map(|_| (rng.next_u32() % 601) as i16 - 300).collect();
    let server = ServerLayer::new(layer.clone(), &[&weights], ServerKey::random(&mut rng)).unwrap();
    let hint = server.exact_hint(0, &mut rng);

    let (mut client_end, mut server_end) = memory_pair();
    let mut client = ClientLane::new(seed, params, &mut rng);
    client.encrypt(&layer, &[&vec![0; inputs * samples]], samples, &mut client_end).unwrap();
    let read = |bytes: &[u8]| -> Vec<u128> {
        let mut out = Residues::default();
        out.resize(bytes.len() / params.coefficient_bytes());
        read_wide(bytes, params.coefficient_bytes(), &mut out.low, &mut out.high);
        (0..out.low.len()).map(|i| out.get(i)).collect()
    };
    let key = read(&server_end.recv_vec(key_bytes(88)).unwrap());
    let blocks = layer.layout().cut(samples);
    assert_eq!(blocks.len(), 1);
    let rows: Vec<Vec<u8>> = (0..inputs).map(|_| server_end.recv_vec(samples * params.coefficient_bytes()).unwrap()).collect();
    // The client knows its errors: with zero inputs a row is a_i s + e_i.
    let centred = |v: u128| ((v << (128 - 88)) as i128 >> (128 - 88)) as f64;
    let residues = |values: &[u128]| {
        let (low, high): (Vec<u64>, Vec<u64>) = values.iter().map(|&v| (v as u64, (v >> 64) as u64)).unzip();
        Residues { low: low.into(), high: high.into() }
    };
    let times_secret = |polynomial: &Residues| -> Vec<u128> {
        let mut product = fft::Product::default();
        product.set(&Wide::<4>::new(polynomial), client.secret(0));
        let mut out = Residues::default();
        out.resize(samples);
        product.copy_to(0..samples, &mut out.as_mut());
        (0..samples).map(|p| out.get(p)).collect()
    };
    let errors: Vec<Vec<f64>> = rows
        .iter()
        .enumerate()
        .map(|(i, row)| {
            let mut polynomial = Residues::default();
            layer.row_polynomial(0, i, &mut polynomial);
            let product = times_secret(&polynomial);
            read(row).iter().zip(product).map(|(&b, c)| centred(b.wrapping_sub(c))).collect()
        })
        .collect();

    let (mut replay, mut replayed) = memory_pair();
    rows.iter().for_each(|row| replay.send(row).unwrap());
    replay.flush().unwrap();
    let mut product = Product::<2, 41>::new(&server, &blocks, Memory::default());
    product.receive(&[&vec![0; inputs * samples]], samples, &blocks[0], &mut replayed).unwrap();
    let (mut xy, mut xx, mut yy, mut n) = (0.0, 0.0, 0.0, 0);
    product.masked(
        &BlockKey::new(&residues(&key)).narrow,
        &blocks[0],
        flood_bits(params),
        &mut AesPrg::new([8; 16]),
        |j, at, values, _| {
            for (p, mask) in times_secret(&residues(&hint[j])).into_iter().skip(at).take(values.low.len()).enumerate() {
                let value = u128::from(values.low[p]) | u128::from(values.high[p]) << 64;
                let seen = centred(value.wrapping_sub(mask));
                let known: f64 = (0..inputs).map(|i| f64::from(weights[j * inputs + i]) * errors[i][at + p]).sum();
                (xy, xx, yy, n) = (xy + seen * known, xx + known * known, yy + seen * seen, n + 1);
            }
        },
    );
    (xy / (xx * yy).sqrt(), n)
}

#[test]
fn full_flooding_hides_the_weights_and_reduced_flooding_does_not() {
    let (full, n) = leak(RlweParams::flood_uniform_bits);
    let chance = 6.0 / (n as f64).sqrt();
    assert!(full.abs() < chance, "correlation {full} at full flooding");
    // Forty bits less leave flooding about as wide as the noise that it should hide.
    let (reduced, _) = leak(|params| params.flood_uniform_bits() - 40);
    assert!(reduced > 5.0 * chance, "correlation {reduced} at reduced flooding: the test would not notice a leak");
}
