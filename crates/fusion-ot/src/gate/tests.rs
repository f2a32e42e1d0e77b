use fusion_ring::channel::memory_pair;

use super::*;
use crate::functionality::{RandomOtReceiver, RandomOtSender};
use crate::ideal;
use crate::testing::run_recorded;

fn pads(seed: u64, n: usize) -> (SenderPads, ReceiverPads) {
    let (mut s, mut r) = ideal::pair(seed);
    let (mut c, _d) = memory_pair();
    (s.random_ot(&mut c, ChoiceBits::ONE, n).unwrap(), r.random_ot(&mut c, ChoiceBits::ONE, n).unwrap())
}

#[test]
fn products_of_shared_values() {
    for bits in [1, 2] {
        for n in [0usize, 1, 127, 128, 129, 1023] {
            let share = |salt: usize, bits: u32| (0..n).map(|i| (i.wrapping_mul(salt) >> 7) as u8 & mask8(bits)).collect::<Vec<u8>>();
            let (a, b, v, w) = (share(0x9e37, 1), share(0x7f4b, 1), share(0x1_2345, bits), share(0xfeed, bits));
            let ((s0, r0), (s1, r1)) = (pads(1, n), pads(2, n));
            let (x, y, [one, other]) = run_recorded(|ch| multiply(s0, r1, ch, &a, &v, bits), |ch| multiply(s1, r0, ch, &b, &w, bits));
            let (x, y) = (x.unwrap(), y.unwrap());
            for i in 0..n {
                let expect = if a[i] ^ b[i] == 1 { v[i] ^ w[i] } else { 0 };
                assert_eq!(x[i] ^ y[i], expect, "bits={bits} n={n} i={i}");
            }
            let bytes = n.div_ceil(8) + (n * bits as usize).div_ceil(8);
            assert_eq!((one.sent.len(), other.sent.len()), (bytes, bytes));
            assert_eq!(one.traffic.turns, 2);
        }
    }
}

fn mask8(bits: u32) -> u8 {
    ((1u32 << bits) - 1) as u8
}

#[test]
fn misuse_has_its_errors() {
    let (mut c, _d) = memory_pair();
    let ((s, _), (_, r)) = (pads(1, 3), pads(2, 3));
    assert!(matches!(multiply(s, r, &mut c, &[0; 3], &[0; 2], 2), Err(OtError::Misuse(_))));
    let n = 8 * MAX_CROSSING_BYTES / 2 + 8;
    let wide = SenderPads::pairs(vec![0; 2 * n]);
    let own = ReceiverPads::new(ChoiceBits::ONE, vec![0; n], vec![0; n]);
    assert!(matches!(multiply(wide, own, &mut c, &vec![0; n], &vec![0; n], 2), Err(OtError::Misuse(_))));
    let four = SenderPads::wide(ChoiceBits::TWO, vec![0; 4]);
    assert!(matches!(reply(four, &[0], &[0], 2), Err(OtError::Misuse(_))));
}
