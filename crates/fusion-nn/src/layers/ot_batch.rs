//! The random OTs of one tile, made in bulk before its first message and used up in a fixed order.

use std::cell::Cell;

use fusion_ot::OtError;
use fusion_ot::functionality::{ChoiceBits, PAD_BIT, RandomOtReceiver, RandomOtSender, ReceiverBits, ReceiverPads, SenderBits, SenderPads};
use fusion_ring::channel::Channel;
use fusion_ring::secret::{Element, Wiped};

use super::digits::Digits;
use super::error::ProtocolError;
use super::party::{Party, Phase};
use super::role::{Role, WIDENING_SENDER};

/// How many random OTs of each width a tile needs, by direction.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct OtCount {
    /// By choice bits less one: OTs that the client sends, and that the server sends.
    by_width: [(usize, usize); 4],
}

impl OtCount {
    fn add(&mut self, m: ChoiceBits, client_sends: usize, server_sends: usize) {
        let entry = &mut self.by_width[m.bits() as usize - 1];
        entry.0 += client_sends;
        entry.1 += server_sends;
    }

    /// `times` multiplexers of `n` elements: a 1-of-2 OT in each direction per element.
    pub(super) fn muxes(mut self, n: usize, times: usize) -> Self {
        self.add(ChoiceBits::ONE, n * times, n * times);
        self
    }

    /// A widening of `n` elements.
    pub(super) fn widening(mut self, n: usize) -> Self {
        self.add_sent_by(WIDENING_SENDER, ChoiceBits::ONE, n);
        self
    }

    /// A comparison of `n` elements: one OT per element and digit.
    pub(super) fn comparison(mut self, n: usize, digits: &Digits) -> Self {
        digits.iter().for_each(|digit| self.add_sent_by(digit.sender, digit.m, n));
        self
    }

    fn add_sent_by(&mut self, sender: Role, m: ChoiceBits, n: usize) {
        match sender {
            Role::Client => self.add(m, n, 0),
            Role::Server => self.add(m, 0, n),
        }
    }

    /// Makes the OTs.
    pub(super) fn generate(&self, party: &mut Party<'_>) -> Result<OtBatch, ProtocolError> {
        let phase = party.enter(Phase::RandomOt);
        let m = ChoiceBits::ONE;
        let send = |ot: &mut dyn RandomOtSender, ch: &mut dyn Channel, n| ot.random_ot(ch, m, n).map(|pads| (pads.len(), pads));
        let receive = |ot: &mut dyn RandomOtReceiver, ch: &mut dyn Channel, n| ot.random_ot(ch, m, n).map(|pads| (pads.len(), pads));
        let pairs = make(party, self.by_width[0], send, receive)?;
        let mut lookups = [const { None }; 3];
        for ((bits, &count), queues) in (2..).zip(&self.by_width[1..]).zip(&mut lookups) {
            let Some(m) = ChoiceBits::new(bits) else { continue };
            let send =
                |ot: &mut dyn RandomOtSender, ch: &mut dyn Channel, n| ot.random_bits(ch, m, n).map(|bits| (bits.tables().len(), bits));
            let receive =
                |ot: &mut dyn RandomOtReceiver, ch: &mut dyn Channel, n| ot.random_bits(ch, m, n).map(|bits| (bits.bytes().len(), bits));
            *queues = Some(make(party, count, send, receive)?);
        }
        party.enter(phase);
        Ok(OtBatch { pairs, lookups })
    }
}

/// Makes the OTs of one width, in numbers by their sender; `send` and `receive` also say how many
/// they made.
fn make<S, R>(
    party: &mut Party<'_>,
    (client_sends, server_sends): (usize, usize),
    send: impl FnOnce(&mut dyn RandomOtSender, &mut dyn Channel, usize) -> Result<(usize, S), OtError>,
    receive: impl FnOnce(&mut dyn RandomOtReceiver, &mut dyn Channel, usize) -> Result<(usize, R), OtError>,
) -> Result<OtQueues<S, R>, ProtocolError> {
    let role = party.role();
    let (sender, receiver, channel) = party.ot();
    // The client's sending goes first, for both parties.
    let (sent, received) = match role {
        Role::Client => {
            let sent = if client_sends > 0 { Some(send(sender, channel, client_sends)?) } else { None };
            (sent, if server_sends > 0 { Some(receive(receiver, channel, server_sends)?) } else { None })
        }
        Role::Server => {
            let received = if client_sends > 0 { Some(receive(receiver, channel, client_sends)?) } else { None };
            (if server_sends > 0 { Some(send(sender, channel, server_sends)?) } else { None }, received)
        }
    };
    let (sends, receives) = match role {
        Role::Client => (client_sends, server_sends),
        Role::Server => (server_sends, client_sends),
    };
    if sent.as_ref().map_or(0, |sent| sent.0) != sends || received.as_ref().map_or(0, |received| received.0) != receives {
        return Err(ProtocolError::Misuse("the OT instance returned another number of OTs than was asked for"));
    }
    Ok(OtQueues { sent: OtQueue::new(sent), received: OtQueue::new(received) })
}

