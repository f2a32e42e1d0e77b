//! Parties that mean different terms share no key: they end with an error, and do not wait for
//! messages that never come, or go on side by side.

use std::sync::mpsc;
use std::time::Duration;

use fusion_nn::layers::{AdditiveShares, LaneTerms, Party, RingBits, Role, Split, relu};
use fusion_ot::silent::ExtensionSize;
use fusion_ring::channel::{MemoryChannel, memory_pair};
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;

/// Far more than a set-up takes.
const PATIENCE: Duration = Duration::from_secs(60);

/// Whether a party gets through its set-up and a ReLU.
fn succeeds(role: Role, terms: LaneTerms, channel: MemoryChannel) -> bool {
    let mut rng = ChaCha20Rng::seed_from_u64(role as u64);
    let x = AdditiveShares::from_words(vec![3; 64], RingBits(11));
    let party = Party::connect(role, b"the same request", terms, Box::new(channel), &mut rng);
    party.is_ok_and(|mut party| relu(&mut party, &x, RingBits(20)).is_ok())
}

/// Client and server, on these terms.
fn run(client: LaneTerms, server: LaneTerms) -> [bool; 2] {
    let (client_end, server_end) = memory_pair();
    let (told, outcome) = mpsc::channel();
    for (role, terms, end) in [(Role::Client, client, client_end), (Role::Server, server, server_end)] {
        let told = told.clone();
        std::thread::spawn(move || told.send((role, succeeds(role, terms, end))));
    }
    let mut succeeded = [false; 2];
    for _ in 0..2 {
        let (role, success) = outcome.recv_timeout(PATIENCE).expect("a party waits for messages that never come");
        succeeded[usize::from(role == Role::Server)] = success;
    }
    succeeded
}

#[test]
fn parties_with_different_terms_end_with_errors() {
    let terms = LaneTerms::SHORT_LINK;
    assert_eq!(run(terms, terms), [true; 2]);
    let others = [LaneTerms { split: Split::FewestBits, ..terms }, LaneTerms { extension: ExtensionSize::Medium, ..terms }];
    for other in others {
        assert_eq!(run(terms, other), [false; 2], "{terms} and {other}");
        assert_eq!(run(other, terms), [false; 2], "{other} and {terms}");
    }
}
