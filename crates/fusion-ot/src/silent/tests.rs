use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;

use fusion_ring::symmetric::aes::Block;
use fusion_ring::symmetric::prg::AesPrg;

use super::end::slot;
use super::*;
use crate::functionality::{ChoiceBits, PAD_BIT, RandomOtReceiver, RandomOtSender, ReceiverBits, ReceiverPads, SenderBits, SenderPads};
use crate::testing::{TestChannel, assert_random_ots, direction, run, run_recorded};

fn rng(seed: u64) -> ChaCha20Rng {
    ChaCha20Rng::seed_from_u64(seed)
}

fn sender(ch: &mut TestChannel) -> Sender {
    Sender::setup(ExtensionSize::Small, &direction(), ch, &mut rng(1)).unwrap()
}

fn receiver(ch: &mut TestChannel) -> Receiver {
    Receiver::setup(ExtensionSize::Small, &direction(), ch, &mut rng(2)).unwrap()
}

/// Sizes around every edge: of a tree (512 and 1024 leaves), of batches of the encoding (16) and of
/// pads (64), and past the end of an extension for the widths that the layers use.
fn sizes(m: ChoiceBits) -> Vec<usize> {
    let mut sizes = vec![0, 1, 15, 16, 17, 63, 64, 65, 127, 128, 129, 511, 512, 513, 1023, 1024, 1025];
    if m == ChoiceBits::ONE || m == ChoiceBits::THREE {
        let set = Parameters::new(m, ExtensionSize::Small);
        sizes.push(set.outputs() - set.reserve() - 1000);
    }
    sizes
}

#[test]
fn outputs_are_random_ots_at_every_size() {
    let all = [ChoiceBits::ONE, ChoiceBits::TWO, ChoiceBits::THREE, ChoiceBits::FOUR];
    run_and_compare(
        |ch, each| {
            let mut s = sender(ch);
            all.into_iter().for_each(|m| sizes(m).into_iter().for_each(|n| each(s.pads(ch, m, n).unwrap())));
        },
        |ch, each| {
            let mut r = receiver(ch);
            all.into_iter().for_each(|m| sizes(m).into_iter().for_each(|n| each(r.pads(ch, m, n).unwrap())));
        },
    );
}

/// Runs both ends and compares what they produce call by call, so that a long test need not keep it
/// all.
fn run_and_compare(
    s: impl FnOnce(&mut TestChannel, &mut dyn FnMut(SenderPads)) + Send,
    r: impl FnOnce(&mut TestChannel, &mut dyn FnMut(ReceiverPads)) + Send,
) {
    let (tx, rx) = std::sync::mpsc::channel();
    let (tx2, rx2) = std::sync::mpsc::channel();
    run(move |ch| s(ch, &mut |pads| tx.send(pads).unwrap()), move |ch| r(ch, &mut |pads| tx2.send(pads).unwrap()));
    let (sent, got): (Vec<_>, Vec<_>) = (rx.iter().collect(), rx2.iter().collect());
    assert_eq!(sent.len(), got.len());
    sent.iter().zip(&got).for_each(|(s, r)| assert_random_ots(s, r));
}

/// Pads of one bit are the lowest bits of the pads that the same coins give, across the ends of
/// trees and extensions.
#[test]
fn bits_are_the_lowest_bits_of_pads() {
    for m in [ChoiceBits::ONE, ChoiceBits::TWO, ChoiceBits::THREE, ChoiceBits::FOUR] {
        let set = Parameters::new(m, ExtensionSize::Small);
        let sizes = [0, 1, 63, 700, 1024, if m == ChoiceBits::FOUR { set.outputs() - set.reserve() - 1000 } else { 5 }];
        let (sent, got) = run(
            |ch| {
                let mut s = sender(ch);
                sizes.map(|n| s.pads(ch, m, n).unwrap())
            },
            |ch| {
                let mut r = receiver(ch);
                sizes.map(|n| r.pads(ch, m, n).unwrap())
            },
        );
        let (sent_bits, got_bits) = run(
            |ch| {
                let mut s = sender(ch);
                sizes.map(|n| s.bits(ch, m, n).unwrap())
            },
            |ch| {
                let mut r = receiver(ch);
                sizes.map(|n| r.bits(ch, m, n).unwrap())
            },
        );
        for (pads, bits) in sent.iter().zip(&sent_bits) {
            assert_eq!((bits.choice_bits(), bits.tables()), (m, SenderBits::of(pads).tables()));
        }
        for (pads, bits) in got.iter().zip(&got_bits) {
            assert_eq!((bits.choice_bits(), bits.bytes()), (m, ReceiverBits::of(pads).bytes()));
        }
    }
}

