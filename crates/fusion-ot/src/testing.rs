//! Tests of the functionality, for whatever realises it, and two parties to run them with.
//!
//! ```
//! use fusion_ot::{ideal, testing};
//! let (sender, receiver) = ideal::pair(1);
//! testing::check_random_ot(|_| sender, |_| receiver, &[0, 1, 1000]);
//! ```

use fusion_ring::channel::{Channel, MemoryChannel, Recording, RecordingChannel, memory_pair};

#[cfg(test)]
use crate::Role;
use crate::functionality::{ChoiceBits, PAD_BIT, RandomOtReceiver, RandomOtSender, ReceiverBits, ReceiverPads, SenderBits, SenderPads};
#[cfg(test)]
use crate::session::{Direction, Session};

/// The channel of a party under test: it records, and corrupts if told to.
pub type TestChannel = RecordingChannel<MemoryChannel>;

/// The terms of all tests.
#[cfg(test)]
pub(crate) fn session() -> Session {
    Session::new(b"a test")
}

/// One direction of [`session`].
#[cfg(test)]
pub(crate) fn direction() -> Direction {
    session().direction(Role::First)
}

/// Runs both parties to their end over an in-memory channel.
pub fn run<A: Send, B: Send>(a: impl FnOnce(&mut TestChannel) -> A + Send, b: impl FnOnce(&mut TestChannel) -> B + Send) -> (A, B) {
    let (a, b, _) = run_recorded(a, b);
    (a, b)
}

/// As [`run`], with what went over either party's channel.
///
/// # Panics
/// If a party does.
pub fn run_recorded<A: Send, B: Send>(
    a: impl FnOnce(&mut TestChannel) -> A + Send,
    b: impl FnOnce(&mut TestChannel) -> B + Send,
) -> (A, B, [Recording; 2]) {
    // The channel is dropped with its party: a peer that still waits sees that it is gone.
    fn party<T>(channel: MemoryChannel, run: impl FnOnce(&mut TestChannel) -> T) -> (T, Recording) {
        let mut channel = RecordingChannel::new(channel);
        (run(&mut channel), channel.into_recording())
    }
    let (left, right) = memory_pair();
    std::thread::scope(|scope| {
        let other = scope.spawn(move || party(right, b));
        let (a, ours) = party(left, a);
        let (b, theirs) = other.join().expect("the peer's thread");
        (a, b, [ours, theirs])
    })
}

/// The functionality's test: OTs of every width and of as many as each of `sizes`, as pads and as
/// bits, are random OTs. `sender` and `receiver` set the two ends up.
///
/// # Panics
/// If an end fails, or an output is not that of a random OT.
pub fn check_random_ot<S: RandomOtSender, R: RandomOtReceiver>(
    sender: impl FnOnce(&mut dyn Channel) -> S + Send,
    receiver: impl FnOnce(&mut dyn Channel) -> R + Send,
    sizes: &[usize],
) {
    let calls: Vec<(ChoiceBits, usize)> = sizes.iter().flat_map(|&n| (1..=4).filter_map(ChoiceBits::new).map(move |m| (m, n))).collect();
    let (sent, got) = run(
        |ch| {
            let mut s = sender(ch);
            let mut call = |&(m, n)| (s.random_ot(ch, m, n).expect("sender"), s.random_bits(ch, m, n).expect("sender"));
            calls.iter().map(&mut call).collect::<Vec<_>>()
        },
        |ch| {
            let mut r = receiver(ch);
            let mut call = |&(m, n)| (r.random_ot(ch, m, n).expect("receiver"), r.random_bits(ch, m, n).expect("receiver"));
            calls.iter().map(&mut call).collect::<Vec<_>>()
        },
    );
    for (((s, s_bits), (r, r_bits)), &(m, n)) in sent.iter().zip(&got).zip(&calls) {
        assert_eq!((s.choice_bits(), s.len(), s_bits.choice_bits(), s_bits.tables().len()), (m, n, m, n));
        assert_random_ots(s, r);
        assert_random_bits(s_bits, r_bits);
    }
}

/// The predicate of random OTs: the receiver's pad is the sender's at the choice and at no other,
/// and choices take every value. (Pads of b bits at another choice are equal with probability 2^-b,
/// so a few such coincidences are allowed.)
///
/// # Panics
/// If it does not hold.
pub fn assert_random_ots(sender: &SenderPads, receiver: &ReceiverPads) {
    assert_eq!((sender.len(), sender.choice_bits()), (receiver.len(), receiver.choice_bits()));
    let k = sender.choice_bits().messages();
    let mut coincidences = 0;
    for i in 0..sender.len() {
        let choice = usize::from(receiver.choices()[i]);
        assert_eq!(sender.pad(i, choice), receiver.pads()[i], "OT {i} at its choice");
        coincidences += (0..k).filter(|&x| x != choice && sender.pad(i, x) == receiver.pads()[i]).count();
    }
    // Mean and ten standard deviations.
    let mean = if k == 2 { 0.0 } else { (sender.len() * (k - 1)) as f64 / 256.0 };
    assert!(coincidences as f64 <= mean + 10.0 * mean.sqrt() + 2.0, "{coincidences} pads equal at another choice");
    assert_uniform(k, receiver.choices().iter().copied());
}

