//! A peer that deviates is caught, with the exact error, before anything comes out.

use fusion_ring::symmetric::aes::Block;
use fusion_ring::symmetric::prg::AesPrg;

use super::*;
use crate::functionality::{ChoiceBits, RandomOtReceiver, RandomOtSender};
use crate::silent::sender::cheat::CHEAT;
use crate::testing::run;

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
            CHEAT.set(Some((tree, block)));
            s.pads(ch, m, 10).map(drop)
        },
        |ch| receiver(ch).pads(ch, m, 10).map(drop),
    );
    CHEAT.set(None);
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
            CHEAT.set(Some((7, 0)));
            let first = s.correlated(ch, m, 10, &mut { nothing });
            CHEAT.set(None);
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
