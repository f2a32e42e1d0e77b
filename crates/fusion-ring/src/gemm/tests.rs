use proptest::prelude::*;
use rand_chacha::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};

use super::product::OUTPUT_GROUP;
use super::{LimbRows, PackedWeights, Reduction};
use crate::poly::residues::Residues;
use crate::simd::{Tier, available, tier};

fn whole(out: &Residues) -> Vec<u128> {
    (0..out.low.len()).map(|i| out.get(i)).collect()
}

fn check(seed: u64, rows: usize, outputs: usize, count: usize, bits: u32, weight_bits: u32) {
    let mut rng = ChaCha20Rng::seed_from_u64(seed);
    let taps: Vec<Vec<usize>> =
        (0..rows.div_ceil(2)).map(|_| (0..1 + rng.next_u32() % 3).map(|_| (rng.next_u32() % 70) as usize).collect()).collect();
    let taps: Vec<&[usize]> = (0..rows).map(|r| &taps[r / 2][..]).collect();
    let reduction = Reduction::new(&taps);
    let length = count + reduction.max_offset + 3;
    let mask = (1u128 << bits) - 1;
    let data: Vec<Vec<u128>> =
        (0..rows).map(|_| (0..length).map(|_| (u128::from(rng.next_u64()) << 64 | u128::from(rng.next_u64())) & mask).collect()).collect();
    let span = 1i32 << (weight_bits - 1);
    let weights: Vec<i16> =
        (0..outputs * rows * 3).map(|_| (rng.next_u32() as i32).rem_euclid(2 * span).wrapping_sub(span) as i16).collect();
    let weight = |j: usize, r: usize, t: usize| weights[(j * rows + r) * 3 + t];
    let packed = PackedWeights::new(reduction, outputs, weight).unwrap();
    let cut = |tier: Tier| {
        let mut x = LimbRows::zeros(&packed, bits, length);
        for (row, data) in data.iter().enumerate() {
            // Write in two pieces, over old contents.
            x.write_on(tier, row, 0, &vec![u64::MAX; length], &vec![u64::MAX; length]);
            let (low, high): (Vec<u64>, Vec<u64>) = data.iter().map(|&v| (v as u64, (v >> 64) as u64)).unzip();
            let half = length / 2;
            x.write_on(tier, row, 0, &low[..half], &high[..half]);
            x.write_on(tier, row, half, &low[half..], &high[half..]);
        }
        x
    };
    let mut expect = vec![0u128; outputs * count];
    for j in 0..outputs {
        for p in 0..count {
            for (r, taps) in taps.iter().enumerate() {
                for (t, &offset) in taps.iter().enumerate() {
                    let product = (i128::from(weight(j, r, t)) as u128).wrapping_mul(data[r][p + 2 + offset]);
                    expect[j * count + p] = expect[j * count + p].wrapping_add(product);
                }
            }
        }
    }
    for tier in available() {
        let mut out = Residues::default();
        packed.multiply_on(tier, &cut(tier), 2, count, &mut out);
        assert!(whole(&out) == expect, "tier {} rows {rows} outputs {outputs} count {count}", tier.name());
    }
    // Groups of outputs, with gaps between the rows, over what was there before.
    let mut part = Residues::default();
    let pitch = count + 3;
    for first in (0..outputs).step_by(OUTPUT_GROUP) {
        let some = first..outputs.min(first + OUTPUT_GROUP);
        packed.multiply_outputs(&cut(tier()), some.clone(), 2, count, pitch, &mut part);
        for j in some {
            assert!((0..count).all(|p| part.get((j - first) * pitch + p) == expect[j * count + p]), "output {j} alone");
        }
    }
    let mut out = Residues::default();
    packed.multiply_parallel(&cut(tier()), 2, count, &mut out);
    assert!(whole(&out) == expect, "parallel");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn every_tier_equals_the_definition(seed: u64, rows in 1usize..9, outputs in 1usize..15, count in 1usize..150, bits in 1u32..=104, weight_bits in 2u32..=16) {
        check(seed, rows, outputs, count, bits, weight_bits);
    }
}

#[test]
fn block_edges() {
    for count in [1, 15, 16, 17, 63, 64, 65, 127, 128, 129] {
        check(count as u64, 3, 7, count, 88, 10);
    }
    check(1, 2, 2 * OUTPUT_GROUP + 5, 70, 88, 10);
}

#[test]
fn weights_that_cannot_be_summed_are_refused() {
    let taps: Vec<usize> = vec![0; 1 << 14];
    let all: Vec<&[usize]> = vec![&taps; 2];
    let error = PackedWeights::new(Reduction::new(&all), 1, |_, _, _| i16::MIN).err();
    assert_eq!(error, Some(1 << 30));
}

#[test]
fn limbs_are_as_wide_as_the_accumulator_allows() {
    let all: Vec<&[usize]> = vec![&[0]; 2];
    let bits = |w: i16| PackedWeights::new(Reduction::new(&all), 1, |_, _, _| w).unwrap().limb_bits();
    assert_eq!(bits(1), 15);
    assert_eq!(bits(i16::MAX), 15);
    let many: Vec<&[usize]> = vec![&[0, 1, 2, 3]; 2];
    assert_eq!(PackedWeights::new(Reduction::new(&many), 1, |_, _, _| i16::MAX).unwrap().limb_bits(), 13);
}
