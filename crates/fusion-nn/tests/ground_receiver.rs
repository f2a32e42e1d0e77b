//! A party of a lane that grinds its oblivious transfers, against an honest peer: a whole layer
//! runs to its right end, and the attacker has no pad but its own.

#![expect(clippy::unwrap_used, reason = "a test")]

use std::sync::{Arc, Mutex};

use fusion_nn::layers::{AdditiveShares, ClearNumbers, Party, RingBits, Role, relu};
use fusion_ot::functionality::{ChoiceBits, RandomOtReceiver, RandomOtSender, ReceiverBits, ReceiverPads, SenderBits, SenderPads};
use fusion_ot::session::Session;
use fusion_ot::silent::{self, ExtensionSize, ground};
use fusion_ot::{OtError, Role as OtRole};
use fusion_ring::channel::{Channel, memory_pair};
use rand_chacha::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};

/// Enough for the binary OTs of its ReLU to come from a silent extension, not from SoftSpoken.
const ELEMENTS: usize = 3 << 16;
const WINDOW: RingBits = RingBits(13);
const RING: RingBits = RingBits(25);
const SIZE: ExtensionSize = ExtensionSize::Small;
/// The width of the OTs that are attacked: those of the multiplexer.
const M: ChoiceBits = ChoiceBits::ONE;

/// The honest party's sender; keeps the pads of its first call.
struct Kept {
    sender: silent::Sender,
    pads: Arc<Mutex<Vec<u32>>>,
}

impl RandomOtSender for Kept {
    fn random_ot(&mut self, channel: &mut dyn Channel, m: ChoiceBits, n: usize) -> Result<SenderPads, OtError> {
        let made = self.sender.random_ot(channel, m, n)?;
        let mut pads = self.pads.lock().unwrap();
        if m == M && pads.is_empty() {
            pads.extend_from_slice(made.as_pairs());
        }
        Ok(made)
    }

    fn random_bits(&mut self, channel: &mut dyn Channel, m: ChoiceBits, n: usize) -> Result<SenderBits, OtError> {
        self.sender.random_bits(channel, m, n)
    }
}

/// The attacker's receiver, lent to its lane.
struct Lent<'a>(&'a mut ground::GroundReceiver);

impl RandomOtReceiver for Lent<'_> {
    fn random_ot(&mut self, channel: &mut dyn Channel, m: ChoiceBits, n: usize) -> Result<ReceiverPads, OtError> {
        self.0.random_ot(channel, m, n)
    }

    fn random_bits(&mut self, channel: &mut dyn Channel, m: ChoiceBits, n: usize) -> Result<ReceiverBits, OtError> {
        self.0.random_bits(channel, m, n)
    }
}

fn ot_role(role: Role) -> OtRole {
    if role == Role::Client { OtRole::First } else { OtRole::Second }
}

/// `attacker` plays the ground receiver in a lane against an honest peer.
fn attack(attacker: Role) {
    let mut values = ChaCha20Rng::seed_from_u64(9);
    // The least number of the ring has no place in a window.
    let least = 1 << (WINDOW.0 - 1);
    let word = |word: u32| if word & ((1 << WINDOW.0) - 1) == least { 0 } else { word };
    let words: Vec<u32> = (0..ELEMENTS).map(|_| word(values.next_u32())).collect();
    let numbers = ClearNumbers::from_words(words, WINDOW);
    let [ours, theirs] = AdditiveShares::share(&numbers, &mut values);
    let (mut evil_end, mut honest_end) = memory_pair();
    let session = Session::new(b"ground receiver");
    let pads = Arc::new(Mutex::new(Vec::new()));
    let ((own, mut receiver), (honest, delta)) = std::thread::scope(|scope| {
        let (session, pads, theirs) = (&session, Arc::clone(&pads), &theirs);
        let peer = scope.spawn(move || {
            let rng = &mut ChaCha20Rng::seed_from_u64(1);
            let role = attacker.peer();
            let (sender, receiver) = silent::setup_with(SIZE, session, ot_role(role), &mut honest_end, rng).unwrap();
            let delta = ground::delta_of(&sender);
            let mut party = Party::new(role, Box::new(honest_end), Box::new(Kept { sender, pads }), Box::new(receiver));
            (relu(&mut party, theirs, RING).unwrap(), delta)
        });
        let rng = &mut ChaCha20Rng::seed_from_u64(2);
        let (sender, mut receiver) = ground::setup(M, SIZE, session, ot_role(attacker), &mut evil_end, rng).unwrap();
        let mut party = Party::new(attacker, Box::new(evil_end), Box::new(sender), Box::new(Lent(&mut receiver)));
        let own = relu(&mut party, &ours, RING).unwrap();
        drop(party);
        ((own, receiver), peer.join().unwrap())
    });

    // Nothing was noticed and nothing was wrong.
    let results = own.reveal(&honest).unwrap();
    assert!(numbers.to_signed().iter().map(|&x| x.max(0) as u32).eq(results.iter().copied()));
    let sent = pads.lock().unwrap();
    let n = sent.len() / 2;
    let guesses = receiver.guesses();
    assert!(!guesses.is_empty() && !guesses.contains(&delta));
    for guess in guesses {
        let computed = receiver.pads_if(guess, n);
        let known = computed.chunks(2).zip(sent.chunks(2)).map(|(c, s)| (c[0] == s[0], c[1] == s[1]));
        let (both, one) = known.fold((0, 0), |(both, one), (a, b)| (both + usize::from(a && b), one + usize::from(a || b)));
        // Its own of every pair; of n others of 32 bits hardly ever one by chance.
        assert_eq!(one, n);
        assert!(both <= 1, "{both} of {n} pads of the other choice");
    }
    // Whoever has Delta has them all: the comparison above would notice.
    assert_eq!(receiver.pads_if(delta, n), *sent);
}

#[test]
fn a_ground_client_gets_no_pad_of_the_other_choice() {
    attack(Role::Client);
}

#[test]
fn a_ground_server_gets_no_pad_of_the_other_choice() {
    attack(Role::Server);
}
