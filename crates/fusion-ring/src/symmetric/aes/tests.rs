//! All kernels against the portable one, and that against FIPS 197.

use super::*;
use proptest::prelude::*;

#[test]
fn fips_197_example() {
    let key: [u8; 16] = std::array::from_fn(|i| i as u8);
    let plain = u128::from_be_bytes(std::array::from_fn(|i| (i * 0x11) as u8)).swap_bytes();
    let expect = 0x69c4_e0d8_6a7b_0430_d8cd_b780_70b4_c55au128.swap_bytes();
    for tier in AesTier::available() {
        assert_eq!(Aes128::with_tier(&key, tier).encrypt_one(plain), expect, "{tier:?}");
    }
}

proptest! {
    #[test]
    fn fused_kernels_agree(key: [u8; 16], pairs in prop::collection::vec(any::<(u128, u128)>(), 0..150), offset: u128, keep: u128, whole: bool) {
        let (blocks, tweaks): (Vec<_>, Vec<_>) = pairs.into_iter().unzip();
        let level = HalfTreeLevel { offset, keep: if whole { u128::MAX } else { keep } };
        let run = |tier| {
            let aes = Aes128::with_tier(&key, tier);
            let mut hashed = blocks.clone();
            aes.tmmo(&mut hashed, &tweaks);
            let mut fed = blocks.clone();
            aes.mmo(&mut fed);
            let (mut lower, mut upper) = (blocks.clone(), tweaks.clone());
            let sums = aes.half_tree_level(&mut lower, &mut upper, &level);
            let (mut left, mut right) = (blocks.clone(), tweaks.clone());
            let last_sums = aes.half_tree_last(&mut left, &mut right, &level);
            (hashed, fed, lower, upper, left, right, sums, last_sums)
        };
        let expect = run(AesTier::PORTABLE);
        for tier in AesTier::available() {
            prop_assert_eq!(&run(tier), &expect, "{:?}", tier);
        }
        let aes = Aes128::new(&key);
        prop_assert!(expect.1.iter().zip(&blocks).all(|(fed, &x)| *fed == aes.encrypt_one(x) ^ x));
    }

    #[test]
    fn multiples_agree(key: [u8; 16], w in prop::collection::vec(any::<u128>(), 0..40), multiples: [u128; 16]) {
        fn check<const K: usize>(key: &[u8; 16], w: &[u128], multiples: &[u128; 16]) {
            let multiples: [u128; K] = std::array::from_fn(|i| multiples[i]);
            let mut expect: Vec<u128> = w.iter().flat_map(|w| multiples.map(|d| w ^ d)).collect();
            Aes128::with_tier(key, AesTier::PORTABLE).mmo(&mut expect);
            for tier in AesTier::available() {
                let (mut whole, mut bytes, mut calls) = (vec![0; K * w.len()], vec![0u8; K * w.len()], 0);
                let aes = Aes128::with_tier(key, tier);
                aes.mmo_multiples(w, &multiples, |pad| pad, &mut whole, &mut || calls += 1);
                aes.mmo_multiples(w, &multiples, |pad| pad as u8, &mut bytes, &mut || ());
                assert_eq!(calls, K * w.len() / K.max(4), "{tier:?} K = {K}");
                assert_eq!(whole, expect, "{tier:?} K = {K}");
                assert!(bytes.iter().zip(&expect).all(|(&byte, &pad)| byte == pad as u8), "{tier:?} K = {K}");
            }
        }
        check::<1>(&key, &w, &multiples);
        check::<2>(&key, &w, &multiples);
        check::<4>(&key, &w, &multiples);
        check::<8>(&key, &w, &multiples);
        check::<16>(&key, &w, &multiples);
    }

    /// Also where counters carry into the upper half, and where they wrap around.
    #[test]
    fn counter_mode_encrypts_counters(key: [u8; 16], upper: u64, below in 0u64..60, length in 0usize..70, anywhere: u128) {
        let carries = (u128::from(upper) << 64) | u128::from(u64::MAX - below);
        for counter in [anywhere, carries, u128::MAX - u128::from(below)] {
            for tier in AesTier::available() {
                let aes = Aes128::with_tier(&key, tier);
                let right = |out: &[Block]| (0..).zip(out).all(|(i, &x)| x == aes.encrypt_one(counter.wrapping_add(i)));
                let mut out = vec![0; length];
                aes.counter_mode(counter, &mut out);
                prop_assert!(right(&out), "{:?}", tier);
                let (mut out, mut calls) = ([0; 24], vec![]);
                aes.counters_beside(counter, &mut out, |i| calls.push(i));
                prop_assert!(right(&out), "{:?}", tier);
                prop_assert_eq!(calls, (0..16).collect::<Vec<_>>());
            }
        }
    }

    #[test]
    fn kernels_agree(key: [u8; 16], blocks in prop::collection::vec(any::<u128>(), 0..70)) {
        let mut expect = blocks.clone();
        Aes128::with_tier(&key, AesTier::PORTABLE).encrypt(&mut expect);
        for tier in AesTier::available() {
            let mut got = blocks.clone();
            Aes128::with_tier(&key, tier).encrypt(&mut got);
            prop_assert_eq!(&got, &expect, "{:?}", tier);
        }
    }
}
