//! One party of a lane: its role, its channel, its two OT instances, and the account of what each
//! phase cost.

use std::time::{Duration, Instant};

use fusion_ot::OtError;
use fusion_ot::functionality::{RandomOtReceiver, RandomOtSender};
use fusion_ot::session::Session;
use fusion_ot::silent::{self, ExtensionSize};
use fusion_ring::channel::{Channel, MAX_CROSSING_BYTES, Traffic};
use fusion_ring::secret::Wiped;
use rand_core::CryptoRng;

use super::error::ProtocolError;

/// Which party of the inference this is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    /// Holds the images and learns the labels.
    Client,
    /// Holds the weights and learns nothing.
    Server,
}

impl Role {
    /// The peer's role.
    #[must_use]
    pub const fn peer(self) -> Self {
        match self {
            Self::Client => Self::Server,
            Self::Server => Self::Client,
        }
    }
}

/// What a lane is busy with, for the account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Phase {
    /// Before the first layer: keys, base OTs.
    Setup,
    /// Linear layers.
    Linear,
    /// Making random OTs, for whichever layer.
    RandomOt,
    /// ReLU, signed truncation and requantisation, apart from their random OTs.
    Activation,
    /// Maximum pooling, apart from its random OTs.
    Pooling,
    /// Argmax and the opening of labels, apart from its random OTs.
    Argmax,
}

impl Phase {
    /// All phases in the order of a run.
    pub const ALL: [Self; 6] = [Self::Setup, Self::Linear, Self::RandomOt, Self::Activation, Self::Pooling, Self::Argmax];

    /// Short name for reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Setup => "setup",
            Self::Linear => "linear",
            Self::RandomOt => "random_ot",
            Self::Activation => "activation",
            Self::Pooling => "pooling",
            Self::Argmax => "argmax",
        }
    }

    const fn index(self) -> usize {
        match self {
            Self::Setup => 0,
            Self::Linear => 1,
            Self::RandomOt => 2,
            Self::Activation => 3,
            Self::Pooling => 4,
            Self::Argmax => 5,
        }
    }
}

/// What one phase cost so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PhaseCost {
    /// Bytes and turns.
    pub traffic: Traffic,
    /// Wall-clock time, waiting for the peer included.
    pub time: Duration,
}

/// The account of a party by phase. Copy it before and after a layer to know the layer's part.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Ledger {
    phases: [PhaseCost; Phase::ALL.len()],
}

impl Ledger {
    /// What `phase` cost.
    #[must_use]
    pub fn get(&self, phase: Phase) -> PhaseCost {
        self.phases[phase.index()]
    }

    /// What was added since `earlier`, a former copy of the same account.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        let mut difference = *self;
        for (now, before) in difference.phases.iter_mut().zip(&earlier.phases) {
            now.traffic = now.traffic.since(before.traffic);
            now.time = now.time.saturating_sub(before.time);
        }
        difference
    }

    /// All phases together.
    #[must_use]
    pub fn total(&self) -> PhaseCost {
        let mut sum = PhaseCost::default();
        for phase in &self.phases {
            sum.traffic += phase.traffic;
            sum.time += phase.time;
        }
        sum
    }
}

impl std::ops::AddAssign for Ledger {
    fn add_assign(&mut self, other: Self) {
        for (mine, theirs) in self.phases.iter_mut().zip(other.phases) {
            mine.traffic += theirs.traffic;
            mine.time += theirs.time;
        }
    }
}

/// Size of the extensions in which a lane's OTs are made. The smallest: several lanes share a core
/// and its cache, and a small network does not pay for many millions of OTs. What attacks cost at
/// this size: [`fusion_ot::silent::estimate`] (2^133 for 1-of-2 OTs, more for wider ones).
pub const EXTENSION_SIZE: ExtensionSize = ExtensionSize::Small;

/// Elements of half a tile unless [`Party::with_half_tile`] says otherwise.
pub const HALF_TILE: usize = 1 << 17;

/// One party of a lane. Its peer must be a party of the other role with the same
/// [`half_tile`](Party::half_tile), and both must call the same layer functions with the same
/// public arguments in the same order.
///
/// After any error, misuse included, the lane is dead: every later call fails with
/// [`ProtocolError::Dead`] and sends nothing.
///
/// The role is a value, not a type as in `Lane`: layers are symmetric, one function serves both
/// parties.
pub struct Party<'a> {
    role: Role,
    channel: Box<dyn Channel + 'a>,
    sender: Box<dyn RandomOtSender + 'a>,
    receiver: Box<dyn RandomOtReceiver + 'a>,
    half_tile: usize,
    ledger: Ledger,
    phase: Phase,
    since: (Traffic, Instant),
    dead: bool,
}

