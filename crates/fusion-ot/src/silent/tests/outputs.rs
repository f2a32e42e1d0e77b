//! Outputs are random OTs, whatever was called for before.

use super::*;
use crate::functionality::{ChoiceBits, PAD_BIT, RandomOtReceiver, RandomOtSender, ReceiverBits, ReceiverPads, SenderBits, SenderPads};
use crate::silent::end::slot;
use crate::testing::{assert_random_ots, run};

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

/// Through the traits: first from SoftSpoken, then, when they have become as many as the
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