/// Random OTs of one kind in one direction, given out from the front.
struct OtQueue<T> {
    all: Option<T>,
    len: usize,
    used: Cell<usize>,
}

impl<T> OtQueue<T> {
    fn new(made: Option<(usize, T)>) -> Self {
        let (len, all) = made.map_or((0, None), |(len, all)| (len, Some(all)));
        Self { all, len, used: Cell::new(0) }
    }

    /// The next `n` of the OTs that `items` finds, `each` items per OT.
    fn next<U>(&self, n: usize, each: usize, items: impl FnOnce(&T) -> &[U]) -> &[U] {
        let start = self.used.get();
        self.used.set(start + n);
        match &self.all {
            Some(all) => &items(all)[start * each..(start + n) * each],
            None => &[][..n],
        }
    }

    fn is_used_up(&self) -> bool {
        self.used.get() == self.len
    }
}

/// Random OTs of one choice width, in both directions.
struct OtQueues<S, R> {
    sent: OtQueue<S>,
    received: OtQueue<R>,
}

/// The random OTs of a tile. Every OT is handed out once.
///
/// OTs of wider choices serve look-ups of bits (`lookup`) and have pads of one bit.
pub(super) struct OtBatch {
    pairs: OtQueues<SenderPads, ReceiverPads>,
    lookups: [Option<OtQueues<SenderBits, ReceiverBits>>; 3],
}

/// 1-of-2 OTs in which this party is the receiver.
#[derive(Clone, Copy)]
pub(super) struct Received<'s> {
    /// The random choices.
    pub(super) choices: &'s [u8],
    /// The pads at the choices.
    pub(super) pads: &'s [u32],
}

/// OTs given out: as the batch holds them, or converted from another form.
pub(super) enum OtSlice<'s, T: Element> {
    Borrowed(&'s [T]),
    Converted(Wiped<T>),
}

impl<T: Element> std::ops::Deref for OtSlice<'_, T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        match self {
            Self::Borrowed(ots) => ots,
            Self::Converted(ots) => ots,
        }
    }
}

fusion_ring::opaque!(OtBatch, Received<'_>, OtSlice<'_, u8>);

impl OtBatch {
    fn queues(&self, m: ChoiceBits) -> Option<&OtQueues<SenderBits, ReceiverBits>> {
        self.lookups[m.bits() as usize - 2].as_ref()
    }

    /// The pads of the next `n` 1-of-2^m OTs in which this party sends, one bit each.
    ///
    /// # Panics
    /// If [`OtCount`] was too small: it is computed from the same public numbers as the use.
    pub(super) fn lookup_sender(&self, m: ChoiceBits, n: usize) -> OtSlice<'_, u16> {
        if m == ChoiceBits::ONE {
            let pairs = self.pairs(n).chunks_exact(2);
            return OtSlice::Converted(Wiped::filled(n, pairs.map(|pair| (pair[0] & 1 | (pair[1] & 1) << 1) as u16)));
        }
        OtSlice::Borrowed(self.queues(m).map_or_else(|| &[][..n], |queues| queues.sent.next(n, 1, SenderBits::tables)))
    }

    /// The next `n` 1-of-2^m OTs in which this party receives, in the form of [`ReceiverBits`].
    ///
    /// # Panics
    /// As [`OtBatch::lookup_sender`].
    pub(super) fn lookup_receiver(&self, m: ChoiceBits, n: usize) -> OtSlice<'_, u8> {
        if m == ChoiceBits::ONE {
            let got = self.received(n);
            let bytes = got.choices.iter().zip(got.pads).map(|(choice, &pad)| choice | (pad as u8) << PAD_BIT);
            return OtSlice::Converted(Wiped::filled(n, bytes));
        }
        OtSlice::Borrowed(self.queues(m).map_or_else(|| &[][..n], |queues| queues.received.next(n, 1, ReceiverBits::bytes)))
    }

    /// The pads of the next `n` 1-of-2 OTs in which this party sends, two per OT.
    ///
    /// # Panics
    /// As [`OtBatch::lookup_sender`].
    pub(super) fn pairs(&self, n: usize) -> &[u32] {
        self.pairs.sent.next(n, 2, SenderPads::as_pairs)
    }

    /// The next `n` 1-of-2 OTs in which this party receives.
    ///
    /// # Panics
    /// As [`OtBatch::lookup_sender`].
    pub(super) fn received(&self, n: usize) -> Received<'_> {
        let at = self.pairs.received.used.get();
        let pads = self.pairs.received.next(n, 1, ReceiverPads::pads);
        let choices = self.pairs.received.all.as_ref().map_or_else(|| &[][..n], |all| &all.choices()[at..at + n]);
        Received { choices, pads }
    }

    /// Whether every OT has been used: a count larger than the use would waste OTs.
    pub(super) fn is_used_up(&self) -> bool {
        let wide = |queues: &OtQueues<SenderBits, ReceiverBits>| queues.sent.is_used_up() && queues.received.is_used_up();
        self.pairs.sent.is_used_up() && self.pairs.received.is_used_up() && self.lookups.iter().flatten().all(wide)
    }
}
