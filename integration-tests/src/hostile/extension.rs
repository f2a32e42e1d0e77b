//! The silent extension, which a lane of the small network is too small for: as many OTs as make
//! one, in both directions, with a cheating party; and the attack by a ground receiver.

use std::sync::PoisonError;

use fusion_ot::functionality::{ChoiceBits, RandomOtReceiver, RandomOtSender, ReceiverPads, SenderPads};
use fusion_ot::session::Session;
use fusion_ot::silent::{self, ExtensionSize, Parameters, ground};
use fusion_ot::{OtError, Role};
use fusion_ring::channel::Channel;
use rand::SeedableRng;
use rand_chacha::ChaCha20Rng;

use super::lane::{CLIENT, End, SERVER};
use super::line::{Line, line};
use super::problem::Problem;
use super::tamper::{Mutation, PhaseNow, Sent, Tampered};

pub(super) const EXTENSION: &str = "silent extension";

/// More at once than SoftSpoken gives.
fn ots() -> usize {
    Parameters::new(ChoiceBits::ONE, ExtensionSize::Small).reserve() + 100
}

/// What came of an extension in which one party cheats. The server sends the OTs.
#[derive(Debug)]
pub(super) struct Extended {
    pub(super) ends: [End; 2],
    /// Whether the OTs fit together, if both parties have them.
    pub(super) fit: Option<bool>,
    /// Messages after the set-up, of client and server.
    pub(super) sent: [Vec<(&'static str, usize)>; 2],
}

fn channel(inner: Line, place: usize, trick: Option<(usize, (usize, Mutation))>, seed: u64) -> (Tampered<Line>, PhaseNow) {
    let phase = PhaseNow::default();
    phase.enter(super::lane::SETUP);
    let trick = trick.filter(|(who, _)| *who == place).map(|(_, trick)| trick);
    (Tampered::new(inner, phase.clone(), trick, seed), phase)
}

/// The server makes OTs as their sender, the client as their receiver.
///
/// # Errors
/// A mistake of the harness.
pub(super) fn extend(trick: Option<(usize, (usize, Mutation))>, seed: u64) -> Result<Extended, Problem> {
    let [near, far] = line();
    let session = Session::new(b"hostile extension");
    let (mut client, client_phase) = channel(near, CLIENT, trick, seed);
    let (mut server, server_phase) = channel(far, SERVER, trick, seed);
    let sent: [Sent; 2] = [client.sent(), server.sent()];
    let rng = |place: usize| ChaCha20Rng::seed_from_u64(2 * seed + place as u64);
    let (received, sending) = std::thread::scope(|scope| {
        let sending = scope.spawn(|| -> Result<SenderPads, OtError> {
            let (mut sender, _) = silent::setup_with(ExtensionSize::Small, &session, Role::Second, &mut server, &mut rng(SERVER))?;
            server_phase.enter(EXTENSION);
            let pads = sender.random_ot(&mut server, ChoiceBits::ONE, ots())?;
            server.flush()?;
            drop(server);
            Ok(pads)
        });
        let mut receiving = || -> Result<ReceiverPads, OtError> {
            let (_, mut receiver) = silent::setup_with(ExtensionSize::Small, &session, Role::First, &mut client, &mut rng(CLIENT))?;
            client_phase.enter(EXTENSION);
            let pads = receiver.random_ot(&mut client, ChoiceBits::ONE, ots())?;
            client.flush()?;
            Ok(pads)
        };
        let received = receiving();
        // Whoever is waited for no more is gone.
        drop(client);
        (received, sending.join())
    });
    let sending = sending.map_err(|_| Problem::new("the sender panicked"))?;
    let fit = match (&received, &sending) {
        (Ok(got), Ok(sent)) => Some((0..ots()).all(|i| got.pads()[i] == sent.pad(i, usize::from(got.choices()[i])))),
        _ => None,
    };
    let end = |error: Option<&OtError>| error.map_or(End::Finished, End::of_ot);
    let messages = sent.map(|sent| sent.lock().unwrap_or_else(PoisonError::into_inner).clone());
    Ok(Extended { ends: [end(received.as_ref().err()), end(sending.as_ref().err())], fit, sent: messages })
}

/// What a ground receiver's attack on an honest sender gives.
#[derive(Debug)]
pub(super) struct Ground {
    /// What it takes for Delta.
    pub(super) guesses: usize,
    /// Whether Delta is among them.
    pub(super) learned: bool,
}

/// The party of `role` grinds its trees; the other one is honest.
///
/// # Errors
/// Whatever the honest party refused.
pub(super) fn grind(role: Role, seed: u64) -> Result<Ground, Problem> {
    let [mut near, mut far] = line();
    let session = Session::new(b"hostile ground");
    let honest = if role == Role::First { Role::Second } else { Role::First };
    let m = ChoiceBits::ONE;
    let rng = |who: u64| ChaCha20Rng::seed_from_u64(2 * seed + who);
    std::thread::scope(|scope| {
        let sending = scope.spawn(|| -> Result<u128, OtError> {
            let (mut sender, _) = silent::setup_with(ExtensionSize::Small, &session, honest, &mut far, &mut rng(0))?;
            sender.random_ot(&mut far, m, ots())?;
            Ok(ground::delta_of(&sender))
        });
        let (_, mut receiver) = ground::setup(m, ExtensionSize::Small, &session, role, &mut near, &mut rng(1))?;
        let got = receiver.random_ot(&mut near, m, ots());
        drop(near);
        let delta = sending.join().map_err(|_| Problem::new("the sender panicked"))??;
        got?;
        let guesses = receiver.guesses();
        Ok(Ground { guesses: guesses.len(), learned: guesses.contains(&delta) })
    })
}