/// The lowest bits of pads, from any source: a table's bit at the choice is the receiver's.
#[test]
fn small_calls_for_bits_need_no_extension() {
    let (m, sizes) = (ChoiceBits::THREE, [0, 1, 1000]);
    let (s, r) = run(
        |ch| {
            let mut s = sender(ch);
            sizes.map(|n| (s.random_bits(ch, m, n).unwrap(), s.engines[slot(m)].is_some()))
        },
        |ch| {
            let mut r = receiver(ch);
            sizes.map(|n| (r.random_bits(ch, m, n).unwrap(), r.engines[slot(m)].is_some()))
        },
    );
    for (((s, ran), (r, _)), n) in s.iter().zip(&r).zip(sizes) {
        assert_eq!((s.tables().len(), r.bytes().len(), *ran), (n, n, false));
        for (table, byte) in s.tables().iter().zip(r.bytes()) {
            assert_eq!(table >> (byte & 7) & 1, u16::from(byte >> PAD_BIT));
            assert_eq!((table >> 8, byte & 0x78), (0, 0));
        }
    }
    assert!(s[2].0.tables().iter().any(|&table| table != s[2].0.tables()[0]));
}

/// Through the traits: first from SoftSpoken, then, when the demand has become as large as the
/// first extension's own, from LPN; both parties change over at the same call.
#[test]
fn small_calls_need_no_extension() {
    let m = ChoiceBits::TWO;
    let limit = Parameters::new(m, ExtensionSize::Small).reserve();
    let sizes = [0, 1, 1000, limit - 1001, 1, 1, 5000];
    let (s, r) = run(
        |ch| {
            let mut s = sender(ch);
            sizes.map(|n| (s.random_ot(ch, m, n).unwrap(), s.engines[slot(m)].is_some()))
        },
        |ch| {
            let mut r = receiver(ch);
            sizes.map(|n| (r.random_ot(ch, m, n).unwrap(), r.engines[slot(m)].is_some()))
        },
    );
    for ((s, _), (r, _)) in s.iter().zip(&r) {
        assert_random_ots(s, r);
    }
    let expect = [false, false, false, false, true, true, true];
    assert_eq!((s.map(|x| x.1), r.map(|x| x.1)), (expect, expect));
}

#[test]
fn correlation_holds_in_every_block() {
    for m in [ChoiceBits::ONE, ChoiceBits::FOUR] {
        let n = 40_000;
        let ((delta, w), v) = run(
            |ch| {
                let (mut s, mut w) = (sender(ch), Vec::new());
                s.correlated(ch, m, n, &mut |blocks| w.extend_from_slice(blocks)).unwrap();
                (s.source.delta().multiples(m), w)
            },
            |ch| {
                let (mut r, mut v) = (receiver(ch), Vec::new());
                r.correlated(ch, m, n, &mut |blocks| v.extend_from_slice(blocks)).unwrap();
                v
            },
        );
        assert_eq!((w.len(), v.len()), (n, n));
        let low = (1 << m.bits()) - 1;
        for (w, v) in w.iter().zip(&v) {
            assert_eq!(w ^ v, delta[(v & low) as usize]);
            assert_eq!(w & low, 0);
        }
    }
}

/// One engine keeps one form: a call for the other drops what is left on both ends alike, and what
/// either form gives is right.
#[test]
fn a_change_of_form_starts_an_extension() {
    for m in [ChoiceBits::ONE, ChoiceBits::THREE] {
        let n = 3000;
        let ((delta, w, before, after, turns), (v, got_before, got_after)) = run(
            |ch| {
                let (mut s, mut w) = (sender(ch), Vec::new());
                let before = s.pads(ch, m, n).unwrap();
                let mut turns = vec![ch.traffic().turns];
                s.correlated(ch, m, n, &mut |blocks| w.extend_from_slice(blocks)).unwrap();
                turns.push(ch.traffic().turns);
                let after = s.pads(ch, m, n).unwrap();
                turns.push(ch.traffic().turns);
                let same = s.pads(ch, m, n).unwrap();
                turns.push(ch.traffic().turns);
                (s.source.delta().multiples(m), w, before, [after, same], turns)
            },
            |ch| {
                let (mut r, mut v) = (receiver(ch), Vec::new());
                let before = r.pads(ch, m, n).unwrap();
                r.correlated(ch, m, n, &mut |blocks| v.extend_from_slice(blocks)).unwrap();
                (v, before, [(); 2].map(|()| r.pads(ch, m, n).unwrap()))
            },
        );
        assert_random_ots(&before, &got_before);
        after.iter().zip(&got_after).for_each(|(s, r)| assert_random_ots(s, r));
        assert_eq!((w.len(), v.len()), (n, n));
        let low = (1 << m.bits()) - 1;
        assert!(w.iter().zip(&v).all(|(w, v)| w ^ v == delta[(v & low) as usize]));
        assert!(turns[0] < turns[1] && turns[1] < turns[2] && turns[2] == turns[3], "{turns:?}");
    }
}

