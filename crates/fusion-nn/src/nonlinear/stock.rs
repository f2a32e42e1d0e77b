//! The random OTs of one tile, made in bulk before its first message and used up in a fixed order.

use std::cell::Cell;

use fusion_ot::functionality::{ChoiceBits, ReceiverPads, SenderPads};
use fusion_ring::tables::Pads;

use super::ProtocolError;
use super::digits::Digits;
use super::party::{Party, Phase, Role};
use super::tile::Tile;

/// How many random OTs of each width a tile needs, by direction.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Demand {
    /// By choice bits less one: OTs in which the client, the server is sender.
    by_width: [(usize, usize); 4],
}

impl Demand {
    fn add(&mut self, m: ChoiceBits, client_sends: usize, server_sends: usize) {
        let entry = &mut self.by_width[m.bits() as usize - 1];
        entry.0 += client_sends;
        entry.1 += server_sends;
    }

    /// One 1-of-2 OT in each direction per element, `times` over.
    pub(super) fn both_ways(mut self, tile: Tile, times: usize) -> Self {
        self.add(ChoiceBits::ONE, tile.len() * times, tile.len() * times);
        self
    }

    /// One 1-of-2 OT per element in which the lead is sender.
    pub(super) fn led_to_follower(mut self, tile: Tile) -> Self {
        self.add(ChoiceBits::ONE, tile.led_by(Role::Client).len(), tile.led_by(Role::Server).len());
        self
    }

    /// A comparison: one OT per element and digit, whose sender is the lead at even digits and the follower at odd ones.
    pub(super) fn comparison(mut self, tile: Tile, digits: &Digits) -> Self {
        for (j, &m) in digits.choices().iter().enumerate() {
            let sends = |role: Role| if j % 2 == 0 { tile.led_by(role).len() } else { tile.followed_by(role).len() };
            self.add(m, sends(Role::Client), sends(Role::Server));
        }
        self
    }

    /// Makes the OTs.
    pub(super) fn meet(&self, party: &mut Party<'_>) -> Result<Stock, ProtocolError> {
        let phase = party.enter(Phase::RandomOt);
        let role = party.role();
        let mut shelves = [const { None }; 4];
        for (bits, (&(client_sends, server_sends), shelf)) in (1..).zip(self.by_width.iter().zip(&mut shelves)) {
            let Some(m) = ChoiceBits::new(bits) else { continue };
            let (sender, receiver, channel) = party.ot();
            let (sends, receives) = match role {
                Role::Client => (client_sends, server_sends),
                Role::Server => (server_sends, client_sends),
            };
            // The client's sending goes first, for both parties.
            let (sender, receiver) = match role {
                Role::Client => {
                    let pads = if sends > 0 { Some(sender.random_ot(channel, m, sends)?) } else { None };
                    (pads, if receives > 0 { Some(receiver.random_ot(channel, m, receives)?) } else { None })
                }
                Role::Server => {
                    let pads = if receives > 0 { Some(receiver.random_ot(channel, m, receives)?) } else { None };
                    (if sends > 0 { Some(sender.random_ot(channel, m, sends)?) } else { None }, pads)
                }
            };
            if sender.as_ref().map_or(0, SenderPads::len) != sends || receiver.as_ref().map_or(0, ReceiverPads::len) != receives {
                return Err(ProtocolError::Misuse("the OT instance returned another number of OTs than was asked for"));
            }
            *shelf = Some(Shelf { sender, receiver, sent: Cell::new(0), received: Cell::new(0) });
        }
        party.enter(phase);
        Ok(Stock { shelves })
    }
}

/// Random OTs of one choice width.
struct Shelf {
    sender: Option<SenderPads>,
    receiver: Option<ReceiverPads>,
    sent: Cell<usize>,
    received: Cell<usize>,
}

/// The random OTs of a tile. Every OT is handed out once.
pub(super) struct Stock {
    shelves: [Option<Shelf>; 4],
}

/// OTs in which this party is the receiver.
#[derive(Clone, Copy)]
pub(super) struct Received<'s> {
    /// The random choices.
    pub(super) choices: &'s [u8],
    /// The pads at the choices.
    pub(super) pads: &'s [u32],
}

fn advance(cursor: &Cell<usize>, n: usize) -> std::ops::Range<usize> {
    let start = cursor.get();
    cursor.set(start + n);
    start..start + n
}

impl Stock {
    fn shelf(&self, m: ChoiceBits) -> Option<&Shelf> {
        self.shelves[m.bits() as usize - 1].as_ref()
    }

    /// The pads of the next `n` OTs in which this party sends, 2^m per OT.
    ///
    /// # Panics
    /// If the demand was too small: it is computed from the same public numbers as the use.
    pub(super) fn sender(&self, m: ChoiceBits, n: usize) -> Pads<'_> {
        if m == ChoiceBits::ONE {
            return Pads::Words(self.pairs(n));
        }
        Pads::Bytes(self.next_sent(m, n).map_or_else(|| &[][..n], |(pads, range)| &pads.as_bytes()[range]))
    }

    /// The pads of the next `n` 1-of-2 OTs in which this party sends, two per OT.
    ///
    /// # Panics
    /// As [`Stock::sender`].
    pub(super) fn pairs(&self, n: usize) -> &[u32] {
        self.next_sent(ChoiceBits::ONE, n).map_or_else(|| &[][..n], |(pads, range)| &pads.as_pairs()[range])
    }

    /// The next `n` OTs of a width, as a range of its pads.
    fn next_sent(&self, m: ChoiceBits, n: usize) -> Option<(&SenderPads, std::ops::Range<usize>)> {
        let shelf = self.shelf(m)?;
        let pads = shelf.sender.as_ref()?;
        let range = advance(&shelf.sent, n);
        Some((pads, range.start * m.messages()..range.end * m.messages()))
    }

    /// The next `n` OTs in which this party receives.
    ///
    /// # Panics
    /// As [`Stock::sender`].
    pub(super) fn receiver(&self, m: ChoiceBits, n: usize) -> Received<'_> {
        match self.shelf(m).and_then(|shelf| Some((shelf, shelf.receiver.as_ref()?))) {
            Some((shelf, pads)) => {
                let range = advance(&shelf.received, n);
                Received { choices: &pads.choices()[range.clone()], pads: &pads.pads()[range] }
            }
            None => Received { choices: &[][..n], pads: &[][..n] },
        }
    }

    /// Whether every OT has been used: a demand larger than the use would waste OTs.
    pub(super) fn is_used_up(&self) -> bool {
        self.shelves.iter().flatten().all(|shelf| {
            shelf.sent.get() == shelf.sender.as_ref().map_or(0, SenderPads::len)
                && shelf.received.get() == shelf.receiver.as_ref().map_or(0, ReceiverPads::len)
        })
    }
}
