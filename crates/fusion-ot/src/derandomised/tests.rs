use fusion_ring::channel::Channel;
use proptest::prelude::*;

use super::*;
use crate::functionality::{RandomOtReceiver, RandomOtSender};
use crate::ideal;
use crate::testing::{run, run_recorded};

const EDGES: [usize; 8] = [0, 1, 7, 127, 128, 129, 1023, 1025];

fn pads(seed: u64, m: ChoiceBits, n: usize) -> (SenderPads, ReceiverPads) {
    let (mut s, mut r) = ideal::pair(seed);
    let (mut c, _d) = fusion_ring::channel::memory_pair();
    (s.random_ot(&mut c, m, n).unwrap(), r.random_ot(&mut c, m, n).unwrap())
}

fn inputs(m: ChoiceBits, n: usize, bits: u32) -> (Vec<u64>, Vec<u8>) {
    let words = (0..n as u64).map(|i| i.wrapping_mul(0x9e37_79b9_7f4a_7c15) & mask(m.messages() as u32 * bits)).collect();
    let choices = (0..n).map(|i| (i * 7 + i / 5) as u8 & (m.messages() as u8 - 1)).collect();
    (words, choices)
}

fn expect(words: &[u64], choices: &[u8], bits: u32) -> Vec<u8> {
    words.iter().zip(choices).map(|(w, &c)| ((w >> (u32::from(c) * bits)) & mask(bits)) as u8).collect()
}

#[test]
fn receiver_learns_the_chosen_message() {
    for (m, bits) in [(1, 1), (1, 8), (2, 3), (3, 2), (3, 8), (4, 2), (4, 4)] {
        let m = ChoiceBits::new(m).unwrap();
        for n in EDGES {
            let (words, choices) = inputs(m, n, bits);
            let (s, r) = pads(n as u64, m, n);
            let (sent, got) = run(|ch| send_chosen(s, ch, &words, bits), |ch| receive_chosen(r, ch, &choices, bits));
            sent.unwrap();
            assert_eq!(got.unwrap(), expect(&words, &choices, bits), "m={m:?} bits={bits} n={n}");
        }
    }
}

#[test]
fn table_shares_recombine() {
    for (m, bits) in [(1, 1), (1, 8), (2, 3), (3, 2), (3, 8), (4, 2), (4, 4)] {
        let m = ChoiceBits::new(m).unwrap();
        for n in EDGES {
            let (words, choices) = inputs(m, n, bits);
            let (s, r) = pads(n as u64, m, n);
            let (masks, shares) = run(|ch| send_table(s, ch, &words, bits), |ch| receive_table(r, ch, &choices, bits));
            let sum: Vec<u8> = masks.unwrap().iter().zip(shares.unwrap()).map(|(a, b)| a ^ b).collect();
            assert_eq!(sum, expect(&words, &choices, bits), "m={m:?} bits={bits} n={n}");
        }
    }
}

#[test]
fn bytes_and_rounds_are_the_formula() {
    let (m, n, bits) = (ChoiceBits::THREE, 1001, 2);
    let (words, choices) = inputs(m, n, bits);
    let (s, r) = pads(1, m, n);
    let (_, _, [sender, receiver]) = run_recorded(|ch| send_table(s, ch, &words, bits), |ch| receive_table(r, ch, &choices, bits));
    assert_eq!(receiver.sent.len(), (1001usize * 3).div_ceil(8));
    assert_eq!(sender.sent.len(), (1001usize * 14).div_ceil(8));
    assert_eq!((sender.traffic.turns, receiver.traffic.turns), (0, 1));
    let (s, r) = pads(1, m, n);
    let (_, _, [sender, _]) = run_recorded(|ch| send_chosen(s, ch, &words, bits), |ch| receive_chosen(r, ch, &choices, bits));
    assert_eq!(sender.sent.len(), 1001 * 2);
}

#[test]
fn transcript_is_pinned() {
    let (m, n, bits) = (ChoiceBits::FOUR, 200, 2);
    let (words, choices) = inputs(m, n, bits);
    let (s, r) = pads(5, m, n);
    let (_, _, table) = run_recorded(|ch| send_table(s, ch, &words, bits), |ch| receive_table(r, ch, &choices, bits));
    let (s, r) = pads(5, m, n);
    let (_, _, chosen) = run_recorded(|ch| send_chosen(s, ch, &words, bits), |ch| receive_chosen(r, ch, &choices, bits));
    let digests = [&table[0], &table[1], &chosen[0], &chosen[1]].map(|r| r.digest());
    assert_eq!(digests, ["54a3f5ea97083ca3", "07ca9d4b2c4046bb", "1b693c395968fa0b", "07ca9d4b2c4046bb"]);
}

#[test]
fn malformed_messages_and_misuse_have_their_errors() {
    let m = ChoiceBits::THREE;
    let fresh = || pads(2, m, 3);
    let length = OtError::PeerMisbehaved("wrong message length");
    let padding = OtError::PeerMisbehaved("padding bits are not zero");
    assert_eq!(reply_chosen(fresh().0, &[0; 3], &[0; 3], 2).unwrap_err(), length);
    assert_eq!(reply_table(fresh().0, &[0, 0x80], &[0; 3], 2).unwrap_err(), padding);
    let requested = || request(fresh().1, &[0, 1, 2]).unwrap().0;
    assert_eq!(requested().open_chosen(&[0; 5], 2).unwrap_err(), length);
    assert_eq!(requested().open_table(&[0, 0, 0, 0, 0, 0x80], 2).unwrap_err(), padding);
    assert!(matches!(requested().open_table(&[0; 6], 9), Err(OtError::Misuse(_))));
    assert!(matches!(request(fresh().1, &[0, 1]), Err(OtError::Misuse(_))));
    assert!(matches!(request(fresh().1, &[0, 1, 8]), Err(OtError::Misuse(_))));
    assert!(matches!(reply_chosen(fresh().0, &[0; 2], &[0; 2], 2), Err(OtError::Misuse(_))));
}

#[test]
fn a_peer_that_leaves_is_an_error() {
    let (s, r) = pads(2, ChoiceBits::ONE, 9);
    let (sent, ()) = run(|ch| send_chosen(s, ch, &[0; 9], 1), |_| ());
    assert!(matches!(sent, Err(OtError::Channel(_))));
    let (got, ()) = run(|ch| receive_chosen(r, ch, &[0; 9], 1), |ch| ch.send(&[0]).unwrap());
    assert!(matches!(got, Err(OtError::Channel(_))));
}

proptest! {
    #[test]
    fn any_bytes_from_the_peer_are_decoded_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..12), n in 0usize..12, m in 1u8..=4, bits in 1u32..=4) {
        let m = ChoiceBits::new(m).unwrap();
        let (s, r) = pads(3, m, n);
        let decoded = reply_table(s, &bytes, &vec![0; n], bits);
        prop_assert!(!matches!(decoded, Err(OtError::Misuse(_))));
        let (requested, _) = request(r, &vec![0; n]).unwrap();
        prop_assert!(!matches!(requested.open_table(&bytes, bits), Err(OtError::Misuse(_))));
    }
}