#[test]
fn semi_honest_instances_skip_the_check_only() {
    let n = 5000;
    let (s, r) = run(
        |ch| {
            Sender::<SemiHonest>::setup(ExtensionSize::Small, &direction(), ch, &mut rng(1)).unwrap().pads(ch, ChoiceBits::TWO, n).unwrap()
        },
        |ch| {
            Receiver::<SemiHonest>::setup(ExtensionSize::Small, &direction(), ch, &mut rng(2))
                .unwrap()
                .pads(ch, ChoiceBits::TWO, n)
                .unwrap()
        },
    );
    assert_random_ots(&s, &r);
}

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

/// Bytes that each side sends before its first extension of width m begins.
fn before_extension(m: ChoiceBits) -> (usize, usize) {
    let set = Parameters::new(m, ExtensionSize::Small);
    (32, 16 * 15 * ((set.reserve() * m.bits() as usize).div_ceil(128) + 1) + 2064)
}

type Outcome = Result<(), OtError>;

/// Runs one extension in which the sender or the receiver flips a bit of what it sends after its
/// set-up.
fn corrupted(m: ChoiceBits, by_sender: bool, offset: usize) -> (Outcome, Outcome) {
    run(
        |ch| {
            let mut s = sender(ch);
            if by_sender {
                ch.corrupt_from_now(before_extension(m).0 + offset, 0x40);
            }
            s.pads(ch, m, 10).map(drop)
        },
        |ch| {
            let mut r = receiver(ch);
            if !by_sender {
                ch.corrupt_from_now(before_extension(m).1 + offset, 0x40);
            }
            let first = r.pads(ch, m, 10).map(drop);
            if first.is_err() {
                assert_eq!(r.pads(ch, m, 1).err(), Some(OtError::Misuse("the instance failed before")));
            }
            first
        },
    )
}

const TREES: Outcome = Err(OtError::PeerMisbehaved("silent OT: the sender's trees"));
const PROOF: Outcome = Err(OtError::PeerMisbehaved("silent OT: the receiver's proof"));

#[test]
fn a_cheating_sender_is_caught() {
    for m in [ChoiceBits::ONE, ChoiceBits::THREE] {
        let set = Parameters::new(m, ExtensionSize::Small);
        let trees = 16 * set.trees() * set.tree_message();
        // After the seed of the pads, which may be what the sender likes: the first tree's second
        // level, the last block of the last tree, the proof. A level sum enters whatever the noise
        // position is.
        for offset in [16, trees, trees + 16 + 5] {
            assert_eq!(corrupted(m, true, offset).1, TREES, "m={m:?} offset={offset}");
        }
    }
}

/// Runs one extension in which the sender lies in block number `block` of tree number `tree`, and
/// otherwise keeps to the protocol: what the receiver and the sender make of it.
fn lied(m: ChoiceBits, tree: usize, block: usize) -> (Outcome, Outcome) {
    let (s, r) = run(
        |ch| {
            let mut s = sender(ch);
            super::sender::cheat::CHEAT.set(Some((tree, block)));
            s.pads(ch, m, 10).map(drop)
        },
        |ch| receiver(ch).pads(ch, m, 10).map(drop),
    );
    super::sender::cheat::CHEAT.set(None);
    (r, s)
}

#[test]
fn a_sender_that_lies_consistently_is_caught() {
    for m in [ChoiceBits::ONE, ChoiceBits::THREE] {
        let set = Parameters::new(m, ExtensionSize::Small);
        // The second level's sum is used wherever the noise is; of wide trees the closing block
        // too.
        assert_eq!(lied(m, 0, 0).0, TREES);
        if set.wide() {
            assert_eq!(lied(m, set.trees() - 1, set.tree_message() - 1).0, TREES);
        }
    }
}

