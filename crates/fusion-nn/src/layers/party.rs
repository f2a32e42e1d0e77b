//! One party of a lane: its role, its channel, its two OT instances, and the account of what each
//! phase cost.

use std::time::{Duration, Instant};

use fusion_ot::OtError;
use fusion_ot::functionality::{RandomOtReceiver, RandomOtSender};
use fusion_ot::session::Session;
use fusion_ot::silent;
use fusion_ring::channel::{Channel, Traffic};
use fusion_ring::secret::Wiped;
use rand_core::CryptoRng;

use super::error::ProtocolError;
use super::lane_terms::LaneTerms;
use super::role::Role;
use super::tile::Cut;

/// What a lane is busy with, for the account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Phase {
    /// Before the first layer: keys, base OTs.
    Setup,
    /// Linear layers.
    Linear,
    /// Making random OTs, for whichever layer.
    RandomOt,
    /// ReLU, other functions, products, signed truncation and requantisation, apart from their
    /// random OTs.
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

/// One party of a lane. Its peer must be a party of the other role with the same
/// [`cut`](Party::cut), and both must call the same layer functions with the same
/// public arguments in the same order.
///
/// After any error, misuse included, the lane is dead: every later call fails with
/// [`ProtocolError::Dead`] and sends nothing.
///
/// The role is a value, not a type as in `Lane`: one function serves both parties.
pub struct Party<'a> {
    role: Role,
    channel: Box<dyn Channel + 'a>,
    sender: Box<dyn RandomOtSender + 'a>,
    receiver: Box<dyn RandomOtReceiver + 'a>,
    cut: Cut,
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
        let (since, ledger) = ((channel.traffic(), Instant::now()), Ledger::default());
        Self { role, channel, sender, receiver, cut: Cut::default(), ledger, phase: Phase::Setup, since, dead: false }
    }

    /// Connects to the peer on `channel`: base OTs and the silent extension, in both directions,
    /// bound to `lane_request` (the bytes of all that is public about the lane: the same on both
    /// sides, unlike those of other lanes) and to `terms`. Parties with different ones fail here or
    /// at the first layer.
    ///
    /// # Errors
    /// [`OtError`].
    pub fn connect(
        role: Role,
        lane_request: &[u8],
        terms: LaneTerms,
        mut channel: Box<dyn Channel + 'a>,
        rng: &mut impl CryptoRng,
    ) -> Result<Self, OtError> {
        let ot_role = match role {
            Role::Client => fusion_ot::Role::First,
            Role::Server => fusion_ot::Role::Second,
        };
        let since = (channel.traffic(), Instant::now());
        // Two bytes at the end: no two pairs of request and terms have the same.
        let session = Session::new(&[lane_request, &terms.binding()].concat());
        let (sender, receiver) = silent::setup_with(terms.extension, &session, ot_role, &mut channel, rng)?;
        // The set-up is booked as well.
        Ok(Self { since, cut: Cut::from(terms.split), ..Self::new(role, channel, Box::new(sender), Box::new(receiver)) })
    }

    /// Sets how layers are cut. Both parties must agree.
    #[must_use]
    pub fn with_cut(mut self, cut: Cut) -> Self {
        self.cut = cut;
        self
    }

    /// The role.
    #[must_use]
    pub fn role(&self) -> Role {
        self.role
    }

    /// How layers are cut.
    #[must_use]
    pub fn cut(&self) -> Cut {
        self.cut
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
        // What this party said last may be all that its peer waits for.
        let result = run(self).and_then(|result| Ok(self.channel.flush().map(|()| result)?));
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

    /// Sends `bytes`, which may wait for what this party sends next; until it receives at the
    /// latest.
    pub(super) fn send(&mut self, bytes: &[u8]) -> Result<(), ProtocolError> {
        Ok(self.channel.send(bytes)?)
    }

    /// The peer's next `len` bytes.
    pub(super) fn recv(&mut self, len: usize) -> Result<Wiped<u8>, ProtocolError> {
        let mut arrived = Wiped::new(len);
        self.channel.recv(&mut arrived)?;
        Ok(arrived)
    }

    /// Sends `outgoing` and returns `incoming` bytes of the peer, neither of which depends on the
    /// other. The party `first` sends first and the other receives first: no message waits for
    /// room in a buffer while its receiver is sending too.
    pub(super) fn swap(&mut self, first: Role, outgoing: &[u8], incoming: usize) -> Result<Wiped<u8>, ProtocolError> {
        if self.role == first {
            self.send(outgoing)?;
            return self.recv(incoming);
        }
        let arrived = self.recv(incoming)?;
        self.send(outgoing)?;
        Ok(arrived)
    }
}
