use proptest::prelude::*;
use rand_chacha::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};

use super::product::OUTPUT_GROUP;
use super::{PackedWeights, Reduction, WordRows};
use crate::secret::Wiped;
use crate::simd::{Tier, available, tier};

/// Whether words and weights are random, or all such that limbs and products are extreme.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Values {
    Random,
    Extreme,
}

fn check(seed: u64, rows: usize, outputs: usize, count: usize, values: Values) {
    let mut rng = ChaCha20Rng::seed_from_u64(seed);
    let taps: Vec<Vec<usize>> =
        (0..rows.div_ceil(2)).map(|_| (0..1 + rng.next_u32() % 3).map(|_| (rng.next_u32() % 70) as usize).collect()).collect();
    let taps: Vec<&[usize]> = (0..rows).map(|r| &taps[r / 2][..]).collect();
    let reduction = Reduction::new(&taps);
    let length = count + reduction.max_offset + 3;
    let extremes = [0x8000_8000, 0x7fff_8000, 0x8000_7fff, 0x7fff_7fff, u32::MAX, 0, 0x8000_0000, 0x7fff_ffff];
    let mut word = || if values == Values::Random { rng.next_u32() } else { extremes[rng.next_u32() as usize % 8] };
    let data: Vec<Vec<u32>> = (0..rows).map(|_| (0..length).map(|_| word()).collect()).collect();
    let weights: Vec<i16> = (0..outputs * rows * 3).map(|_| word() as i16).collect();
    let weight = |j: usize, r: usize, t: usize| weights[(j * rows + r) * 3 + t];
    let packed = PackedWeights::new(reduction, outputs, weight);
    let cut = |tier: Tier| {
        let mut x = WordRows::zeros(&packed, length);
        for (row, data) in data.iter().enumerate() {
            // Write in two pieces, over old contents.
            x.write_on(tier, row, 0, &vec![u32::MAX; length]);
            let half = length / 2;
            x.write_on(tier, row, 0, &data[..half]);
            x.write_on(tier, row, half, &data[half..]);
        }
        x
    };
    let mut expect = vec![0u32; outputs * count];
    for j in 0..outputs {
        for p in 0..count {
            for (r, taps) in taps.iter().enumerate() {
                for (t, &offset) in taps.iter().enumerate() {
                    let product = (i32::from(weight(j, r, t)) as u32).wrapping_mul(data[r][p + 2 + offset]);
                    expect[j * count + p] = expect[j * count + p].wrapping_add(product);
                }
            }
        }
    }
    for tier in available() {
        let mut out = Wiped::default();
        packed.multiply_on(tier, &cut(tier), 2, count, &mut out);
        assert!(out[..] == expect, "tier {} rows {rows} outputs {outputs} count {count} {values:?}", tier.name());
    }
    // Groups of outputs, with gaps between the rows, over what was there before.
    let mut part = Wiped::default();
    let pitch = count + 3;
    for first in (0..outputs).step_by(OUTPUT_GROUP) {
        let some = first..outputs.min(first + OUTPUT_GROUP);
        packed.multiply_outputs(&cut(tier()), some.clone(), 2, count, pitch, &mut part);
        for j in some {
            assert!(part[(j - first) * pitch..][..count] == expect[j * count..][..count], "output {j} alone");
        }
    }
    let mut out = Wiped::default();
    packed.multiply_parallel(&cut(tier()), 2, count, &mut out);
    assert!(out[..] == expect, "parallel");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn every_tier_equals_the_definition(seed: u64, rows in 1usize..9, outputs in 1usize..15, count in 1usize..150, extreme: bool) {
        check(seed, rows, outputs, count, if extreme { Values::Extreme } else { Values::Random });
    }
}

#[test]
fn block_edges() {
    for count in [1, 15, 16, 17, 63, 64, 65, 127, 128, 129] {
        check(count as u64, 3, 7, count, Values::Random);
    }
    check(1, 2, 2 * OUTPUT_GROUP + 5, 70, Values::Extreme);
}

/// Blocks of steps that do not fit one panel, and ends of blocks.
#[test]
fn long_reductions() {
    for rows in [255, 256, 257, 300] {
        check(rows as u64, rows, 7, 70, Values::Random);
    }
}

#[test]
fn without_steps_sums_are_zero() {
    let packed = PackedWeights::new(Reduction::new(&[]), 3, |_, _, _| 1);
    let mut out = Wiped::filled(30, [7; 30]);
    packed.multiply(&WordRows::zeros(&packed, 20), 5, 10, &mut out);
    assert!(out.len() == 30 && out.iter().all(|&sum| sum == 0));
}

/// The one case in which a multiply-add of pairs itself wraps.
#[test]
fn squares_of_the_least_limb_wrap() {
    let taps: [&[usize]; 2] = [&[0]; 2];
    let packed = PackedWeights::new(Reduction::new(&taps), 1, |_, _, _| i16::MIN);
    let word = 0x8000_0000u32.wrapping_add(i32::from(i16::MIN) as u32);
    let expect = word.wrapping_mul(i32::from(i16::MIN) as u32).wrapping_mul(2);
    for tier in available() {
        let mut x = WordRows::zeros(&packed, 64);
        (0..2).for_each(|row| x.write_on(tier, row, 0, &[word; 64]));
        let mut out = Wiped::default();
        packed.multiply_on(tier, &x, 0, 64, &mut out);
        assert!(out.iter().all(|&sum| sum == expect), "tier {}", tier.name());
    }
}

#[test]
fn multiply_adds_are_counted_in_both_limbs() {
    let taps: [&[usize]; 3] = [&[0, 5], &[0, 5], &[1]];
    assert_eq!(PackedWeights::new(Reduction::new(&taps), 7, |_, _, _| 1).macs(10), 2 * 2 * 3 * 7 * 10);
}