/// The predicate of random OTs with pads of one bit: the receiver's is the sender's at the choice,
/// choices take every value, and half of the pads elsewhere differ.
///
/// # Panics
/// If it does not hold.
pub fn assert_random_bits(sender: &SenderBits, receiver: &ReceiverBits) {
    assert_eq!((sender.tables().len(), sender.choice_bits()), (receiver.bytes().len(), receiver.choice_bits()));
    let k = sender.choice_bits().messages();
    let choice = |byte: u8| byte & (k as u8 - 1);
    let mut equal = 0u32;
    for (i, (&table, &byte)) in sender.tables().iter().zip(receiver.bytes()).enumerate() {
        let pad = byte >> PAD_BIT;
        assert_eq!((byte, u32::from(table) >> k), (choice(byte) | pad << PAD_BIT, 0), "OT {i} has zeros between and above");
        assert_eq!(table >> choice(byte) & 1, u16::from(pad), "OT {i} at its choice");
        let ones = table.count_ones();
        equal += if pad == 1 { ones } else { k as u32 - ones } - 1;
    }
    let others = (sender.tables().len() * (k - 1)) as f64;
    // Ten standard deviations.
    assert!((f64::from(equal) - others / 2.0).abs() <= 5.0 * others.sqrt(), "{equal} of {others} other pads are equal");
    assert_uniform(k, receiver.bytes().iter().map(|&byte| choice(byte)));
}

/// Choices below `k` are uniform, where there are enough to tell.
fn assert_uniform(k: usize, choices: impl Iterator<Item = u8>) {
    let mut seen = vec![0usize; k];
    choices.for_each(|choice| seen[usize::from(choice)] += 1);
    let expect = seen.iter().sum::<usize>() / k;
    if expect >= 1000 {
        // Five standard deviations are 5 sqrt(n p) < n p / 6 from 1000 on.
        assert!(seen.iter().all(|&s| s.abs_diff(expect) < expect / 6), "choices are not uniform: {seen:?}");
    }
}

#[cfg(test)]
mod tests {
    use rand_chacha::ChaCha20Rng;
    use rand_core::SeedableRng;

    use super::*;
    use crate::silent::ExtensionSize;
    use crate::softspoken::TreeDepth;
    use crate::{ideal, silent, softspoken};

    const SIZES: [usize; 8] = [0, 1, 127, 128, 129, 1023, 20_000, 1];

    fn rng(seed: u64) -> ChaCha20Rng {
        ChaCha20Rng::seed_from_u64(seed)
    }

    #[test]
    fn the_ideal_functionality_gives_random_ots() {
        let (sender, receiver) = ideal::pair(7);
        check_random_ot(|_| sender, |_| receiver, &SIZES);
    }

    #[test]
    fn softspoken_gives_random_ots() {
        for depth in [TreeDepth::Two, TreeDepth::Four, TreeDepth::Eight] {
            check_random_ot(
                |ch| softspoken::Sender::setup(depth, &direction(), ch, &mut rng(1)).unwrap(),
                |ch| softspoken::Receiver::setup(depth, &direction(), ch, &mut rng(2)).unwrap(),
                &SIZES,
            );
        }
    }

    /// From SoftSpoken first, then, as soon as that does not pay, from LPN.
    #[test]
    fn silent_gives_random_ots() {
        let size = ExtensionSize::Small;
        check_random_ot(
            |ch| silent::Sender::setup(size, &direction(), ch, &mut rng(1)).unwrap(),
            |ch| silent::Receiver::setup(size, &direction(), ch, &mut rng(2)).unwrap(),
            &[0, 1, 129, 1023, 200_000],
        );
    }

    /// The predicates notice what they are for.
    #[test]
    #[should_panic(expected = "at its choice")]
    fn a_wrong_pad_is_noticed() {
        assert_random_ots(&SenderPads::pairs(vec![1, 2]), &ReceiverPads::new(ChoiceBits::ONE, vec![0], vec![2]));
    }

    #[test]
    #[should_panic(expected = "equal at another choice")]
    fn a_pad_at_every_choice_is_noticed() {
        assert_random_ots(&SenderPads::pairs(vec![5; 200]), &ReceiverPads::new(ChoiceBits::ONE, vec![0; 100], vec![5; 100]));
    }

    #[test]
    #[should_panic(expected = "other pads are equal")]
    fn a_bit_at_every_choice_is_noticed() {
        let ones = vec![1 << PAD_BIT; 1000];
        assert_random_bits(&SenderBits::new(ChoiceBits::ONE, vec![3; 1000]), &ReceiverBits::new(ChoiceBits::ONE, ones));
    }
}