/// Until the check has passed nothing comes out, and after it has failed nothing ever does: what
/// the extension made is gone.
#[test]
fn nothing_comes_out_of_a_failed_extension() {
    let m = ChoiceBits::THREE;
    let failed = Some(OtError::Misuse("the instance failed before"));
    let nothing = |blocks: &[Block]| panic!("{} blocks of a failed extension", blocks.len());
    let (s, r) = run(
        |ch| {
            let mut s = sender(ch);
            super::sender::cheat::CHEAT.set(Some((7, 0)));
            let first = s.correlated(ch, m, 10, &mut { nothing });
            super::sender::cheat::CHEAT.set(None);
            assert!(s.engines.iter().all(Option::is_none));
            assert_eq!(s.pads(ch, m, 1).err(), failed);
            assert_eq!(s.random_ot(ch, ChoiceBits::ONE, 1).err(), failed);
            assert_eq!(s.correlated(ch, m, 1, &mut { nothing }).err(), failed);
            first
        },
        |ch| {
            let mut r = receiver(ch);
            let first = r.correlated(ch, m, 10, &mut { nothing });
            assert!(r.engines.iter().all(Option::is_none));
            assert_eq!(r.pads(ch, m, 1).err(), failed);
            assert_eq!(r.random_ot(ch, ChoiceBits::ONE, 1).err(), failed);
            assert_eq!(r.correlated(ch, m, 1, &mut { nothing }).err(), failed);
            first
        },
    );
    assert_eq!(r, TREES);
    assert!(matches!(s, Err(OtError::Channel(_))), "{s:?}");
}

/// Each of the two sums of a last level is used by the receivers whose noise lies on the other
/// side: a lie in one is caught or has no effect at all, which is the selective failure that the
/// functionality allows. Where it had none the sender sees nothing but that the protocol went on.
#[test]
fn a_selective_failure_shows_as_the_abort_only() {
    let m = ChoiceBits::THREE;
    let set = Parameters::new(m, ExtensionSize::Small);
    for tree in 0..3 {
        let outcomes = [0, 1].map(|side| lied(m, tree, set.depth() - 2 + side));
        assert!(outcomes.iter().any(|o| o.0 == TREES) && outcomes.contains(&(Ok(()), Ok(()))), "{outcomes:?}");
    }
}

#[test]
fn a_cheating_receiver_is_caught() {
    for m in [ChoiceBits::ONE, ChoiceBits::THREE] {
        let fixing = Parameters::new(m, ExtensionSize::Small).fixing_len();
        // Its proof.
        assert_eq!(corrupted(m, false, fixing + 16).0, PROOF);
        // Its claim: the two sides' combinations differ, so neither proof fits; our honest code
        // notices first and hangs up.
        let (s, r) = corrupted(m, false, fixing);
        assert_eq!(r, TREES);
        assert!(matches!(s, Err(OtError::Channel(_))));
    }
    // Corrections of tree correlations and of noise values.
    let m = ChoiceBits::THREE;
    let set = Parameters::new(m, ExtensionSize::Small);
    for offset in [0, set.fixing_len() - 2] {
        assert_eq!(corrupted(m, false, offset).1, TREES);
    }
}

#[test]
fn a_changed_coin_is_caught() {
    let (_, r) = run(
        |ch| {
            // The opening comes after the 8,224 bytes of the base OT and the commitment.
            ch.corrupt_from_now(32 + 64 * 128 + 32, 1);
            Sender::<Malicious>::setup(ExtensionSize::Small, &direction(), ch, &mut rng(1)).map(drop)
        },
        |ch| Receiver::<Malicious>::setup(ExtensionSize::Small, &direction(), ch, &mut rng(2)).map(drop),
    );
    assert_eq!(r, Err(OtError::PeerMisbehaved("silent OT: coin-toss opening")));
}

/// A peer that sends noise instead of its messages: an error on our side, whatever the noise.
#[test]
fn noise_from_the_peer_is_an_error() {
    for seed in 0..4 {
        let noise = |ch: &mut TestChannel, len: usize| {
            let mut bytes = vec![0; len];
            AesPrg::new([seed; 16]).fill(&mut bytes);
            // The honest side may hang up at any byte; until it does, which it must, this peer
            // stays.
            let _ = ch.send(&bytes).and_then(|()| ch.flush());
            while ch.recv(&mut [0]).is_ok() {}
        };
        let m = ChoiceBits::new(seed % 4 + 1).unwrap();
        let (s, ()) = run(
            |ch| sender(ch).pads(ch, m, 10).map(drop),
            |ch| {
                let mut r = receiver(ch);
                let _ = r.source.correlations(ch, m, Parameters::new(m, ExtensionSize::Small).reserve());
                noise(ch, 1 << 18);
            },
        );
        assert!(matches!(s, Err(OtError::PeerMisbehaved(_))), "{s:?}");
        let ((), r) = run(
            |ch| {
                let mut s = sender(ch);
                let _ = s.source.correlations(ch, m, Parameters::new(m, ExtensionSize::Small).reserve());
                noise(ch, 1 << 20);
            },
            |ch| receiver(ch).pads(ch, m, 10).map(drop),
        );
        assert!(matches!(r, Err(OtError::PeerMisbehaved(_))), "{r:?}");
    }
}
