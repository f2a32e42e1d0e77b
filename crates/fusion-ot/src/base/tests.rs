use rand_chacha::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};

use super::*;
use crate::Role;
use crate::session::Session;
use crate::testing::{TestChannel, direction, run, run_recorded};

fn rng(seed: u64) -> ChaCha20Rng {
    ChaCha20Rng::seed_from_u64(seed)
}

fn choices(n: usize) -> Vec<u8> {
    (0..n).map(|i| (i * i / 3) as u8 & 1).collect()
}

#[test]
fn receiver_knows_its_key_only() {
    for n in [0, 1, 5, 128] {
        let b = choices(n);
        let (s, r) = run(|ch| send(&direction(), ch, n, &mut rng(1)), |ch| receive(&direction(), ch, &b, &mut rng(2)));
        for ((keys, key), b) in s.unwrap().1.iter().zip(r.unwrap().1.iter()).zip(&b) {
            assert_eq!(keys[usize::from(*b)], *key);
            assert_ne!(keys[usize::from(1 - b)], *key);
        }
    }
}

#[test]
fn bytes_rounds_and_transcript_are_pinned() {
    let b = choices(9);
    let (_, _, [sender, receiver]) =
        run_recorded(|ch| send(&direction(), ch, 9, &mut rng(1)), |ch| receive(&direction(), ch, &b, &mut rng(2)));
    assert_eq!((sender.sent.len(), receiver.sent.len()), (32 + 32 * 9, 32 + 64 * 9));
    assert_eq!((sender.turns, receiver.turns), (1, 0));
    assert_eq!([sender.fingerprint(), receiver.fingerprint()], ["93fbae508b202010", "73bc1fa76c3e8cbc"]);
}

#[test]
fn what_is_no_point_is_refused() {
    let misbehaved = OtError::PeerMisbehaved("base OT: not a group element");
    let b = choices(2);
    // Every byte string with the top bit set is a non-canonical field element.
    let (s, ()) = run(
        |ch| send(&direction(), ch, 2, &mut rng(1)).map(|_| ()),
        |ch| {
            ch.recv_vec(96).unwrap();
            ch.send(&[0xff; 160]).unwrap();
            ch.flush().unwrap();
        },
    );
    assert_eq!(s.unwrap_err(), misbehaved);
    let ((), r) = run(
        |ch| {
            ch.send(&[0xff; 96]).unwrap();
            ch.flush().unwrap();
        },
        |ch| receive(&direction(), ch, &b, &mut rng(2)).map(|_| ()),
    );
    assert_eq!(r.unwrap_err(), misbehaved);
}

#[test]
fn random_bytes_never_panic() {
    let mut noise = rng(3);
    for _ in 0..20 {
        let mut bytes = vec![0; 32 + 64 * 3];
        noise.fill_bytes(&mut bytes);
        let (s, ()) = run(
            |ch| send(&direction(), ch, 3, &mut rng(1)).map(|_| ()),
            |ch| {
                ch.recv_vec(32 + 96).unwrap();
                ch.send(&bytes).unwrap();
                ch.flush().unwrap();
            },
        );
        // Six random strings all being points has probability below 2^-18.
        assert!(matches!(s, Err(OtError::PeerMisbehaved(_))));
    }
}

#[test]
fn a_changed_point_yields_unrelated_keys() {
    let b = choices(4);
    // Replace the receiver's message by one for other choices' worth of valid points: the keys
    // differ, nothing fails.
    let (s, r) = run(|ch| send(&direction(), ch, 4, &mut rng(1)), |ch| receive(&direction(), ch, &b, &mut rng(2)));
    let (s2, _) = run(|ch| send(&direction(), ch, 4, &mut rng(1)), |ch| receive(&direction(), ch, &b, &mut rng(5)));
    let (s, s2, r) = (s.unwrap().1, s2.unwrap().1, r.unwrap().1);
    for i in 0..4 {
        assert!(!s2[i].contains(&r[i]));
        assert!(s[i].contains(&r[i]));
    }
}

/// Parties that disagree about the terms, the direction or either nonce share no key: nothing
/// recorded in one run fits into another.
#[test]
fn keys_belong_to_one_run() {
    let b = choices(4);
    // Bytes of the sender's and of the receiver's message that are changed on the way.
    let meet = |ours: Direction, theirs: Direction, flips: [Option<usize>; 2]| {
        let flip = |ch: &mut TestChannel, at: Option<usize>| {
            if let Some(at) = at {
                ch.corrupt_from_now(at, 1);
            }
        };
        let (s, r) = run(
            |ch| {
                flip(ch, flips[0]);
                send(&ours, ch, 4, &mut rng(1))
            },
            |ch| {
                flip(ch, flips[1]);
                receive(&theirs, ch, &b, &mut rng(2))
            },
        );
        let (s, r) = (s.unwrap().1, r.unwrap().1);
        (0..4).filter(|&i| s[i].contains(&r[i])).count()
    };
    let here = |terms: &[u8]| Session::new(terms).direction(Role::First);
    assert_eq!(meet(here(b"card 1"), here(b"card 1"), [None, None]), 4);
    assert_eq!(meet(here(b"card 1"), here(b"card 2"), [None, None]), 0);
    assert_eq!(meet(here(b"card 1"), Session::new(b"card 1").direction(Role::Second), [None, None]), 0);
    assert_eq!(meet(here(b"card 1"), here(b"card 1"), [Some(3), None]), 0);
    assert_eq!(meet(here(b"card 1"), here(b"card 1"), [None, Some(3)]), 0);
}

/// Both hashes, at equal indices and of equal points, belong to the run.
#[test]
fn hashes_belong_to_one_run() {
    let runs = [0, 1].map(|nonce| direction().with_nonces(&[7; NONCE], &[nonce; NONCE]));
    let domains = [0, 1].map(|i| Domain { run: &runs[i], index: 3 });
    let [a, b] = domains.each_ref().map(|domain| domain.to_group(1, &[5; POINT]));
    assert_ne!(a, b);
    let [c, d] = domains.each_ref().map(|domain| domain.key(1, &[5; POINT], &[6; 2 * POINT], &a));
    assert_ne!(c, d);
}