impl<'a> Party<'a> {
    /// A party in [`Phase::Setup`]. `sender` is connected to the peer's `receiver` and the other
    /// way round.
    #[must_use]
    pub fn new(
        role: Role,
        channel: Box<dyn Channel + 'a>,
        sender: Box<dyn RandomOtSender + 'a>,
        receiver: Box<dyn RandomOtReceiver + 'a>,
    ) -> Self {
        let since = (channel.traffic(), Instant::now());
        Self { role, channel, sender, receiver, half_tile: HALF_TILE, ledger: Ledger::default(), phase: Phase::Setup, since, dead: false }
    }

    /// Connects to the peer on `channel`: base OTs and the silent extension, in both directions,
    /// bound to `lane_request` (the bytes of all that is public about the lane: the same on both
    /// sides, unlike those of other lanes). Parties with different requests fail here or at the
    /// first layer.
    ///
    /// # Errors
    /// [`OtError`].
    pub fn connect(role: Role, lane_request: &[u8], mut channel: Box<dyn Channel + 'a>, rng: &mut impl CryptoRng) -> Result<Self, OtError> {
        let ot_role = match role {
            Role::Client => fusion_ot::Role::First,
            Role::Server => fusion_ot::Role::Second,
        };
        let since = (channel.traffic(), Instant::now());
        let (sender, receiver) = silent::setup_with(EXTENSION_SIZE, &Session::new(lane_request), ot_role, &mut channel, rng)?;
        // The set-up is booked as well.
        Ok(Self { since, ..Self::new(role, channel, Box::new(sender), Box::new(receiver)) })
    }

    /// Sets how many elements half a tile holds (rounded up to a multiple of 64, at least 64).
    /// Larger tiles mean fewer rounds and more memory (roughly 300 bytes per element). Both parties
    /// must agree.
    #[must_use]
    pub fn with_half_tile(mut self, elements: usize) -> Self {
        self.half_tile = elements.max(1).next_multiple_of(64);
        self
    }

    /// The role.
    #[must_use]
    pub fn role(&self) -> Role {
        self.role
    }

    /// Elements of half a tile.
    #[must_use]
    pub fn half_tile(&self) -> usize {
        self.half_tile
    }

    /// What the channel has carried so far.
    #[must_use]
    pub fn traffic(&self) -> Traffic {
        self.channel.traffic()
    }

    /// The channel, for what is not a layer of this module.
    pub(crate) fn channel(&mut self) -> &mut (dyn Channel + 'a) {
        &mut *self.channel
    }

    /// Runs a layer, or a part of one, and books it under `phase`. The party is dead after an
    /// error.
    pub(crate) fn layer<T>(&mut self, phase: Phase, run: impl FnOnce(&mut Self) -> Result<T, ProtocolError>) -> Result<T, ProtocolError> {
        if self.dead {
            return Err(ProtocolError::Dead);
        }
        let left = self.enter(phase);
        let result = run(self);
        self.enter(left);
        self.dead |= result.is_err();
        result
    }

    /// Books everything since the last call under the phase left, and goes on under `phase`.
    /// Returns the phase left.
    pub(crate) fn enter(&mut self, phase: Phase) -> Phase {
        let now = (self.channel.traffic(), Instant::now());
        let cost = &mut self.ledger.phases[self.phase.index()];
        cost.traffic += now.0.since(self.since.0);
        cost.time += now.1 - self.since.1;
        self.since = now;
        std::mem::replace(&mut self.phase, phase)
    }

    /// The account up to now.
    pub fn ledger(&mut self) -> Ledger {
        self.enter(self.phase);
        self.ledger
    }

    /// The OT instances and the channel that they run on.
    pub(super) fn ot(&mut self) -> (&mut dyn RandomOtSender, &mut dyn RandomOtReceiver, &mut dyn Channel) {
        (&mut *self.sender, &mut *self.receiver, &mut *self.channel)
    }

    /// One round: sends `outgoing` and returns the `incoming` bytes that the peer sends in the same
    /// round. Long messages cross in pieces that keep to the channel's deadlock rule.
    pub(super) fn exchange(&mut self, outgoing: &[u8], incoming: usize) -> Result<Wiped<u8>, ProtocolError> {
        let mut arrived = Wiped::new(incoming);
        let mut pieces = arrived.chunks_mut(MAX_CROSSING_BYTES);
        let mut parts = outgoing.chunks(MAX_CROSSING_BYTES);
        loop {
            let (part, piece) = (parts.next(), pieces.next());
            if part.is_none() && piece.is_none() {
                return Ok(arrived);
            }
            if let Some(part) = part {
                self.channel.send(part)?;
                self.channel.flush()?;
            }
            if let Some(piece) = piece {
                self.channel.recv(piece)?;
            }
        }
    }
}
