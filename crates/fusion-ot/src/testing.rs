//! Helpers of this crate's tests: two parties on two threads, recorded transcripts, a peer that
//! lies.

use fusion_ring::channel::{Channel, ChannelError, MemoryChannel, Traffic, memory_pair};
use sha3::{Digest, Sha3_256};

use crate::Role;
use crate::functionality::{ReceiverPads, SenderPads};
use crate::session::{Direction, Session};

/// The terms of all tests.
pub(crate) fn session() -> Session {
    Session::new(b"a test")
}

/// One direction of [`session`].
pub(crate) fn direction() -> Direction {
    session().direction(Role::First)
}

/// Runs both parties to their end over an in-memory channel.
pub(crate) fn run<A: Send, B: Send>(a: impl FnOnce(&mut Recorder) -> A + Send, b: impl FnOnce(&mut Recorder) -> B + Send) -> (A, B) {
    let (a, b, _) = run_recorded(a, b);
    (a, b)
}

/// As [`run`], with what each party sent.
pub(crate) fn run_recorded<A: Send, B: Send>(
    a: impl FnOnce(&mut Recorder) -> A + Send,
    b: impl FnOnce(&mut Recorder) -> B + Send,
) -> (A, B, [Record; 2]) {
    let (left, right) = memory_pair();
    std::thread::scope(|scope| {
        let other = scope.spawn(move || {
            let mut channel = Recorder::new(right);
            (b(&mut channel), channel.record())
        });
        let mut channel = Recorder::new(left);
        let a = a(&mut channel);
        let ours = channel.record();
        // Dropping our end lets a peer that still waits see that we are gone.
        drop(channel);
        let (b, theirs) = other.join().expect("the peer's thread");
        (a, b, [ours, theirs])
    })
}

/// The functionality's predicate: the receiver's pad is the sender's at the choice and at no other,
/// and choices take every value. (Pads of b bits at another choice are equal with probability 2^-b,
/// so some are let pass.)
pub(crate) fn assert_random_ots(sender: &SenderPads, receiver: &ReceiverPads) {
    assert_eq!((sender.len(), sender.choice_bits()), (receiver.len(), receiver.choice_bits()));
    let k = sender.choice_bits().messages();
    let mut seen = vec![0usize; k];
    let mut coincidences = 0;
    for i in 0..sender.len() {
        let choice = usize::from(receiver.choices()[i]);
        seen[choice] += 1;
        assert_eq!(sender.pad(i, choice), receiver.pads()[i], "OT {i} at its choice");
        coincidences += (0..k).filter(|&x| x != choice && sender.pad(i, x) == receiver.pads()[i]).count();
    }
    // Mean and ten standard deviations.
    let mean = if k == 2 { 0.0 } else { (sender.len() * (k - 1)) as f64 / 256.0 };
    assert!(coincidences as f64 <= mean + 10.0 * mean.sqrt() + 2.0, "{coincidences} pads equal at another choice");
    let expect = sender.len() / seen.len();
    if expect >= 1000 {
        // Five standard deviations are 5 sqrt(n p) < n p / 6 from 1000 on.
        assert!(seen.iter().all(|&s| s.abs_diff(expect) < expect / 6), "choices are not uniform: {seen:?}");
    }
}

/// What one party sent.
pub(crate) struct Record {
    pub(crate) sent: Vec<u8>,
    pub(crate) traffic: Traffic,
}

impl Record {
    /// First 8 bytes of SHA3-256 of everything sent, in hex.
    pub(crate) fn digest(&self) -> String {
        Sha3_256::digest(&self.sent)[..8].iter().map(|b| format!("{b:02x}")).collect()
    }
}

/// A channel that records what is sent and can corrupt one byte of it.
pub(crate) struct Recorder {
    inner: MemoryChannel,
    sent: Vec<u8>,
    corrupt: Option<(usize, u8)>,
}

impl Recorder {
    fn new(inner: MemoryChannel) -> Self {
        Self { inner, sent: Vec::new(), corrupt: None }
    }

    /// XORs `flip` into the byte at `offset` of everything that this party sends from here on.
    pub(crate) fn corrupt_from_now(&mut self, offset: usize, flip: u8) {
        self.corrupt = Some((self.sent.len() + offset, flip));
    }

    fn record(&self) -> Record {
        Record { sent: self.sent.clone(), traffic: self.inner.traffic() }
    }
}

impl Channel for Recorder {
    fn send(&mut self, bytes: &[u8]) -> Result<(), ChannelError> {
        let start = self.sent.len();
        self.sent.extend_from_slice(bytes);
        if let Some((offset, flip)) = self.corrupt
            && (start..self.sent.len()).contains(&offset)
        {
            self.sent[offset] ^= flip;
        }
        self.inner.send(&self.sent[start..])
    }

    fn flush(&mut self) -> Result<(), ChannelError> {
        self.inner.flush()
    }

    fn recv(&mut self, buf: &mut [u8]) -> Result<(), ChannelError> {
        self.inner.recv(buf)
    }

    fn traffic(&self) -> Traffic {
        self.inner.traffic()
    }
}
