//! A server that may deviate in order to read the client's inputs, rather than to change answers.
//!
//! Mixing and checking find wrong answers; a server that answers rightly, or whose deviation does
//! not reach the answer, is not found by them (the criticism of mix-and-check in Conan, section
//! VIII-B). What stops it is that it sees nothing: every message of the client is masked by a
//! random OT that no deviation reaches. Here that is shown by enumeration of the OTs' randomness:
//! for several inputs of the client, whichever byte the server sends wrongly, in two ways, its view
//! takes each value equally often.

use std::collections::BTreeMap;

use fusion_nn::layers::{AdditiveShares, Cut, Headroom, Party, ProtocolError, RingBits, Role, Split, relu, widen_signed};
use fusion_ot::OtError;
use fusion_ot::functionality::{ChoiceBits, RandomOtReceiver, RandomOtSender, ReceiverPads, SenderPads};
use fusion_ring::channel::{Channel, RecordingChannel, memory_pair};

/// The randomness of one element's OTs: what the server does not know of them.
#[derive(Clone, Copy, Default)]
struct Coins {
    /// The client's choice in the look-up of the first digit.
    lookup: u8,
    /// The client's pads, one bit each, in the look-up of the second digit at the three choices
    /// that the server does not have.
    table: u8,
    /// The client's choice in the multiplexer.
    mux: u8,
    /// The client's pad in the multiplexer at the choice that the server does not have.
    pad: u32,
    /// The client's choice in the look-up of the third digit.
    third: u8,
    /// The client's choice in the widening.
    widen: u8,
}

/// A dealer whose pads and choices are arbitrary but fixed, except for [`Coins`].
#[derive(Clone, Copy)]
struct Dealer {
    client_sends: bool,
    coins: Coins,
}

impl Dealer {
    fn choice(self, m: ChoiceBits, n: usize, i: usize) -> u8 {
        match m {
            _ if self.client_sends => (i * 7 + 3) as u8 % m.messages() as u8,
            // The widening comes last.
            ChoiceBits::ONE if i + 1 == n => self.coins.widen,
            ChoiceBits::ONE => self.coins.mux,
            // Digits of one width take from one queue.
            _ if i == 1 => self.coins.third,
            _ => self.coins.lookup,
        }
    }

    fn pads(self, m: ChoiceBits, n: usize, i: usize) -> Vec<u32> {
        let kept = if m == ChoiceBits::ONE { u32::MAX } else { 1 };
        let fixed = |x: usize| ((i * 16 + x + usize::from(self.client_sends) * 5) as u32).wrapping_mul(0x9e37_79b9) >> 7 & kept;
        let mut pads: Vec<u32> = (0..m.messages()).map(fixed).collect();
        if self.client_sends {
            let known = usize::from(self.choice(m, n, i));
            for (number, x) in (0..pads.len()).filter(|&x| x != known).enumerate() {
                pads[x] = if m == ChoiceBits::ONE { self.coins.pad } else { u32::from(self.coins.table) >> number & 1 };
            }
        }
        pads
    }
}

impl RandomOtSender for Dealer {
    fn random_ot(&mut self, _: &mut dyn Channel, m: ChoiceBits, n: usize) -> Result<SenderPads, OtError> {
        let all = (0..n).flat_map(|i| self.pads(m, n, i));
        Ok(if m == ChoiceBits::ONE { SenderPads::pairs(all.collect()) } else { SenderPads::wide(m, all.map(|pad| pad as u8).collect()) })
    }
}

impl RandomOtReceiver for Dealer {
    fn random_ot(&mut self, _: &mut dyn Channel, m: ChoiceBits, n: usize) -> Result<ReceiverPads, OtError> {
        let choices: Vec<u8> = (0..n).map(|i| self.choice(m, n, i)).collect();
        let pads = choices.iter().enumerate().map(|(i, &choice)| self.pads(m, n, i)[usize::from(choice)]).collect();
        Ok(ReceiverPads::new(m, choices, pads))
    }
}

/// A layer whose whole view is small enough to be enumerated.
struct Case {
    /// Bits of the window.
    bits: u32,
    layer: fn(&mut Party<'_>, &AdditiveShares) -> Result<AdditiveShares, ProtocolError>,
    coins: Vec<Coins>,
}

impl Case {
    /// A ReLU from four bits to six: one digit of two bits, in which the client chooses, a
    /// multiplexer and a widening.
    fn relu() -> Self {
        let number =
            |i: u32| Coins { lookup: i as u8 & 3, mux: (i >> 2) as u8 & 1, pad: i >> 3 & 15, widen: (i >> 7) as u8, ..Coins::default() };
        Self { bits: 4, layer: |party, x| relu(party, x, RingBits(6)), coins: (0..256).map(number).collect() }
    }

    /// A signed widening from four bits to six: a digit of three bits, in which the client chooses,
    /// one of one bit, in which it answers, and the widening.
    fn widening() -> Self {
        let number = |i: u32| Coins { lookup: i as u8 & 7, table: (i >> 3) as u8 & 7, widen: (i >> 6) as u8, ..Coins::default() };
        let layer = |party: &mut Party<'_>, x: &AdditiveShares| widen_signed(party, x, Headroom::None, RingBits(6));
        Self { bits: 4, layer, coins: (0..128).map(number).collect() }
    }

