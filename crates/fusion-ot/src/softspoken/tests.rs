use fusion_ring::channel::{Channel, ChannelError, Traffic};
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;

use super::instance::MIN_BATCH_ROWS;
use super::*;
use crate::functionality::{ChoiceBits, RandomOtReceiver, RandomOtSender};
use crate::testing::{TestChannel, direction, run, run_recorded, session};

fn rng(seed: u64) -> ChaCha20Rng {
    ChaCha20Rng::seed_from_u64(seed)
}

fn sender(ch: &mut TestChannel, depth: TreeDepth) -> Sender {
    Sender::setup(depth, &direction(), ch, &mut rng(1)).unwrap()
}

fn receiver(ch: &mut TestChannel, depth: TreeDepth) -> Receiver {
    Receiver::setup(depth, &direction(), ch, &mut rng(2)).unwrap()
}

const SIZES: [usize; 8] = [0, 1, 127, 128, 129, 1023, 30_000, 1];

#[test]
fn both_directions_give_random_ots() {
    for depth in [TreeDepth::Two, TreeDepth::Four, TreeDepth::Eight] {
        let party = |role, seed| {
            move |ch: &mut TestChannel| {
                let (mut s, mut r) = setup_with(depth, &session(), role, ch, &mut rng(seed)).unwrap();
                let mut out = Vec::new();
                for n in SIZES {
                    for m in 1..=4 {
                        let m = ChoiceBits::new(m).unwrap();
                        let (sent, got) = match role {
                            Role::First => {
                                let sent = s.random_ot(ch, m, n).unwrap();
                                (sent, r.random_ot(ch, m, n).unwrap())
                            }
                            Role::Second => {
                                let got = r.random_ot(ch, m, n).unwrap();
                                (s.random_ot(ch, m, n).unwrap(), got)
                            }
                        };
                        out.push((sent, got));
                    }
                }
                out
            }
        };
        let (first, second) = run(party(Role::First, 7), party(Role::Second, 8));
        for ((s0, r0), (s1, r1)) in first.iter().zip(&second) {
            crate::testing::assert_random_ots(s0, r1);
            crate::testing::assert_random_ots(s1, r0);
        }
    }
}

#[test]
fn bytes_and_rounds_are_the_formula() {
    for (depth, k) in [(TreeDepth::Two, 2), (TreeDepth::Four, 4), (TreeDepth::Eight, 8)] {
        let n = 100_000;
        let (s0, r0, [ss, rs]) = run_recorded(|ch| sender(ch, depth), |ch| receiver(ch, depth));
        drop((s0, r0));
        assert_eq!(ss.sent.len(), 32 + 64 * 128);
        assert_eq!(rs.sent.len(), 32 + 32 * 128 + 4096 + 64 * (128 / k));
        let (_, _, [s, r]) = run_recorded(
            |ch| sender(ch, depth).random_ot(ch, ChoiceBits::ONE, n).unwrap().len(),
            |ch| receiver(ch, depth).random_ot(ch, ChoiceBits::ONE, n).unwrap().len(),
        );
        assert_eq!(s.sent.len() - ss.sent.len(), 32);
        assert_eq!(r.sent.len() - rs.sent.len(), 16 * (128 / k - 1) * (n.div_ceil(128) + 1) + 2064);
        assert_eq!((s.turns, r.turns), (2, 3));
    }
}

#[test]
fn transcript_is_pinned() {
    let m = ChoiceBits::THREE;
    let (_, _, [s, r]) = run_recorded(
        |ch| sender(ch, TreeDepth::Four).random_ot(ch, m, 100).unwrap().pad(0, 0),
        |ch| receiver(ch, TreeDepth::Four).random_ot(ch, m, 100).unwrap().pads()[0],
    );
    assert_eq!([s.fingerprint(), r.fingerprint()], ["e140d99487f28dc8", "99eb5ebbc04f009f"]);
}

/// A channel that notes how much had been received when its party first sent.
struct FirstSend<'a> {
    channel: &'a mut TestChannel,
    received: Option<u64>,
}

impl Channel for FirstSend<'_> {
    fn send(&mut self, bytes: &[u8]) -> Result<(), ChannelError> {
        self.received.get_or_insert(self.channel.traffic().received);
        self.channel.send(bytes)
    }

    fn flush(&mut self) -> Result<(), ChannelError> {
        self.channel.flush()
    }

    fn recv(&mut self, buf: &mut [u8]) -> Result<(), ChannelError> {
        self.channel.recv(buf)
    }

    fn traffic(&self) -> Traffic {
        self.channel.traffic()
    }
}

