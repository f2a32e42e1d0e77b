//! What goes over the wire.

use super::*;
use crate::functionality::ChoiceBits;
use crate::testing::{run, run_recorded};

/// Bytes of each side: set-up, first use of width m with one output, a second extension.
fn measure(m: ChoiceBits) -> [[(usize, u64); 3]; 2] {
    let set = Parameters::new(m, ExtensionSize::Small);
    let second = set.outputs() - set.reserve();
    let reading = |ch: &TestChannel| (ch.traffic().sent as usize, ch.traffic().turns);
    let (s, r) = run(
        |ch| {
            let mut s = sender(ch);
            let mut readings = [reading(ch); 3];
            for (i, n) in [1, second].into_iter().enumerate() {
                s.correlated(ch, m, n, &mut |_| ()).unwrap();
                readings[i + 1] = reading(ch);
            }
            readings
        },
        |ch| {
            let mut r = receiver(ch);
            let mut readings = [reading(ch); 3];
            for (i, n) in [1, second].into_iter().enumerate() {
                r.correlated(ch, m, n, &mut |_| ()).unwrap();
                readings[i + 1] = reading(ch);
            }
            readings
        },
    );
    [s, r]
}

#[test]
fn bytes_and_rounds_are_the_formula() {
    for m in [ChoiceBits::ONE, ChoiceBits::THREE] {
        let set = Parameters::new(m, ExtensionSize::Small);
        let (t, depth, bits) = (set.trees(), set.depth(), m.bits() as usize);
        let [s, r] = measure(m);
        assert_eq!(s[0].0, 32 + 64 * 128 + 64);
        assert_eq!(r[0].0, 32 + 32 * 128 + 4096 + 64 * 16 + 32);
        let (trees, fixing) = if bits == 1 {
            (16 * t * (depth - 1), 0)
        } else {
            (16 * t * (depth + 1), (t * depth * (bits - 1)).div_ceil(8) + (t * bits).div_ceil(8))
        };
        let rows = (set.reserve() * bits).div_ceil(128);
        assert_eq!(s[1].0 - s[0].0, 32 + trees + 48);
        assert_eq!(r[1].0 - r[0].0, 16 * 15 * (rows + 1) + 2064 + fixing + 48);
        assert_eq!((s[2].0 - s[1].0, r[2].0 - r[1].0), (trees + 48, fixing + 48));
        // Sender: trees, then proof; receiver: (corrections,) claim, then its proof, whose turn
        // ends with what it sends next.
        assert_eq!(s[2].1 - s[1].1, 2);
        assert!(r[2].1 - r[1].1 <= 2);
    }
}

/// Extensions go on in the code where the one before stopped: a part of it that two extensions
/// shared would let an attacker prepare for both at once. And each draws a seed of its own.
#[test]
fn no_extension_repeats_the_code_or_the_seed() {
    let m = ChoiceBits::ONE;
    let set = Parameters::new(m, ExtensionSize::Small);
    let n = set.outputs() - set.reserve();
    let seeds = |seed: u64| {
        let mut at = Vec::new();
        let (base, _, [sent, _]) = run_recorded(
            |ch| {
                let mut s = Sender::<Malicious>::setup(ExtensionSize::Small, &direction(), ch, &mut rng(seed)).unwrap();
                for _ in 0..2 {
                    at.push(ch.traffic().sent as usize);
                    s.correlated(ch, m, n, &mut |_| ()).unwrap();
                }
                s.engines[0].as_ref().unwrap().code_base()
            },
            |ch| {
                let mut r = receiver(ch);
                (0..2).for_each(|_| r.correlated(ch, m, n, &mut |_| ()).unwrap());
                assert_eq!(r.engines[0].as_ref().unwrap().code_base(), 2 * set.outputs() as u64);
            },
        );
        assert_eq!(base, 2 * set.outputs() as u64);
        // Challenge and pads' seed of the batch, then the extension's seed; the second extension
        // has no batch.
        let seed = |at: usize| sent.sent[at..at + 16].to_vec();
        [seed(at[0]), seed(at[0] + 16), seed(at[0] + 32), seed(at[1])]
    };
    let mut all: Vec<_> = [1, 3].into_iter().flat_map(seeds).collect();
    all.sort_unstable();
    all.dedup();
    assert_eq!(all.len(), 8);
}

/// The figures of the issue: at most 0.9 bits per binary and 1.7 bits per wide output.
#[test]
fn traffic_per_output_is_within_its_target() {
    for size in [ExtensionSize::Medium, ExtensionSize::Large] {
        for (m, limit) in [(1, 0.9), (2, 1.7), (3, 1.7), (4, 1.7)] {
            let set = Parameters::new(ChoiceBits::new(m).unwrap(), size);
            assert!(set.bits_per_output() <= limit, "{set:?}: {}", set.bits_per_output());
        }
    }
}

#[test]
fn transcript_is_pinned() {
    let digests = [ChoiceBits::ONE, ChoiceBits::THREE].map(|m| {
        let (_, _, [s, r]) =
            run_recorded(|ch| sender(ch).pads(ch, m, 100).unwrap().pad(0, 0), |ch| receiver(ch).pads(ch, m, 100).unwrap().pads()[0]);
        [s.fingerprint(), r.fingerprint()]
    });
    assert_eq!(digests, [["7042d47301ed2273", "9875acd84222e303"], ["6952e2cc364a665a", "05b911bcaaa853f8"]]);
}
