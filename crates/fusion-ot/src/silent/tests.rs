//! Tests of both ends together: what comes out, what goes over the wire, and cheating peers.

mod cheating;
mod outputs;
mod traffic;

use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;

use super::*;
use crate::testing::{TestChannel, direction};

fn rng(seed: u64) -> ChaCha20Rng {
    ChaCha20Rng::seed_from_u64(seed)
}

fn sender(ch: &mut TestChannel) -> Sender {
    Sender::setup(ExtensionSize::Small, &direction(), ch, &mut rng(1)).unwrap()
}

fn receiver(ch: &mut TestChannel) -> Receiver {
    Receiver::setup(ExtensionSize::Small, &direction(), ch, &mut rng(2)).unwrap()
}