/// A receiver that knew the coefficients while it still chose corrections could make the errors of
/// a tree cancel, pass the check and read Delta off.
#[test]
fn the_challenge_follows_the_last_correction() {
    let (received, _) = run(
        |ch| {
            let mut s = sender(ch, TreeDepth::Four);
            let before = ch.traffic().received;
            let mut watched = FirstSend { channel: ch, received: None };
            s.random_ot(&mut watched, ChoiceBits::ONE, 10).unwrap();
            watched.received.unwrap() - before
        },
        |ch| receiver(ch, TreeDepth::Four).random_ot(ch, ChoiceBits::ONE, 10).unwrap().len(),
    );
    assert_eq!(received, 16 * 31 * (MIN_BATCH_ROWS as u64 / 128 + 1));
}

/// Runs one batch with a receiver that flips the byte at `offset` after the set-up; returns the
/// sender's outcome.
fn with_corrupt_receiver(offset: usize) -> (Result<usize, OtError>, Result<usize, OtError>) {
    run(
        |ch| {
            let mut s = sender(ch, TreeDepth::Four);
            let first = s.random_ot(ch, ChoiceBits::ONE, 10).map(|p| p.len());
            if first.is_err() {
                // The instance is dead: it refuses without touching the channel.
                assert_eq!(s.random_ot(ch, ChoiceBits::ONE, 1).err(), Some(OtError::Misuse("the instance failed before")));
            }
            first
        },
        |ch| {
            let mut r = receiver(ch, TreeDepth::Four);
            ch.corrupt_from_now(offset, 0x10);
            r.random_ot(ch, ChoiceBits::ONE, 10).map(|p| p.len())
        },
    )
}

#[test]
fn a_cheating_receiver_is_caught() {
    let corrections = 16 * 31 * (MIN_BATCH_ROWS / 128 + 1);
    // Somewhere in the first chunk, in the masking block at the end, in the hashed choices, in the
    // hashed columns.
    let caught = Err(OtError::PeerMisbehaved("SoftSpoken: subspace VOLE check"));
    let mut outcomes = Vec::new();
    for offset in [5, corrections - 1, corrections, corrections + 100] {
        outcomes.push(with_corrupt_receiver(offset).0);
    }
    // A change to a correction passes if the bits of Delta that it meets are all zero (probability
    // 2^-4 per tree); the seed is fixed, and they are not.
    assert_eq!(outcomes, [caught.clone(), caught.clone(), caught.clone(), caught]);
}

#[test]
fn a_cheating_sender_learns_and_breaks_nothing() {
    // A changed challenge makes the honest sender's own check fail: it hurts only itself.
    let (s, r) = run(
        |ch| {
            let mut s = sender(ch, TreeDepth::Four);
            ch.corrupt_from_now(3, 1);
            s.random_ot(ch, ChoiceBits::ONE, 10).map(|p| p.len())
        },
        |ch| receiver(ch, TreeDepth::Four).random_ot(ch, ChoiceBits::ONE, 10).map(|p| p.len()),
    );
    assert_eq!(s, Err(OtError::PeerMisbehaved("SoftSpoken: subspace VOLE check")));
    // The honest code notices first and hangs up.
    assert!(matches!(r, Err(OtError::Channel(_))));
}

#[test]
fn a_bad_tree_is_caught_in_the_setup() {
    let (s, r) = run(
        |ch| Sender::setup(TreeDepth::Four, &direction(), ch, &mut rng(1)).map(|_| ()),
        |ch| {
            // The hash of the first tree's tags.
            ch.corrupt_from_now(32 + 32 * 128 + 4 * 32 + 32, 1);
            Receiver::setup(TreeDepth::Four, &direction(), ch, &mut rng(2)).map(|_| ())
        },
    );
    assert_eq!(s, Err(OtError::PeerMisbehaved("all-but-one OT: tree consistency")));
    assert_eq!(r, Ok(()));
}

/// Equal roots make unrelated trees in different runs: the published hash of a tree's tags depends
/// on nothing but its root and its salt.
#[test]
fn trees_belong_to_one_run() {
    let hash = |terms: &[u8]| {
        let direction = crate::session::Session::new(terms).direction(Role::First);
        let (_, _, [_, r]) = run_recorded(
            |ch| Sender::setup(TreeDepth::Four, &direction, ch, &mut rng(1)).map(drop).unwrap(),
            |ch| Receiver::setup(TreeDepth::Four, &direction, ch, &mut rng(2)).map(drop).unwrap(),
        );
        r.sent[r.sent.len() - 32..].to_vec()
    };
    assert_eq!(hash(b"one"), hash(b"one"));
    assert_ne!(hash(b"one"), hash(b"another"));
}

#[test]
fn a_peer_that_leaves_is_an_error() {
    let (s, ()) =
        run(|ch| sender(ch, TreeDepth::Two).random_ot(ch, ChoiceBits::ONE, 1).map(|_| ()), |ch| drop(receiver(ch, TreeDepth::Two)));
    assert!(matches!(s, Err(OtError::Channel(_))));
}