    /// A ReLU from six bits to one: a digit of three bits, in which the client chooses, one of one
    /// bit, in which it answers, and a multiplexer that it opens first.
    fn client_first() -> Self {
        let number =
            |i: u32| Coins { lookup: i as u8 & 7, table: (i >> 3) as u8 & 7, widen: (i >> 6) as u8 & 1, pad: i >> 7, ..Coins::default() };
        // The multiplexer's OT is the only 1-of-2 OT, and so the last.
        Self { bits: 6, layer: |party, x| relu(party, x, RingBits(1)), coins: (0..256).map(number).collect() }
    }

    /// A signed widening from six bits to eight: three digits, of which the client chooses in the
    /// first and the third, from one queue of OTs.
    fn three_digits() -> Self {
        let number = |i: u32| Coins {
            lookup: i as u8 & 7,
            table: (i >> 3) as u8 & 7,
            third: (i >> 6) as u8 & 7,
            widen: (i >> 9) as u8,
            ..Coins::default()
        };
        let layer = |party: &mut Party<'_>, x: &AdditiveShares| widen_signed(party, x, Headroom::None, RingBits(8));
        Self { bits: 6, layer, coins: (0..1024).map(number).collect() }
    }

    /// What either party sends if the client's share is `x`.
    fn run(&self, x: u32, coins: Coins, wrong: Option<(usize, u8)>) -> [Vec<u8>; 2] {
        let (client_end, server_end) = memory_pair();
        let (client_wire, mut server_wire) = (RecordingChannel::new(client_end), RecordingChannel::new(server_end));
        if let Some((at, flip)) = wrong {
            server_wire.corrupt_from_now(at, flip);
        }
        let handles = [client_wire.handle(), server_wire.handle()];
        let dealer = |client_sends| Box::new(Dealer { client_sends, coins });
        let run = |role, wire, share| {
            let client = role == Role::Client;
            let party = Party::new(role, Box::new(wire), dealer(client), dealer(!client));
            let own = AdditiveShares::from_words(vec![share], RingBits(self.bits));
            // Whatever arrives is a valid message: nobody stops.
            assert!((self.layer)(&mut party.with_cut(Cut::from(Split::OneMore)), &own).is_ok());
        };
        std::thread::scope(|scope| {
            scope.spawn(move || run(Role::Server, server_wire, 5));
            run(Role::Client, client_wire, x);
        });
        handles.map(|handle| handle.recording().sent)
    }

    /// How often the server sees what, over the coins that `possible` leaves.
    fn views(&self, x: u32, wrong: Option<(usize, u8)>, possible: impl Fn(&Coins) -> bool) -> BTreeMap<Vec<u8>, usize> {
        let mut views = BTreeMap::new();
        for &coins in self.coins.iter().filter(|coins| possible(coins)) {
            let [seen, _] = self.run(x, coins, wrong);
            *views.entry(seen).or_default() += 1;
        }
        views
    }

    /// Whatever the server sends, its view does not depend on the client's input.
    fn tells_nothing(&self) {
        let sent = self.run(0, self.coins[0], None)[1].len();
        let mut deviations: Vec<Option<(usize, u8)>> = vec![None];
        deviations.extend((0..sent).flat_map(|at| [0x01, 0xff].map(|flip| Some((at, flip)))));
        for wrong in deviations {
            let expect = self.views(0, wrong, |_| true);
            // The coins matter to the view: it is not constant for some other reason.
            assert!(expect.len() >= 4, "{wrong:?}: {} views", expect.len());
            for x in [3, 4, 7, 9] {
                assert!(self.views(x, wrong, |_| true) == expect, "byte {wrong:?} sent wrongly tells the server something of {x}");
            }
        }
    }
}

#[test]
fn a_relu_tells_the_server_nothing() {
    Case::relu().tells_nothing();
}

#[test]
fn a_comparison_and_a_widening_tell_the_server_nothing() {
    Case::widening().tells_nothing();
}

#[test]
fn a_multiplexer_that_the_client_opens_first_tells_the_server_nothing() {
    Case::client_first().tells_nothing();
}

/// An OT that served two digits would show how the client's digits differ.
#[test]
fn digits_that_share_a_queue_tell_the_server_nothing() {
    let case = Case::three_digits();
    let expect = case.views(0, None, |_| true);
    assert_eq!(expect.len(), case.coins.len(), "every coin matters");
    for x in [3, 21, 44, 63] {
        assert!(case.views(x, None, |_| true) == expect, "the server learns something of {x}");
    }
}

/// The tests have teeth: a server that knew any one of the coins, as the broken OT let it, would
/// see the input.
#[test]
fn a_server_that_knows_a_coin_sees_the_input() {
    let in_relu: [fn(&Coins) -> bool; 4] = [|c| c.lookup == 2, |c| c.mux == 1, |c| c.pad == 5, |c| c.widen == 1];
    let in_widening: [fn(&Coins) -> bool; 3] = [|c| c.lookup == 2, |c| c.table == 5, |c| c.widen == 1];
    let cases = in_relu.map(|known| (Case::relu(), known)).into_iter().chain(in_widening.map(|known| (Case::widening(), known)));
    for (i, (case, known)) in cases.enumerate() {
        let expect = case.views(0, None, known);
        assert!((1..1 << case.bits).any(|x| case.views(x, None, known) != expect), "coin {i}");
    }
}
