use proptest::prelude::*;

use super::*;
use crate::functionality::{RandomOtReceiver, RandomOtSender};
use crate::ideal;
use crate::testing::{run, run_recorded};

fn pads(seed: u64, n: usize) -> (SenderPads, ReceiverPads) {
    let (mut s, mut r) = ideal::pair(seed);
    let (mut c, _d) = fusion_ring::channel::memory_pair();
    let m = ChoiceBits::ONE;
    (s.random_ot(&mut c, m, n).unwrap(), r.random_ot(&mut c, m, n).unwrap())
}

fn inputs(n: usize) -> (Vec<u32>, Vec<u8>) {
    let differences = (0..n as u32).map(|i| i.wrapping_mul(0x9e37_79b9)).collect();
    (differences, (0..n).map(|i| (i / 3) as u8 & 1).collect())
}

#[test]
fn shares_recombine() {
    for bits in [1, 7, 13, 25, 32] {
        for n in [0, 1, 7, 127, 128, 129, 1023] {
            let (differences, choices) = inputs(n);
            let (s, r) = pads(n as u64, n);
            let (s, r) = run(|ch| send(s, ch, &differences, bits), |ch| receive(r, ch, &choices, bits));
            let ring = mask(bits) as u32;
            for (i, (s, r)) in s.unwrap().into_iter().zip(r.unwrap()).enumerate() {
                assert_eq!(s.wrapping_add(r) & ring, differences[i].wrapping_mul(u32::from(choices[i])) & ring, "bits={bits} n={n} i={i}");
                assert_eq!((s & !ring, r & !ring), (0, 0));
            }
        }
    }
}

#[test]
fn bytes_rounds_and_transcript_are_pinned() {
    let (differences, choices) = inputs(1001);
    let (s, r) = pads(7, 1001);
    let (_, _, [sender, receiver]) = run_recorded(|ch| send(s, ch, &differences, 12), |ch| receive(r, ch, &choices, 12));
    assert_eq!((sender.sent.len(), receiver.sent.len()), ((1001usize * 12).div_ceil(8), 1001usize.div_ceil(8)));
    assert_eq!((sender.traffic.turns, receiver.traffic.turns), (0, 1));
    assert_eq!([sender.digest(), receiver.digest()], ["214a6903254f080e", "fbeaf8be3a834aa0"]);
}

#[test]
fn malformed_messages_and_misuse_have_their_errors() {
    let length = OtError::PeerMisbehaved("wrong message length");
    let padding = OtError::PeerMisbehaved("padding bits are not zero");
    let fresh = || pads(2, 3);
    assert_eq!(reply(fresh().0, &[], &[0; 3], 5).unwrap_err(), length);
    assert_eq!(reply(fresh().0, &[8], &[0; 3], 5).unwrap_err(), padding);
    let requested = || derandomised::request(fresh().1, &[0, 1, 1]).unwrap().0;
    assert_eq!(open(requested(), &[0; 3], 5).unwrap_err(), length);
    assert_eq!(open(requested(), &[0, 0x80], 5).unwrap_err(), padding);
    assert!(matches!(open(requested(), &[0; 2], 33), Err(OtError::Misuse(_))));
    assert!(matches!(reply(fresh().0, &[0], &[0; 2], 5), Err(OtError::Misuse(_))));
}

proptest! {
    #[test]
    fn any_bytes_from_the_peer_are_decoded_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..12), n in 0usize..12, bits in 1u32..=32) {
        let (s, r) = pads(3, n);
        prop_assert!(!matches!(reply(s, &bytes, &vec![0; n], bits), Err(OtError::Misuse(_))));
        let (requested, _) = derandomised::request(r, &vec![1; n]).unwrap();
        prop_assert!(!matches!(open(requested, &bytes, bits), Err(OtError::Misuse(_))));
    }
}
