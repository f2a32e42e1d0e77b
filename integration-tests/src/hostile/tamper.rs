//! A channel that plays tricks with one of the messages of its party.

use std::sync::{Arc, Mutex, PoisonError};

use fusion_ring::channel::{Channel, ChannelError, Traffic};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha20Rng;

/// What happens to a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mutation {
    /// One bit is flipped.
    FlippedBit,
    /// All bytes are random.
    Random,
    /// All bytes are zero.
    Zeros,
    /// Its second half is missing.
    Shorter,
    /// Some random bytes follow.
    Longer,
    /// It is never sent.
    Dropped,
    /// It is sent twice.
    Repeated,
    /// The next message is sent first.
    Swapped,
    /// Neither it nor anything after it is sent.
    Silence,
}

impl Mutation {
    /// All of them.
    pub(super) const ALL: [Self; 9] = [
        Self::FlippedBit,
        Self::Random,
        Self::Zeros,
        Self::Shorter,
        Self::Longer,
        Self::Dropped,
        Self::Repeated,
        Self::Swapped,
        Self::Silence,
    ];

    /// As the table calls it.
    #[must_use]
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::FlippedBit => "flipped bit",
            Self::Random => "random bytes",
            Self::Zeros => "zeros",
            Self::Shorter => "shorter",
            Self::Longer => "longer",
            Self::Dropped => "dropped",
            Self::Repeated => "repeated",
            Self::Swapped => "swapped with the next",
            Self::Silence => "silence",
        }
    }
}

/// What a party is busy with, told by whoever runs it.
#[derive(Clone, Default)]
pub(super) struct PhaseNow(Arc<Mutex<&'static str>>);

impl PhaseNow {
    /// Goes on to `phase`; returns the one left.
    pub(super) fn enter(&self, phase: &'static str) -> &'static str {
        std::mem::replace(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner), phase)
    }

    fn get(&self) -> &'static str {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The messages that a party sent: the phase in which each began, and its length.
pub(super) type Sent = Arc<Mutex<Vec<(&'static str, usize)>>>;

/// Passes the messages of its party on, except for one. A message is what the party sends before it
/// receives or flushes.
pub(super) struct Tampered<C> {
    inner: C,
    phase: PhaseNow,
    /// Which message, counted from zero, and what happens to it.
    trick: Option<(usize, Mutation)>,
    rng: ChaCha20Rng,
    queued: Vec<u8>,
    began: &'static str,
    held: Option<Vec<u8>>,
    silent: bool,
    sent: Sent,
}

impl<C: Channel> Tampered<C> {
    pub(super) fn new(inner: C, phase: PhaseNow, trick: Option<(usize, Mutation)>, seed: u64) -> Self {
        let rng = ChaCha20Rng::seed_from_u64(seed);
        Self { inner, phase, trick, rng, queued: Vec::new(), began: "", held: None, silent: false, sent: Sent::default() }
    }

    pub(super) fn sent(&self) -> Sent {
        Arc::clone(&self.sent)
    }

    /// Hands on what is queued, as a message.
    fn deliver(&mut self) -> Result<(), ChannelError> {
        if self.queued.is_empty() {
            return Ok(());
        }
        let mut message = std::mem::take(&mut self.queued);
        let number = {
            let mut sent = self.sent.lock().unwrap_or_else(PoisonError::into_inner);
            sent.push((self.began, message.len()));
            sent.len() - 1
        };
        let mutation = self.trick.filter(|(at, _)| *at == number).map(|(_, mutation)| mutation);
        let mut times = 1;
        match mutation {
            None => {}
            Some(Mutation::FlippedBit) => {
                let at = self.rng.random_range(0..message.len());
                message[at] ^= 1 << self.rng.random_range(0..8);
            }
            Some(Mutation::Random) => self.rng.fill(&mut message[..]),
            Some(Mutation::Zeros) => message.fill(0),
            Some(Mutation::Shorter) => message.truncate(message.len() / 2),
            Some(Mutation::Longer) => message.extend((0..17).map(|_| self.rng.random::<u8>())),
            Some(Mutation::Dropped) => times = 0,
            Some(Mutation::Repeated) => times = 2,
            Some(Mutation::Swapped) => {
                self.held = Some(message);
                return Ok(());
            }
            Some(Mutation::Silence) => self.silent = true,
        }
        if self.silent {
            return Ok(());
        }
        for _ in 0..times {
            self.inner.send(&message)?;
        }
        self.held.take().map_or(Ok(()), |held| self.inner.send(&held))
    }
}

impl<C: Channel> Channel for Tampered<C> {
    fn send(&mut self, bytes: &[u8]) -> Result<(), ChannelError> {
        if self.queued.is_empty() {
            self.began = self.phase.get();
        }
        self.queued.extend_from_slice(bytes);
        Ok(())
    }

    fn flush(&mut self) -> Result<(), ChannelError> {
        self.deliver()?;
        self.inner.flush()
    }

    fn recv(&mut self, buf: &mut [u8]) -> Result<(), ChannelError> {
        self.flush()?;
        self.inner.recv(buf)
    }

    fn traffic(&self) -> Traffic {
        self.inner.traffic()
    }
}

#[cfg(test)]
mod tests {
    use fusion_ring::channel::memory_pair;

    use super::*;

    fn sent(mutation: Mutation) -> Vec<u8> {
        let (near, mut far) = memory_pair();
        let mut channel = Tampered::new(near, PhaseNow::default(), Some((1, mutation)), 1);
        for message in [&b"one."[..], b"two.", b"six."] {
            channel.send(&message[..2]).unwrap();
            channel.send(&message[2..]).unwrap();
            channel.flush().unwrap();
        }
        drop(channel);
        std::iter::from_fn(|| far.recv_vec(1).ok()).flatten().collect()
    }

    #[test]
    fn messages_are_mutated_as_their_names_say() {
        let same = |mutation, expected: &[u8]| assert_eq!(sent(mutation), expected, "{mutation:?}");
        same(Mutation::Zeros, b"one.\0\0\0\0six.");
        same(Mutation::Shorter, b"one.twsix.");
        same(Mutation::Dropped, b"one.six.");
        same(Mutation::Repeated, b"one.two.two.six.");
        same(Mutation::Swapped, b"one.six.two.");
        same(Mutation::Silence, b"one.");
        assert_eq!(sent(Mutation::Longer).len(), 12 + 17);
        let flipped: u32 = sent(Mutation::FlippedBit).iter().zip(b"one.two.six.").map(|(a, b)| (a ^ b).count_ones()).sum();
        assert_eq!(flipped, 1);
        assert_ne!(sent(Mutation::Random), b"one.two.six.");
    }
}
